"""Whole LTX files between the object store and this process, in bounded memory."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Final

from lamdb.errors import CorruptFile
from lamdb.storage.files import FileInfo
from lamdb.storage.ltxstream import FrameReader
from lamdb.storage.replica import Replica, naming

_BUDGET: Final = 16 * 1024 * 1024
"""Bytes that all files read at once may request at a time. Up to three times as much is in memory."""

_SMALLEST_PIECE: Final = 64 * 1024
_LARGEST_PIECE: Final = 4 * 1024 * 1024


def open_readers(replica: Replica, files: Iterable[FileInfo]) -> list[FrameReader]:
    """Readers of `files`, their headers read in parallel; raises `FileGone`, `CorruptFile`."""
    chosen = list(files)
    piece = max(_SMALLEST_PIECE, min(_LARGEST_PIECE, _BUDGET // max(1, len(chosen))))
    streams = [_Pieces(replica, file, piece) for file in chosen]
    return [_reader(stream) for stream in streams]


def _reader(stream: "_Pieces") -> FrameReader:
    file = stream.file
    reader = FrameReader(stream, file.size, file.key)
    found = reader.header.min_txid, reader.header.max_txid
    if found != (file.min_txid, file.max_txid):
        with naming(file.key):
            raise CorruptFile(f"its name does not agree with its header, {found[0]}-{found[1]}")
    return reader


class _Pieces:
    """The bytes of one file in order; the piece after the one in use is always on its way."""

    def __init__(self, replica: Replica, file: FileInfo, piece: int) -> None:
        self.file = file
        self._replica = replica
        self._piece = piece
        self._asked = 0
        self._next = self._ask()

    def __iter__(self) -> Iterator[bytes]:
        while self._next is not None:
            data = self._next.result()
            self._next = self._ask()
            yield data

    def _ask(self) -> Future[bytes] | None:
        length = min(self._piece, self.file.size - self._asked)
        if not length:
            return None
        start, self._asked = self._asked, self._asked + length
        return self._replica.pool.submit(self._replica.read, self.file, start, length)
