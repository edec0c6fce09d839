"""What the schema engine is shown of a database, where SQLite has more than Prisma knows.

Without this, comparing such a database with its schema would find differences that no migration should make:

- A column whose declared type the schema keeps in a note (`schema_text`) is shown with the type its field
  has.
- A primary key's columns are required, and INTEGER only if it is the rowid.
- The index of a UNIQUE constraint has the name that Prisma would give it, as its own cannot be dropped.
- Virtual tables, with the tables they keep their data in, are hidden unless the schema has models for them.
- The rowid is a column, and the primary key, where a note in the schema says that it is the id.
- A column that SQLite computes is shown if the schema has a field for it.
- A view that SQLite cannot make out is hidden: asking for its columns fails.
- A foreign key that leads nowhere, which SQLite accepts, is hidden.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from lamdb.prisma.catalog import Catalog, Table, read_catalog
from lamdb.prisma.fitting import COLUMN_TYPES
from lamdb.prisma.schema_text import Claims, spaced
from lamdb.prisma.shadow import AUTOINDEX, default_index_name

type Rows = list[Sequence[Any]]

_LISTING = re.compile(r"SELECT name, type, sql FROM sqlite_master WHERE type='table'", re.IGNORECASE)
_PRAGMA = re.compile(
    r"""PRAGMA\s+(?P<what>table_info|index_list|index_info|index_xinfo|foreign_key_list)\s*"""
    r"""\(\s*"(?P<name>(?:[^"]|"")*)"\s*\)""",
    re.IGNORECASE,
)


class Lens:
    """Over one connection; `claims` is the schema that the engine compares with, if any."""

    def __init__(self, connection: apsw.Connection, claims: Callable[[], Claims]) -> None:
        self._connection = connection
        self._claims = claims
        self._catalog: Catalog | None = None
        self._real_names: dict[str, str] = {}
        """The indexes' own names by those that were shown."""

    def ask(self, sql: str) -> str:
        """The question to put in place of the engine's."""
        found = _PRAGMA.match(sql)
        if found and found["what"].startswith("index_") and (real := self._real_names.get(found["name"])):
            return sql.replace(found["name"], real.replace('"', '""'))
        return sql

    def show(self, sql: str, columns: Sequence[str], rows: Rows) -> Rows:
        """The rows to show in place of SQLite's."""
        if _LISTING.match(sql):
            # The engine begins anew: the tables may have changed since.
            self._catalog = read_catalog(self._connection).with_rowids(self._claims().rowids)
            readable = [row for row in rows if row[0] not in self._catalog.broken]
            return self._without_virtual_tables(readable)
        found = _PRAGMA.match(sql)
        if found is None or self._catalog is None or not rows:
            return rows
        table = self._catalog.by_name.get(found["name"].replace('""', '"').lower())
        if table is None or table.is_view:
            return rows
        match found["what"].lower():
            case "table_info":
                shown = [self._column(table, columns, row) for row in rows]
                return [*self._rowid(table), *shown, *self._generated(table, columns)]
            case "index_list":
                return [self._index(table, columns, row) for row in rows]
            case "foreign_key_list":
                return self._sound_keys(self._catalog, table, columns, rows)
        return rows

    def _without_virtual_tables(self, rows: Rows) -> Rows:
        claims = self._claims()
        if not claims.text:
            return rows
        listed = self._connection.execute(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('virtual', 'shadow')"
        )
        hidden = {str(name).lower() for (name,) in listed} - claims.tables
        return [row for row in rows if row[0].lower() not in hidden]

    @staticmethod
    def _rowid(table: Table) -> Rows:
        return [] if table.rowid_column is None else [(-1, table.rowid_column, "INTEGER", 1, None, 1)]

    def _generated(self, table: Table, columns: Sequence[str]) -> Rows:
        claimed = self._claims().columns
        return [
            self._column(
                table,
                columns,
                (number, column.name, column.declared, int(column.not_null), None, 0),
            )
            for number, column in enumerate(table.columns)
            if column.generated and (table.name.lower(), column.name.lower()) in claimed
        ]

    def _column(self, table: Table, columns: Sequence[str], row: Sequence[Any]) -> Sequence[Any]:
        shown = dict(zip(columns, row, strict=True))
        shown["pk"] = table.by_name[shown["name"].lower()].key
        if shown["pk"]:
            shown["notnull"] = 1
            if shown["type"].upper() == "INTEGER" and table.rowid_alias is None:
                shown["type"] = "INT"
        note = self._claims().types.get((table.name.lower(), shown["name"].lower()))
        if note is not None and note[0].lower() == spaced(row[columns.index("type")]).lower():
            shown["type"] = COLUMN_TYPES.get(note[1], shown["type"])
        return list(shown.values())

    def _index(self, table: Table, columns: Sequence[str], row: Sequence[Any]) -> Sequence[Any]:
        shown = dict(zip(columns, row, strict=True))
        name = shown["name"]
        if not name.startswith(AUTOINDEX) or shown["origin"] != "u" or name in self._claims().text:
            return row
        index = next(index for index in table.indexes if index.name == name)
        shown["name"] = default_index_name(table.name, index.names, unique=True)
        if any(other.name == shown["name"] for other in table.indexes):
            return row
        self._real_names[shown["name"]] = name
        return list(shown.values())

    @staticmethod
    def _sound_keys(catalog: Catalog, table: Table, columns: Sequence[str], rows: Rows) -> Rows:
        sound = {
            frozenset(name.lower() for name in key.columns)
            for key in table.foreign_keys
            if catalog.is_sound(key)
        }
        number, source = columns.index("id"), columns.index("from")
        grouped: dict[Any, set[str]] = {}
        for row in rows:
            grouped.setdefault(row[number], set()).add(row[source].lower())
        return [row for row in rows if frozenset(grouped[row[number]]) in sound]
