"""Pages on demand: from the cache, or by range from the file that holds them."""

import contextlib
import threading
from typing import Final

from lamdb.errors import CorruptFile, StorageError
from lamdb.storage import ltx
from lamdb.storage.cache import PageCache, cache_key
from lamdb.storage.files import plan
from lamdb.storage.pages import Location, PageMap, View
from lamdb.storage.replica import FileGone, OpenFile, Replica, naming
from lamdb.storage.waiting import about_to_wait

_ATTEMPTS: Final = 5
"""How often a page is looked up anew while compaction replaces files."""

_SHARE_OF_CACHE: Final = 4

type _Run = list[tuple[int, Location]]


class PageFetcher:
    """Reads pages of views. Threads that want the same page share one request. Thread-safe."""

    def __init__(self, replica: Replica, cache: PageCache) -> None:
        self.cache = cache
        self._replica = replica
        self._lock = threading.Lock()
        self._under_way: dict[int, threading.Event] = {}
        self.requests = 0
        """How many runs of pages were asked of the store so far."""

    def read(self, view: View, number: int, ahead: int = 1) -> bytes:
        """Page `number` of `view`. A request fetches up to `ahead` pages from there on.

        Raises `CorruptFile` if no file holds it, `StoreUnavailable` if the store does not answer.
        """
        for _ in range(_ATTEMPTS):
            location = view.locate(number)
            if location is None:
                return _page_without_content(view, number)
            key = cache_key(location.file.max_txid, number)
            while True:
                page = self.cache.get(key)
                if page is not None:
                    return page
                about_to_wait()
                with self._lock:
                    others = self._under_way.get(key)
                    run = self._claim(view, number, location, ahead) if others is None else []
                if others is None:
                    break
                others.wait()
            try:
                return self._fetch(view, run)
            except FileGone:
                self._relocate(view)
        raise StorageError(f"page {number} of transaction {view.txid} keeps moving from file to file")

    def prefetch(self, view: View, number: int, ahead: int) -> None:
        """Fetches `ahead` pages from `number` on in the background, if they are not here yet."""
        location = view.locate(number)
        if location is None or cache_key(location.file.max_txid, number) in self.cache:
            return
        with self._lock:
            if cache_key(location.file.max_txid, number) in self._under_way:
                return
            run = self._claim(view, number, location, ahead)
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

    def _claim(self, view: View, number: int, location: Location, ahead: int) -> _Run:
        """Pages from `number` on in the same file that nobody has or fetches; marks them as under way."""
        run = [(number, location)]
        for following in range(number + 1, min(number + ahead, view.commit + 1)):
            place = view.locate(following)
            if place is None or place.file is not location.file:
                continue
            key = cache_key(place.file.max_txid, following)
            if key in self.cache or key in self._under_way:
                break
            run.append((following, place))
        self.requests += 1
        done = threading.Event()
        for claimed, place in run:
            self._under_way[cache_key(place.file.max_txid, claimed)] = done
        return run

    def _release(self, run: _Run) -> None:
        with self._lock:
            for number, place in run:
                done = self._under_way.pop(cache_key(place.file.max_txid, number))
        done.set()

    def _fetch(self, view: View, run: _Run) -> bytes:
        """Reads a claimed run in one request; its first page."""
        first = b""
        try:
            file, start = run[0][1].file, run[0][1].offset
            end = run[-1][1].offset + run[-1][1].size
            data = self._replica.read(file, start, end - start)
            with naming(file.key):
                for number, place in run:
                    frame = data[place.offset - start : place.offset - start + place.size]
                    page = ltx.decode_page(frame, number, view.page_size)
                    self.cache.put(cache_key(file.max_txid, number), page)
                    first = first or page
        finally:
            self._release(run)
        return first

    def _fetch_quietly(self, view: View, run: _Run) -> None:
        # Nobody waits for this in particular; whoever needs a page that failed here asks again and is told.
        with contextlib.suppress(StorageError, FileGone):
            self._fetch(view, run)

    def _relocate(self, view: View) -> None:
        """Finds the pages of `view` anew after compaction replaced a file it referred to."""
        chosen = plan(self._replica.files(upto=view.txid), upto=view.txid)
        if not chosen or chosen[-1].max_txid != view.txid:
            raise StorageError(f"the state of transaction {view.txid} is no longer in the store")
        pages = PageMap()
        for file in self._replica.open_all(chosen):
            pages.add(file, view.txid)
        view.map = pages


def _page_without_content(view: View, number: int) -> bytes:
    """The page of SQLite's lock byte is in no file. Every other page must be in one."""
    if number != ltx.lock_page(view.page_size):
        raise CorruptFile(f"page {number} of transaction {view.txid} is in no file", meta={"txid": view.txid})
    return bytes(view.page_size)
