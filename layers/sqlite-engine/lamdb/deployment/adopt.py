"""Adopts an existing database: stores its schema and records its tables as the first migration."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw

from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.layout import DEFAULT_FILE, MIGRATIONS_DIRECTORY
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import status
from lamdb.prisma.migrate.migrations import Migration, write_migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine


def adopt(copy: Path, schema: PrismaSchema, baseline: Migration | None) -> None:
    """Store the schema in a SQLite file, and record `baseline` as applied, in one transaction.

    The tables are those of the schema already. Raises `SchemaError` if GraphQL cannot express it,
    `MigrationError`, apsw.Error.
    """
    made = stored_schema.compute(schema)
    connection = apsw.Connection(str(copy))
    try:
        connection.execute("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").fetchall()
        with connection:
            if baseline is not None:
                with SchemaEngine(connection) as engine:
                    engine.mark_applied(baseline.name, [baseline])
            stored_schema.store(connection, made)
    finally:
        connection.close(True)


def migrations_of(connection: apsw.Connection) -> tuple[str, ...]:
    """The names of the migrations that a database's own history has."""
    found = status(connection, [])
    return (*found.applied, *found.failed)


@contextmanager
def staged_project(directory: Path, text: str, baseline: Migration | None) -> Iterator[Path]:
    """Write the schema, and the first migration, beside a project's directory's files: the schema's path.

    They take their places when the block is left; if it raises, nothing of them stays.
    """
    is_new = not directory.exists()
    staging = directory / f".lamdb-{secrets.token_hex(8)}.tmp"
    staging.mkdir(parents=True)
    path = directory / DEFAULT_FILE
    try:
        # Named so that no other process takes it for a schema.
        staged = staging / "schema"
        staged.write_text(text, encoding="utf-8", newline="\n")
        if baseline is not None:
            write_migration(staging / MIGRATIONS_DIRECTORY, baseline)
        yield path
        if baseline is not None:
            migrations = directory / MIGRATIONS_DIRECTORY
            migrations.mkdir(exist_ok=True)
            for each in (staging / MIGRATIONS_DIRECTORY).iterdir():
                each.replace(migrations / each.name)
        staged.replace(path)
    except BaseException:
        shutil.rmtree(staging)
        if is_new:
            directory.rmdir()
        raise
    shutil.rmtree(staging)
