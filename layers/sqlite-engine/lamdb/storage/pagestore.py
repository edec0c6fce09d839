"""The state of one database in this process: its newest snapshot, and how it advances."""

import heapq
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from lamdb.errors import CorruptFile, Fenced, NotAStore, ReplicaLag, StorageError, StoreUnavailable
from lamdb.storage.cache.pagecache import PageCache
from lamdb.storage.changed_pages import ChangedPages
from lamdb.storage.clock import CLOCK_SKEW_MS, Clock, Moment, seconds_between
from lamdb.storage.fetch import PageFetcher
from lamdb.storage.hydration import Hydration
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo, plan
from lamdb.storage.ltx.pageindex import PageIndex
from lamdb.storage.ltx.replica import FileGone, OpenFile, Replica, fenced, identified, naming
from lamdb.storage.ltx.restorepoints import not_restorable
from lamdb.storage.ltx.retrying import retry_gone
from lamdb.storage.ltx.selfcheck import CheckReport
from lamdb.storage.ltx.stream import write_mapped
from lamdb.storage.pages import PageMap, View, missing_pages, present_page_one
from lamdb.storage.stores.objectstore import Body

_SINGLE_STEPS: Final = 4
"""Number of transactions that a refresh fetches one by one before it lists the others."""

_FILES_AT_ONCE: Final = 64

_MANY: Final = 64
"""Transactions beyond which a refresh spends a request on the list of what has been compacted."""

_FAR: Final = 100
"""Number of transactions beyond the newest that no writer commits between two looks of a reader."""

_TRUST_NEXT_KEY: Final = 600.0
"""Seconds. A free next key only means that there is no newer transaction if the last look was more recent
than the pruning of level 0, which takes place after days."""

_PRIVATE: Final = (
    "A store in memory belongs to the process that made it. Address the server that has it: "
    "--url http://127.0.0.1:8000"
)


class LookingFor:
    """A transaction that must appear in the store, and the looks at the store until then.

    A token names a transaction that was in the store when the token was issued. So the first look usually
    finds it. The second look must find it: it lists all files, because those of single transactions may have
    been compacted and pruned. Further looks allow for clocks and caches on the way, but not for many
    transactions.
    """

    def __init__(self, txid: int, seconds: float) -> None:
        self._txid = txid
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds
        self._looks = 0

    @property
    def by_listing(self) -> bool:
        """True if the next check lists all files."""
        return self._looks == 1

    def is_done(self, newest: int) -> bool:
        """True if a check has found the transaction. Raises `ReplicaLag` if no further look is worth it."""
        self._looks += 1
        if newest >= self._txid:
            return True
        meta = {"wanted": self._txid, "txid": newest}
        if self._looks > 1 and self._txid - newest > _FAR:
            raise ReplicaLag(f"transaction {self._txid} is not in the store (newest: {newest})", meta=meta)
        if self.remaining() <= 0:
            raise ReplicaLag(
                f"transaction {self._txid} did not appear within {self._seconds:g} s (newest: {newest})",
                meta=meta,
            )
        return False

    def remaining(self) -> float:
        """Seconds."""
        return max(0.0, self._deadline - time.monotonic())


class PageStore:
    """Views over a replica. Any number of threads may read and refresh; commits are serial (caller's
    lock)."""

    def __init__(
        self, replica: Replica, clock: Clock, *, page_size: int, cache_bytes: int, stale_after: float
    ) -> None:
        self.replica = replica
        self.clock = clock
        self.fetcher = PageFetcher(replica, PageCache(cache_bytes))
        self.stale_after = stale_after
        self._new_page_size = page_size
        self._looking = threading.Lock()
        self._heads = threading.Lock()
        self.committed = 0
        """The newest transaction that this process has committed."""
        self.on_commit: Callable[[int], None] | None = None
        """Called with each transaction that this process commits, before the commit returns."""
        self.commits = 0
        self.commit_seconds = 0.0
        """The duration of the commits so far, at the store."""
        self.fenced = 0
        """Commits rejected because another writer committed first."""
        self.changed = ChangedPages()
        self._pinned: dict[int, int] = {}
        self._recent: deque[View] = deque()
        self._keeps = 0
        self.hydration: Hydration | None = None
        self.last_check: CheckReport | None = None
        """The findings of this process's last pass over the store's files."""
        self._files: list[FileInfo] = []
        self._head, self._looked = self._load()

    @property
    def head(self) -> View:
        """The newest view this process knows of."""
        return self._head

    def pin(self) -> View:
        """Returns the newest view. Its pages remain available until `unpin`."""
        with self._heads:
            view = self._head
            self._pinned[view.txid] = self._pinned.get(view.txid, 0) + 1
            return view

    def unpin(self, view: View) -> None:
        with self._heads:
            self._unpin(view)

    def keep_recent(self, count: int) -> None:
        """Keeps the pages of the last `count` states reachable from now on, for `pin_recent`."""
        with self._heads:
            if not self._keeps:
                self._keeps = count
                self._remember()

    def pin_recent(self, txid: int) -> View | None:
        """The view after a transaction, pinned as by `pin`; None if it is not recent."""
        with self._heads:
            for view in reversed(self._recent):
                if view.txid == txid:
                    self._pinned[txid] += 1
                    return view
            return None

    def _remember(self) -> None:
        """Adds the newest view to the recent ones. The caller holds `_heads`."""
        if not self._keeps:
            return
        self._recent.append(self._head)
        self._pinned[self._head.txid] = self._pinned.get(self._head.txid, 0) + 1
        if len(self._recent) > self._keeps:
            self._unpin(self._recent.popleft())

    def _unpin(self, view: View) -> None:
        uses = self._pinned.pop(view.txid) - 1
        if uses:
            self._pinned[view.txid] = uses

    def age(self) -> float:
        """Seconds since the newest view was last known to be the newest in the store."""
        return seconds_between(self._looked, self.clock.now())

    def page_one(self, view: View) -> bytes:
        """The first page as SQLite is shown it."""
        if view.page_one is None:
            view.page_one = present_page_one(self.fetcher.read(view, 1), view.txid, view.commit)
        return view.page_one

    def require_database(self) -> None:
        """Raises `NotAStore` if no transaction was ever committed."""
        if not self._head.txid:
            url = self.replica.store.url
            raise NotAStore(f"{url} holds no database", hint=_PRIVATE if url == "memory:" else None)

    def hydrate(self) -> None:
        """Starts to read the files of the newest view into the disk cache, in the background."""
        self.hydration = Hydration(self.replica, self.fetcher, self._files)

    def close(self) -> None:
        """Closes the replica."""
        if self.hydration is not None:
            self.hydration.stop()
        self.replica.close()

    # Opening

    def _load(self) -> tuple[View, Moment]:
        """Returns the newest view in the store, and the time at which it was the newest."""
        url = self.replica.store.url

        def read() -> tuple[View, Moment]:
            started = self.clock.now()
            _, chosen = self.replica.chain()
            opened = self.replica.open_all(chosen)
            self._files = [file.info for file in opened]
            return self._view_of(opened), started

        return retry_gone(read, lambda gone: StoreUnavailable(f"{url}: {gone} was listed, but is not there"))

    def view_at(self, txid: int) -> View:
        """The state after transaction `txid`, independent of the newest view; raises `NotRestorable`."""

        def read() -> View:
            # The files may have been listed while they were replaced: look again before giving up.
            chosen = (self._chain_to(txid) or self._chain_to(txid)) if txid else []
            if not chosen:
                raise not_restorable(self.replica, txid)
            return self._view_of(self.replica.open_all(chosen))

        moving = StoreUnavailable(f"the files of transaction {txid} keep moving")
        return retry_gone(read, lambda _: moving)

    def _chain_to(self, txid: int) -> list[FileInfo]:
        """The files that the state after a transaction is made of; none if the listing has no such state."""
        chosen = plan(self.replica.files(upto=txid), txid)
        return chosen if chosen and chosen[-1].max_txid == txid else []

    def _view_of(self, opened: list[OpenFile]) -> View:
        pages = PageMap()
        view = View(pages, 0, self._new_page_size, 0, 0)
        for file in opened:
            self._require_page_size(file, view)
            pages.add(file, opened[-1].info.max_txid)
            self.fetcher.keep(file)
            view = _view_after(pages, file)
        return view

    # Catching up

    def refresh(self, min_txid: int = 0, timeout: float = 5.0) -> int:
        """Looks for newer transactions until `min_txid` has appeared. Returns the newest TXID.

        Raises `ReplicaLag` after `timeout` seconds, or if `min_txid` is far beyond the newest transaction.
        """
        search = LookingFor(min_txid, timeout)
        pause = 0.005
        self.catch_up()
        while not search.is_done(self._head.txid):
            time.sleep(min(pause, search.remaining()))
            pause = min(2 * pause, 0.1)
            self.catch_up(by_listing=search.by_listing)
        return self._head.txid

    def catch_up(self, *, by_listing: bool = False) -> None:
        """Advances to the newest transaction in the store. Threads that meet here share one look.

        Follows the keys of level 0, unless that would prove nothing or `by_listing` demands a full listing.
        """
        called = self.clock.now()
        with self._looking:
            if self._looked >= called:
                return
            if by_listing or self.age() > _TRUST_NEXT_KEY or not self._step():
                self._reload()

    def _step(self) -> bool:
        """Follows level 0. Returns False if it has a gap, because transactions were compacted and pruned."""
        for _ in range(_SINGLE_STEPS):
            started = self.clock.now()
            try:
                file = self.replica.next_file(self._head.txid)
            except FileGone:
                return False
            if file is None:
                self._looked = started
                return True
            self._advance(file)
        started = self.clock.now()
        newer = self._newer_files(self._head.txid)
        if newer is None:
            return False
        try:
            for first in range(0, len(newer), _FILES_AT_ONCE):
                for file in self.replica.open_all(newer[first : first + _FILES_AT_ONCE]):
                    self._advance(file)
        except FileGone:
            return False
        self._looked = started
        return True

    def _newer_files(self, head: int) -> list[FileInfo] | None:
        """Returns the files from TXID `head` to the newest; None if level 0 has a gap there.

        For many transactions, compacted files are used where possible.
        """
        newer = self.replica.level_0_after(head)
        newest = max((file.max_txid for file in newer), default=head)
        chosen = plan(newer, after=head)
        if (chosen[-1].max_txid if chosen else head) < newest:
            return None
        return chosen if len(chosen) <= _MANY else plan(newer + self.replica.compacted(), after=head)

    def _advance(self, file: OpenFile) -> None:
        """Makes `file` the newest transaction, unless it already is part of the newest view."""
        self.fetcher.keep(file)
        with self._heads:
            head = self._head
            if file.info.max_txid <= head.txid:
                return
            self._require_page_size(file, head)
            head.map.add(file, min(self._pinned, default=head.txid))
            if self.changed.watching:
                self.changed.note_file(head.txid, file)
            self._head = _view_after(head.map, file)
            self._remember()

    def _reload(self) -> None:
        known = self._head.txid
        view, started = self._load()
        if view.txid < known:
            raise StorageError(
                f"the store went back from transaction {known} to {view.txid}",
                hint="Objects were deleted or the bucket was restored under a running process: restart it.",
            )
        with self._heads:
            # A commit of this process may have come in between.
            if view.txid >= self._head.txid:
                self.changed.note(self._head.txid, view.txid, None)
                self._head = view
                self._remember()
            self._looked = started

    def _require_page_size(self, file: OpenFile, head: View) -> None:
        found = file.header.page_size
        if head.txid and found != head.page_size:
            with naming(file.info.key):
                raise CorruptFile(f"its pages have {found} bytes, those before it {head.page_size}")

    # Committing

    def commit(self, base: View, written: Mapping[int, bytes], commit: int, page_size: int) -> View:
        """Makes `written` (page number → page) the transaction after `base`; `commit` is the new size in
        pages.

        Pages that are not in memory (`WrittenPages`) are not brought there: their file is made on the local
        disk. Returns the new view when the transaction is in the store. Raises `Fenced` if the store has a
        transaction after `base`, `CommitUnknown` if the outcome is unknown, `TransactionTooLarge` if there is
        no room on the local disk.
        """
        txid = base.txid + 1
        header = ltx.Header(
            page_size,
            commit,
            txid,
            txid,
            timestamp_ms=self._timestamp_after(base),
            nonce=secrets.randbits(64),
        )
        body: Body
        if isinstance(written, dict):
            pages = _pages_of_transaction(base, written, commit, page_size)
            body = ltx.encode(header, sorted(pages.items()))
        else:
            pages = {}
            body = write_mapped(header, _all_pages(base, written, commit, page_size))
        if self.age() > self.stale_after:
            self.catch_up()
        started = self.clock.now()
        if self._head.txid != base.txid:
            self.fenced += 1
            raise fenced(txid)
        try:
            self.replica.commit(txid, body, timestamp_ms=header.timestamp_ms, clock=self.clock)
        except Fenced:
            self.fenced += 1
            raise
        self.commits += 1
        self.commit_seconds += seconds_between(started, self.clock.now())
        self.committed = txid
        if self.on_commit is not None:
            self.on_commit(txid)
        size = len(body)
        tail = body[-PageIndex.size_from_tail(body[-ltx.INDEX_FOOTER_SIZE :], size) :]
        file = identified(self.replica.transaction(txid, size), body[: ltx.HEADER_SIZE], tail)
        self._advance(OpenFile(file, header, PageIndex.from_tail(tail, size), pages))
        self._looked = max(self._looked, started)
        return self._head

    def _timestamp_after(self, base: View) -> int:
        """Returns the time of a transaction after `base`: now, but not before `base`.

        If `base` has a time in the future, its writer's clock was ahead or ours is behind. The time at which
        the store received it tells which, if the store has a clock of its own.
        """
        now = int(self.clock.now().wall * 1000)
        if base.timestamp_ms <= now + CLOCK_SKEW_MS:
            return max(now, base.timestamp_ms)
        found = self.replica.store.head(self.replica.transaction(base.txid, size=0).key)
        stored = 0 if found is None else found.changed_ms or found.modified_ms
        if not stored or base.timestamp_ms <= stored + CLOCK_SKEW_MS:
            return base.timestamp_ms
        return max(now, stored)


def _view_after(pages: PageMap, file: OpenFile) -> View:
    header = file.header
    return View(pages, file.info.max_txid, header.page_size, header.commit, header.timestamp_ms)


def _pages_of_transaction(
    base: View, written: dict[int, bytes], commit: int, page_size: int
) -> dict[int, bytes]:
    """Checks the content of the file: nothing past the end, no lock page, no holes where the database
    grew."""
    lock = ltx.lock_page(page_size)
    pages = {number: page for number, page in written.items() if number <= commit and number != lock}
    zeros = bytes(page_size)
    return pages | dict.fromkeys(missing_pages(base.commit, commit, page_size, pages), zeros)


def _all_pages(
    base: View, written: Mapping[int, bytes], commit: int, page_size: int
) -> Iterator[tuple[int, bytes]]:
    """Yields what `_pages_of_transaction` returns, in ascending order, one page at a time."""
    lock = ltx.lock_page(page_size)
    zeros = bytes(page_size)
    for number in heapq.merge(written, missing_pages(base.commit, commit, page_size, written)):
        if number <= commit and number != lock:
            yield number, written.get(number, zeros)
