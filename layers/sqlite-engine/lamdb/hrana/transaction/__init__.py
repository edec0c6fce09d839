"""Execution of a request's steps, and the transactions that they begin, continue and end."""
