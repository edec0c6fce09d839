"""Files that go up in parts cannot be create-only: what follows when two processes finish the same one."""

import os
import threading
from collections.abc import Iterator

import pytest
from tests.support.s3_faults import FaultyS3

from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.ltx import stream
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance import compaction
from lamdb.storage.maintenance.compaction import Compactor, Merge, perform
from lamdb.storage.stores import obstores
from lamdb.storage.stores.obstores import Obstore, memory_store

from .every_call import contents, holds, store_of
from .states import state_of, write


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstores, "_PART", 8 * 1024)
    monkeypatch.setattr(stream, "_FLUSH_BYTES", 8 * 1024)
    monkeypatch.setattr(compaction, "_LARGE_MERGE", 0)
    monkeypatch.setattr(compaction, "_FRAMES_PER_STEP", 8)


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    with FaultyS3(latency=0.002) as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def snapshot(replica: Replica) -> Merge:
    """Everything, as one file."""
    return Merge(9, tuple(replica.files()))


def test_two_processes_finish_the_same_file(s3: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both look whether it is there, both see that it is not, both complete it; others read it meanwhile."""
    with Database.open(s3.url, page_size=512) as database:
        states = write(database, 40)
        expected = states[database.txid]
    both, look = threading.Barrier(2), Obstore.head
    replicas = [Replica(open_store(s3.url)) for _ in range(2)]
    merges = [snapshot(replica) for replica in replicas]

    def look_together(store: Obstore, key: str) -> object:
        found = look(store, key)
        both.wait(20)
        return found

    monkeypatch.setattr(Obstore, "head", look_together)
    s3.reset()
    finished: list[int] = []

    def work(replica: Replica, merge: Merge) -> None:
        finished.append(sum(perform(replica, merge)))

    threads = [threading.Thread(target=work, args=pair) for pair in zip(replicas, merges, strict=True)]
    for thread in threads:
        thread.start()
    looks = 0
    while any(thread.is_alive() for thread in threads) or looks < 5:
        with Database.open(s3.url, create=False, cache_bytes=0) as database:
            assert state_of(database) == expected
            looks += 1
    for thread in threads:
        thread.join()
    assert finished[0] == finished[1] > 3 * 8192
    # Two uploads were begun, and both completed.
    assert s3.counts()["POST"] == 4
    assert s3.counts()["PUT"] > 6
    once = contents(replicas[0].store)
    for replica in replicas:
        replica.close()
    alone = store_of({key: body for key, body in once.items() if key[:4] != "0009"})
    replica = Replica(alone)
    monkeypatch.undo()
    assert sum(perform(replica, snapshot(replica))) == finished[0]
    replica.close()
    assert contents(alone) == once


def test_the_later_of_two_sees_the_file_and_gives_up() -> None:
    store = memory_store()
    with Database(store, page_size=512) as database:
        write(database, 20)
    replica = Replica(store)
    merge = snapshot(replica)
    late = perform(replica, merge)
    next(late)
    assert sum(perform(replica, merge)) > 8192
    [(key, modified)] = [(entry.key, entry.modified_ms) for entry in store.list("0009/")]
    assert sum(late) > 0
    assert [(entry.key, entry.modified_ms) for entry in store.list("0009/")] == [(key, modified)]
    assert [*perform(replica, merge)] == []
    replica.close()


@pytest.mark.parametrize("level", [2, 9])
def test_a_file_that_comes_back_after_it_was_pruned_does_no_harm(level: int) -> None:
    """Its process was frozen before the last step, for longer than files are kept."""
    store = memory_store()
    with Database(store, page_size=512) as database:
        states = write(database, 20)
        replica = Replica(store)
        late = perform(replica, Merge(level, tuple(file for file in replica.files() if file.max_txid <= 16)))
        next(late)
        states |= write(database, 30)
        head = database.txid
    everything_as_one(store)
    for entry in [*store.list()]:
        if entry.key[:4] != "0009":
            store.delete(entry.key)
    assert sum(late) > 0
    replica.close()
    assert len(contents(store)) == 2
    with Database(store, create=False) as database:
        assert database.txid == head
        with database.as_of(txid=16) as past:
            assert past.execute("PRAGMA integrity_check").get == "ok"
    assert holds(store, states[head]) == 0


def everything_as_one(store: ObjectStore) -> None:
    replica = Replica(store)
    for _ in perform(replica, snapshot(replica)):
        pass
    Compactor(replica).run()
    replica.close()
