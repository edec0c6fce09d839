"""The ways to rank few, many and very many matches: which one is taken changes nothing but the time."""

import dataclasses
import random
from typing import Any

import apsw
import pytest

from lamdb.search import engine as engine_module
from lamdb.search import tables, upkeep
from lamdb.search.definition import (
    ColumnSource,
    Facet,
    FacetKind,
    Language,
    Rank,
    SearchDefinition,
    SearchField,
)
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, Filter, HighlightRequest, Match, SearchRequest, SearchResult

DEFINITION = SearchDefinition(
    model="Page",
    table="Page",
    rowid="id",
    index="Page_search",
    fields=(
        SearchField(("title",), "title", 4.0, ColumnSource("title")),
        SearchField(("body",), "body", 1.0, ColumnSource("body")),
    ),
    uniques=(("id",),),
    facets=(Facet("kind", "kind", FacetKind.TEXT, ColumnSource("kind")),),
    rank=(Rank("views", "views", descending=True, source=ColumnSource("views")),),
    language=Language.EN,
)
WORDS = ["river", "rivers", "bank", "money", "boat", "bridge", "harbour", "water", "winter", "wonder"]
PAGES = 2_000


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    draw = random.Random(5)
    made = apsw.Connection(":memory:")
    made.execute("CREATE TABLE Page (id INTEGER PRIMARY KEY, title, body, kind, views)")
    for statement in tables.ddl(DEFINITION):
        made.execute(statement)

    def text(most: int) -> str:
        # Words at the begin of the list are in most pages, those at its end in few.
        return " ".join(WORDS[int(len(WORDS) * draw.random() ** 6)] for _ in range(draw.randint(1, most)))

    rows = [(text(2), text(4), draw.choice("abc"), draw.randrange(5)) for _ in range(PAGES)]
    with made:
        made.executemany("INSERT INTO Page (title, body, kind, views) VALUES (?, ?, ?, ?)", rows)
    upkeep.settle(made)
    return made


def searched(connection: apsw.Connection, request: SearchRequest) -> SearchResult:
    return SearchEngine(DEFINITION).search(connection, request)


FACETS = (FacetRequest("kind"),)
QUERIES = [
    "river", "wonder", "river bank", "winter wonder", "wonder harbour money ", "wondr", "riv", "w", "wi",
    "boat -river", '"river bank"', "bridge OR wonder", "watre wintr", "money boat bridge harbour wonder",
]  # fmt: skip


@pytest.mark.parametrize("query", QUERIES)
def test_few_matches_are_ranked_as_by_fts5(
    connection: apsw.Connection, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the short cut, FTS5 ranks all, of which the first hundred are ordered by their scores."""
    highlights = (HighlightRequest("title"), HighlightRequest("body", words=5))
    requests = [
        SearchRequest(query, facets=FACETS, highlights=highlights, match=match) for match in Match
    ] + [SearchRequest(query, filter=Filter("SELECT id FROM Page WHERE id % 7 = 0"), take=100)]
    found = [searched(connection, request) for request in requests]
    assert found[0].hits
    monkeypatch.setattr(engine_module._Search, "_score_few", lambda *_: None)
    assert [searched(connection, request) for request in requests] == found


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("many", [True, False])
def test_a_wrong_guess_changes_nothing(
    connection: apsw.Connection, query: str, many: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = SearchRequest(query, facets=FACETS)
    found = searched(connection, request)
    monkeypatch.setattr(engine_module._Search, "_are_many", lambda *_: many)
    assert searched(connection, request) == found


@pytest.mark.parametrize("query", ["river", "riv", "river OR bank", "w", "river -wonder"])
@pytest.mark.parametrize("take", [10, 150, 1_000])
def test_very_many_matches_are_ranked_in_the_best_fields(
    connection: apsw.Connection, query: str, take: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the best fields have hits enough, the others need not be sorted."""
    monkeypatch.setattr(engine_module, "_RANKED", 300)
    requests = [SearchRequest(query, take=take), SearchRequest(query, take=take, facets=FACETS)]
    found = [searched(connection, request) for request in requests]
    monkeypatch.setattr(engine_module._Search, "_is_restricted", True)
    assert [searched(connection, request).hits for request in requests] == [each.hits for each in found]
    assert searched(connection, requests[1]).facets == found[1].facets
    assert {each.total for each in found} == {searched(connection, requests[0]).total}
    assert found[0].total > 300


@pytest.mark.parametrize("query", ["winter wonder", "winter money", "boat -river", "river"])
def test_distinct_keeps_the_best_of_each_value(connection: apsw.Connection, query: str) -> None:
    engine = SearchEngine(dataclasses.replace(DEFINITION, rank=()))
    every = engine.search(connection, SearchRequest(query, match=Match.ALL, take=1_000))
    assert every.total <= 100 or query == "river"
    kinds = dict(connection.execute("SELECT id, kind FROM Page").fetchall())
    chosen = engine.search(connection, SearchRequest(query, match=Match.ALL, distinct="kind"))
    best: dict[Any, int] = {}
    for hit in every.hits:
        best.setdefault(kinds[hit.rowid], hit.rowid)
    found = {kinds[hit.rowid]: hit.rowid for hit in chosen.hits}
    assert found.keys() == best.keys()
    if every.total <= 100:
        assert found == best
