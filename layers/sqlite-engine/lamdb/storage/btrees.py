"""Prefetches pages of b-trees, which SQLite would read one by one.

SQLite finds a page by its parent page, and waits for each. A search, or a list of ids, needs many
neighbouring pages of one b-tree. `Prefetcher` reads the few interior pages and fetches the pages below them
in parallel, with one request for pages that are near each other in the store. The pages are put into the page
cache. Statements return the same with and without it. Pages that are in memory already are not fetched.

The format is that of https://www.sqlite.org/fileformat2.html#b_tree_pages.
"""

import bisect
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

import apsw

from lamdb.storage.cache.pagecache import cache_key
from lamdb.storage.fetch import PageFetcher
from lamdb.storage.pages import Location, View

_INTERIOR: Final = {2, 5}
_TABLE: Final = 5
_HEADER: Final = 12
_FILE_HEADER: Final = 100
_MAX_DEPTH: Final = 20

_GAP_BYTES: Final = 64 * 1024
"""Largest gap in a file that one request reads through: it takes less time than a request."""
_FAR_GAP_BYTES: Final = 1024 * 1024
"""The same where the pages would otherwise take more than `_REQUESTS` requests."""
_NEIGHBOURS: Final = 2
_MOST_NEIGHBOURS: Final = 16
_SHARE_OF_RUN: Final = 16
"""Pages beside those that are wanted are read along: two, or after a long run a sixteenth of it. Trees that
were filled one after the other lie so, and so do words that begin alike."""
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
        """The number of requests for pages that this process has sent to the store."""
        return self._fetcher.requests

    def trees(self, whole: Sequence[int], upper: Sequence[int] = (), along: Sequence[int] = ()) -> None:
        """Fetches b-trees by their root pages: all pages of `whole`, those near the roots of `upper`.

        Pages `along` are fetched with them where that takes no further request.
        """
        self.pages([*whole, *upper], along)
        near = [child for root in upper for child in self._few_children(root)]
        level = [child for root in whole for child in self._children(root)]
        for _ in range(_MAX_DEPTH):
            if len(level) + len(near) > self._most:
                return
            self.pages([*level, *near], along)
            near = []
            level = [child for number in level for child in self._children(number)]
            if not level:
                return

    def _few_children(self, root: int) -> list[int]:
        children = self._children(root)
        return children if len(children) <= _FEW_CHILDREN else []

    def rows(self, root: int, rowids: Iterable[int]) -> None:
        """Fetches the leaves with rows of a table; `root` is its root page."""
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

    def pages(self, numbers: Iterable[int], along: Iterable[int] = ()) -> None:
        """Fetches pages by their numbers, and waits for them.

        Pages `along` are fetched with them where that takes no further request.
        """
        missing = self._missing(numbers)[: self._most]
        if not missing:
            return
        runs = self._runs(missing)
        for run in runs:
            after = max(_NEIGHBOURS, min(_MOST_NEIGHBOURS, len(run) // _SHARE_OF_RUN))
            self._extend(run, range(run[0] - 1, max(0, run[0] - 1 - _NEIGHBOURS), -1))
            self._extend(run, range(run[-1] + 1, min(run[-1] + after, self._view.commit) + 1))
        for number in self._missing(along)[: self._most - len(missing)]:
            self._extend(
                min(runs, key=lambda run: min(abs(number - run[0]), abs(number - run[-1]))), [number]
            )
        for run in runs:
            self._fetcher.prefetch_pages(self._view, run)
        # What is under way is waited for, what was not fetched with the others is asked for again.
        for number in missing:
            self._fetcher.read(self._view, number)

    def _missing(self, numbers: Iterable[int]) -> list[int]:
        """Returns the pages that are in a file and not in memory, ascending."""
        return sorted({number for number in numbers if self._is_missing(number)})

    def _is_missing(self, number: int) -> bool:
        location = self._view.locate(number) if number <= self._view.commit else None
        return location is not None and cache_key(location.file.max_txid, number) not in self._fetcher.cache

    def _extend(self, run: list[int], numbers: Iterable[int]) -> None:
        """Adds pages to an ascending run if they are near each other in its file."""
        for number in numbers:
            if run[0] < number < run[-1]:
                place = bisect.bisect_left(run, number)
                nearest = run[place] if self._gap(run[place], number) is not None else run[place - 1]
            else:
                nearest = run[0] if number < run[0] else run[-1]
            gap = self._gap(nearest, number)
            if gap is None or gap > _GAP_BYTES:
                return
            if number != nearest:
                bisect.insort(run, number)

    def _gap(self, one: int, other: int) -> int | None:
        """Bytes between two pages; None if they are in different files."""
        first, second = (self._view.locate(number) for number in sorted((one, other)))
        if first is None or second is None or first.file.max_txid != second.file.max_txid:
            return None
        return max(0, second.offset - first.offset - first.size)

    def _runs(self, numbers: Sequence[int]) -> list[list[int]]:
        """Ascending pages in groups, for each of which one request is made."""
        files: dict[int, list[tuple[int, Location]]] = {}
        for number in numbers:
            location = self._view.locate(number)
            if location is not None:
                files.setdefault(location.file.max_txid, []).append((number, location))
        gap = _GAP_BYTES
        while True:
            runs = [run for places in files.values() for run in _grouped(places, gap, _RUN_BYTES)]
            if len(runs) <= _REQUESTS or gap >= _FAR_GAP_BYTES:
                return runs
            gap *= 2

    def _page(self, number: int) -> tuple[bytes, int]:
        """A page, and the offset of its b-tree header."""
        return self._fetcher.read(self._view, number), _FILE_HEADER if number == 1 else 0

    def _children(self, number: int) -> list[int]:
        """Returns the pages below an interior page, from left to right; none below a leaf."""
        if not 1 <= number <= self._view.commit:
            return []  # a page of the transaction that is open on the connection
        page, start = self._page(number)
        if page[start] not in _INTERIOR:
            return []
        children = [int.from_bytes(page[cell : cell + 4]) for cell in _cells(page, start)]
        return [*children, int.from_bytes(page[start + 8 : start + 12])]

    def _paths(self, number: int, rowids: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        """Yields the pages below an interior page of a table that lead to rows, each with these rows."""
        if not 1 <= number <= self._view.commit:
            return
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


def _grouped(places: Sequence[tuple[int, Location]], gap: int, most: int) -> list[list[int]]:
    """Divides ascending pages of a file where more than `gap` bytes lie between two, or a group would reach
    over more than `most`."""
    groups: list[list[int]] = []
    start = end = 0
    for number, place in places:
        if groups and place.offset - end <= gap and place.offset + place.size - start <= most:
            groups[-1].append(number)
        else:
            groups.append([number])
            start = place.offset
        end = place.offset + place.size
    return groups


def _cells(page: bytes, start: int) -> list[int]:
    """Returns the offsets of the cells of an interior page, in the order of their keys."""
    count = int.from_bytes(page[start + 3 : start + 5])
    pointers = page[start + _HEADER : start + _HEADER + 2 * count]
    return [int.from_bytes(pointers[at : at + 2]) for at in range(0, 2 * count, 2)]


def _rowid(page: bytes, at: int) -> int:
    """Returns the varint at an offset of a page, as a signed number of 64 bits."""
    value = 0
    for number in range(8):
        byte = page[at + number]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value
    value = value << 8 | page[at + 8]
    return value - (1 << 64) if value >= 1 << 63 else value


class Shown(Protocol):
    """The file of a connection; `view` is the committed state that it sees.

    `repeatable`: whether each connection to this state reads the same, and its reads are not recorded.
    """

    view: View
    repeatable: bool


_sources: weakref.WeakKeyDictionary[apsw.Connection, tuple[PageFetcher, Shown]] = weakref.WeakKeyDictionary()


def register(connection: apsw.Connection, fetcher: PageFetcher, file: Shown) -> None:
    """Says where the pages of a connection come from."""
    _sources[connection] = fetcher, file


def prefetcher(connection: apsw.Connection) -> Prefetcher | None:
    """Returns what fetches pages for a connection; None for one to an ordinary file."""
    source = _sources.get(connection)
    if source is None:
        return None
    # The first read of a transaction decides which state it sees.
    connection.execute("PRAGMA schema_version").fetchone()
    return Prefetcher(source[0], source[1].view)


def committed_state(connection: apsw.Connection) -> tuple[int, int] | None:
    """Identifies the state that a connection reads: the database within this process, and the TXID.

    None if the connection may see more than what was committed, if its reads are recorded, or if it is one
    to an ordinary file.
    """
    source = _sources.get(connection)
    if source is None or not source[1].repeatable:
        return None
    # As for a prefetcher.
    connection.execute("PRAGMA schema_version").fetchone()
    return source[0].number, source[1].view.txid
