"""Leases for sessions: readers that are prepared in their own way, a writer that threads pass on."""

from collections.abc import Callable
from typing import Literal

import apsw

from lamdb.storage.connections import Connection, ReaderPool
from lamdb.storage.database import Database, ReaderLease, WriterLease
from lamdb.storage.pages import View
from lamdb.storage.waiting import about_to_wait


class SessionReaders:
    """Read-only connections of one database apart from those that all others share. Thread-safe."""

    def __init__(
        self, database: Database, prepare: Callable[[apsw.Connection], None], *, idle_readers: int = 8
    ) -> None:
        """`prepare` is called once with each connection."""
        self._database = database

        def connect(view: View) -> Connection:
            connection = database._connect(view)
            prepare(connection.apsw)
            return connection

        self._pool = ReaderPool(connect, idle_limit=idle_readers)

    def lease(self, min_txid: int = 0) -> "SessionReader":
        """Returns a lease as `Database.reader` does. It may be left by another thread."""
        return SessionReader(self._database, min_txid, self._pool)

    def close(self) -> None:
        """Closes the idle connections and, as they come back, the others."""
        self._pool.close()


class SessionReader(ReaderLease):
    """The result of `SessionReaders.lease`."""

    __slots__ = ("_pool",)

    def __init__(self, database: Database, min_txid: int, pool: ReaderPool) -> None:
        super().__init__(database, min_txid)
        self._pool = pool

    def __enter__(self) -> apsw.Connection:
        database = self._database
        database._require_open()
        if self._min_txid > database.txid:
            database.refresh(self._min_txid)
        self._view = database._pages.pin()
        try:
            self._connection = self._pool.take(self._view)
        except BaseException:
            database._pages.unpin(self._view)
            raise
        return self._connection.apsw

    def __exit__(self, *_: object) -> Literal[False]:
        self._pool.give_back(self._connection)
        self._database._pages.unpin(self._view)
        return False


class SessionWriter(WriterLease):
    """A writer's lease that waits for `wait` seconds at most, and may be used and left by other threads."""

    __slots__ = ("_wait",)

    def __init__(self, database: Database, *, wait: float, foreign_keys: bool = True) -> None:
        super().__init__(database, foreign_keys=foreign_keys)
        self._wait = wait

    def __enter__(self) -> apsw.Connection:
        """Raises `apsw.BusyError` if the writer was not free in time, and as `Database.writer` does."""
        connection = super().__enter__()
        # The thread that entered may ask for the writer again, and then waits like any other.
        self._database._writing_thread = None
        return connection

    @property
    def foreign_keys(self) -> bool:
        """Whether foreign keys are enforced in this transaction."""
        return self._foreign_keys


class Scratch:
    """`with Scratch(database, txid) as connection:` a transaction on a past or present state.

    It may write, and is rolled back. Entering raises `NotRestorable`, `ReplicaLag`, and what asking the store
    raises.
    """

    __slots__ = ("_connection", "_database", "_is_pinned", "_txid", "_view")

    def __init__(self, database: Database, txid: int) -> None:
        self._database = database
        self._txid = txid

    def __enter__(self) -> apsw.Connection:
        pages = self._database.pages
        if self._txid > self._database.txid:
            self._database.refresh(self._txid)
        self._view = pages.pin()
        self._is_pinned = True
        try:
            if self._view.txid != self._txid:
                pages.unpin(self._view)
                self._is_pinned = False
                about_to_wait()
                self._view = pages.view_at(self._txid)
            self._connection = self._database._connect(self._view, writable=True)
            self._connection.file.next_view = self._view
            self._connection.apsw.set_commit_hook(_refuse)
            self._connection.apsw.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._unpin()
            raise
        return self._connection.apsw

    def __exit__(self, *_: object) -> Literal[False]:
        try:
            if self._connection.apsw.in_transaction:
                self._connection.apsw.execute("ROLLBACK")
        finally:
            self._connection.close()
            self._unpin()
        return False

    def _unpin(self) -> None:
        if self._is_pinned:
            self._is_pinned = False
            self._database.pages.unpin(self._view)


def _refuse() -> bool:
    return True
