"""Attempts that must not wait: they give up where the store would be asked, and leave no trace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lamdb.storage import Database, NoWaiting, WouldWait


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """Opened anew, so that no page is in memory but those that opening reads."""
    url = f"file://{tmp_path}/store"
    with Database.open(url) as writer, writer.writer() as connection:
        connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text)")
        connection.execute(
            "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 5000)"
            " INSERT INTO t SELECT n, hex(randomblob(100)) FROM s"
        )
    with Database.open(url) as opened:
        yield opened


def count(database: Database) -> int:
    with database.reader() as connection:
        found = connection.execute("SELECT count(*) FROM t").get
        assert isinstance(found, int)
        return found


def test_a_read_gives_up_where_it_would_wait_and_works_afterwards(database: Database) -> None:
    with pytest.raises(WouldWait), NoWaiting():
        count(database)
    assert count(database) == 5000
    with NoWaiting():
        assert count(database) == 5000


def test_giving_up_half_way_through_the_rows(database: Database) -> None:
    with database.reader() as connection:
        connection.execute("SELECT text FROM t WHERE n < 10").fetchall()
    with pytest.raises(WouldWait), NoWaiting(), database.reader() as connection:
        connection.execute("SELECT n, text FROM t").fetchall()
    assert count(database) == 5000


def test_writing_and_refreshing_give_up_before_they_begin(database: Database) -> None:
    before = database.txid
    with pytest.raises(WouldWait), NoWaiting(), database.writer() as connection:
        connection.execute("DELETE FROM t")
    with pytest.raises(WouldWait), NoWaiting():
        database.refresh()
    with pytest.raises(WouldWait), NoWaiting(), database.reader(min_txid=before + 1):
        pass
    with database.writer() as connection:
        connection.execute("DELETE FROM t WHERE n = 1")
    assert (database.txid, count(database)) == (before + 1, 4999)


def test_waiting_is_allowed_again_after_the_block(database: Database) -> None:
    with pytest.raises(WouldWait), NoWaiting():
        database.refresh()
    assert database.refresh() == database.txid
