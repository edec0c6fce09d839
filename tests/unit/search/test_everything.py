"""Searches without words in tables of more records than are examined at once."""

import dataclasses

import apsw
import pytest
from tests.unit.search.test_engine import DEFINITION, field, make

from lamdb.search import engine as engine_module
from lamdb.search.engine import SearchEngine
from lamdb.search.everything import everything
from lamdb.search.request import FacetRequest, Filter, Order, SearchRequest

ROWS = 60


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    rows = [
        (f"title {n}", "even" if n % 2 == 0 else "odd", f"c{n % 3}", n / 2, n * 7 % 50) for n in range(ROWS)
    ]
    return make(DEFINITION, rows)


@pytest.fixture(autouse=True)
def few_scanned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "SCANNED", 10)


def expected(connection: apsw.Connection, order: str, where: str = "1") -> list[int]:
    return [n for (n,) in connection.execute(f"SELECT id FROM Product WHERE {where} ORDER BY {order}, id")]


@pytest.mark.parametrize(
    ("request_", "order", "where"),
    [
        (SearchRequest(""), "views DESC", "1"),
        (SearchRequest("  …  "), "views DESC", "1"),
        (SearchRequest("", order=(Order("price", descending=True),)), "price DESC", "1"),
        (
            SearchRequest("", order=(Order("category"), Order("price", descending=True))),
            "category, price DESC",
            "1",
        ),
        (SearchRequest("-odd"), "views DESC", "body = 'even'"),
        (
            SearchRequest("", filter=Filter("SELECT id FROM Product WHERE price > ?", (20,))),
            "views DESC",
            "price > 20",
        ),
        (
            SearchRequest(
                "-even",
                refinements={"category": Filter("SELECT id FROM Product WHERE category = ?", ("c1",))},
                order=(Order("price"),),
            ),
            "price",
            "category = 'c1' AND body = 'odd'",
        ),
    ],
)
def test_all_records_are_ordered(
    connection: apsw.Connection, request_: SearchRequest, order: str, where: str
) -> None:
    found: list[int] = []
    wanted = expected(connection, order, where)
    for skip in range(0, ROWS + 7, 7):
        result = SearchEngine(DEFINITION).search(connection, dataclasses.replace(request_, take=7, skip=skip))
        assert result.total == len(wanted)
        found += [hit.rowid for hit in result.hits]
    assert found == wanted


def test_facets_are_counted_too(connection: apsw.Connection) -> None:
    result = SearchEngine(DEFINITION).search(
        connection, SearchRequest("", facets=(FacetRequest("category"),), take=2)
    )
    assert len(result.facets[0].values) == 3
    assert (result.total, len(result.hits)) == (ROWS, 2)


def test_the_page_is_read_by_an_index(connection: apsw.Connection) -> None:
    connection.execute("CREATE INDEX by_views ON Product (views)")
    plans: list[str] = []

    def trace(cursor: apsw.Cursor, sql: str, bindings: object) -> bool:
        if sql.startswith("SELECT t."):
            plans.extend(row[3] for row in connection.cursor().execute(f"EXPLAIN QUERY PLAN {sql}", bindings))
        return True

    connection.exec_trace = trace
    everything(connection, DEFINITION, SearchRequest(""), "", 5)
    connection.exec_trace = None
    assert any("by_views" in plan for plan in plans)


def test_a_model_without_rank_is_in_the_order_of_its_ids(connection: apsw.Connection) -> None:
    plain = dataclasses.replace(DEFINITION, rank=(), fields=(field("title", 1.0), field("body", 1.0)))
    found = SearchEngine(plain).search(connection, SearchRequest("", take=3, skip=2))
    assert [hit.rowid for hit in found.hits] == [3, 4, 5]
