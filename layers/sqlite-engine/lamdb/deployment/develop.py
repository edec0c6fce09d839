"""The implementation of `lamdb migrate dev`: creates a migration from a changed schema and applies it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import apsw

from lamdb.deployment.deploy import in_transaction
from lamdb.deployment.project import Project
from lamdb.errors import MigrationError
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.differences import differences, read_unmodelled
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.rebuild import Keeper
from lamdb.prisma.migrate.schema_engine import DataLoss, SchemaEngine
from lamdb.prisma.migrate.scripts import run_steps
from lamdb.prisma.migrate.snapshot import snapshot
from lamdb.storage import Database

_RESET = "Repair the store, or if nothing in it is worth keeping: lamdb migrate reset"


@dataclass(frozen=True, slots=True)
class SchemaSteps:
    """The steps that bring a store to a project's schema."""

    pending: tuple[str, ...]
    """Migrations that exist and are to be applied first."""
    loss: DataLoss
    """The effects of the new migration on the data that is in the database when it is applied."""
    lost: tuple[str, ...] = ()
    """Other losses of the tables, such as triggers."""

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.loss.warnings, *self.lost)


@dataclass(frozen=True, slots=True)
class ProjectStatus:
    """How a store stands to a project."""

    status: migrate.Status
    drift: str | None
    """How the tables differ from what the applied migrations make; None also if the histories disagree."""
    unmigrated: bool
    """Whether the schema has changes that no migration has."""

    @property
    def up_to_date(self) -> bool:
        found = self.status
        problems = found.pending or found.failed or found.edited or found.missing
        return not (problems or self.drift or self.unmigrated)


def plan(database: Database, project: Project, *, accept_loss: bool = False) -> SchemaSteps:
    """Try the pending migrations out, and see what a further one would do. Nothing is kept.

    Raises `MigrationError` if a new migration would not fit this store: its history disagrees with the
    directory, or its tables with its history; also if a pending one removes what cannot be kept, unless
    `accept_loss`.
    """

    def work(connection: apsw.Connection) -> SchemaSteps:
        found = migrate.status(connection, project.migrations)
        found.check()
        require_no_drift(connection, project.migrations)
        pending = migrate.apply_migrations(connection, project.migrations, accept_loss=accept_loss)
        with SchemaEngine(connection) as engine:
            return SchemaSteps(tuple(pending), engine.evaluate_data_loss(project.migrations, project.schema))

    found = in_transaction(database, work, dry_run=True)
    prepared = migrate.prepare(project.directory, "") if found.loss.steps else None
    if prepared is None:
        return found
    lost = tuple(f"The migration takes away {loss.message}." for loss in prepared.lost)
    return replace(found, lost=lost)


def standing(database: Database, project: Project) -> ProjectStatus:
    """Compare a store with a project. Raises `MigrationError` if the migrations cannot be run at all."""
    with database.reader() as connection:
        found = migrate.status(connection, project.migrations)
        agree = not (found.edited or found.missing or found.failed)
        drift = find_drift(connection, project.migrations) if agree and found.applied else None
    return ProjectStatus(found, drift, project.has_migrations and project.unmigrated() is not None)


def require_no_drift(connection: apsw.Connection, migrations: Sequence[Migration]) -> None:
    """Raises `MigrationError` if the tables are not what the applied migrations make."""
    drift = find_drift(connection, migrations)
    if drift is not None:
        raise MigrationError(
            f"The tables are not what the migrations make; they were changed otherwise:\n\n{drift}\n",
            code="MIGRATION_DRIFT",
            hint=_RESET,
        )


def find_drift(connection: apsw.Connection, migrations: Sequence[Migration]) -> str | None:
    """The SQL from the tables of the applied migrations to the present ones, for people to read.

    Data play no part. The histories must agree.
    """
    applied = migrate.status(connection, migrations).applied
    return drift_of(snapshot(connection), applied, migrations)


def drift_of(tables: Migration, applied: Collection[str], migrations: Sequence[Migration]) -> str | None:
    """The same for tables that a script makes, and the names of the applied migrations."""
    history = [migration for migration in migrations if migration.name in applied]
    with SchemaEngine() as made, SchemaEngine() as found:
        migrate.apply_migrations(made.connection, history, accept_loss=True)
        for _ in run_steps(found.connection, Keeper(found.connection, tables.sql)):
            pass
        summary = made.diff([snapshot(made.connection)], [tables], script=False).strip()
        others = differences(read_unmodelled(made.connection), read_unmodelled(found.connection))
    lines = [] if summary.startswith("No difference") else [summary]
    return "\n".join([*lines, *others]) or None
