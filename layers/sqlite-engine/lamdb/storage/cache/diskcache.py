"""Bytes of immutable objects on the local disk, under a budget.

The cache is a log: data read from the store is appended to the newest segment. When the budget is used up,
the oldest segment is deleted. Entries are found by the object's identity and the offset of the bytes in it.
Checksums are verified on every read.

If the disk fails in any way, the cache is switched off with one line in the log, and reads continue without
it.
"""

import contextlib
import hashlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from lamdb.storage.cache.cachefolder import CacheFolder
from lamdb.storage.cache.ranges import Kept, RangeIndex
from lamdb.storage.cache.segments import Segment, record_size

log = logging.getLogger("lamdb.storage")

_SEGMENTS: Final = 16
"""Number of segments into which the budget is divided: a sixteenth of it is deleted at a time."""

_SHARE_OF_BUDGET: Final = 4
"""An object that takes more than this part of the budget at a time is not kept."""

_IDENTITY_SIZE: Final = 16


@dataclass(frozen=True)
class DiskOptions:
    """Directory and size of the disk cache, and whether to fill it in advance.

    - `directory`: any number of processes and databases may share it; each takes a folder in it.
    - `bytes`: for each database that a process opens.
    - `hydrate`: reads the files of the database into the cache after opening, in the background.
    """

    directory: Path
    bytes: int
    hydrate: bool = False


def identity_of(*parts: bytes | str | int) -> bytes:
    """The identity of an object: a hash of `parts`."""
    joined = "\0".join(part.hex() if isinstance(part, bytes) else str(part) for part in parts)
    return hashlib.blake2b(joined.encode(), digest_size=_IDENTITY_SIZE).digest()


class DiskCache:
    """Thread-safe. No method raises an error of the disk, and all do nothing once one has occurred."""

    def __init__(self, folder: CacheFolder | None, budget: int) -> None:
        self.budget = budget
        self.largest = budget // _SHARE_OF_BUDGET
        """Largest number of bytes that is stored at a time."""
        self.hits = 0
        """Number of reads that the cache served."""
        self._folder = folder
        self._index = RangeIndex()
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._segments: list[Segment] = []
        self._next_number = 0
        if folder is not None:
            try:
                self._load(folder)
            except OSError as error:
                self._give_up(error)

    @classmethod
    def open(cls, options: DiskOptions | None, url: str) -> Self:
        """The cache of the store `url`; one that keeps nothing without options, or if the disk cannot be
        used."""
        if options is None or options.bytes <= 0:
            return cls.off()
        try:
            return cls(CacheFolder.claim(options.directory, url), options.bytes)
        except OSError as error:
            log.warning("there is no cache on disk in %s: %s", options.directory, error)
            return cls.off()

    @classmethod
    def off(cls) -> Self:
        """Returns a cache that stores nothing."""
        return cls(None, 0)

    @property
    def on(self) -> bool:
        """True if anything can be kept."""
        return self._folder is not None

    @property
    def size(self) -> int:
        """The bytes on disk."""
        with self._writing:
            return self._size()

    def get(self, identity: bytes, start: int, end: int) -> bytes | None:
        """Bytes `start` to `end` (exclusive) of an object; None if not all of them are here."""
        with self._lock:
            found = self._index.cover(identity, start, end)
        if found is None:
            return None
        pieces: list[bytes] = []
        for kept in found:
            stop = min(kept.entry.end, end)
            piece = self._read(kept, start, stop)
            if piece is None:
                return None
            pieces.append(piece)
            start = stop
        self.hits += 1
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def reach(self, identity: bytes, start: int, end: int) -> int:
        """Returns the end of the stored bytes of the object from `start` on, at most `end`."""
        with self._lock:
            return self._index.reach(identity, start, end)

    def gaps(self, identity: bytes, start: int, end: int) -> list[tuple[int, int]]:
        """Returns the byte ranges from `start` to `end` that are not stored, as (start, end), in order."""
        with self._lock:
            return self._index.gaps(identity, start, end)

    def put(self, identity: bytes, start: int, data: bytes) -> None:
        """Stores `data`, the bytes of an object from `start` on, unless they are stored already or too many.

        Nothing is stored for an object without an identity (empty).
        """
        end = start + len(data)
        if not identity or not 0 < len(data) <= self.largest:
            return
        with self._writing:
            if self._folder is None or self.reach(identity, start, end) == end:
                return
            try:
                segment = self._segment_for(record_size(len(data)), self._folder)
                kept = Kept(segment.append(identity, start, data), segment)
            except OSError as error:
                self._give_up(error)
                return
            with self._lock:
                self._index.add(kept)

    def forget(self, identity: bytes) -> None:
        """Drops all bytes of an object that turned out to be damaged."""
        with self._lock:
            dropped = self._index.drop(identity)
        with self._writing:
            for kept in dropped:
                kept.segment.discard(kept.entry)

    def close(self) -> None:
        """Closes the files, which the next process may use. Nothing is stored afterwards."""
        with self._writing:
            folder = self._folder
            if folder is None:
                return
            try:
                for segment in self._segments:
                    segment.complete()
            except OSError as error:
                self._give_up(error)
                return
            self._let_go()
            folder.release()

    def _read(self, kept: Kept, start: int, end: int) -> bytes | None:
        try:
            data = kept.segment.read(kept.entry, start, end)
        except OSError as error:
            with self._writing:
                self._give_up(error)
            return None
        if data is None:
            with self._lock:
                self._index.remove(kept)
            with self._writing:
                kept.segment.discard(kept.entry)
        return data

    # Segments, the oldest first. Under the lock for writing.

    def _load(self, folder: CacheFolder) -> None:
        for path in folder.segments():
            segment = Segment.load(path)
            self._segments.append(segment)
            for entry in segment.entries:
                self._index.add(Kept(entry, segment))
            self._next_number = int(path.name) + 1
        while self._size() > self.budget:
            self._drop_oldest()

    def _segment_for(self, more: int, folder: CacheFolder) -> Segment:
        """Returns the segment for a record of `more` bytes, and makes room for it."""
        if not self._segments or self._segments[-1].size >= self.budget // _SEGMENTS:
            if self._segments:
                self._segments[-1].complete()
            self._segments.append(Segment.create(folder.path_of(self._next_number)))
            self._next_number += 1
        while self._size() + more > self.budget and len(self._segments) > 1:
            self._drop_oldest()
        return self._segments[-1]

    def _size(self) -> int:
        return sum(segment.bytes_on_disk for segment in self._segments)

    def _drop_oldest(self) -> None:
        segment = self._segments.pop(0)
        with self._lock:
            for entry in segment.entries:
                self._index.remove(Kept(entry, segment))
        segment.remove()

    def _give_up(self, error: OSError) -> None:
        """Switches the cache off and deletes its files."""
        folder = self._folder
        if folder is None:
            return
        log.warning("the cache on disk in %s is given up: %s", folder.path, error)
        self._let_go()
        with contextlib.suppress(OSError):
            folder.empty()
        folder.release()

    def _let_go(self) -> None:
        self._folder = None
        self._segments = []
        with self._lock:
            self._index.clear()
