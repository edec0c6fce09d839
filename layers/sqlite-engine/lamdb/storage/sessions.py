"""Leases for sessions: readers that are prepared in their own way, a writer that threads pass on."""

import threading
from collections import OrderedDict, deque
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
        """True if foreign keys are enforced in this transaction."""
        return self._foreign_keys


class RecentViews:
    """A cache of states that sessions have read recently.

    Thread-safe.
    """

    def __init__(self, database: Database, *, most: int = 16) -> None:
        """`most`: how many are kept."""
        self._database = database
        self._most = most
        self._views: OrderedDict[int, tuple[View, bool]] = OrderedDict()
        """With whether they are pinned."""
        self._lock = threading.Lock()

    def has(self, txid: int) -> bool:
        """True if the state after a transaction is at hand."""
        with self._lock:
            return txid in self._views or txid == self._database.txid

    def newest(self) -> View:
        """Returns the newest state that this process knows."""
        return self.get(self._database.txid)

    def get(self, txid: int) -> View:
        """Returns the state after a transaction. Raises `NotRestorable`, `ReplicaLag`, and as the store."""
        with self._lock:
            if txid in self._views:
                self._views.move_to_end(txid)
                return self._views[txid][0]
        pages = self._database.pages
        pages.keep_recent(self._most)
        if txid > self._database.txid:
            self._database.refresh(txid)
        view, is_pinned = pages.pin_recent(txid), True
        if view is None:
            about_to_wait()
            view, is_pinned = pages.view_at(txid), False
        self._keep(view, is_pinned)
        return view

    def _keep(self, view: View, is_pinned: bool) -> None:
        with self._lock:
            given_up = [self._views.pop(view.txid, None)]
            self._views[view.txid] = view, is_pinned
            while len(self._views) > self._most:
                given_up.append(self._views.popitem(last=False)[1])
        for each in given_up:
            if each is not None and each[1]:
                self._database.pages.unpin(each[0])


class Scratch:
    """`with Scratch(database, view) as connection:` a transaction on a past or present state.

    It may write, and is rolled back.
    """

    __slots__ = ("_connection", "_database", "_idle", "_view")

    def __init__(self, database: Database, view: View, idle: "IdleScratches | None" = None) -> None:
        """`idle`: the pool of the connection. Users may leave an authorizer, functions and limits on the
        connection, which the next user replaces, but nothing else.
        """
        self._database = database
        self._view = view
        self._idle = idle

    def __enter__(self) -> apsw.Connection:
        self._connection = self._take()
        try:
            self._connection.file.next_view = self._view
            self._connection.apsw.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._connection.close()
            raise
        return self._connection.apsw

    def __exit__(self, *_: object) -> Literal[False]:
        connection, keeps = self._connection, False
        try:
            connection.apsw.authorizer = None
            if connection.apsw.in_transaction:
                connection.apsw.execute("ROLLBACK")
            keeps = self._idle is not None and not connection.file.broken
            keeps = keeps and connection.file.level == apsw.SQLITE_LOCK_NONE
        finally:
            if not keeps or self._idle is None or not self._idle.give_back(connection):
                connection.close()
        return False

    def _take(self) -> Connection:
        if self._idle is not None and (found := self._idle.take()) is not None:
            return found
        connection = self._database._connect(self._view, writable=True)
        connection.apsw.set_commit_hook(_refuse)
        return connection


class IdleScratches:
    """Connections of `Scratch` that are not in use: making one and reading the schema takes a while.

    Thread-safe.
    """

    def __init__(self, *, most: int = 4) -> None:
        """`most`: how many are kept."""
        self._most = most
        self._idle: deque[Connection] = deque()

    def take(self) -> Connection | None:
        """Returns a connection in no transaction; None if there is none."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def give_back(self, connection: Connection) -> bool:
        """Keeps a connection; False if there are enough."""
        if len(self._idle) >= self._most:
            return False
        self._idle.append(connection)
        return True

    def close(self) -> None:
        """Closes the connections."""
        self._most = 0
        while (found := self.take()) is not None:
            found.close()


def _refuse() -> bool:
    return True
