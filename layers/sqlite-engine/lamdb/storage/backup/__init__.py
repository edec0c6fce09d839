"""Backups: restoring, verifying, and importing SQLite files."""
