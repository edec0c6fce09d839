"""Runs a migration's script inside a transaction; errors name their place in the script."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import apsw

from lamdb.errors import MigrationError
from lamdb.prisma.migrate.migrations import MIGRATION_FILE, Migration
from lamdb.prisma.migrate.rebuild import Keeper, Loss, RebuildStep
from lamdb.prisma.migrate.script_guard import VACUUM, ScriptGuard
from lamdb.prisma.sqlite.catalog import quote

_FOREIGN_KEYS = re.compile(r"PRAGMA\s+foreign_keys\s*[=(]\s*['\"]?(?P<value>\w+)", re.IGNORECASE)
_OFF = ("off", "0", "false", "no")
_BLANKS_AND_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_TABLES = {
    apsw.SQLITE_INSERT: 0,
    apsw.SQLITE_UPDATE: 0,
    apsw.SQLITE_CREATE_TABLE: 0,
    apsw.SQLITE_DROP_TABLE: 0,
    apsw.SQLITE_ALTER_TABLE: 1,
}
"""Position of the table's name among the arguments of SQLite's authorizer."""
_SHOWN_CHARACTERS = 500
"""Characters shown of a statement that failed: a longer one contains data."""


class StepFailed(Exception):
    """A statement of a script failed; `reason` is what to say of it."""

    def __init__(self, step: RebuildStep, reason: str, error: apsw.Error) -> None:
        super().__init__(reason)
        self.step = step
        self.reason = reason
        self.error = error


def run_script(
    connection: apsw.Connection, migration: Migration, *, accept_loss: bool = False
) -> tuple[Loss, ...]:
    """Run a script's statements, and keep what its rebuilds of tables would drop (`rebuild`).

    What cannot be kept is returned if the loss is accepted. Raises MigrationError: MIGRATION_LOSS if it is
    not; P3018 with file, line and statement, also as `migration`, `file`, `line` and `statement` in its
    `meta`. The caller's transaction undoes what was done by then.
    """
    switches: set[bool | None] = set()
    keeper = Keeper(connection, migration.sql)
    try:
        with foreign_keys_restored(connection):
            for step in run_steps(connection, keeper):
                enforce = foreign_keys_switch(step.sql)
                if enforce is not None:
                    enforce_foreign_keys(connection, enforce)
                    switches.add(enforce)
    except StepFailed as failed:
        _raise_failure(migration, failed)
    if False in switches and (broken := broken_references(connection)):
        raise MigrationError(
            f"Migration {migration.name} failed at its end: {broken}.",
            code="P3018",
            meta={"migration": migration.name, "file": file_of(migration)},
        )
    if keeper.losses and not accept_loss:
        raise _loss(migration, keeper.losses)
    return tuple(keeper.losses)


def run_steps(connection: apsw.Connection, keeper: Keeper) -> Iterator[RebuildStep]:
    """Run the statements in place of a script's, one by one; each is given out when it has run.

    Nothing that a script does to the connection outlasts it. Raises StepFailed.
    """
    guard = ScriptGuard()
    temporary = _temporary(connection)
    with _renames_restored(connection):
        for step in keeper.steps():
            _run_step(connection, guard, step)
            yield step
    for kind, name in _temporary(connection) - temporary:
        connection.execute(f"DROP {kind} IF EXISTS temp.{quote(name)}")


@contextmanager
def views_set_aside(connection: apsw.Connection) -> Iterator[None]:
    """Let tables be renamed without a look at views and triggers that name what is not there meanwhile."""
    with _renames_restored(connection):
        connection.config(apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, 1)
        yield


@contextmanager
def _renames_restored(connection: apsw.Connection) -> Iterator[None]:
    legacy = connection.config(apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, -1)
    try:
        yield
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, int(legacy))


def _run_step(connection: apsw.Connection, guard: ScriptGuard, step: RebuildStep) -> None:
    guard.reason = None
    before = connection.authorizer

    def authorize(operation: int, *details: str | None) -> int:
        refused = guard(operation, *details)
        return refused if refused != apsw.SQLITE_OK or before is None else before(operation, *details)

    connection.authorizer = authorize
    try:
        if step.statement is not None and step.statement.begins("VACUUM"):
            # It would write a file of its own (INTO) where no transaction is open.
            guard.reason = VACUUM
            raise apsw.AuthError(VACUUM)
        connection.execute(step.sql).fetchall()
    except apsw.Error as error:
        raise StepFailed(step, guard.reason or str(error), error) from error
    finally:
        connection.authorizer = before


def _temporary(connection: apsw.Connection) -> set[tuple[str, str]]:
    """Tables, views and triggers that belong to the connection and to no file."""
    if not connection.execute("SELECT count(*) FROM pragma_database_list WHERE name = 'temp'").get:
        return set()
    rows = connection.execute("SELECT type, name FROM temp.sqlite_schema WHERE sql IS NOT NULL")
    return {(str(kind), str(name)) for kind, name in rows.fetchall()}


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
    """Rows with foreign keys that lead nowhere, as text, or None. Reads all rows that refer to others."""
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
    """The value that a `PRAGMA foreign_keys` sets; None for any other statement."""
    start = _BLANKS_AND_COMMENTS.match(sql)
    match = _FOREIGN_KEYS.match(sql, start.end() if start else 0)
    return match["value"].lower() not in _OFF if match else None


def _raise_failure(migration: Migration, failed: StepFailed) -> NoReturn:
    step = failed.step
    own = step.statement
    start = step.start + (len(own.lead) if own is not None else 0)
    line = migration.sql.count("\n", 0, start) + 1
    statement = step.sql.strip()
    if len(statement) > _SHOWN_CHARACTERS:
        statement = statement[:_SHOWN_CHARACTERS] + "…"
    file = file_of(migration)
    raise MigrationError(
        f"Migration {migration.name} failed at line {line} of its script: {failed.reason}.\n\n"
        f"  {file}:{line}\n" + "".join(f"  | {part}\n" for part in statement.splitlines()),
        code="P3018",
        meta={"migration": migration.name, "file": file, "line": line, "statement": statement},
    ) from failed.error


def _loss(migration: Migration, losses: list[Loss]) -> MigrationError:
    shown = "".join(f"  {loss.message}\n" for loss in losses)
    comments = "".join(f"\n  {each}" for each in sorted({loss.directive for loss in losses}))
    return MigrationError(
        f"Migration {migration.name} would take away what cannot be kept:\n\n{shown}",
        code="MIGRATION_LOSS",
        hint=f"Give --accept-data-loss, or put comments into {file_of(migration)}:{comments}",
        meta={"migration": migration.name, "lost": [loss.message for loss in losses]},
    )
