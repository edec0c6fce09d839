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
_LONGEST_VARINT: Final = 10
_GOES_ON: Final = bytes(range(0x80, 0x100))
"""Bytes that do not end a varint."""

_CHAPTER_BYTES: Final = 64 * 1024
_BLOCK_BYTES: Final = 1024
"""Sizes of the parts that an index is divided into."""

_DECODED_BLOCKS: Final = 512
"""Number of decoded blocks that an index keeps: some 30,000 pages."""

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

    The index of a large file is megabytes of varints. It is divided into blocks. Only blocks that have a page
    which is needed are decoded.
    """

    __slots__ = ("_begin", "_blocks", "_checked", "_count", "_crc", "_decoded", "_raw", "start")

    def __init__(self, raw: bytes, start: int) -> None:
        """`raw` are the varints without the closing zero byte; `start` is their offset in the file.

        Raises `CorruptFile`.
        """
        self.start = start
        self._raw = raw
        self._crc, self._begin = _checksum_of_index(raw)
        self._checked = self._crc is not None
        self._count: int | None = None
        self._blocks = (_CheckedBlocks if self._checked else _PlainBlocks)(raw, self._begin)
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
        entries = memoryview(self._raw)[self._begin :]
        if self._crc is not None and zlib.crc32(entries, zlib.crc32(header)) != self._crc:
            raise CorruptFile("the checksum of the header and the page index is wrong")
        if entries and self._last().offset + self._last().size + len(END_OF_PAGES) != self.start:
            raise CorruptFile("the page index does not begin where the pages end")

    def __len__(self) -> int:
        """The number of pages. Counts them when it is first needed."""
        if self._count is None:
            self._count = _count_entries(self._raw, self._begin, len(self._raw), self._varints)
        return self._count

    def has_more_than(self, pages: int) -> bool:
        """True if the file has more than `pages` pages. Counts them only if their bytes do not tell."""
        size = len(self._raw) - self._begin
        if size <= pages * self._varints:
            return False
        return size > pages * self._varints * _LONGEST_VARINT or len(self) > pages

    def locate(self, number: int) -> Extent | None:
        """Returns the place of the frame of page `number`, or None if the file does not hold it."""
        block = self._blocks.block_with(number)
        return None if block is None else self._entries(block).get(number)

    def items(self) -> Iterable[tuple[int, Extent]]:
        """Returns each (page number, place), ascending. Decodes the whole index: meant for small files."""
        return self._decode(self._begin, len(self._raw)).items()

    def _last(self) -> Extent:
        block = self._blocks.block_with(1 << 32)
        assert block is not None
        return next(reversed(self._entries(block).values()))

    def _entries(self, block: tuple[int, int]) -> dict[int, Extent]:
        """Returns the entries between two positions."""
        entries = self._decoded.get(block[0])
        if entries is None:
            if len(self._decoded) >= _DECODED_BLOCKS:
                self._decoded.clear()
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


class _CheckedBlocks:
    """The blocks of an index with checksums. Where a block begins is found when it is needed.

    An entry can be recognized without those before it: its number comes twice, with a zero between. No other
    three varints in a row look like that, because neither numbers nor sizes are zero.
    """

    __slots__ = ("_begin", "_end", "_number", "_raw", "_starts")

    def __init__(self, raw: bytes, begin: int) -> None:
        self._raw = raw
        self._begin, self._end = begin, len(raw)
        self._starts: dict[int, int] = {}
        self._number = -(-(self._end - begin) // _BLOCK_BYTES)
        if self._number and self._start(self._number - 1) == self._end:
            self._number -= 1  # The last entry begins in the block before.

    def block_with(self, number: int) -> tuple[int, int] | None:
        """Start and end of the block with page `number`, if there is one."""
        block = bisect_right(range(self._number), number, key=self._first)
        if not block:
            return None
        return self._start(block - 1), self._end if block == self._number else self._start(block)

    def _first(self, block: int) -> int:
        return read_varint(self._raw, self._start(block))[0]

    def _start(self, block: int) -> int:
        """The position of the first entry that begins in a block."""
        start = self._starts.get(block)
        if start is None:
            start = self._starts[block] = self._next_entry(self._begin + block * _BLOCK_BYTES)
        return start

    def _next_entry(self, position: int) -> int:
        if position == self._begin:
            return position
        while position < self._end and self._raw[position - 1] >= 0x80:
            position += 1
        for _ in range(2 * _VARINTS_PER_PLACE):
            if position >= self._end or self._is_entry(position):
                return position
            _, position = read_varint(self._raw, position)
        raise CorruptFile("the page index is damaged")

    def _is_entry(self, position: int) -> bool:
        try:
            number, position = read_varint(self._raw, position)
            _, position = read_varint(self._raw, position)
            kind, position = read_varint(self._raw, position)
            again, _ = read_varint(self._raw, position)
        except CorruptFile:  # The last entry ends before that.
            return False
        return number == again != 0 and kind == _CHECKSUM_OF_PAGE


class _PlainBlocks:
    """The blocks of an index without checksums, in chapters. A chapter is divided when a page in it is
    needed."""

    __slots__ = ("_blocks", "_chapters", "_raw")

    def __init__(self, raw: bytes, begin: int) -> None:
        _count_entries(raw, begin, len(raw), _VARINTS_PER_PLACE)
        self._raw = raw
        self._chapters = _Section(raw, begin, len(raw), _CHAPTER_BYTES)
        self._blocks: dict[int, _Section] = {}

    def block_with(self, number: int) -> tuple[int, int] | None:
        """Start and end of the block with page `number`, if there is one."""
        chapter = self._chapters.part_with(number)
        if chapter is None:
            return None
        blocks = self._blocks.get(chapter[0])
        if blocks is None:
            blocks = self._blocks[chapter[0]] = _Section(self._raw, *chapter, _BLOCK_BYTES)
        return blocks.part_with(number)


class _Section:
    """A part of an index without checksums, divided into parts of some `size` bytes."""

    __slots__ = ("_bounds", "_firsts")

    def __init__(self, raw: bytes, begin: int, end: int, size: int) -> None:
        starts = _cut_entries(raw, begin, end, size)
        self._bounds = [*starts, end]
        self._firsts = [read_varint(raw, start)[0] for start in starts]

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


def _cut_entries(raw: bytes, begin: int, end: int, size: int) -> list[int]:
    """Returns the position of the first entry in each piece of `size` bytes of an index without checksums.

    Pieces and entries begin at `begin`. Only the last bytes of varints are counted, which is quick: their
    number tells the position within an entry at which a piece begins.
    """
    starts: list[int] = []
    varints = 0
    for piece in range(begin, end, size):
        missing = -varints % _VARINTS_PER_PLACE
        if piece > begin and raw[piece - 1] >= 0x80 and not missing:
            missing = _VARINTS_PER_PLACE  # The first varint of an entry continues.
        position = piece
        for _ in range(missing):
            _, position = read_varint(raw, position)
        if position < end:
            starts.append(position)
        varints += _count_varints(raw, piece, min(piece + size, end))
    return starts


def _count_varints(raw: bytes, begin: int, end: int) -> int:
    return len(raw[begin:end].translate(None, _GOES_ON))


def _count_entries(raw: bytes, begin: int, end: int, per_entry: int) -> int:
    """The number of entries of `per_entry` varints. Raises `CorruptFile` if the last one is incomplete."""
    varints = _count_varints(raw, begin, end)
    if varints % per_entry or raw[max(begin, end - 1) : end] >= b"\x80":
        raise CorruptFile("the page index is cut off")
    return varints // per_entry


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
