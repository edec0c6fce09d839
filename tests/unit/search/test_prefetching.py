"""A first search over a store: the same answers, with fewer waits."""

from contextlib import closing
from pathlib import Path

import apsw
import pytest
from tests.unit.search.test_engine import DEFINITION

from lamdb.search import prefetching, tables, vocabulary
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, HighlightRequest, SearchRequest
from lamdb.search.statistics import SearchIndex
from lamdb.storage import Database
from lamdb.storage.backup.importing import import_file

REQUESTS = [
    SearchRequest(text, facets=(FacetRequest("category"),), highlights=(HighlightRequest("title"),))
    for text in ("word7 common", "wrod77 ", "wo", '"common text" -word9', "", "nothing found here")
]


def fill(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE Product (id INTEGER PRIMARY KEY, title, body, category, price, views)")
    connection.executemany(
        "INSERT INTO Product (title, body, category, price, views) VALUES (?, ?, ?, ?, ?)",
        [
            (f"word{n % 90} title", f"common text {n} {'x' * (n % 200)}", f"c{n % 7}", n, n * 7 % 1000)
            for n in range(3000)
        ],
    )
    for statement in tables.ddl(DEFINITION):
        connection.execute(statement)
    vocabulary.rebuild(connection, SearchIndex.of(DEFINITION))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"file://{tmp_path_factory.mktemp('search')}"
    with Database.open(url, page_size=512) as database, database.writer() as connection:
        fill(connection)
    return url


@pytest.mark.parametrize("request_", REQUESTS, ids=lambda request: request.query)
def test_the_answer_is_the_same(store: str, request_: SearchRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = SearchEngine(DEFINITION)
    with Database.open(store) as database, database.reader() as connection:
        first = engine.search(connection, request_)
        again = engine.search(connection, request_)
    monkeypatch.setattr(prefetching, "prefetcher", lambda connection: None)
    with Database.open(store) as database, database.reader() as connection:
        without = SearchEngine(DEFINITION).search(connection, request_)
    assert first == again == without


def test_pages_are_fetched_together(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def requests() -> int:
        with Database.open(store) as database, database.reader() as connection:
            SearchEngine(DEFINITION).search(connection, REQUESTS[0])
            return database._pages.fetcher.requests

    together = requests()
    monkeypatch.setattr(prefetching, "prefetcher", lambda connection: None)
    assert together < requests()


@pytest.mark.parametrize("text", ["wrod77 commno", "commno txet", "commontext wrod77 ", "wrod7 comm"])
def test_corrections_of_all_words_are_fetched_together(
    store: str, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    announced: list[set[str]] = []
    words = prefetching.ColdSearch.words

    def recorded(self: prefetching.ColdSearch, found: list[str], *, prefix: bool) -> None:
        announced.append(set(found))
        words(self, found, prefix=prefix)

    monkeypatch.setattr(prefetching.ColdSearch, "words", recorded)
    with Database.open(store) as database, database.reader() as connection:
        SearchEngine(DEFINITION).search(connection, SearchRequest(text))
    # First the words as they were typed, then all that they may stand for.
    assert len(announced) == 2
    assert {"common", "text", "word7", "word77"} & announced[1]


def test_a_vocabulary_that_lies_near_takes_no_request(tmp_path: Path) -> None:
    with closing(apsw.Connection(str(tmp_path / "file.db"))) as connection:
        connection.execute("PRAGMA page_size = 512; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")
        fill(connection)
    url = f"file://{tmp_path / 'store'}"
    with Database.open(url) as database:
        import_file(database, tmp_path / "file.db", tmp_path)
    with Database.open(url) as database, database.reader() as connection:
        pages = prefetching.prefetcher(connection)
        assert pages is not None
        prefetching.ColdSearch(DEFINITION, connection, pages).index(side=True)
        before = pages.requests
        assert connection.execute("SELECT length(words) > 0 FROM _lamdb_search_words").get
        connection.execute("SELECT words FROM _lamdb_search_words").fetchall()
        assert pages.requests == before


def test_a_warm_engine_prefetches_nothing(store: str) -> None:
    engine = SearchEngine(DEFINITION)
    with Database.open(store) as database, database.reader() as connection:
        for _ in range(2):
            engine.search(connection, REQUESTS[0], shared=False)
        with engine.prefetching.of(connection) as cold:
            assert cold is None


def test_changed_and_merged_indexes(tmp_path: Path) -> None:
    """Several segments, and an index that was never filled."""
    with Database.open(f"file://{tmp_path}") as database:
        with database.writer() as connection:
            connection.execute(
                "CREATE TABLE Product (id INTEGER PRIMARY KEY, title, body, category, price, views)"
            )
            for statement in tables.ddl(DEFINITION):
                connection.execute(statement)
        for number in range(5):
            with database.writer() as connection:
                connection.execute("INSERT INTO Product (title) VALUES (?)", (f"word{number} thing",))
    with Database.open(f"file://{tmp_path}") as database, database.reader() as connection:
        assert SearchEngine(DEFINITION).search(connection, SearchRequest("thing")).total == 5
        assert SearchEngine(DEFINITION).search(connection, SearchRequest("word3")).total == 1
