"""Writes that share a commit: one request for many, to each its own outcome, in strict order."""

import contextvars
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import apsw
import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import CommitUnknown, Fenced, StorageError, StoreUnavailable, TransactionTooLarge
from lamdb.storage import Database, ObjectStore, groupcommit
from lamdb.storage.ltx import replica
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

from .history import ask, tell

WRITERS = 64


def insert(value: object) -> Callable[[apsw.Connection], int]:
    def work(connection: apsw.Connection) -> int:
        connection.execute("INSERT INTO t VALUES(?)", (value,))
        return connection.execute("SELECT count(*) FROM t").get

    return work


def opened(store: ObjectStore | None = None, **options) -> Database:
    database = Database(store or memory_store(), **options)
    tell(database, "CREATE TABLE t(a UNIQUE)")
    return database


@contextmanager
def held_up(database: Database, threads: ThreadPoolExecutor):
    """In the block, writes only queue; after it they are one group. Yields what submits one."""
    futures: list[Future] = []

    def submit(work: Callable[[apsw.Connection], object]) -> Future:
        futures.append(threads.submit(database.write, work))
        end = time.monotonic() + 10
        # The first has left the queue to lead, and waits for the writer.
        while len(database._groups._waiting) < len(futures) - 1 and time.monotonic() < end:
            time.sleep(0.001)
        return futures[-1]

    with database.writer():
        yield submit
    for future in futures:
        future.exception(timeout=20)


@pytest.fixture
def threads():
    with ThreadPoolExecutor(WRITERS) as pool:
        yield pool


def test_one_write_is_one_request_and_waits_for_nothing() -> None:
    store = CountingStore(memory_store())
    database = opened(store)
    store.reset()
    assert database.write(insert(1)) == 1
    assert store.requests == {"put_new": 1}
    assert ask(Database(store), "SELECT a FROM t") == [(1,)]


def test_writes_that_wait_share_a_commit_in_the_order_they_came(threads: ThreadPoolExecutor) -> None:
    store = CountingStore(memory_store())
    database = opened(store)
    with held_up(database, threads) as submit:
        store.reset()
        futures = [submit(insert(number)) for number in range(20)]
    assert [future.result() for future in futures] == list(range(1, 21))
    assert store.requests == {"put_new": 1}
    assert database.txid == 2
    assert ask(Database(store), "SELECT a FROM t ORDER BY rowid") == [(number,) for number in range(20)]


def test_many_writers_make_few_requests() -> None:
    """Sixty-four threads, 640 writes: the acceptance asks for twenty times fewer than one writer's 640."""
    store = CountingStore(memory_store())
    database = opened(SlowStore(store, 0.02))
    store.reset()

    def write(worker: int) -> None:
        for number in range(10):
            database.write(insert(worker * 10 + number))

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    assert store.requests["put_new"] <= 640 / 20
    assert ask(database, "SELECT count(*), count(DISTINCT a) FROM t") == [(640, 640)]
    assert ask(Database(store), "SELECT count(*) FROM t") == [(640,)]


def test_a_failure_is_its_callers_own(threads: ThreadPoolExecutor) -> None:
    database = opened()

    def half(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO t VALUES('half')")
        raise ValueError("half-way")

    with held_up(database, threads) as submit:
        first, failing, twice, last = [submit(work) for work in (insert(1), half, insert(1), insert(2))]
    assert (first.result(), last.result()) == (1, 2)
    with pytest.raises(ValueError, match="half-way"):
        failing.result()
    with pytest.raises(apsw.ConstraintError, match="UNIQUE"):
        twice.result()
    assert (database.txid, ask(database, "SELECT a FROM t")) == (2, [(1,), (2,)])


def test_a_group_in_which_all_fail_stores_nothing(threads: ThreadPoolExecutor) -> None:
    store = CountingStore(memory_store())
    database = opened(store)
    tell(database, "INSERT INTO t VALUES(1)")
    with held_up(database, threads) as submit:
        store.reset()
        futures = [submit(insert(1)) for _ in range(5)]
    assert all(isinstance(future.exception(), apsw.ConstraintError) for future in futures)
    assert store.requests == {"get_range": 1}, "one look for all of them"
    assert database.write(insert(2)) == 2


def test_a_deferred_violation_is_its_members_own(threads: ThreadPoolExecutor) -> None:
    database = opened()
    tell(
        database,
        "CREATE TABLE parent(id INTEGER PRIMARY KEY)",
        "CREATE TABLE child(p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)",
        "CREATE TABLE strict(p REFERENCES parent)",
    )

    def orphan(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO child VALUES(7)")

    def parent_last(connection: apsw.Connection) -> None:
        connection.execute("PRAGMA defer_foreign_keys = ON; INSERT INTO strict VALUES(1)")
        connection.execute("INSERT INTO parent VALUES(1)")

    def strict_orphan(connection: apsw.Connection) -> None:
        with pytest.raises(apsw.ConstraintError):  # At once: the member before it deferred only its own.
            connection.execute("INSERT INTO strict VALUES(8)")

    with held_up(database, threads) as submit:
        works = (insert(1), orphan, parent_last, strict_orphan, insert(2))
        kept, refused, ordered, strict, also = [submit(work) for work in works]
    assert (kept.result(), also.result(), ordered.result(), strict.result()) == (1, 2, None, None)
    error = refused.exception()
    assert isinstance(error, apsw.ConstraintError)
    assert error.extendedresult == apsw.SQLITE_CONSTRAINT_FOREIGNKEY
    assert ask(database, "SELECT (SELECT count(*) FROM child), (SELECT count(*) FROM strict)") == [(0, 1)]


@pytest.mark.parametrize("ending", ["COMMIT", "ROLLBACK", "COMMIT; BEGIN", "ROLLBACK; BEGIN"])
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_member_that_ends_the_transaction_takes_nobody_with_it(
    threads: ThreadPoolExecutor, ending: str, swallowed: bool
) -> None:
    store = CountingStore(memory_store())
    database = opened(store)

    def ends(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO t VALUES('unwanted')")
        try:
            connection.execute(ending)
        except apsw.Error:
            if not swallowed:
                raise

    with held_up(database, threads) as submit:
        first, ended, last = [submit(work) for work in (insert(1), ends, insert(2))]
    assert (first.result(), last.result()) == (1, 2)
    assert isinstance(ended.exception(), StorageError | apsw.SQLError)
    for one in (database, Database(store)):
        assert ask(one, "SELECT a FROM t") == [(1,), (2,)]


def test_a_conflict_that_rolls_back_all_takes_nobody_with_it(threads: ThreadPoolExecutor) -> None:
    database = opened()

    def conflict(connection: apsw.Connection) -> None:
        connection.execute("INSERT OR ROLLBACK INTO t VALUES(1)")

    with held_up(database, threads) as submit:
        first, failed, last = [submit(work) for work in (insert(1), conflict, insert(2))]
    assert (first.result(), last.result()) == (1, 2)
    assert isinstance(failed.exception(), apsw.ConstraintError)
    assert ask(database, "SELECT a FROM t") == [(1,), (2,)]


def test_a_statement_left_open_is_its_members_own_matter(threads: ThreadPoolExecutor) -> None:
    database = opened()
    cursors = []

    def leaves_open(connection: apsw.Connection) -> None:
        cursors.append(connection.execute("INSERT INTO t VALUES('a'), ('b') RETURNING a"))

    def reads_on(connection: apsw.Connection) -> None:
        cursors.append(connection.execute("SELECT a FROM t UNION ALL SELECT 1 UNION ALL SELECT 2"))

    with held_up(database, threads) as submit:
        first, _, _, last = [submit(work) for work in (insert(1), leaves_open, reads_on, insert(2))]
    assert first.result() == 1
    assert last.result() >= 2
    assert database.write(insert(3)) == last.result() + 1
    assert ask(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("cache", [0, 32 * 1024 * 1024], ids=["spilling", "at the commit"])
def test_a_member_too_many_gets_a_commit_of_its_own(threads: ThreadPoolExecutor, cache: int) -> None:
    """Each fits, together they do not; one fits nowhere. The index holds every value a second time."""
    store = CountingStore(memory_store())
    database = opened(store, max_transaction_bytes=400_000, connection_cache_bytes=cache)
    large, huge = insert(bytes(150_000)), insert(bytes(250_000))
    with held_up(database, threads) as submit:
        futures = [submit(work) for work in (insert(1), large, huge, insert(bytes(149_999)), insert(2))]
    assert isinstance(futures.pop(2).exception(), TransactionTooLarge)
    assert [future.result() for future in futures] == [1, 2, 3, 4]
    assert ask(Database(store), "SELECT count(*) FROM t") == [(4,)]
    assert database.write(insert(3)) == 5


def test_a_group_ends_when_it_has_changed_enough(threads: ThreadPoolExecutor) -> None:
    database = opened(group_bytes=100_000, group_seconds=60)

    def slow(number: int) -> Callable[[apsw.Connection], None]:
        def work(connection: apsw.Connection) -> None:
            connection.execute("INSERT INTO t VALUES(?)", (bytes([number]) * 30_000,))
            time.sleep(0.003)

        return work

    with held_up(database, threads) as submit:
        for number in range(12):
            submit(slow(number))
    assert database.txid == 1 + 6  # Two in each: with the index a member changes 60,000 bytes.


@pytest.mark.parametrize(("seconds", "commits"), [(0, 6), (0.15, 3), (60, 1)])
def test_a_group_ends_when_it_has_taken_long_enough(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, seconds: float, commits: int
) -> None:
    database = opened(group_seconds=seconds)
    now = [0.0]
    monkeypatch.setattr(groupcommit, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def slow(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO t VALUES(random())")
        now[0] += 0.1

    with held_up(database, threads) as submit:
        for _ in range(6):
            submit(slow)
    assert database.txid == 1 + commits


def test_a_fence_is_everybodys(threads: ThreadPoolExecutor) -> None:
    store = memory_store()
    database = opened(store)
    with Database(store) as other:
        tell(other, "INSERT INTO t VALUES('theirs')")
    with held_up(database, threads) as submit:
        futures = [submit(insert(number)) for number in (1, 2, 2)]
    errors = [future.exception() for future in futures]
    assert all(isinstance(error, Fenced) and error.meta == {"txid": 2} for error in errors)
    assert len(set(map(id, errors))) == 3  # Threads must not share an exception's traceback.
    assert database.write(insert(1)) == 2


def test_a_store_that_fails_is_everybodys(
    threads: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_COMMIT_DEADLINE", 0.1)
    store = FaultyStore(memory_store())
    database = opened(store)
    with held_up(database, threads) as submit:
        store.fail("*", "before", times=1000)
        futures = [submit(insert(number)) for number in range(3)]
    for future in futures:
        with pytest.raises(CommitUnknown, match="may or may not"):
            future.result()
    with pytest.raises(StoreUnavailable):
        database.write(insert(9))
    store.heal()
    assert database.write(insert(1)) == 1


def test_nobody_is_told_before_it_is_durable(threads: ThreadPoolExecutor) -> None:
    inner = memory_store()
    store = SlowStore(inner, 0)
    database = opened(store)
    with held_up(database, threads) as submit:
        futures = [submit(insert(number)) for number in range(3)] + [submit(insert(1))]
        store.latency = 0.3
        time.sleep(0.05)
    store.latency = 0
    assert all(future.done() for future in futures)
    assert ask(Database(inner), "SELECT count(*) FROM t") == [(3,)]


def test_the_writer_and_groups_exclude_each_other(threads: ThreadPoolExecutor) -> None:
    database = opened(SlowStore(memory_store(), 0.001))
    stop = threading.Event()

    def write(number: int) -> int:
        count = 0
        while not stop.is_set():
            database.write(insert(f"{number}-{count}"))
            count += 1
        return count

    writing = [threads.submit(write, number) for number in range(8)]
    for _ in range(10):
        with database.writer() as connection:
            before = connection.execute("SELECT count(*) FROM t").get
            time.sleep(0.005)
            assert connection.execute("SELECT count(*) FROM t").get == before
    stop.set()
    written = sum(future.result() for future in writing)
    assert ask(database, "SELECT count(*) FROM t") == [(written,)]


def test_a_write_inside_a_write_is_refused() -> None:
    database = opened()
    with pytest.raises(StorageError, match="already holds the writer"):
        database.write(lambda _: database.write(insert(1)))
    with pytest.raises(StorageError, match="already holds the writer"), database.writer():
        database.write(insert(1))
    assert database.write(insert(1)) == 1


def test_work_sees_the_context_of_its_caller(threads: ThreadPoolExecutor) -> None:
    name: contextvars.ContextVar[str] = contextvars.ContextVar("name")
    database = opened()

    def call(own: str) -> str:
        name.set(own)
        return database.write(lambda _: name.get())

    with database.writer():
        futures = [threads.submit(call, f"caller {number}") for number in range(10)]
        time.sleep(0.1)
    assert [future.result() for future in futures] == [f"caller {number}" for number in range(10)]


def test_writes_after_closing_are_refused(threads: ThreadPoolExecutor) -> None:
    database = opened()
    with held_up(database, threads) as submit:
        closing = threads.submit(database.close)
        time.sleep(0.05)
        futures = [submit(insert(number)) for number in range(3)]
    closing.result()
    for future in futures:
        error = future.exception()
        assert error is None or "closed" in str(error)
    with pytest.raises(StorageError, match="closed"):
        database.write(insert(9))


def test_an_interrupt_of_the_leader_leaves_nobody_waiting(threads: ThreadPoolExecutor) -> None:
    database = opened()

    def interrupted(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO t VALUES('unwanted')")
        raise KeyboardInterrupt

    with held_up(database, threads) as submit:
        futures = [submit(work) for work in (insert(1), interrupted, insert(2))]
    for future in futures[:2]:
        assert isinstance(future.exception(), StorageError | KeyboardInterrupt)
    assert futures[2].result() == 1
    assert ask(database, "SELECT a FROM t") == [(2,)]
