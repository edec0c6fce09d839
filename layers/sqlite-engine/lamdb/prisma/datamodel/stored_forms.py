"""Forms of stored values: the one in which the API stores each type, and values in another.

SQLite compares text by its letters and numbers by their size, and never finds the one equal to the other. The
API reads several forms of a DateTime (milliseconds since 1970, `2026-01-02 03:04:05`), but it stores and
binds one. A row with another form is read rightly, and filtered, sorted and grouped wrongly.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import apsw

from lamdb.prisma.datamodel.schema_text import Block, parse_blocks, unescape
from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES

type Files = Sequence[tuple[str, str]]

CANONICAL_TIME: Final = (
    "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]+00:00"
)
"""The form of a DateTime, as a pattern of GLOB."""

_LARGEST: Final = "1.7976931348623157e308"
_NO_NUMBER: Final = f"(typeof({{0}}) NOT IN ('integer', 'real') OR abs({{0}}) > {_LARGEST})"
# Of values that are not null; each with the column's name for {0}.
_DEVIATES: Final = {
    "DateTime": f"(typeof({{0}}) <> 'text' OR {{0}} NOT GLOB '{CANONICAL_TIME}')",
    "Boolean": "(typeof({0}) <> 'integer' OR {0} NOT IN (0, 1))",
    "Int": "(typeof({0}) <> 'integer' OR {0} NOT BETWEEN -2147483648 AND 2147483647)",
    "BigInt": "(typeof({0}) <> 'integer')",
    "Float": _NO_NUMBER,
    "Decimal": _NO_NUMBER,
    "String": "(typeof({0}) <> 'text')",
    "Bytes": "(typeof({0}) <> 'blob')",
    "Json": (
        "CASE typeof({0}) WHEN 'text' THEN CASE WHEN json_valid({0}) THEN json({0}) <> {0} ELSE 1 END"
        " WHEN 'blob' THEN 1 WHEN 'real' THEN abs({0}) > " + _LARGEST + " ELSE 0 END"
    ),
}
_MIXED: Final = frozenset({"String", "Bytes"})
"""Types that also read what else lies in a column that others declared: see `type_inference`."""
_COLUMNS_AT_ONCE: Final = 200
_ENUM_VALUE: Final = re.compile(r'^\s*(?P<name>\w+)(?:\s+@map\((?:name:\s*)?"(?P<map>(?:[^"\\]|\\.)*)"\))?')
_EXAMPLE_CHARACTERS: Final = 60


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """The column of a scalar field. `type` is Prisma's; an enum's is its name, with `values`."""

    model: str
    field: str
    table: str
    column: str
    type: str
    values: tuple[str, ...] = ()

    @property
    def deviates(self) -> str:
        """The SQL that is true for values in another form than the API's."""
        name = quote(self.column)
        if self.type in _DEVIATES:
            test = _DEVIATES[self.type].format(name)
        else:
            allowed = ", ".join("'" + value.replace("'", "''") + "'" for value in self.values)
            test = f"(typeof({name}) <> 'text' OR {name} NOT IN ({allowed}))"
        return f"{name} IS NOT NULL AND {test}"


@dataclass(frozen=True, slots=True)
class Deviation:
    """A column with values in another form: how many, and one of them as SQL writes it."""

    table: str
    column: str
    type: str
    values: int
    example: str

    def __str__(self) -> str:
        count = f"{self.values:,} value{'s' if self.values != 1 else ''}"
        return f"{self.table}.{self.column}: {count} not in the form of {self.type}, such as {self.example}"


def stored_columns(files: Files) -> list[StoredColumn]:
    """The columns of a schema's models, views excepted."""
    blocks = [block for _, content in files for block in parse_blocks(content)]
    enums = {block.name: tuple(_enum_values(block)) for block in blocks if block.kind == "enum"}
    return [
        StoredColumn(block.name, each.name, block.table, each.column, each.type, enums.get(each.type, ()))
        for block in blocks
        if block.kind == "model"
        for each in block.fields
        if each.arity != "[]" and (each.type in COLUMN_TYPES or each.type in enums)
        if not (each.declared is not None and each.type in _MIXED) and not each.is_rowid
    ]


def find_deviations(
    connection: apsw.Connection, files: Files, tables: Collection[str] | None = None
) -> list[Deviation]:
    """Columns of a schema that hold values in other forms, in `tables` (in lower case; None: in all)."""
    return [deviation for _, deviation in deviating(connection, stored_columns(files), tables)]


def deviating(
    connection: apsw.Connection, columns: Sequence[StoredColumn], tables: Collection[str] | None = None
) -> Iterator[tuple[StoredColumn, Deviation]]:
    """The same with the columns. One pass over each table."""
    grouped: dict[str, list[StoredColumn]] = {}
    for column in columns:
        if tables is None or column.table.lower() in tables:
            grouped.setdefault(column.table, []).append(column)
    for table, members in grouped.items():
        existing = _columns_of(connection, table)
        there = [each for each in members if each.column.lower() in existing]
        for start in range(0, len(there), _COLUMNS_AT_ONCE):
            part = there[start : start + _COLUMNS_AT_ONCE]
            counts = ", ".join(f"count(*) FILTER (WHERE {each.deviates})" for each in part)
            found = connection.execute(f"SELECT {counts} FROM {quote(table)}").fetchall()[0]
            for column, number in zip(part, found, strict=True):
                if number:
                    example = _example(connection, column)
                    yield column, Deviation(table, column.column, column.type, int(number), example)


def _columns_of(connection: apsw.Connection, table: str) -> set[str]:
    """The columns of a table, in lower case; none if it is a view, a virtual table or not there."""
    kind = connection.execute(
        "SELECT type FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?)", (table,)
    ).get
    if kind != "table":
        return set()
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,))
    return {str(name).lower() for (name,) in rows}


def _example(connection: apsw.Connection, column: StoredColumn) -> str:
    name = quote(column.column)
    sql = f"SELECT quote({name}) FROM {quote(column.table)} WHERE {column.deviates} LIMIT 1"
    try:
        found = str(connection.execute(sql).get)
    except UnicodeDecodeError:
        return "text that is not UTF-8"
    text = "".join(each if each.isprintable() else " " for each in found)
    return text if len(text) <= _EXAMPLE_CHARACTERS else text[:_EXAMPLE_CHARACTERS] + "…"


def _enum_values(block: Block) -> Iterator[str]:
    for line in block.rest:
        found = _ENUM_VALUE.match(line)
        if found:
            yield unescape(found["map"]) if found["map"] is not None else found["name"]
