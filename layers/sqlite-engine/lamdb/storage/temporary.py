"""Temporary files on local disk, for transactions that do not fit into memory."""

import errno
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from lamdb.errors import StorageError, TransactionTooLarge

_PLACES: Final = ("/var/tmp", "/usr/tmp", "/tmp")
"""The directories that SQLite tries after those of the environment."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def temporary_directory() -> str | None:
    """Returns the directory in which SQLite makes its temporary files; None if there is none."""
    places = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), *_PLACES)
    for place in places:
        if place and os.path.isdir(place) and os.access(place, os.W_OK | os.X_OK):
            return place
    return None


class TemporaryFile:
    """A file without a name. It is gone when it is closed, or when the process ends.

    Every method may raise `TransactionTooLarge` if the disk is full, and `StorageError` if it fails.
    """

    def __init__(self) -> None:
        directory = temporary_directory()
        if directory is None:
            raise TransactionTooLarge(
                "the transaction does not fit into memory, and there is no directory for temporary files",
                hint="Set TMPDIR to a directory that can be written to, or split the transaction.",
            )
        self._directory = directory
        self._end = 0
        with self._naming():
            self._file = tempfile.TemporaryFile(  # noqa: SIM115 - closed by `close`
                "w+b", buffering=0, dir=directory, prefix="lamdb-"
            )

    def append(self, data: bytes) -> None:
        self.write(data, self._end)

    def write(self, data: bytes, offset: int) -> None:
        with self._naming():
            view = memoryview(data)
            while view:
                written = os.pwrite(self._file.fileno(), view, offset)
                view, offset = view[written:], offset + written
        self._end = max(self._end, offset)

    def read(self, length: int, offset: int) -> bytes:
        with self._naming():
            return os.pread(self._file.fileno(), length, offset)

    def mapped(self) -> mmap.mmap:
        """The content of the file, for reading. It outlives the file."""
        with self._naming():
            return mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def close(self) -> None:
        self._file.close()

    def __del__(self) -> None:
        # An error may have left the file to the garbage collector, which would warn of it.
        if hasattr(self, "_file"):
            self._file.close()

    @contextmanager
    def _naming(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = f"a temporary file in {self._directory} failed: {error.strerror}"
            if error.errno in _FULL:
                raise TransactionTooLarge(
                    f"the transaction does not fit on the local disk: {reason}",
                    hint="Free some space there, set TMPDIR to a larger disk, or split the transaction.",
                ) from error
            raise StorageError(reason, hint="Check the disk, or set TMPDIR to another.") from error
