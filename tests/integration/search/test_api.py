"""Searches through the GraphQL API: arguments, hits with their records, facets, marked texts."""

import random
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import build_schema, get_introspection_query, parse, validate, validate_schema
from tests.support.search_shop import Shop, filled_shop, shop_schema

from lamdb.graphql.schema.sdl import render
from lamdb.graphql.schema.types import ApiTypes
from lamdb.search import stored
from lamdb.search.tables import drop


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with filled_shop() as made:
        yield made


def test_definitions_are_stored_with_the_types() -> None:
    definitions = shop_schema().searches
    assert stored.from_json(stored.to_json(definitions)) == definitions
    types = ApiTypes.loads(ApiTypes.from_dmmf(shop_schema().dmmf).dumps())
    assert types.searches() == definitions


def test_the_schema_says_what_can_be_searched(shop: Shop) -> None:
    made = build_schema(render(ApiTypes.from_dmmf(shop_schema().dmmf)))
    assert validate_schema(made) == []
    document = parse(
        '{ searchProduct(query: "x", facets: [{ field: tags_name }], fields: [maker_name], typos: OFF) {'
        " hits { node { sku maker { name } } highlight(field: title) } } }"
    )
    assert validate(made, document) == []
    names = {made["name"] for made in shop.data(get_introspection_query())["__schema"]["types"]}
    assert {"ProductSearchResult", "ProductSearchHit", "SearchFacet", "SearchResult"} <= names


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ('query: "radio"', ["a"]),
        ('query: "radoi"', ["a"]),
        ('query: "radoi", typos: OFF', []),
        ('query: "rad"', ["a"]),
        ('query: "cat"', ["b", "c"]),
        ('query: "cat -dog"', ["c"]),
        ('query: "tv"', ["b"]),
        ('query: "kitchen"', ["c", "a"]),
        ('query: "kitchen", fields: [tags_name, title], where: { live: { equals: true } }', ["a"]),
        ('query: "kitchen", fields: [title]', ["c"]),
        ('query: "kitchen", fields: title', ["c"]),
        ('query: "zeta"', ["a"]),
        ('query: ""', ["b", "a", "c", "d"]),
        ('query: "kitchen radio cats", match: ALL', []),
        ('query: "zeta acme", match: ANY, orderBy: { sku: desc }', ["b", "a"]),
        ('query: "", orderBy: [{ price: asc }], take: 2', ["d", "c"]),
        ('query: "", orderBy: [{ category: { sort: desc } }], take: 2', ["b", "c"]),
        ('query: "", where: { maker: { is: { name: { startsWith: "A" } } } }', ["b"]),
        (
            'query: "", where: { OR: [{ tags: { some: { name: "small" } } }, { price: { gt: 100 } }] }',
            ["b", "a"],
        ),
        ('query: "title : knife", mode: RAW', ["c"]),
        ('query: "{name} : knife) AND (", typos: AUTO', ["c"]),
        ("query: $v", ["a"]),
    ],
)
def test_what_is_found(shop: Shop, arguments: str, found: list[str]) -> None:
    skus = shop.skus(arguments, **({"v": "radio"} if "$v" in arguments else {}))
    assert skus == found if "orderBy" in arguments or len(found) < 2 else set(skus) == set(found)


def test_a_whole_answer(shop: Shop) -> None:
    answer = shop.data(
        """query Search($query: String!, $pre: String, $few: Boolean!) {
          found: searchProduct(query: $query, take: 1) {
            __typename totalCount correctedQuery tookMs
            hits {
              __typename score matchedWords
              node { ...of }
              also: node {
                tags(orderBy: { name: desc }) { name }
                few: tags(take: 1, orderBy: { name: asc }) { name }
              }
              highlight(field: title, pre: $pre, post: "]")
              body: highlight(field: body) raw: highlight(field: body, escape: false)
              snippet(field: body, words: 2) @include(if: $few)
            }
          }
        }
        fragment of on Product { sku title maker { name } reviews(where: { author: "bob" }) { text } }""",
        query="radoi",
        pre="[",
        few=False,
    )["found"]
    assert answer.pop("tookMs") >= 0
    (hit,) = answer.pop("hits")
    assert answer == {"__typename": "ProductSearchResult", "totalCount": 1, "correctedQuery": "radio"}
    assert hit.pop("score") > 0
    assert hit == {
        "__typename": "ProductSearchHit",
        "matchedWords": ["radio"],
        "node": {
            "sku": "a", "title": "Red radio", "maker": {"name": "Zeta Radios"},
            "reviews": [{"text": "Too small"}],
        },
        "also": {"tags": [{"name": "small"}, {"name": "kitchen"}], "few": [{"name": "kitchen"}]},
        "highlight": "Red [radio]",
        "body": "A small &lt;b&gt;<mark>radio</mark>&lt;/b&gt; for the kitchen",
        "raw": "A small <b><mark>radio</mark></b> for the kitchen",
    }  # fmt: skip


def facets(shop: Shop, arguments: str) -> Any:
    asked = "totalCount facets { field values { value count } stats { min max } }"
    found = shop.data(f"{{ searchProduct({arguments}) {{ {asked} }} }}")["searchProduct"]
    return found["totalCount"], {
        each["field"]: ({one["value"]: one["count"] for one in each["values"]}, each["stats"])
        for each in found["facets"]
    }


def test_facets(shop: Shop) -> None:
    total, found = facets(
        shop,
        'query: "", facets: [{ field: category }, { field: price }, { field: live }, { field: tags_name }]',
    )
    assert total == 4
    assert {name: count for name, count in found["category"][0].items() if name} == {
        "audio": 1, "video": 1, "tools": 1,
    }  # fmt: skip
    assert found["price"] == ({"0": 1, "7.5": 1, "20": 1, "300": 1}, {"min": 0, "max": 300})
    assert found["live"][0] == {"true": 3, "false": 1}
    assert found["tags_name"][0] == {"kitchen": 2, "small": 1}
    assert facets(shop, 'query: ""') == (4, {})


@pytest.mark.parametrize(
    ("facet", "total"),
    [
        ('field: category, values: ["audio"]', 1),
        ('field: category, values: ["audio", "tools"]', 2),
        ('field: category, values: "audio"', 1),
        ("field: category, values: [null]", 1),
        ("field: category, values: []", 0),
        ('field: live, values: ["false"]', 1),
        ('field: price, values: ["7.5", "300"]', 2),
        ('field: price, values: ["cheap"]', 0),
        ("field: price, min: 7.5, max: 20", 2),
        ('field: tags_name, values: ["kitchen"]', 2),
        ('field: tags_name, values: ["small", "large"]', 1),
    ],
)
def test_chosen_values_of_a_facet(shop: Shop, facet: str, total: int) -> None:
    assert facets(shop, f'query: "", facets: [{{ {facet} }}]')[0] == total
    assert facets(shop, f'query: "", facets: [{{ {facet}, disjunctive: true }}]')[0] == total


def test_a_disjunctive_facet_keeps_its_other_values(shop: Shop) -> None:
    chosen = '{ field: category, values: ["audio"], disjunctive: %s }, { field: live }'
    total, found = facets(shop, f'query: "", facets: [{chosen % "true"}]')
    assert total == 1
    assert found["category"][0]["tools"] == 1
    assert found["live"][0] == {"true": 1}
    assert "tools" not in facets(shop, f'query: "", facets: [{chosen % "false"}]')[1]["category"][0]


@pytest.mark.parametrize(
    ("search", "node", "expected"),
    [
        ('searchMaker(query: "radios")', "id products { sku }", {"id": "zeta", "products": [{"sku": "a"}]}),
        ('searchReview(query: "loud")', "author product { sku }", {"author": "ann", "product": {"sku": "a"}}),
        ('searchNote(query: "note")', "id text", {"id": "9007199254740993", "text": "a radio note"}),
        ('searchMaker(query: "radios")', "__typename", {"__typename": "Maker"}),
    ],
)
def test_records_with_other_ids(shop: Shop, search: str, node: str, expected: dict[str, Any]) -> None:
    (found,) = shop.data(f"{{ {search} {{ hits {{ node {{ {node} }} }} }} }}").values()
    assert found["hits"] == [{"node": expected}]


def test_several_compound_ids(shop: Shop) -> None:
    found = shop.data('{ searchReview(query: "loud small", match: ANY) { hits { node { author } } } }')
    assert {hit["node"]["author"] for hit in found["searchReview"]["hits"]} == {"ann", "bob"}


def test_several_models_at_once(shop: Shop) -> None:
    found = shop.data(
        """{ search(queries: [
            { model: Product, query: "radio" }, { model: Maker, query: "radios", weight: 2 },
            { model: Note, query: "radio", typos: OFF } ]) {
          __typename totalCount tookMs
          hits { __typename model score product { sku } maker { name } note { id } matchedWords }
        } }"""
    )["search"]
    assert found["totalCount"] == 3
    assert [hit["model"] for hit in found["hits"]] == ["Maker", "Product", "Note"]
    assert [hit["product"] for hit in found["hits"]] == [None, {"sku": "a"}, None]
    assert found["hits"][0]["maker"] == {"name": "Zeta Radios"}
    page = shop.data(
        '{ search(queries: [{ model: Product, query: "" }, { model: Maker, query: "" }], take: 2, skip: 1) {'
        " totalCount hits { model } } }"
    )["search"]
    assert page["totalCount"] == 6
    assert [hit["model"] for hit in page["hits"]] == ["Maker", "Product"]


def test_a_record_of_several_queries_is_one_hit(shop: Shop) -> None:
    queries = ", ".join(f'{{ model: Product, query: "{text}" }}' for text in ("kitchen", "knife", "radio"))
    found = shop.data(f"{{ search(queries: [{queries}]) {{ hits {{ score product {{ sku }} }} }} }}")[
        "search"
    ]
    assert sorted(hit["product"]["sku"] for hit in found["hits"]) == ["a", "c"]
    assert shop.data("{ search(queries: []) { totalCount hits { model } } }")["search"]["hits"] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ('query: "x", take: -1', "0 to 1000"),
        ('query: "x", take: 1001', "0 to 1000"),
        ('query: "x", skip: 10000', "0 to 9980"),
        ('query: "x", orderBy: { maker: { name: asc } }', "maker is not one of them"),
        ('query: "x", orderBy: { category: { sort: asc, nulls: last } }', "`nulls`"),
        ('query: "x", distinct: [sku, category]', "one field"),
        ('query: "x", facets: [{ field: live }, { field: live }]', "twice"),
        ('query: "x", facets: [{ field: category, min: 3 }]', "does not contain numbers"),
        ('query: "x", facets: [{ field: category, take: 1001 }]', "0 to 1000"),
        ('query: "AND", mode: RAW', "FTS5"),
        ("query: 3", "String"),
        ('query: "x", fields: [sku]', "ProductSearchField"),
        ("take: 3", "query"),
        ('query: "x", where: { nothing: 1 }', "nothing"),
    ],
)
def test_bad_arguments_are_errors(shop: Shop, arguments: str, message: str) -> None:
    assert message in shop.error(f"{{ searchProduct({arguments}) {{ totalCount }} }}")


def test_distinct(shop: Shop) -> None:
    assert len(shop.skus('query: "", distinct: [live]')) == 2


def test_a_search_that_was_never_migrated_is_an_error_of_the_database() -> None:
    with filled_shop() as shop:
        with shop.database.writer() as connection:
            for statement in drop(next(each for each in shop_schema().searches if each.model == "Note")):
                connection.execute(statement)
        error = shop.response('{ searchNote(query: "radio") { totalCount } }')["errors"][0]
        assert error["extensions"]["code"] == "P2021"
        error = shop.response('{ findManyNote(where: { text: { search: "radio" } }) { id } }')["errors"][0]
        assert error["extensions"]["code"] == "P2021"


def test_writes_are_found_at_once() -> None:
    with filled_shop() as shop:
        rename = 'updateOneMaker(where: { id: "zeta" }, data: { name: { set: "Omega" } }) { id }'
        shop.data(f"mutation {{ {rename} }}")
        assert shop.skus('query: "zeta", typos: OFF') == []
        assert shop.skus('query: "omega"') == ["a"]
        shop.data('mutation { deleteOneMaker(where: { id: "zeta" }) { id } }')
        assert shop.skus('query: "omega", typos: OFF') == []
        shop.data(
            'mutation { upsertOneProduct(where: { sku: "d" }, create: { sku: "d", title: "x" },'
            ' update: { title: { set: "Zebra box" } }) { id } }'
        )
        assert shop.skus('query: "zebra"') == ["d"]
        shop.data('mutation { deleteManyProduct(where: { sku: { in: ["a", "d"] } }) { count } }')
        assert sorted(shop.skus('query: ""')) == ["b", "c"]
        assert shop.data('{ searchReview(query: "") { totalCount } }')["searchReview"]["totalCount"] == 0


PIECES = [
    '"', "*", "-", "!", "|", "&", "(", ")", "{", "}", "^", ":", "+", " OR ", " AND ", "NEAR(", "\0", "\u2028",
    "😀", "é", "漢字", "cat",
    "radio", "rad", "1.5", "\\", "'", ";", "--", "x" * 300, " ", "\n", "title:", "<b>",
]  # fmt: skip
LONG = ["a" * 10_000, " ".join(f"w{n}" for n in range(2_000)), '"' * 5_000, "cat " * 3_000, "(" * 8_000]


def test_no_text_is_an_error(shop: Shop) -> None:
    chance = random.Random(11)
    texts = [*LONG, *("".join(chance.choices(PIECES, k=chance.randrange(14))) for _ in range(150))]
    for text in texts:
        shop.data(
            """query ($text: String!) {
              searchProduct(query: $text, facets: [{ field: category }]) {
                totalCount hits { highlight(field: title) snippet(field: body) node { sku } }
              }
              search(queries: [{ model: Maker, query: $text }]) { totalCount }
              findManyProduct(
                where: { OR: [{ title: { search: $text } }, { body: { not: { search: $text } } }] }
                orderBy: { _relevance: { fields: [title, body], search: $text, sort: desc } }
              ) { sku }
            }""",
            text=text,
        )
