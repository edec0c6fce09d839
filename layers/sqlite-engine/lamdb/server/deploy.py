"""Bringing a store to what a project says: its migrations and its schema, in one transaction.

Whatever a deployment does to the tables, it stores the schema that they are of beside them (see
`lamdb.graphql.deployed`). So it happens as a whole or not at all, and readers never see the one without the
other.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from lamdb.errors import Fenced, MigrationError
from lamdb.graphql import deployed
from lamdb.prisma import migrate
from lamdb.prisma.migrations import Migration
from lamdb.prisma.schema import PrismaSchema
from lamdb.prisma.schema_engine import Pushed, SchemaEngine
from lamdb.server.project import Project
from lamdb.storage import Database

log = logging.getLogger("lamdb.server")

_FENCED_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied."""

    name: str
    milliseconds: float
    changed_rows: int
    """Rows inserted, updated or deleted; the rows of a table that is rebuilt are inserted anew."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployment did; `txid` is the newest transaction behind it."""

    applied: tuple[Applied, ...]
    schema_changed: bool
    txid: int

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.applied)


def deploy(database: Database, project: Project, *, dry_run: bool = False) -> Deployment:
    """Apply the project's pending migrations and store its schema, all in one transaction.

    With `dry_run` the transaction is rolled back. Another process may deploy at the same time: whoever
    commits first wins, the other sees what is left to do. Raises `MigrationError` with nothing changed,
    `SchemaError`, `StorageError`.
    """
    if not project.has_migrations:
        raise MigrationError(
            f"{project.directory} has no migrations.",
            hint=f"Create the first: lamdb migrate create init --database {project.directory}\n"
            "Or try a schema out without migrations: lamdb serve --push",
        )
    with database.reader() as connection:
        waiting = migrate.pending(connection, project.migrations)
        if not waiting and deployed.is_current(connection, deployed.hash_of(project.schema)):
            return Deployment((), schema_changed=False, txid=database.txid)
    made = deployed.compute(project.schema)

    def work(connection: apsw.Connection) -> tuple[tuple[Applied, ...], bool]:
        applied = tuple(_apply(connection, each) for each in migrate.pending(connection, project.migrations))
        return applied, deployed.store(connection, made)

    applied, changed = in_transaction(database, work, dry_run=dry_run)
    if not dry_run:
        _log(applied, database.txid)
    return Deployment(applied, changed, database.txid)


def push(database: Database, schema: PrismaSchema, *, force: bool = False, reset: bool = False) -> Pushed:
    """Make the tables those of the schema, without migrations, and store it; with `reset` from nothing.

    Raises `MigrationError`, with nothing changed, if data would be lost, unless `force`, or if the database
    has a history of migrations.
    """
    made = deployed.compute(schema)

    def work(connection: apsw.Connection) -> Pushed:
        if reset:
            migrate.reset(connection)
        if migrate.status(connection, []).applied:
            raise MigrationError(
                "The store has a history of migrations: pushing would go past them.",
                hint="Create a migration for what you changed: lamdb migrate dev",
            )
        pushed = migrate.push(connection, schema, force=force)
        deployed.store(connection, made)
        return pushed

    pushed = in_transaction(database, work)
    log.info("pushed the schema", extra={"steps": pushed.executed_steps, "txid": database.txid})
    return pushed


def push_project(database: Database, project: Project) -> None:
    """Push the schema of a project that has no migrations. Raises `MigrationError`."""
    if project.has_migrations:
        raise MigrationError(
            f"{project.directory} has migrations: pushing would go past them.",
            hint="Leave out --push, and create a migration for what you changed.",
        )
    push(database, project.schema)


def reset(database: Database, project: Project) -> Deployment:
    """Drop everything, apply all migrations to the empty database and store the schema, in one transaction.

    A past state can be restored all the same. Raises `MigrationError` with nothing changed.
    """
    made = deployed.compute(project.schema)

    def work(connection: apsw.Connection) -> tuple[Applied, ...]:
        migrate.reset(connection)
        applied = tuple(_apply(connection, each) for each in project.migrations)
        deployed.store(connection, made)
        return applied

    applied = in_transaction(database, work)
    _log(applied, database.txid)
    return Deployment(applied, schema_changed=True, txid=database.txid)


def mark_applied(database: Database, name: str, migrations: Sequence[Migration]) -> None:
    """Record a migration as applied without applying it. Raises `MigrationError` (P3008, P3017)."""

    def work(connection: apsw.Connection) -> None:
        with SchemaEngine(connection) as engine:
            engine.mark_applied(name, migrations)

    in_transaction(database, work)


def mark_rolled_back(database: Database, name: str) -> None:
    """Record a failed migration as rolled back. Raises `MigrationError` (P3011, P3012)."""

    def work(connection: apsw.Connection) -> None:
        with SchemaEngine(connection) as engine:
            engine.mark_rolled_back(name)

    in_transaction(database, work)


def in_transaction[T](
    database: Database, work: Callable[[apsw.Connection], T], *, dry_run: bool = False
) -> T:
    """The result of `work` in a transaction of its own, begun anew when another writer was first.

    With `dry_run` nothing is kept. Unlike `Database.write` it is never one of a group: schemas change alone.
    """
    for attempt in range(_FENCED_ATTEMPTS):
        try:
            with database.writer() as connection:
                result = work(connection)
                if dry_run:
                    raise _DryRun
        except _DryRun:
            return result
        except Fenced:
            if attempt == _FENCED_ATTEMPTS - 1:
                raise
        else:
            return result
    raise AssertionError("unreachable")


class _DryRun(Exception):
    """Leaves the writer's block so that it rolls back."""


def _apply(connection: apsw.Connection, migration: Migration) -> Applied:
    rows, started = connection.total_changes(), time.perf_counter()
    migrate.apply_one(connection, migration)
    milliseconds = (time.perf_counter() - started) * 1000
    # One of them is the migration's own record.
    return Applied(migration.name, round(milliseconds, 1), connection.total_changes() - rows - 1)


def _log(applied: Sequence[Applied], txid: int) -> None:
    for each in applied:
        log.info("applied migration", extra={"migration": each.name, "ms": each.milliseconds, "txid": txid})
