"""An empty copy of a database's tables as the schema engine can describe them.

Same keys, indexes and foreign keys, but with the names that the schema is to have, and with column types that
the engine knows. What it would misread is left out: foreign keys that lead nowhere, indexes over part of a
table.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import apsw

from lamdb.prisma.datamodel.defaults import comparable
from lamdb.prisma.datamodel.naming import Names
from lamdb.prisma.sqlite.catalog import Catalog, Column, ForeignKey, Index, Table, quote
from lamdb.prisma.sqlite.join_tables import is_join_table, join_index_name
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES

AUTOINDEX = "sqlite_autoindex_"
_LITERAL = re.compile(r"\(*\s*([+-]?[0-9.]+(e[+-]?[0-9]+)?|'(?:[^']|'')*'|true|false)\s*\)*", re.IGNORECASE)
_QUOTED = re.compile(r"""\(*\s*('(?:[^']|'')*'|"(?:[^"]|"")*"|[+-]?[0-9.]+)\s*\)*""")
_NOW = "CURRENT_TIMESTAMP"


def default_index_name(table: str, columns: tuple[str, ...], *, unique: bool) -> str:
    """The name that Prisma gives an index."""
    return f"{'_'.join((table, *columns))}_{'key' if unique else 'idx'}"


@dataclass(frozen=True, slots=True)
class Shadow:
    """The parts of the copy. `types` are Prisma types by table and column; one without is text."""

    catalog: Catalog
    names: Names
    types: Mapping[str, Mapping[str, str | None]]

    def script(self) -> str:
        """The statements that make the copy."""
        tables = [self._table(table) for table in (*self.catalog.tables, *self.catalog.views)]
        indexes = [
            self._index(table, index)
            for table in self.catalog.tables
            for index in table.indexes
            if (index.made_by != "pk" or self._joins(table))
            and index.where is None
            and not index.has_expressions
        ]
        return "".join(f"{statement};\n" for statement in (*tables, *indexes))

    def _table(self, table: Table) -> str:
        parts = [self._column(table, column) for column in table.columns]
        if table.key and table.rowid_alias is None and not self._joins(table):
            names = ", ".join(self._field(table, column.name) for column in table.key)
            parts.append(f"PRIMARY KEY ({names})")
        parts += [self._foreign_key(table, key) for key in table.foreign_keys if self.catalog.is_sound(key)]
        return f"CREATE TABLE {quote(self.names.models[table.name])} ({', '.join(parts)})"

    def _column(self, table: Table, column: Column) -> str:
        type_ = self.types[table.name][column.name]
        name = self._field(table, column.name)
        if column.name == table.rowid_alias:
            return f"{name} INTEGER NOT NULL PRIMARY KEY"
        # The engine takes every INTEGER that is a primary key for the rowid.
        kind = "INT" if type_ == "Int" and column.key else COLUMN_TYPES[type_ or "String"]
        # A key holds no nulls even where it may: tables whose keys do are told apart elsewhere.
        required = (column.not_null or column.key) and not table.is_view
        default = None if column.generated else readable_default(column.default, type_)
        return " ".join(
            filter(
                None,
                (
                    name,
                    kind,
                    "NOT NULL" if required else "",
                    "" if default is None else f"DEFAULT {default}",
                ),
            )
        )

    def _foreign_key(self, table: Table, key: ForeignKey) -> str:
        parent = self.catalog.by_name[key.table.lower()]
        columns = ", ".join(self._field(table, name) for name in key.columns)
        references = ", ".join(self._field(parent, name) for name in key.references)
        return (
            f"FOREIGN KEY ({columns}) REFERENCES {quote(self.names.models[parent.name])} ({references})"
            f" ON DELETE {key.on_delete} ON UPDATE {key.on_update}"
        )

    def _index(self, table: Table, index: Index) -> str:
        columns = ", ".join(
            self._field(table, name) + (" DESC" if descending else "")
            for name, descending in index.columns
            if name is not None
        )
        unique = "UNIQUE " if index.unique else ""
        model = self.names.models[table.name]
        return f"CREATE {unique}INDEX {quote(self._index_name(table, index))} ON {quote(model)} ({columns})"

    def _index_name(self, table: Table, index: Index) -> str:
        """Prisma's own name, where the real index has that too, or none of its own."""
        if index.made_by != "c" and self._joins(table):
            return join_index_name(table)
        usual = default_index_name(table.name, index.names, unique=index.unique)
        if index.name != usual and not index.name.startswith(AUTOINDEX):
            return index.name
        fields = self.names.fields[table.name]
        columns = tuple(fields[table.by_name[name.lower()].name] for name in index.names)
        return default_index_name(self.names.models[table.name], columns, unique=index.unique)

    def _joins(self, table: Table) -> bool:
        """True if the table is to be read as a relation: it then has its own name."""
        return self.names.models[table.name] == table.name and is_join_table(self.catalog, table)

    def _field(self, table: Table, column: str) -> str:
        return quote(self.names.fields[table.name][table.by_name[column.lower()].name])


def readable_default(default: str | None, type_: str | None) -> str | None:
    """The default if the engine reads it unchanged.

    None for expressions, which the engine takes for texts where the field is one.
    """
    if default is None or default.strip().lower() == "null":
        return None
    if type_ == "DateTime":
        return _NOW if comparable(COLUMN_TYPES["DateTime"], default) == _NOW else None
    if type_ == "String" or type_ is None:
        return default if _QUOTED.fullmatch(default) else None
    if type_ in ("Json", "Bytes"):
        return None
    return default if _LITERAL.fullmatch(default) else None


def make_shadow(shadow: Shadow) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(shadow.script())
    return connection
