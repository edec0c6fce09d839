"""The LTX files of one database on an object store: listing, opening, committing."""

import contextlib
import itertools
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final

from lamdb.errors import (
    CommitUnknown,
    CorruptFile,
    Fenced,
    NotAStore,
    StoreRefused,
    StoreUnavailable,
    StoreUnsuitable,
)
from lamdb.storage.cache.diskcache import DiskCache, identity_of
from lamdb.storage.clock import Clock, SystemClock, seconds_between
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo, Gap, KeyLayout, gap_before_head, gaps, plan
from lamdb.storage.ltx.pageindex import PageIndex
from lamdb.storage.stores.objectstore import (
    CREATE_ONLY_PROBE,
    PUBLISHED,
    TRANSIENT_FOLDER,
    Body,
    ObjectStore,
)

_CHUNK: Final = 64 * 1024
"""Files up to this size (bytes) are read whole. From larger ones, as many bytes are read from the start."""

_INDEX_SHARE: Final = 128
_LARGEST_GUESS: Final = 4 * 1024 * 1024
"""Share of a file that is read from its end. A page index is seldom larger, so this saves a request."""

_PIECE: Final = 4 * 1024 * 1024
"""The rest of a larger index is read in pieces of this size (bytes)."""

_LARGE_TRANSACTION: Final = 16 * 1024 * 1024
"""A file of this size (bytes) or more is not read whole when it is new, and pages of more are not kept."""

_COMMIT_DEADLINE: Final = 15.0
"""Time for which a commit of unknown outcome is repeated (seconds)."""

_ATTEMPTS: Final = 3
"""Number of listings that must show a gap between files."""

_ABSURD_SECONDS: Final = 3.0
"""Time for which a store may report a missing key as taken, which may happen when two writers compete."""

_CLOCK: Final = SystemClock()
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 1.0


def missing_hint(gaps: Iterable[Gap]) -> str:
    """Advice about `gaps`: before the first transaction there is no earlier state to name."""
    hint = "Bring the missing object back from an earlier version in the bucket"
    earlier = min(gap.missing for gap in gaps) > 1
    return f"{hint}, or name an earlier state: --txid N." if earlier else f"{hint}."


class FileGone(Exception):
    """A file was deleted between listing and reading, because compaction replaced it. List again."""


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file with its header and index, and the pages that were read with them."""

    info: FileInfo
    header: ltx.Header
    index: PageIndex
    pages: dict[int, bytes]


def named(key: str, error: CorruptFile) -> CorruptFile:
    """Returns `error` with the name of its object."""
    return CorruptFile(f"{key}: {error.message}", meta={"object": key})


def _unknown(txid: int, failure: StoreUnavailable) -> CommitUnknown:
    return CommitUnknown(
        f"transaction {txid} may or may not have been committed: {failure.message}", meta={"txid": txid}
    )


@contextlib.contextmanager
def naming(key: str) -> Iterator[None]:
    """Puts the name of the object into a `CorruptFile` raised inside."""
    try:
        yield
    except CorruptFile as error:
        raise named(key, error) from error


class Replica:
    """One database's files. Thread-safe.

    With `disk`, headers and indexes are cached there, so that the next opening needs no request for them.
    """

    def __init__(self, store: ObjectStore, *, disk: DiskCache | None = None, connections: int = 16) -> None:
        self.store = store
        self.disk = disk or DiskCache.off()
        self.layout = KeyLayout(store.level_folder)
        self.pool = ThreadPoolExecutor(connections, "lamdb-replica")
        self._proof: Future[None] | None = None

    def close(self) -> None:
        self.pool.shutdown(cancel_futures=True)
        self.disk.close()

    # Listing

    def files(self, upto: int | None = None) -> list[FileInfo]:
        """Returns all files above level 0, and those of level 0 after the last transaction of the others.

        Recent states consist of these files. With `upto`, the files for that transaction are included, too.
        Takes two requests if each listing fits in one page of 1000 names. Raises `NotAStore` if there are
        objects but no LTX files.
        """
        upper = self.compacted()
        covered = plan(upper, upto)
        lower = self.level_0_after(covered[-1].max_txid if covered else 0)
        if not upper and not lower:
            self._require_empty()
        return upper + lower

    def compacted(self) -> list[FileInfo]:
        """The files of all levels above 0."""
        return self._list(after=self.layout.after(0))

    def newest_txid(self) -> int:
        """Returns the TXID of the last transaction in the store; 0 if there is none.

        Raises `CorruptFile` if a transaction before it is missing.
        """
        _, chosen = self.chain()
        return chosen[-1].max_txid if chosen else 0

    def chain(self) -> tuple[list[FileInfo], list[FileInfo]]:
        """Returns `files()`, and those of them that make up the newest state, oldest first.

        Raises `CorruptFile` if a transaction before the newest is missing.
        """
        found: list[Gap] = []
        for _ in range(_ATTEMPTS):
            files = self.files()
            chosen = plan(files)
            gap = gap_before_head(files, chosen)
            if gap is None:
                return files, chosen
            found = [gap]
        raise CorruptFile(f"{self.store.url}: {found[0]}", hint=missing_hint(found))

    def every_file(self) -> list[FileInfo]:
        """Returns all files, including old transactions, by one request for each 1000 files."""
        return self._list()

    def history(self) -> tuple[list[FileInfo], list[Gap]]:
        """Returns all files and the gaps between them.

        A listing is not a snapshot: files may be deleted, in no strict order, while it is made. So only gaps
        that appear in several listings count.
        """
        files = self.every_file()
        found = gaps(files)
        for _ in range(_ATTEMPTS - 1):
            if not found:
                break
            time.sleep(_FIRST_PAUSE)
            files = self.every_file()
            again = {gap.missing: gap for gap in gaps(files)}
            found = [again[gap.missing] for gap in found if gap.missing in again]
        return files, found

    def level_from(self, level: int, start: int, end: int) -> list[FileInfo]:
        """Files of `level` that begin with a transaction from `start` to `end`."""
        folder, after = self.layout.folder(level), self.layout.before(level, start)
        return self._list(folder, after=after, upto=self.layout.before(level, end + 1))

    def old_transactions(self, before_ms: int) -> list[FileInfo]:
        """Files of level 0 that were created before `before_ms`, and the first that was not."""
        found: list[FileInfo] = []
        for entry in self.store.list(self.layout.folder(0)):
            file = self.layout.parse(entry)
            if file is not None:
                found.append(file)
                if file.modified_ms > before_ms:
                    break
        return found

    def level_0_after(self, txid: int) -> list[FileInfo]:
        """Files of level 0 whose first transaction is above `txid`."""
        return self._list(self.layout.folder(0), after=self.layout.before(0, txid + 1))

    def _list(self, prefix: str = "", *, after: str = "", upto: str | None = None) -> list[FileInfo]:
        entries = itertools.takewhile(self.layout.may_precede_files, self.store.list(prefix, after=after))
        if upto is not None:
            entries = itertools.takewhile(lambda entry: entry.key < upto, entries)
        found = map(self.layout.parse, entries)
        return [file for file in found if file is not None]

    def _require_empty(self) -> None:
        for entry in self.store.list():
            is_own = entry.key in {CREATE_ONLY_PROBE, PUBLISHED} or entry.key.startswith(TRANSIENT_FOLDER)
            if self.layout.parse(entry) is None and not is_own:
                raise NotAStore(
                    f"{self.store.url} holds {entry.key!r}, but no LTX files", meta={"object": entry.key}
                )

    # Opening and reading

    def open_all(self, files: Iterable[FileInfo]) -> list[OpenFile]:
        """Reads headers and indexes in parallel: one request per small file, two or three per large one, none
        if the disk has them.

        Raises `FileGone`, `CorruptFile`.
        """
        requests = [(file, *self._request(file)) for file in map(self._recognised, files)]
        return [self._open(file, start, end) for file, start, end in requests]

    def _open(
        self, file: FileInfo, start: Future[bytes | None], end: Future[bytes | None] | None
    ) -> OpenFile:
        try:
            return self._opened(file, start.result(), None if end is None else end.result())
        except CorruptFile:
            if not file.content:
                raise
        # The data in the disk cache may be damaged.
        self.disk.forget(file.content)
        file = replace(file, content=b"")
        start, end = self._request(file)
        return self._opened(file, start.result(), None if end is None else end.result())

    def _request(self, file: FileInfo) -> tuple[Future[bytes | None], Future[bytes | None] | None]:
        if file.size <= _CHUNK:
            return self.pool.submit(self._whole, file), None
        return self.pool.submit(self._start, file), self.pool.submit(self._tail, file)

    def _whole(self, file: FileInfo) -> bytes | None:
        return self.disk.get(file.content, 0, file.size) or self.store.get(file.key)

    def _start(self, file: FileInfo) -> bytes | None:
        return self.disk.get(file.content, 0, _CHUNK) or self.store.get_range(file.key, 0, _CHUNK)

    def _tail(self, file: FileInfo) -> bytes | None:
        footer = self.disk.get(file.content, file.size - ltx.INDEX_FOOTER_SIZE, file.size)
        if footer is not None:
            size = PageIndex.size_from_tail(footer, file.size)
            kept = self.disk.get(file.content, file.size - size, file.size)
            if kept is not None:
                return kept
        return self.store.get_suffix(file.key, _index_guess(file.size))

    def _recognised(self, file: FileInfo) -> FileInfo:
        """Returns `file` with its content, if a file with the same listing has been opened before."""
        if not file.etag or not self.disk.on:
            return file
        listed = self._listed(file)
        return replace(file, content=self.disk.get(listed, 0, len(listed)) or b"")

    def _listed(self, file: FileInfo) -> bytes:
        return identity_of(self.store.url, file.key, file.size, file.modified_ms, file.etag)

    def _keep_on_disk(self, file: FileInfo, start: bytes, tail: bytes = b"") -> None:
        """Stores what opening has read of `file`, under its content, and the content of the file."""
        if file.etag and self.disk.on:
            self.disk.put(file.content, 0, start)
            self.disk.put(file.content, file.size - len(tail), tail)
            self.disk.put(self._listed(file), 0, file.content)

    def _opened(self, file: FileInfo, start: bytes | None, end: bytes | None) -> OpenFile:
        if start is None:
            raise FileGone(file.key)
        if file.size <= _CHUNK:
            opened = self.opened_whole(file, start)
            self._keep_on_disk(opened.info, start)
            return opened
        with naming(file.key):
            tail = self._whole_index(file, end)
            index = PageIndex.from_tail(tail, file.size)
            header = _header_of(file, start)
            index.require_intact(start[: ltx.HEADER_SIZE])
            pages = ltx.decode_start(start, header.page_size, index)
        file = identified(file, start, tail)
        self._keep_on_disk(file, start, tail)
        return OpenFile(file, header, index, pages)

    def _whole_index(self, file: FileInfo, tail: bytes | None) -> bytes:
        """Returns the end of the file, from the start of its index or earlier."""
        if tail is None:
            raise FileGone(file.key)
        size = PageIndex.size_from_tail(tail, file.size)
        if size > len(tail):
            tail = self._in_pieces(file, file.size - size, file.size - len(tail)) + tail
        return tail

    def _in_pieces(self, file: FileInfo, start: int, end: int) -> bytes:
        """The bytes from `start` to `end`, read in parallel if they are many."""
        offsets = range(start, end, _PIECE)
        pieces = [self.pool.submit(self.read, file, offset, min(_PIECE, end - offset)) for offset in offsets]
        return b"".join(piece.result() for piece in pieces)

    def opened_whole(self, file: FileInfo, body: bytes) -> OpenFile:
        """A file that has been read whole, verified; raises `CorruptFile`."""
        with naming(file.key):
            whole = ltx.decode(body, keep=_LARGE_TRANSACTION)
            _header_of(file, body)
        return OpenFile(identified(file, body, body), whole.header, whole.index, whole.pages)

    def next_file(self, txid: int) -> OpenFile | None:
        """Returns the transaction after `txid` from level 0; None if there is none.

        Reads it by one request. Of a transaction of more than 16 MiB, start and index are read by three more.
        Raises `FileGone`, `CorruptFile`.
        """
        info = self.transaction(txid + 1, size=0)
        body = self.store.get_range(info.key, 0, _LARGE_TRANSACTION)
        if body is None:
            return None
        if len(body) < _LARGE_TRANSACTION:
            return self.opened_whole(self.transaction(txid + 1, size=len(body)), body)
        found = self.store.head(info.key)
        if found is None:
            raise FileGone(info.key)
        return self.open_all([self.transaction(txid + 1, size=found.size)])[0]

    def read(self, file: FileInfo, offset: int, length: int) -> bytes:
        """Bytes of a file; raises `FileGone`, `CorruptFile`."""
        data = self.store.get_range(file.key, offset, length)
        if data is None:
            raise FileGone(file.key)
        if len(data) != length:
            with naming(file.key):
                raise CorruptFile(f"the file ends after {offset + len(data)} bytes, inside a page")
        return data

    # Committing

    def transaction(self, txid: int, size: int) -> FileInfo:
        """The file of level 0 that holds transaction `txid`."""
        return FileInfo(0, txid, txid, size, self.layout.key(0, txid, txid))

    def prepare_commits(self) -> None:
        """Starts to test that the store's puts are create-only, unless that was done before."""
        if self._proof is None:
            self._proof = self.pool.submit(self.store.require_create_only)

    def _require_create_only(self) -> None:
        self.prepare_commits()
        assert self._proof is not None
        try:
            self._proof.result()
        except BaseException:
            self._proof = None
            raise

    def commit(self, txid: int, body: Body, *, timestamp_ms: int, clock: Clock = _CLOCK) -> None:
        """Stores `body` as the file of transaction `txid`, and returns when it is durable.

        If the answer is unclear, the object is read back. If it is our own, the commit has succeeded. If
        there is no object, the put is repeated until the deadline. A process that was frozen past the
        deadline does not repeat it: the key may be free because the object under it was compacted.

        Raises `Fenced` if another writer owns `txid`, `CommitUnknown` if the outcome remains unknown, and
        `StoreUnsuitable` or another `StoreUnavailable` if it is certain that nothing was kept.
        """
        key = self.layout.key(0, txid, txid)
        self._require_create_only()
        begun = clock.now()
        started = time.monotonic()
        pause = _FIRST_PAUSE
        certain = True  # No attempt so far can have had an effect.
        while True:
            absurd = False
            try:
                if self.store.put_new(key, body, timestamp_ms=timestamp_ms):
                    return
                if self._is_ours(txid, body):
                    return
                failure = StoreUnavailable(f"{key} exists for PUT, but not for GET")
                absurd = True
            except StoreUnavailable as error:
                refused = isinstance(error, StoreRefused)
                if certain and refused:
                    raise
                certain = certain and refused
                failure = error
                with contextlib.suppress(StoreUnavailable):
                    if self._is_ours(txid, body):
                        return
            except StoreUnsuitable as error:
                if certain:
                    raise
                failure = StoreUnavailable(error.message)
            if certain and absurd and time.monotonic() - started > _ABSURD_SECONDS:
                raise StoreUnsuitable(
                    f"{self.store.url} refuses to create {key}, as if it were there, but it is not"
                )
            if time.monotonic() + pause > started + _COMMIT_DEADLINE:
                raise _unknown(txid, failure) from failure
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            if seconds_between(begun, clock.now()) > _COMMIT_DEADLINE:
                raise _unknown(txid, failure) from failure

    def _is_ours(self, txid: int, body: Body) -> bool:
        """Returns True if the file of `txid` is `body`, False if there is none.

        Comparing the headers is enough because each contains a nonce. Raises `Fenced` for another file.
        """
        header = self.store.get_range(self.layout.key(0, txid, txid), 0, ltx.HEADER_SIZE)
        if header is None:
            return False
        if header != body[: ltx.HEADER_SIZE]:
            raise fenced(txid)
        return True


def identified(file: FileInfo, start: Body, end: Body) -> FileInfo:
    """`file` with its content, which its size, its header and the checksum at its end tell from every
    other."""
    content = identity_of(file.size, start[: ltx.HEADER_SIZE], end[-ltx.TRAILER_SIZE :])
    return replace(file, content=content)


def _index_guess(file_size: int) -> int:
    return max(_CHUNK, min(file_size // _INDEX_SHARE, _LARGEST_GUESS))


def fenced(txid: int) -> Fenced:
    return Fenced(f"another writer committed transaction {txid} first", meta={"txid": txid})


def _header_of(file: FileInfo, start: bytes) -> ltx.Header:
    header = ltx.Header.decode(start)
    if (header.min_txid, header.max_txid) != (file.min_txid, file.max_txid):
        raise CorruptFile(f"its name does not agree with its header, {header.min_txid}-{header.max_txid}")
    return header
