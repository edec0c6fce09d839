"""Views and triggers that SQLite cannot compile because something they name is missing."""

from collections.abc import Iterable, Iterator

import apsw

from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.sqlite.sql_text import meaningful
from lamdb.storage.savepoints import trial

type Broken = dict[tuple[str, str], str]
"""SQLite's error for each, by (`view` or `trigger`, name)."""


def broken_dependants(connection: apsw.Connection, tables: Iterable[str]) -> Broken:
    """The ones that name one of these tables and do not compile. Nothing is run, nothing is changed.

    Triggers on such a table count as well as those of others that read or write it.
    """
    wanted = {name.lower() for name in tables}
    found: Broken = {}
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE type IN ('view', 'trigger') ORDER BY name"
    ).fetchall()
    for kind, name, table, sql in [tuple(map(str, row)) for row in rows]:
        if wanted.isdisjoint(names_in(sql)) and table.lower() not in wanted:
            continue
        reason = (
            _compiles(connection, f"EXPLAIN SELECT * FROM {quote(name)}")
            if kind == "view"
            else _compiles_trigger(connection, name, table, sql)
        )
        if reason is not None:
            found[kind, name] = reason
    return found


def names_in(sql: str) -> set[str]:
    """All names in a statement, in lower case."""
    return {token.name.lower() for token in meaningful(sql) if token.is_name}


def trigger_event(sql: str) -> tuple[str, list[str]]:
    """INSERT, UPDATE or DELETE, and the columns of UPDATE OF."""
    tokens = meaningful(sql)
    for number, token in enumerate(tokens[3:], 3):
        if token.is_word("ON"):
            break
        if token.is_word("INSERT", "DELETE", "UPDATE"):
            end = next((i for i in range(number, len(tokens)) if tokens[i].is_word("ON")), number + 1)
            return token.text.upper(), [each.name for each in tokens[number + 2 : end] if each.text != ","]
    return "INSERT", []


def _compiles_trigger(connection: apsw.Connection, name: str, table: str, sql: str) -> str | None:
    """Returns SQLite's error for a statement that fires the trigger; None if it compiles."""
    statements = list(_firing(connection, table, sql))
    reason = next(filter(None, (_compiles(connection, each) for each in statements)), None)
    if reason is None:
        return None
    # Another trigger of the table may be at fault.
    others = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?) AND name <> ?",
        (table, name),
    ).fetchall()
    if not others:
        return reason
    with trial(connection, "lamdb_dependants"):
        for (other,) in others:
            connection.execute(f"DROP TRIGGER {quote(str(other))}")
        return next(filter(None, (_compiles(connection, each) for each in statements)), None)


def _firing(connection: apsw.Connection, table: str, sql: str) -> Iterator[str]:
    event, columns = trigger_event(sql)
    if event == "DELETE":
        yield f"EXPLAIN DELETE FROM {quote(table)}"
        return
    if event == "INSERT":
        yield f"EXPLAIN INSERT INTO {quote(table)} DEFAULT VALUES"
        return
    if not columns:
        found = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0", (table,))
        columns = [str(name) for (name,) in found.fetchall()][:1]
    yield from (f"EXPLAIN UPDATE {quote(table)} SET {quote(each)} = NULL" for each in columns)


def _compiles(connection: apsw.Connection, sql: str) -> str | None:
    try:
        connection.execute(sql).fetchall()
    except apsw.SQLError as error:
        return str(error)
    return None
