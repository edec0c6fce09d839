"""Statements of SQL: their texts, their permissions, and their execution on one connection."""
