"""The states that can be restored: their TXIDs, times and sizes."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime

from lamdb.errors import CorruptFile, NotAStore, NotRestorable, StorageError
from lamdb.storage.clock import CLOCK_SKEW_MS
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import SNAPSHOT_LEVEL, FileInfo, Gap, restorable
from lamdb.storage.ltx.replica import FileGone, Replica, missing_hint, naming
from lamdb.storage.ltx.retrying import retry_gone


@dataclass(frozen=True, slots=True)
class RestorePoint:
    """The database after transaction `txid`.

    `size` is the size of the SQLite file in bytes, `level` the level of the LTX file that ends with `txid`.
    """

    txid: int
    timestamp_ms: int
    size: int
    level: int = 0

    @property
    def time(self) -> datetime:
        """The time of its commit, by the writer's clock, or by the store's if the writer's was ahead."""
        return datetime.fromtimestamp(self.timestamp_ms / 1000, UTC)


@dataclass(frozen=True, slots=True)
class Backups:
    """The states that a store can restore: their number, and the newest of them, newest first.

    `gaps` are the transactions that are missing between others; states after them cannot be restored.
    """

    total: int
    points: list[RestorePoint]
    gaps: Sequence[Gap] = ()

    def require_whole(self, url: str) -> None:
        """Raises `CorruptFile` if a transaction is missing."""
        if self.gaps:
            raise _missing(url, self.gaps)


def find_backups(replica: Replica, limit: int | None = None) -> Backups:
    """Returns the newest `limit` restore points, by one request for each, sixteen at once, and a listing.

    Raises `CorruptFile`, `StoreUnavailable`.
    """

    def read() -> Backups:
        listed, gaps = replica.history()
        files = [*restorable(listed)]
        newest = files if limit is None else files[max(0, len(files) - limit) :]
        return Backups(len(files), [*_points(replica, newest[::-1])], gaps)

    return retry_gone(read, _disappearing)


def _disappearing(_: FileGone) -> NotRestorable:
    return NotRestorable(
        "files keep disappearing while they are listed",
        hint="Check for a lifecycle rule or a program that deletes them.",
    )


@dataclass(frozen=True, slots=True)
class RestoreRange:
    """The states that a store can be restored to: their number, the oldest and the newest."""

    total: int
    oldest: RestorePoint
    newest: RestorePoint


def restore_range(replica: Replica) -> RestoreRange | None:
    """None for a store without transactions. Two requests besides the listing.

    Raises `CorruptFile`, also if a transaction is missing between others; `StoreUnavailable`.
    """

    def read() -> RestoreRange | None:
        listed, found = replica.history()
        if found:
            raise _missing(replica.store.url, found)
        files = [*restorable(listed)]
        if not files:
            return None
        oldest, newest = _points(replica, [files[0], files[-1]])
        return RestoreRange(len(files), oldest, newest)

    return retry_gone(read, _disappearing)


def newest_snapshot(replica: Replica) -> RestorePoint:
    """The newest state that is one file of its own.

    Raises `NotAStore` if it is none, `FileGone`, `CorruptFile`, `StoreUnavailable`.
    """
    snapshots = [file for file in replica.compacted() if file.level == SNAPSHOT_LEVEL]
    if not snapshots:
        raise NotAStore(f"{replica.store.url} holds no snapshot")
    return _read_point(replica, max(snapshots, key=lambda file: file.max_txid))


def txid_at(replica: Replica, at: datetime) -> int:
    """Returns the last transaction committed at or before `at`; the head if no transaction is younger.

    Takes about ten requests and a listing. Raises `NotRestorable` if no state of that age is left, or if the
    time of the next transaction is in the future, which means that it is unknown. Raises `CorruptFile` if the
    next transaction is missing, because it may be older than `at`, too.
    """
    moment = at if at.tzinfo is not None else at.replace(tzinfo=UTC)
    wanted = int(moment.timestamp() * 1000)
    return retry_gone(
        lambda: _search(replica, wanted, at),
        lambda _: NotRestorable(f"files keep disappearing while {at} is looked for"),
    )


def not_restorable(replica: Replica, txid: int) -> StorageError:
    """Returns the error for a TXID that cannot be restored. It names the missing or nearest ones."""
    files, gaps = replica.history()
    found = [file.max_txid for file in restorable(files)]
    for gap in gaps:
        if gap.missing <= txid <= gap.present:
            return _missing(replica.store.url, [gap])
    if not found:
        return NotRestorable("the store holds no transactions")
    newest = found[-1]
    if txid > newest:
        return NotRestorable(f"there is no transaction {txid} yet: the newest is {newest}")
    before = max((other for other in found if other < txid), default=None)
    after = min((other for other in found if other > txid), default=None)
    near = " and ".join(str(other) for other in (before, after) if other is not None)
    return NotRestorable(
        f"the state of transaction {txid} is no longer kept: the nearest that are restorable are {near}",
        meta={"txid": txid, "before": before, "after": after},
    )


def _missing(url: str, found: Sequence[Gap]) -> CorruptFile:
    missing = "; ".join(map(str, found))
    return CorruptFile(
        f"{url}: {missing}", hint=missing_hint(found), meta={"missing": [gap.missing for gap in found]}
    )


def _search(replica: Replica, wanted: int, at: datetime) -> int:
    listed, gaps = replica.history()
    files = [*restorable(listed)]
    missing = {gap.missing: gap for gap in gaps}
    low, high = 0, len(files)
    while low < high:
        middle = (low + high) // 2
        if _read_point(replica, files[middle]).timestamp_ms <= wanted:
            low = middle + 1
        else:
            high = middle
    gap = missing.get(files[low - 1].max_txid + 1 if low else 1)
    if gap is not None and not (low and _read_point(replica, files[low - 1]).timestamp_ms == wanted):
        raise _missing(replica.store.url, [gap])
    if low < len(files):
        _require_past(_read_point(replica, files[low]), files[low - 1].max_txid if low else 0)
    if low:
        return files[low - 1].max_txid
    if not files:
        raise NotRestorable("the store holds no transactions")
    oldest = _read_point(replica, files[0])
    raise NotRestorable(
        f"no state as old as {at.isoformat()} is kept: the oldest is transaction {oldest.txid} of "
        f"{oldest.time.isoformat(timespec='milliseconds')}",
        meta={"oldest": oldest.txid},
    )


def _require_past(following: RestorePoint, txid: int) -> None:
    """Raises `NotRestorable` if the state after that of `txid` has a time in the future."""
    if following.timestamp_ms > time.time() * 1000 + CLOCK_SKEW_MS:
        raise NotRestorable(
            f"transaction {following.txid} has the time {following.time.isoformat(timespec='seconds')}, "
            "which is in the future: a clock was set wrong, and it is not known when that was",
            hint="Name a transaction: --txid N. `lamdb backups` lists them.",
            meta={"before": txid, "after": following.txid},
        )


def _points(replica: Replica, files: Sequence[FileInfo]) -> Iterator[RestorePoint]:
    reading: list[Future[RestorePoint]] = [replica.pool.submit(_read_point, replica, file) for file in files]
    for point in reading:
        yield point.result()


def _read_point(replica: Replica, file: FileInfo) -> RestorePoint:
    with naming(file.key):
        header = ltx.Header.decode(replica.read(file, 0, ltx.HEADER_SIZE))
        if header.max_txid != file.max_txid:
            raise CorruptFile(f"its name does not agree with its header, {header.max_txid}")
    time_ms = header.timestamp_ms
    if time_ms > file.stored_ms + CLOCK_SKEW_MS and file.stored_ms:
        time_ms = file.stored_ms  # The writer's clock was ahead: nothing is stored before it is made.
    return RestorePoint(file.max_txid, time_ms, header.commit * header.page_size, file.level)
