"""LTX v3, the file format of Litestream: a file holds the pages that a range of transactions changed.

Layout, all integers big-endian (described in the `ltx` package of Litestream's authors, format version 3):

    header   100 bytes      see `Header`
    pages    any number     page number (4), flags 1 (2), compressed size (4), one LZ4 block
    end      6 zero bytes   an empty page header
    index    varints        see `pageindex`; then one zero byte
    size     8 bytes        length of the index with its zero byte
    trailer  16 bytes       post-apply checksum (0 here), checksum of the file

The file's checksum is CRC-64/GO-ISO with the top bit set, taken over everything before it with page data
*uncompressed*. lamDB sets the NoChecksum flag: it keeps no rolling checksum of the whole database.
"""

import io
import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

import lz4.block  # type: ignore[import-untyped]
from fastcrc import crc64

from lamdb.errors import CorruptFile
from lamdb.storage.ltx.pageindex import END_OF_PAGES as END_OF_PAGES
from lamdb.storage.ltx.pageindex import FRAME_HEADER_SIZE as FRAME_HEADER_SIZE
from lamdb.storage.ltx.pageindex import HEADER_SIZE as HEADER_SIZE
from lamdb.storage.ltx.pageindex import INDEX_FOOTER_SIZE as INDEX_FOOTER_SIZE
from lamdb.storage.ltx.pageindex import TRAILER_SIZE as TRAILER_SIZE
from lamdb.storage.ltx.pageindex import Extent, IndexWriter, PageIndex

MAGIC: Final = b"LTX1"
NO_CHECKSUM: Final = 1 << 1
PENDING_BYTE: Final = 0x40000000
"""SQLite locks this byte of a database file; the page that holds it never carries data."""

_CHECKSUM_FLAG: Final = 1 << 63
_FRAME_HAS_SIZE: Final = 1

_HEADER = struct.Struct(">4sIIIQQQQQQIIQ20x")
_FRAME_HEADER = struct.Struct(">IHI")
_UINT64 = struct.Struct(">Q")


def lock_page(page_size: int) -> int:
    """Returns the number of the page with SQLite's lock byte, which LTX files leave out."""
    return PENDING_BYTE // page_size + 1


def is_page_size(size: int) -> bool:
    """True if SQLite accepts `size` (bytes): a power of two from 512 to 65536."""
    return 512 <= size <= 65536 and size & (size - 1) == 0


@dataclass(frozen=True, slots=True)
class Header:
    """The first 100 bytes. `commit` is the database's size in pages after the last transaction of the file.

    `nonce` is stored in the field that Litestream calls node id; its tools copy it and do not check it. lamDB
    chooses a random one for each transaction, so two writers never produce the same bytes for one TXID.
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
        """Reads a header from the start of `data`. Raises `CorruptFile` if it is not valid."""
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
    index = IndexWriter(header.encode())

    def write(structure: bytes) -> None:
        out.write(structure)
        checksum.add(structure)

    write(header.encode())
    for number, page in pages:
        block = lz4.block.compress(page, store_size=False)
        frame = frame_header(number, len(block))
        index.add(number, Extent(out.tell(), len(frame) + len(block), zlib.crc32(block, zlib.crc32(frame))))
        write(frame)
        out.write(block)
        checksum.add(page)
    write(END_OF_PAGES)
    write(index.finish())
    write(bytes(8))
    out.write(_UINT64.pack(checksum.value()))
    return out.getvalue()


def frame_header(number: int, block_size: int) -> bytes:
    """The bytes before the LZ4 block of page `number`."""
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
    index: PageIndex


def decode(body: bytes, *, keep: int | None = None) -> LtxFile:
    """Reads a whole file and checks everything in it; raises `CorruptFile`.

    With `keep`, the result has the pages of the file only if they have at most so many bytes: a file may be
    far smaller than its pages.
    """
    header = Header.decode(body)
    index = PageIndex.from_tail(body, len(body))
    index_start = index.start
    checksum = Checksum()
    checksum.add(body[:HEADER_SIZE])
    pages: dict[int, bytes] = {}
    kept = keep is None or len(index) * header.page_size <= keep
    count = 0
    offset = HEADER_SIZE
    while body[offset : offset + 6] != END_OF_PAGES:
        if offset + FRAME_HEADER_SIZE > index_start:
            raise CorruptFile("the pages run into the index")
        number, _, block_size = _FRAME_HEADER.unpack_from(body, offset)
        size = FRAME_HEADER_SIZE + block_size
        frame = body[offset : offset + size]
        page = decode_page(frame, number, header.page_size)
        _require_place(index, number, offset, frame)
        checksum.add(body[offset : offset + FRAME_HEADER_SIZE])
        checksum.add(page)
        if kept:
            pages[number] = page
        count += 1
        offset += size
    if offset + len(END_OF_PAGES) != index_start:
        raise CorruptFile("there is data between the pages and the index")
    if count != len(index):
        raise CorruptFile(f"the index lists {len(index)} pages, the file holds {count}")
    checksum.add(body[offset:-8])
    if _UINT64.unpack_from(body, len(body) - 8)[0] != checksum.value():
        raise CorruptFile("the checksum is wrong")
    return LtxFile(header, pages, index)


def decode_start(start: bytes, page_size: int, index: PageIndex) -> dict[int, bytes]:
    """Returns the pages that are completely within the first bytes of a file whose index is `index`.

    Raises `CorruptFile`, also if a page does not match the index.
    """
    pages: dict[int, bytes] = {}
    offset = HEADER_SIZE
    while offset + FRAME_HEADER_SIZE <= len(start) and start[offset : offset + 6] != END_OF_PAGES:
        number, _, block_size = _FRAME_HEADER.unpack_from(start, offset)
        end = offset + FRAME_HEADER_SIZE + block_size
        if end > len(start):
            break
        _require_place(index, number, offset, start[offset:end])
        pages[number] = decode_page(start[offset:end], number, page_size)
        offset = end
    return pages


def _require_place(index: PageIndex, number: int, offset: int, frame: bytes) -> None:
    """Raises `CorruptFile` unless the index has `frame` for page `number`, at `offset`."""
    place = index.locate(number)
    if place is None or (place.offset, place.size) != (offset, len(frame)):
        raise CorruptFile(f"the index does not agree with the place of page {number}")
    require_checksum(frame, number, place.crc)


def require_checksum(frame: bytes, number: int, crc: int | None) -> None:
    """Raises `CorruptFile` if `frame` does not have the CRC-32 `crc`. None is not checked."""
    if crc is not None and zlib.crc32(frame) != crc:
        raise CorruptFile(f"the checksum of page {number} is wrong")


def decode_page(frame: bytes, number: int, page_size: int, crc: int | None = None) -> bytes:
    """Returns the page in one frame (header and block). It must be page `number`, with CRC-32 `crc` if given.

    Raises `CorruptFile`.
    """
    require_checksum(frame, number, crc)
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


class Checksum:
    """CRC-64/GO-ISO with the format's top bit, fed piece by piece."""

    __slots__ = ("_crc",)

    def __init__(self) -> None:
        self._crc: int | None = None

    def add(self, piece: bytes) -> None:
        self._crc = crc64.go_iso(piece, self._crc)

    def value(self) -> int:
        return _CHECKSUM_FLAG | (self._crc or 0)
