"""LTX files on an object store, laid out as Litestream lays them out.

Key of a file: `<level>/<min TXID>-<max TXID>.ltx`, TXIDs as 16 hex digits. The folder of a level is `0000` in
a bucket and `ltx/0` in a directory. Level 0 holds one file per transaction; higher levels hold compacted
runs; level 9 holds snapshots.
"""

import contextlib
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from lamdb.errors import CorruptFile, Fenced, NotAStore, StorageError, StoreUnavailable
from lamdb.storage import ltx
from lamdb.storage.objectstore import ObjectInfo, ObjectStore

SNAPSHOT_LEVEL: Final = 9

_NAME: Final = re.compile(r"([0-9a-f]{16})-([0-9a-f]{16})\.ltx")
_LEVELS: Final = range(SNAPSHOT_LEVEL + 1)
_AFTER_ANY_NAME: Final = "g"
"""Sorts after the name of every LTX file."""

_TAIL: Final = 64 * 1024
"""What opening a file reads from its end, and from its start if it is longer (bytes)."""

_COMMIT_DEADLINE: Final = 15.0
"""How long a commit of unknown outcome is pursued (seconds)."""


@dataclass(frozen=True, slots=True)
class FileInfo:
    """One LTX file in a listing; `size` in bytes."""

    level: int
    min_txid: int
    max_txid: int
    size: int
    key: str


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file whose index has been read; `body` is the whole of it where it was small enough to read at
    once."""

    info: FileInfo
    header: ltx.Header
    index: ltx.PageIndex
    pages: dict[int, bytes] | None = None


def file_name(min_txid: int, max_txid: int) -> str:
    return f"{min_txid:016x}-{max_txid:016x}.ltx"


def plan(files: Iterable[FileInfo], upto: int | None = None) -> list[FileInfo]:
    """The fewest files, oldest first, that give the newest state (at most TXID `upto`).

    Starts from nothing and always takes the file that reaches furthest without leaving a gap; of two that
    reach equally far, the one of the higher level. Ends at the first gap.
    """
    candidates = sorted(
        (file for file in files if upto is None or file.max_txid <= upto), key=lambda file: file.min_txid
    )
    chosen: list[FileInfo] = []
    reached = position = 0
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


@contextlib.contextmanager
def naming(key: str) -> Iterator[None]:
    """Puts the name of the object into a `CorruptFile` raised inside."""
    try:
        yield
    except CorruptFile as error:
        raise CorruptFile(f"{key}: {error.message}", meta={"object": key}) from error


class Replica:
    """The files of one database on one object store."""

    def __init__(self, store: ObjectStore, *, connections: int = 16) -> None:
        self.store = store
        self._connections = connections
        self._pool: ThreadPoolExecutor | None = None
        self._folders = {store.level_folder.format(level): level for level in _LEVELS}

    def key(self, level: int, min_txid: int, max_txid: int) -> str:
        return self.store.level_folder.format(level) + file_name(min_txid, max_txid)

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def files(self) -> list[FileInfo]:
        """Every file needed to restore any recent state: all levels above 0, and level 0 after them.

        Two requests, as long as a page of 1000 names holds each listing. Raises `NotAStore` if there are
        objects but no LTX files.
        """
        upper = self._list(after=self.store.level_folder.format(0) + _AFTER_ANY_NAME)
        covered = plan(upper)
        reached = covered[-1].max_txid if covered else 0
        lower = self.level_0_after(reached)
        if not upper and not lower:
            self._require_empty()
        return upper + lower

    def level_0_after(self, txid: int) -> list[FileInfo]:
        """Files of level 0 whose first transaction is above `txid`."""
        folder = self.store.level_folder.format(0)
        return self._list(folder, after=folder + f"{txid:016x}{_AFTER_ANY_NAME}" if txid else "")

    def _list(self, prefix: str = "", *, after: str = "") -> list[FileInfo]:
        found = map(self._parse, self.store.list(prefix, after=after))
        return [file for file in found if file is not None]

    def _parse(self, entry: ObjectInfo) -> FileInfo | None:
        """The file that an object is by its name, or None if it is something else."""
        folder, slash, name = entry.key.rpartition("/")
        level = self._folders.get(folder + slash)
        match = _NAME.fullmatch(name)
        if level is None or match is None:
            return None
        return FileInfo(level, int(match[1], 16), int(match[2], 16), entry.size, entry.key)

    def _require_empty(self) -> None:
        for entry in self.store.list():
            raise NotAStore(
                f"{self.store.url} holds {entry.key!r} but no LTX files", meta={"object": entry.key}
            )

    def open_all(self, files: list[FileInfo]) -> list[OpenFile]:
        """Opens `files` in parallel."""
        return self._map(self.open, files)

    def open(self, file: FileInfo) -> OpenFile:
        """Reads a file's header and index: one request if it is small, two or three at once if not."""
        key = file.key
        if file.size <= _TAIL:
            body = self._present(self.store.get(key), key)
            return self.decode(file, body)
        with naming(key):
            tail = self._present(self.store.get_suffix(key, _TAIL), key)
            wanted = ltx.PageIndex.size_from_tail(tail, file.size)
            if wanted > len(tail):
                tail = self._present(self.store.get_suffix(key, wanted), key)
            index = ltx.PageIndex.from_tail(tail, file.size)
            header = ltx.Header.decode(self._present(self.store.get_range(key, 0, ltx.HEADER_SIZE), key))
            self._check_range(file, header)
        return OpenFile(file, header, index)

    def decode(self, file: FileInfo, body: bytes) -> OpenFile:
        """A file that has been read whole, verified; raises `CorruptFile`."""
        with naming(file.key):
            whole = ltx.decode(body)
            self._check_range(file, whole.header)
        return OpenFile(file, whole.header, whole.index, whole.pages)

    def next_file(self, txid: int) -> OpenFile | None:
        """The transaction after `txid` from level 0, read whole; None if there is none. One request."""
        key = self.key(0, txid + 1, txid + 1)
        body = self.store.get(key)
        if body is None:
            return None
        return self.decode(FileInfo(0, txid + 1, txid + 1, len(body), key), body)

    def read(self, file: FileInfo, offset: int, length: int) -> bytes | None:
        """Bytes of a file; None if the file is gone (compacted and pruned)."""
        data = self.store.get_range(file.key, offset, length)
        if data is not None and len(data) != length:
            raise CorruptFile(
                f"{file.key}: the file ends after {offset + len(data)} bytes, inside a page",
                meta={"object": file.key},
            )
        return data

    def commit(
        self, txid: int, body: bytes, *, timestamp_ms: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Makes `body` the file of transaction `txid`: returns when it is durable.

        An unclear answer is resolved by reading back what the store holds: our own bytes are a success,
        whoever's answer was lost; nothing there means the put is tried again until the deadline.

        Raises `Fenced` if another writer owns `txid`, `StoreUnavailable` if the outcome stays unknown.
        """
        key = self.key(0, txid, txid)
        deadline = clock() + _COMMIT_DEADLINE
        pause = 0.05
        while True:
            try:
                if self.store.put_new(key, body, timestamp_ms=timestamp_ms):
                    return
                owner = self._owner(key, body)
            except StoreUnavailable as error:
                failure = error
            else:
                if owner == "us":
                    return
                if owner == "other":
                    raise Fenced(f"another writer committed transaction {txid} first", meta={"txid": txid})
                failure = StoreUnavailable(f"{key} was there and is gone")
            if clock() > deadline:
                raise StoreUnavailable(
                    f"transaction {txid} may or may not have been committed: {failure.message}",
                    hint="The store stopped answering during the commit. Read back before sending it again.",
                    meta={"txid": txid},
                ) from failure
            time.sleep(pause)
            pause = min(2 * pause, 1.0)

    def _owner(self, key: str, body: bytes) -> str:
        """Whose file is under `key`: "us", "other" or "nobody". The header holds a nonce, so it is enough."""
        header = self.store.get_range(key, 0, ltx.HEADER_SIZE)
        if header is None:
            return "nobody"
        return "us" if header == body[: ltx.HEADER_SIZE] else "other"

    def _check_range(self, file: FileInfo, header: ltx.Header) -> None:
        if (header.min_txid, header.max_txid) != (file.min_txid, file.max_txid):
            raise CorruptFile(
                f"its name does not agree with its header, which says {header.min_txid}-{header.max_txid}"
            )

    def _present(self, data: bytes | None, key: str) -> bytes:
        if data is None:
            raise FileGone(f"{key} was listed and is gone", meta={"object": key})
        return data

    def _map[A, B](self, function: Callable[[A], B], items: list[A]) -> list[B]:
        if len(items) < 2:
            return [function(item) for item in items]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._connections, "lamdb-replica")
        return list(self._pool.map(function, items))


class FileGone(StorageError):
    """A file vanished between being listed and being read: compaction replaced it. Plan again."""

    retryable = True
