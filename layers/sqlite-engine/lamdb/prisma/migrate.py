"""Bringing a database to a schema: push for tests and prototypes, migrations for everything else.

A migration is applied in one transaction together with its row in `_prisma_migrations`, Prisma's own history
table: it is applied and recorded, or nothing of it remains. Prisma's tools then find the database in sync.
"""

import re
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import apsw
import apsw.ext

from lamdb.errors import MigrationError
from lamdb.prisma.migrations import (
    CREATE_HISTORY,
    MIGRATIONS_TABLE,
    Migration,
    new_name,
    read_migrations,
    write_migration,
)
from lamdb.prisma.schema import PrismaSchema
from lamdb.prisma.schema_engine import Pushed, SchemaEngine

MIGRATIONS_DIRECTORY = "migrations"

_FOREIGN_KEYS = re.compile(r"PRAGMA\s+foreign_keys\s*[=(]\s*['\"]?(?P<value>\w+)", re.IGNORECASE)
_OFF = ("off", "0", "false", "no")

_DROPPABLE = (
    "SELECT name FROM sqlite_master WHERE type = ? AND sql LIKE ? AND name NOT LIKE 'sqlite@_%' ESCAPE '@'"
)
_BLANKS_AND_COMMENTS = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_TORN = "BEGIN, COMMIT and ROLLBACK are not allowed, for a migration is one transaction"


@dataclass(frozen=True, slots=True)
class Status:
    """How a database's history stands to a list of migrations; names in the order of their application."""

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    edited: tuple[str, ...]
    """Applied with another script than the list has."""
    missing: tuple[str, ...]
    """Applied and not in the list."""
    failed: tuple[str, ...]
    """Begun by another tool, not finished and not marked as rolled back."""

    def check(self) -> None:
        """Raises MigrationError if nothing may be applied on top of this history."""
        if self.failed:
            raise MigrationError(
                f"The database has migrations that failed: {', '.join(self.failed)}.",
                code="P3009",
                hint="Repair what they left behind, then mark them as rolled back or as applied.",
            )
        if self.edited:
            raise MigrationError(
                f"Migrations were edited after they were applied: {', '.join(self.edited)}.",
                code="MIGRATION_EDITED",
                hint="Restore their files and put the change into a new migration.",
            )
        if self.missing:
            raise MigrationError(
                f"Migrations that the database has are missing: {', '.join(self.missing)}.",
                code="MIGRATION_MISSING",
                hint="Restore their folders, or deploy from the branch that has them.",
            )


class _Record(NamedTuple):
    name: str
    checksum: str
    finished: bool
    rolled_back: bool


# Push.


def push(connection: apsw.Connection, schema: PrismaSchema, *, force: bool = False) -> Pushed:
    """Make the database's tables those of the schema, without migrations: for tests and prototypes.

    Works inside the caller's transaction or outside one. Raises MigrationError, with nothing changed, if data
    would be lost (unless `force`) or cannot be kept.
    """
    with schema_change(connection), SchemaEngine(connection) as engine, foreign_keys_restored(connection):
        enforce_foreign_keys(connection, False)
        pushed = engine.schema_push(schema, force=force)
        if pushed.unexecutable:
            raise MigrationError("The schema cannot be pushed: " + " ".join(pushed.unexecutable))
        if pushed.warnings and not force:
            raise MigrationError("Pushing the schema would lose data: " + " ".join(pushed.warnings))
        if False in map(_foreign_keys_switch, pushed.statements) and (
            broken := broken_references(connection)
        ):
            raise MigrationError(f"The schema cannot be pushed: {broken}.")
        return pushed


def reset(connection: apsw.Connection) -> None:
    """Drop every table, view and trigger, data included: an empty database, for tests and prototypes."""
    with schema_change(connection), foreign_keys_restored(connection):
        enforce_foreign_keys(connection, False)
        # Virtual tables first, for they take their shadow tables along.
        for kind, pattern in (("VIEW", "%"), ("TABLE", "CREATE VIRTUAL%"), ("TABLE", "%")):
            for (name,) in connection.execute(_DROPPABLE, (kind.lower(), pattern)).fetchall():
                quoted = str(name).replace('"', '""')
                connection.execute(f'DROP {kind} "{quoted}"')


# Migrations.


def status(connection: apsw.Connection, migrations: Iterable[tuple[str, str]]) -> Status:
    """Compare the database's history with a list of migrations. Reads one small table."""
    known = {name: Migration(name, sql) for name, sql in migrations}
    records = [record for record in _history(connection) if not record.rolled_back]
    applied = {record.name: record for record in records if record.finished}
    return Status(
        applied=tuple(applied),
        pending=tuple(sorted(name for name in known if name not in applied)),
        edited=tuple(
            name
            for name, record in applied.items()
            if name in known and not known[name].matches(record.checksum)
        ),
        missing=tuple(name for name in applied if name not in known),
        failed=tuple(record.name for record in records if not record.finished),
    )


def pending(connection: apsw.Connection, migrations: Sequence[tuple[str, str]]) -> list[Migration]:
    """The migrations to apply, in order. Raises MigrationError if the histories disagree (`Status.check`)."""
    found = status(connection, migrations)
    found.check()
    scripts = dict(migrations)
    return [Migration(name, scripts[name]) for name in found.pending]


def apply_migrations(connection: apsw.Connection, migrations: Sequence[tuple[str, str]]) -> list[str]:
    """Apply all pending migrations in order, each as a whole: the names of those applied.

    Outside a transaction each gets its own. Inside the caller's each gets a savepoint, and the caller's
    rollback undoes them all; to have one transaction each, loop over `pending` and call `apply_one` in a
    transaction of its own. Raises MigrationError: if the histories disagree, with nothing done; if a script
    fails (P3018), with nothing of it and of those behind it done.
    """
    return [apply_one(connection, migration) for migration in pending(connection, migrations)]


def apply_one(connection: apsw.Connection, migration: Migration) -> str:
    """Apply one migration and record it: its name. Raises MigrationError (P3018) and leaves nothing of it."""
    try:
        with schema_change(connection):
            connection.execute(CREATE_HISTORY)
            started = _start_time(connection)
            _run_script(connection, migration)
            connection.execute(
                f'INSERT INTO "{MIGRATIONS_TABLE}"'
                " (id, checksum, migration_name, started_at, finished_at, applied_steps_count)"
                " VALUES (?, ?, ?, ?, ?, 1)",
                (str(uuid.uuid4()), migration.checksum, migration.name, started, max(started, _now())),
            )
    except apsw.ConstraintError as error:
        # Deferred constraints are checked when the transaction ends.
        raise MigrationError(
            f"Migration {migration.name} failed at its end: {error}.", code="P3018"
        ) from error
    return migration.name


def create(directory: Path, title: str, *, draft: bool = False) -> Migration | None:
    """Write the migration from `directory/migrations` to the schema in `directory`; None if they agree.

    With `draft` a migration without statements is written then, to be filled by hand. The database plays no
    part. Raises SchemaError if the schema is not valid, MigrationError (P3018) if the history does not apply
    to an empty database.
    """
    schema = PrismaSchema.load(directory)
    folder = directory / MIGRATIONS_DIRECTORY
    existing = read_migrations(folder, missing_ok=True)
    with SchemaEngine() as engine:
        # The engine compares the schema with a database to which the history was applied: here one in memory.
        apply_migrations(engine.connection, existing)
        script = engine.create_migration(title, existing, schema, draft=draft)
    if script is None:
        return None
    migration = Migration(new_name(title, existing), script)
    write_migration(folder, migration)
    return migration


# Transactions and foreign keys.


@contextmanager
def schema_change(connection: apsw.Connection) -> Iterator[None]:
    """A transaction, or a savepoint in the caller's, that is kept only if the block succeeds."""
    begin, commit, rollback = (
        ("SAVEPOINT lamdb_schema", "RELEASE lamdb_schema", "ROLLBACK TO lamdb_schema; RELEASE lamdb_schema")
        if connection.in_transaction
        else ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
    )
    connection.execute(begin)
    try:
        yield
        connection.execute(commit)
    except BaseException:
        # SQLite itself ends the transaction on some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute(rollback)
        raise


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


# Details.


def _now() -> int:
    """Milliseconds since 1970, as Prisma's own command line writes times to SQLite."""
    return time.time_ns() // 1_000_000


def _start_time(connection: apsw.Connection) -> int:
    """Now, but behind all earlier migrations: Prisma orders the history by nothing else."""
    last = connection.execute(
        f"SELECT max(started_at) FROM \"{MIGRATIONS_TABLE}\" WHERE typeof(started_at) = 'integer'"
    ).get
    return max(_now(), (last or 0) + 1)


def _history(connection: apsw.Connection) -> list[_Record]:
    exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    if not connection.execute(exists, (MIGRATIONS_TABLE,)).get:
        return []
    rows = connection.execute(
        "SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL"
        f' FROM "{MIGRATIONS_TABLE}" ORDER BY started_at, rowid'
    )
    return [
        _Record(name, checksum, bool(finished), bool(rolled_back))
        for name, checksum, finished, rolled_back in rows
    ]


def _refuse_transactions(operation: int, *_: object) -> int:
    """An authorizer: a script that commits or rolls back would tear the migration apart."""
    return apsw.SQLITE_DENY if operation == apsw.SQLITE_TRANSACTION else apsw.SQLITE_OK


def _run_script(connection: apsw.Connection, migration: Migration) -> None:
    """Run a script's statements. Raises MigrationError P3018 that names the line of the one that failed."""
    run: list[str] = []
    switches: set[bool | None] = set()

    def trace(_cursor: apsw.Cursor, sql: str, _bindings: object) -> bool:
        run.append(sql)
        enforce = _foreign_keys_switch(sql)
        if enforce is not None:
            enforce_foreign_keys(connection, enforce)
            switches.add(enforce)
        return True

    cursor = connection.cursor()
    cursor.exec_trace = trace
    authorizer, connection.authorizer = connection.authorizer, _refuse_transactions
    try:
        with foreign_keys_restored(connection):
            cursor.execute(migration.sql).fetchall()
        if False in switches and (broken := broken_references(connection)):
            raise MigrationError(f"Migration {migration.name} failed at its end: {broken}.", code="P3018")
    except apsw.Error as error:
        reason = _TORN if isinstance(error, apsw.AuthError) else str(error)
        line = _line_of_failure(connection, migration.sql, run, str(error))
        raise MigrationError(
            f"Migration {migration.name} failed at line {line} of its script: {reason}.", code="P3018"
        ) from error
    finally:
        connection.authorizer = authorizer


def _foreign_keys_switch(sql: str) -> bool | None:
    """What a `PRAGMA foreign_keys` would switch them to; None for any other statement."""
    start = _BLANKS_AND_COMMENTS.match(sql)
    match = _FOREIGN_KEYS.match(sql, start.end() if start else 0)
    return match["value"].lower() not in _OFF if match else None


def _line_of_failure(connection: apsw.Connection, script: str, run: list[str], reason: str) -> int:
    """The line where the failed statement begins: the last that ran, or the next, if that does not parse."""
    start = sum(map(len, run))
    try:
        apsw.ext.query_info(connection, script[start:])
        fails_to_parse = False
    except apsw.Error as error:
        fails_to_parse = str(error) == reason
    if run and not fails_to_parse:
        start -= len(run[-1])
    match = _BLANKS_AND_COMMENTS.match(script, start)
    return script.count("\n", 0, match.end() if match else start) + 1
