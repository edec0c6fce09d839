"""The search engine: what it finds, in which order, with which numbers."""

import dataclasses
import random

import apsw
import pytest

from lamdb.errors import SearchInvalid
from lamdb.search import tables, vocabulary
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
from lamdb.search.request import (
    FacetRequest,
    Filter,
    HighlightRequest,
    Match,
    Mode,
    Order,
    SearchRequest,
    SearchResult,
)
from lamdb.search.statistics import SearchIndex


def field(name: str, weight: float) -> SearchField:
    return SearchField((name,), name, weight, ColumnSource(name))


DEFINITION = SearchDefinition(
    model="Product",
    table="Product",
    rowid="id",
    index="Product_search",
    fields=(field("title", 4.0), field("body", 1.0)),
    uniques=(("id",),),
    facets=(
        Facet("category", "category", FacetKind.TEXT, ColumnSource("category")),
        Facet("price", "price", FacetKind.NUMBER, ColumnSource("price")),
    ),
    rank=(Rank("views", "views", descending=True, source=ColumnSource("views")),),
    language=Language.EN,
)

PRODUCTS = [
    ("Terminal emulator", "A window for the shell, with tabs.", "tools", 10.0, 5),
    ("Spell checker", "Finds wrong words in documents and in the terminal.", "text", 20.0, 50),
    ("Text editor", "Edits documents. Has a spell checker and <b>bold</b> & fast search.", "text", 30.0, 500),
    ("Image viewer", "Shows pictures in a window.", "graphics", 5.0, 7),
    ("Café finder", "Finds cafés near you.", "travel", 3.0, 1),
    ("Photo editor", "Edits pictures and photos.", "graphics", 99.5, 90),
    ("Library of colours", "Names of colours, for libraries.", "graphics", 1.0, 0),
    ("Emulator of old games", "Runs the games of yesterday.", "games", 12.0, 70),
]


def make(definition: SearchDefinition, products: list[tuple[str, str, str, float, int]]) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE Product (id INTEGER PRIMARY KEY, title, body, category, price, views)")
    for statement in tables.ddl(definition):
        connection.execute(statement)
    with connection:
        connection.executemany(
            "INSERT INTO Product (title, body, category, price, views) VALUES (?, ?, ?, ?, ?)", products
        )
    return connection


@pytest.fixture(scope="module")
def connection() -> apsw.Connection:
    return make(DEFINITION, PRODUCTS)


@pytest.fixture(scope="module")
def engine() -> SearchEngine:
    return SearchEngine(DEFINITION)


def titles(connection: apsw.Connection, result: SearchResult) -> list[str]:
    names = dict(connection.execute("SELECT id, title FROM Product"))
    return [names[hit.rowid] for hit in result.hits]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("terminal emulator", {"Terminal emulator"}),
        ("editing document", {"Text editor"}),
        ("cafe", {"Café finder"}),
        ("CAFÉS", {"Café finder"}),
        ('"spell checker"', {"Spell checker", "Text editor"}),
        ('"checker spell"', set()),
        ("window -terminal", {"Image viewer"}),
        ("editor -photo", {"Text editor"}),
        ('editor -"spell checker"', {"Photo editor"}),
        ("photo OR cafe", {"Photo editor", "Café finder"}),
        ("spell & checker | cafe", {"Spell checker", "Text editor", "Café finder"}),
        ("emul*", {"Terminal emulator", "Emulator of old games"}),
        ("-editor", {title for title, *_ in PRODUCTS if "editor" not in title}),
        ("", {title for title, *_ in PRODUCTS}),
        ("zzzzzz", set()),
    ],
)
def test_finds(connection: apsw.Connection, engine: SearchEngine, query: str, found: set[str]) -> None:
    result = engine.search(connection, SearchRequest(query, match=Match.ALL))
    assert set(titles(connection, result)) == found
    assert result.total == len(found)


@pytest.mark.parametrize(
    ("query", "first", "corrected"),
    [
        ("terminl emulatr", "Terminal emulator", "terminal emulator"),
        ("spel chekcer", "Spell checker", "spell checker"),
        ("viewerr", "Image viewer", "viewer"),
        ("pcitures", "Photo editor", "pictures"),
        ("spellchecker", "Spell checker", "spell checker"),
        ("Thé  emulatro,", "Terminal emulator", "Thé  emulator,"),
    ],
)
def test_corrects(
    connection: apsw.Connection, engine: SearchEngine, query: str, first: str, corrected: str
) -> None:
    result = engine.search(connection, SearchRequest(query + " "))
    assert first in titles(connection, result)
    assert result.corrected_query == corrected + " "
    assert engine.search(connection, SearchRequest(query + " ", typos=False)).corrected_query is None


@pytest.mark.parametrize("query", ['"emulatr"', "viewerr*x", "cat", "zzzzz"])
def test_leaves_alone(connection: apsw.Connection, engine: SearchEngine, query: str) -> None:
    result = engine.search(connection, SearchRequest(query, match=Match.ALL))
    assert (result.total, result.corrected_query) == (0, None)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("termi", "Terminal emulator"),
        ("terminal emu", "Terminal emulator"),
        ("temrinal em", "Terminal emulator"),
        ("trmin", "Terminal emulator"),
        ("photo e", "Photo editor"),
        ("te", "Text editor"),
        ("caf", "Café finder"),
    ],
)
def test_as_you_type(connection: apsw.Connection, engine: SearchEngine, query: str, first: str) -> None:
    assert first in titles(connection, engine.search(connection, SearchRequest(query)))[:2]


def test_an_unfinished_word_is_whole_when_something_follows(
    connection: apsw.Connection, engine: SearchEngine
) -> None:
    for request in (SearchRequest("termi "), SearchRequest("termi", prefix=False)):
        assert engine.search(connection, dataclasses.replace(request, typos=False)).total == 0


def test_fewer_words_when_all_find_little(connection: apsw.Connection, engine: SearchEngine) -> None:
    result = engine.search(connection, SearchRequest("photo editor zzzzz", typos=False))
    assert titles(connection, result)[0] == "Photo editor"
    rarest = engine.search(connection, SearchRequest("qqqq photo zzzz yyyy", typos=False))
    assert titles(connection, rarest) == ["Photo editor"]
    assert engine.search(connection, SearchRequest("photo zzzzz", match=Match.ALL)).total == 0
    either = engine.search(connection, SearchRequest("photo cafe", match=Match.ANY))
    assert set(titles(connection, either)) == {"Photo editor", "Café finder"}


def test_a_question_finds_what_has_most_of_its_words() -> None:
    """Two rare words that stand alone do not hide a record with many words that are less rare."""
    kinds = ("red wool", "winter coat", "red coat", "wool children", "winter children")
    products = [(f"{kind} {number}", "", "", 0.0, 0) for number, kind in enumerate(kinds * 6)]
    products += [("zebra", "", "", 0.0, 0), ("quokka", "", "", 0.0, 0)]
    products.append(("Red coats of wool for children in winter", "", "", 0.0, 0))
    connection = make(DEFINITION, products)
    question = "do zebra and quokka like a red winter coat of wool, and do their children"
    found = SearchEngine(DEFINITION).search(connection, SearchRequest(question))
    assert titles(connection, found)[0] == products[-1][0]
    assert {"zebra", "quokka"} <= set(titles(connection, found))
    assert found.total == len(products)


def test_records_with_both_words_come_first() -> None:
    """However important one with a single word is, and however well this word fits."""
    airports = [(f"Field {number}", "Elsewhere", "", 0.0, 0) for number in range(60)]
    airports += [("San Diego", "San Diego", "", 0.0, 900), ("San Remo", "San Remo", "", 0.0, 800)]
    airports += [("Juan Santamaria", "San Jose", "", 0.0, 5), ("Norman Mineta", "San Jose", "", 0.0, 20)]
    connection = make(DEFINITION, airports)
    found = SearchEngine(DEFINITION).search(connection, SearchRequest("san jose"))
    assert titles(connection, found) == ["Norman Mineta", "Juan Santamaria", "San Diego", "San Remo"]
    assert found.total == 4


def test_words_that_do_not_occur_are_left_out(connection: apsw.Connection, engine: SearchEngine) -> None:
    unknown = " ".join(f"qqzz{number}x" for number in range(20))
    found = engine.search(connection, SearchRequest(f"{unknown} spell checker terminal", typos=False))
    assert titles(connection, found)[0] == "Spell checker"
    assert engine.search(connection, SearchRequest(unknown, typos=False)).total == 0


def test_common_words_of_long_queries_are_not_looked_for(
    connection: apsw.Connection, engine: SearchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "cafe games photo and of in the"
    assert engine.search(connection, SearchRequest(text)).total == len(PRODUCTS)
    monkeypatch.setattr("lamdb.search.engine._ANY_MATCHES", 4)
    fewer = engine.search(connection, SearchRequest(text))
    assert set(titles(connection, fewer)) == {"Café finder", "Photo editor", "Emulator of old games"}


def test_titles_and_the_signal_come_first(connection: apsw.Connection, engine: SearchEngine) -> None:
    assert titles(connection, engine.search(connection, SearchRequest("spell checker")))[0] == "Spell checker"
    # Two titles that fit equally well: the one with more views.
    assert titles(connection, engine.search(connection, SearchRequest("editor"))) == [
        "Text editor",
        "Photo editor",
    ]


def test_facets_and_refinements(connection: apsw.Connection, engine: SearchEngine) -> None:
    graphics = Filter("SELECT id FROM Product WHERE category = ?", ("graphics",))
    request = SearchRequest(
        "edit* OR window",
        refinements={"category": graphics},
        facets=(
            FacetRequest("category", disjunctive=True),
            FacetRequest("price", take=1),
            FacetRequest("category"),
        ),
    )
    result = engine.search(connection, request)
    assert result.total == 2
    disjunctive, price, conjunctive = result.facets
    assert disjunctive.values == (("graphics", 2), ("text", 1), ("tools", 1))
    assert conjunctive.values == (("graphics", 2),)
    assert (price.minimum, price.maximum, len(price.values)) == (5.0, 99.5, 1)


@pytest.mark.parametrize("query", ["", "edit* OR window", "edit* OR window -zzz"])
def test_filters(connection: apsw.Connection, engine: SearchEngine, query: str) -> None:
    cheap = Filter("SELECT id FROM Product WHERE price < ? AND id > ?", (50, 0))
    request = SearchRequest(query, filter=cheap, facets=(FacetRequest("category"),))
    result = engine.search(connection, request)
    prices = dict(connection.execute("SELECT id, price FROM Product"))
    assert result.total == len(result.hits) > 0
    assert all(prices[hit.rowid] < 50 for hit in result.hits)
    assert sum(count for _, count in result.facets[0].values) == result.total


@pytest.mark.parametrize("descending", [True, False])
def test_distinct_without_words_takes_what_the_rank_puts_first(descending: bool) -> None:
    rank = dataclasses.replace(DEFINITION.rank[0], descending=descending)
    connection = make(dataclasses.replace(DEFINITION, rank=(rank,)), PRODUCTS)
    found = SearchEngine(dataclasses.replace(DEFINITION, rank=(rank,))).search(
        connection, SearchRequest("", distinct="category")
    )
    best: dict[str, tuple[int, int]] = {}
    for number, (_, _, category, _, views) in enumerate(PRODUCTS, 1):
        key = (-views if descending else views, number)
        best[category] = min(best.get(category, key), key)
    assert {hit.rowid for hit in found.hits} == {number for _, number in best.values()}


def test_order_distinct_and_paging(connection: apsw.Connection, engine: SearchEngine) -> None:
    by_price = (Order("price", descending=True),)
    result = engine.search(connection, SearchRequest("", order=by_price, take=3, skip=1))
    assert titles(connection, result) == ["Text editor", "Spell checker", "Emulator of old games"]
    found = engine.search(connection, SearchRequest("editor OR window", order=(Order("title"),)))
    assert titles(connection, found) == sorted(titles(connection, found))
    assert found.total == 4
    one_each = engine.search(connection, SearchRequest("editor OR window", distinct="category"))
    assert one_each.total == len(one_each.hits) == 3
    pages = [
        titles(connection, engine.search(connection, SearchRequest("editor OR window", take=1, skip=skip)))
        for skip in range(5)
    ]
    assert [title for page in pages for title in page] == titles(
        connection, engine.search(connection, SearchRequest("editor OR window"))
    )
    assert engine.search(connection, SearchRequest("", skip=50_000)).hits == []
    assert engine.search(connection, SearchRequest("", take=0)).total == len(PRODUCTS)


def test_highlights(connection: apsw.Connection, engine: SearchEngine) -> None:
    wanted = (
        HighlightRequest("title"),
        HighlightRequest("body", pre="[", post="]", words=4),
        HighlightRequest("body", pre="[", post="]", escape=False),
    )
    result = engine.search(connection, SearchRequest("bold serch ", highlights=wanted))
    title, snippet, whole = result.hits[0].texts
    assert title == "Text editor"
    assert whole == "Edits documents. Has a spell checker and <b>[bold]</b> & fast [search]."
    assert snippet == "…[bold]&lt;/b&gt; &amp; fast [search]."
    assert result.hits[0].matched_words == ("bold", "search")
    everything = engine.search(connection, SearchRequest("", highlights=wanted)).hits
    assert all(hit.texts[0] for hit in everything)


def test_columns(connection: apsw.Connection, engine: SearchEngine) -> None:
    result = engine.search(connection, SearchRequest("spell", columns=("title",), match=Match.ALL))
    assert titles(connection, result) == ["Spell checker"]
    both = engine.search(connection, SearchRequest("spell -documents", columns=("title", "body")))
    assert both.total == 0


def test_raw(connection: apsw.Connection, engine: SearchEngine) -> None:
    raw = SearchRequest('title : edit* NOT photo OR NEAR("old" games, 2)', mode=Mode.RAW)
    assert set(titles(connection, engine.search(connection, raw))) == {"Text editor", "Emulator of old games"}
    for wrong in ('"', "AND", "nope : x", "*", "a\0b", "", "NEAR(a", "^^"):
        with pytest.raises(SearchInvalid):
            engine.search(connection, SearchRequest(wrong, mode=Mode.RAW))


def test_synonyms_and_stop_words() -> None:
    definition = dataclasses.replace(
        DEFINITION,
        synonyms=(("picture", "image", "photo"), ("word processor", "text editor"), ("tv", "television set")),
        stop_words=frozenset({"the", "of"}),
    )
    connection = make(definition, [*PRODUCTS, ("Television set", "", "home", 1.0, 1)])
    engine = SearchEngine(definition)

    def found(query: str) -> set[str]:
        return set(titles(connection, engine.search(connection, SearchRequest(query, match=Match.ALL))))

    assert {"Image viewer", "Photo editor"} <= found("image")
    assert found("word processor") == {"Text editor"}
    assert found("text editor") == {"Text editor"}
    assert found("tv") == found("television set ") == {"Television set"}
    assert found("the terminal of emulator") == {"Terminal emulator"}
    assert found('"image"') == {"Image viewer"}


def test_new_words_are_found_at_once(connection: apsw.Connection) -> None:
    connection = make(DEFINITION, PRODUCTS)
    vocabulary.rebuild(connection, SearchIndex.of(DEFINITION))
    engine = SearchEngine(DEFINITION)
    assert engine.search(connection, SearchRequest("xylophone")).total == 0
    connection.execute("INSERT INTO Product (title, body) VALUES ('Xylophone', 'plays')")
    assert engine.search(connection, SearchRequest("xylophone")).total == 1
    assert engine.search(connection, SearchRequest("xylophne ")).corrected_query == "xylophone "


def test_null_and_mixed_values() -> None:
    rows: list[tuple[str, str, str, float, int]] = [("a thing", None, None, None, None)] * 3  # type: ignore[list-item]
    connection = make(DEFINITION, [*rows, ("another thing", "b", "x", 1.0, "many")])  # type: ignore[list-item]
    result = SearchEngine(DEFINITION).search(
        connection,
        SearchRequest("thing", facets=(FacetRequest("price"),), highlights=(HighlightRequest("body"),)),
    )
    assert result.total == 4
    assert result.facets[0].values == ((1.0, 1),)


WORDS = ["red", "green", "blue", "cat", "dog", "house", "runs", "quickly", "tree", "sings"]


def test_a_search_equals_a_scan() -> None:
    """With every word and nothing more, the hits are those that a look at each record finds."""
    chance = random.Random(5)
    products = [
        (" ".join(chance.choices(WORDS, k=2)), " ".join(chance.choices(WORDS, k=4)), "c", float(n), n)
        for n in range(300)
    ]
    definition = dataclasses.replace(DEFINITION, language=Language.NONE)
    connection = make(definition, products)
    engine = SearchEngine(definition)
    for _ in range(60):
        wanted, unwanted = chance.sample(WORDS, k=chance.randint(1, 3)), chance.choice(WORDS)
        query = f"{' '.join(wanted)} -{unwanted}"
        request = SearchRequest(query, match=Match.ALL, typos=False, prefix=False, take=1000)
        expected = {
            number
            for number, (title, body, *_) in enumerate(products, 1)
            if set(wanted) <= set(f"{title} {body}".split()) and unwanted not in f"{title} {body}".split()
        }
        result = engine.search(connection, request)
        assert {hit.rowid for hit in result.hits} == expected
        assert result.total == len(expected)


def test_no_text_is_an_error_for_the_engine(connection: apsw.Connection, engine: SearchEngine) -> None:
    from tests.unit.search.test_syntax import texts

    for text in texts(11, 400):
        engine.search(connection, SearchRequest(text, highlights=(HighlightRequest("body", words=5),)))


@pytest.mark.parametrize("name", ["m", "d", "b", "f0", "x", "t", "s", "rank", "docid", "order"])
def test_tables_and_columns_may_have_any_name(name: str) -> None:
    """Names that the statements of a search could take for their own."""
    definition = SearchDefinition(
        model=name,
        table=name,
        rowid="id",
        index=f"{name}_search",
        fields=(field("title", 1.0),),
        uniques=(("id",),),
        facets=(
            Facet("r", "r", FacetKind.TEXT, ColumnSource("r")),
            Facet("p0", "p0", FacetKind.NUMBER, ColumnSource("p0")),
        ),
        rank=(Rank("v", "v", descending=True, source=ColumnSource("v")),),
    )
    connection = apsw.Connection(":memory:")
    connection.execute(f'CREATE TABLE "{name}" (id INTEGER PRIMARY KEY, title, r, p0, v)')
    for statement in tables.ddl(definition):
        connection.execute(statement)
    connection.execute(
        f"INSERT INTO \"{name}\" (title, r, p0, v) VALUES ('word', 'a', 1, 2), ('word', 'b', 2, 1)"
    )
    chosen = Filter(f'SELECT id FROM "{name}" WHERE r = ?', ("a",))
    for request in (
        SearchRequest(
            "word",
            refinements={"r": chosen},
            facets=(FacetRequest("r", disjunctive=True), FacetRequest("p0")),
        ),
        SearchRequest("word", filter=chosen, distinct="r", facets=(FacetRequest("p0"),)),
        SearchRequest("word", filter=chosen, order=(Order("p0"),)),
        SearchRequest("", refinements={"r": chosen}, facets=(FacetRequest("p0"),)),
    ):
        assert [hit.rowid for hit in SearchEngine(definition).search(connection, request).hits] == [1]


def test_very_many_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than FTS5 ranks: those with the word in the title first, then the others; pages do not overlap."""
    monkeypatch.setattr("lamdb.search.engine._RANKED", 20)
    products = [("rare" if n % 10 else "common rare", "common text", "c", float(n), n) for n in range(150)]
    connection = make(DEFINITION, products)
    engine = SearchEngine(DEFINITION)
    pages = [
        engine.search(connection, SearchRequest("common", take=30, skip=skip)) for skip in range(0, 180, 30)
    ]
    found = [hit.rowid for page in pages for hit in page.hits]
    assert sorted(found) == list(range(1, 151))
    assert set(found[:15]) == {n + 1 for n in range(0, 150, 10)}
    assert all(page.total == 150 for page in pages)
