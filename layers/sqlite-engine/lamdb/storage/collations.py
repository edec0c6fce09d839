"""Collations that SQLite itself does not have, such as Anki's `unicase` or Android's `LOCALIZED`.

The program that wrote a file defined them. Without them, SQLite cannot compare or write the columns that use
them, and cannot check the file. An import replaces them by SQLite's own, so that every SQLite can read, check
and write the database:

- `NOCASE`, where the name says that case is ignored, unless that would make two unique values the same;
- `BINARY` otherwise.

The names are replaced in the definitions of tables, indexes, views and triggers. Indexes that use them are
rebuilt.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import apsw

BUILT_IN: Final = frozenset({"binary", "nocase", "rtrim"})
"""Collations that every SQLite has, in lower case."""

_IGNORES_CASE: Final = re.compile(
    r"nocase|no_case|unicase|icase|case_?insens|ignore_?case|localized|phonebook|(^|_)ci($|_)|^ci|iunicode",
    re.IGNORECASE,
)
_TOKEN: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|\w+|\s+|.""", re.DOTALL
)
_SPACE: Final = re.compile(r"\s|--|/\*")


@dataclass(frozen=True, slots=True)
class Replaced:
    """A collation that an import replaced, and the columns of one table that had it.

    `columns` is empty where only an index, a view or a trigger used it.
    """

    collation: str
    by: str
    table: str
    columns: tuple[str, ...]


def has_unknown(connection: apsw.Connection) -> bool:
    """True if the main database uses a collation that SQLite does not have."""
    return any(True for *_, sql in _definitions(connection) for _ in _unknown_in(sql))


def replace(connection: apsw.Connection) -> tuple[Replaced, ...]:
    """Replaces all such collations of the main database, in a transaction of its own.

    Raises apsw.Error with nothing changed.
    """
    names = {name.lower(): name for *_, sql in _definitions(connection) for *_, name in _unknown_in(sql)}
    if not names:
        return ()
    by = {name: "NOCASE" if _IGNORES_CASE.search(name) else "BINARY" for name in names}
    found = list(_uses(connection, names))
    try:
        _rewrite(connection, by)
    except apsw.ConstraintError:
        by = dict.fromkeys(names, "BINARY")
        _rewrite(connection, by)
    return tuple(Replaced(names[each], by[each], table, columns) for each, table, columns in found)


def add_fallbacks(connection: apsw.Connection) -> None:
    """Lets a read-only connection use collations that it does not have, as comparisons byte by byte."""

    def compare(one: str, other: str) -> int:
        return (one > other) - (one < other)

    connection.collation_needed(lambda needing, name: needing.create_collation(name, compare))


def _definitions(connection: apsw.Connection) -> Iterator[tuple[str, str, str, str]]:
    """Yields (type, name, table, sql) of all definitions except virtual tables."""
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL"
    )
    for kind, name, table, sql in rows.fetchall():
        if not re.match(r"\s*CREATE\s+VIRTUAL\b", str(sql), re.IGNORECASE):
            yield str(kind), str(name), str(table), str(sql)


def _unknown_in(sql: str) -> Iterator[tuple[int, int, str]]:
    """Yields (start, end, name) of each unknown collation in a definition."""
    follows = False
    for token in _TOKEN.finditer(sql):
        text = token[0]
        if _SPACE.match(text):
            continue
        if follows:
            name = _unquoted(text)
            if name.lower() not in BUILT_IN:
                yield token.start(), token.end(), name
        follows = text.lower() == "collate"


def _unquoted(name: str) -> str:
    if name[0] in "\"'`":
        return name[1:-1].replace(name[0] * 2, name[0])
    return name[1:-1] if name[0] == "[" else name


def _uses(
    connection: apsw.Connection, names: Mapping[str, str]
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yields (collation, table, columns) for each use of one."""
    for name in names:
        tables: dict[str, list[str]] = {}
        for kind, _, table, sql in _definitions(connection):
            if any(each.lower() == name for *_, each in _unknown_in(sql)):
                columns = tables.setdefault(table, [])
                if kind == "table":
                    columns += _columns(connection, table, name)
        for table, columns in tables.items():
            yield name, table, tuple(columns)


def _columns(connection: apsw.Connection, table: str, collation: str) -> list[str]:
    listed = connection.execute(
        "SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1", (table,)
    ).fetchall()
    return [
        str(name)
        for (name,) in listed
        if str(connection.column_metadata("main", table, str(name))[1]).lower() == collation
    ]


def _rewrite(connection: apsw.Connection, by: Mapping[str, str]) -> None:
    triggers = connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    connection.execute("PRAGMA foreign_keys = OFF; BEGIN IMMEDIATE")
    try:
        changed = _write_definitions(connection, by)
        for kind, name in changed:
            if kind == "table":
                _sort_table(connection, name)
            elif kind == "index":
                connection.execute(f"REINDEX main.{_quote(name)}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK; PRAGMA writable_schema = RESET")
        raise
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, triggers)


def _write_definitions(connection: apsw.Connection, by: Mapping[str, str]) -> list[tuple[str, str]]:
    """Replaces the names. Returns the types and names of the changed definitions."""
    changed = []
    connection.execute("PRAGMA writable_schema = ON")
    for kind, name, _, sql in _definitions(connection):
        made = sql
        for start, end, collation in reversed(list(_unknown_in(sql))):
            made = made[:start] + by[collation.lower()] + made[end:]
        if made != sql:
            connection.execute(
                "UPDATE main.sqlite_schema SET sql = ? WHERE type = ? AND name = ?", (made, kind, name)
            )
            changed.append((kind, name))
    version = int(connection.execute("PRAGMA main.schema_version").get)
    connection.execute(f"PRAGMA main.schema_version = {version + 1}; PRAGMA writable_schema = RESET")
    return changed


def _sort_table(connection: apsw.Connection, table: str) -> None:
    """Rebuilds a table's indexes, and its rows if they are sorted by its primary key."""
    kinds = connection.execute(
        "SELECT wr FROM pragma_table_list WHERE schema = 'main' AND name = ?", (table,)
    ).fetchone()
    without_rowid = kinds is not None and bool(kinds[0])
    if without_rowid:
        listed = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,))
        columns = ", ".join(_quote(str(name)) for (name,) in listed.fetchall())
        name = f"main.{_quote(table)}"
        connection.execute(
            f"CREATE TEMP TABLE lamdb_sorting AS SELECT {columns} FROM {name}; DELETE FROM {name};"
            f"INSERT INTO {name} ({columns}) SELECT * FROM temp.lamdb_sorting; DROP TABLE temp.lamdb_sorting"
        )
    indexes = connection.execute("SELECT name, origin FROM pragma_index_list(?)", (table,)).fetchall()
    for index, origin in indexes:
        if not (without_rowid and origin == "pk"):
            connection.execute(f"REINDEX main.{_quote(str(index))}")


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
