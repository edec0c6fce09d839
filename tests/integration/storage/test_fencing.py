"""Two writers on one store: each transaction has one owner, and nobody is told otherwise."""

from collections.abc import Callable

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import CommitUnknown, Fenced, StoreRefused, StoreUnavailable
from lamdb.storage import Database, ObjectStore
from lamdb.storage.ltx import replica
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore

from .history import TurnedClock, ask, compact, prune, tell

type Maker = Callable[[], ObjectStore]


def pair(make_store: Maker) -> tuple[Database, Database]:
    """Two databases, as of two processes, over a table of numbers."""
    one = Database(make_store())
    tell(one, "CREATE TABLE t(a)")
    return one, Database(make_store())


def test_the_second_of_two_writers_is_fenced(make_store: Maker) -> None:
    one, other = pair(make_store)
    tell(one, "INSERT INTO t VALUES('one')")
    with pytest.raises(Fenced) as caught:
        tell(other, "INSERT INTO t VALUES('other')")
    assert caught.value.retryable
    assert caught.value.meta == {"txid": 2}
    tell(other, "INSERT INTO t VALUES('other again')")
    assert (one.txid, other.txid, one.refresh()) == (2, 3, 3)
    for database in (one, other, Database(make_store())):
        assert ask(database, "SELECT a FROM t") == [("one",), ("other again",)]
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_fenced_transaction_leaves_nothing_in_memory(make_store: Maker) -> None:
    one, other = pair(make_store)
    tell(one, "CREATE TABLE mine(x)", "INSERT INTO t VALUES('one')")
    with pytest.raises(Fenced):
        tell(other, "CREATE TABLE yours(x)", "INSERT INTO t SELECT randomblob(5000)")
    with other.writer() as connection:
        assert connection.execute("SELECT a FROM t").fetchall() == [("one",)]
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("t",), ("mine",)]
        assert connection.execute("PRAGMA integrity_check").get == "ok"


def test_a_writer_that_was_overtaken_while_it_worked_is_fenced(make_store: Maker) -> None:
    one, other = pair(make_store)
    lease = one.writer()
    lease.__enter__().execute("INSERT INTO t VALUES('slow')")
    tell(other, "INSERT INTO t VALUES('quick')")
    one.refresh()  # A reader of the same process has noticed.
    with pytest.raises(Fenced):
        lease.__exit__(None, None, None)
    assert ask(one, "SELECT a FROM t") == [("quick",)]


def test_two_first_writers() -> None:
    store = memory_store()
    one, other = Database(store), Database(store)
    tell(one, "CREATE TABLE one(x)")
    with pytest.raises(Fenced):
        tell(other, "CREATE TABLE other(x)")
    tell(other, "CREATE TABLE other(x)")
    assert ask(other, "SELECT name FROM sqlite_schema") == [("one",), ("other",)]


def test_equal_transactions_of_two_writers_are_still_two() -> None:
    """The same pages in the same millisecond: what tells the files apart is the nonce."""
    store, clock = memory_store(), TurnedClock()
    one = Database(store, clock=clock)
    tell(one, "CREATE TABLE t(a)")
    other = Database(store, clock=clock)
    tell(one, "INSERT INTO t VALUES(1)")
    with pytest.raises(Fenced):
        tell(other, "INSERT INTO t VALUES(1)")
    assert ask(one, "SELECT a FROM t") == [(1,)]


def test_a_lost_answer_is_a_success(make_store: Maker) -> None:
    store = FaultyStore(make_store())
    with Database(store) as database:
        tell(database, "CREATE TABLE t(a)")
        store.fail("put_new", "after")
        tell(database, "INSERT INTO t VALUES(1)")
        assert database.txid == 2
        tell(database, "INSERT INTO t VALUES(2)")
    assert ask(Database(make_store()), "SELECT a FROM t") == [(1,), (2,)]


def test_a_lost_request_is_sent_again(make_store: Maker) -> None:
    store = FaultyStore(make_store())
    with Database(store) as database:
        tell(database, "CREATE TABLE t(a)")
        store.fail("put_new", "before", times=2)
        tell(database, "INSERT INTO t VALUES(1)")
        assert database.txid == 2
    assert ask(Database(make_store()), "SELECT a FROM t") == [(1,)]


def test_an_answer_lost_to_a_writer_that_was_beaten(make_store: Maker) -> None:
    store = FaultyStore(make_store())
    one, other = Database(store), Database(make_store())
    tell(one, "CREATE TABLE t(a)")
    other.refresh()
    tell(other, "INSERT INTO t VALUES('other')")
    store.fail("put_new", "after")
    with pytest.raises(Fenced):
        tell(one, "INSERT INTO t VALUES('one')")
    assert ask(one, "SELECT a FROM t") == []
    one.refresh()
    assert ask(one, "SELECT a FROM t") == [("other",)]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_store_that_stops_answering_leaves_the_outcome_open(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "_COMMIT_DEADLINE", 0.1)
    store = FaultyStore(memory_store())
    database = Database(store)
    tell(database, "CREATE TABLE t(a)")
    store.fail("*", when, times=1000)
    with pytest.raises(CommitUnknown, match="may or may not"):
        tell(database, "INSERT INTO t VALUES(1)")
    with pytest.raises(StoreUnavailable):
        tell(database, "INSERT INTO t VALUES(2)")
    store.heal()
    kept = [(1,)] if when == "after" else []
    tell(database, "INSERT INTO t VALUES(3)")
    assert ask(database, "SELECT a FROM t") == [*kept, (3,)]
    assert ask(Database(store), "SELECT a FROM t") == [*kept, (3,)]
    assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_writer_frozen_between_two_tries_does_not_try_again() -> None:
    clock = TurnedClock()

    class Freezing(CountingStore):
        def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
            self.requests["put_new"] += 1
            clock.seconds += 30 * 24 * 3600
            raise StoreUnavailable("no answer")

    store = Freezing(memory_store())
    with pytest.raises(CommitUnknown):
        tell(Database(store, clock=clock), "CREATE TABLE t(a)")
    assert store.requests["put_new"] == 1


def test_a_store_that_refuses_a_commit_is_not_asked_again() -> None:
    class Refusing(CountingStore):
        def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
            self.requests["put_new"] += 1
            raise StoreRefused("denied")

    store = Refusing(memory_store())
    with pytest.raises(StoreUnavailable, match=r"^denied$"):
        tell(Database(store), "CREATE TABLE t(a)")
    assert store.requests["put_new"] == 1


def pruned_past(store: ObjectStore, clock: TurnedClock) -> Database:
    """A database at transaction 3 whose next keys were used by another writer, compacted and pruned."""
    frozen = Database(store, clock=clock)
    tell(frozen, "CREATE TABLE t(a)")
    tell(frozen, "INSERT INTO t VALUES(1)")
    tell(frozen, "INSERT INTO t VALUES(2)")
    return frozen


def overtake(store: ObjectStore) -> None:
    with Database(store) as other:
        for number in range(3, 8):
            tell(other, f"INSERT INTO t VALUES({number})")
    compact(store, 9, range(1, 9))
    prune(store, range(1, 9))


def test_a_thawed_writer_sees_what_was_pruned(make_store: Maker) -> None:
    """Its next key is free, but it is not the next transaction."""
    clock = TurnedClock()
    frozen = pruned_past(make_store(), clock)
    overtake(make_store())
    clock.seconds += 3 * 86400
    tell(frozen, "INSERT INTO t VALUES(8)")
    assert frozen.txid == 9
    assert ask(Database(make_store()), "SELECT a FROM t") == [(number,) for number in range(1, 9)]


def test_a_writer_that_was_frozen_in_its_transaction_is_fenced(make_store: Maker) -> None:
    clock = TurnedClock()
    frozen = pruned_past(make_store(), clock)
    lease = frozen.writer()
    lease.__enter__().execute("INSERT INTO t VALUES('stale')")
    overtake(make_store())
    clock.seconds += 3 * 86400
    with pytest.raises(Fenced):
        lease.__exit__(None, None, None)
    tell(frozen, "INSERT INTO t VALUES(8)")
    assert ask(Database(make_store()), "SELECT a FROM t") == [(number,) for number in range(1, 9)]


def test_a_writer_looks_first_if_its_view_may_be_old() -> None:
    store, clock = CountingStore(memory_store()), TurnedClock()
    one = Database(store, clock=clock, stale_after=10)
    tell(one, "CREATE TABLE t(a)")
    tell(Database(store.inner, clock=clock), "INSERT INTO t VALUES('other')")
    clock.seconds += 11
    store.reset()
    tell(one, "INSERT INTO t VALUES('one')")
    assert store.requests == {"get_range": 2, "put_new": 1}
    assert ask(one, "SELECT a FROM t") == [("other",), ("one",)]


def test_a_long_transaction_looks_again_before_it_commits() -> None:
    store, clock = CountingStore(memory_store()), TurnedClock()
    database = Database(store, clock=clock, stale_after=10)
    with database.writer() as connection:
        connection.execute("CREATE TABLE t(a)")
        clock.seconds += 11
        store.reset()
    assert store.requests == {"get_range": 1, "put_new": 1}


def test_an_idle_writer_commits_with_one_request() -> None:
    store = CountingStore(memory_store())
    database = Database(store)
    tell(database, "CREATE TABLE t(a)")
    for number in range(5):
        store.reset()
        tell(database, f"INSERT INTO t VALUES({number})")
        assert store.requests == {"put_new": 1}
