"""A folder for the cache of one open database, kept from other processes by a lock.

The directory in the setting contains one folder for each open database of any process:
`<hash of the store's URL>-<number>`. A database takes the first folder for its store that no process has
locked, with its content. So a restarted process finds the data of the last one.
"""

import contextlib
import fcntl
import hashlib
import itertools
import os
import re
import time
from pathlib import Path
from typing import Final

_LOCK: Final = "lock"
_NAME: Final = re.compile(r"[0-9a-f]{16}-[0-9]+")

_ABANDONED: Final = 24 * 3600.0
"""Seconds after which a folder that no process holds is deleted by the next process that opens a database."""


class CacheFolder:
    """A folder that this object holds until `release`, or the end of the process. Methods raise `OSError`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @classmethod
    def claim(cls, root: Path, url: str) -> "CacheFolder":
        """Takes a folder in `root` for the store `url`, and deletes those that have not been used for
        long."""
        prefix = hashlib.sha256(url.encode()).hexdigest()[:16]
        root.mkdir(parents=True, exist_ok=True)
        numbers = itertools.count()
        while (folder := _take(root / f"{prefix}-{next(numbers)}")) is None:
            pass
        os.utime(folder.path / _LOCK)
        _delete_abandoned(root)
        return folder

    def segments(self) -> list[Path]:
        """The files in it, in the order in which they were made."""
        return sorted(path for path in self.path.iterdir() if path.name.isdecimal())

    def path_of(self, number: int) -> Path:
        return self.path / f"{number:012d}"

    def empty(self) -> None:
        """Deletes all that is in it."""
        for path in self.segments():
            path.unlink(missing_ok=True)

    def release(self) -> None:
        os.close(self._lock)


def _take(path: Path) -> CacheFolder | None:
    """Returns the folder at `path`, created if necessary; None if a process has locked or is deleting it."""
    with contextlib.suppress(FileNotFoundError):
        path.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), (path / _LOCK).stat()):
                return CacheFolder(path, lock)
        except BlockingIOError:
            pass
        except BaseException:
            os.close(lock)
            raise
        os.close(lock)
    return None


def _delete_abandoned(root: Path) -> None:
    oldest = time.time() - _ABANDONED
    for path in root.iterdir():
        if _NAME.fullmatch(path.name) and _last_used(path) < oldest:
            folder = _take(path)
            if folder is not None:
                _delete(folder)


def _last_used(path: Path) -> float:
    with contextlib.suppress(FileNotFoundError):
        return max(found.stat().st_mtime for found in (path, *path.iterdir()))
    return time.time()


def _delete(folder: CacheFolder) -> None:
    """Deletes the lock last: a process that waits for it sees that it is gone."""
    try:
        folder.empty()
        (folder.path / _LOCK).unlink()
        with contextlib.suppress(OSError):  # Somebody is about to take it.
            folder.path.rmdir()
    finally:
        folder.release()
