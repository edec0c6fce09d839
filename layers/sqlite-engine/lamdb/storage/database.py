"""The public interface of storage: a SQLite database in an object store."""

import threading
from collections.abc import Callable
from contextvars import Context
from datetime import datetime
from types import TracebackType
from typing import Final, Literal, Self

import apsw

from lamdb.errors import SettingsError, StorageError
from lamdb.storage.as_of import PastLease
from lamdb.storage.cache.diskcache import DiskCache, DiskOptions
from lamdb.storage.clock import Clock, SystemClock
from lamdb.storage.connections import Connection, ReaderPool, journal_for, require_sqlite, temporary_storage
from lamdb.storage.groupcommit import GroupCommit, Work
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import txid_at
from lamdb.storage.pagefile import PageFile
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore
from lamdb.storage.recording import TransactionRecorder, is_recorded, restart
from lamdb.storage.rollforward import PageChanges, difference
from lamdb.storage.sqlite_memory import SqliteMemory
from lamdb.storage.stores.objectstore import ObjectStore
from lamdb.storage.stores.url import open_store
from lamdb.storage.vfs import PageVfs
from lamdb.storage.waiting import about_to_wait
from lamdb.storage.watched_reads import WatchedFile, WatchedReads
from lamdb.storage.written import DEFAULT_LIMIT

_MIB: Final = 1024 * 1024

DEFAULT_PAGE_SIZE: Final = 8192
"""Bytes. A cold reader makes a fifth fewer requests than with SQLite's 4096. A commit uploads two thirds of
what it would with 16384 (docs/decisions.md)."""

DEFAULT_GROUP_SECONDS: Final = 0.05
DEFAULT_GROUP_BYTES: Final = 8 * _MIB

_IDLE_WATCHED: Final = 4


class Database:
    """One database in one process: many readers, one writer at a time. Thread-safe.

    A reader sees the newest transaction that this process knew when the reader was opened. The writer's
    COMMIT returns when the transaction is durable in the store. Writers in several processes compete for each
    TXID: one gets it, the others raise `Fenced`.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        create: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cache_bytes: int = 128 * _MIB,
        disk: DiskOptions | None = None,
        connection_cache_bytes: int = 32 * _MIB,
        sqlite_bytes: int | None = None,
        statement_cache: int = 256,
        idle_readers: int = 16,
        stale_after: float = 10.0,
        max_transaction_bytes: int = DEFAULT_LIMIT,
        group_seconds: float = DEFAULT_GROUP_SECONDS,
        group_bytes: int = DEFAULT_GROUP_BYTES,
        max_value_bytes: int | None = None,
        on_connect: Callable[[apsw.Connection], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Opens the database in `store`, or begins an empty one if it does not exist and `create` is set.

        - `page_size`: bytes per page of a database that does not exist yet.
        - `cache_bytes`: budget of the page cache that all connections share.
        - `disk`: the cache on disk, used for pages that are not in memory.
        - `connection_cache_bytes`, `statement_cache`: SQLite's own page cache and the number of prepared
          statements kept, per connection.
        - `sqlite_bytes`: budget of SQLite's memory in this process, for all connections of all databases. The
          value of the database opened last counts. None sets no limit.
        - `idle_readers`: connections kept open for the next reader.
        - `stale_after`: seconds after which a writer looks for other writers' transactions before it begins,
          and again before it commits. It must stay far below the time that level 0 files are kept.
        - `max_transaction_bytes`: the pages that one transaction may change; more is `TransactionTooLarge`.
          Beyond 32 MiB they are in a temporary file.
        - `group_seconds`, `group_bytes`: calls of `write` share a commit until they have run for this time or
          changed pages of this size; with 0 seconds, each call has a commit of its own.
        - `max_value_bytes`: the longest text or BLOB that a reader's statement may read or make.
        - `on_connect`: prepares each new connection, for example with functions and collations.

        Raises `NotAStore`, `CorruptFile`, `StoreUnavailable`.
        """
        require_sqlite()
        if not ltx.is_page_size(page_size):
            raise SettingsError(f"page size {page_size} is not a power of two from 512 to 65536")
        self._store = store
        self._on_connect = on_connect
        self._statement_cache = statement_cache
        memory = None
        if sqlite_bytes is not None:
            memory = SqliteMemory(sqlite_bytes)
            connection_cache_bytes = min(connection_cache_bytes, sqlite_bytes)
            idle_readers = memory.connections(idle_readers)
        self._pragmas = [
            "foreign_keys = ON",
            f"temp_store = {temporary_storage()}",
            f"cache_size = {-(connection_cache_bytes // 1024)}",
            "synchronous = FULL",
        ]
        self._replica = Replica(store, disk=DiskCache.open(disk, store.url))
        try:
            self._pages = PageStore(
                self._replica,
                clock or SystemClock(),
                page_size=page_size,
                cache_bytes=cache_bytes,
                stale_after=stale_after,
            )
            if not create:
                self._pages.require_database()
            if disk is not None and disk.hydrate:
                self._pages.hydrate()
        except BaseException:
            self._replica.close()
            raise
        self._max_transaction_bytes = max_transaction_bytes
        self._vfs = PageVfs(self._pages, max_transaction_bytes=max_transaction_bytes)
        self._max_value_bytes = max_value_bytes
        self._readers = ReaderPool(self._connect, idle_limit=idle_readers, memory=memory)
        self.watched = WatchedReads(self._pages, self._connect_watched, idle_limit=_IDLE_WATCHED)
        """Connections whose reads are remembered."""
        self._writer: Connection | None = None
        self._recorder = TransactionRecorder()
        self._writing = threading.Lock()
        self._writing_thread: int | None = None
        self._must_look = False
        self._closed = False
        self._announced: Callable[[], int] | None = None
        self._groups = GroupCommit(self, seconds=group_seconds, bytes=group_bytes)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = True,
        page_size: int = DEFAULT_PAGE_SIZE,
        cache_bytes: int = 128 * _MIB,
        disk: DiskOptions | None = None,
        stale_after: float = 10.0,
        group_seconds: float = DEFAULT_GROUP_SECONDS,
        group_bytes: int = DEFAULT_GROUP_BYTES,
        on_connect: Callable[[apsw.Connection], None] | None = None,
    ) -> Self:
        """Opens `file:///directory`, `memory:` (new and empty each time) or `s3://bucket/prefix`."""
        return cls(
            open_store(url),
            create=create,
            page_size=page_size,
            cache_bytes=cache_bytes,
            disk=disk,
            stale_after=stale_after,
            group_seconds=group_seconds,
            group_bytes=group_bytes,
            on_connect=on_connect,
        )

    @property
    def txid(self) -> int:
        """The newest transaction this process knows of; 0 for an empty database."""
        return self._pages.head.txid

    @property
    def url(self) -> str:
        """The place of the store, for messages."""
        return self._store.url

    @property
    def is_local(self) -> bool:
        """True if the store is memory or a directory, where reading a page takes little longer than from a
        cache."""
        return self.url.startswith(("memory:", "file:"))

    def refresh(self, min_txid: int = 0, timeout: float = 5.0) -> int:
        """Looks for newer transactions in the store, and waits up to `timeout` seconds for `min_txid`.

        Returns the newest TXID. Raises `ReplicaLag`, `StoreUnavailable`, `CorruptFile`.
        """
        self._require_open()
        about_to_wait()
        return self._pages.refresh(min_txid, timeout)

    def announce_to(self, announce: Callable[[int], None]) -> None:
        """Calls `announce` with the TXID of each commit of this process, before the commit returns."""
        announce(self.txid)
        self._pages.on_commit = announce

    def follow(self, announced: Callable[[], int]) -> None:
        """Makes `is_overtaken` compare with the TXID that another process announces."""
        self._announced = announced

    @property
    def is_overtaken(self) -> bool:
        """True if another process of this server has announced a transaction that this one does not know."""
        return self._announced is not None and self._announced() > self._pages.head.txid

    def age(self) -> float:
        """Seconds since `txid` was last known to be the newest transaction in the store."""
        return self._pages.age()

    def reader(self, min_txid: int = 0) -> "ReaderLease":
        """`with db.reader() as connection:` a read-only connection pinned to one state.

        With `min_txid`, the state includes this transaction; the store is only read if this process has not
        seen it yet. Entering may raise `ReplicaLag`, writing raises `ReadOnly`, and any statement may raise
        `StoreUnavailable` or `CorruptFile`.
        """
        return ReaderLease(self, min_txid)

    def writer(self, *, foreign_keys: bool = True) -> "WriterLease":
        """`with db.writer() as connection:` one transaction, alone in this process.

        Leaving the block commits; an exception rolls back. Raises `Fenced` if another writer was first
        (nothing was kept; try again), `StoreUnavailable` if the store did not confirm the commit.

        `foreign_keys=False` switches foreign keys off for this transaction, for migrations that rebuild
        tables; the pragma has no effect inside a transaction. Check with `PRAGMA foreign_key_check`.
        """
        return WriterLease(self, foreign_keys=foreign_keys)

    def write[T](self, work: Work[T]) -> T:
        """Returns the result of `work(connection)` when its changes are durable in the store.

        Calls that wait at the same time share one commit, which is one request to the store. They run one
        after another, in the order of arrival. Each has a savepoint and sees the changes of the earlier ones.
        An error of `work` is raised here and undoes this call alone. Raises `Fenced` or `StoreUnavailable` if
        the commit failed: then no call's changes were kept, or the outcome is unknown.

        `work` runs in any thread that calls `write`, with the context variables of its own caller. It may run
        more than once, after its changes were undone. It must neither end the transaction nor keep the
        connection.
        """
        return self._groups.run(work)

    def submit[T](self, work: Work[T], context: Context, done: Callable[[Callable[[], T]], None]) -> None:
        """Starts a `write` without waiting.

        `done(outcome)` is called in any thread, and must neither wait nor raise. `outcome()` returns the
        result of the write or raises its error. `work` runs in `context`.
        """
        self._require_open()
        self._groups.submit(work, context, done)

    @property
    def pages(self) -> PageStore:
        """The snapshots of this process, for work on pages and files."""
        self._require_open()
        return self._pages

    def as_of(self, *, txid: int | None = None, time: datetime | None = None) -> PastLease:
        """`with db.as_of(txid=7) as connection:` a read-only connection to the state after a transaction.

        With `time`, the state at that time, by the writers' clocks; a naive time is UTC. Reads the store, and
        opens a connection of its own. Raises `NotRestorable` if the state is no longer kept or is in the
        future.
        """
        self._require_open()
        view = self._pages.view_at(self._txid_of(txid, time))
        return PastLease(view, self._connect)

    def restore(self, *, txid: int | None = None, time: datetime | None = None) -> int:
        """Restores a past state by a new transaction. Returns its TXID. The history remains as it is.

        Raises `NotRestorable`, `TransactionTooLarge`, and the errors of a commit.
        """
        self._require_open()
        past = self._pages.view_at(self._txid_of(txid, time))

        def change(head: View) -> PageChanges:
            pages = difference(self._pages.fetcher, head, past, limit=self._max_transaction_bytes)
            return PageChanges(pages, past.commit, past.page_size)

        return self.change_pages(change)

    def change_pages(self, change: Callable[[View], PageChanges]) -> int:
        """Commits a transaction that is given as pages instead of SQL. Returns its TXID.

        `change` is called with the newest snapshot, which no other writer of this process can advance. The
        pages that it returns must form a valid SQLite database. Raises the errors of a commit.
        """
        with WriterLease(self, transaction=False):
            head = self._pages.head
            made = change(head)
            self._recorder.forget()
            try:
                txid = self._pages.commit(head, made.pages, made.commit, made.page_size).txid
            except BaseException:
                self._must_look = True
                raise
        self._restart_recording()
        return txid

    def _restart_recording(self) -> None:
        """Begins the record of changes anew after a commit of pages, which it does not describe."""
        with self.reader() as connection:
            recorded = is_recorded(connection)
        if recorded:
            with self.writer() as connection:
                restart(connection)

    def _txid_of(self, txid: int | None, time: datetime | None) -> int:
        if (txid is None) == (time is None):
            raise TypeError("give either a TXID or a time")
        return txid_at(self._replica, time) if time is not None else txid or 0

    def vacuum(self) -> None:
        """Rebuilds the database file and commits it as one transaction. Raises the errors of `writer`.

        As in SQLite, an earlier `PRAGMA auto_vacuum` of the writer takes effect here.
        """
        with WriterLease(self, transaction=False) as connection:
            connection.execute("VACUUM")

    def close(self) -> None:
        """Closes every connection and releases the store. Waits for a writer; readers should be done."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            self._groups.close()
            self._drop_writer()
        self._readers.close()
        self.watched.close()
        self._pages.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require_open(self) -> None:
        if self._closed:
            raise StorageError("the database is closed", hint="Open it again.")

    def require_not_writing(self) -> None:
        if self._writing_thread == threading.get_ident():
            hint = "Use a savepoint on the connection it has."
            raise StorageError("this thread already holds the writer", hint=hint)

    def _connect_watched(self, view: View) -> Connection:
        return self._connect(view, kind=WatchedFile)

    def _connect(self, view: View, *, writable: bool = False, kind: type[PageFile] = PageFile) -> Connection:
        self._require_open()
        connection = Connection(
            self._vfs,
            view,
            writable=writable,
            statement_cache=self._statement_cache,
            pragmas=[f"page_size = {view.page_size}", *self._pragmas],
            journal=journal_for(view) if writable else "MEMORY",
            max_value_bytes=self._max_value_bytes,
            kind=kind,
        )
        if self._on_connect is not None:
            self._on_connect(connection.apsw)
        return connection

    def _freshen(self) -> None:
        """Looks for other writers' transactions if there is reason to expect some."""
        if self._must_look or self._pages.age() > self._pages.stale_after:
            self._pages.catch_up()
            self._must_look = False

    def _take_writer(self, view: View) -> Connection:
        """The writer's connection, outside any transaction; the next one will see `view`."""
        if self._writer is not None and self._writer.file.level != apsw.SQLITE_LOCK_NONE:
            self._drop_writer()
        if self._writer is not None and self._writer.journal != journal_for(view):
            self._drop_writer()
        if self._writer is None:
            self._writer = self._connect(view, writable=True)
        self._writer.file.next_view = view
        return self._writer

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


class ReaderLease:
    """The result of `Database.reader`. It can be entered once at a time."""

    __slots__ = ("_connection", "_database", "_min_txid", "_view")

    def __init__(self, database: Database, min_txid: int) -> None:
        self._database = database
        self._min_txid = min_txid

    @property
    def txid(self) -> int:
        """The last transaction that the connection sees."""
        return self._view.txid

    @property
    def view(self) -> View:
        """The state that the connection sees, as pages."""
        return self._view

    def __enter__(self) -> apsw.Connection:
        database = self._database
        database._require_open()
        if self._min_txid > database.txid:
            database.refresh(self._min_txid)
        self._view = database._pages.pin()
        try:
            self._connection: Connection = database._readers.take(self._view)
        except BaseException:
            database._pages.unpin(self._view)
            raise
        return self._connection.apsw

    def __exit__(self, *_: object) -> Literal[False]:
        self._database._readers.give_back(self._connection)
        self._database._pages.unpin(self._view)
        return False


class WriterLease:
    """The result of `Database.writer`. It can be entered once at a time."""

    __slots__ = ("_connection", "_database", "_foreign_keys", "_transaction", "_txid", "_view")
    _wait: float = -1

    def __init__(self, database: Database, *, foreign_keys: bool = True, transaction: bool = True) -> None:
        self._database = database
        self._foreign_keys = foreign_keys
        self._transaction = transaction
        self._view: View | None = None
        self._connection: Connection

    def __enter__(self) -> apsw.Connection:
        database = self._database
        about_to_wait()
        database.require_not_writing()
        if not database._writing.acquire(timeout=self._wait):
            raise apsw.BusyError("database is locked")
        database._writing_thread = threading.get_ident()
        try:
            database._require_open()
            database._replica.prepare_commits()
            database._freshen()
            self._view = database._pages.pin()
            self._txid = self._view.txid
            self._connection = database._take_writer(self._view)
            self._enforce_foreign_keys(self._foreign_keys)
            if self._transaction:
                self._connection.apsw.execute("BEGIN IMMEDIATE")
                page_one = database._pages.page_one(self._view) if self._view.commit else b""
                database._recorder.begin(self._connection.apsw, page_one)
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
            self._enforce_foreign_keys(True)
            keep = not self._connection.file.broken
            self._txid = self._connection.file.next_view.txid
        finally:
            self._release(keep=keep)
        return False

    @property
    def txid(self) -> int:
        """After a commit its TXID; before, the transaction on which this one builds."""
        return self._txid

    @property
    def intact(self) -> bool:
        """True if the transaction can be committed: it has not ended, and no page of it was refused."""
        return self._connection.apsw.in_transaction and not self._connection.file.broken

    @property
    def refusal(self) -> StorageError | None:
        """The error by which a page of the transaction was refused."""
        return self._connection.file.refusal

    def changed_bytes(self) -> int:
        """The size of the pages that the transaction has changed so far. Raises `TransactionTooLarge`."""
        self._connection.apsw.cache_flush()
        return self._connection.file.changed_bytes

    def _commit(self) -> None:
        if not self._transaction:
            return
        if not self._connection.apsw.in_transaction:
            raise StorageError("the transaction was ended inside the writer's block")
        if not self.intact:
            raise StorageError("the transaction cannot be committed after an error in one of its writes")
        self._database._recorder.finish(self._connection.apsw, self._txid + 1)
        self._connection.apsw.execute("COMMIT")

    def _enforce_foreign_keys(self, enforce: bool) -> None:
        self._connection.apsw.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))

    def _release(self, *, keep: bool) -> None:
        database = self._database
        database._recorder.abandon()
        if self._view is not None:
            database._pages.unpin(self._view)
            self._view = None
        if not keep:
            database._drop_writer()
            database._must_look = True
        database._writing_thread = None
        database._writing.release()
