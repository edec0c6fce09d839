"""LTX files of any size, read and written from start to end in bounded memory, and merged.

A merge copies frames unchanged. It decompresses them for checks and checksums, but never compresses them
again. So the output depends on the inputs alone, and merging in steps gives the same bytes as merging at
once.
"""

import heapq
import itertools
import mmap
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import lz4.block  # type: ignore[import-untyped]

from lamdb.errors import CorruptFile
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.pageindex import Extent, IndexWriter, PageIndex
from lamdb.storage.ltx.replica import naming
from lamdb.storage.temporary import TemporaryFile

_FLUSH_BYTES: Final = 1024 * 1024


class Frame(NamedTuple):
    """One page in a file: its number, its bytes in the file (header and block), its content."""

    number: int
    frame: bytes
    page: bytes

    @classmethod
    def of(cls, number: int, page: bytes) -> "Frame":
        """Compresses a page."""
        block: bytes = lz4.block.compress(page, store_size=False)
        return cls(number, ltx.frame_header(number, len(block)) + block, page)


class FrameReader:
    """The frames of one file in ascending order; iterating raises `CorruptFile` where a check fails.

    `pieces` are the file's bytes in order, divided anywhere. Everything is verified, the file's checksum
    last. So yielded frames are only known to be valid when the iterator has ended.
    """

    def __init__(self, pieces: Iterable[bytes], size: int, name: str) -> None:
        """Reads the header. `size` is the file's size in bytes, `name` is for error messages."""
        self._name = name
        self._pieces = iter(pieces)
        self._size = size
        self._buffer = b""
        self._position = 0
        self._checksum = ltx.Checksum()
        with naming(name):
            self.header = ltx.Header.decode(self._take(ltx.HEADER_SIZE, checked=True))

    def __iter__(self) -> Iterator[Frame]:
        with naming(self._name):
            yield from self._frames()

    def _frames(self) -> Iterator[Frame]:
        previous = 0
        while not self._at_end_of_pages():
            number, block_size = ltx.parse_frame_header(self._buffer, self._position)
            if number <= previous:
                raise CorruptFile(f"page {number} follows page {previous}")
            frame = self._take(ltx.FRAME_HEADER_SIZE + block_size)
            page = ltx.decode_page(frame, number, self.header.page_size)
            self._checksum.add(frame[: ltx.FRAME_HEADER_SIZE])
            self._checksum.add(page)
            yield Frame(number, frame, page)
            previous = number
        self._verify_tail()

    def _at_end_of_pages(self) -> bool:
        self._fill(ltx.FRAME_HEADER_SIZE)
        end = self._position + len(ltx.END_OF_PAGES)
        return self._buffer[self._position : end] == ltx.END_OF_PAGES

    def _verify_tail(self) -> None:
        tail = b"".join([self._buffer[self._position :], *self._pieces])
        PageIndex.from_tail(tail, self._size)
        self._checksum.add(tail[:-8])
        if self._checksum.value() != int.from_bytes(tail[-8:], "big"):
            raise CorruptFile("the checksum is wrong")

    def _take(self, length: int, *, checked: bool = False) -> bytes:
        self._fill(length)
        taken = self._buffer[self._position : self._position + length]
        self._position += length
        if checked:
            self._checksum.add(taken)
        return taken

    def _fill(self, length: int) -> None:
        """Makes `length` bytes available from the position on."""
        if len(self._buffer) - self._position >= length:
            return
        gathered = [self._buffer[self._position :]]
        missing = length - len(gathered[0])
        while missing > 0:
            piece = next(self._pieces, None)
            if piece is None:
                raise CorruptFile("the file is cut off")
            gathered.append(piece)
            missing -= len(piece)
        self._buffer, self._position = b"".join(gathered), 0


class FrameWriter:
    """Writes one file, frame by frame, to `write`. Keeps the page index in memory: some 17 bytes per page."""

    def __init__(self, header: ltx.Header, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._pending = bytearray()
        self._offset = 0
        self._index = IndexWriter(header.encode())
        self._checksum = ltx.Checksum()
        self._append(header.encode())

    def add(self, frame: Frame) -> None:
        """Appends a frame. Page numbers must ascend, and leave out the lock page."""
        self._index.add(frame.number, Extent(self._offset, len(frame.frame), zlib.crc32(frame.frame)))
        self._checksum.add(frame.frame[: ltx.FRAME_HEADER_SIZE])
        self._checksum.add(frame.page)
        self._pending += frame.frame
        self._offset += len(frame.frame)
        if len(self._pending) >= _FLUSH_BYTES:
            self._flush()

    def finish(self) -> None:
        """Completes the file. Without this call it is not valid."""
        self._append(ltx.END_OF_PAGES)
        self._append(self._index.finish())
        self._append(bytes(8))
        self._pending += self._checksum.value().to_bytes(8, "big")
        self._flush()

    def _append(self, structure: bytes) -> None:
        self._checksum.add(structure)
        self._pending += structure
        self._offset += len(structure)

    def _flush(self) -> None:
        self._write(bytes(self._pending))
        self._pending.clear()


def write_mapped(header: ltx.Header, pages: Iterable[tuple[int, bytes]]) -> mmap.mmap:
    """Writes a file that holds `pages`, as `ltx.encode` does, to the local disk. Returns its content.

    Raises `TransactionTooLarge` if there is no room, `StorageError` if the disk fails.
    """
    file = TemporaryFile()
    try:
        writer = FrameWriter(header, file.append)
        for number, page in pages:
            writer.add(Frame.of(number, page))
        writer.finish()
        return file.mapped()
    finally:
        file.close()


def merged_header(headers: Sequence[ltx.Header]) -> ltx.Header:
    """Returns the header of the file that replaces files with `headers`, oldest first.

    It has the time of the last transaction and a nonce of 0, so the bytes depend neither on the process that
    merges nor on the time. Raises `CorruptFile`.
    """
    for before, after in itertools.pairwise(headers):
        if after.page_size != before.page_size:
            raise CorruptFile(f"its pages have {after.page_size} bytes, those before it {before.page_size}")
        if not after.min_txid <= before.max_txid + 1 <= after.max_txid:
            raise CorruptFile(
                f"transactions {after.min_txid}-{after.max_txid} do not follow those up to {before.max_txid}"
            )
    last = headers[-1]
    return ltx.Header(
        last.page_size,
        last.commit,
        min(header.min_txid for header in headers),
        last.max_txid,
        timestamp_ms=last.timestamp_ms,
    )


def merged(readers: Sequence[FrameReader], header: ltx.Header) -> Iterator[Frame]:
    """Yields the newest version of each page in `readers`, oldest first, that the state of `header` has.

    Raises `CorruptFile` also if `header` begins with transaction 1 and a page is missing.
    """
    lock = ltx.lock_page(header.page_size)
    streams = [_aged(reader, age) for age, reader in enumerate(reversed(readers))]
    previous = 0
    expected = 1
    for number, _, frame in heapq.merge(*streams):
        if number == previous:
            continue
        previous = number
        if number > header.commit or number == lock:
            continue
        if header.min_txid == 1:
            expected += expected == lock
            if number != expected:
                raise CorruptFile(f"page {expected} is in no file up to transaction {header.max_txid}")
            expected += 1
        yield frame
    if header.min_txid == 1 and expected + (expected == lock) <= header.commit:
        raise CorruptFile(f"page {expected} is in no file up to transaction {header.max_txid}")


def _aged(reader: FrameReader, age: int) -> Iterator[tuple[int, int, Frame]]:
    """Yields frames with their order in a merge: by page, the newest version first."""
    for frame in reader:
        yield frame.number, age, frame
