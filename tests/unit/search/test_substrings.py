"""Searching text without spaces: parts of three characters by the index, shorter ones by looking."""

import dataclasses

import apsw
import pytest
from tests.unit.search.test_engine import DEFINITION, make, titles

from lamdb.search.definition import Language
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, Filter, Match, SearchRequest

CJK = dataclasses.replace(DEFINITION, language=Language.CJK)
PRODUCTS = [
    ("東京都庁", "東京の観光ガイドです。", "travel", 1.0, 5),
    ("京都の寺", "古い寺と庭。", "travel", 2.0, 50),
    ("コーヒー豆", "Freshly roasted coffee, 100% Arabica_beans", "food", 3.0, 7),
    ("中华人民共和国", "上海和北京", "travel", 4.0, 1),
    ("서울 여행", "한국어 안내", "travel", 5.0, 2),
    ("Café noir", "crème & C", "food", 6.0, 3),
]


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    return make(CJK, PRODUCTS)


@pytest.fixture(scope="module")
def engine() -> SearchEngine:
    return SearchEngine(CJK)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("東京都", {"東京都庁"}),
        ("東京", {"東京都庁"}),
        ("京", {"東京都庁", "京都の寺", "中华人民共和国"}),
        ("京都", {"東京都庁", "京都の寺"}),
        ("コーヒー", {"コーヒー豆"}),
        ("人民共和", {"中华人民共和国"}),
        ("北京 人民共和", {"中华人民共和国"}),
        ("上海 北京", {"中华人民共和国"}),
        ("京 -東京", {"京都の寺", "中华人民共和国"}),
        ("観光ガ -北京", {"東京都庁"}),
        ("-京", {"コーヒー豆", "서울 여행", "Café noir"}),
        ('"観光ガイド"', {"東京都庁"}),
        ("서울", {"서울 여행"}),
        ("한국어", {"서울 여행"}),
        ("coffee", {"コーヒー豆"}),
        ("COFF", {"コーヒー豆"}),
        ("cafe", {"Café noir"}),
        ("Café", {"Café noir"}),
        ("100%", {"コーヒー豆"}),
        ("%", {title for title, *_ in PRODUCTS}),
        ("zz", set()),
        ("coffee OR 中华人", {"コーヒー豆", "中华人民共和国"}),
    ],
)
def test_finds(connection: apsw.Connection, engine: SearchEngine, query: str, found: set[str]) -> None:
    result = engine.search(connection, SearchRequest(query, match=Match.ALL))
    assert set(titles(connection, result)) == found
    assert result.total == len(found)


def test_a_long_word_is_found_by_its_parts(connection: apsw.Connection, engine: SearchEngine) -> None:
    result = engine.search(connection, SearchRequest("東京観光ガイドブック"))
    assert titles(connection, result)[0] == "東京都庁"


def test_latin_words_are_corrected(connection: apsw.Connection, engine: SearchEngine) -> None:
    result = engine.search(connection, SearchRequest("roastde coffee"))
    assert titles(connection, result) == ["コーヒー豆"]
    assert result.corrected_query == "roasted coffee"


def test_short_words_with_filters_and_fields(connection: apsw.Connection, engine: SearchEngine) -> None:
    dear = Filter("SELECT id FROM Product WHERE price > ?", (1.5,))
    request = SearchRequest("京", filter=dear, facets=(FacetRequest("category"),))
    result = engine.search(connection, request)
    assert set(titles(connection, result)) == {"京都の寺", "中华人民共和国"}
    assert result.facets[0].values == (("travel", 2),)
    in_title = engine.search(connection, SearchRequest("京", columns=("title",)))
    assert set(titles(connection, in_title)) == {"東京都庁", "京都の寺"}
    both = engine.search(connection, SearchRequest("京 人民共和", columns=("body",), match=Match.ALL))
    assert both.total == 0
