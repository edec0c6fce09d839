"""What the commands for backups and upkeep do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from lamdb.cli.output import print_json, progress_bar, size_in_words
from lamdb.errors import NotAStore
from lamdb.settings import Settings
from lamdb.storage import Database, open_store
from lamdb.storage.compaction import Merge, MergeProgress, plan_merges
from lamdb.storage.importing import import_file
from lamdb.storage.maintenance import Maintenance
from lamdb.storage.replica import Replica
from lamdb.storage.restore import restore_file, restore_store
from lamdb.storage.restorepoints import Backups, RestorePoint, find_backups, txid_at
from lamdb.storage.retention import RetentionPolicy
from lamdb.storage.verification import verify

type Moment = datetime | int | None
"""A time, a TXID, or the newest state."""


def list_backups(settings: Settings, limit: int | None, *, as_json: bool) -> None:
    with _replica(settings) as replica:
        found = find_backups(replica, limit)
    if as_json:
        print_json({"total": found.total, "points": [_as_json(point) for point in found.points]})
    else:
        _print_backups(found)


def _print_backups(found: Backups) -> None:
    if not found.total:
        print("The store holds no transactions.")
        return
    print(f"{'transaction':>12}  {'time':24}  size of the database")
    for point in found.points:
        print(f"{point.txid:12}  {_time(point):24}  {size_in_words(point.size)}")
    if found.total > len(found.points):
        print(f"… and {found.total - len(found.points)} older: --limit 0 lists all.")


def restore_to_file(
    settings: Settings, moment: Moment, target: Path, *, overwrite: bool, as_json: bool
) -> None:
    with _replica(settings) as replica:
        txid = _txid(replica, moment)
        with progress_bar("restoring", quiet=as_json) as progress:
            header = restore_file(replica, txid, target, overwrite=overwrite, progress=progress)
    size = header.commit * header.page_size
    if as_json:
        print_json({"txid": txid, "size": size, "file": str(target)})
    else:
        print(f"Wrote the state of transaction {txid}, {size_in_words(size)}, to {target}")


def restore_to_store(settings: Settings, moment: Moment, url: str, scratch: Path, *, as_json: bool) -> None:
    target = open_store(url)
    try:
        with _replica(settings) as replica:
            txid = _txid(replica, moment)
            with progress_bar("restoring", quiet=as_json) as progress:
                header = restore_store(replica, txid, target, scratch, progress=progress)
    finally:
        target.close()
    size = header.commit * header.page_size
    if as_json:
        print_json({"txid": txid, "size": size, "store": url})
    else:
        print(f"Wrote the state of transaction {txid}, {size_in_words(size)}, to {url}")


def restore_in_place(settings: Settings, moment: datetime | int, *, as_json: bool) -> None:
    with _database(settings) as database:
        before = database.txid
        if isinstance(moment, int):
            made = database.restore(txid=moment)
        else:
            made = database.restore(time=moment)
    if as_json:
        print_json({"txid": made, "before": before})
    else:
        print(f"Transaction {made} brought the old state back; `--txid {before}` would undo that.")


def verify_store(settings: Settings, moment: Moment, scratch: Path, *, as_json: bool) -> bool:
    """Whether all is well."""
    with _database(settings) as database:
        pages = database.pages
        txid = None if moment is None else _txid(pages.replica, moment)
        with progress_bar("restoring", quiet=as_json) as progress:
            found = verify(pages, scratch, txid=txid, progress=progress)
    if as_json:
        print_json({"ok": found.ok, **asdict(found)})
    elif found.ok:
        print(f"Transaction {found.txid} can be restored: {size_in_words(found.size)}, no faults.")
    else:
        print(f"Transaction {found.txid} has faults:")
        for fault in found.faults:
            print(f"  {fault}")
    return found.ok


def import_into_store(settings: Settings, source: Path, scratch: Path, *, as_json: bool) -> None:
    with (
        Database.open(settings.require_store(), stale_after=settings.writer_stale_after) as database,
        progress_bar("importing", quiet=as_json) as progress,
    ):
        txid = import_file(database, source, scratch, progress=progress)
    if as_json:
        print_json({"txid": txid, "file": str(source)})
    else:
        print(f"Imported {source}: the store is at transaction {txid}")


def compact_store(settings: Settings, *, prune: bool, dry_run: bool, as_json: bool) -> None:
    policy = RetentionPolicy.of_days(settings.keep_transactions, settings.keep_days)
    with _database(settings) as database:
        maintenance = Maintenance(database.pages, policy)
        if dry_run:
            merges = len(plan_merges(database.pages.replica.files()))
            deleted = len(maintenance.prune(dry_run=True)) if prune else 0
            written = 0
        else:
            with progress_bar("merging", quiet=as_json) as bar:
                upkeep = maintenance.run(progress=_merging(bar), prune=prune)
            merges, written = upkeep.work.merges, upkeep.work.bytes_written
            deleted = len(upkeep.pruned)
    if as_json:
        print_json({"merges": merges, "bytes_written": written, "deleted": deleted, "dry_run": dry_run})
    elif dry_run:
        print(f"There are {merges} merges to make, and {deleted} files to delete before them.")
    else:
        print(f"Made {merges} merges, wrote {size_in_words(written)}, deleted {deleted} files.")


def _merging(bar: Callable[[int, int], None]) -> MergeProgress:
    """Shows each merge on the bar, from its beginning."""
    current: Merge | None = None
    done = 0

    def progress(merge: Merge, written: int) -> None:
        nonlocal current, done
        done = done + written if merge is current else written
        current = merge
        bar(min(done, merge.size), merge.size)

    return progress


@contextmanager
def _replica(settings: Settings) -> Iterator[Replica]:
    store = open_store(settings.require_store())
    replica = Replica(store)
    try:
        yield replica
    finally:
        replica.close()
        store.close()


def _database(settings: Settings) -> Database:
    return Database.open(settings.require_store(), create=False, stale_after=settings.writer_stale_after)


def _txid(replica: Replica, moment: Moment) -> int:
    """The transaction that `moment` names."""
    if isinstance(moment, int):
        return moment
    if isinstance(moment, datetime):
        return txid_at(replica, moment)
    newest = replica.newest_txid()
    if not newest:
        raise NotAStore(f"{replica.store.url} holds no database")
    return newest


def _time(point: RestorePoint) -> str:
    return point.time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_json(point: RestorePoint) -> dict[str, object]:
    return {"txid": point.txid, "time": _time(point), "size": point.size}
