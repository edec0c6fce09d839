"""Files of the disk cache: records appended one after another, each with its checksums.

A record is a header, a table of checksums, and bytes of an object:

| part | bytes | content |
|---|---|---|
| header | 4 | `LDC1` |
| | 16 | identity of the object |
| | 8, 4 | offset of the bytes in the object, their number |
| | 8 | checksum of the header so far |
| table | 8 each | checksum of each 16 KiB of the bytes, seeded with the header's |
| bytes | | as they are in the object |

A complete segment ends with a catalogue, so opening reads one place of it: 40 bytes per record (identity,
offset, number of bytes, position of the record), their checksum (8), the size of the catalogue (8) and
`LDCC`. Without a catalogue, the records are read one after the other, up to the first incomplete one.
Integers are little-endian. Nothing is fsynced: data with a wrong checksum counts as missing.
"""

import contextlib
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from fastcrc import crc64

_MAGIC: Final = b"LDC1"
_HEADER = struct.Struct("<4s16sQI")
_CHECKSUM = struct.Struct("<Q")
_HEADER_SIZE: Final = _HEADER.size + _CHECKSUM.size
_BLOCK: Final = 16 * 1024

_ENTRY = struct.Struct("<16sQQQ")
_CATALOGUE_END = struct.Struct("<QQ4s")
_CATALOGUE_MAGIC: Final = b"LDCC"


class Entry(NamedTuple):
    """`length` bytes of the object `identity` from its byte `start` on, in the record at `position`."""

    identity: bytes
    start: int
    length: int
    position: int

    @property
    def end(self) -> int:
        return self.start + self.length

    @property
    def after(self) -> int:
        """Where the record ends."""
        return self.position + _HEADER_SIZE + _CHECKSUM.size * _blocks(self.length) + self.length


def record_size(length: int) -> int:
    """The bytes that a record of `length` bytes takes in a segment and, later, in its catalogue."""
    return Entry(b"", 0, length, 0).after + _ENTRY.size


class Segment:
    """One file. Appending is for one thread at a time; reading is for any number, also after `remove`.

    The file is closed when the last reader has released the segment. Methods raise `OSError`.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.entries: list[Entry] = []
        self.size = 0
        """Bytes of the records alone."""
        self.catalogued = False
        """Whether the file ends with a catalogue of what `entries` holds."""
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path) -> "Segment":
        return cls(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    @classmethod
    def load(cls, path: Path) -> "Segment":
        """Opens an existing file with its complete records. The rest is truncated."""
        segment = cls(path, os.open(path, os.O_RDWR))
        size = os.fstat(segment._descriptor).st_size
        catalogue = segment._catalogue(size)
        segment.catalogued = catalogue is not None
        for entry in segment._walk(size) if catalogue is None else catalogue:
            segment.entries.append(entry)
            segment.size = entry.after
        if catalogue is None:
            os.ftruncate(segment._descriptor, segment.size)
        return segment

    def __del__(self) -> None:
        os.close(self._descriptor)

    @property
    def bytes_on_disk(self) -> int:
        """The bytes of the file with its catalogue."""
        return self.size + len(self.entries) * _ENTRY.size + _CATALOGUE_END.size

    def append(self, identity: bytes, start: int, data: bytes) -> Entry:
        entry = Entry(identity, start, len(data), self.size)
        self.catalogued = False
        header, seed = _header(entry)
        table = b"".join(_checksums(data, seed))
        self._write(b"".join((header, _CHECKSUM.pack(seed), table, data)), self.size)
        self.entries.append(entry)
        self.size = entry.after
        return entry

    def read(self, entry: Entry, start: int, end: int) -> bytes | None:
        """Bytes `start` to `end` of the object, which lie in the record `entry`; None if they are damaged."""
        first, last = (start - entry.start) // _BLOCK, _blocks(end - entry.start)
        table_at = entry.position + _HEADER_SIZE
        table = self._read(_CHECKSUM.size * (last - first), table_at + _CHECKSUM.size * first)
        begin = first * _BLOCK
        data = self._read(min(last * _BLOCK, entry.length) - begin, entry.after - entry.length + begin)
        if b"".join(_checksums(data, _header(entry)[1])) != table:
            return None
        return data[start - entry.start - begin : end - entry.start - begin]

    def discard(self, entry: Entry) -> None:
        """Removes a damaged record from the catalogue."""
        if entry in self.entries:
            self.entries.remove(entry)
            self.catalogued = False

    def complete(self) -> None:
        """Writes the catalogue if it is not written. Later records overwrite it."""
        if self.catalogued:
            return
        catalogue = b"".join(_ENTRY.pack(*entry) for entry in self.entries)
        end = _CATALOGUE_END.pack(crc64.xz(catalogue), len(catalogue), _CATALOGUE_MAGIC)
        self._write(catalogue + end, self.size)
        os.ftruncate(self._descriptor, self.size + len(catalogue) + len(end))
        self.catalogued = True

    def remove(self) -> None:
        """Deletes the file. Its space is freed when its last reader is done."""
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def _write(self, data: bytes, position: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._descriptor, view, position)
            position += written
            view = view[written:]

    def _read(self, length: int, position: int) -> bytes:
        return os.pread(self._descriptor, length, position)

    def _catalogue(self, size: int) -> list[Entry] | None:
        """The entries that the end of the file lists; None if there is no catalogue."""
        end_at = size - _CATALOGUE_END.size
        if end_at < 0:
            return None
        checksum, length, magic = _CATALOGUE_END.unpack(self._read(_CATALOGUE_END.size, end_at))
        if magic != _CATALOGUE_MAGIC or length > end_at or length % _ENTRY.size:
            return None
        catalogue = self._read(length, end_at - length)
        if crc64.xz(catalogue) != checksum:
            return None
        return [Entry(*fields) for fields in _ENTRY.iter_unpack(catalogue)]

    def _walk(self, size: int) -> Iterator[Entry]:
        position = 0
        while position + _HEADER_SIZE < size:
            header = self._read(_HEADER_SIZE, position)
            magic, identity, start, length = _HEADER.unpack_from(header)
            entry = Entry(identity, start, length, position)
            if (
                magic != _MAGIC
                or not header.endswith(_CHECKSUM.pack(_header(entry)[1]))
                or entry.after > size
            ):
                return
            yield entry
            position = entry.after


def _header(entry: Entry) -> tuple[bytes, int]:
    """The header of a record, without its checksum, and that checksum."""
    header = _HEADER.pack(_MAGIC, entry.identity, entry.start, entry.length)
    return header, crc64.xz(header)


def _checksums(data: bytes, seed: int) -> Iterator[bytes]:
    for at in range(0, len(data), _BLOCK):
        yield _CHECKSUM.pack(crc64.xz(data[at : at + _BLOCK], seed))


def _blocks(length: int) -> int:
    return -(-length // _BLOCK)
