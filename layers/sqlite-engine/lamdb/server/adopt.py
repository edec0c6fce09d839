"""Taking over a database that others made: its schema stored, its tables the first migration."""

from pathlib import Path

import apsw

from lamdb.graphql import deployed
from lamdb.prisma.migrate import MIGRATIONS_DIRECTORY, status
from lamdb.prisma.migrations import Migration, write_migration
from lamdb.prisma.schema import DEFAULT_FILE, PrismaSchema
from lamdb.prisma.schema_engine import SchemaEngine
from lamdb.server.deploy import in_transaction
from lamdb.storage import Database


def adopt(database: Database, schema: PrismaSchema, baseline: Migration | None) -> int:
    """Store the schema, and record `baseline` as applied, in one transaction: the newest TXID behind it.

    The tables are those of the schema already. Raises `SchemaError` if GraphQL cannot express it,
    `MigrationError`, `StorageError`.
    """
    made = deployed.compute(schema)

    def work(connection: apsw.Connection) -> None:
        if baseline is not None:
            with SchemaEngine(connection) as engine:
                engine.mark_applied(baseline.name, [baseline])
        deployed.store(connection, made)

    in_transaction(database, work)
    return database.txid


def migrations_of(connection: apsw.Connection) -> tuple[str, ...]:
    """The names of the migrations that a database's own history has."""
    found = status(connection, [])
    return (*found.applied, *found.failed)


def write_project(directory: Path, text: str, baseline: Migration | None) -> Path:
    """Write the schema, and the first migration, into a project's directory: the schema's path."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / DEFAULT_FILE
    path.write_text(text, encoding="utf-8", newline="\n")
    if baseline is not None:
        write_migration(directory / MIGRATIONS_DIRECTORY, baseline)
    return path
