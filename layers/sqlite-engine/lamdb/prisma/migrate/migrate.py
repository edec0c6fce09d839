"""Migrates a database to a schema: push for tests and prototypes, migrations for everything else.

A migration is applied in one transaction together with its row in `_prisma_migrations`, Prisma's own history
table: both are committed, or both are rolled back. Prisma's tools then find the database in sync.
"""

import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import apsw

from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.layout import SchemaLayout
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.completion import Completed, complete
from lamdb.prisma.migrate.migrations import (
    CREATE_HISTORY,
    Migration,
    new_name,
    read_migrations,
    write_migration,
)
from lamdb.prisma.migrate.pushing import push_schema
from lamdb.prisma.migrate.rebuild import Loss
from lamdb.prisma.migrate.schema_engine import Pushed, SchemaEngine
from lamdb.prisma.migrate.scripts import enforce_foreign_keys, foreign_keys_restored, run_script
from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE, RESERVED_PREFIX
from lamdb.storage.savepoints import savepoint

_FOREIGN = (
    "SELECT count(*) FROM sqlite_master WHERE type = 'table'"
    f" AND name NOT GLOB ? AND name NOT GLOB 'sqlite_*' AND name <> '{MIGRATIONS_TABLE}'"
)
_DROPPABLE = (
    "SELECT name FROM sqlite_master WHERE type = ? AND sql LIKE ? AND name NOT LIKE 'sqlite@_%' ESCAPE '@'"
)


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
    unrecorded: bool = False
    """There are tables, and no history that would say where they came from."""

    def check(self) -> None:
        """Raises MigrationError if nothing may be applied on top of this history."""
        if self.unrecorded and self.pending:
            raise MigrationError(
                "The database is not empty, and it has no history of migrations.",
                code="P3005",
                hint="Record those that its tables already have: lamdb migrate resolve --applied NAME\n"
                "Or, if nothing in it is worth keeping: lamdb migrate reset",
            )
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
                hint="Restore their files and put the change into a new migration.\n"
                "Or, if nothing in the database is worth keeping: lamdb migrate reset",
            )
        if self.missing:
            raise MigrationError(
                f"Migrations that the database has are missing: {', '.join(self.missing)}.",
                code="MIGRATION_MISSING",
                hint="Restore their folders, or deploy from the branch that has them.",
            )


class MigrationRecord(NamedTuple):
    """The record of one migration in a history."""

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
    with schema_change(connection):
        return push_schema(connection, schema, force=force)


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
    history = _history(connection)
    unrecorded = not history and bool(connection.execute(_FOREIGN, (f"{RESERVED_PREFIX}*",)).get)
    return compare(history, migrations, unrecorded=unrecorded)


def compare(
    history: Sequence[MigrationRecord], migrations: Iterable[tuple[str, str]], *, unrecorded: bool = False
) -> Status:
    """Compare a history, in the order of its application, with a list of migrations."""
    known = {name: Migration(name, sql) for name, sql in migrations}
    records = [record for record in history if not record.rolled_back]
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
        unrecorded=unrecorded,
    )


def pending(connection: apsw.Connection, migrations: Sequence[tuple[str, str]]) -> list[Migration]:
    """The migrations to apply, in order. Raises MigrationError if the histories disagree (`Status.check`)."""
    found = status(connection, migrations)
    found.check()
    scripts = dict(migrations)
    return [Migration(name, scripts[name]) for name in found.pending]


def apply_migrations(
    connection: apsw.Connection, migrations: Sequence[tuple[str, str]], *, accept_loss: bool = False
) -> list[str]:
    """Apply all pending migrations in order, each as a whole: the names of those applied.

    Outside a transaction each gets its own. Inside the caller's each gets a savepoint, and the caller's
    rollback undoes them all; to have one transaction each, loop over `pending` and call `apply_one` in a
    transaction of its own. Raises MigrationError: if the histories disagree, before anything is done; if a
    script fails (P3018) or would remove what cannot be kept (MIGRATION_LOSS, unless `accept_loss`), with this
    migration and those behind it rolled back.
    """
    waiting = pending(connection, migrations)
    return [apply_one(connection, migration, accept_loss=accept_loss) for migration in waiting]


def apply_one(connection: apsw.Connection, migration: Migration, *, accept_loss: bool = False) -> str:
    """Apply one migration and record it: its name.

    Raises MigrationError (P3018; MIGRATION_LOSS unless `accept_loss`) and leaves no change.
    """
    try:
        with schema_change(connection):
            connection.execute(CREATE_HISTORY)
            started = _start_time(connection)
            run_script(connection, migration, accept_loss=accept_loss)
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


@dataclass(frozen=True, slots=True)
class PreparedMigration:
    """A migration that could be written, and what it would remove from the tables besides their data."""

    migration: Migration
    lost: tuple[Loss, ...]


def prepare(directory: Path, title: str, *, draft: bool = False) -> PreparedMigration | None:
    """The migration from a project's migrations to its schema, found by `SchemaLayout`; None if they agree.

    With `draft` there is one without statements then, to be filled by hand. The database plays no part.
    Raises SchemaError if the schema is not valid, MigrationError (P3018) if the history does not apply to an
    empty database.
    """
    schema = PrismaSchema.load(directory)
    existing = read_migrations(SchemaLayout.of(directory).migrations, missing_ok=True)
    with SchemaEngine() as engine:
        # The engine compares the schema with a database to which the history was applied: here one in memory.
        apply_migrations(engine.connection, existing, accept_loss=True)
        script = engine.create_migration(title, existing, schema, draft=draft)
        if script is None:
            return None
        completed: Completed = complete(engine.connection, script, schema.text)
    return PreparedMigration(Migration(new_name(title, existing), completed.text), completed.lost)


def create(directory: Path, title: str, *, draft: bool = False) -> Migration | None:
    """Write the migration that `prepare` makes; None if there is none. Raises as that."""
    prepared = prepare(directory, title, draft=draft)
    return None if prepared is None else write(directory, prepared)


def write(directory: Path, prepared: PreparedMigration) -> Migration:
    """Write a migration into its folder."""
    write_migration(SchemaLayout.of(directory).migrations, prepared.migration)
    return prepared.migration


# Transactions.


@contextmanager
def schema_change(connection: apsw.Connection) -> Iterator[None]:
    """A transaction, or a savepoint in the caller's, that is kept only if the block succeeds."""
    is_nested = connection.in_transaction
    if is_nested:
        with savepoint(connection, "lamdb_schema"):
            yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself ends the transaction on some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


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


def _history(connection: apsw.Connection) -> list[MigrationRecord]:
    exists = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?"
    if not connection.execute(exists, (MIGRATIONS_TABLE,)).get:
        return []
    rows = connection.execute(
        "SELECT migration_name, checksum, finished_at IS NOT NULL, rolled_back_at IS NOT NULL"
        f' FROM "{MIGRATIONS_TABLE}" ORDER BY started_at, rowid'
    )
    return [
        MigrationRecord(name, checksum, bool(finished), bool(rolled_back))
        for name, checksum, finished, rolled_back in rows
    ]
