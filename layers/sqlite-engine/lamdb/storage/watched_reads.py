"""Reads that are remembered: whether a later transaction can have changed their result.

What a statement returns depends on nothing in the database but the pages that SQLite reads for it. So a
result is still right while none of these pages has changed and the schema is the same. That holds whatever
the statement is made of: indexes, views, rules that read other tables, full-text indexes.

    with database.watched.lease() as lease:
        answer = read(lease.connection)
        watch = database.watched.watch(lease.reads())
    ...
    watch.has_changed()    # False: the same read would return the same

The first page has counters that every transaction changes; its other content is compared. Functions of time
or chance, and what is kept in memory between statements, are not seen.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal, Self

import apsw

from lamdb.errors import LamdbError
from lamdb.storage.connections import Connection
from lamdb.storage.pagefile import PageFile
from lamdb.storage.pages import View
from lamdb.storage.pagestore import PageStore
from lamdb.storage.waiting import NoWaiting, WouldWait

MOST_PAGES: Final = 16_384
"""Pages of one read beyond which any change counts as one of them."""

_FREELIST_COUNT: Final = slice(36, 40)
_LASTING: Final = (slice(40, 92), slice(100, None))
"""The parts of the first page that only change with the schema."""
_MARK: Final = 1 << 31
"""Beyond the number of free pages of any database."""


@dataclass(frozen=True, slots=True)
class Reads:
    """The pages that were read of the state after transaction `txid`.

    - `pages`: their numbers, ascending, without the first; None if there are too many.
    - `first`: the digest of what lasts of the first page.
    """

    txid: int
    pages: array[int] | None
    first: bytes

    def overlap(self, changed: frozenset[int] | None) -> bool:
        """True if one of the pages is among `changed`, or if either is not known."""
        if self.pages is None or changed is None:
            return changed is None or bool(changed)
        return any(_has(self.pages, number) for number in changed)


def lasting(page_one: bytes) -> bytes:
    """The digest of what lasts of the first page."""
    return blake2b(b"".join(page_one[part] for part in _LASTING), digest_size=16).digest()


class WatchedFile(PageFile):
    """The file of a connection that remembers which pages SQLite reads.

    SQLite would not read again what it has in its own cache. So `begin` changes the header as it is shown,
    which makes SQLite empty that cache when it locks the file, and forget what FTS5 keeps of its indexes.
    """

    def __init__(self, store: PageStore, view: View, *, writable: bool, max_transaction_bytes: int) -> None:
        super().__init__(store, view, writable=writable, max_transaction_bytes=max_transaction_bytes)
        # A result from memory would have read no pages.
        self.repeatable = False
        self._times = 0
        self._read: set[int] = set()

    def begin(self) -> None:
        """Forgets what was read. To be called while the file is not locked."""
        self._times += 1
        self._read = set()

    def reads(self, first: bytes) -> Reads:
        """The pages read since `begin`; `first` is `lasting` of the first page."""
        pages = None if len(self._read) > MOST_PAGES else array("I", sorted(self._read))
        return Reads(self.view.txid, pages, first)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802
        number = offset // self._page_size + 1
        if number > 1:
            if len(self._read) <= MOST_PAGES:
                self._read.add(number)
            return super().xRead(amount, offset)
        page = super().xRead(self._page_size, 0)
        if page:
            mark = (_MARK | self._times).to_bytes(4, "big")
            page = page[: _FREELIST_COUNT.start] + mark + page[_FREELIST_COUNT.stop :]
        return page[offset : offset + amount]


class WatchedReads:
    """The connections of one database whose reads are remembered. Thread-safe."""

    def __init__(self, store: PageStore, connect: Callable[[View], Connection], *, idle_limit: int) -> None:
        """`connect`: makes a connection whose file is a `WatchedFile`."""
        self._store = store
        self._connect = connect
        self._idle: deque[Connection] = deque()
        self._idle_limit = idle_limit
        self._newest: tuple[int, bytes] = (0, b"")
        """A TXID, and the digest of what lasts of its first page."""

    def lease(self) -> "WatchedLease":
        """A connection to the newest state, and what is read on it."""
        self._store.changed.watch()
        return WatchedLease(self, self._store)

    def watch(self, reads: Reads) -> "Watch":
        """Tells from now on whether what was read may have changed."""
        return Watch(self, self._store, reads)

    def take(self, view: View) -> Connection:
        """A connection that will read `view`, with SQLite's cache empty."""
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = self._connect(view)
            file = connection.file
            assert isinstance(file, WatchedFile)
            file.begin()
            if connection.show(view):
                return connection
            connection.close()

    def give_back(self, connection: Connection) -> None:
        if connection.apsw.in_transaction:
            connection.apsw.execute("COMMIT")
        if len(self._idle) >= self._idle_limit or connection.file.level != apsw.SQLITE_LOCK_NONE:
            connection.close()
        else:
            self._idle.append(connection)

    def lasting(self, view: View) -> bytes:
        """`lasting` of a view's first page. Raises what reading it raises."""
        known = self._newest
        if known[0] != view.txid:
            known = self._newest = view.txid, lasting(self._store.page_one(view))
        return known[1]

    def close(self) -> None:
        """Closes the idle connections and, as they come back, the others."""
        self._idle_limit = 0
        while self._idle:
            self._idle.pop().close()


class WatchedLease:
    """The result of `WatchedReads.lease`. It can be entered once."""

    __slots__ = ("_connection", "_store", "_view", "_watched")

    def __init__(self, watched: WatchedReads, store: PageStore) -> None:
        self._watched = watched
        self._store = store

    @property
    def connection(self) -> apsw.Connection:
        return self._connection.apsw

    @property
    def txid(self) -> int:
        """The last transaction that the connection sees."""
        return self._view.txid

    def reads(self) -> Reads:
        """The pages read so far."""
        file = self._connection.file
        assert isinstance(file, WatchedFile)
        return file.reads(self._watched.lasting(self._view))

    def __enter__(self) -> Self:
        self._view = self._store.pin()
        try:
            self._connection = self._watched.take(self._view)
        except BaseException:
            self._store.unpin(self._view)
            raise
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        try:
            self._watched.give_back(self._connection)
        finally:
            self._store.unpin(self._view)
        return False


class Watch:
    """Follows one result: whether it may have changed by the newest transaction that this process knows."""

    __slots__ = ("_reads", "_since", "_store", "_watched")

    def __init__(self, watched: WatchedReads, store: PageStore, reads: Reads) -> None:
        self._watched = watched
        self._store = store
        self._reads = reads
        self._since = reads.txid
        """The newest transaction up to which nothing has changed."""

    def has_changed(self) -> bool:
        """False if the read would return the same now. Neither waits nor raises."""
        head = self._store.head
        if head.txid == self._since:
            return False
        if self._reads.overlap(self._store.changed.between(self._since, head.txid)):
            return True
        try:
            with NoWaiting():
                first = self._watched.lasting(head)
        except (WouldWait, LamdbError):
            return True  # reading it again tells what is wrong
        if first != self._reads.first:
            return True
        self._since = head.txid
        return False


def _has(pages: array[int], number: int) -> bool:
    place = bisect_left(pages, number)
    return place < len(pages) and pages[place] == number
