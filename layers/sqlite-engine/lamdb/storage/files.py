"""The names of LTX files, and which of them together make up a state.

Key of a file: `<level>/<min TXID>-<max TXID>.ltx`, TXIDs as 16 hex digits. Level 0 holds one file per
transaction; higher levels hold compacted runs; level 9 holds snapshots.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from lamdb.storage.objectstore import ObjectInfo

SNAPSHOT_LEVEL: Final = 9

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.ltx")
_AFTER_ANY_NAME: Final = "g"


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One LTX file; `size` in bytes, `modified_ms` and `etag` as in `ObjectInfo` if it comes from a listing.

    `content` tells its content from every other, once both its ends have been read; empty until then.
    """

    level: int
    min_txid: int
    max_txid: int
    size: int
    key: str
    modified_ms: int = field(default=0, compare=False)
    etag: str = field(default="", compare=False)
    content: bytes = field(default=b"", compare=False, repr=False)


class Layout:
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
        """False for an object after which, in the order of keys, no LTX file comes any more."""
        return entry.key < self.after(SNAPSHOT_LEVEL)

    def parse(self, entry: ObjectInfo) -> FileInfo | None:
        """The file that an object is by its name, or None if it is something else."""
        folder, slash, name = entry.key.rpartition("/")
        level = self._levels.get(folder + slash)
        match = _NAME.fullmatch(name)
        if level is None or match is None:
            return None
        low, high = int(match[1], 16), int(match[2], 16)
        return FileInfo(level, low, high, entry.size, entry.key, entry.modified_ms, entry.etag)


def plan(files: Iterable[FileInfo], upto: int | None = None, *, after: int = 0) -> list[FileInfo]:
    """The fewest files, oldest first, that give the newest state (at most TXID `upto`).

    Starts from nothing, or from the state of TXID `after`, and always takes the file that reaches furthest
    without leaving a gap; of two that reach equally far, the one of the higher level. Ends at the first gap.
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
