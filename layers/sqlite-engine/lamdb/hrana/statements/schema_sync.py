"""Changes of the schema by SQL: the API's schema is updated in the same transaction.

A database without a history of Prisma's migrations has its schema described anew, with the names and notes of
the present one. One with a history is changed by migrations: statements may make tables of their own beside
it, which the API does not show, and leave those of the schema alone.
"""

import logging
from typing import Final

import apsw

from lamdb.access.identity import Role
from lamdb.errors import LamdbError, MigrationError, StorageError
from lamdb.graphql import stored_schema
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import SqlFailure
from lamdb.hrana.statements.text import StatementText

log = logging.getLogger("lamdb.sql")

_ALTERING: Final = frozenset({"CREATE", "DROP", "ALTER"})
_ROWS: Final = 1000
"""Rows of a table that are examined for the types of its columns."""
_NO_TABLES: Final = "P4001"


def schema_version(connection: apsw.Connection) -> int:
    """Returns a number that is another after each change of the tables."""
    return int(connection.pragma("schema_version"))


def protect(guard: Guard, connection: apsw.Connection, sql: StatementText) -> None:
    """Tells the guard which tables only migrations may change, before a statement that may change some."""
    if guard.role is not Role.ADMIN or sql.word not in _ALTERING or guard.protected is not None:
        return
    guard.is_off = True
    try:
        guard.protected = _tables_of_migrations(connection)
    finally:
        guard.is_off = False


def follow(connection: apsw.Connection) -> None:
    """Makes the schema that the database carries that of its tables, unless migrations make it.

    Works in the caller's transaction, with no authorizer. Raises `SqlFailure` with the reason why the API
    cannot follow.
    """
    from lamdb.prisma.datamodel.naming import Style  # few requests change a schema
    from lamdb.prisma.datamodel.schema import PrismaSchema
    from lamdb.prisma.introspection.introspect import introspect

    if _has_history(connection):
        return
    files = stored_schema.read_files(connection)
    try:
        carried = PrismaSchema.trusted(PrismaSchema.parse(files).text) if files else None
        found = introspect(connection, carried=carried, style=Style.KEEP, rows=_ROWS)
        if found.schema is None:
            _forget(connection)
            return
        made = stored_schema.compute(found.schema)
        stored_schema.store(connection, stored_schema.for_database(connection, found.schema, made))
    except StorageError:
        raise
    except MigrationError as error:
        if error.code != _NO_TABLES:
            raise _cannot(error) from error
        _forget(connection)
    except LamdbError as error:
        raise _cannot(error) from error
    else:
        log.info("followed a change of the schema", extra={"models": found.models})
        for finding in found.findings:
            log.debug("finding: %s", finding)


def _cannot(error: LamdbError) -> SqlFailure:
    return SqlFailure(f"The API cannot follow this change of the schema: {error.message}", "SQLITE_ERROR")


def _forget(connection: apsw.Connection) -> None:
    """There is no table left that an API could serve."""
    if stored_schema.read_hash(connection) is not None:
        connection.execute("DELETE FROM _lamdb_schema; DELETE FROM _lamdb_api")


def _tables_of_migrations(connection: apsw.Connection) -> frozenset[str]:
    """In lower case; empty without a history of migrations."""
    from lamdb.prisma.datamodel.stored_forms import stored_columns

    files = stored_schema.read_files(connection)
    if files is None or not _has_history(connection):
        return frozenset()
    return frozenset(column.table.lower() for column in stored_columns(tuple(files.items())))


def _has_history(connection: apsw.Connection) -> bool:
    from lamdb.prisma.migrate import migrate

    return bool(migrate.status(connection, []).applied)
