"""Running a migration's script in a transaction as if it ran alone; failures with their place."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import apsw
import apsw.ext

from lamdb.errors import MigrationError
from lamdb.prisma.migrations import MIGRATION_FILE, Migration

_FOREIGN_KEYS = re.compile(r"PRAGMA\s+foreign_keys\s*[=(]\s*['\"]?(?P<value>\w+)", re.IGNORECASE)
_OFF = ("off", "0", "false", "no")
_BLANKS_AND_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_TORN = "BEGIN, COMMIT and ROLLBACK are not allowed, for a migration is one transaction"
_TABLES = {
    apsw.SQLITE_INSERT: 0,
    apsw.SQLITE_UPDATE: 0,
    apsw.SQLITE_CREATE_TABLE: 0,
    apsw.SQLITE_DROP_TABLE: 0,
    apsw.SQLITE_ALTER_TABLE: 1,
}
"""Where the name of the table is among what SQLite tells of an operation."""
_SHOWN_CHARACTERS = 500
"""Of a statement that failed: a longer one holds data."""


def run_script(connection: apsw.Connection, migration: Migration) -> None:
    """Run a script's statements. Raises MigrationError P3018, which names file, line and statement.

    The error's `meta` has them, too: `migration`, `file`, `line`, `statement`.
    """
    run: list[str] = []
    switches: set[bool | None] = set()

    def trace(_cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        run.append(sql)
        enforce = foreign_keys_switch(sql)
        if enforce is not None:
            enforce_foreign_keys(connection, enforce)
            switches.add(enforce)
        return True

    cursor = connection.cursor()
    cursor.exec_trace = trace
    authorizer = connection.authorizer

    def authorize(operation: int, *details: str | None) -> int:
        refused = _refuse_transactions(operation, *details)
        if refused != apsw.SQLITE_OK or authorizer is None:
            return refused
        return authorizer(operation, *details)

    connection.authorizer = authorize
    try:
        with foreign_keys_restored(connection):
            cursor.execute(migration.sql).fetchall()
        if False in switches and (broken := broken_references(connection)):
            raise MigrationError(
                f"Migration {migration.name} failed at its end: {broken}.",
                code="P3018",
                meta={"migration": migration.name, "file": file_of(migration)},
            )
    except apsw.Error as error:
        raise _failure(connection, migration, run, error) from error
    finally:
        connection.authorizer = authorizer


def file_of(migration: Migration) -> str:
    """The path of a migration's script, from the directory of migrations."""
    return f"{migration.name}/{MIGRATION_FILE}"


def enforce_foreign_keys(connection: apsw.Connection, enforce: bool) -> None:
    """Switch the enforcement of foreign keys, in or outside a transaction.

    SQLite changes a table by copying it and dropping the original. With foreign keys enforced the drop
    deletes or changes the rows that refer to it, so Prisma's scripts begin with `PRAGMA foreign_keys=OFF`;
    but inside a transaction that does nothing. This switch does.
    """
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))


@contextmanager
def foreign_keys_restored(connection: apsw.Connection) -> Iterator[None]:
    """Enforce foreign keys behind the block as before it, whatever it switches."""
    before = bool(connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1))
    try:
        yield
    finally:
        enforce_foreign_keys(connection, before)


def broken_references(connection: apsw.Connection) -> str | None:
    """What refers to rows that are not there, if anything does. Reads all rows that refer to others."""
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if not broken:
        return None
    rows = ", ".join(f"{table} row {rowid} refers to {parent}" for table, rowid, parent, _ in broken[:3])
    return f"rows would refer to others that are not there ({len(broken)} in all): {rows}"


@contextmanager
def touched_tables(connection: apsw.Connection) -> Iterator[set[str]]:
    """The tables that statements of the block write to, make, change or drop, in lower case."""
    touched: set[str] = set()
    authorizer = connection.authorizer

    def note(operation: int, *details: str | None) -> int:
        name = details[_TABLES[operation]] if operation in _TABLES else None
        if name is not None:
            touched.add(name.lower())
        return apsw.SQLITE_OK if authorizer is None else authorizer(operation, *details)

    connection.authorizer = note
    try:
        yield touched
    finally:
        connection.authorizer = authorizer


def foreign_keys_switch(sql: str) -> bool | None:
    """What a `PRAGMA foreign_keys` would switch them to; None for any other statement."""
    start = _BLANKS_AND_COMMENTS.match(sql)
    match = _FOREIGN_KEYS.match(sql, start.end() if start else 0)
    return match["value"].lower() not in _OFF if match else None


def _refuse_transactions(operation: int, *_: object) -> int:
    """An authorizer: a script that commits or rolls back would tear the migration apart."""
    return apsw.SQLITE_DENY if operation == apsw.SQLITE_TRANSACTION else apsw.SQLITE_OK


def _failure(
    connection: apsw.Connection, migration: Migration, run: list[str], error: apsw.Error
) -> MigrationError:
    reason = _TORN if isinstance(error, apsw.AuthError) else str(error)
    start, end = _place_of_failure(connection, migration.sql, run, str(error))
    line = migration.sql.count("\n", 0, start) + 1
    statement = migration.sql[start:end].strip()
    if len(statement) > _SHOWN_CHARACTERS:
        statement = statement[:_SHOWN_CHARACTERS] + "…"
    file = file_of(migration)
    return MigrationError(
        f"Migration {migration.name} failed at line {line} of its script: {reason}.\n\n"
        f"  {file}:{line}\n" + "".join(f"  | {part}\n" for part in statement.splitlines()),
        code="P3018",
        meta={"migration": migration.name, "file": file, "line": line, "statement": statement},
    )


def _place_of_failure(
    connection: apsw.Connection, script: str, run: list[str], reason: str
) -> tuple[int, int]:
    """Where the failed statement begins and ends: the last that ran, or the next, if that does not parse."""
    start = sum(map(len, run))
    end = script.find(";\n", start) + 1 or len(script)
    try:
        apsw.ext.query_info(connection, script[start:])
        fails_to_parse = False
    except apsw.Error as error:
        fails_to_parse = str(error) == reason
    if run and not fails_to_parse:
        start, end = start - len(run[-1]), start
    match = _BLANKS_AND_COMMENTS.match(script, start)
    return (match.end() if match else start), end
