"""Reads all files of a store, a little at a time, to find damage early.

It reads the files of the newest state and all compacted files, checks them page by page against their
checksums, and looks for missing transactions in the history. Files of level 0 that have been compacted were
read completely at that time.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lamdb.errors import CorruptFile
from lamdb.storage.ltx.files import FileInfo, plan
from lamdb.storage.ltx.replica import FileGone, Replica
from lamdb.storage.ltx.transfers import open_readers

_MOST_FAULTS: Final = 20
_FILE_COST: Final = 64 * 1024
"""Least bytes that a file counts for, because requests limit the speed for small files."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """The result of one pass over a store: its end, what it read, and faults."""

    finished_at: datetime
    files: int
    bytes: int
    faults: tuple[str, ...]


class SelfCheck:
    """Passes over one store. Used by one thread."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._steps: Iterator[int] | None = None
        self._files = 0
        self._bytes = 0
        self._faults: list[str] = []

    def work(self, budget: int) -> CheckReport | None:
        """Reads about `budget` further bytes. Returns the report at the end of a pass, else None.

        The call after the end begins another pass. So does the call after a `StoreUnavailable`.
        """
        if self._steps is None:
            self._files = self._bytes = 0
            self._faults = []
            self._steps = self._pass()
        while budget > 0:
            try:
                step = next(self._steps, None)
            except BaseException:
                self._steps = None
                raise
            if step is None:
                self._steps = None
                return CheckReport(
                    datetime.fromtimestamp(time.time(), UTC), self._files, self._bytes, tuple(self._faults)
                )
            budget -= step
        return None

    def _pass(self) -> Iterator[int]:
        """Yields the bytes that each step has read, or its minimum."""
        listed, gaps = self._replica.history()
        for gap in gaps[:_MOST_FAULTS]:
            self._faults.append(str(gap))
        chain = plan(listed)
        wanted = {file.key: file for file in [*chain, *(file for file in listed if file.level)]}
        waiting = deque(wanted.values())
        while waiting and len(self._faults) < _MOST_FAULTS:
            file = waiting.popleft()
            self._files += 1
            yield _FILE_COST
            yield from self._read(file)

    def _read(self, file: FileInfo) -> Iterator[int]:
        try:
            for reader in open_readers(self._replica, [file]):
                for frame in reader:
                    self._bytes += len(frame.frame)
                    yield len(frame.frame)
        except FileGone:  # Compaction and retention have removed it.
            return
        except CorruptFile as error:
            self._faults.append(error.message)
