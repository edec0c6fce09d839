"""Caches of pages: in memory, and as byte ranges on the local disk."""
