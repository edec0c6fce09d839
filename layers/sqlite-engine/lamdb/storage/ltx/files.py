"""The names of LTX files, and the choice of files that make up a state.

Key of a file: `<level>/<min TXID>-<max TXID>.ltx`, TXIDs as 16 hex digits. Level 0 has one file per
transaction, higher levels have compacted ranges, level 9 has snapshots.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from lamdb.storage.stores.objectstore import ObjectInfo

SNAPSHOT_LEVEL: Final = 9

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.ltx")
_AFTER_ANY_NAME: Final = "g"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One LTX file; `size` in bytes, times and `etag` as in `ObjectInfo` if it comes from a listing.

    `content` identifies the content once both ends of the file have been read; it is empty before.
    """

    level: int
    min_txid: int
    max_txid: int
    size: int
    key: str
    modified_ms: int = field(default=0, compare=False)
    etag: str = field(default="", compare=False)
    content: bytes = field(default=b"", compare=False, repr=False)
    changed_ms: int = field(default=0, compare=False)

    @property
    def stored_ms(self) -> int:
        """The time at which the store received it, by the best known clock; 0 if it is not from a listing."""
        return self.changed_ms or self.modified_ms


class KeyLayout:
    """Keys in one kind of store; `level_folder` is the format string that `ObjectStore` has."""

    def __init__(self, level_folder: str) -> None:
        self._folders = [level_folder.format(level) for level in range(SNAPSHOT_LEVEL + 1)]
        self._levels = {folder: level for level, folder in enumerate(self._folders)}

    def folder(self, level: int) -> str:
        return self._folders[level]

    def key(self, level: int, min_txid: int, max_txid: int) -> str:
        return f"{self._folders[level]}{min_txid:016x}-{max_txid:016x}.ltx"

    def before(self, level: int, min_txid: int) -> str:
        """Sorts between the files of `level` that begin before `min_txid` and the others."""
        return f"{self._folders[level]}{min_txid:016x}"

    def after(self, level: int) -> str:
        """Sorts after the files of `level` and before those of the next."""
        return self._folders[level] + _AFTER_ANY_NAME

    def may_precede_files(self, entry: ObjectInfo) -> bool:
        """False for an object after which, in the order of keys, there are no LTX files."""
        return entry.key < self.after(SNAPSHOT_LEVEL)

    def parse(self, entry: ObjectInfo) -> FileInfo | None:
        """Returns the file that an object is by its name, or None for another object."""
        folder, slash, name = entry.key.rpartition("/")
        level = self._levels.get(folder + slash)
        match = _NAME.fullmatch(name)
        if level is None or match is None:
            return None
        low, high = int(match[1], 16), int(match[2], 16)
        return FileInfo(
            level,
            low,
            high,
            entry.size,
            entry.key,
            modified_ms=entry.modified_ms,
            etag=entry.etag,
            changed_ms=entry.changed_ms,
        )


def plan(files: Iterable[FileInfo], upto: int | None = None, *, after: int = 0) -> list[FileInfo]:
    """Returns the fewest files, oldest first, that make up the newest state (at most TXID `upto`).

    Starts from an empty database, or from the state of TXID `after`. Each step takes the file that reaches
    furthest without leaving a gap; of two that reach equally far, the one of the higher level. Ends at the
    first gap.
    """
    candidates = sorted(
        (file for file in files if file.min_txid > after and (upto is None or file.max_txid <= upto)),
        key=lambda file: file.min_txid,
    )
    chosen: list[FileInfo] = []
    reached, position = after, 0
    best: FileInfo | None = None
    while True:
        while position < len(candidates) and candidates[position].min_txid <= reached + 1:
            file = candidates[position]
            if best is None or (file.max_txid, file.level) > (best.max_txid, best.level):
                best = file
            position += 1
        if best is None or best.max_txid <= reached:
            return chosen
        chosen.append(best)
        reached = best.max_txid


class Gap(NamedTuple):
    """A gap: transaction `missing` is in no file, although there is a file with `present`."""

    missing: int
    present: int

    def __str__(self) -> str:
        return f"transaction {self.missing} is missing, though there is {self.present}"


def restorable(files: Iterable[FileInfo]) -> Iterator[FileInfo]:
    """Yields one file for each TXID that can be restored from `files`, ascending. The file ends with it.

    If several do, the one of the lowest level is taken: its time is closest to the transaction's.
    """
    reached = 0
    for file in sorted(files, key=lambda file: (file.max_txid, file.level)):
        if file.max_txid > reached >= file.min_txid - 1:
            reached = file.max_txid
            yield file


def gap_before_head(files: Sequence[FileInfo], chosen: Sequence[FileInfo]) -> Gap | None:
    """Returns the gap between the plan `chosen` and the newest of `files`, because of which the newest state
    cannot be restored."""
    newest = max((file.max_txid for file in files), default=0)
    reached = chosen[-1].max_txid if chosen else 0
    return Gap(reached + 1, newest) if reached < newest else None


def gaps(files: Sequence[FileInfo]) -> list[Gap]:
    """Returns the gaps in the history, oldest first. `files` are all files of a store.

    These are a gap before the newest transaction, and gaps followed by transactions of level 0 that belong to
    no state. Retention leaves no gaps of the second kind because it deletes the newest files first.
    Litestream does leave them, so they are ignored in a store with files of level 1, which only Litestream
    writes.
    """
    ends = [file.max_txid for file in restorable(files)]
    known = set(ends)
    judged = not any(file.level == 1 for file in files)
    lost = sorted(file.max_txid for file in files if not file.level and file.max_txid not in known)
    found: dict[int, Gap] = {}
    for txid in lost if judged else ():
        position = bisect_left(ends, txid)
        missing = ends[position - 1] + 1 if position else 1
        found[missing] = Gap(missing, txid)
    head = gap_before_head(files, plan(files))
    if head is not None:
        found[head.missing] = head
    return [found[missing] for missing in sorted(found)]
