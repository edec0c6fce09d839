"""The page index at the end of an LTX file: offset and checksum of each page.

The format has three varints for each page, in ascending order: page number, offset of its frame, size of its
frame. A reader puts them into a map from page number to offset and size. lamDB writes additional entries.
Each of them is followed by the regular entry with the same page number, so the map stays the same:

    first    (number of the first page, CRC-32 of the header and of all that follows in the index, 1)
    a page   (number, CRC-32 of its frame, 0), then (number, offset, size)

No frame has a size of 0 or 1, so the additional entries are recognizable. A file written by Litestream or an
earlier lamDB has only the regular entries, and no checksums of single pages.
"""

import struct
import zlib
from bisect import bisect_right
from collections.abc import Iterable
from typing import Final, NamedTuple, Self

from lamdb.errors import CorruptFile

HEADER_SIZE: Final = 100
TRAILER_SIZE: Final = 16
FRAME_HEADER_SIZE: Final = 10
INDEX_FOOTER_SIZE: Final = 8 + TRAILER_SIZE
END_OF_PAGES: Final = bytes(6)

_CHECKSUM_OF_PAGE: Final = 0
_CHECKSUM_OF_INDEX: Final = 1
"""The size that marks entries with a checksum in place of an offset."""

_VARINTS_PER_PLACE: Final = 3
_GOES_ON: Final = bytes(range(0x80, 0x100))
"""Bytes that do not end a varint."""

_UINT64 = struct.Struct(">Q")


class Extent(NamedTuple):
    """The place of a frame in a file: offset and size in bytes, and its CRC-32, if the file has one."""

    offset: int
    size: int
    crc: int | None = None


class IndexWriter:
    """Gathers the entries of one file, in some 17 bytes per page."""

    def __init__(self, header: bytes) -> None:
        """`header` are the first 100 bytes of the file."""
        self._header = header
        self._first = 0
        self._entries = bytearray()

    def add(self, number: int, place: Extent) -> None:
        """Adds page `number`. Numbers must ascend, and `place` must have a CRC-32."""
        assert place.crc is not None
        self._first = self._first or number
        _append(self._entries, number, place.crc, _CHECKSUM_OF_PAGE)
        _append(self._entries, number, place.offset, place.size)

    def finish(self) -> bytes:
        """The index with its zero byte, and its size."""
        index = bytearray()
        if self._first:
            crc = zlib.crc32(self._entries, zlib.crc32(self._header))
            _append(index, self._first, crc, _CHECKSUM_OF_INDEX)
        index += self._entries
        index.append(0)
        return bytes(index) + _UINT64.pack(len(index))


class PageIndex:
    """Offsets and sizes of the pages in one file.

    The index of a large file is megabytes of varints. It is divided into chapters. When a page in a chapter
    is first needed, the chapter is divided into blocks of about 100 entries, and the page's block is decoded.
    """

    __slots__ = ("_blocks", "_chapters", "_checked", "_count", "_crc", "_decoded", "_raw", "start")

    _CHAPTER_BYTES: Final = 64 * 1024
    _BLOCK_BYTES: Final = 1024

    def __init__(self, raw: bytes, start: int) -> None:
        """`raw` are the varints without the closing zero byte; `start` is their offset in the file.

        Raises `CorruptFile`.
        """
        self.start = start
        self._crc, skipped = _checksum_of_index(raw)
        self._raw = raw = raw[skipped:]
        self._checked = self._crc is not None
        starts, self._count = _cut_entries(raw, 0, len(raw), self._CHAPTER_BYTES, self._varints)
        self._chapters = _Section(raw, starts, len(raw))
        self._blocks: dict[int, _Section] = {}
        self._decoded: dict[int, dict[int, Extent]] = {}

    @property
    def checked(self) -> bool:
        """True if the file has checksums of single pages."""
        return self._checked

    @property
    def _varints(self) -> int:
        return _VARINTS_PER_PLACE * (1 + self._checked)

    @staticmethod
    def size_from_tail(tail: bytes, file_size: int) -> int:
        """Returns the number of bytes from the start of the index to the end of the file.

        `tail` are the last bytes of the file, at least 24. Raises `CorruptFile`.
        """
        if len(tail) < INDEX_FOOTER_SIZE:
            raise CorruptFile(f"the file ends after {len(tail)} bytes, inside its trailer")
        size = int(_UINT64.unpack_from(tail, len(tail) - INDEX_FOOTER_SIZE)[0]) + INDEX_FOOTER_SIZE
        if not INDEX_FOOTER_SIZE < size <= file_size - HEADER_SIZE - len(END_OF_PAGES):
            raise CorruptFile("the size of the page index is impossible: the file is damaged or cut off")
        return size

    @classmethod
    def from_tail(cls, tail: bytes, file_size: int) -> Self:
        """Reads the index from the last bytes of a file, which must hold all of it; raises `CorruptFile`."""
        size = cls.size_from_tail(tail, file_size)
        if size > len(tail):
            raise CorruptFile("the page index is cut off")
        closing = len(tail) - INDEX_FOOTER_SIZE - 1
        if tail[closing] != 0:
            raise CorruptFile("the page index does not end where it should")
        return cls(bytes(tail[len(tail) - size : closing]), file_size - size)

    def require_intact(self, header: bytes) -> None:
        """Raises `CorruptFile` if the index, or the file's `header` of 100 bytes, is seen to be damaged."""
        if self._crc is not None and zlib.crc32(self._raw, zlib.crc32(header)) != self._crc:
            raise CorruptFile("the checksum of the header and the page index is wrong")
        if self._count and self._last().offset + self._last().size + len(END_OF_PAGES) != self.start:
            raise CorruptFile("the page index does not begin where the pages end")

    def __len__(self) -> int:
        """The number of pages."""
        return self._count

    def locate(self, number: int) -> Extent | None:
        """Returns the place of the frame of page `number`, or None if the file does not hold it."""
        chapter = self._chapters.part_with(number)
        return None if chapter is None else self._entries_near(number, chapter).get(number)

    def items(self) -> Iterable[tuple[int, Extent]]:
        """Returns each (page number, place), ascending. Decodes the whole index: meant for small files."""
        return self._decode(0, len(self._raw)).items()

    def _last(self) -> Extent:
        entries = self._entries_near(1 << 32, self._chapters.last)
        return next(reversed(entries.values()))

    def _entries_near(self, number: int, chapter: tuple[int, int]) -> dict[int, Extent]:
        """Returns the entries of the block of `chapter` with page `number`; none if no block has it."""
        blocks = self._blocks.get(chapter[0])
        if blocks is None:
            starts, _ = _cut_entries(self._raw, *chapter, self._BLOCK_BYTES, self._varints)
            blocks = self._blocks[chapter[0]] = _Section(self._raw, starts, chapter[1])
        block = blocks.part_with(number)
        if block is None:
            return {}
        entries = self._decoded.get(block[0])
        if entries is None:
            entries = self._decoded[block[0]] = self._decode(*block)
        return entries

    def _decode(self, position: int, end: int) -> dict[int, Extent]:
        entries: dict[int, Extent] = {}
        raw = self._raw
        previous_number = 0
        previous_end = HEADER_SIZE
        crc: int | None = None
        while position < end:
            number, position = read_varint(raw, position)
            if self._checked:
                crc, position = read_varint(raw, position)
                kind, position = read_varint(raw, position)
                again, position = read_varint(raw, position)
                if kind != _CHECKSUM_OF_PAGE or again != number:
                    raise CorruptFile(f"the page index is damaged at page {number}")
            offset, position = read_varint(raw, position)
            size, position = read_varint(raw, position)
            too_small = size < FRAME_HEADER_SIZE
            if number <= previous_number or offset < previous_end or offset + size > self.start or too_small:
                raise CorruptFile(f"the page index is damaged at page {number}")
            entries[number] = Extent(offset, size, crc)
            previous_number, previous_end = number, offset + size
        return entries


class _Section:
    """A part of an index, divided into parts that begin at `starts`; the last ends at `end`."""

    __slots__ = ("_bounds", "_firsts")

    def __init__(self, raw: bytes, starts: list[int], end: int) -> None:
        self._bounds = [*starts, end]
        self._firsts = [read_varint(raw, start)[0] for start in starts]

    @property
    def last(self) -> tuple[int, int]:
        """Start and end of the last part."""
        return self._bounds[-2], self._bounds[-1]

    def part_with(self, number: int) -> tuple[int, int] | None:
        """Start and end of the part with page `number`, if there is one."""
        part = bisect_right(self._firsts, number)
        return (self._bounds[part - 1], self._bounds[part]) if part else None


def _checksum_of_index(raw: bytes) -> tuple[int | None, int]:
    """The checksum that an index begins with and where it ends; (None, 0) if it begins with a page."""
    if not raw:
        return None, 0
    _, position = read_varint(raw, 0)
    crc, position = read_varint(raw, position)
    kind, position = read_varint(raw, position)
    return (crc, position) if kind == _CHECKSUM_OF_INDEX else (None, 0)


def _cut_entries(raw: bytes, begin: int, end: int, size: int, per_entry: int) -> tuple[list[int], int]:
    """Returns the position of the first entry in each piece of `size` bytes, and the number of entries.

    Pieces and entries begin at `begin`; an entry has `per_entry` varints. Only the last bytes of varints are
    counted, which is quick: their number tells the position within an entry at which a piece begins. Raises
    `CorruptFile` if the last entry is incomplete.
    """
    starts: list[int] = []
    varints = 0
    for piece in range(begin, end, size):
        missing = -varints % per_entry
        if piece > begin and raw[piece - 1] >= 0x80 and not missing:
            missing = per_entry  # The first varint of an entry continues.
        position = piece
        for _ in range(missing):
            _, position = read_varint(raw, position)
        if position < end:
            starts.append(position)
        varints += len(raw[piece : min(piece + size, end)].translate(None, _GOES_ON))
    if varints % per_entry or raw[end - 1 : end] >= b"\x80":
        raise CorruptFile("the page index is cut off")
    return starts, varints // per_entry


def _append(out: bytearray, *values: int) -> None:
    for value in values:
        append_varint(out, value)


def append_varint(out: bytearray, value: int) -> None:
    """Appends `value` as an unsigned LEB128 varint."""
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The varint at `position` and the position after it; raises `CorruptFile` if it does not end."""
    value = shift = 0
    try:
        while (byte := data[position]) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            position += 1
    except IndexError:
        raise CorruptFile("the page index is cut off") from None
    return value | byte << shift, position + 1
