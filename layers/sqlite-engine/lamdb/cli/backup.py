"""The implementation of the commands for backups and maintenance."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from lamdb.cli.options import Located
from lamdb.cli.output import CommandOutput, fields_of, lines_of_values, size_in_words
from lamdb.cli.remote import MOST, Operator
from lamdb.cli.targets import open_target
from lamdb.counting import counted
from lamdb.deployment import apply
from lamdb.deployment.apply import deviations
from lamdb.errors import CorruptFile, NotAStore
from lamdb.prisma.migrate.searches import faults_of_file
from lamdb.prisma.migrate.settling import SettledColumn
from lamdb.settings import Settings
from lamdb.storage import Database, open_store
from lamdb.storage.backup.litestream import Litestream
from lamdb.storage.backup.restore import restore_file, restore_store
from lamdb.storage.backup.verification import verify
from lamdb.storage.fencing import retry_fenced
from lamdb.storage.ltx.files import Gap
from lamdb.storage.ltx.replica import Replica, missing_hint
from lamdb.storage.ltx.restorepoints import RestorePoint, find_backups, txid_at
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.compaction import Merge, MergeProgress
from lamdb.storage.maintenance.retention import RetentionPolicy

_FENCED_RETRIES: Final = 50
"""Retries of `--in-place` after another writer committed first."""

type Moment = datetime | int | None
"""A time, a TXID, or the newest state."""


def list_backups(located: Located, limit: int | None, *, output: CommandOutput) -> bool:
    """True if all is well: no transaction is missing between others. What is missing is said on stderr."""
    missing: Sequence[Gap] = ()
    if located.is_store:
        with _replica(located.settings) as replica:
            found = find_backups(replica, limit)
        total, points = found.total, [_as_json(point) for point in found.points]
        missing = found.gaps
    else:
        with open_target(located) as target:
            total, points = Operator(target).restore_points(limit or MOST)
    listed = {"missing": [*map(str, missing)]} if missing else {}
    output.result({"total": total, "points": points, **listed}, _lines(total, points))
    for gap in missing:
        print(f"lamdb: {gap}\n  code: {CorruptFile.code}\n  hint: {missing_hint(missing)}", file=sys.stderr)
    return not missing


def _lines(total: int, points: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not total:
        yield "The store holds no transactions."
        return
    yield f"{'transaction':>12}  {'time':24}  size of the database"
    for point in points:
        yield f"{point['txid']:12}  {point['time']:24}  {size_in_words(point['size'])}"
    if total > len(points):
        more = "--store lists more than these." if len(points) >= MOST else "--limit 0 lists all."
        yield f"… and {total - len(points)} older: {more}"


def restore_to_file(
    settings: Settings, moment: Moment, target: Path, *, overwrite: bool, output: CommandOutput
) -> None:
    with _replica(settings) as replica:
        txid = _txid(replica, moment)
        with output.progress_bar("restoring") as progress:
            header = restore_file(replica, txid, target, overwrite=overwrite, progress=progress)
    size = header.commit * header.page_size
    output.result({"txid": txid, "size": size, "file": str(target)}, _written(txid, size, target))


def restore_to_store(
    settings: Settings, moment: Moment, url: str, scratch: Path, *, output: CommandOutput
) -> None:
    target = open_store(url)
    try:
        with _replica(settings) as replica:
            txid = _txid(replica, moment)
            with output.progress_bar("restoring") as progress:
                header = restore_store(replica, txid, target, scratch, progress=progress)
    finally:
        target.close()
    size = header.commit * header.page_size
    output.result({"txid": txid, "size": size, "store": url}, _written(txid, size, url))


def restore_elsewhere(located: Located, moment: Moment, url: str, *, output: CommandOutput) -> None:
    """Fills an empty store that the server or function can write to."""
    txid = moment if isinstance(moment, int) else None
    at = moment.isoformat() if isinstance(moment, datetime) else None
    with open_target(located) as target, output.waiting("restoring"):
        done = Operator(target).restore(url, txid=txid, at=at)
    found = {key: done[key] for key in ("txid", "size", "store")}
    output.result(found, _written(done["txid"], done["size"], url))


def _written(txid: int, size: int, place: Path | str) -> str:
    return f"Wrote the state of transaction {txid}, {size_in_words(size)}, to {place}"


def restore_in_place(settings: Settings, moment: datetime | int, *, output: CommandOutput) -> None:
    with _database(settings) as database:
        txid = _txid(database.pages.replica, moment)
        made, before = _restored(database, txid)
    text = f"Restored, as transaction {made}. To undo this, restore `--txid {before}`."
    output.result({"txid": made, "before": before}, text)


def _restored(database: Database, txid: int) -> tuple[int, int]:
    """Brings a state back beside servers that write; the new transaction, and the one before it."""
    made = retry_fenced(lambda: database.restore(txid=txid), _FENCED_RETRIES)
    return made, made - 1


def verify_store(
    located: Located, moment: Moment, scratch: Path, *, litestream: bool, output: CommandOutput
) -> bool:
    """True if all is well. Elsewhere `moment` is a TXID, or None."""
    if located.is_store:
        found = _verify(located.settings, moment, scratch, litestream=litestream, output=output)
    else:
        with open_target(located) as target, output.waiting("verifying"):
            txid = moment if isinstance(moment, int) else None
            found = Operator(target).verify(txid, litestream=litestream)
    output.result(found, _verified(found))
    return bool(found["ok"])


def _verified(found: Mapping[str, Any]) -> Iterator[str]:
    if found["ok"]:
        yield f"Transaction {found['txid']} can be restored: {size_in_words(found['size'])}, no faults."
        if found.get("litestreamTxid"):
            yield f"Litestream restores transaction {found['litestreamTxid']} with the same pages."
    else:
        yield f"Transaction {found['txid']} has faults:"
        yield from (f"  {fault}" for fault in found["faults"])
    if found["values"]:
        yield "Some values are not in the form in which the API stores and compares them:"
        yield from (f"  {column}" for column in found["values"])
        yield "Rows with them are missing from filters: `lamdb repair` converts what can be converted."


def _verify(
    settings: Settings, moment: Moment, scratch: Path, *, litestream: bool, output: CommandOutput
) -> dict[str, Any]:
    command = Litestream.find() if litestream else None
    with _database(settings) as database:
        pages = database.pages
        txid = None if moment is None else _txid(pages.replica, moment)
        with output.progress_bar("restoring") as progress:
            found = verify(
                pages,
                scratch,
                txid=txid,
                progress=progress,
                inspect=deviations,
                check=faults_of_file,
                litestream=command,
            )
    return {"ok": found.ok, **fields_of(found)}


def repair_values(located: Located, *, dry_run: bool, output: CommandOutput) -> bool:
    """Bring all values into the form of their type: whether none is left in another."""
    if located.is_store:
        with _database(located.settings) as database, output.waiting("looking at the values"):
            values = apply.repair(database, dry_run=dry_run)
            txid = database.txid
    else:
        with open_target(located) as target, output.waiting("looking at the values"):
            done = Operator(target).repair(dry_run=dry_run)
        values, txid = tuple(SettledColumn(**each) for each in done["values"]), done["txid"]
    if values:
        kept = "Nothing was kept. " if dry_run else ""
        text = [*lines_of_values(values), f"{kept}The store is at transaction {txid}."]
    else:
        text = ["All values are in the form of their type: there is nothing to repair."]
    output.result({"txid": txid, "dryRun": dry_run, "values": [asdict(each) for each in values]}, text)
    return not any(each.left for each in values)


def compact_store(located: Located, *, prune: bool, dry_run: bool, output: CommandOutput) -> None:
    if not located.is_store:
        done = _compact_elsewhere(located, prune=prune, dry_run=dry_run, output=output)
    else:
        done = _compact(located.settings, prune=prune, dry_run=dry_run, output=output)
    if dry_run:
        text = f"To do: {counted(done.merges, 'merge')}, after deleting {counted(done.deleted, 'file')}."
    else:
        written = size_in_words(done.bytes_written)
        made, deleted = counted(done.merges, "merge"), counted(done.deleted, "file")
        text = f"Made {made}, wrote {written}, deleted {deleted}."
    output.result({**fields_of(done), "dryRun": dry_run}, text)


@dataclass(frozen=True, slots=True)
class _Compacted:
    merges: int
    bytes_written: int
    deleted: int


def _compact(settings: Settings, *, prune: bool, dry_run: bool, output: CommandOutput) -> _Compacted:
    policy = RetentionPolicy.from_settings(settings)
    with _database(settings) as database:
        maintenance = Maintenance(database.pages, policy)
        if dry_run:
            upkeep = maintenance.plan(prune=prune)
        else:
            with output.progress_bar("merging") as bar:
                upkeep = maintenance.run(progress=_merging(bar), prune=prune)
        return _Compacted(upkeep.work.merges, upkeep.work.bytes_written, len(upkeep.pruned))


def _compact_elsewhere(located: Located, *, prune: bool, dry_run: bool, output: CommandOutput) -> _Compacted:
    """In the stretches in which others get their turn, until nothing is left."""
    merges = written = deleted = 0
    with open_target(located) as target, output.waiting("merging"):
        operator, finished = Operator(target), False
        if dry_run:
            planned = operator.plan_compaction(prune=prune)
            return _Compacted(planned["merges"], 0, planned["deleted"])
        while not finished:
            done = operator.compact(prune=prune)
            finished = done["finished"]
            merges += done["merges"]
            written += done["bytesWritten"]
            deleted += done["deleted"]
    return _Compacted(merges, written, deleted)


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
