"""The pages that a transaction has written and not yet committed, in bounded memory."""

from collections.abc import Iterator, Mapping
from typing import Final

from lamdb.errors import TransactionTooLarge
from lamdb.storage.temporary import TemporaryFile, temporary_directory

_MIB: Final = 1024 * 1024

DEFAULT_LIMIT: Final = 2048 * _MIB
"""Bytes of pages that one transaction may change."""

IN_MEMORY: Final = 32 * _MIB
"""Bytes of pages beyond which a transaction is kept in a temporary file."""

_WITHOUT_FILES: Final = 256 * _MIB
"""Bytes of pages that are kept in memory where no temporary file can be made."""

_RUN_BYTES: Final = _MIB


class WrittenPages(Mapping[int, bytes]):
    """Pages by number; iterates in ascending order. All have the same size. Used by one thread at a time.

    When the pages exceed `IN_MEMORY`, they move to a temporary file, where each number has its place. The
    next pages are gathered in memory again, and so on.
    """

    def __init__(self, limit: int) -> None:
        """`limit`: bytes of all pages."""
        self._limit = limit
        self._room = min(limit, IN_MEMORY)
        self._recent: dict[int, bytes] = {}
        self._places: dict[int, int] = {}
        self._file: TemporaryFile | None = None
        self._page_size = 0
        self._end = 0

    def content(self) -> Mapping[int, bytes]:
        """The pages: a `dict` if all are in memory."""
        return self._recent if self._file is None else self

    def add(self, number: int, page: bytes) -> None:
        """Adds a page, or replaces it. Raises `TransactionTooLarge`, also if the disk is full."""
        self._recent[number] = page
        if len(self._recent) * len(page) > self._room:
            self._page_size = len(page)
            self._make_room()

    def find(self, number: int) -> bytes | None:
        page = self._recent.get(number)
        if page is None and self._file is not None:
            place = self._places.get(number)
            if place is not None:
                page = self._file.read(self._page_size, place)
        return page

    def __getitem__(self, number: int) -> bytes:
        page = self.find(number)
        if page is None:
            raise KeyError(number)
        return page

    def __contains__(self, number: object) -> bool:
        return number in self._recent or number in self._places

    def __iter__(self) -> Iterator[int]:
        return iter(sorted(self._recent.keys() | self._places.keys()))

    def __len__(self) -> int:
        if not self._places:
            return len(self._recent)
        return len(self._places) + sum(number not in self._places for number in self._recent)

    def truncate(self, pages: int) -> None:
        """Forgets the pages after number `pages`."""
        self._recent = {number: page for number, page in self._recent.items() if number <= pages}
        self._places = {number: place for number, place in self._places.items() if number <= pages}

    def clear(self) -> None:
        """Forgets all pages, and deletes the file."""
        self._recent = {}
        self._places = {}
        self._end = 0
        self._room = min(self._limit, IN_MEMORY)
        if self._file is not None:
            self._file.close()
            self._file = None

    def _make_room(self) -> None:
        if len(self) * self._page_size > self._limit:
            raise TransactionTooLarge(f"the transaction changes more than {self._limit} bytes of pages")
        if self._file is None:
            more = min(self._limit, _WITHOUT_FILES)
            if self._room < more and temporary_directory() is None:
                self._room = more
                return
            self._file = TemporaryFile()
        self._move_to(self._file)
        self._room = min(IN_MEMORY, self._limit - len(self._places) * self._page_size)

    def _move_to(self, file: TemporaryFile) -> None:
        """Moves the pages in memory to the file: new ones to its end, in long runs."""
        run = bytearray()
        for number in sorted(self._recent):
            page = self._recent[number]
            place = self._places.get(number)
            if place is not None:
                file.write(page, place)
                continue
            self._places[number] = self._end + len(run)
            run += page
            if len(run) >= _RUN_BYTES:
                self._append(file, run)
        self._append(file, run)
        self._recent = {}

    def _append(self, file: TemporaryFile, run: bytearray) -> None:
        file.write(bytes(run), self._end)
        self._end += len(run)
        run.clear()
