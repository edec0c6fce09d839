"""Adopts an existing database: stores its schema and records its tables as the first migration."""

import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import apsw

from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.layout import DEFAULT_FILE, MIGRATIONS_DIRECTORY
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import status
from lamdb.prisma.migrate.migrations import Migration, write_migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine


def adopt(copy: Path, schema: PrismaSchema | None, applied: Sequence[Migration]) -> None:
    """Store the schema in a SQLite file, and record migrations as applied, in one transaction.

    The tables are those of the schema already; None stores no schema. Raises `SchemaError` if GraphQL
    cannot express it, `MigrationError`, apsw.Error.
    """
    made = None if schema is None else stored_schema.compute(schema)
    connection = apsw.Connection(str(copy))
    try:
        connection.execute("PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF").fetchall()
        with connection:
            if applied:
                with SchemaEngine(connection) as engine:
                    for each in applied:
                        engine.mark_applied(each.name, applied)
            if made is not None:
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
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / DEFAULT_FILE
    # Named so that no other process takes it for a schema.
    staged = _beside(path)
    try:
        staged.write_text(text, encoding="utf-8", newline="\n")
        with staged_migration(directory / MIGRATIONS_DIRECTORY, baseline):
            yield path
        staged.replace(path)
    except BaseException:
        staged.unlink(missing_ok=True)
        if is_new:
            directory.rmdir()
        raise


@contextmanager
def staged_migration(folder: Path, migration: Migration | None) -> Iterator[None]:
    """Write a migration, if there is one, beside the folder of migrations.

    It takes its place when the block is left. If the block raises, it is removed.
    """
    if migration is None:
        yield
        return
    staging = _beside(folder)
    staging.mkdir(parents=True)
    try:
        write_migration(staging, migration)
        yield
        folder.mkdir(exist_ok=True)
        for each in staging.iterdir():
            each.replace(folder / each.name)
    finally:
        shutil.rmtree(staging)


def _beside(path: Path) -> Path:
    return path.with_name(f".lamdb-{secrets.token_hex(8)}.tmp")
