"""Litestream's command line restores what compaction and retention made of lamDB's files."""

import random
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from tests.support.s3_server import s3, s3_endpoint

from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.backup import importing
from lamdb.storage.backup.restore import restore_file, restore_store
from lamdb.storage.clock import Moment
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import find_backups, txid_at
from lamdb.storage.maintenance import compaction
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.compaction import Compactor
from lamdb.storage.maintenance.retention import RetentionPolicy
from lamdb.storage.stores.localstore import LocalStore

from .test_litestream import Dump, dump, for_litestream, place, restored, state_of

__all__ = ["place", "s3", "s3_endpoint"]


class TurnedClock:
    """A clock that stands still until it is turned; it begins in 2023."""

    seconds = 1_700_000_000.0

    def now(self) -> Moment:
        return Moment(self.seconds, self.seconds)


def write(database: Database, number: int, source: random.Random) -> None:
    with database.writer() as connection:
        if number == 0:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
        elif number % 40 == 39:
            connection.execute("DELETE FROM t WHERE id % 10")
        else:
            body = source.randbytes(source.choice((10, 300, 2000)))
            connection.execute("INSERT INTO t(body) VALUES(?)", (body,))
            connection.execute("UPDATE t SET body = x'00' WHERE id = ?", (source.randrange(1, number + 1),))
    if number % 60 == 59:
        database.vacuum()


def compact(store: ObjectStore) -> None:
    replica = Replica(store)
    assert Compactor(replica).run().finished
    replica.close()


def levels(store: ObjectStore) -> set[int]:
    replica = Replica(store)
    found = {file.level for file in replica.files()}
    replica.close()
    return found


def test_every_transaction_can_be_restored_after_compaction(place: str, tmp_path: Path) -> None:
    source = random.Random(11)
    states: dict[int, Dump] = {}
    with Database.open(place, page_size=1024) as database:
        for number in range(300):
            write(database, number, source)
            states[database.txid] = state_of(database)
            if number in (20, 150):
                compact(open_store(place))
    compact(open_store(place))
    assert levels(open_store(place)) >= {0, 2, 9}
    head = max(states)
    url, target = for_litestream(place), tmp_path / "restored.db"
    assert restored(url, target) == states[head]
    chosen = {1, 2, 16, 17, 100, 255, 256, 257, 272, head - 1}
    for txid in sorted(chosen & states.keys()):
        assert restored(url, target, "-txid", f"{txid:016x}") == states[txid], txid
    with Database.open(place) as database:
        assert state_of(database) == states[head]


def test_snapshots_at_any_transaction(place: str, tmp_path: Path) -> None:
    """Snapshots that are asked for end in the midst of windows; compaction goes on from there."""
    source = random.Random(13)
    states: dict[int, Dump] = {}
    with Database.open(place, page_size=1024) as database:
        maintenance = Maintenance(database.pages)
        for number in range(330):
            write(database, number, source)
            states[database.txid] = state_of(database)
            if number in (4, 37, 38, 300, 329):
                made = maintenance.snapshot()
                assert (made.txid, made.level) == (database.txid, 9)
            if number in (60, 310):
                assert maintenance.run(prune=False).work.finished
        head = database.txid
    with Database.open(place) as database:
        assert state_of(database) == states[head]
    url, target = for_litestream(place), tmp_path / "restored.db"
    assert restored(url, target) == states[head]
    chosen = {1, 5, 6, 38, 39, 40, 48, 61, 64, 256, 257, 301, 302, 311, head - 1}
    for txid in sorted(chosen & states.keys()):
        assert restored(url, target, "-txid", f"{txid:016x}") == states[txid], txid


def test_every_level_and_what_retention_leaves(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Windows of 4, 16, 64 and 256 transactions, as a store has them after many years."""
    monkeypatch.setattr(compaction, "FAN_OUT", 4)
    source, clock = random.Random(12), TurnedClock()
    store = LocalStore(tmp_path / "store")
    states: dict[int, Dump] = {}
    times: dict[int, float] = {}
    with Database(store, page_size=512, clock=clock) as database:
        maintenance = Maintenance(database.pages, RetentionPolicy.of_days(7, 30))
        for number in range(400):
            clock.seconds += 3600.0
            write(database, number, source)
            states[database.txid], times[database.txid] = state_of(database), clock.seconds
            maintenance.merge_own_commits()
            if number % 24 == 23:
                maintenance.run()
        clock.seconds += 7200.0
        maintenance.run()
        restorable = {point.txid for point in find_backups(database.pages.replica).points}
    assert levels(store) >= {2, 3, 4, 5}
    window = {txid for txid, time in times.items() if time > clock.seconds - 7 * 86400}
    assert len(window) > 160
    assert window <= restorable
    assert len(restorable - window) < 100
    url, target, ours = store.url, tmp_path / "restored.db", tmp_path / "ours.db"
    replica = Replica(store)
    for txid in source.sample(sorted(restorable & states.keys()), 25):
        assert restored(url, target, "-txid", f"{txid:016x}") == states[txid], txid
        restore_file(replica, txid, ours, overwrite=True)
        assert ours.read_bytes() == target.read_bytes(), txid
    for txid in source.sample(sorted(window & states.keys()), 5):
        moment = datetime.fromtimestamp(times[txid] + 1.5, UTC)
        assert txid_at(replica, moment) == txid
        stamp = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        assert restored(url, target, "-timestamp", stamp) == states[txid], txid
    replica.close()


def test_a_restored_store_is_a_store(place: str, tmp_path: Path) -> None:
    source = random.Random(13)
    with Database.open(place) as database:
        for number in range(30):
            write(database, number, source)
        expected, txid = state_of(database), database.txid
    url = (tmp_path / "another").as_uri()
    replica = Replica(open_store(place))
    restore_store(replica, txid, open_store(url), tmp_path)
    replica.close()
    assert restored(url, tmp_path / "restored.db") == expected


def test_an_imported_database_can_be_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_SLICE_BYTES", 100_000)
    file = tmp_path / "source.db"
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA journal_mode = WAL").fetchall()
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
    connection.executemany("INSERT INTO t(body) VALUES(?)", [(bytes(700),) for _ in range(2000)])
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database:
        assert importing.import_file(database, file, tmp_path) > 10
        expected = state_of(database)
    compact(open_store(url))
    assert restored(url, tmp_path / "restored.db") == expected == dump(connection)
    connection.close()
