"""Streams between requests: kept in memory by a server, or carried by clients in batons."""
