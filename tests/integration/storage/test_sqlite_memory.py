"""SQLite's memory stays within its budget, however many connections read."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import apsw
import pytest

from lamdb.storage import Database

MIB = 1024 * 1024
BUDGET = 8 * MIB
ROWS = 12_000
READERS = 8

FILL = f"""
CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
INSERT INTO t SELECT i, hex(zeroblob(300)) FROM n
"""
SCAN = "SELECT count(*) FROM t WHERE text LIKE '%1%'"


@pytest.fixture(autouse=True)
def limit() -> Iterator[None]:
    """Lifts the limit, which is the process's, before a test and after it."""
    apsw.soft_heap_limit(0)
    yield
    apsw.soft_heap_limit(0)


def filled(**options: int) -> Database:
    """A database of 8 MiB, with an empty cache in SQLite."""
    database = Database.open("memory:")
    with database.writer() as connection:
        connection.execute(FILL)
    database._drop_writer()
    reopened = Database(database._store, create=False, **options)
    reopened.refresh()
    return reopened


def used_by(run: Callable[[], object]) -> int:
    before = apsw.memory_used()
    run()
    return apsw.memory_used() - before


def scan_at_once(database: Database) -> None:
    """Each reader scans the table, and keeps its connection until all have."""
    with ExitStack() as stack:
        readers = [stack.enter_context(database.reader()) for _ in range(READERS)]
        for reader in readers:
            assert reader.execute(SCAN).get == 0


def test_without_a_budget_each_connection_fills_a_cache_of_its_own() -> None:
    with filled() as database:
        assert used_by(lambda: scan_at_once(database)) > 3 * BUDGET


@pytest.mark.parametrize("budget", [BUDGET, BUDGET // 2])
def test_connections_in_use_share_the_budget(budget: int) -> None:
    others = apsw.memory_used()
    with filled(sqlite_bytes=others + budget) as database:
        for _ in range(2):
            scan_at_once(database)
            assert apsw.memory_used() < others + budget * 1.25


def test_idle_connections_give_their_pages_to_the_one_that_reads() -> None:
    others = apsw.memory_used()
    with filled(sqlite_bytes=others + BUDGET) as database:
        scan_at_once(database)
        with database.reader() as reader:
            reader.execute(SCAN).get  # noqa: B018
        with database.reader() as reader:
            for _ in range(2):
                reader.execute(SCAN).get  # noqa: B018
            held = reader.status(apsw.SQLITE_DBSTATUS_CACHE_USED)[0]
        assert held > BUDGET // 2


def test_a_small_budget_keeps_few_connections() -> None:
    with filled(sqlite_bytes=apsw.memory_used() + MIB) as database:
        scan_at_once(database)
        assert len(database._readers._idle) <= 4


def test_threads_read_the_same_under_a_small_budget() -> None:
    failures: list[BaseException] = []
    with filled(sqlite_bytes=apsw.memory_used() + MIB) as database:

        def work() -> None:
            try:
                for _ in range(5):
                    with database.reader() as reader:
                        assert reader.execute(SCAN).get == 0
                        assert reader.execute("SELECT sum(id) FROM t").get == ROWS * (ROWS + 1) // 2
            except BaseException as failure:  # noqa: BLE001 - reported below
                failures.append(failure)

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failures == []


def test_a_large_transaction_under_a_small_budget() -> None:
    with filled(sqlite_bytes=apsw.memory_used() + MIB) as database:
        with database.writer() as connection:
            connection.execute("UPDATE t SET text = hex(zeroblob(301)) WHERE id % 2")
        with database.reader() as reader:
            assert reader.execute("SELECT sum(length(text)) FROM t").get == ROWS * 601
            assert reader.execute("PRAGMA integrity_check").get == "ok"
