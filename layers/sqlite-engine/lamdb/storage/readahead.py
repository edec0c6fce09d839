"""Read-ahead: the fetched range grows while a statement reads a file in order."""

from dataclasses import dataclass
from typing import Final

from lamdb.storage.fetch import PageFetcher
from lamdb.storage.pages import View

_FIRST_BYTES: Final = 32 * 1024
"""Bytes to fetch on a random (non-sequential) read: as fast as one page, where a request takes
milliseconds."""

_MOST_BYTES: Final = 1024 * 1024
_SHARE_OF_CACHE: Final = 16
"""A run takes at most this part of the cache, or runs would drop each other's pages before they are read."""

_RUNS_UNDER_WAY: Final = 8
"""Number of runs that are fetched ahead of a long scan, so that requests overlap with each other and with
SQLite. Never more pages are fetched ahead than the scan has read, because it may end at any time."""

_STREAMS: Final = 4
"""A statement may walk through a table and several indexes at once."""


_CALM: Final = 512
"""Reads without a request, after which a walk is taken to be over, or to have come to pages in memory."""


@dataclass(slots=True)
class _Stream:
    """A scan in page order: all pages up to `frontier` were requested, the last ones in a run of `window`.

    It began at `origin`. A page from `start` to a little past the frontier belongs to it. Nothing is fetched
    ahead of a scan that has `fetched` nothing itself, because it may end with the pages in memory.
    """

    origin: int
    start: int
    frontier: int
    window: int
    fetched: bool = False


class ReadAhead:
    """The reading pattern of one connection. A connection is used by one thread at a time."""

    def __init__(self, fetcher: PageFetcher) -> None:
        self._fetcher = fetcher
        self._most_bytes = min(_MOST_BYTES, fetcher.cache.budget // _SHARE_OF_CACHE)
        self._streams: list[_Stream] = []
        self._seen = fetcher.requests
        self._calm = _CALM
        """Reads without a request so far. Then pages in memory are not looked at for walks."""

    def read(self, view: View, number: int) -> bytes:
        """Page `number` of `view`."""
        if self._calm >= _CALM:
            key = view.keys.get(number)
            page = None if key is None else self._fetcher.cache.get(key)
            if page is not None:
                return page
        for position, stream in enumerate(self._streams):
            if stream.start <= number < stream.frontier + stream.window:
                if position:
                    self._streams.insert(0, self._streams.pop(position))
                return self._follow(stream, view, number)
        window = max(1, min(_FIRST_BYTES, self._most_bytes) // view.page_size)
        stream = _Stream(number, number, number + window, window)
        self._streams.insert(0, stream)
        del self._streams[_STREAMS:]
        return self._read(stream, view, number, window)

    def _follow(self, stream: _Stream, view: View, number: int) -> bytes:
        most = max(1, self._most_bytes // view.page_size)
        if number >= stream.frontier:
            stream.window = min(2 * stream.window, most)
            stream.frontier = number + stream.window
        page = self._read(stream, view, number, min(stream.window, stream.frontier - number))
        stream.start = max(stream.start, number - stream.window)
        while (
            stream.fetched
            and stream.frontier - number <= _reach(stream, number, most)
            and stream.frontier <= view.commit
        ):
            stream.window = min(2 * stream.window, most)
            self._fetcher.prefetch(view, stream.frontier, stream.window)
            stream.frontier += stream.window
        return page

    def _read(self, stream: _Stream, view: View, number: int, ahead: int) -> bytes:
        requests = self._fetcher.requests
        page = self._fetcher.read(view, number, ahead)
        if self._fetcher.requests != requests:
            stream.fetched = True
        if self._fetcher.requests != self._seen:
            self._seen = self._fetcher.requests
            self._calm = 0
        else:
            self._calm += 1
        return page


def _reach(stream: _Stream, number: int, most: int) -> int:
    """How far ahead of the reader, who is at page `number`, the frontier should be, at least."""
    if stream.window < most:
        return stream.window // 2
    return min((_RUNS_UNDER_WAY - 1) * most, max(number - stream.origin, most // 2))
