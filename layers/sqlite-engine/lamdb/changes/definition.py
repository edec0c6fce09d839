"""The models whose changes are recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class RecordedField:
    """A scalar field: its column, and its type in Prisma.

    `values` has the names of an enum's values by what is stored; None for other types.
    """

    name: str
    column: str
    type: str
    values: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class RecordedModel:
    """A model, its table, and its scalar fields; `key` are the names of those that identify a record."""

    model: str
    table: str
    fields: tuple[RecordedField, ...]
    key: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Returns the definition as JSON, for `from_json`."""
        fields = [[field.name, field.column, field.type, field.values] for field in self.fields]
        return {"model": self.model, "table": self.table, "fields": fields, "key": list(self.key)}

    @classmethod
    def from_json(cls, made: Mapping[str, Any]) -> Self:
        """Returns the definition that `to_json` has made, also after it was text."""
        fields = tuple(RecordedField(*field) for field in made["fields"])
        return cls(made["model"], made["table"], fields, tuple(made["key"]))


@dataclass(frozen=True, slots=True)
class RecordedModels:
    """All models of a schema whose changes are recorded, and how long: in seconds, and up to bytes."""

    models: Sequence[RecordedModel]
    seconds: int
    bytes: int
