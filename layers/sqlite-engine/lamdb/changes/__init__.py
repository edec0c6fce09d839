"""A feed of changes: the models whose records' changes are recorded, declared in the schema.

/// @lamdb.changes keep 7d, 64MB
model Order { … }
"""

from typing import Final

PREFIX: Final = "@lamdb.changes"
"""The annotation in a schema that has the changes of a model recorded."""

RECORDED: Final = "recorded"
"""The key of the DMMF for the models whose changes are recorded."""
