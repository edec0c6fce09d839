"""Merges LTX files through levels, so that opening needs few of them after any history.

The range of transactions is divided into windows, aligned at multiples of their span: 16 transactions on
level 2, 256 on level 3, 4096 on level 4, and so on up to level 8. A complete window becomes one file of its
level. When the files above the last snapshot have grown to half its size, a new snapshot is made, on level 9.
Level 1 stays empty: Litestream's own VFS would let its pages override newer ones of level 0.

The output of a merge depends on its inputs alone. So any number of processes may compact at once: they create
the same bytes under the same names. Nothing is deleted here, but in `retention`.
"""

import time
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lamdb.errors import StoreUnavailable
from lamdb.storage.ltx.files import SNAPSHOT_LEVEL, FileInfo, plan
from lamdb.storage.ltx.replica import FileGone, Replica
from lamdb.storage.ltx.retrying import ATTEMPTS
from lamdb.storage.ltx.stream import FrameWriter, merged, merged_header
from lamdb.storage.ltx.transfers import open_readers

FAN_OUT: Final = 16
"""Windows of one level that make one of the next."""

FIRST_LEVEL: Final = 2
LAST_LEVEL: Final = 8

FAN_IN: Final = 256
"""The most files that are merged at once."""

_SNAPSHOT_TRANSACTIONS: Final = 256
_SNAPSHOT_BYTES: Final = 16 * 1024 * 1024
"""A snapshot waits for this many transactions or bytes since the last."""

_LARGE_MERGE: Final = 8 * 1024 * 1024
"""Bytes of input above which it is worth a request to see whether another process was faster."""

_FRAMES_PER_STEP: Final = 128


@dataclass(frozen=True, slots=True)
class Merge:
    """Files, oldest first and without a gap, that become one file of `level`."""

    level: int
    inputs: tuple[FileInfo, ...]

    @property
    def min_txid(self) -> int:
        return min(file.min_txid for file in self.inputs)

    @property
    def max_txid(self) -> int:
        return self.inputs[-1].max_txid

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(file.size for file in self.inputs)


# Which merges


def span(level: int) -> int:
    """How many transactions a window of `level` (2 to 8) holds."""
    return int(FAN_OUT ** (level - 1))


def plan_merges(files: Sequence[FileInfo]) -> list[Merge]:
    """Returns the merges that are possible with the present files, in order and independent of each other.

    Further merges may be possible afterwards: call again until none is returned.
    """
    chain = plan(files)
    if not chain:
        return []
    snapshot = _snapshot(files, chain)
    if snapshot is not None and len(snapshot.inputs) <= FAN_IN:
        return [snapshot]
    base = max((file.max_txid for file in files if file.level == SNAPSHOT_LEVEL), default=0)
    index = _Index(files)
    return [*_window_merges(index, base, chain[-1].max_txid)]


def _snapshot(files: Sequence[FileInfo], chain: list[FileInfo]) -> Merge | None:
    """The next snapshot, if it is due. The first file of a chain is one, whatever its level."""
    base, head = chain[0], chain[-1].max_txid
    volume = sum(file.size for file in chain[1:])
    due = head - base.max_txid >= _SNAPSHOT_TRANSACTIONS or volume >= _SNAPSHOT_BYTES
    if not due or 2 * volume < base.size:
        return None
    aligned = head - head % FAN_OUT
    inputs = plan(files, aligned) if aligned > base.max_txid else []
    if not inputs or inputs[-1].max_txid != aligned:
        inputs = chain
    return Merge(SNAPSHOT_LEVEL, tuple(inputs))


def snapshot_of(files: Sequence[FileInfo]) -> Merge | None:
    """The merge that makes the newest state one file, due or not; None if it is one already, or empty."""
    chain = plan(files)
    if not chain or (len(chain) == 1 and chain[0].level == SNAPSHOT_LEVEL):
        return None
    return Merge(SNAPSHOT_LEVEL, tuple(chain))


class _Index:
    """Files by where they begin and where they end."""

    def __init__(self, files: Sequence[FileInfo]) -> None:
        self._files = sorted(files, key=lambda file: file.min_txid)
        self._starts = [file.min_txid for file in self._files]
        self._by_end: dict[int, list[FileInfo]] = {}
        for file in files:
            self._by_end.setdefault(file.max_txid, []).append(file)

    def has(self, level: int, start: int, end: int) -> bool:
        """True if a file of at least `level` reaches from `start` or before exactly to `end`."""
        return any(file.level >= level and file.min_txid <= start for file in self._by_end.get(end, ()))

    def chain(self, start: int, end: int) -> list[FileInfo]:
        """The fewest files that make up `start` to `end`; [] if there is a gap."""
        first, last = bisect_left(self._starts, start), bisect_right(self._starts, end)
        chosen = plan(self._files[first:last], end, after=start - 1)
        return chosen if chosen and chosen[-1].max_txid == end else []


def _window_merges(index: _Index, base: int, head: int) -> Iterator[Merge]:
    """Walks from the snapshot at `base` to `head` in the largest windows that are complete."""
    position = base + 1
    while (window := _largest_window(position, head, first=base + 1)) is not None:
        level, end = window
        yield from _merges_for(index, level, position, end)
        position = end + 1


def _largest_window(position: int, head: int, *, first: int) -> tuple[int, int] | None:
    """Returns level and end of the largest complete window that begins at `position`.

    `head` is the last transaction, inclusive: a window that ends there is complete. `first` is the first
    transaction after a snapshot; its window begins there.
    """
    for level in range(LAST_LEVEL, FIRST_LEVEL - 1, -1):
        start = (position - 1) // span(level) * span(level) + 1
        end = start + span(level) - 1
        if end <= head and (start == position or position == first):
            return level, end
    return None


def _merges_for(index: _Index, level: int, start: int, end: int) -> Iterator[Merge]:
    """Yields the merge of `start` to `end` into one file of `level`; for too many files, merges that reduce
    their number."""
    if index.has(level, start, end):
        return
    inputs = index.chain(start, end)
    if len(inputs) > FAN_IN:
        position = start
        while position <= end:
            smaller = _largest_window(position, min(end, position + span(level - 1) - 1), first=start)
            if smaller is None:
                return
            yield from _merges_for(index, smaller[0], position, smaller[1])
            position = smaller[1] + 1
    elif len(inputs) > 1:
        yield Merge(level, tuple(inputs))


# Making them


def perform(replica: Replica, merge: Merge) -> Generator[int]:
    """Merges step by step, and yields the bytes that each step wrote. Stopping early leaves no file.

    Raises `FileGone`, `CorruptFile`, `StoreUnavailable`.
    """
    key = replica.layout.key(merge.level, merge.min_txid, merge.max_txid)
    if merge.size > _LARGE_MERGE and replica.store.head(key) is not None:
        return
    readers = open_readers(replica, merge.inputs)
    header = merged_header([reader.header for reader in readers])
    upload = replica.store.upload(key, timestamp_ms=header.timestamp_ms)
    written = 0

    def write(piece: bytes) -> None:
        nonlocal written
        upload.write(piece)
        written += len(piece)

    try:
        writer = FrameWriter(header, write)
        for number, frame in enumerate(merged(readers, header), 1):
            writer.add(frame)
            if number % _FRAMES_PER_STEP == 0:
                yield written
                written = 0
        writer.finish()
    except BaseException:
        upload.abort()
        raise
    # A key that is taken holds the same bytes: another process was faster.
    upload.finish()
    yield written


type MergeProgress = Callable[[Merge, int], None]
"""Told of a merge how many bytes it has written since it was last called."""


@dataclass(slots=True)
class Work:
    """The result of a run of compaction. `finished`: no merge is left."""

    merges: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    finished: bool = False


class Compactor:
    """Compacts one replica, in slices if there is a deadline. Used by one thread at a time."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._planned: deque[Merge] = deque()
        self._merge: Merge | None = None
        self._steps: Generator[int] | None = None

    def run(self, deadline: float | None = None, *, progress: MergeProgress | None = None) -> Work:
        """Merges until nothing is left, or until `time.monotonic()` has reached `deadline`.

        A merge that the deadline interrupts continues with the next run of this object; another process would
        start it again. `progress` is called with the bytes that each step of a merge has written. Raises
        `CorruptFile`, `StoreUnavailable`; earlier merges remain.
        """
        work = Work()
        gone = 0
        while deadline is None or time.monotonic() < deadline:
            try:
                if self._steps is None and not self._begin():
                    work.finished = True
                    return work
                self._step(work, progress)
                if self._steps is None:
                    gone = 0
            except FileGone as error:
                self.drop()
                gone += 1
                if gone == ATTEMPTS:
                    raise StoreUnavailable(f"{error} was listed, but is not there") from error
            except BaseException:
                self.drop()
                raise
        return work

    def drop(self) -> None:
        """Forgets the merge that was interrupted, if there is one."""
        if self._steps is not None:
            self._steps.close()
        self._steps = self._merge = None
        self._planned.clear()

    def _begin(self) -> bool:
        """Takes up the next merge; False if there is none."""
        if not self._planned:
            self._planned.extend(plan_merges(self._replica.files()))
        if not self._planned:
            return False
        self._merge = self._planned.popleft()
        self._steps = perform(self._replica, self._merge)
        return True

    def _step(self, work: Work, progress: MergeProgress | None) -> None:
        assert self._merge is not None
        assert self._steps is not None
        written = next(self._steps, None)
        if written is None:
            work.merges += 1
            work.bytes_read += self._merge.size
            self._merge = self._steps = None
            return
        work.bytes_written += written
        if progress is not None:
            progress(self._merge, written)
