"""The state of one database in this process: the newest view, how it advances, and how pages are fetched."""

import secrets
import threading
import time
from collections import Counter
from typing import Final

from lamdb.errors import CorruptFile, Fenced, NotAStore, ReplicaLag, StorageError
from lamdb.storage import ltx
from lamdb.storage.clock import Clock, Moment, seconds_between
from lamdb.storage.pages import (
    Location,
    PageCache,
    PageMap,
    View,
    missing_pages,
    present_page_one,
)
from lamdb.storage.replica import FileGone, FileInfo, OpenFile, Replica, plan

_ATTEMPTS: Final = 5
"""How often opening is tried while compaction replaces files under it."""

_SINGLE_STEPS: Final = 4
"""How many transactions a refresh fetches one by one before it lists what else there is."""

_FILES_AT_ONCE: Final = 64

_TRUST_NEXT_KEY: Final = 600.0
"""Seconds. A free next key means "nothing newer" only to someone who looked more recently than level 0 is
pruned."""


class PageStore:
    """Views over a replica. Any number of threads may read and refresh; commits are serial (the caller's
    lock)."""

    def __init__(
        self, replica: Replica, clock: Clock, *, page_size: int, cache_bytes: int, stale_after: float
    ) -> None:
        self.replica = replica
        self.clock = clock
        self.cache = PageCache(cache_bytes)
        self.stale_after = stale_after
        self._new_page_size = page_size
        self._refreshing = threading.Lock()
        self._heads = threading.Lock()
        self._pinned: Counter[int] = Counter()
        self._head, self._checked = self._load()

    @property
    def head(self) -> View:
        """The newest view this process knows of."""
        return self._head

    def pin(self) -> View:
        """The newest view; its pages stay reachable until `unpin`."""
        with self._heads:
            view = self._head
            self._pinned[view.txid] += 1
            return view

    def unpin(self, view: View) -> None:
        with self._heads:
            if self._pinned[view.txid] == 1:
                del self._pinned[view.txid]
            else:
                self._pinned[view.txid] -= 1

    def age(self) -> float:
        """Seconds since the newest view was last known to be the newest in the store."""
        return seconds_between(self._checked, self.clock.now())

    # Reading

    def read(self, view: View, number: int, ahead: int = 1) -> bytes:
        """Page `number` of `view`; on the way, up to `ahead` pages from there on are fetched in the same
        request.

        A page that no file holds is zero: SQLite never reads content from one.
        """
        location = view.locate(number)
        if location is None:
            return bytes(view.page_size)
        page = self.cache.get(PageCache.key(location, number))
        if page is not None:
            return page
        return self._fetch(view, number, location, ahead)

    def page_one(self, view: View) -> bytes:
        """The first page as SQLite is shown it."""
        if view.page_one is None:
            view.page_one = present_page_one(self.read(view, 1), view.txid, view.commit)
        return view.page_one

    def _fetch(self, view: View, number: int, location: Location, ahead: int) -> bytes:
        run = self._run(view, number, location, ahead)
        start = location.offset
        last = run[-1][1]
        data = self.replica.read(location.file, start, last.offset + last.size - start)
        if data is None:
            self._relocate(view)
            return self.read(view, number, ahead)
        first = b""
        for wanted, place in run:
            frame = data[place.offset - start : place.offset - start + place.size]
            try:
                page = ltx.decode_page(frame, wanted, view.page_size)
            except CorruptFile as error:
                key = location.file.key
                raise CorruptFile(f"{key}: {error.message}", meta={"object": key}) from error
            self.cache.put(PageCache.key(place, wanted), page)
            first = first or page
        return first

    def _run(self, view: View, number: int, location: Location, ahead: int) -> list[tuple[int, Location]]:
        """Pages from `number` on that lie behind each other in the same file and are not in the cache."""
        run = [(number, location)]
        for following in range(number + 1, min(number + ahead, view.commit + 1)):
            place = view.locate(following)
            if (
                place is None
                or place.file is not location.file
                or PageCache.key(place, following) in self.cache
            ):
                break
            run.append((following, place))
        return run

    def _relocate(self, view: View) -> None:
        """Finds the pages of `view` anew after compaction replaced a file it referred to."""
        chosen = plan(self.replica.files(), upto=view.txid)
        if not chosen or chosen[-1].max_txid != view.txid:
            raise StorageError(f"the state of transaction {view.txid} is no longer in the store")
        view.map = self._map_of(self.replica.open_all(chosen))

    # Catching up

    def refresh(self, min_txid: int = 0, timeout: float = 5.0) -> int:
        """Looks for newer transactions until `min_txid` has appeared; the newest TXID.

        Raises `ReplicaLag` if it has not after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        pause = 0.005
        while True:
            self.catch_up()
            if self._head.txid >= min_txid:
                return self._head.txid
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise ReplicaLag(
                    f"transaction {min_txid} did not appear within {timeout:g} s (newest: {self._head.txid})",
                    meta={"wanted": min_txid, "txid": self._head.txid},
                )
            time.sleep(min(pause, remaining))
            pause = min(2 * pause, 0.1)

    def catch_up(self) -> None:
        """Advances to the newest transaction in the store. Callers that meet share one look."""
        called = self.clock.now()
        with self._refreshing:
            if self._checked >= called:
                return
            if self.age() > _TRUST_NEXT_KEY:
                self._reload()
                return
            for _ in range(_SINGLE_STEPS):
                started = self.clock.now()
                file = self.replica.next_file(self._head.txid)
                if file is None:
                    self._checked = started
                    return
                self._apply(file)
            self._catch_up_by_listing()

    def _catch_up_by_listing(self) -> None:
        started = self.clock.now()
        newer = self.replica.level_0_after(self._head.txid)
        if [file.min_txid for file in newer] != list(
            range(self._head.txid + 1, self._head.txid + 1 + len(newer))
        ):
            self._reload()
            return
        try:
            for first in range(0, len(newer), _FILES_AT_ONCE):
                for file in self.replica.open_all(newer[first : first + _FILES_AT_ONCE]):
                    self._apply(file)
        except FileGone:
            self._reload()
            return
        self._checked = started

    def _apply(self, file: OpenFile) -> None:
        """Makes `file`, which must follow the newest view, the newest view."""
        head = self._head
        self._require_page_size(file, head)
        with self._heads:
            oldest = min(self._pinned, default=head.txid)
            head.map.add(file, min(oldest, head.txid))
            self._head = self._view_after(head.map, file)
        self._remember(file)

    def _reload(self) -> None:
        view, checked = self._load()
        if view.txid < self._head.txid:
            raise StorageError(
                f"the store went back from transaction {self._head.txid} to {view.txid}",
                hint="Objects were deleted or the bucket was restored under a running process: restart it.",
            )
        with self._heads:
            self._head, self._checked = view, checked

    def _load(self) -> tuple[View, Moment]:
        for attempt in range(_ATTEMPTS):
            started = self.clock.now()
            files = self.replica.files()
            chosen = plan(files)
            self._require_no_gap(files, chosen)
            try:
                opened = self.replica.open_all(chosen)
            except FileGone:
                if attempt == _ATTEMPTS - 1:
                    raise
                continue
            return self._view_of(opened), started
        raise AssertionError("unreachable")

    def _require_no_gap(self, files: list[FileInfo], chosen: list[FileInfo]) -> None:
        newest = max((file.max_txid for file in files), default=0)
        reached = chosen[-1].max_txid if chosen else 0
        if reached < newest:
            raise CorruptFile(
                f"{self.replica.store.url}: transaction {reached + 1} is missing, though there is {newest}",
                meta={"txid": reached + 1},
            )

    def _view_of(self, opened: list[OpenFile]) -> View:
        if not opened:
            return View(PageMap(), 0, self._new_page_size, 0, 0)
        return self._view_after(self._map_of(opened), opened[-1])

    def _map_of(self, opened: list[OpenFile]) -> PageMap:
        pages = PageMap()
        newest = opened[-1].info.max_txid
        for file in opened:
            pages.add(file, newest)
            self._remember(file)
        return pages

    def _view_after(self, pages: PageMap, file: OpenFile) -> View:
        header = file.header
        return View(pages, file.info.max_txid, header.page_size, header.commit, header.timestamp_ms)

    def _remember(self, file: OpenFile) -> None:
        """Keeps the pages of a file that was read whole."""
        for number, page in (file.pages or {}).items():
            self.cache.put(file.info.max_txid << 32 | number, page)

    def _require_page_size(self, file: OpenFile, head: View) -> None:
        if head.commit and file.header.page_size != head.page_size:
            key = file.info.key
            raise CorruptFile(
                f"{key}: its pages have {file.header.page_size} bytes, those before it {head.page_size}",
                meta={"object": key},
            )

    # Committing

    def commit(self, base: View, written: dict[int, bytes], commit: int, page_size: int) -> View:
        """Makes `written` (page number → page) the transaction after `base`; `commit` is the new size in
        pages.

        Returns the new view once the store has it. Raises `Fenced` if the store has, or may have, something
        newer than `base`; `StoreUnavailable` if the outcome is unknown.
        """
        txid = base.txid + 1
        pages = {number: page for number, page in written.items() if number <= commit}
        pages.pop(ltx.lock_page(page_size), None)
        for number in missing_pages(base.commit, commit, page_size, pages):
            pages[number] = bytes(page_size)
        timestamp_ms = max(int(self.clock.now().wall * 1000), base.timestamp_ms)
        header = ltx.Header(page_size, commit, txid, txid, timestamp_ms, nonce=secrets.randbits(64))
        body = ltx.encode(header, sorted(pages.items()))
        if self.age() > self.stale_after:
            self.catch_up()
        if self._head.txid != base.txid:
            raise Fenced(f"another writer committed transaction {txid} first", meta={"txid": txid})
        self.replica.commit(txid, body, timestamp_ms=timestamp_ms)
        info = FileInfo(0, txid, txid, len(body), self.replica.key(0, txid, txid))
        file = OpenFile(info, header, ltx.PageIndex.from_tail(body, len(body)), pages)
        with self._refreshing:
            if self._head.txid == base.txid:
                self._apply(file)
                self._checked = self.clock.now()
        return self._head

    def require_database(self) -> None:
        if not self._head.commit:
            raise NotAStore(f"{self.replica.store.url} holds no database")
