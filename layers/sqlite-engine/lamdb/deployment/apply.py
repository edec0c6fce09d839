"""A deployment to a database: migrations and the schema they lead to, in one transaction.

Beside the tables, a deployment stores the schema that they are of (see `lamdb.graphql.stored_schema`). So it
happens as a whole or not at all, and readers never see the one without the other.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import apsw

from lamdb.errors import MigrationError, StorageError
from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.datamodel.stored_forms import Files, StoredColumn, find_deviations, stored_columns
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.missing_views import missing_views
from lamdb.prisma.migrate.schema_engine import Pushed, SchemaEngine
from lamdb.prisma.migrate.scripts import touched_tables
from lamdb.prisma.migrate.settling import SettledColumn, needs_settling, settle
from lamdb.rules.enforcement import release
from lamdb.search.upkeep import settle as settle_searches
from lamdb.storage import Database
from lamdb.storage.fencing import retry_fenced

log = logging.getLogger("lamdb.deployment")

_FENCED_RETRIES: Final = 20
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_DROP_TABLE = re.compile(r'DROP TABLE "(?P<name>(?:[^"]|"")*)"')


@dataclass(frozen=True, slots=True)
class Applied:
    """One migration that was applied."""

    name: str
    milliseconds: float
    changed_rows: int
    """Rows inserted, updated or deleted; the rows of a table that is rebuilt are inserted anew."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """The result of a deployment; `txid` is the newest transaction after it.

    `values` are the columns in which values were brought into the form of their type, or could not be.
    """

    applied: tuple[Applied, ...]
    schema_changed: bool
    txid: int
    values: tuple[SettledColumn, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.applied)


def deploy(
    database: Database,
    migrations: Sequence[Migration],
    schema: PrismaSchema,
    *,
    dry_run: bool = False,
    accept_loss: bool = False,
) -> Deployment:
    """Apply the migrations that the database lacks and store the schema, all in one transaction.

    With `dry_run` the transaction is rolled back. Another process may deploy at the same time: the first
    to commit wins, and the other computes anew what is left to do. Raises `MigrationError` without any
    change, also if a migration would remove what cannot be kept unless `accept_loss`, `SchemaError`,
    `StorageError`.
    """
    database.refresh()
    with database.reader() as connection:
        waiting = migrate.pending(connection, migrations)
        if not waiting and is_current(connection, schema):
            return Deployment((), schema_changed=False, txid=database.txid)
    made = stored_schema.compute(schema)

    def work(connection: apsw.Connection) -> tuple[tuple[Applied, ...], bool, tuple[SettledColumn, ...]]:
        waiting = migrate.pending(connection, migrations)
        with touched_tables(connection) as touched:
            applied = tuple(_apply(connection, each, accept_loss=accept_loss) for each in waiting)
        values = _settle(connection, schema, touched)
        if applied:
            settle_searches(connection)
        fit = stored_schema.for_database(connection, schema, made)
        return applied, stored_schema.store(connection, fit), values

    applied, changed, values = in_transaction(database, work, dry_run=dry_run)
    if not dry_run:
        _log(applied, values, database.txid)
    return Deployment(applied, changed, database.txid, values)


def push(
    database: Database, schema: PrismaSchema, *, force: bool = False, reset: bool = False
) -> tuple[Pushed, tuple[SettledColumn, ...]]:
    """Make the tables those of the schema, without migrations, and store it; with `reset` from nothing.

    Raises `MigrationError`, with nothing changed, if data would be lost, unless `force`, or if the database
    has a history of migrations. With what was done come the columns of `Deployment.values`. Returns at once
    if the schema was pushed before and the tables are as they were then (`stored_schema.is_pushed`).
    """
    if not reset and (unchanged := _already_pushed(database, schema)) is not None:
        _warn_of_missing(unchanged)
        return unchanged, ()
    made = stored_schema.compute(schema)

    def work(connection: apsw.Connection) -> tuple[Pushed, tuple[SettledColumn, ...]]:
        if reset:
            migrate.reset(connection)
        if migrate.status(connection, []).applied:
            raise MigrationError(
                "The store has a history of migrations: pushing would go past them.",
                hint="Create a migration for what you changed: lamdb migrate dev",
            )
        with touched_tables(connection) as touched:
            pushed = migrate.push(connection, schema, force=force)
        values = _settle(connection, schema, touched)
        settle_searches(connection)
        stored_schema.store(connection, stored_schema.for_database(connection, schema, made))
        stored_schema.mark_pushed(connection)
        return replace(pushed, missing_views=missing_views(connection, schema)), values

    pushed, values = in_transaction(database, work)
    log.info("pushed the schema", extra={"steps": pushed.executed_steps, "txid": database.txid})
    _warn_of_missing(pushed)
    _log((), values, database.txid)
    return pushed, values


def _warn_of_missing(pushed: Pushed) -> None:
    if pushed.missing_views:
        log.warning(
            "the schema has views that the database has not: they are not in the API",
            extra={"views": list(pushed.missing_views)},
        )


def _already_pushed(database: Database, schema: PrismaSchema) -> Pushed | None:
    """The result of a push that has nothing to do; None if there may be something."""
    database.refresh()
    with database.reader() as connection:
        missing = missing_views(connection, schema)
        if not stored_schema.is_pushed(connection, stored_schema.hash_of(schema, missing)):
            return None
        if migrate.status(connection, []).applied:
            return None
    return Pushed(0, (), (), (), missing)


def reset(database: Database, migrations: Sequence[Migration], schema: PrismaSchema | None) -> Deployment:
    """Drop everything, apply all migrations to the empty database and store the schema, in one transaction.

    Without a schema the database carries none. A past state can be restored all the same. Raises
    `MigrationError` with nothing changed.
    """
    made = None if schema is None else stored_schema.compute(schema)
    ordered = sorted(migrations)

    def work(connection: apsw.Connection) -> tuple[tuple[Applied, ...], tuple[SettledColumn, ...]]:
        migrate.reset(connection)
        applied = tuple(_apply(connection, each, accept_loss=True) for each in ordered)
        values = () if schema is None else settle(connection, schema.files)
        if made is not None and schema is not None:
            stored_schema.store(connection, stored_schema.for_database(connection, schema, made))
        return applied, values

    applied, values = in_transaction(database, work)
    _log(applied, values, database.txid)
    return Deployment(applied, True, database.txid, values)


def repair(database: Database, *, dry_run: bool = False) -> tuple[SettledColumn, ...]:
    """Bring the values of all columns into the form of their type, in one transaction: what there was to do.

    Nothing is done to a database without a schema. Raises `StorageError`.
    """

    def work(connection: apsw.Connection) -> tuple[SettledColumn, ...]:
        files = stored_schema.read_files(connection)
        return () if files is None else settle(connection, tuple(files.items()))

    with database.reader() as connection:
        files = stored_schema.read_files(connection)
        if files is None or not needs_settling(connection, tuple(files.items())):
            return ()
    values = in_transaction(database, work, dry_run=dry_run)
    if not dry_run:
        _log((), values, database.txid)
    return values


def deviations(connection: apsw.Connection) -> list[str]:
    """The columns that hold values in another form than that of their type, told in words."""
    files = stored_schema.read_files(connection)
    if files is None:
        return []
    return [str(each) for each in find_deviations(connection, tuple(files.items()))]


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
        migrate.apply_migrations(engine.connection, migrations, accept_loss=True)
        return engine.create_migration("unmigrated", migrations, schema, draft=False)


def require_migrated(
    migrations: Sequence[Migration],
    schema: PrismaSchema,
    directory: str,
    served: frozenset[str] = frozenset(),
) -> None:
    """Raises `MigrationError` if the schema has what no migration makes, or lacks tables of `served`.

    What only the migrations make (tables for full-text search, say) does not matter to the API otherwise.
    `served` are names of tables in lower case, `directory` is the project's, for the hint.
    """
    script = unmigrated(migrations, schema)
    if script is None or (_only_removes(script) and served.isdisjoint(_dropped(script))):
        return
    raise MigrationError(
        "The schema has changes that no migration has.",
        hint=f"Create the migration: lamdb migrate create NAME --database {directory}\n"
        "Or publish the schema without a migration: --allow-unmigrated",
    )


def _only_removes(script: str) -> bool:
    return all(statement.startswith("DROP ") for statement in _statements(script))


def _dropped(script: str) -> set[str]:
    """The tables that a script drops, in lower case."""
    found = (_DROP_TABLE.match(statement) for statement in _statements(script))
    return {match["name"].replace('""', '"').lower() for match in found if match}


def _statements(script: str) -> list[str]:
    lines = (line for line in _COMMENT.sub("", script).splitlines() if not line.startswith(("--", "PRAGMA")))
    statements = (statement.strip() for statement in "\n".join(lines).split(";"))
    return [statement for statement in statements if statement]


def in_transaction[T](
    database: Database, work: Callable[[apsw.Connection], T], *, dry_run: bool = False
) -> T:
    """The result of `work` in a transaction of its own, begun anew when another writer was first.

    Where nothing is committed (`work` fails or changes nothing, or it is a dry run) the store is checked
    before the result is returned, and `work` runs again if there was a newer state. With `dry_run` nothing is
    kept. Unlike `Database.write` it is never one of a group: schemas change alone.
    """
    base, looked = 0, False

    def attempt() -> tuple[T, bool]:
        """The result, and whether anything was committed."""
        nonlocal base
        lease = database.writer()
        try:
            with lease as connection:
                base = lease.txid
                release(connection)
                result = work(connection)
                if dry_run:
                    raise _DryRun
        except _DryRun:
            return result, False
        return result, lease.txid > base

    while True:
        try:
            result, committed = retry_fenced(attempt, _FENCED_RETRIES, pause=0)
        except StorageError:
            raise
        except Exception:
            if looked or database.refresh() == base:
                raise
        else:
            if committed or looked or database.refresh() == base:
                return result
        looked = True


class _DryRun(Exception):
    """Leaves the writer's block so that it rolls back."""


def is_current(connection: apsw.Connection, schema: PrismaSchema) -> bool:
    """True if the database carries this schema."""
    wanted = stored_schema.hash_of(schema, missing_views(connection, schema))
    return stored_schema.is_current(connection, wanted)


def _apply(connection: apsw.Connection, migration: Migration, *, accept_loss: bool) -> Applied:
    rows, started = connection.total_changes(), time.perf_counter()
    migrate.apply_one(connection, migration, accept_loss=accept_loss)
    milliseconds = (time.perf_counter() - started) * 1000
    # One of them is the migration's own record.
    return Applied(migration.name, round(milliseconds, 1), connection.total_changes() - rows - 1)


def _settle(
    connection: apsw.Connection, schema: PrismaSchema, touched: set[str]
) -> tuple[SettledColumn, ...]:
    """Settle what a change may have filled in, or what the schema reads otherwise than the one before it."""
    before = stored_schema.read_files(connection)
    if before is None:
        return settle(connection, schema.files)
    known = set(_kinds(tuple(before.items())))
    new = {column.table.lower() for column in stored_columns(schema.files) if _kind(column) not in known}
    return settle(connection, schema.files, touched | new)


def _kinds(files: Files) -> Iterator[tuple[str, ...]]:
    return map(_kind, stored_columns(files))


def _kind(column: StoredColumn) -> tuple[str, ...]:
    return column.table.lower(), column.column.lower(), column.type, *column.values


def _log(applied: Sequence[Applied], values: Sequence[SettledColumn], txid: int) -> None:
    for column in values:
        write = log.warning if column.left else log.info
        write("settled values: %s", column, extra={"txid": txid})
    for each in applied:
        log.info("applied migration", extra={"migration": each.name, "ms": each.milliseconds, "txid": txid})
