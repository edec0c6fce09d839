"""Many threads on one database, and many databases on one store."""

import random
import threading
import time
from collections.abc import Callable

import pytest

from lamdb.errors import Fenced
from lamdb.storage import Database, ObjectStore
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

from .history import ask, compact, tell

ACCOUNTS = 200


def bank(store: ObjectStore) -> Database:
    database = Database(store, connection_cache_bytes=64 * 1024)
    with database.writer() as connection:
        connection.execute("CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER, padding BLOB)")
        connection.executemany(
            "INSERT INTO account VALUES(?, 100, randomblob(300))", [(number,) for number in range(ACCOUNTS)]
        )
    return database


def move(database: Database, source: random.Random) -> None:
    """Moves money between two accounts; tries again if another writer was first."""
    while True:
        one, other = source.sample(range(ACCOUNTS), 2)
        try:
            with database.writer() as connection:
                connection.execute("UPDATE account SET balance = balance - 1 WHERE id = ?", (one,))
                connection.execute("UPDATE account SET balance = balance + 1 WHERE id = ?", (other,))
            return
        except Fenced:
            continue


def look(database: Database, wrong: list[str]) -> int:
    """Checks one state from several sides; its number of moves so far cannot be told, its total can."""
    with database.reader() as connection:
        before = database.txid
        totals = [connection.execute("SELECT sum(balance) FROM account").get for _ in range(3)]
        if totals != [100 * ACCOUNTS] * 3:
            wrong.append(f"totals {totals}")
        if connection.execute("PRAGMA quick_check").get != "ok":
            wrong.append("quick_check")
        return before


def in_threads(*jobs: Callable[[], object]) -> None:
    failures: list[BaseException] = []

    def run(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as error:  # noqa: BLE001 - Shown below.
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert failures == []


@pytest.mark.parametrize("databases", [1, 2])
def test_no_reader_sees_half_a_transaction(databases: int) -> None:
    store = memory_store()
    bank(store).close()
    opened = [Database(store, connection_cache_bytes=64 * 1024) for _ in range(databases)]
    wrong: list[str] = []
    done = threading.Event()
    moves = 60

    def write(number: int) -> None:
        source = random.Random(number)
        for _ in range(moves):
            move(opened[number % databases], source)

    def read(number: int) -> None:
        seen = 0
        while not done.is_set():
            opened[number % databases].refresh()
            txid = look(opened[number % databases], wrong)
            assert txid >= seen
            seen = txid

    readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in readers:
        thread.start()
    try:
        in_threads(*(lambda number=number: write(number) for number in range(2)))
    finally:
        done.set()
    for thread in readers:
        thread.join(30)
    assert wrong == []
    final = Database(store)
    assert final.txid == 1 + 2 * moves
    assert ask(final, "SELECT sum(balance) FROM account") == [(100 * ACCOUNTS,)]
    assert ask(final, "PRAGMA integrity_check") == [("ok",)]


def test_threads_that_want_the_same_page_share_a_request() -> None:
    inner = memory_store()
    with Database(inner) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
            connection.executemany("INSERT INTO t(body) VALUES(randomblob(?))", [(400,)] * 20_000)
        compact(inner, 9, [1])
    counting = CountingStore(inner)
    database = Database(SlowStore(counting, 0.05))
    counting.reset()
    in_threads(*[lambda: ask(database, "SELECT body FROM t WHERE id = 10_000")] * 12)
    assert counting.requests.total() <= 4


def test_readers_do_not_wait_for_a_commit() -> None:
    slow = SlowStore(memory_store(), 0)
    database = Database(slow)
    tell(database, "CREATE TABLE t(a)")
    ask(database, "SELECT count(*) FROM t")
    slow.latency = 5
    writer = threading.Thread(target=tell, args=(database, "INSERT INTO t VALUES(1)"))
    writer.start()
    time.sleep(0.1)
    assert ask(database, "SELECT count(*) FROM t") == [(0,)]
    assert writer.is_alive(), "the read came after the commit"
    slow.latency = 0
    writer.join()
    assert ask(database, "SELECT count(*) FROM t") == [(1,)]


def test_writers_wait_for_each_other() -> None:
    database = Database(memory_store())
    tell(database, "CREATE TABLE t(a)")
    in_threads(*[lambda: [tell(database, "INSERT INTO t VALUES(1)") for _ in range(10)]] * 8)
    assert (database.txid, ask(database, "SELECT count(*) FROM t")) == (81, [(80,)])


def test_closing_waits_for_the_writer() -> None:
    database = Database(memory_store())
    tell(database, "CREATE TABLE t(a)")
    store = database._store
    with database.writer() as connection:
        closing = threading.Thread(target=database.close)
        closing.start()
        time.sleep(0.1)
        connection.execute("INSERT INTO t VALUES(1)")
    closing.join(10)
    assert not closing.is_alive()
    assert ask(Database(store), "SELECT a FROM t") == [(1,)]


def test_several_databases_in_one_process() -> None:
    opened = [Database(memory_store()) for _ in range(5)]
    for number, database in enumerate(opened):
        tell(database, "CREATE TABLE t(a)", f"INSERT INTO t VALUES({number})")
    assert [ask(database, "SELECT a FROM t") for database in opened] == [[(number,)] for number in range(5)]
