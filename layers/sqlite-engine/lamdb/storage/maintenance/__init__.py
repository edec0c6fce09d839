"""Maintenance of a store: compaction, retention, and when they run."""
