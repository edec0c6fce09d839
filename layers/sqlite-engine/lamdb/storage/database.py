"""The public face of storage: a SQLite database that lives in an object store."""

import threading
from collections import deque
from types import TracebackType
from typing import Final, Literal, Self

import apsw

from lamdb.errors import SettingsError, StorageError
from lamdb.storage import ltx
from lamdb.storage.clock import Clock, SystemClock
from lamdb.storage.objectstore import ObjectStore
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore
from lamdb.storage.replica import Replica
from lamdb.storage.url import open_store
from lamdb.storage.vfs import PageFile, PageVfs

_OLDEST_SQLITE: Final = (3, 51, 3)
"""Versions up to 3.51.2 can corrupt a database when a WAL is reset."""

_MIB: Final = 1024 * 1024


class Database:
    """One database in one process: many readers, one writer at a time. Thread-safe.

    A reader sees the newest transaction this process knows of, for as long as it is open. The writer's COMMIT
    returns when the transaction is durable in the store. Writers in other processes are kept apart by the
    store: one of them gets each TXID, the others `Fenced`.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        create: bool = True,
        page_size: int = 4096,
        cache_bytes: int = 128 * _MIB,
        reader_cache_bytes: int = 8 * _MIB,
        idle_readers: int = 16,
        stale_after: float = 10.0,
        max_transaction_bytes: int = 512 * _MIB,
        clock: Clock | None = None,
    ) -> None:
        """Opens the database in `store`, or an empty one if there is none and `create` is set.

        - `page_size`: bytes per page of a database that does not exist yet.
        - `cache_bytes`: budget of the page cache that all connections share.
        - `reader_cache_bytes`: budget of the private cache of each connection.
        - `idle_readers`: connections kept open for the next reader.
        - `stale_after`: seconds after which a writer looks for other writers' transactions before it begins.
        - `max_transaction_bytes`: pages that one transaction may change, in bytes; more is
          `TransactionTooLarge`.

        Raises `NotAStore`, `CorruptFile`, `StoreUnavailable`.
        """
        _require_sqlite()
        if not ltx.is_page_size(page_size):
            raise SettingsError(f"page size {page_size} is not a power of two from 512 to 65536")
        self._store = store
        self._replica = Replica(store)
        self._page_size = page_size
        self._reader_cache_bytes = reader_cache_bytes
        self._idle_limit = idle_readers
        self._pages = PageStore(
            self._replica,
            clock or SystemClock(),
            page_size=page_size,
            cache_bytes=cache_bytes,
            stale_after=stale_after,
        )
        if not create:
            self._pages.require_database()
        self._vfs = PageVfs(self._pages, max_transaction_bytes=max_transaction_bytes)
        self._idle: deque[_Connection] = deque()
        self._writer: _Connection | None = None
        self._writing = threading.Lock()
        self._writing_thread: int | None = None
        self._must_look = False
        self._closed = False

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = True,
        page_size: int = 4096,
        cache_bytes: int = 128 * _MIB,
        stale_after: float = 10.0,
    ) -> Self:
        """Opens `file:///directory`, `memory:` (new and empty each time) or `s3://bucket/prefix`."""
        return cls(
            open_store(url),
            create=create,
            page_size=page_size,
            cache_bytes=cache_bytes,
            stale_after=stale_after,
        )

    @property
    def txid(self) -> int:
        """The newest transaction this process knows of; 0 for an empty database."""
        return self._pages.head.txid

    @property
    def url(self) -> str:
        return self._store.url

    def refresh(self, min_txid: int = 0, timeout: float = 5.0) -> int:
        """Looks in the store for newer transactions, for at most `timeout` seconds until `min_txid` is there.

        Returns the newest TXID. Raises `ReplicaLag`, `StoreUnavailable`, `CorruptFile`.
        """
        self._require_open()
        return self._pages.refresh(min_txid, timeout)

    def reader(self, min_txid: int = 0) -> "ReaderLease":
        """`with db.reader() as connection:` a read-only connection pinned to one state.

        `min_txid` asks for a state that includes this transaction; the store is only asked if this process
        has not seen it yet. Writing raises `ReadOnly`.
        """
        return ReaderLease(self, min_txid)

    def writer(self) -> "WriterLease":
        """`with db.writer() as connection:` one transaction, alone in this process.

        Leaving the block commits; an exception rolls back. Raises `Fenced` if another writer was first
        (nothing was kept; try again), `StoreUnavailable` if the store did not confirm the commit.
        """
        return WriterLease(self)

    def close(self) -> None:
        """Closes every connection and lets go of the store. Waits for a writer; readers must be done."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            if self._writer is not None:
                self._writer.close()
                self._writer = None
        while self._idle:
            self._idle.pop().close()
        self._vfs.unregister()
        self._replica.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise StorageError("the database is closed", hint="Open it again.")

    # What the leases do

    def _take_reader(self, view: View) -> "_Connection":
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect(writable=False)
            if connection.show(view):
                return connection
            connection.close()

    def _return_reader(self, connection: "_Connection") -> None:
        if self._closed or len(self._idle) >= self._idle_limit:
            connection.close()
        else:
            self._idle.append(connection)

    def _take_writer(self) -> "_Connection":
        if self._must_look or self._pages.age() > self._pages.stale_after:
            self._pages.catch_up()
            self._must_look = False
        if self._writer is not None and not self._writer.is_free():
            self._drop_writer()
        if self._writer is None:
            self._writer = self._connect(writable=True)
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _connect(self, *, writable: bool) -> "_Connection":
        self._require_open()
        connection, file = self._vfs.connect(writable=writable)
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = {-(self._reader_cache_bytes // 1024)}")
        if writable:
            connection.execute(f"PRAGMA page_size = {self._page_size}")
            connection.execute("PRAGMA journal_mode = MEMORY")
            connection.execute("PRAGMA synchronous = FULL")
        return _Connection(connection, file)


class _Connection:
    """An apsw connection and the file that decides what it sees."""

    __slots__ = ("apsw", "file")

    def __init__(self, connection: apsw.Connection, file: PageFile) -> None:
        self.apsw = connection
        self.file = file

    def show(self, view: View) -> bool:
        """Begins a read transaction on `view`; False if an unfinished statement keeps the connection
        elsewhere.

        A connection stays in its transaction between uses, so that nothing has to be done while nothing
        changes.
        """
        if self.apsw.in_transaction:
            if self.file.next_view is view:
                return True
            self.apsw.execute("COMMIT")
        if not self.is_free():
            return False
        self.file.next_view = view
        self.apsw.execute("BEGIN")
        return True

    def is_free(self) -> bool:
        """Whether the connection holds no lock and so may be shown another view."""
        return self.file.level == apsw.SQLITE_LOCK_NONE and not self.apsw.in_transaction

    def close(self) -> None:
        self.apsw.close(True)


class ReaderLease:
    """What `Database.reader` returns."""

    __slots__ = ("_connection", "_database", "_min_txid", "_view")

    def __init__(self, database: Database, min_txid: int) -> None:
        self._database = database
        self._min_txid = min_txid

    def __enter__(self) -> apsw.Connection:
        database = self._database
        database._require_open()
        if self._min_txid > database.txid:
            database.refresh(self._min_txid)
        self._view = database._pages.pin()
        try:
            self._connection = database._take_reader(self._view)
        except BaseException:
            database._pages.unpin(self._view)
            raise
        return self._connection.apsw

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._database._return_reader(self._connection)
        self._database._pages.unpin(self._view)
        return False


class WriterLease:
    """What `Database.writer` returns."""

    __slots__ = ("_connection", "_database")

    def __init__(self, database: Database) -> None:
        self._database = database

    def __enter__(self) -> apsw.Connection:
        database = self._database
        if database._writing_thread == threading.get_ident():
            raise StorageError(
                "this thread already holds the writer", hint="Use a savepoint on the connection it has."
            )
        database._writing.acquire()
        try:
            database._require_open()
            database._writing_thread = threading.get_ident()
            self._connection = database._take_writer()
            self._connection.file.next_view = database._pages.head
            self._connection.apsw.execute("BEGIN IMMEDIATE")
        except BaseException:
            self._release(keep=False)
            raise
        return self._connection.apsw

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        keep = False
        try:
            if error is None:
                self._commit()
            elif self._connection.apsw.in_transaction:
                self._connection.apsw.execute("ROLLBACK")
            keep = self._connection.file.failure is None
        finally:
            self._release(keep=keep)
        return False

    def _commit(self) -> None:
        connection = self._connection.apsw
        if not connection.in_transaction:
            raise StorageError("the transaction was ended inside the writer's block")
        connection.execute("COMMIT")

    def _release(self, *, keep: bool) -> None:
        database = self._database
        if not keep:
            database._drop_writer()
            database._must_look = True
        database._writing_thread = None
        database._writing.release()


def _require_sqlite() -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < _OLDEST_SQLITE:
        raise StorageError(
            f"SQLite {apsw.sqlite_lib_version()} is too old: lamDB needs {'.'.join(map(str, _OLDEST_SQLITE))}"
        )
