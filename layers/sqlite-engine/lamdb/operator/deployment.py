"""What a deployment does to a database: migrations and the schema they lead to, in one transaction.

Whatever a deployment does to the tables, it stores the schema that they are of beside them (see
`lamdb.graphql.deployed`). So it happens as a whole or not at all, and readers never see the one without the
other.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import apsw

from lamdb.errors import Fenced, MigrationError, StorageError
from lamdb.graphql import deployed
from lamdb.prisma import migrate
from lamdb.prisma.migrations import Migration
from lamdb.prisma.schema import PrismaSchema
from lamdb.prisma.schema_engine import Pushed, SchemaEngine
from lamdb.storage import Database

log = logging.getLogger("lamdb.deployment")

_FENCED_ATTEMPTS = 20
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)


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


def deploy(
    database: Database, migrations: Sequence[Migration], schema: PrismaSchema, *, dry_run: bool = False
) -> Deployment:
    """Apply the migrations that the database lacks and store the schema, all in one transaction.

    With `dry_run` the transaction is rolled back. Another process may deploy at the same time: whoever
    commits first wins, the other sees what is left to do. Raises `MigrationError` with nothing changed,
    `SchemaError`, `StorageError`.
    """
    database.refresh()
    with database.reader() as connection:
        waiting = migrate.pending(connection, migrations)
        if not waiting and deployed.is_current(connection, deployed.hash_of(schema)):
            return Deployment((), schema_changed=False, txid=database.txid)
    made = deployed.compute(schema)

    def work(connection: apsw.Connection) -> tuple[tuple[Applied, ...], bool]:
        applied = tuple(_apply(connection, each) for each in migrate.pending(connection, migrations))
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


def reset(database: Database, migrations: Sequence[Migration], schema: PrismaSchema | None) -> Deployment:
    """Drop everything, apply all migrations to the empty database and store the schema, in one transaction.

    Without a schema the database carries none. A past state can be restored all the same. Raises
    `MigrationError` with nothing changed.
    """
    made = None if schema is None else deployed.compute(schema)
    ordered = sorted(migrations)

    def work(connection: apsw.Connection) -> tuple[Applied, ...]:
        migrate.reset(connection)
        applied = tuple(_apply(connection, each) for each in ordered)
        if made is not None:
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


def unmigrated(migrations: Sequence[Migration], schema: PrismaSchema) -> str | None:
    """The SQL that leads from the migrations to the schema, or None if they already do.

    Raises `MigrationError` if the migrations do not apply to an empty database.
    """
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, migrations)
        return engine.create_migration("unmigrated", migrations, schema, draft=False)


def require_migrated(migrations: Sequence[Migration], schema: PrismaSchema, directory: str) -> None:
    """Raises `MigrationError` if the schema has what no migration makes.

    What only the migrations make (tables for full-text search, say) does not matter to the API. `directory`
    is the project's, for the hint.
    """
    script = unmigrated(migrations, schema)
    if script is not None and not _only_removes(script):
        raise MigrationError(
            "The schema has changes that no migration has.",
            hint=f"Create the migration: lamdb migrate create NAME --database {directory}",
        )


def _only_removes(script: str) -> bool:
    lines = (line for line in _COMMENT.sub("", script).splitlines() if not line.startswith(("--", "PRAGMA")))
    statements = (statement.strip() for statement in "\n".join(lines).split(";"))
    return all(statement.startswith("DROP ") for statement in statements if statement)


def in_transaction[T](
    database: Database, work: Callable[[apsw.Connection], T], *, dry_run: bool = False
) -> T:
    """The result of `work` in a transaction of its own, begun anew when another writer was first.

    Where nothing is committed (`work` fails or changes nothing, or it is a dry run) the store is looked at
    before that is answered, and `work` runs again if there was something newer. With `dry_run` nothing is
    kept. Unlike `Database.write` it is never one of a group: schemas change alone.
    """
    looked, fenced = False, 0
    while True:
        lease = database.writer()
        try:
            with lease as connection:
                base = lease.txid
                result = work(connection)
                if dry_run:
                    raise _DryRun
            if lease.txid > base:
                return result
        except _DryRun:
            pass
        except Fenced:
            fenced += 1
            if fenced == _FENCED_ATTEMPTS:
                raise
            continue
        except StorageError:
            raise
        except Exception:
            if looked or database.refresh() == lease.txid:
                raise
            looked = True
            continue
        if looked or database.refresh() == lease.txid:
            return result
        looked = True


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
