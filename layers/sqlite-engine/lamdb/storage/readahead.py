"""How much to fetch at once: more and more, as long as a statement walks through a file in order."""

from dataclasses import dataclass
from typing import Final

from lamdb.storage.fetch import PageFetcher
from lamdb.storage.pages import View

_FIRST_BYTES: Final = 32 * 1024
_MOST_BYTES: Final = 1024 * 1024
_SHARE_OF_CACHE: Final = 8
"""A run takes at most this part of the cache, or it would drop its own pages before they are read."""
_STREAMS: Final = 4
"""A statement may walk through a table and several indexes at once."""


@dataclass(slots=True)
class _Stream:
    """Pages from `start` up to `frontier` have been asked for; the next run will have twice `window`."""

    start: int
    frontier: int
    window: int


class ReadAhead:
    """The reading pattern of one connection. A connection is used by one thread at a time."""

    def __init__(self, fetcher: PageFetcher) -> None:
        self._fetcher = fetcher
        self._most_bytes = min(_MOST_BYTES, fetcher.cache.budget // _SHARE_OF_CACHE)
        self._streams: list[_Stream] = []

    def read(self, view: View, number: int) -> bytes:
        """Page `number` of `view`."""
        for stream in self._streams:
            if stream.start <= number < stream.frontier + stream.window:
                return self._follow(stream, view, number)
        window = max(1, min(_FIRST_BYTES, self._most_bytes) // view.page_size)
        self._streams.insert(0, _Stream(number, number + window, window))
        del self._streams[_STREAMS:]
        return self._fetcher.read(view, number, window)

    def _follow(self, stream: _Stream, view: View, number: int) -> bytes:
        most = max(1, self._most_bytes // view.page_size)
        if number >= stream.frontier:
            stream.window = min(2 * stream.window, most)
            stream.start, stream.frontier = number, number + stream.window
            return self._fetcher.read(view, number, stream.window)
        page = self._fetcher.read(view, number, stream.frontier - number)
        if number >= stream.frontier - stream.window // 2 and stream.frontier <= view.commit:
            stream.window = min(2 * stream.window, most)
            self._fetcher.prefetch(view, stream.frontier, stream.window)
            stream.start, stream.frontier = number, stream.frontier + stream.window
        return page
