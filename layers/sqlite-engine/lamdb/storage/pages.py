"""The place of every page in every recent state."""

from collections.abc import Container
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from lamdb.errors import CorruptFile
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import OpenFile, named, naming

_SMALL_INDEX: Final = 4096
"""Files with at most this many pages go into the map page by page; larger ones keep their own index."""


class Location(NamedTuple):
    """One version of one page: the frame at `offset`, of `size` bytes and with CRC-32 `crc`, in `file`."""

    file: FileInfo
    offset: int
    size: int
    crc: int | None = None


class PageMap:
    """Maps each page to the files with a version of it, for the states of several TXIDs.

    Files are added in the order of their TXIDs and never change, so lookups need no lock. A state has the
    newest version of each page at or below its TXID. Versions that no state in use can see are dropped when a
    newer one arrives.
    """

    def __init__(self) -> None:
        self._versions: dict[int, tuple[Location, ...]] = {}
        self._large: tuple[OpenFile, ...] = ()

    def add(self, file: OpenFile, oldest: int) -> None:
        """Adds the newest file. No state older than TXID `oldest` will be asked for again."""
        with naming(file.info.key):
            if file.index.has_more_than(_SMALL_INDEX):
                self._large = (replace(file, pages={}), *self._large)
                return
            places = [*file.index.items()]
        for number, place in places:
            location = Location(file.info, *place)
            versions = self._versions.get(number)
            if versions is None:
                self._versions[number] = (location,)
            else:
                self._versions[number] = (*_visible_from(versions, oldest), location)

    def locate(self, number: int, txid: int) -> Location | None:
        """Page `number` as of `txid`; None if no file holds it."""
        found: Location | None = None
        for location in reversed(self._versions.get(number, ())):
            if location.file.max_txid <= txid:
                found = location
                break
        for file in self._large:
            if file.info.max_txid > txid:
                continue
            if found is not None and file.info.max_txid <= found.file.max_txid:
                break
            try:
                place = file.index.locate(number)
            except CorruptFile as error:
                raise named(file.info.key, error) from error
            if place is not None:
                return Location(file.info, *place)
        return found


def _visible_from(versions: tuple[Location, ...], oldest: int) -> tuple[Location, ...]:
    """The versions that states from TXID `oldest` on can see: the newer ones, and the last at or before
    it."""
    for position in range(len(versions) - 1, 0, -1):
        if versions[position].file.max_txid <= oldest:
            return versions[position:]
    return versions


@dataclass(slots=True, eq=False)
class View:
    """The database as of one TXID. Later commits do not change it.

    `commit` is its size in pages. `page_one` is the first page in the form for SQLite, once it has been read.
    """

    map: PageMap
    txid: int
    page_size: int
    commit: int
    timestamp_ms: int
    page_one: bytes | None = field(default=None, repr=False)
    keys: dict[int, int] = field(default_factory=dict, repr=False)
    """Cache keys of pages that were read lately, by page number."""

    def locate(self, number: int) -> Location | None:
        return self.map.locate(number, self.txid)


def present_page_one(page: bytes, txid: int, commit: int) -> bytes:
    """Returns the first page in the form for SQLite.

    - Read and write version are "rollback journal", also where the file was last used in WAL mode.
    - The change counter is the TXID. SQLite empties its own cache when the counter has moved; in WAL mode
      writers do not move it, and what Litestream replicates comes from there.
    - The size in the header is the real one, and valid because the counter beside it agrees.
    """
    counter = (txid & 0xFFFF_FFFF).to_bytes(4, "big")
    size = commit.to_bytes(4, "big")
    return page[:18] + b"\x01\x01" + page[20:24] + counter + size + page[32:92] + counter + page[96:]


def missing_pages(previous_commit: int, commit: int, page_size: int, written: Container[int]) -> list[int]:
    """Returns the pages that the database grew by and that SQLite did not write because they have no content.

    LTX files must contain them, because a snapshot must have no holes.
    """
    lock = ltx.lock_page(page_size)
    grown = range(previous_commit + 1, commit + 1)
    return [number for number in grown if number not in written and number != lock]
