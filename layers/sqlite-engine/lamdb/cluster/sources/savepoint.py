"""The part of a batch's transaction that belongs to one event."""

from collections.abc import Iterator
from contextlib import contextmanager

import apsw

from lamdb.errors import QueryError
from lamdb.storage.savepoints import savepoint


@contextmanager
def savepoint_of_event(connection: apsw.Connection) -> Iterator[None]:
    """Undoes the block if it raises. May be nested.

    Raises `QueryError` for foreign keys that are only checked at the end, and would then fail everything.
    """
    with savepoint(connection, "lamdb_event"):
        yield
        if connection.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0]:
            raise QueryError("Foreign key constraint violated", code="P2003")
