"""Whole LTX files between the object store and this process, in bounded memory."""

from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from typing import Final

from lamdb.errors import CorruptFile
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import Replica, naming
from lamdb.storage.ltx.stream import FrameReader

_BUDGET: Final = 32 * 1024 * 1024
"""Largest sum of the bytes in memory and in requests, for all files that are read at once."""

_FIRST_PIECE: Final = 64 * 1024
"""Bytes that each file may request at a time, whatever the others use."""

_LARGEST_PIECE: Final = 4 * 1024 * 1024


def open_readers(replica: Replica, files: Iterable[FileInfo]) -> list[FrameReader]:
    """Readers of `files`, their headers read in parallel; raises `FileGone`, `CorruptFile`."""
    budget = _Budget(_BUDGET)
    streams = [_Pieces(replica, file, budget) for file in files]
    return [_reader(stream) for stream in streams]


def _reader(stream: "_Pieces") -> FrameReader:
    file = stream.file
    reader = FrameReader(stream, file.size, file.key)
    found = reader.header.min_txid, reader.header.max_txid
    if found != (file.min_txid, file.max_txid):
        with naming(file.key):
            raise CorruptFile(f"its name does not agree with its header, {found[0]}-{found[1]}")
    return reader


class _Budget:
    """The rest of an amount of bytes. Used by one thread."""

    def __init__(self, left: int) -> None:
        self._left = left

    def take(self, wanted: int) -> int:
        """As much of `wanted` as can be granted: at least a first piece."""
        granted = min(wanted, max(_FIRST_PIECE, self._left // 4))
        self._left -= granted
        return granted

    def give_back(self, taken: int) -> None:
        self._left += taken


class _Pieces:
    """The bytes of one file in order. The next piece is always requested in advance.

    Pieces grow as they are consumed, so the files that a merge currently reads get the largest ones.
    """

    def __init__(self, replica: Replica, file: FileInfo, budget: _Budget) -> None:
        self.file = file
        self._replica = replica
        self._budget = budget
        self._wanted = _FIRST_PIECE
        self._asked = 0
        self._in_use = self._coming = 0
        self._next = self._ask()

    def __iter__(self) -> Iterator[bytes]:
        while self._next is not None:
            data = self._next.result()
            self._budget.give_back(self._in_use)
            self._in_use = self._coming
            self._next = self._ask()
            yield data
        self._budget.give_back(self._in_use)

    def _ask(self) -> Future[bytes] | None:
        """Requests the next piece; None if there is none."""
        length = self._coming = self._budget.take(min(self._wanted, self.file.size - self._asked))
        if not length:
            return None
        start, self._asked = self._asked, self._asked + length
        self._wanted = min(2 * self._wanted, _LARGEST_PIECE)
        return self._replica.pool.submit(self._replica.read, self.file, start, length)
