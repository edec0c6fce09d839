"""Prefetching of b-trees: what was fetched before is not asked for again, and nothing else changes."""

import random
from pathlib import Path

import apsw
import pytest

from lamdb.storage import Database
from lamdb.storage.btrees import Prefetcher, prefetcher

ROWS = 6_000


@pytest.fixture(scope="module", params=[512, 4096])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"file://{tmp_path_factory.mktemp('btrees')}"
    chance = random.Random(4)
    with Database.open(url, page_size=request.param) as database, database.writer() as connection:
        connection.execute(
            "CREATE TABLE other (x); CREATE TABLE t (id INTEGER PRIMARY KEY, text);"
            "CREATE TABLE w (a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE INDEX i ON t (text)"
        )
        for number in chance.sample(range(-ROWS, ROWS * 1000, 1000), ROWS):
            connection.execute("INSERT INTO t VALUES (?, ?)", (number, f"{chance.random()} text"))
            connection.execute("INSERT INTO w VALUES (?, ?)", (f"{number} a", number))
            connection.execute("INSERT INTO other VALUES (zeroblob(100))")
    return url


def roots(connection: apsw.Connection) -> dict[str, int]:
    return dict(connection.execute("SELECT name, rootpage FROM sqlite_schema"))


def of(connection: apsw.Connection) -> Prefetcher:
    found = prefetcher(connection)
    assert found is not None
    return found


def pages_of(store: str, tree: str) -> dict[str, list[int]]:
    """The numbers of a tree's pages by their kind."""
    with Database.open(store) as database, database.reader() as connection:
        found: dict[str, list[int]] = {"leaf": [], "internal": []}
        for kind, number in connection.execute("SELECT pagetype, pageno FROM dbstat WHERE name = ?", (tree,)):
            found[kind].append(number)
    return found


def missing(pages: Prefetcher, numbers: list[int]) -> int:
    return sum(map(pages._is_missing, numbers))


@pytest.mark.parametrize("tree", ["t", "w", "i"])
def test_whole_trees(store: str, tree: str) -> None:
    numbers = pages_of(store, tree)
    with Database.open(store) as database, database.reader() as connection:
        pages = of(connection)
        assert missing(pages, numbers["leaf"]) > len(numbers["leaf"]) / 2
        pages.trees([roots(connection)[tree]])
        assert missing(pages, numbers["leaf"] + numbers["internal"]) == 0
        requests = pages.requests
        pages.trees([roots(connection)[tree]])
        assert pages.requests == requests


def read_rows(connection: apsw.Connection, ids: list[int]) -> int:
    """Reads rows one by one; how many requests that took."""
    before = of(connection).requests
    for number in ids:
        assert connection.execute("SELECT length(text) FROM t WHERE id = ?", (number,)).get > 0
    return of(connection).requests - before


def test_rows(store: str) -> None:
    with Database.open(store) as database, database.reader() as connection:
        ids = [number for (number,) in connection.execute("SELECT id FROM t ORDER BY random() LIMIT 30")]
    with Database.open(store) as database, database.reader() as connection:
        without = read_rows(connection, ids)
    with Database.open(store) as database, database.reader() as connection:
        of(connection).rows(roots(connection)["t"], [*ids, -(10**12), 10**12])
        # What is left is what the page cache reads ahead.
        assert read_rows(connection, ids) < without / 3


def test_only_the_pages_near_the_root(store: str) -> None:
    numbers = pages_of(store, "other")
    with Database.open(store) as database, database.reader() as connection:
        pages = of(connection)
        pages.trees([], [roots(connection)["other"]])
        assert missing(pages, numbers["internal"]) < max(1, len(numbers["internal"]))
        assert missing(pages, numbers["leaf"]) > len(numbers["leaf"]) / 3


def test_pages_far_apart_take_few_requests(store: str) -> None:
    with Database.open(store) as database, database.reader() as connection:
        pages = of(connection)
        wanted = list(range(2, database._pages.head.commit, 23))
        before = pages.requests
        pages.pages(wanted)
        assert missing(pages, wanted) == 0
        assert pages.requests - before < len(wanted) / 3
        # What lies between was read, but not kept.
        between = [number for number in range(2, wanted[-1]) if number not in wanted]
        assert missing(pages, between) > len(between) / 2


def test_pages_along_take_no_request_of_their_own(store: str) -> None:
    with Database.open(store) as database, database.reader() as connection:
        pages = of(connection)
        last = database._pages.head.commit
        first = next(n for n in range(last // 3, last) if missing(pages, list(range(n, n + 12))) == 12)
        before = pages.requests
        pages.pages([], along=[first])
        assert (pages.requests, missing(pages, [first])) == (before, 1)
        pages.pages([first], along=[first + 9, first + 8, last + 1, last + 1_000_000])
        assert pages.requests == before + 1
        assert missing(pages, [first, first + 1, first + 8, first + 9]) == 0
        assert missing(pages, [first + 5, first + 6]) == 2
        # Those that are far from all that are wanted are left.
        far = [number for number in range(first + 400, last) if missing(pages, [number])]
        if far and pages._gap(first, far[-1]) > 100_000:
            pages.pages([first + 5], along=far[-1:])
            assert missing(pages, far[-1:]) == 1


def test_bounds(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with Database.open(store, cache_bytes=64 * 1024) as database, database.reader() as connection:
        of(connection).trees([roots(connection)["t"]])
        assert database._pages.fetcher.cache.size <= 64 * 1024 * 1.1
        assert connection.execute("SELECT count(*) FROM t").get == ROWS


def test_ordinary_files_have_none(tmp_path: Path) -> None:
    assert prefetcher(apsw.Connection(str(tmp_path / "x.db"))) is None
