"""The project to which a SQLite file belongs, such as the folder `prisma/` for its `dev.db`."""

from dataclasses import dataclass, replace
from pathlib import Path

import apsw

from lamdb.deployment.adopt import adopt
from lamdb.deployment.project import Project
from lamdb.errors import TargetError
from lamdb.prisma.introspection.introspect import Introspected, is_schema_of
from lamdb.prisma.migrate.migrate import Status, schema_change, status
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.settling import SettledColumn, settle, settle_times
from lamdb.prisma.migrate.snapshot import BASELINE, snapshot
from lamdb.prisma.migrate.unrecorded import made_by


@dataclass(frozen=True, slots=True)
class OwnProject:
    """A project and the state of its file, as the import leaves it."""

    project: Project
    found: Introspected
    """The project's schema, and the file's tables counted."""
    status: Status
    agrees: bool
    """The database is that of the schema; otherwise migrations are pending, or one has to be made."""
    settled: tuple[SettledColumn, ...]
    """Columns whose values were brought into the form of the API."""
    baseline: Migration | None
    """The first migration, to be written, if neither the project nor the file has any."""
    recorded: tuple[Migration, ...]
    """The project's migrations, if the file had no record of them and must be their result."""


def join(copy: Path, project: Project) -> OwnProject:
    """Prepares a copy of a SQLite file for the project that it belongs to.

    The file belongs to it if the tables are those of the schema, searches aside, or if each migration that
    the file has is in the project. Stored values get the form of the API, and the schema is stored if the
    database has all of it. Migrations that the file has no record of are recorded as applied if its tables
    prove that.

    Raises `TargetError` if the file is not the project's, and what reading the project raises.
    """
    schema = project.schema
    connection = apsw.Connection(str(copy))
    try:
        found = status(connection, project.migrations)
        has_tables = is_schema_of(connection, schema, searches=False)
        if not has_tables and (found.missing or not found.applied):
            raise TargetError(
                f"{project.directory} has a schema, and {_difference(found)}",
                hint="Name another directory with --database, or bring the tables alone with --no-schema.",
            )
        agrees = has_tables and is_schema_of(connection, schema)
        is_open = has_tables and found.unrecorded
        proved = is_open and made_by(connection, project.migrations)
        with schema_change(connection):
            settled = settle(connection, schema.files) if has_tables else settle_times(connection)
        # Defaults of times have the form of the API now, as in a first migration that an import wrote.
        proved = proved or (is_open and made_by(connection, project.migrations))
        is_new = has_tables and not found.applied and not project.migrations
        baseline = snapshot(connection, BASELINE) if is_new else None
        recorded = tuple(project.migrations) if proved else ()
        counts = Introspected.known(connection, schema, ())
    finally:
        connection.close()
    adopt(copy, schema if agrees else None, recorded if baseline is None else (baseline,))
    if recorded:
        found = replace(found, applied=found.pending, pending=(), unrecorded=False)
    return OwnProject(project, counts, found, agrees, settled, baseline, recorded)


def _difference(found: Status) -> str:
    if found.missing:
        return f"not the migrations that the file has: {', '.join(found.missing)}"
    return "the tables of the file are not those of it"
