"""Full-text search: what a schema declares, the tables that SQLite keeps for it, and the engine."""
