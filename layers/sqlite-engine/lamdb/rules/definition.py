"""The rules of a schema, compiled to conditions in SQL."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Self

import orjson

OPERATIONS: Final = ("create", "read", "update", "delete", "post-update")


type Parent = tuple[str, tuple[tuple[str, str], ...]]
"""A table that a foreign key refers to, with pairs (own column, its column)."""


@dataclass(frozen=True, slots=True)
class TableRules:
    """The conditions of a model's operations, about a row with the alias `conditions.ROW`.

    `columns` are those of the model; tables may have more. `parents` are those whose deletion or update
    changes rows of this table.
    """

    model: str
    table: str
    columns: tuple[str, ...]
    conditions: Mapping[str, str]
    parents: tuple[Parent, ...] = ()


@dataclass(frozen=True, slots=True)
class JoinRules:
    """The conditions of the rows of an implicit many-to-many relation's table, with the columns A and B."""

    table: str
    read: str
    change: str
    parents: tuple[Parent, ...] = ()


@dataclass(frozen=True)
class Rules:
    """All rules of a schema."""

    tables: tuple[TableRules, ...]
    joins: tuple[JoinRules, ...] = ()

    def dumps(self) -> bytes:
        """Returns the rules as JSON, for `loads`."""
        return orjson.dumps(
            {
                "tables": [
                    [rules.model, rules.table, rules.columns, dict(rules.conditions), rules.parents]
                    for rules in self.tables
                ],
                "joins": [[rules.table, rules.read, rules.change, rules.parents] for rules in self.joins],
            }
        )

    @classmethod
    def loads(cls, content: bytes) -> Self:
        """Returns the rules that `dumps` wrote."""
        found: dict[str, Any] = orjson.loads(content)
        return cls(
            tuple(
                TableRules(model, table, tuple(columns), conditions, _parents(parents))
                for model, table, columns, conditions, parents in found["tables"]
            ),
            tuple(
                JoinRules(table, read, change, _parents(parents))
                for table, read, change, parents in found["joins"]
            ),
        )

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of the rules: equal for schemas with the same ones."""
        return hashlib.sha256(self.dumps()).hexdigest()

    def of(self, model: str) -> TableRules:
        """Returns the rules of a model. Raises KeyError."""
        return self._by_model[model]

    @cached_property
    def _by_model(self) -> Mapping[str, TableRules]:
        return {rules.model: rules for rules in self.tables}


def _parents(found: Sequence[Any]) -> tuple[Parent, ...]:
    return tuple((table, tuple((own, its) for own, its in pairs)) for table, pairs in found)
