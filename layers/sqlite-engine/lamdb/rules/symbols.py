"""Names in SQL that the parts of rules share."""

from typing import Final

ROW: Final = "\x01"
"""Stands for the alias of the row in a condition; no text of a rule can have it."""

CLAIM: Final = "lamdb_claim"
CLAIM_HAS: Final = "lamdb_claim_has"
AUTHENTICATED: Final = "lamdb_authenticated"
"""Functions of SQL that tell about the caller: a claim by its path, whether one is a list with a value, and
whether the caller has an identity."""

PREFIX: Final = "lamdb_rules_"
"""The prefix of the names of temporary views and triggers."""
BOUND: Final = "lamdb_bound"
"""A function of SQL: whether the present request is bound by rules."""
VIOLATION: Final = "lamdb_rules: "
"""The beginning of the messages of refusing triggers; the operation and the model follow."""
