"""Introspection: makes a Prisma schema for a SQLite database."""
