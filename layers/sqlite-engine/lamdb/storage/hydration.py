"""Reads the files of a database into the disk cache before they are needed.

One thread makes one request at a time, and none while pages are fetched for a reader. It requests each byte
that is not on disk once. It ends when all files are read, when the store fails (which a freeze also looks
like), or when the disk cache is switched off.
"""

import contextlib
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Final

from lamdb.errors import StorageError
from lamdb.storage.fetch import PageFetcher
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import FileGone, Replica

log = logging.getLogger("lamdb.storage")

_PIECE: Final = 4 * 1024 * 1024
"""Bytes per request."""

_SHARE_OF_CACHE: Final = 0.75
"""The share of the disk cache that is filled in advance; the rest is for later reads."""

_CALM: Final = 0.05
"""Seconds without a request for pages, after which one may be made here."""

_PATIENCE: Final = 1.0
"""Seconds for which `stop` waits for a request that is under way."""


class Hydration:
    """Starts in the background when it is created, and runs until it is done or stopped."""

    def __init__(self, replica: Replica, fetcher: PageFetcher, files: Iterable[FileInfo]) -> None:
        self._replica = replica
        self._fetcher = fetcher
        self._stopped = threading.Event()
        self._seen = -1
        self.bytes_read = 0
        budget = int(replica.disk.budget * _SHARE_OF_CACHE)
        self._thread = threading.Thread(
            target=self._run, args=(chosen(files, budget),), name="lamdb-hydration", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Makes no more requests."""
        self._stopped.set()
        self._thread.join(_PATIENCE)

    def wait(self, timeout: float | None = None) -> bool:
        """True if it has ended, after `timeout` seconds at most."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self, files: list[FileInfo]) -> None:
        try:
            for file in files:
                with contextlib.suppress(FileGone):  # Compaction has replaced it, so it is no longer read.
                    self._read(file)
        except StorageError as error:
            log.info("the cache on disk is not filled any further: %s", error.message)

    def _read(self, file: FileInfo) -> None:
        for start, end in self._pieces(file):
            data = self._replica.read(file, start, end - start)
            self.bytes_read += len(data)
            self._replica.disk.put(file.content, start, data)

    def _pieces(self, file: FileInfo) -> Iterator[tuple[int, int]]:
        """Yields the ranges of a file that are not on disk, in pieces, each at the time to fetch it."""
        piece = min(_PIECE, self._replica.disk.largest)
        reached = 0
        while reached < file.size and self._calm() and self._replica.disk.on:
            gaps = self._replica.disk.gaps(file.content, reached, file.size)
            if not gaps:
                return
            start, end = gaps[0]
            reached = min(end, start + piece)
            yield start, reached

    def _calm(self) -> bool:
        """Waits until no pages have been requested for a while; False if it was stopped."""
        while self._fetcher.busy or self._seen != self._fetcher.requests:
            self._seen = self._fetcher.requests
            if self._stopped.wait(_CALM):
                return False
        return not self._stopped.is_set()


def chosen(files: Iterable[FileInfo], budget: int) -> list[FileInfo]:
    """Returns the newest files of a state that together fit into `budget` bytes. `files` are oldest first.

    New files are small and contain recent changes. A file that does not fit is left out completely, because
    it is unknown which of its parts are used.
    """
    found: list[FileInfo] = []
    for file in reversed([*files]):
        if file.size <= budget:
            found.append(file)
            budget -= file.size
    return found
