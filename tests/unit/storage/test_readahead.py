"""Pages in memory are read without a look at the indexes of files; cold walks are still fetched ahead."""

from collections.abc import Iterator

import pytest

from lamdb.storage import Database, readahead
from lamdb.storage.pages import View

ROWS = (
    "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
    " INSERT INTO t SELECT i, hex(randomblob(300)) FROM n"
)
TOTAL = "SELECT sum(length(text)) FROM t"


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:", page_size=4096) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)")
            connection.execute(ROWS)
        yield database


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The pages that are looked up in the indexes of files."""
    found: list[int] = []
    locate = View.locate

    def noting(view: View, number: int) -> object:
        found.append(number)
        return locate(view, number)

    monkeypatch.setattr(View, "locate", noting)
    return found


def scan(database: Database) -> object:
    """By a connection that keeps no pages itself."""
    with database.reader() as connection:
        connection.execute("PRAGMA cache_size = 10")
        return connection.execute(TOTAL).get


def test_a_page_is_looked_up_once(database: Database, lookups: list[int]) -> None:
    total = scan(database)
    assert len(lookups) > 300
    lookups.clear()
    assert scan(database) == total
    assert lookups == []


def test_a_page_that_memory_dropped_is_looked_up_again(database: Database, lookups: list[int]) -> None:
    total = scan(database)
    lookups.clear()
    database._pages.fetcher.cache.clear()
    assert scan(database) == total
    assert len(lookups) > 300


def test_a_commit_is_seen(database: Database) -> None:
    scan(database)
    with database.writer() as connection:
        connection.execute("UPDATE t SET text = ''")
    assert scan(database) == 0


def test_remembered_keys_are_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = database._pages.fetcher.cache
    monkeypatch.setattr(cache, "budget", 8 * 4096)
    monkeypatch.setattr("lamdb.storage.fetch._FEWEST_KEYS", 16)
    scan(database)
    assert len(database._pages.head.keys) <= 18


def test_a_walk_into_what_is_not_in_memory_is_fetched_ahead(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk that begins in memory needs no more requests than one that begins outside of it."""
    monkeypatch.setattr(readahead, "_CALM", 16)
    fetcher = database._pages.fetcher
    fetcher.cache.clear()
    before = fetcher.requests
    scan(database)
    cold = fetcher.requests - before
    for _ in range(3):
        scan(database)
    pages = [*fetcher.cache._pages]
    for key in pages[len(pages) // 2 :]:
        fetcher.cache.size -= len(fetcher.cache._pages.pop(key))
    before = fetcher.requests
    scan(database)
    assert 0 < fetcher.requests - before <= cold
