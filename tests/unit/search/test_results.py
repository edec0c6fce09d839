"""Results of searches that are kept: under which state and request, how many, and when they are not."""

from collections.abc import Iterator
from dataclasses import replace

import apsw
import pytest
from tests.unit.search.test_engine import DEFINITION

from lamdb.search import tables
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, Filter, HighlightRequest, SearchRequest, SearchResult
from lamdb.search.results import SearchResults
from lamdb.storage import Database, NoWaiting, WouldWait
from lamdb.storage.btrees import committed_state
from lamdb.storage.waiting import NotKept

WORD: SearchRequest = SearchRequest(
    "common", facets=(FacetRequest("category"),), highlights=(HighlightRequest("title"),)
)


def make_table(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE Product (id INTEGER PRIMARY KEY, title, body, category, price, views)")
    for statement in tables.ddl(DEFINITION):
        connection.execute(statement)


def insert(connection: apsw.Connection, count: int) -> None:
    connection.executemany(
        "INSERT INTO Product (title, body, category, price, views) VALUES (?, 'common text', 'c', 1, 1)",
        [(f"word{number}",) for number in range(count)],
    )


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:") as opened:
        with opened.writer() as connection:
            make_table(connection)
            insert(connection, 5)
        yield opened


@pytest.fixture
def results() -> SearchResults:
    return SearchResults()


@pytest.fixture
def engine(results: SearchResults) -> SearchEngine:
    return SearchEngine(DEFINITION, results=results)


def searched(database: Database, engine: SearchEngine, request: SearchRequest = WORD) -> SearchResult:
    with database.reader() as connection:
        return engine.search(connection, request)


def test_an_equal_request_gets_the_same_result(database: Database, engine: SearchEngine) -> None:
    first = searched(database, engine)
    assert first.total == 5
    assert searched(database, engine, replace(WORD)) is first
    with database.reader() as one, database.reader() as other:
        assert one is not other
        assert engine.search(one, WORD) is engine.search(other, WORD) is first


@pytest.mark.parametrize(
    "other",
    [
        replace(WORD, query="common "),
        replace(WORD, take=3),
        replace(WORD, typos=False),
        replace(WORD, facets=()),
        replace(WORD, highlights=(HighlightRequest("title", pre="<b>"),)),
        replace(WORD, filter=Filter("SELECT id FROM Product WHERE id > ?", (2,))),
        replace(WORD, refinements={"category": Filter("SELECT id FROM Product WHERE category = ?", ("c",))}),
    ],
)
def test_another_request_gets_its_own(database: Database, engine: SearchEngine, other: SearchRequest) -> None:
    first = searched(database, engine)
    assert searched(database, engine, other) is not first
    assert searched(database, engine) is first


def test_parameters_of_other_types_are_another_request(database: Database, engine: SearchEngine) -> None:
    """As text, 1 and 1.0 differ. Python finds them equal."""
    with database.writer() as connection:
        connection.execute("UPDATE Product SET category = '1' WHERE id = 1")
    found = [
        searched(
            database,
            engine,
            replace(WORD, filter=Filter("SELECT id FROM Product WHERE category = ? || ''", (value,))),
        ).total
        for value in ("1", 1, 1.0, True, b"1")
    ]
    assert found == [1, 1, 0, 1, 1]


def test_a_commit_ends_results(database: Database, engine: SearchEngine) -> None:
    assert searched(database, engine).total == 5
    with database.writer() as connection:
        insert(connection, 2)
    assert searched(database, engine).total == 7
    with database.writer() as connection:
        connection.execute("UPDATE Product SET title = 'other' WHERE id = 1")
    marked = searched(database, engine, replace(WORD, query="other"))
    assert [hit.texts for hit in marked.hits] == [("<mark>other</mark>",)]


def test_the_past_has_its_own_results(database: Database, engine: SearchEngine) -> None:
    before = database.txid
    with database.writer() as connection:
        insert(connection, 2)
    newest = searched(database, engine)
    with database.as_of(txid=before) as connection:
        past = engine.search(connection, WORD)
        assert engine.search(connection, WORD) is past
    assert (past.total, newest.total) == (5, 7)
    assert searched(database, engine) is newest


def test_databases_do_not_share_results(database: Database, engine: SearchEngine) -> None:
    first = searched(database, engine)
    with Database.open("memory:") as other:
        with other.writer() as connection:
            make_table(connection)
            insert(connection, 1)
        assert other.txid == database.txid
        assert searched(other, engine).total == 1
    assert searched(database, engine) is first


def test_a_transaction_sees_its_own_changes(
    database: Database, engine: SearchEngine, results: SearchResults
) -> None:
    searched(database, engine)
    with database.writer() as connection:
        assert committed_state(connection) is None
        assert engine.search(connection, WORD).total == 5
        insert(connection, 1)
        assert engine.search(connection, WORD).total == 6
    assert len(results) == 1
    assert searched(database, engine).total == 6


def test_recorded_reads_are_complete(database: Database, engine: SearchEngine) -> None:
    """A result from memory would have read nothing, and no change would count."""
    searched(database, engine)
    with database.watched.lease() as lease:
        assert engine.search(lease.connection, WORD).total == 5
        watch = database.watched.watch(lease.reads())
    assert not watch.has_changed()
    with database.writer() as connection:
        insert(connection, 1)
    assert watch.has_changed()


def test_results_for_one_caller_are_not_kept(
    database: Database, engine: SearchEngine, results: SearchResults
) -> None:
    with database.reader() as connection:
        first = engine.search(connection, WORD, shared=False)
        assert engine.search(connection, WORD, shared=False) is not first
    assert len(results) == 0


def test_ordinary_files_have_no_state(results: SearchResults) -> None:
    connection = apsw.Connection(":memory:")
    assert committed_state(connection) is None
    key = results.key(connection, "Product", WORD)
    results.put(key, SearchResult(1))
    assert results.get(key) is None


def test_memory_is_bounded(database: Database) -> None:
    results = SearchResults(64 * 1024)
    engine = SearchEngine(DEFINITION, results=results)
    for number in range(200):
        searched(database, engine, replace(WORD, query=f"word{number % 5} {number}"))
    assert 10 < len(results) < 64
    before = len(results)
    with database.reader() as connection:
        large = replace(WORD, query=" ".join(f"word{number}" for number in range(2000)))
        assert engine.search(connection, large) is not engine.search(connection, large)
    assert len(results) == before


def test_a_quick_attempt_gets_what_is_kept_and_computes_nothing(
    database: Database, engine: SearchEngine, results: SearchResults
) -> None:
    with database.reader() as connection:
        with pytest.raises(NotKept), NoWaiting(quick=True):
            engine.search(connection, WORD)
        assert len(results) == 0
        first = engine.search(connection, WORD)
        with NoWaiting(quick=True):
            assert engine.search(connection, WORD) is first
        # Such a result will never be kept, so that trying again is of no use.
        with pytest.raises(WouldWait) as raised, NoWaiting(quick=True):
            engine.search(connection, WORD, shared=False)
        assert not isinstance(raised.value, NotKept)
