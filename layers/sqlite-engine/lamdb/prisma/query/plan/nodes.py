"""Nodes of a plan whose values are rows: tables, their columns, and children added by joins."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lamdb.prisma.query.plan.runtime import Run

type Rows = Callable[[Run], Any]

_TEXT_AFFINITY = re.compile("CHAR|CLOB|TEXT", re.IGNORECASE)
_INTEGER_AFFINITY = re.compile("INT", re.IGNORECASE)


class Columns:
    """The result columns of a query, in order, and which of them hold no numbers."""

    __slots__ = ("names", "positions", "texts")

    def __init__(self, names: Sequence[str], declared: Sequence[str | None] = ()) -> None:
        self.names = tuple(names)
        # SQLite turns numbers into text where the column's type has one of these words in it.
        self.texts = frozenset(
            name
            for name, type_ in zip(names, declared, strict=False)
            if type_ and _TEXT_AFFINITY.search(type_) and not _INTEGER_AFFINITY.search(type_)
        )
        self.positions = {name: position for position, name in enumerate(self.names)}


class NotPositional(Exception):
    """The plan needs records that are more than rows of queries."""


@dataclass(frozen=True, slots=True)
class Child:
    """A join's child: its table, and the columns that link it to the parent."""

    table: "RowList"
    parent_columns: tuple[str, ...]
    child_columns: tuple[str, ...]
    field: str
    unique: bool


@dataclass(frozen=True, slots=True)
class RowList:
    """A node whose value is a list of rows or, if `single`, one row or None.

    Children are read after the rows, when the output is built.
    """

    rows: Rows
    columns: Columns
    single: bool = False
    children: tuple[Child, ...] = ()
