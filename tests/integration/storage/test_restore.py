"""Going back: reading past states, restoring them to files, to new stores and in place."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lamdb.errors import CorruptFile, Fenced, NotEmpty, NotRestorable, TargetError, TransactionTooLarge
from lamdb.storage import Database, ObjectStore
from lamdb.storage.backup.restore import restore_file, restore_store
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import find_backups, txid_at
from lamdb.storage.maintenance.compaction import Compactor
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore

from .history import TurnedClock, ask, prune, tell
from .states import Dump, dump, dump_file, state_of, write

type StoreMaker = Callable[[], ObjectStore]

CHOSEN = (1, 2, 16, 17, 49, 50, 51, 64, 99)


def compact(store: ObjectStore) -> None:
    replica = Replica(store)
    assert Compactor(replica).run().finished
    replica.close()


@pytest.fixture
def written(store: ObjectStore) -> dict[int, Dump]:
    """`store` holds a history, its first half compacted."""
    with Database(store, page_size=1024) as database:
        states = write(database, 60)
        compact(store)
        return states | write(database, 38, seed=1)


def test_a_past_state_can_be_read(store: ObjectStore, written: dict[int, Dump]) -> None:
    with Database(store) as database:
        for txid in CHOSEN:
            lease = database.as_of(txid=txid)
            with lease as connection:
                assert lease.txid == txid
                assert dump(connection) == written[txid], txid
        assert state_of(database) == written[database.txid]


def test_a_past_state_stays_while_others_write_and_prune() -> None:
    store = memory_store()
    with Database(store) as database:
        states = write(database, 20)
        with database.as_of(txid=10) as connection:
            write(database, 20, seed=2)
            compact(store)
            prune(store, range(17, 33))
            assert dump(connection) == states[10]
        prune(store, range(1, 17))
        with pytest.raises(NotRestorable, match=r"no longer kept: the nearest .* are 16$"):
            database.as_of(txid=10)
        with pytest.raises(NotRestorable, match=r"no longer kept: the nearest .* are 16 and 32"):
            database.as_of(txid=20)


def test_a_moment_can_be_read() -> None:
    clock = TurnedClock()
    with Database(memory_store(), clock=clock) as database:
        start = datetime.fromtimestamp(clock.seconds, UTC)
        for number in range(40):
            clock.seconds += 60
            tell(database, *(["CREATE TABLE t(a)"] if not number else []), f"INSERT INTO t VALUES({number})")
        for minutes, rows in [(1.5, 1), (10.5, 10), (40.5, 40), (1000, 40)]:
            with database.as_of(time=start + timedelta(minutes=minutes)) as connection:
                assert connection.execute("SELECT count(*) FROM t").get == rows
        naive = (start + timedelta(minutes=10.5)).replace(tzinfo=None)
        with database.as_of(time=naive) as connection:
            assert connection.execute("SELECT count(*) FROM t").get == 10
        with pytest.raises(NotRestorable, match="the oldest is transaction 1 of"):
            database.as_of(time=start + timedelta(seconds=30))


def test_a_past_state_cannot_be_changed() -> None:
    with Database(memory_store()) as database:
        write(database, 3)
        with database.as_of(txid=2) as connection, pytest.raises(Exception, match="only reads"):
            connection.execute("DELETE FROM t")


@pytest.mark.parametrize("txid", [-1, 0, 4, 10**6])
def test_a_state_that_there_never_was(txid: int, tmp_path: Path) -> None:
    store = memory_store()
    with Database(store) as database:
        write(database, 3)
        with pytest.raises(NotRestorable):
            database.as_of(txid=txid)
        replica = Replica(store)
        with pytest.raises(NotRestorable):
            restore_file(replica, txid, tmp_path / "x.db")
        replica.close()
    assert [*tmp_path.iterdir()] == []


def test_restoring_to_a_file(store: ObjectStore, written: dict[int, Dump], tmp_path: Path) -> None:
    replica = Replica(store)
    target = tmp_path / "restored.db"
    seen: list[tuple[int, int]] = []
    for txid in CHOSEN:
        restore_file(replica, txid, target, overwrite=True, progress=lambda *step: seen.append(step))
        assert dump_file(target) == written[txid], txid
    assert seen[-1][0] == seen[-1][1] > 0
    with pytest.raises(TargetError, match="exists"):
        restore_file(replica, 1, target)
    with pytest.raises(TargetError):
        restore_file(replica, 1, tmp_path / "none" / "x.db")
    assert [*tmp_path.glob(".*")] == []
    replica.close()


def test_restoring_from_more_files_than_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lamdb.storage.backup.restore._FAN_IN", 7)
    store, target = memory_store(), memory_store()
    with Database(store, page_size=512) as database:
        states = write(database, 60)
    replica = Replica(store)
    for txid in (3, 7, 8, 50, 51, 61):
        restore_file(replica, txid, tmp_path / "restored.db", overwrite=True)
        assert dump_file(tmp_path / "restored.db") == states[txid], txid
    restore_store(replica, 61, target, tmp_path)
    replica.close()
    with Database(target, create=False) as database:
        assert state_of(database) == states[61]
    assert [path.name for path in tmp_path.iterdir()] == ["restored.db"]


def test_restoring_to_a_new_store(store: ObjectStore, written: dict[int, Dump], tmp_path: Path) -> None:
    replica, target = Replica(store), LocalStore(tmp_path / "new")
    restore_store(replica, 50, target, tmp_path)
    with Database(target, create=False) as database:
        assert database.txid == 50
        assert state_of(database) == written[50]
        tell(database, "CREATE TABLE more(a)")
        assert database.txid == 51
    with pytest.raises(NotEmpty):
        restore_store(replica, 50, target, tmp_path)
    replica.close()


def test_restoring_in_place_goes_forward(store: ObjectStore, written: dict[int, Dump]) -> None:
    head = max(written)
    with Database(store) as database, Database(store) as other:
        assert state_of(other) == written[head]
        for count, txid in enumerate((50, 1, 90, 51), 1):
            assert database.restore(txid=txid) == head + count
            assert state_of(database) == written[txid]
            other.refresh()
            assert state_of(other) == written[txid]
            with database.reader() as connection:
                assert connection.execute("PRAGMA integrity_check").get == "ok"
        tell(database, "CREATE TABLE later(a)")
        other.refresh()
        tell(other, "INSERT INTO later VALUES(1)")
        with database.as_of(txid=head) as connection:
            assert dump(connection) == written[head]
    with Database(store) as database:
        assert ask(database, "SELECT * FROM later") == [(1,)]


def test_restoring_in_place_changes_only_what_differs() -> None:
    store = memory_store()
    with Database(store) as database:
        tell(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body)", "CREATE TABLE u(a)")
        with database.writer() as connection:
            connection.executemany("INSERT INTO t(body) VALUES(?)", [(bytes(500),) for _ in range(5000)])
        tell(database, "INSERT INTO u VALUES(1)")
        database.restore(txid=2)
        sizes = [entry.size for entry in store.list("0000/")]
        assert sizes[-1] < sizes[1] / 10
        assert ask(database, "SELECT count(*) FROM t") == [(5000,)]
        assert ask(database, "SELECT count(*) FROM u") == [(0,)]


def test_schemas_are_read_anew_after_going_back() -> None:
    """The schema cookie must not come back to a value that a connection remembers with another schema."""
    with Database(memory_store()) as database:
        tell(database, "CREATE TABLE t(a)")
        tell(database, "ALTER TABLE t ADD COLUMN b")
        assert ask(database, "SELECT * FROM t") == []
        database.restore(txid=1)
        tell(database, "ALTER TABLE t ADD COLUMN c DEFAULT 7")
        tell(database, "INSERT INTO t(a) VALUES(1)")
        assert ask(database, "SELECT * FROM t") == [(1, 7)]
        assert ask(database, "SELECT c FROM t") == [(7,)]


def test_restoring_in_place_can_lose_the_race() -> None:
    store = memory_store()
    with Database(store) as database, Database(store) as other:
        write(database, 3)
        other.refresh()
        tell(other, "CREATE TABLE faster(a)")
        with pytest.raises(Fenced):
            database.restore(txid=1)
        assert database.restore(txid=1) == 5


def test_restoring_too_much_in_place() -> None:
    with Database(memory_store(), max_transaction_bytes=100_000) as database:
        tell(database, "CREATE TABLE t(a)")
        for _ in range(4):
            tell(database, "INSERT INTO t VALUES(randomblob(60000))")
        tell(database, "DROP TABLE t")
        database.vacuum()
        before = database.txid
        with pytest.raises(TransactionTooLarge, match="going back"):
            database.restore(txid=5)
        assert database.txid == before


def test_backups_say_what_there_is() -> None:
    clock, store = TurnedClock(), memory_store()
    with Database(store, clock=clock, page_size=1024) as database:
        for seed in range(4):
            write(database, 10, seed)
            clock.seconds += 60
    compact(store)
    counting = CountingStore(store)
    replica = Replica(counting)
    found = find_backups(replica, limit=5)
    assert found.total == 40
    assert [point.txid for point in found.points] == [40, 39, 38, 37, 36]
    assert counting.requests["get_range"] == 5
    assert all(point.size % 1024 == 0 for point in found.points)
    assert found.points[0].time == found.points[1].time
    assert len(find_backups(replica, limit=0).points) == 0
    assert len(find_backups(replica, limit=100).points) == 40
    prune(store, range(1, 33))
    everything = find_backups(replica)
    assert everything.points[0].time - everything.points[-1].time >= timedelta(minutes=2)
    assert [point.txid for point in everything.points] == [*range(40, 31, -1), 16]
    assert txid_at(replica, everything.points[-1].time) == 16
    replica.close()


def test_damage_is_found_while_restoring(tmp_path: Path) -> None:
    store = memory_store()
    with Database(store) as database:
        write(database, 20)
    entry = next(iter(store.list("0000/", after="0000/0000000000000004")))
    body = bytearray(store.get(entry.key) or b"")
    body[200] ^= 1
    store.delete(entry.key)
    store.put_new(entry.key, bytes(body), timestamp_ms=0)
    replica = Replica(store)
    with pytest.raises(CorruptFile, match=entry.key):
        restore_file(replica, 20, tmp_path / "x.db")
    restore_file(replica, 3, tmp_path / "x.db")
    with pytest.raises(CorruptFile, match=entry.key):
        Compactor(replica).run()
    replica.close()


def test_a_reader_in_another_thread_is_not_disturbed() -> None:
    with Database(memory_store()) as database:
        states = write(database, 30)
        failures: list[str] = []

        def read() -> None:
            for txid in range(1, 31):
                with database.as_of(txid=txid) as connection:
                    if dump(connection) != states[txid]:
                        failures.append(f"wrong at {txid}")

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        write(database, 10, seed=5)
        for thread in threads:
            thread.join()
        assert failures == []
