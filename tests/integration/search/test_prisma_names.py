"""Prisma's `search` in filters of texts, and `_relevance` in orders."""

from collections.abc import Iterator

import pytest
from tests.support.search_shop import Shop, filled_shop

from lamdb.prisma.query.record_query import RecordQuery


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with filled_shop() as made:
        yield made


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ('{ body: { search: "cats" } }', ["b", "c"]),
        ('{ body: { search: "cat & dog" } }', ["b"]),
        ('{ body: { search: "wood | dog" } }', ["b", "c"]),
        ('{ body: { search: "cats -dogs" } }', ["c"]),
        ('{ body: { search: "cats !dogs" } }', ["c"]),
        ('{ body: { search: "-cats" } }', ["a", "d"]),
        ('{ body: { search: "\\"cats of\\"" } }', ["c"]),
        ('{ body: { search: "kit*" } }', ["a"]),
        ('{ body: { search: "" } }', []),
        ('{ body: { search: "\'\\"*)( AND NEAR" } }', []),
        ('{ title: { search: "cats" } }', []),
        ('{ title: { search: "kitchen" }, body: { search: "cats" } }', ["c"]),
        ('{ title: { search: "kitchen", startsWith: "K", not: { contains: "x" } } }', ["c"]),
        ('{ body: { not: { search: "cats" } } }', ["a", "d"]),
        ('{ body: { not: { search: "cats", contains: "wood" } } }', ["a", "b", "d"]),
        ('{ NOT: { body: { search: "cats" } } }', ["a", "d"]),
        ('{ OR: [{ title: { search: "box" } }, { body: { search: "wood" } }] }', ["c", "d"]),
        ('{ AND: { price: { lt: 10 } }, body: { search: "cats" } }', ["c"]),
        ('{ AND: [{ price: { lt: 10 } }], body: { search: "cats" } }', ["c"]),
        ('{ maker: { is: { name: { search: "radios" } } } }', ["a"]),
        ('{ maker: { name: { search: "radios" } } }', ["a"]),
        ('{ maker: { is: { products: { some: { body: { search: "dogs" } } } } } }', ["b"]),
        ('{ reviews: { some: { text: { search: "clear" } } } }', ["a"]),
        ('{ reviews: { every: { text: { search: "clear" } } } }', ["b", "c", "d"]),
        ('{ tags: { some: { products: { some: { title: { search: "knife" } } } } } }', ["a", "c"]),
    ],
)
def test_filters_at_any_depth(shop: Shop, where: str, found: list[str]) -> None:
    answer = shop.data(f"{{ findManyProduct(where: {where}, orderBy: {{ sku: asc }}) {{ sku }} }}")
    assert [each["sku"] for each in answer["findManyProduct"]] == found
    counted = shop.data(f"{{ aggregateProduct(where: {where}) {{ _count {{ _all }} }} }}")
    assert counted["aggregateProduct"]["_count"]["_all"] == len(found)


def test_filters_in_other_places(shop: Shop) -> None:
    answer = shop.data(
        """query ($where: ProductWhereInput, $text: String) {
          findManyMaker(orderBy: { id: asc }, where: { products: { some: { body: { search: $text } } } }) {
            id products(where: { body: { search: "radio" } }) { sku }
          }
          findUniqueProduct(where: { sku: "a", body: { search: "radio" } }) { sku }
          none: findUniqueProduct(where: { sku: "a", body: { search: "dog" } }) { sku }
          findFirstProduct(where: $where) { sku }
          groupByProduct(by: [live], where: $where) { live _count { _all } }
          searchProduct(query: "", where: { body: { search: "wood" } }) { hits { node { sku } } }
        }""",
        where={"body": {"search": "cats"}, "sku": {"not": "b"}},
        text="radio",
    )
    assert answer == {
        "findManyMaker": [{"id": "zeta", "products": [{"sku": "a"}]}],
        "findUniqueProduct": {"sku": "a"},
        "none": None,
        "findFirstProduct": {"sku": "c"},
        "groupByProduct": [{"live": False, "_count": {"_all": 1}}],
        "searchProduct": {"hits": [{"node": {"sku": "c"}}]},
    }


def test_filters_of_records_with_other_ids(shop: Shop) -> None:
    answer = shop.data(
        """{ findManyReview(where: { text: { search: "loud" } }) { author }
          findManyNote(where: { text: { search: "radio" } }) { id }
          findManyMaker(where: { NOT: { name: { search: "radios" } } }) { id } }"""
    )
    assert answer == {
        "findManyReview": [{"author": "ann"}],
        "findManyNote": [{"id": "9007199254740993"}],
        "findManyMaker": [{"id": "acme"}],
    }


def test_filters_of_writes() -> None:
    with filled_shop() as shop:
        change = 'updateManyProduct(where: { body: { search: "cats" } }, data: { body: "fish" }) { count }'
        shop.data(f"mutation {{ {change} }}")
        assert shop.skus('query: "fish"') == ["b", "c"]
        done = shop.data(
            """mutation {
              updateOneMaker(where: { id: "zeta" }, data: { products: {
                updateMany: { where: { title: { search: "radio" } }, data: { title: "Wireless" } } } }) { id }
              deleteManyProduct(where: { body: { search: "fish" } }) { count }
            }"""
        )
        assert done["deleteManyProduct"] == {"count": 2}
        assert shop.skus('query: "wireless"') == ["a"]
        assert sorted(shop.skus('query: ""')) == ["a", "d"]


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ('{ _relevance: { fields: [title], search: "radio", sort: desc } }, { sku: asc }',
         ["a", "b", "c", "d"]),
        ('{ _relevance: { fields: body, search: "wood", sort: desc } }, { sku: desc }', ["c", "d", "b", "a"]),
        ('{ live: asc }, { _relevance: { fields: [title], search: "box", sort: desc } }, { id: asc }',
         ["c", "d", "a", "b"]),
        ('{ id: desc }, { _relevance: { fields: [title], search: "box", sort: desc } }',
         ["d", "c", "b", "a"]),
        ('{ _relevance: { fields: [title, body], search: "dog wood -cats", sort: asc } }, { sku: asc }',
         ["a", "b", "c", "d"]),
        ('{ maker: { id: asc } }, { _relevance: { fields: title, search: "box", sort: desc } }, { id: asc }',
         ["d", "c", "b", "a"]),
        ('{ _relevance: { fields: title, search: "", sort: desc } }, { sku: desc }', ["d", "c", "b", "a"]),
    ],
)  # fmt: skip
def test_orders_by_relevance(shop: Shop, order: str, found: list[str]) -> None:
    answer = shop.data(f"{{ findManyProduct(orderBy: [{order}]) {{ sku }} }}")
    assert [each["sku"] for each in answer["findManyProduct"]] == found
    backwards = shop.data(f"{{ findManyProduct(orderBy: [{order}], take: -2) {{ sku }} }}")
    assert [each["sku"] for each in backwards["findManyProduct"]] == found[-2:]
    page = shop.data(
        f"query ($n: Int) {{ findManyProduct(orderBy: [{order}], take: $n, skip: 1) {{ sku }} }}", n=2
    )
    assert [each["sku"] for each in page["findManyProduct"]] == found[1:3]


def test_an_order_with_a_variable_and_a_filter(shop: Shop) -> None:
    document = """query ($text: String!) { findManyProduct(
        where: { OR: [{ title: { search: $text } }, { body: { search: $text } }] }, take: 5,
        orderBy: { _relevance: { fields: [title, body], search: $text, sort: desc } }) {
        sku tags { name } } }"""
    for text, found in (("radio", ["a"]), ("kitchen", ["c", "a"]), ("cats | dogs", ["b", "c"])):
        answer = shop.data(document, text=text)["findManyProduct"]
        assert [each["sku"] for each in answer] == found


def test_an_order_of_records_with_a_text_as_id(shop: Shop) -> None:
    order = '{ _relevance: { fields: [name], search: "radios", sort: desc } }'
    answer = shop.data(f"{{ findManyMaker(orderBy: [{order}, {{ id: asc }}]) {{ id }} }}")
    assert [each["id"] for each in answer["findManyMaker"]] == ["zeta", "acme"]


def test_the_relevance_of_all_records_is_found_once(shop: Shop) -> None:
    """For each record anew, FTS5 would count all matches of every word."""
    order = {"_relevance": {"fields": ["title"], "search": "radio", "sort": "desc"}}
    query = {"arguments": {"orderBy": [order, {"id": "asc"}]}, "selection": {"sku": True}}
    plan, values = shop.api.engine.prepare({"modelName": "Product", "action": "findMany", "query": query})
    with shop.database.reader() as connection:
        found = RecordQuery(plan, "id").statement(connection, values)
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {found[0]}", found[1])]
    assert [step for step in steps if "MATERIALIZE" in str(step)] == ["MATERIALIZE r"]
    assert any("SEARCH r USING AUTOMATIC" in str(step) for step in steps)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ('{ findManyProduct(where: { sku: { search: "x" } }) { sku } }', "Product.sku is not searched"),
        ('{ findManyTag(where: { name: { search: "x" } }) { name } }', "Tag.name is not searched"),
        ('{ findManyMaker(where: { id: { not: { search: "x" } } }) { id } }', "Maker.id is not searched"),
        ("{ findManyProduct(where: { title: { search: 3 } }) { sku } }", "String"),
        ("{ findManyProduct(where: { title: { search: null } }) { sku } }", "takes a text"),
        (
            "{ findManyProduct(cursor: { id: 1 }, orderBy:"
            ' { _relevance: { fields: title, search: "x", sort: asc } }) { sku } }',
            "`cursor` cannot",
        ),
        (
            "{ findManyMaker { products(cursor: { id: 1 }, orderBy:"
            ' { _relevance: { fields: title, search: "x", sort: asc } }) { sku } } }',
            "`cursor` cannot",
        ),
        (
            "{ findManyProduct(cursor: { id: 1 }, orderBy:"
            ' { maker: { _relevance: { fields: name, search: "x", sort: asc } } }) { sku } }',
            "`cursor` cannot",
        ),
        (
            '{ findManyMaker { products(orderBy: { _relevance: { fields: sku, search: "x", sort: asc } })'
            " { sku } } }",
            "sku",
        ),
        ('{ findManyTag(orderBy: { _relevance: { sort: asc } }) { name } }', "_relevance"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_an_error(shop: Shop, document: str, message: str) -> None:
    assert message in shop.error(document)
