"""`Database.submit`: writes whose callers do not wait, among those whose callers do."""

import contextvars
import threading
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest

from lamdb.storage import Database
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

who: contextvars.ContextVar[int] = contextvars.ContextVar("who", default=-1)


@pytest.fixture
def database() -> Iterator[Database]:
    with Database(SlowStore(memory_store(), 0.002)) as opened:
        opened.write(lambda connection: connection.execute("CREATE TABLE t(n PRIMARY KEY)").fetchall())
        yield opened


def insert(number: int) -> Callable[[apsw.Connection], int]:
    def work(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO t VALUES (?)", (number,))
        return number

    return work


def rows(database: Database) -> list[int]:
    with database.reader() as connection:
        return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


class Outcomes:
    """Collects what is told, and waits for so much."""

    def __init__(self, expected: int) -> None:
        self._left = expected
        self._all = threading.Event()
        self._lock = threading.Lock()
        self.found: list[Any] = []

    def __call__(self, outcome: Callable[[], Any]) -> None:
        with self._lock:
            try:
                self.found.append(outcome())
            except Exception as error:  # noqa: BLE001 - it is compared
                self.found.append(type(error))
            self._left -= 1
            if not self._left:
                self._all.set()

    def wait(self) -> list[Any]:
        assert self._all.wait(20)
        return self.found


def test_each_is_told_its_own_outcome_once(database: Database) -> None:
    outcomes = Outcomes(101)
    for number in range(100):
        database.submit(insert(number), contextvars.copy_context(), outcomes)
    database.submit(insert(50), contextvars.copy_context(), outcomes)
    assert outcomes.wait() == [*range(100), apsw.ConstraintError]
    assert rows(database) == [*range(100)]


def test_they_share_commits() -> None:
    store = CountingStore(SlowStore(memory_store(), 0.01))
    with Database(store) as database:
        database.write(lambda connection: connection.execute("CREATE TABLE t(n)").fetchall())
        store.reset()
        outcomes = Outcomes(200)
        for number in range(200):
            database.submit(insert(number), contextvars.copy_context(), outcomes)
        outcomes.wait()
        assert store.requests["put_new"] < 50


def test_both_kinds_of_writes_take_turns(database: Database) -> None:
    outcomes, waited = Outcomes(300), []

    def write(start: int) -> None:
        waited.extend(database.write(insert(number)) for number in range(start, start + 50))

    def submit(start: int) -> None:
        for number in range(start, start + 50):
            database.submit(insert(number), contextvars.copy_context(), outcomes)

    threads = [threading.Thread(target=write, args=(1000 * n,)) for n in range(6)]
    threads += [threading.Thread(target=submit, args=(1000 * n + 500,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes.wait() + waited) == rows(database)
    assert len(rows(database)) == 600


def test_what_is_told_is_durable(database: Database) -> None:
    seen: list[int] = []
    told = threading.Event()

    def done(outcome: Callable[[], int]) -> None:
        outcome()
        seen.append(database.txid)
        told.set()

    before = database.txid
    database.submit(insert(1), contextvars.copy_context(), done)
    assert told.wait(20)
    assert seen == [before + 1]


def test_the_work_has_its_callers_context(database: Database) -> None:
    outcomes = Outcomes(5)
    for number in range(5):
        context = contextvars.copy_context()
        context.run(who.set, number)
        database.submit(lambda _: who.get(), context, outcomes)
    assert outcomes.wait() == [*range(5)]


def test_closing_lets_what_waits_fail_or_finish() -> None:
    database = Database(SlowStore(memory_store(), 0.002))
    database.write(lambda connection: connection.execute("CREATE TABLE t(n)").fetchall())
    outcomes = Outcomes(50)
    for number in range(50):
        database.submit(insert(number), contextvars.copy_context(), outcomes)
    database.close()
    assert len(outcomes.wait()) == 50
