"""Ages of transactions, where the clocks may be wrong.

Objects in a bucket have the time of the bucket's own clock. Files in a directory have the times of their
writers, whose clocks may be ahead or behind, and may be corrected later. There, a pause between two
transactions counts for at most an hour. So a clock that jumps ahead shortens the promised history by at most
an hour, and one that falls behind does not shorten it. A store with few writes keeps its history longer.
"""

from collections.abc import Iterable
from typing import Final

from lamdb.storage.ltx.files import FileInfo

LONGEST_PAUSE_MS: Final = 60 * 60 * 1000

_DAY_MS: Final = 24 * 60 * 60 * 1000


class StoreAges:
    """Times by a clock that is known to be right."""

    slack_ms: int = 0
    """Extra time for which everything is kept."""

    def when(self, file: FileInfo) -> int:
        """Returns the time of `file` in milliseconds. On this scale, the newest file's time is "now"."""
        return file.modified_ms

    def days(self, file: FileInfo) -> tuple[int, ...]:
        """The days on which `file` may have been created, by several clocks; empty if there is only one."""
        return ()


class WitnessedAges(StoreAges):
    """Times in which a pause counts for at most an hour."""

    slack_ms = LONGEST_PAUSE_MS

    def __init__(self, files: Iterable[FileInfo]) -> None:
        seen: dict[int, int] = {}
        for file in files:
            seen[file.max_txid] = min(file.modified_ms, seen.get(file.max_txid, file.modified_ms))
        txids = sorted(seen, reverse=True)
        self._when: dict[int, int] = {}
        later = when = max(seen.values(), default=0)
        for txid in txids:
            # No transaction is younger than the next one. A time that says so is from a clock that was ahead.
            time = min(seen[txid], later)
            when -= min(later - time, LONGEST_PAUSE_MS)
            self._when[txid], later = when, time

    def when(self, file: FileInfo) -> int:
        return self._when[file.max_txid]

    def days(self, file: FileInfo) -> tuple[int, ...]:
        return file.modified_ms // _DAY_MS, file.changed_ms // _DAY_MS
