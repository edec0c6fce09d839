"""LTX v3, the file format of Litestream: one file holds the pages that a run of transactions changed.

Layout, all integers big-endian (described in the `ltx` package of Litestream's authors, format version 3):

    header   100 bytes      see `Header`
    pages    any number     page number (4), flags 1 (2), compressed size (4), one LZ4 block
    end      6 zero bytes   an empty page header
    index    varints        (page number, offset, size of the frame) per page, ascending; then one zero byte
    size     8 bytes        length of the index with its zero byte
    trailer  16 bytes       post-apply checksum (0 here), checksum of the file

The file's checksum is CRC-64/GO-ISO with the top bit set, taken over everything before it with page data
*uncompressed*. lamDB sets the NoChecksum flag: it keeps no rolling checksum of the whole database.
"""

import io
import struct
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import lz4.block  # type: ignore[import-untyped]
from fastcrc import crc64

from lamdb.errors import CorruptFile

HEADER_SIZE: Final = 100
TRAILER_SIZE: Final = 16
FRAME_HEADER_SIZE: Final = 10
INDEX_FOOTER_SIZE: Final = 8 + TRAILER_SIZE

MAGIC: Final = b"LTX1"
NO_CHECKSUM: Final = 1 << 1
PENDING_BYTE: Final = 0x40000000
"""SQLite locks this byte of a database file; the page that holds it never carries data."""

_CHECKSUM_FLAG: Final = 1 << 63
_FRAME_HAS_SIZE: Final = 1
END_OF_PAGES: Final = bytes(6)

_VARINTS_PER_ENTRY: Final = 3
_GOES_ON: Final = bytes(range(0x80, 0x100))
"""The bytes after which a varint goes on."""

_HEADER = struct.Struct(">4sIIIQQQQQQIIQ20x")
_FRAME_HEADER = struct.Struct(">IHI")
_UINT64 = struct.Struct(">Q")


def lock_page(page_size: int) -> int:
    """The number of the page that holds SQLite's lock byte, which LTX files leave out."""
    return PENDING_BYTE // page_size + 1


def is_page_size(size: int) -> bool:
    """Whether SQLite accepts `size` (bytes): a power of two from 512 to 65536."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


@dataclass(frozen=True, slots=True)
class Header:
    """The first 100 bytes. `commit` is the database's size in pages after the last transaction of the file.

    `nonce` is stored in the field Litestream calls node id, which its tools carry but do not judge. lamDB
    draws it anew for each file it writes, so that two writers never produce the same bytes for one TXID.
    """

    page_size: int
    commit: int
    min_txid: int
    max_txid: int
    timestamp_ms: int
    nonce: int = 0
    flags: int = NO_CHECKSUM
    pre_apply_checksum: int = 0
    wal_offset: int = 0
    wal_size: int = 0
    wal_salt1: int = 0
    wal_salt2: int = 0

    def encode(self) -> bytes:
        return _HEADER.pack(
            MAGIC,
            self.flags,
            self.page_size,
            self.commit,
            self.min_txid,
            self.max_txid,
            self.timestamp_ms,
            self.pre_apply_checksum,
            self.wal_offset,
            self.wal_size,
            self.wal_salt1,
            self.wal_salt2,
            self.nonce,
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Reads a header from the start of `data`; raises `CorruptFile` if it makes no sense."""
        if len(data) < HEADER_SIZE:
            raise CorruptFile(f"the file ends after {len(data)} bytes, inside its header")
        magic, flags, page_size, commit, low, high, timestamp, pre, offset, size, salt1, salt2, node = (
            _HEADER.unpack_from(data)
        )
        if magic != MAGIC:
            raise CorruptFile(f"it does not start with {MAGIC.decode()}: not an LTX file")
        if flags & ~NO_CHECKSUM:
            raise CorruptFile(f"unknown header flags {flags:#x}")
        if not is_page_size(page_size):
            raise CorruptFile(f"impossible page size {page_size}")
        if not 0 < low <= high:
            raise CorruptFile(f"impossible TXID range {low}-{high}")
        return cls(
            page_size=page_size,
            commit=commit,
            min_txid=low,
            max_txid=high,
            timestamp_ms=timestamp,
            nonce=node,
            flags=flags,
            pre_apply_checksum=pre,
            wal_offset=offset,
            wal_size=size,
            wal_salt1=salt1,
            wal_salt2=salt2,
        )


def encode(header: Header, pages: Iterable[tuple[int, bytes]]) -> bytes:
    """The bytes of a file that holds `pages`: (page number, page) in ascending order, without the lock
    page."""
    checksum = Checksum()
    # A large transaction must not be in memory twice: `getvalue` hands out the buffer without a copy.
    out = io.BytesIO()
    index = bytearray()

    def write(structure: bytes) -> None:
        out.write(structure)
        checksum.add(structure)

    write(header.encode())
    for number, page in pages:
        block = lz4.block.compress(page, store_size=False)
        append_varint(index, number)
        append_varint(index, out.tell())
        append_varint(index, FRAME_HEADER_SIZE + len(block))
        write(_FRAME_HEADER.pack(number, _FRAME_HAS_SIZE, len(block)))
        out.write(block)
        checksum.add(page)
    write(END_OF_PAGES)
    index.append(0)
    write(bytes(index))
    write(_UINT64.pack(len(index)))
    write(bytes(8))
    out.write(_UINT64.pack(checksum.value()))
    return out.getvalue()


def frame_header(number: int, block_size: int) -> bytes:
    """What precedes the LZ4 block of page `number`."""
    return _FRAME_HEADER.pack(number, _FRAME_HAS_SIZE, block_size)


def parse_frame_header(data: bytes, position: int) -> tuple[int, int]:
    """Page number and size of the block of the frame at `position`."""
    number, _, block_size = _FRAME_HEADER.unpack_from(data, position)
    return number, block_size


@dataclass(frozen=True, slots=True)
class LtxFile:
    """A file read as a whole and verified."""

    header: Header
    pages: dict[int, bytes]
    index: "PageIndex"


def decode(body: bytes) -> LtxFile:
    """Reads a whole file and checks everything in it; raises `CorruptFile`."""
    header = Header.decode(body)
    index = PageIndex.from_tail(body, len(body))
    index_start = index.start
    checksum = Checksum()
    checksum.add(body[:HEADER_SIZE])
    pages: dict[int, bytes] = {}
    offset = HEADER_SIZE
    while body[offset : offset + 6] != END_OF_PAGES:
        if offset + FRAME_HEADER_SIZE > index_start:
            raise CorruptFile("the pages run into the index")
        number, _, block_size = _FRAME_HEADER.unpack_from(body, offset)
        size = FRAME_HEADER_SIZE + block_size
        page = decode_page(body[offset : offset + size], number, header.page_size)
        if index.locate(number) != (offset, size):
            raise CorruptFile(f"the index does not agree with the place of page {number}")
        checksum.add(body[offset : offset + FRAME_HEADER_SIZE])
        checksum.add(page)
        pages[number] = page
        offset += size
    if offset + len(END_OF_PAGES) != index_start:
        raise CorruptFile("there is something between the pages and the index")
    if len(pages) != len(index):
        raise CorruptFile(f"the index lists {len(index)} pages, the file holds {len(pages)}")
    checksum.add(body[offset:-8])
    if _UINT64.unpack_from(body, len(body) - 8)[0] != checksum.value():
        raise CorruptFile("the checksum is wrong")
    return LtxFile(header, pages, index)


def decode_start(start: bytes, page_size: int) -> dict[int, bytes]:
    """The pages that lie whole within the first bytes of a file; raises `CorruptFile`."""
    pages: dict[int, bytes] = {}
    offset = HEADER_SIZE
    while offset + FRAME_HEADER_SIZE <= len(start) and start[offset : offset + 6] != END_OF_PAGES:
        number, _, block_size = _FRAME_HEADER.unpack_from(start, offset)
        end = offset + FRAME_HEADER_SIZE + block_size
        if end > len(start):
            break
        pages[number] = decode_page(start[offset:end], number, page_size)
        offset = end
    return pages


def decode_page(frame: bytes, number: int, page_size: int) -> bytes:
    """The page in one frame (its header and block), checked to be page `number`; raises `CorruptFile`."""
    if len(frame) < FRAME_HEADER_SIZE:
        raise CorruptFile(f"the frame of page {number} is cut off")
    found, flags, block_size = _FRAME_HEADER.unpack_from(frame)
    if found != number or flags != _FRAME_HAS_SIZE or block_size + FRAME_HEADER_SIZE != len(frame):
        raise CorruptFile(f"the frame of page {number} has a wrong header")
    try:
        page: bytes = lz4.block.decompress(frame[FRAME_HEADER_SIZE:], uncompressed_size=page_size)
    except lz4.block.LZ4BlockError as error:
        raise CorruptFile(f"page {number} does not decompress: {error}") from error
    if len(page) != page_size:
        raise CorruptFile(f"page {number} has {len(page)} bytes in place of {page_size}")
    return page


class PageIndex:
    """Where each page lies in one file: page number → (offset, size of its frame).

    The index of a large file is megabytes of varints. It is cut into chapters; a chapter is cut into blocks
    of some 100 entries when a page in it is first wanted, and a block is decoded likewise.
    """

    __slots__ = ("_blocks", "_chapters", "_count", "_decoded", "_raw", "start")

    _CHAPTER_BYTES: Final = 64 * 1024
    _BLOCK_BYTES: Final = 1024

    def __init__(self, raw: bytes, start: int) -> None:
        """`raw` are the varints without the closing zero byte; `start` is their offset in the file.

        Raises `CorruptFile`.
        """
        self._raw = raw
        self.start = start
        starts, self._count = _cut_entries(raw, 0, len(raw), self._CHAPTER_BYTES)
        self._chapters = _Section(raw, starts, len(raw))
        self._blocks: dict[int, _Section] = {}
        self._decoded: dict[int, dict[int, tuple[int, int]]] = {}

    @staticmethod
    def size_from_tail(tail: bytes, file_size: int) -> int:
        """How many bytes at the end of the file hold the index and what follows it.

        `tail` are the last bytes of the file, at least 24; raises `CorruptFile`.
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

    def __len__(self) -> int:
        """The number of pages."""
        return self._count

    def locate(self, number: int) -> tuple[int, int] | None:
        """Offset and size of the frame of page `number`, or None if the file does not hold it."""
        chapter = self._chapters.part_with(number)
        if chapter is None:
            return None
        blocks = self._blocks.get(chapter[0])
        if blocks is None:
            starts, _ = _cut_entries(self._raw, *chapter, self._BLOCK_BYTES)
            blocks = self._blocks[chapter[0]] = _Section(self._raw, starts, chapter[1])
        block = blocks.part_with(number)
        if block is None:
            return None
        entries = self._decoded.get(block[0])
        if entries is None:
            entries = self._decoded[block[0]] = self._decode(*block)
        return entries.get(number)

    def items(self) -> Iterable[tuple[int, tuple[int, int]]]:
        """Every (page number, (offset, size)), ascending. Decodes all there is: meant for small files."""
        return self._decode(0, len(self._raw)).items()

    def _decode(self, position: int, end: int) -> dict[int, tuple[int, int]]:
        entries: dict[int, tuple[int, int]] = {}
        raw = self._raw
        previous_number = 0
        previous_end = HEADER_SIZE
        while position < end:
            number, position = read_varint(raw, position)
            offset, position = read_varint(raw, position)
            size, position = read_varint(raw, position)
            if number <= previous_number or offset < previous_end or offset + size > self.start:
                raise CorruptFile(f"the page index is damaged at page {number}")
            entries[number] = (offset, size)
            previous_number, previous_end = number, offset + size
        return entries


class _Section:
    """A part of an index in parts of its own, which begin at `starts`; the last ends at `end`."""

    __slots__ = ("_bounds", "_firsts")

    def __init__(self, raw: bytes, starts: list[int], end: int) -> None:
        self._bounds = [*starts, end]
        self._firsts = [read_varint(raw, start)[0] for start in starts]

    def part_with(self, number: int) -> tuple[int, int] | None:
        """Start and end of the part that has page `number`, if any has."""
        part = bisect_right(self._firsts, number)
        return (self._bounds[part - 1], self._bounds[part]) if part else None


def _cut_entries(raw: bytes, begin: int, end: int, size: int) -> tuple[list[int], int]:
    """Where the first entry of each `size` bytes from `begin` to `end` begins, and the number of entries.

    An entry begins at `begin`. Only the bytes that end a varint are counted, which is quick: their number
    tells where in an entry a piece begins. Raises `CorruptFile` if the last entry is not whole.
    """
    starts: list[int] = []
    varints = 0
    for piece in range(begin, end, size):
        missing = -varints % _VARINTS_PER_ENTRY
        if piece > begin and raw[piece - 1] >= 0x80 and not missing:
            missing = _VARINTS_PER_ENTRY  # The first varint of an entry goes on.
        position = piece
        for _ in range(missing):
            _, position = read_varint(raw, position)
        if position < end:
            starts.append(position)
        varints += len(raw[piece : min(piece + size, end)].translate(None, _GOES_ON))
    if varints % _VARINTS_PER_ENTRY or raw[end - 1 : end] >= b"\x80":
        raise CorruptFile("the page index is cut off")
    return starts, varints // _VARINTS_PER_ENTRY


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


class Checksum:
    """CRC-64/GO-ISO with the format's top bit, fed piece by piece."""

    __slots__ = ("_crc",)

    def __init__(self) -> None:
        self._crc: int | None = None

    def add(self, piece: bytes) -> None:
        self._crc = crc64.go_iso(piece, self._crc)

    def value(self) -> int:
        return _CHECKSUM_FLAG | (self._crc or 0)
