"""A part of a transaction that is undone alone if it fails."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from lamdb.errors import QueryError

_NAME = "lamdb_event"


@contextmanager
def savepoint(connection: apsw.Connection) -> Iterator[None]:
    """An exception inside rolls back to the savepoint and is raised again. Savepoints may be inside each
    other.

    Raises `QueryError` for foreign keys that are only checked at the end, and would then fail everything.
    """
    connection.execute(f"SAVEPOINT {_NAME}")
    try:
        yield
        if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise QueryError("Foreign key constraint violated", code="P2003")
    except BaseException:
        connection.execute(f"ROLLBACK TO {_NAME}; RELEASE {_NAME}")
        raise
    connection.execute(f"RELEASE {_NAME}")
