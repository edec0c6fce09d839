"""Full-text search: what a schema declares, the tables that SQLite keeps for it, and the engine."""

from typing import Final

PREFIX: Final = "@lamdb.search"
"""The beginning of the annotations in a schema that declare a search."""
