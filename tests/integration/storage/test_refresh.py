"""How a process learns of other processes' transactions, and what that costs."""

import threading
import time
from collections.abc import Callable

import pytest

from lamdb.errors import ReplicaLag, StorageError
from lamdb.storage import Database, ObjectStore
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

from .history import TurnedClock, ask, compact, prune, tell

type Maker = Callable[[], ObjectStore]


def with_numbers(store: ObjectStore, commits: int) -> Database:
    database = Database(store)
    tell(database, "CREATE TABLE t(a)")
    add(database, commits)
    return database


def add(database: Database, commits: int) -> None:
    for _ in range(commits):
        tell(database, "INSERT INTO t SELECT ifnull(max(a), 0) + 1 FROM t")


def total(database: Database) -> int:
    return ask(database, "SELECT count(*) FROM t")[0][0]


@pytest.mark.parametrize("commits", [0, 1, 4, 5, 30])
def test_catching_up(make_store: Maker, commits: int) -> None:
    writer = with_numbers(make_store(), 1)
    reader = Database(make_store())
    add(writer, commits)
    assert reader.txid == 2
    assert reader.refresh() == 2 + commits == reader.txid
    assert total(reader) == 1 + commits
    assert ask(reader, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("commits", "requests"),
    [
        (0, {"get_range": 1}),
        (1, {"get_range": 2}),
        (3, {"get_range": 4}),
        (50, {"get_range": 4, "get": 46, "list": 1}),
    ],
)
def test_what_catching_up_costs(commits: int, requests: dict[str, int]) -> None:
    writer = with_numbers(memory_store(), 1)
    store = CountingStore(writer._store)
    reader = Database(store)
    add(writer, commits)
    store.reset()
    reader.refresh()
    total(reader)
    assert store.requests == requests


def test_who_is_far_behind_takes_what_was_compacted() -> None:
    writer = with_numbers(memory_store(), 1)
    store = CountingStore(writer._store)
    reader = Database(store)
    with reader.reader() as early:
        add(writer, 200)
        compact(store, 2, range(1, 7))  # Begins before the reader's state: of no use to it.
        compact(store, 2, range(7, 100))
        compact(store, 3, range(7, 190))
        store.reset()
        assert reader.refresh() == 202
        assert store.requests == {"get_range": 4, "get": 1 + 13, "list": 2}
        assert total(reader) == 201
        assert early.execute("SELECT count(*) FROM t").get == 1
    assert ask(reader, "PRAGMA integrity_check") == [("ok",)]
    with Database(writer._store) as fresh:
        assert ask(reader, "SELECT * FROM t") == ask(fresh, "SELECT * FROM t")


def test_nothing_is_asked_without_need() -> None:
    store = CountingStore(memory_store())
    database = with_numbers(store, 3)
    total(database)
    store.reset()
    for _ in range(10):
        with database.reader(min_txid=4) as connection:
            connection.execute("SELECT count(*) FROM t").fetchall()
    assert store.requests == {}


def test_a_reader_can_ask_for_a_transaction(make_store: Maker) -> None:
    writer, reader = with_numbers(make_store(), 1), Database(make_store())
    add(writer, 1)
    with reader.reader(min_txid=writer.txid) as connection:
        assert connection.execute("SELECT count(*) FROM t").get == 2


def test_waiting_for_a_transaction_that_is_on_its_way(make_store: Maker) -> None:
    writer, reader = with_numbers(make_store(), 1), Database(make_store())
    thread = threading.Timer(0.1, add, (writer, 1))
    thread.start()
    assert reader.refresh(min_txid=3, timeout=10) == 3
    thread.join()


def test_waiting_in_vain(make_store: Maker) -> None:
    database = with_numbers(make_store(), 1)
    began = time.monotonic()
    with pytest.raises(ReplicaLag) as caught:
        database.refresh(min_txid=99, timeout=0.2)
    assert time.monotonic() - began >= 0.2
    assert caught.value.meta == {"wanted": 99, "txid": 2}


def test_transactions_that_were_compacted_and_pruned(make_store: Maker) -> None:
    writer, reader = with_numbers(make_store(), 3), Database(make_store())
    add(writer, 20)
    compact(make_store(), 2, range(1, 15))
    compact(make_store(), 2, range(15, 20))
    prune(make_store(), range(1, 20))
    with reader.reader() as early:
        assert reader.refresh(min_txid=24) == 24
        assert total(reader) == 23
        assert early.execute("SELECT count(*) FROM t").get == 3
    add(writer, 1)
    assert reader.refresh() == 25
    assert total(reader) == 24


def test_pages_whose_file_was_compacted_under_a_reader(make_store: Maker) -> None:
    """A pinned state stays readable as long as files make it up, whichever they are."""
    writer = with_numbers(make_store(), 3)
    with writer.writer() as connection:
        connection.execute("CREATE TABLE big(x)")
        connection.executemany("INSERT INTO big VALUES(randomblob(?))", [(900,)] * 2000)
    reader = Database(make_store(), cache_bytes=0, connection_cache_bytes=0)
    add(writer, 1)
    compact(make_store(), 3, range(1, 6))
    compact(make_store(), 9, range(1, 7))
    prune(make_store(), range(1, 7))
    assert ask(reader, "SELECT count(*), sum(length(x)) FROM big") == [(2000, 1_800_000)]
    assert total(reader) == 3


def test_a_state_that_is_gone_says_so() -> None:
    writer = with_numbers(memory_store(), 3)
    with writer.writer() as connection:
        connection.execute("CREATE TABLE big(x)")
        connection.executemany("INSERT INTO big VALUES(randomblob(?))", [(900,)] * 2000)
    reader = Database(writer._store, cache_bytes=0, connection_cache_bytes=0)
    add(writer, 1)
    compact(writer._store, 9, range(1, 7))
    prune(writer._store, range(1, 7))
    with pytest.raises(StorageError, match="transaction 5 is no longer in the store"):
        ask(reader, "SELECT count(*) FROM big")
    reader.refresh(min_txid=6)
    assert ask(reader, "SELECT count(*) FROM big") == [(2000,)]


def test_a_process_that_looked_long_ago_does_not_trust_a_free_key(make_store: Maker) -> None:
    clock = TurnedClock()
    writer = with_numbers(make_store(), 3)
    reader = Database(make_store(), clock=clock)
    add(writer, 5)
    compact(make_store(), 9, range(1, 10))
    prune(make_store(), range(1, 10))
    clock.seconds += 3600
    assert reader.refresh() == 9
    assert total(reader) == 8


def test_a_store_that_went_back_is_noticed(make_store: Maker) -> None:
    clock = TurnedClock()
    database = Database(make_store(), clock=clock)
    tell(database, "CREATE TABLE t(a)")
    add(database, 5)
    prune(make_store(), [5, 6])
    clock.seconds += 3600
    with pytest.raises(StorageError, match="went back from transaction 6 to 4"):
        database.refresh()


def test_threads_that_refresh_at_once_share_the_look() -> None:
    writer = with_numbers(memory_store(), 1)
    counting = CountingStore(writer._store)
    reader = Database(SlowStore(counting, latency=0.05))
    counting.reset()
    threads = [threading.Thread(target=reader.refresh) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counting.requests["get"] <= 3


def test_a_commit_does_not_wait_for_a_refresh() -> None:
    slow = SlowStore(memory_store(), latency=0)
    database = Database(slow)
    tell(database, "CREATE TABLE t(a)")
    slow.latency = 0.3
    thread = threading.Thread(target=database.refresh, kwargs={"min_txid": 5, "timeout": 60})
    thread.start()
    for _ in range(2):
        add(database, 1)
        assert thread.is_alive(), "a commit came after the refresh"
    add(database, 2)
    thread.join()
    assert total(database) == 4
