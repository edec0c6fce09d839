"""The tables of a SQLite database as SQLite itself describes them.

Read from `sqlite_schema` and the pragmas for tables, columns, indexes and foreign keys. Left out are the
tables of SQLite, of Prisma's migrations and of lamDB, searches among them.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import apsw

from lamdb.search.definition import OWN_PREFIX

MIGRATIONS_TABLE = "_prisma_migrations"
RESERVED_PREFIX = "_lamdb_"
"""Tables named so are lamDB's own."""

BOOKKEEPING = frozenset({
    "__diesel_schema_migrations", "__drizzle_migrations", "__efmigrationshistory", "__efmigrationslock",
    "_cf_kv", "_cf_metadata", "_litestream_lock", "_litestream_seq", "_sqlx_migrations", "alembic_version",
    "ar_internal_metadata", "atlas_schema_revisions", "d1_migrations", "databasechangelog",
    "databasechangeloglock", "django_migrations", "doctrine_migration_versions", "flyway_schema_history",
    "goose_db_version", "gorp_migrations", "knex_migrations", "knex_migrations_lock", "kysely_migration",
    "kysely_migration_lock", "mikro_orm_migrations", "phinxlog", "refinery_schema_history",
    "schema_migrations", "seaql_migrations", "sequelizemeta", "typeorm_metadata",
})  # fmt: skip
"""Tables, in lower case, in which other tools note what they have done: their default names, as far as no
application would call its data so.
"""

ROWID_NAMES = ("rowid", "_rowid_", "oid")
"""SQLite's names for the rowid, unless a column has the name."""

_LITERALS = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/""", re.DOTALL)
_MODULE = re.compile(r"\bUSING\s+(\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Column:
    """One column; `key` is its place in the primary key, from 1, or 0."""

    name: str
    declared: str
    not_null: bool
    default: str | None
    """The default as SQL."""
    key: int
    generated: bool
    """Whether SQLite computes it: it cannot be written."""


@dataclass(frozen=True, slots=True)
class Index:
    """An index by columns; one over expressions has no name for those (None)."""

    name: str
    columns: tuple[tuple[str | None, bool], ...]
    """(name, whether it is descending)."""
    unique: bool
    made_by: str
    """`c` for CREATE INDEX, `u` for UNIQUE and `pk` for PRIMARY KEY in the table's definition."""
    where: str | None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self.columns if name is not None)

    @property
    def has_expressions(self) -> bool:
        return any(name is None for name, _ in self.columns)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` refer to the columns `references` of a table."""

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    on_update: str
    on_delete: str


@dataclass(frozen=True)
class Table:
    """A table or (`is_view`) a view; names of columns compare as SQLite does, without regard to case."""

    name: str
    sql: str
    columns: tuple[Column, ...]
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    is_view: bool = False
    without_rowid: bool = False
    strict: bool = False
    rowid_column: str | None = None
    """The name of the rowid, where that has to stand in for a primary key: one of `columns`."""

    def with_rowid(self, name: str | None = None) -> "Table":
        """The table as if its rowid were a column, and the primary key."""
        if name is None:
            name = next(each for each in ROWID_NAMES if each not in self.by_name)
        rowid = Column(name, "INTEGER", True, None, 1, generated=False)
        others = (replace(column, key=0) for column in self.columns)
        indexes = tuple(index for index in self.indexes if index.made_by != "pk")
        return replace(self, columns=(rowid, *others), indexes=indexes, rowid_column=name)

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        return {column.name.lower(): column for column in self.columns}

    @cached_property
    def key(self) -> tuple[Column, ...]:
        """The columns of the primary key, in its order."""
        return tuple(sorted((column for column in self.columns if column.key), key=lambda each: each.key))

    @cached_property
    def rowid_alias(self) -> str | None:
        """The column that is the rowid by another name (INTEGER PRIMARY KEY), if there is one."""
        if self.rowid_column is not None:
            return self.rowid_column
        if self.without_rowid or len(self.key) != 1 or self.key[0].declared.upper() != "INTEGER":
            return None
        has_index = any(index.made_by == "pk" for index in self.indexes)
        return None if has_index else self.key[0].name

    @cached_property
    def checks(self) -> bool:
        return re.search(r"\bCHECK\s*\(", self.bare, re.IGNORECASE) is not None

    @cached_property
    def bare(self) -> str:
        """The definition without names in quotes, texts and comments."""
        return _LITERALS.sub(" ", self.sql)

    def identifies(self, names: Iterable[str]) -> bool:
        """True if these columns are the primary key or unique, as a foreign key needs it."""
        wanted = sorted(name.lower() for name in names)
        if wanted == sorted(column.name.lower() for column in self.key):
            return True
        return any(
            index.unique
            and index.where is None
            and not index.has_expressions
            and wanted == sorted(name.lower() for name in index.names)
            for index in self.indexes
        )


@dataclass(frozen=True, slots=True)
class VirtualTable:
    name: str
    module: str


@dataclass(frozen=True)
class Catalog:
    """All that a database has; the lists in the order of names."""

    tables: tuple[Table, ...]
    views: tuple[Table, ...] = ()
    virtual: tuple[VirtualTable, ...] = ()
    triggers: tuple[tuple[str, str], ...] = ()
    """(name, the table or view it is on)."""
    broken: Mapping[str, str] = field(default_factory=dict)
    """Views that SQLite cannot make out, and what it says."""

    @cached_property
    def by_name(self) -> Mapping[str, Table]:
        return {table.name.lower(): table for table in (*self.tables, *self.views)}

    def with_rowids(self, names: Mapping[str, str | None]) -> "Catalog":
        """With the rowid as a column of some tables (in lower case), called so or as is free.

        A table whose columns have all names of the rowid stays as it is: SQL cannot read its rowid.
        """

        def extended(table: Table) -> Table:
            key = table.name.lower()
            if key not in names or table.without_rowid or names[key] in table.by_name:
                return table
            if names[key] is None and all(each in table.by_name for each in ROWID_NAMES):
                return table
            return table.with_rowid(names[key])

        return replace(self, tables=tuple(map(extended, self.tables)))

    def completed(self) -> "Catalog":
        """With the columns that foreign keys refer to without naming them: those of the primary key."""

        def complete(key: ForeignKey) -> ForeignKey:
            parent = self.by_name.get(key.table.lower())
            if key.references or parent is None:
                return key
            return replace(key, references=tuple(column.name for column in parent.key))

        tables = tuple(
            replace(table, foreign_keys=tuple(map(complete, table.foreign_keys))) for table in self.tables
        )
        return replace(self, tables=tables)

    def without(self, keys: Iterable[tuple[Table, ForeignKey]]) -> "Catalog":
        """Without some foreign keys of tables."""
        dropped = {(table.name, key) for table, key in keys}
        tables = (
            replace(
                table,
                foreign_keys=tuple(key for key in table.foreign_keys if (table.name, key) not in dropped),
            )
            for table in self.tables
        )
        return replace(self, tables=tuple(tables))

    def is_sound(self, key: ForeignKey) -> bool:
        """True if the foreign key refers to what is there and unique."""
        parent = self.by_name.get(key.table.lower())
        if parent is None or parent.is_view or len(key.columns) != len(key.references):
            return False
        return all(name.lower() in parent.by_name for name in key.references) and parent.identifies(
            key.references
        )


def quote(name: str) -> str:
    """The name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'


def is_own(name: str) -> bool:
    """True if a table belongs to SQLite, Prisma's migrations or lamDB."""
    lower = name.lower()
    return lower.startswith(("sqlite_", RESERVED_PREFIX)) or lower == MIGRATIONS_TABLE


def read_catalog(connection: apsw.Connection) -> Catalog:
    """Describe the main database of `connection`."""
    definitions = {
        str(name): str(sql or "")
        for name, sql in connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type IN ('table', 'view')"
        )
    }
    listed = connection.execute(
        "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main' ORDER BY name"
    ).fetchall()
    tables: list[Table] = []
    views: list[Table] = []
    virtual: list[VirtualTable] = []
    broken: dict[str, str] = {}
    for row in listed:
        name, kind, without_rowid, strict = str(row[0]), row[1], row[2], row[3]
        sql = definitions.get(name, "")
        if is_own(name) or kind == "shadow" or (kind == "virtual" and OWN_PREFIX in sql):
            continue
        if kind == "virtual":
            found = _MODULE.search(sql)
            virtual.append(VirtualTable(name, found[1].lower() if found else "unknown"))
        elif kind == "view":
            try:
                views.append(Table(name, sql, _columns(connection, name), is_view=True))
            except apsw.SQLError as error:
                broken[name] = str(error)
        else:
            tables.append(
                Table(
                    name,
                    sql,
                    _columns(connection, name),
                    _indexes(connection, name),
                    _foreign_keys(connection, name),
                    without_rowid=bool(without_rowid),
                    strict=bool(strict),
                )
            )
    triggers = connection.execute(
        "SELECT name, tbl_name FROM sqlite_schema WHERE type = 'trigger' AND instr(sql, ?) = 0 ORDER BY name",
        (f'"{OWN_PREFIX}',),
    ).fetchall()
    # A view that names what is not there is not in the list at all.
    known = {str(name) for name, *_ in listed}
    for name, sql in definitions.items():
        if name not in known and sql.lstrip().upper().startswith("CREATE VIEW"):
            broken[name] = "SQLite does not list it"
    return Catalog(
        tuple(tables), tuple(views), tuple(virtual), tuple((str(n), str(t)) for n, t in triggers), broken
    ).completed()


def _columns(connection: apsw.Connection, table: str) -> tuple[Column, ...]:
    rows = connection.execute(
        'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid',
        (table,),
    )
    return tuple(
        Column(str(name), str(declared), bool(not_null), _text(default), int(key), generated=hidden in (2, 3))
        for name, declared, not_null, default, key, hidden in rows
        if hidden != 1
    )


def _indexes(connection: apsw.Connection, table: str) -> tuple[Index, ...]:
    listed = connection.execute(
        'SELECT l.name, l."unique", l.origin, l.partial, s.sql FROM pragma_index_list(?) AS l'
        " LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = l.name ORDER BY l.seq",
        (table,),
    ).fetchall()
    made = []
    for name, unique, origin, partial, sql in listed:
        rows = connection.execute(
            "SELECT name, desc FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno", (name,)
        )
        columns = tuple((_text(column), bool(descending)) for column, descending in rows)
        where = condition(str(sql)) if partial else None
        made.append(Index(str(name), columns, bool(unique), str(origin), where))
    return tuple(made)


def condition(sql: str) -> str:
    """Returns the condition of a CREATE INDEX on one line: what follows the last WHERE outside parentheses.

    Literals stay as they are.
    """
    masked = _LITERALS.sub(lambda match: " " * len(match[0]), sql)
    depth = 0
    for match in re.finditer(r"[()]|\bWHERE\b", masked, re.IGNORECASE):
        if match[0] == "(":
            depth += 1
        elif match[0] == ")":
            depth -= 1
        elif depth == 0:
            return _spaced(sql[match.end() :])
    return ""


def _spaced(sql: str) -> str:
    """SQL without comments and with single blanks, but in literals."""
    made, at = [], 0
    for match in _LITERALS.finditer(sql):
        kept = " " if match[0].startswith(("--", "/*")) else match[0]
        made += [re.sub(r"\s+", " ", sql[at : match.start()]), kept]
        at = match.end()
    return "".join((*made, re.sub(r"\s+", " ", sql[at:]))).strip()


def _foreign_keys(connection: apsw.Connection, table: str) -> tuple[ForeignKey, ...]:
    rows = connection.execute(
        'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?)'
        " ORDER BY id DESC, seq",
        (table,),
    )
    grouped: dict[int, list[tuple[str, str, str | None, str, str]]] = {}
    for number, parent, column, reference, on_update, on_delete in rows:
        grouped.setdefault(int(number), []).append(
            (str(parent), str(column), _text(reference), str(on_update), str(on_delete))
        )
    return tuple(
        ForeignKey(
            tuple(column for _, column, *_ in parts),
            parts[0][0],
            tuple(reference for _, _, reference, *_ in parts if reference is not None),
            parts[0][3],
            parts[0][4],
        )
        for parts in grouped.values()
    )


def _text(value: object) -> str | None:
    return None if value is None else str(value)
