"""The view of a database that the schema engine gets, where SQLite has more than Prisma knows.

Without this, comparing such a database with its schema would find differences that no migration should make:

- A column whose declared type the schema keeps in a note (`schema_text`) is shown with the type its field
  has.
- A primary key's columns are required, and INTEGER only if it is the rowid.
- The index of a UNIQUE constraint has the name that Prisma would give it, as its own cannot be dropped.
- Virtual tables, with the tables they keep their data in, are hidden unless the schema has models for them.
- A default is shown as the engine would tell that of the schema's field, if it means the same
  (`lamdb.prisma.datamodel.defaults`).
- The last column of a table that has to be rebuilt, which the engine would not do, has another default.
- A primary key that the schema counts as a BigInt is shown as one, though it is an INTEGER; one that is not
  the rowid, and so does not count, is shown as what it cannot stay.
- The rowid is a column, and the primary key, where a note in the schema says that it is the id.
- A column that SQLite computes is shown if the schema has a field for it.
- The table of an implicit many-to-many relation has a unique index, where the real one has a primary key.
- A view that SQLite cannot make out is hidden: asking for its columns fails.
- A foreign key that leads nowhere, which SQLite accepts, is hidden, and so is one between columns of
  different types, of which Prisma can make no relation.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

import apsw

from lamdb.prisma.datamodel.defaults import FieldDefault, comparable, field_defaults
from lamdb.prisma.datamodel.schema_text import Claims, counting, spaced
from lamdb.prisma.migrate.proxy_schema import AUTOINDEX, default_index_name
from lamdb.prisma.sqlite.catalog import Catalog, ForeignKey, Table, condition, read_catalog
from lamdb.prisma.sqlite.join_tables import is_join_table, join_index_name
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES, engine_type

type Rows = list[Sequence[Any]]

_LISTING = re.compile(r"SELECT name, type, sql FROM sqlite_master WHERE type='table'", re.IGNORECASE)
_INDEX_SQL = re.compile(r"SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ", re.IGNORECASE)
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

    def write(self, sql: str) -> str:
        """The statement in place of one of the engine's: a primary key that counts is an INTEGER."""
        return counting(sql, self._claims())

    def show(self, sql: str, columns: Sequence[str], rows: Rows) -> Rows:
        """The rows to show in place of SQLite's."""
        if _LISTING.match(sql):
            # The engine begins anew: the tables may have changed since.
            self._catalog = read_catalog(self._connection).with_rowids(self._claims().rowids)
            readable = [row for row in rows if row[0] not in self._catalog.broken]
            return self._without_virtual_tables(readable)
        if _INDEX_SQL.match(sql):
            # The engine looks for the condition of a partial index on one line.
            return [
                [f"CREATE INDEX i ON t (c) WHERE {where}" if (where := condition(str(text))) else text]
                for (text,) in rows
            ]
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
                return self._related_keys(self._catalog, table, columns, rows)
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
        shown["pk"] = 0 if self._joins(table) else table.by_name[shown["name"].lower()].key
        if shown["pk"]:
            shown["notnull"] = 1
            if shown["type"].upper() == "INTEGER" and table.rowid_alias is None:
                shown["type"] = "INT"
        noted = self._noted_type(table.name, shown["name"], row[columns.index("type")])
        shown["dflt_value"] = self._default(table, shown["name"], shown["type"], shown["dflt_value"])
        if noted is not None:
            shown["type"] = COLUMN_TYPES[noted]
        elif shown["pk"] and (table.name.lower(), shown["name"].lower()) in self._claims().types:
            shown["type"] = "INT" if shown["type"].upper() == "BIGINT" else shown["type"]
        return list(shown.values())

    def _default(self, table: Table, column: str, type_: str, default: str | None) -> str | None:
        """Returns the text that stands for a column's default, in terms of the schema or of other tables."""
        if not self._claims().text:
            return comparable(type_, default)
        meant = self._field_defaults().get((table.name.lower(), column.lower()))
        if column == table.columns[-1].name and self._must_be_rebuilt(table):
            return "0" if default is None else None
        if meant is None or default is None:
            return default
        if meant.is_meant_by(default):
            return meant.shown
        # Of a default that is not JSON to the engine, it says that it is the schema's.
        return '"another"' if meant.type == "Json" else default

    def _field_defaults(self) -> dict[tuple[str, str], FieldDefault]:
        found = field_defaults(self._claims().files)
        return {(each.table.lower(), each.column.lower()): each for each in found}

    def _must_be_rebuilt(self, table: Table) -> bool:
        """True if the schema adds a column that SQLite can give to no table with rows: the engine does not
        know that where the field is optional."""
        return any(
            each.table.lower() == table.name.lower()
            and each.column.lower() not in table.by_name
            and not each.required
            and not each.is_constant
            for each in field_defaults(self._claims().files)
        )

    def _index(self, table: Table, columns: Sequence[str], row: Sequence[Any]) -> Sequence[Any]:
        shown = dict(zip(columns, row, strict=True))
        name = shown["name"]
        if shown["origin"] != "c" and self._joins(table):
            shown["name"], shown["origin"] = join_index_name(table), "c"
            self._real_names[shown["name"]] = name
            return list(shown.values())
        if not name.startswith(AUTOINDEX) or shown["origin"] != "u" or name in self._claims().text:
            return row
        index = next(index for index in table.indexes if index.name == name)
        shown["name"] = default_index_name(table.name, index.names, unique=True)
        if any(other.name == shown["name"] for other in table.indexes):
            return row
        self._real_names[shown["name"]] = name
        return list(shown.values())

    def _joins(self, table: Table) -> bool:
        """True if the schema has a relation for this table, and no model."""
        if self._catalog is None or not self._claims().text or table.name.lower() in self._claims().tables:
            return False
        return is_join_table(self._catalog, table)

    def _related_keys(self, catalog: Catalog, table: Table, columns: Sequence[str], rows: Rows) -> Rows:
        related = {
            (key.table.lower(), frozenset(name.lower() for name in key.columns))
            for key in table.foreign_keys
            if catalog.is_sound(key) and self.are_alike(catalog, table, key)
        }
        number, parent, source = columns.index("id"), columns.index("table"), columns.index("from")
        grouped: dict[Any, set[str]] = {}
        for row in rows:
            grouped.setdefault(row[number], set()).add(row[source].lower())
        return [row for row in rows if (row[parent].lower(), frozenset(grouped[row[number]])) in related]

    def are_alike(self, catalog: Catalog, table: Table, key: ForeignKey) -> bool:
        """True if the columns of a foreign key are shown with the types of those it refers to."""
        parent = catalog.by_name[key.table.lower()]
        return all(
            self._types(table, name) & self._types(parent, reference)
            for name, reference in zip(key.columns, key.references, strict=True)
        )

    def _types(self, table: Table, name: str) -> set[str | None]:
        """The types that a field of the column can have."""
        column = table.by_name[name.lower()]
        noted = self._noted_type(table.name, column.name, column.declared)
        if noted is not None:
            return {noted}
        # A rowid that no schema has a field for yet may become either.
        is_free = (table.name.lower(), column.name.lower()) not in self._claims().columns
        if is_free and column.name == table.rowid_alias:
            return {"Int", "BigInt"}
        return {engine_type(column.declared)}

    def _noted_type(self, table: str, column: str, declared: str) -> str | None:
        """The type that the schema reads a column as, where it has a note of how that was declared."""
        note = self._claims().types.get((table.lower(), column.lower()))
        if note is None or note[0].lower() != spaced(declared).lower() or note[1] not in COLUMN_TYPES:
            return None
        return note[1]
