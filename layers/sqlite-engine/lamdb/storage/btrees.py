"""Prefetches pages of b-trees, which SQLite would read one by one.

SQLite learns of a page from the one above it, and waits for each. A search, or a list of ids, will need
many that lie side by side in one b-tree. `Prefetcher` walks its interior pages, which are few, and fetches
what is below them in parallel, with one request for pages that are near each other in the store. What it
fetches goes into the page cache. It changes nothing but the time that statements take, and does nothing where
the pages are in memory already.

The format is that of https://www.sqlite.org/fileformat2.html#b_tree_pages.
"""

import bisect
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import apsw

from lamdb.storage.cache.pagecache import cache_key
from lamdb.storage.fetch import PageFetcher
from lamdb.storage.pages import View

_INTERIOR: Final = {2, 5}
_TABLE: Final = 5
_HEADER: Final = 12
_FILE_HEADER: Final = 100
_MAX_DEPTH: Final = 20

_GAP_BYTES: Final = 64 * 1024
"""Largest gap between pages that one request fetches: reading it takes less time than a request."""
_FAR_GAP_BYTES: Final = 2 * 1024 * 1024
"""The same where the pages would otherwise take more than `_REQUESTS` requests."""
_REQUESTS: Final = 5
_RUN_BYTES: Final = 4 * 1024 * 1024

_FEW_CHILDREN: Final = 8
"""A root page with more children has leaves below it, or more pages than are worth a request each."""
_SHARE_OF_CACHE: Final = 4
_MOST_BYTES: Final = 32 * 1024 * 1024
"""The most bytes that one call fetches, so that it does not flush the cache."""


class Prefetcher:
    """Fetches pages of one state of the database."""

    def __init__(self, fetcher: PageFetcher, view: View) -> None:
        self._fetcher = fetcher
        self._view = view
        self._most = min(_MOST_BYTES, fetcher.cache.budget // _SHARE_OF_CACHE) // view.page_size

    @property
    def requests(self) -> int:
        """How many requests for pages this process has sent to the store."""
        return self._fetcher.requests

    def trees(self, whole: Sequence[int], upper: Sequence[int] = ()) -> None:
        """Fetches b-trees by their root pages: all pages of `whole`, those near the roots of `upper`."""
        self.pages([*whole, *upper])
        near = [child for root in upper for child in self._few_children(root)]
        level = [child for root in whole for child in self._children(root)]
        for _ in range(_MAX_DEPTH):
            if len(level) + len(near) > self._most:
                return
            self.pages([*level, *near])
            near = []
            level = [child for number in level for child in self._children(number)]
            if not level:
                return

    def _few_children(self, root: int) -> list[int]:
        children = self._children(root)
        return children if len(children) <= _FEW_CHILDREN else []

    def rows(self, root: int, rowids: Iterable[int]) -> None:
        """Fetches the leaves in which the rows of a table are; `root` is its root page."""
        wanted = {root: sorted(set(rowids))}
        for _ in range(_MAX_DEPTH):
            self.pages(wanted)
            below: dict[int, list[int]] = {}
            for number, ids in wanted.items():
                for child, its in self._paths(number, ids):
                    below.setdefault(child, []).extend(its)
            if not below:
                return
            wanted = below

    def pages(self, numbers: Iterable[int]) -> None:
        """Fetches pages by their numbers, and waits for them."""
        missing = sorted({number for number in numbers if self._is_missing(number)})[: self._most]
        for run in self._runs(missing):
            self._fetcher.prefetch_pages(self._view, run)
        # What is under way is waited for, what was not fetched with the others is asked for again.
        for number in missing:
            self._fetcher.read(self._view, number)

    def _is_missing(self, number: int) -> bool:
        location = self._view.locate(number)
        return location is not None and cache_key(location.file.max_txid, number) not in self._fetcher.cache

    def _runs(self, numbers: Sequence[int]) -> list[list[int]]:
        """Ascending pages in groups, for each of which one request is made."""
        gap, most = self._count(_GAP_BYTES), self._count(_RUN_BYTES)
        runs = _grouped(numbers, gap, most)
        while len(runs) > _REQUESTS and gap < self._count(_FAR_GAP_BYTES):
            gap *= 2
            runs = _grouped(numbers, gap, most)
        return runs

    def _count(self, size: int) -> int:
        return max(1, size // self._view.page_size)

    def _page(self, number: int) -> tuple[bytes, int]:
        """A page, and where its b-tree header begins."""
        return self._fetcher.read(self._view, number), _FILE_HEADER if number == 1 else 0

    def _children(self, number: int) -> list[int]:
        """The pages below an interior page, from left to right; none below a leaf."""
        page, start = self._page(number)
        if page[start] not in _INTERIOR:
            return []
        children = [int.from_bytes(page[cell : cell + 4]) for cell in _cells(page, start)]
        return [*children, int.from_bytes(page[start + 8 : start + 12])]

    def _paths(self, number: int, rowids: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        """The pages below an interior page of a table that lead to rows, each with the rows it leads to."""
        page, start = self._page(number)
        if page[start] != _TABLE:
            return
        cells = _cells(page, start)
        last = int.from_bytes(page[start + 8 : start + 12])
        chosen: dict[int, list[int]] = {}
        for rowid in rowids:
            place = bisect.bisect_left(cells, rowid, key=lambda cell: _rowid(page, cell + 4))
            child = last if place == len(cells) else int.from_bytes(page[cells[place] : cells[place] + 4])
            chosen.setdefault(child, []).append(rowid)
        yield from chosen.items()


def _grouped(numbers: Sequence[int], gap: int, most: int) -> list[list[int]]:
    """Divides ascending numbers where more than `gap` lie between two, or a group would reach over `most`."""
    groups: list[list[int]] = []
    for number in numbers:
        if groups and number - groups[-1][-1] <= gap + 1 and number - groups[-1][0] < most:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def _cells(page: bytes, start: int) -> list[int]:
    """Where the cells of an interior page begin, in the order of their keys."""
    count = int.from_bytes(page[start + 3 : start + 5])
    pointers = page[start + _HEADER : start + _HEADER + 2 * count]
    return [int.from_bytes(pointers[at : at + 2]) for at in range(0, 2 * count, 2)]


def _rowid(page: bytes, at: int) -> int:
    """The varint at a place of a page, as a signed number of 64 bits."""
    value = 0
    for number in range(8):
        byte = page[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    value = value << 8 | page[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value


class Shown(Protocol):
    """The file of a connection: `view` is the state that it sees."""

    view: View


_sources: weakref.WeakKeyDictionary[apsw.Connection, tuple[PageFetcher, Shown]] = weakref.WeakKeyDictionary()


def register(connection: apsw.Connection, fetcher: PageFetcher, file: Shown) -> None:
    """Says where the pages of a connection come from."""
    _sources[connection] = fetcher, file


def prefetcher(connection: apsw.Connection) -> Prefetcher | None:
    """Returns what fetches pages for a connection; None for one to an ordinary file."""
    source = _sources.get(connection)
    return None if source is None else Prefetcher(source[0], source[1].view)
