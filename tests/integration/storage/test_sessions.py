"""States that sessions have seen, and connections for trying statements out."""

import apsw
import pytest

from lamdb.storage import Database
from lamdb.storage.sessions import IdleScratches, RecentViews, Scratch
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore


@pytest.fixture
def store() -> CountingStore:
    return CountingStore(memory_store())


def write(database: Database, value: int) -> None:
    with database.writer() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (value)")
        connection.execute("INSERT INTO t VALUES (?)", (value,))


def values(database: Database, views: RecentViews, txid: int, idle: IdleScratches | None = None) -> list[int]:
    with Scratch(database, views.get(txid), idle) as connection:
        return [value for (value,) in connection.execute("SELECT value FROM t")]


@pytest.mark.parametrize("pooled", [False, True])
def test_states_that_were_passed_take_no_request(store: CountingStore, pooled: bool) -> None:
    idle = IdleScratches() if pooled else None
    with Database(store) as writer, Database(store) as reader:
        write(writer, 1)
        reader.refresh()
        views = RecentViews(reader, most=4)
        assert values(reader, views, 1, idle) == [1]
        for value in range(2, 7):
            write(writer, value)
            reader.refresh()
        store.reset()
        for txid in (6, 3, 5, 4):
            assert values(reader, views, txid, idle) == list(range(1, txid + 1))
        assert not store.requests
        # Those before are put together from the store.
        assert values(reader, RecentViews(reader), 2, idle) == [1, 2]
        assert store.requests
        if idle is not None:
            idle.close()


def test_what_was_tried_out_leaves_nothing_behind(store: CountingStore) -> None:
    idle = IdleScratches()
    with Database(store) as database:
        write(database, 1)
        views = RecentViews(database)
        for _ in range(3):
            with Scratch(database, views.newest(), idle) as connection:
                connection.authorizer = lambda *_: apsw.SQLITE_OK
                connection.execute("INSERT INTO t VALUES (9); CREATE TABLE other (a)")
                with pytest.raises(apsw.ConstraintError):
                    connection.execute("COMMIT")
            with Scratch(database, views.newest(), idle) as connection:
                assert connection.authorizer is None
                assert connection.execute("SELECT value FROM t").fetchall() == [(1,)]
                assert connection.execute("SELECT count(*) FROM sqlite_schema").get == 1
        assert values(database, views, 1) == [1]
        idle.close()


def test_no_more_connections_are_kept_than_allowed(store: CountingStore) -> None:
    idle = IdleScratches(most=1)
    with Database(store) as database:
        write(database, 1)
        view = RecentViews(database).newest()
        with Scratch(database, view, idle) as first, Scratch(database, view, idle) as second:
            assert first is not second
        kept = idle.take()
        assert kept is not None
        assert idle.take() is None
        kept.close()
