"""Callers of a standalone server: API keys in the store, JSON Web Tokens, and the roles that both have."""
