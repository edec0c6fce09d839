"""The cost of reading, in counted requests."""

import itertools

import pytest

from lamdb.storage import Database, ObjectStore
from lamdb.storage.ltx import replica
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore

from .history import ask, compact, tell


def filled(rows: int, *, snapshot: bool = True, width: int = 400) -> ObjectStore:
    """A store with a table of `rows`, in one snapshot and a few transactions after it."""
    store = memory_store()
    with Database(store) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
            connection.executemany(
                "INSERT INTO t(body) VALUES(randomblob(?))", itertools.repeat((width,), rows)
            )
        tell(database, "CREATE TABLE small(a)")
        tell(database, "INSERT INTO small VALUES(1)")
        if snapshot:
            compact(store, 9, range(1, 3))
    return store


def test_opening_costs_the_same_at_any_size() -> None:
    costs = {}
    for rows in (100, 1_000, 50_000):
        store = CountingStore(filled(rows))
        database = Database(store)
        assert ask(database, "SELECT length(body) FROM t WHERE id = ?", rows // 2) == [(400,)]
        costs[rows] = store.requests.total()
    assert max(costs.values()) <= 8
    assert costs[50_000] <= costs[1_000] + 2


def test_many_files_are_opened_in_parallel_with_one_request_each() -> None:
    inner = memory_store()
    with Database(inner) as database:
        tell(database, "CREATE TABLE t(a)")
        for number in range(99):
            tell(database, f"INSERT INTO t VALUES({number})")
    store = CountingStore(inner)
    database = Database(store)
    assert store.requests == {"list": 2, "get": 100}
    assert ask(database, "SELECT count(*) FROM t") == [(99,)]
    assert store.requests == {"list": 2, "get": 100}


def test_a_warm_reader_asks_for_nothing() -> None:
    store = CountingStore(filled(20_000))
    database = Database(store)
    for _ in range(3):
        ask(database, "SELECT body FROM t WHERE id = 7777")
        store.reset()
    ask(database, "SELECT body FROM t WHERE id = 7777")
    assert store.requests == {}


def test_a_commit_leaves_the_other_pages_warm() -> None:
    """SQLite forgets its pages when the database has changed; ours stay."""
    store = CountingStore(filled(5_000))
    database = Database(store)
    ask(database, "SELECT sum(length(body)) FROM t")
    tell(database, "INSERT INTO small VALUES(2)")
    store.reset()
    assert ask(database, "SELECT sum(length(body)) FROM t") == [(2_000_000,)]
    assert store.requests == {}


def test_a_scan_reads_ahead() -> None:
    inner = filled(100_000)
    store = CountingStore(inner)
    database = Database(store)
    store.reset()
    assert ask(database, "SELECT count(*), sum(length(body)) FROM t") == [(100_000, 40_000_000)]
    stored = sum(entry.size for entry in inner.list("0009/"))
    assert store.requests["get_range"] <= 70
    assert store.bytes_read <= 1.2 * stored


def test_a_lookup_does_not_read_the_table() -> None:
    store = CountingStore(filled(100_000))
    database = Database(store)
    store.reset()
    ask(database, "SELECT body FROM t WHERE id = 31_415")
    assert store.requests.total() <= 4
    assert store.bytes_read < 200_000


@pytest.mark.parametrize(("piece", "requests"), [(4_000_000, 1), (120_000, 5)])
def test_an_index_larger_than_expected_is_completed(
    piece: int, requests: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pages that compress well have an index that is large in terms of their file."""
    monkeypatch.setattr(replica, "_PIECE", piece)
    inner = memory_store()
    with Database(inner, page_size=512) as database, database.writer() as connection:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
        connection.executemany("INSERT INTO t(body) VALUES(zeroblob(?))", [(400,)] * 40_000)
    store = CountingStore(inner)
    database = Database(store)
    assert store.requests == {"list": 2, "get_range": 1 + requests, "get_suffix": 1}
    assert ask(database, "SELECT count(*), sum(length(body)) FROM t") == [(40_000, 16_000_000)]


@pytest.mark.parametrize("cache_bytes", [0, 1_000_000])
def test_a_small_cache_is_slow_but_right(cache_bytes: int) -> None:
    database = Database(filled(20_000), cache_bytes=cache_bytes, connection_cache_bytes=0)
    for _ in range(2):
        assert ask(database, "SELECT count(*), sum(length(body)) FROM t") == [(20_000, 8_000_000)]
    assert database._pages.fetcher.cache.size <= cache_bytes
