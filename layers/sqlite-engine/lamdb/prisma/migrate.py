"""Bringing a database to a schema: push for tests and prototypes, migrations for everything else."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from lamdb.errors import MigrationError
from lamdb.prisma.schema import PrismaSchema
from lamdb.prisma.schema_engine import Pushed, SchemaEngine


@contextmanager
def schema_change(connection: apsw.Connection) -> Iterator[None]:
    """One unit of schema changes: a transaction, or a savepoint in the caller's, kept only if it succeeds.

    Foreign keys are off meanwhile, for SQLite changes a table by making a copy and dropping the original, and with
    them on a drop deletes the rows of every table that cascades. They are checked as a whole at the end.
    """
    begin, commit, rollback = (
        ("SAVEPOINT lamdb_schema", "RELEASE lamdb_schema", "ROLLBACK TO lamdb_schema; RELEASE lamdb_schema")
        if connection.in_transaction
        else ("BEGIN IMMEDIATE", "COMMIT", "ROLLBACK")
    )
    # `PRAGMA foreign_keys` does nothing inside a transaction; this switch works there too.
    enforced = connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, -1)
    connection.execute(begin)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, 0)
        try:
            yield
            check_foreign_keys(connection)
        finally:
            connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, enforced)
        connection.execute(commit)
    except BaseException:
        if connection.in_transaction:
            connection.execute(rollback)
        raise


def check_foreign_keys(connection: apsw.Connection) -> None:
    """Raises MigrationError if any row refers to one that is not there."""
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    if broken:
        rows = ", ".join(f"{table} row {rowid} refers to {parent}" for table, rowid, parent, _ in broken[:3])
        raise MigrationError(f"{len(broken)} rows would violate a foreign key: {rows}")


def push(connection: apsw.Connection, schema: PrismaSchema, *, force: bool = False) -> Pushed:
    """Make the database's tables those of the schema, without migrations: for tests and prototypes.

    Works inside the caller's transaction or outside one. Raises MigrationError, with nothing changed, if data would be
    lost (unless `force`) or cannot be kept.
    """
    with schema_change(connection), SchemaEngine(connection) as engine:
        pushed = engine.schema_push(schema, force=force)
        if pushed.unexecutable:
            raise MigrationError("The schema cannot be pushed: " + " ".join(pushed.unexecutable))
        if pushed.warnings and not force:
            raise MigrationError("Pushing the schema would lose data: " + " ".join(pushed.warnings))
        return pushed
