"""Fetches pages on demand: from the cache in memory or on disk, or by range from their file."""

import contextlib
import itertools
import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from lamdb.errors import CorruptFile, StorageError
from lamdb.storage.cache.pagecache import PageCache, cache_key
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo, plan
from lamdb.storage.ltx.replica import FileGone, OpenFile, Replica, naming
from lamdb.storage.ltx.retrying import ATTEMPTS
from lamdb.storage.pages import Location, PageMap, View
from lamdb.storage.waiting import about_to_wait

_SHARE_OF_CACHE: Final = 4
_FEWEST_KEYS: Final = 1024

_numbers = itertools.count(1)

type _Run = list[tuple[int, Location]]


class _Bytes(NamedTuple):
    """Bytes of a file. `fetched` are those from the store, which begin at `fetched_from` in the file."""

    data: bytes
    fetched_from: int
    fetched: bytes

    @property
    def from_disk(self) -> bool:
        return len(self.fetched) < len(self.data)


class PageFetcher:
    """Reads pages of views. Threads that want the same page share one request. Thread-safe."""

    def __init__(self, replica: Replica, cache: PageCache) -> None:
        self.cache = cache
        self._replica = replica
        self._lock = threading.Lock()
        self._under_way: dict[int, threading.Event] = {}
        self.number = next(_numbers)
        """Tells the databases of this process apart."""
        self.requests = 0
        """Number of runs of pages that were requested from the store so far."""

    @property
    def busy(self) -> bool:
        """True if pages are being fetched."""
        return bool(self._under_way)

    def read(self, view: View, number: int, ahead: int = 1) -> bytes:
        """Returns page `number` of `view`. A request fetches up to `ahead` pages from it on.

        Raises `CorruptFile` if no file contains the page, `StoreUnavailable` if the store does not answer.
        """
        for _ in range(ATTEMPTS):
            location = view.locate(number)
            if location is None:
                return _page_without_content(view, number)
            key = cache_key(location.file.max_txid, number)
            self._remember(view, number, key)
            while True:
                page = self.cache.get(key)
                if page is not None:
                    return page
                about_to_wait()
                with self._lock:
                    others = self._under_way.get(key)
                    if others is None:
                        run = self._run(view, number, location, ahead)
                        run = self._claim(self._on_disk(run) or run)
                        break
                others.wait()
            try:
                return self._fetch(view, run)
            except FileGone:
                self._relocate(view)
        raise StorageError(f"page {number} of transaction {view.txid} keeps moving from file to file")

    def _remember(self, view: View, number: int, key: int) -> None:
        """Records the key of a page, so that its next read does not look it up in the files' indexes."""
        if len(view.keys) > max(_FEWEST_KEYS, self.cache.budget // view.page_size):
            view.keys.clear()
        view.keys[number] = key

    def prefetch(self, view: View, number: int, ahead: int) -> None:
        """Fetches `ahead` pages from `number` on in the background, unless they are cached."""
        location = view.locate(number)
        if location is None or cache_key(location.file.max_txid, number) in self.cache:
            return
        with self._lock:
            if cache_key(location.file.max_txid, number) in self._under_way:
                return
            run = self._claim(self._run(view, number, location, ahead))
        self._begin(view, run)

    def prefetch_pages(self, view: View, numbers: Sequence[int]) -> None:
        """Fetches ascending pages in the background, with one request for each file.

        Pages between them are read, too, but not cached.
        """
        runs: dict[int, _Run] = {}
        with self._lock:
            for number in numbers:
                location = view.locate(number)
                if location is not None:
                    key = cache_key(location.file.max_txid, number)
                    if key not in self.cache and key not in self._under_way:
                        runs.setdefault(location.file.max_txid, []).append((number, location))
            for run in runs.values():
                self._claim(run)
        for run in runs.values():
            self._begin(view, run)

    def _begin(self, view: View, run: _Run) -> None:
        """Fetches a claimed run in the background."""
        try:
            task = self._replica.pool.submit(self._fetch_quietly, view, run)
        except RuntimeError:  # The pool is shut down: the database is being closed.
            self._release(run)
            return
        task.add_done_callback(lambda task: self._release(run) if task.cancelled() else None)

    def keep(self, file: OpenFile) -> None:
        """Caches the pages of a file that was opened or written, unless they would flush the cache."""
        if len(file.pages) * file.header.page_size > self.cache.budget // _SHARE_OF_CACHE:
            return
        for number, page in file.pages.items():
            self.cache.put(cache_key(file.info.max_txid, number), page)

    def _run(self, view: View, number: int, location: Location, ahead: int) -> _Run:
        """Returns the pages from `number` on in the same file that are neither in memory nor being
        fetched."""
        run = [(number, location)]
        for following in range(number + 1, min(number + ahead, view.commit + 1)):
            place = view.locate(following)
            if place is None or place.file is not location.file:
                continue
            key = cache_key(place.file.max_txid, following)
            if key in self.cache or key in self._under_way:
                break
            run.append((following, place))
        return run

    def _on_disk(self, run: _Run) -> _Run:
        """Returns the pages of a run before the first one that is not on disk. They need no request."""
        file = run[0][1].file
        reach = self._replica.disk.reach(file.content, *_extent(run))
        return [(number, place) for number, place in run if place.offset + place.size <= reach]

    def _claim(self, run: _Run) -> _Run:
        """Marks pages as being fetched."""
        done = threading.Event()
        for number, place in run:
            self._under_way[cache_key(place.file.max_txid, number)] = done
        return run

    def _release(self, run: _Run) -> None:
        with self._lock:
            for number, place in run:
                done = self._under_way.pop(cache_key(place.file.max_txid, number))
        done.set()

    def _fetch(self, view: View, run: _Run) -> bytes:
        """Reads a claimed run, with one request at most. Returns its first page."""
        file = run[0][1].file
        try:
            found = self._bytes(file, *_extent(run))
            try:
                first = self._decode(view, run, found.data)
            except CorruptFile:
                if not found.from_disk:
                    raise
                self._replica.disk.forget(file.content)
                found = self._bytes(file, *_extent(run))
                first = self._decode(view, run, found.data)
            # Before other threads continue: memory may have dropped the pages by the time they look.
            if found.fetched:
                self._replica.disk.put(file.content, found.fetched_from, found.fetched)
        finally:
            self._release(run)
        return first

    def _bytes(self, file: FileInfo, start: int, end: int) -> _Bytes:
        """Returns bytes of a file. One request covers the bytes that are not on disk, from first to last."""
        disk = self._replica.disk
        gaps = disk.gaps(file.content, start, end)
        low, high = (gaps[0][0], gaps[-1][1]) if gaps else (end, end)
        before = disk.get(file.content, start, low) if low > start else b""
        after = disk.get(file.content, high, end) if end > high else b""
        if before is None or after is None:  # Damaged, or just dropped.
            low, high, before, after = start, end, b"", b""
        if low == high:
            return _Bytes(before, low, b"")
        with self._lock:
            self.requests += 1
        fetched = self._replica.read(file, low, high - low)
        return _Bytes(before + fetched + after, low, fetched)

    def _decode(self, view: View, run: _Run, data: bytes) -> bytes:
        """Puts the pages of a run, whose bytes are `data`, into memory. Returns the first page."""
        start, first = run[0][1].offset, b""
        with naming(run[0][1].file.key):
            for number, place in run:
                frame = data[place.offset - start : place.offset - start + place.size]
                page = ltx.decode_page(frame, number, view.page_size, place.crc)
                self.cache.put(cache_key(place.file.max_txid, number), page)
                first = first or page
        return first

    def _fetch_quietly(self, view: View, run: _Run) -> None:
        # No thread waits for this. One that needs a page that failed here requests it and gets the error.
        with contextlib.suppress(StorageError, FileGone):
            self._fetch(view, run)

    def _relocate(self, view: View) -> None:
        """Finds the pages of `view` again after compaction replaced one of its files."""
        chosen = plan(self._replica.files(upto=view.txid), upto=view.txid)
        if not chosen or chosen[-1].max_txid != view.txid:
            raise StorageError(f"the state of transaction {view.txid} is no longer in the store")
        pages = PageMap()
        for file in self._replica.open_all(chosen):
            pages.add(file, view.txid)
        view.map = pages


def _extent(run: _Run) -> tuple[int, int]:
    """Returns start and end of a run in its file."""
    first, last = run[0][1], run[-1][1]
    return first.offset, last.offset + last.size


def _page_without_content(view: View, number: int) -> bytes:
    """The page of SQLite's lock byte is in no file. Every other page must be in one."""
    if number != ltx.lock_page(view.page_size):
        raise CorruptFile(f"page {number} of transaction {view.txid} is in no file", meta={"txid": view.txid})
    return bytes(view.page_size)
