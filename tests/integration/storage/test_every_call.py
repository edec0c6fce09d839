"""Whichever call of the store fails, and however: the store opens and holds what was acknowledged.

Each test fails every single call of what it does, and knows that it went past the last.
"""

import itertools
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import Fenced
from lamdb.storage import Database, ObjectStore
from lamdb.storage.backup import importing
from lamdb.storage.backup.importing import import_file
from lamdb.storage.backup.restore import restore_file, restore_store
from lamdb.storage.backup.verification import verify
from lamdb.storage.cache.diskcache import DiskOptions
from lamdb.storage.ltx import replica, stream
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import find_backups
from lamdb.storage.maintenance import compaction
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.compaction import Compactor
from lamdb.storage.maintenance.retention import RetentionPolicy, prune
from lamdb.storage.stores import obstores
from lamdb.storage.stores.obstores import memory_store

from .every_call import Contents, Run, contents, every_call, every_chunk, every_fault, holds, store_of
from .history import AgedStore, ask, tell
from .states import Dump, dump, dump_file, state_of, write

PAGE_SIZE = 512
TRANSACTIONS = 40


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is large is small here, and nobody waits for long."""
    monkeypatch.setattr(compaction, "FAN_OUT", 4)
    monkeypatch.setattr(compaction, "_SNAPSHOT_TRANSACTIONS", 16)
    monkeypatch.setattr(compaction, "_LARGE_MERGE", 10_000)
    monkeypatch.setattr(importing, "_SLICE_BYTES", 8 * 1024)
    monkeypatch.setattr(replica, "_CHUNK", 4096)
    monkeypatch.setattr(stream, "_FLUSH_BYTES", 4096)
    monkeypatch.setattr(obstores, "_PART", 8192)
    monkeypatch.setattr(replica, "_COMMIT_DEADLINE", 0.01)
    monkeypatch.setattr(replica, "_FIRST_PAUSE", 0.001)


@cache
def history() -> tuple[Contents, dict[int, Dump]]:
    """Some transactions, not compacted, and the state after each."""
    store = memory_store()
    with Database(store, page_size=PAGE_SIZE) as database:
        states = write(database, TRANSACTIONS)
    return contents(store), states


@cache
def compacted() -> Contents:
    """The same, with half of it merged to windows."""
    objects, states = history()
    half = [key for key in objects if int(key[5:21], 16) <= max(states) // 2]
    store = store_of({key: objects[key] for key in half})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compaction, "_SNAPSHOT_TRANSACTIONS", 10**6)
        compact(store)
    return objects | contents(store)


def compact(store: ObjectStore) -> None:
    files = Replica(store)
    try:
        assert Compactor(files).run().finished
    finally:
        files.close()


# Opening and reading


def open_and_read(run: Run, disk: DiskOptions | None) -> None:
    states = history()[1]
    head = max(states)
    with (
        run.opened(cache_bytes=0, connection_cache_bytes=0, disk=disk) as database,
        run.recovering(lambda: state_of(database) == states[head]),
    ):
        assert state_of(database) == states[head]
        assert database.refresh() == head
        with database.as_of(txid=head // 2) as past:
            assert dump(past) == states[head // 2]
        with database.as_of(time=datetime.now(UTC)) as past:
            assert dump(past) == states[head]
        backups = find_backups(database.pages.replica)
        assert [point.txid for point in backups.points] == [*range(head, 0, -1)]


@every_chunk
@every_fault
def test_opening_and_reading(fault: str, chunk: int) -> None:
    """A failed request is repeated, and nothing wrong stays in any cache."""
    objects = compacted()
    for run in every_call(objects, fault, lambda run: open_and_read(run, None), chunk=chunk):
        assert contents(run.inner) == objects


@every_chunk
@pytest.mark.parametrize("fault", ["before", "crash after"])
def test_opening_and_reading_with_a_cache_on_disk(fault: str, chunk: int, tmp_path: Path) -> None:
    """Nor does anything wrong stay in the cache that the next process finds."""
    objects = compacted()
    folders = (tmp_path / str(number) for number in itertools.count())

    def read(run: Run) -> None:
        run.folder = next(folders)
        open_and_read(run, DiskOptions(run.folder, 10**7))

    for run in every_call(objects, fault, read, chunk=chunk):
        again = Run(run.inner, FaultyStore(run.inner))
        open_and_read(again, DiskOptions(run.folder, 10**7))
        shutil.rmtree(run.folder)


# Committing


@cache
def empty_tables() -> Contents:
    store = memory_store()
    with Database(store, page_size=PAGE_SIZE) as database:
        tell(database, "CREATE TABLE n(name)", "CREATE TABLE big(body)")
        tell(database, "INSERT INTO big SELECT zeroblob(20000)", "DELETE FROM big")
    return contents(store)


def commit(run: Run) -> None:
    """In every way, on a store in which somebody else writes, too."""

    def insert(database: Database, name: str, *more: str) -> bool:
        run.do(name, lambda: tell(database, f"INSERT INTO n VALUES('{name}')", *more))
        return True

    with (
        run.opened(stale_after=1000.0) as database,
        Database(run.inner) as other,
        run.recovering(lambda: insert(database, "again")),
    ):
        insert(database, "alone")
        run.do("group", lambda: database.write(lambda c: c.execute("INSERT INTO n VALUES('group')").get))
        other.refresh()
        insert(other, "other")
        with pytest.raises(Fenced):
            tell(database, "INSERT INTO n VALUES('fenced')")
        insert(database, "large", "INSERT INTO big SELECT zeroblob(100000)")
        database.vacuum()
        insert(database, "last")


@every_chunk
@every_fault
def test_committing(fault: str, chunk: int) -> None:
    for run in every_call(empty_tables(), fault, commit, chunk=chunk):
        with Database(run.inner, create=False) as database:
            found = [name for (name,) in ask(database, "SELECT name FROM n ORDER BY rowid")]
            assert found in (run.acknowledged, run.attempted)
            assert ask(database, "PRAGMA integrity_check") == [("ok",)]
            tell(database, "INSERT INTO n VALUES('afterwards')")


def commit_and_merge(run: Run) -> None:
    with run.opened() as database:
        maintenance = Maintenance(database.pages)
        for number in range(9):
            run.do(number, lambda number=number: tell(database, f"INSERT INTO n VALUES({number})"))
            maintenance.merge_own_commits()


@every_chunk
@every_fault
def test_merging_after_commits(fault: str, chunk: int) -> None:
    for run in every_call(empty_tables(), fault, commit_and_merge, chunk=chunk):
        with Database(run.inner, create=False) as database:
            found = [number for (number,) in ask(database, "SELECT name FROM n ORDER BY rowid")]
            assert found in (run.acknowledged, run.attempted)
            assert ask(database, "PRAGMA integrity_check") == [("ok",)]


# Compacting and pruning

HOURS = 6
WEEK = RetentionPolicy(transactions=timedelta(days=2), days=timedelta(days=5), grace=timedelta(0))


def promised() -> Iterator[int]:
    """The transactions of two days, and for five days the last of each."""
    head = max(history()[1])
    for txid in range(head - 24 // HOURS * 5 + 1, head + 1):
        if txid > head - 24 // HOURS * 2 or (txid + 1) * HOURS % 24 == 0:
            yield txid


_checked: set[tuple[str, frozenset[tuple[str, bytes]]]] = set()
"""Contents of stores that were found right. Most calls only read: 900 failures leave 120 different ones."""


def maintain(store: ObjectStore) -> None:
    files = Replica(AgedStore(store, hours=HOURS))
    try:
        assert Compactor(files).run().finished
        prune(files, WEEK, 10**13, stale_after=10.0)
    finally:
        files.close()


@every_chunk
@every_fault
@pytest.mark.parametrize("what", ["windows", "a snapshot"])
def test_compacting_and_pruning(what: str, fault: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every promised state stays, and doing it again comes to the same bytes."""
    objects, states = history() if what == "windows" else (compacted(), history()[1])
    if what == "windows":
        monkeypatch.setattr(compaction, "_SNAPSHOT_TRANSACTIONS", 10**6)
    healthy = store_of(objects)
    maintain(healthy)
    done = contents(healthy)
    assert {key[:4] for key in done.keys() - objects.keys()} == (
        {"0002", "0003"} if what == "windows" else {"0009"}
    )
    assert len(objects.keys() - done.keys()) > 10
    for run in every_call(objects, fault, lambda run: maintain(run.store), chunk=chunk):
        left = frozenset(contents(run.inner).items())
        if (what, left) in _checked:
            continue
        with Database(run.inner, create=False) as database:
            assert state_of(database) == states[max(states)]
            for txid in promised():
                with database.as_of(txid=txid) as past:
                    assert dump(past) == states[txid], txid
        maintain(run.inner)
        assert contents(run.inner) == done
        _checked.add((what, left))


# Restoring


@every_fault
def test_restoring_to_a_file(fault: str, tmp_path: Path) -> None:
    objects, states = compacted(), history()[1]
    txid, target = max(states) - 1, tmp_path / "target.db"

    def restore(run: Run) -> None:
        with run.opened() as database:
            restore_file(database.pages.replica, txid, target)
            assert verify(database.pages, tmp_path).ok

    for run in every_call(objects, fault, restore, chunks=1):
        if target.exists():
            assert dump_file(target) == states[txid]
            target.unlink()
        assert [*tmp_path.iterdir()] == []
        assert contents(run.inner) == objects


@every_fault
@pytest.mark.parametrize("fails", ["source", "target"])
def test_restoring_to_a_store(fault: str, fails: str, tmp_path: Path) -> None:
    """The target stays empty, or has become the database whole."""
    objects, states = compacted(), history()[1]
    txid = max(states) - 1

    def restore_to(source: ObjectStore, target: ObjectStore) -> None:
        files = Replica(source)
        try:
            restore_store(files, txid, target, tmp_path)
        finally:
            files.close()

    def restore(run: Run) -> None:
        if fails == "source":
            restore_to(run.store, run.other)
        else:
            restore_to(store_of(objects), run.store)

    prepared: Contents = objects if fails == "source" else {}
    for run in every_call(prepared, fault, restore, chunks=1):
        target = run.other if fails == "source" else run.inner
        if not contents(target):
            restore_to(store_of(objects), target)
        assert holds(target, states[txid]) == 0
        assert [*tmp_path.iterdir()] == []


@every_fault
def test_going_back_in_place(fault: str) -> None:
    states = history()[1]
    head = max(states)

    def go_back(run: Run) -> None:
        with run.opened() as database:
            run.do(4, lambda: database.restore(txid=4))

    for run in every_call(compacted(), fault, go_back, chunks=1):
        if run.acknowledged:
            assert holds(run.inner, states[4]) == 0
        else:
            assert holds(run.inner, states[head], states[4]) in (0, 1)
        with Database(run.inner, create=False) as database:
            database.restore(txid=4)
            assert state_of(database) == states[4]


@every_fault
def test_importing(fault: str, tmp_path: Path) -> None:
    """A database without tables, or all of them; in the first case it can begin anew."""
    states = history()[1]
    head, source = max(states), tmp_path / "source.db"
    files = Replica(store_of(compacted()))
    restore_file(files, head, source)
    files.close()

    def load(run: Run) -> None:
        with run.opened(create=True) as database:
            run.do("import", lambda: import_file(database, source, tmp_path))

    for run in every_call({}, fault, load, chunks=1):
        with Database(run.inner) as database:
            if not ask(database, "SELECT count(*) FROM sqlite_schema")[0][0]:
                assert not run.acknowledged
                import_file(database, source, tmp_path)
            assert state_of(database) == states[head]
            assert verify(database.pages, tmp_path).ok
        assert [path.name for path in tmp_path.iterdir()] == [source.name]
