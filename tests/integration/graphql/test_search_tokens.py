"""Search tokens: what they allow, and the ways around it."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from tests.support.search_shop import Shop, filled_shop

from lamdb.errors import Unauthorized
from lamdb.graphql.search_tokens import PREFIX, SearchToken
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, HttpResponse, handle

KEY = "a key that nobody else knows"
OPTIONS = HttpOptions(search_key=KEY)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    with filled_shop() as filled:
        yield filled


def ask(
    shop: Shop, query: str, token: SearchToken | str, options: HttpOptions = OPTIONS, **headers: str
) -> HttpResponse:
    sent = token if isinstance(token, str) else token.sign(KEY)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    headers = {"content-type": "application/json", "authorization": f"Bearer {sent}", **named}
    body = query if query.startswith('{"') else json.dumps({"query": query})
    return handle(
        shop.api, shop.database, HttpRequest("POST", "/search", "", headers, body.encode()), options
    )


def refused(response: HttpResponse) -> tuple[int, str]:
    body = json.loads(response.body)
    assert set(body) == {"errors"}, body
    return response.status, body["errors"][0]["extensions"]["code"]


def skus(response: HttpResponse, root: str = "searchProduct") -> list[str]:
    body = json.loads(response.body)
    assert "errors" not in body, body
    return sorted(hit["node"]["sku"] for hit in body["data"][root]["hits"])


ALL = '{ searchProduct(query: "") { totalCount hits { node { sku title } } } }'


def test_a_token_searches(shop: Shop) -> None:
    answer = ask(shop, ALL, SearchToken())
    assert (answer.status, skus(answer)) == (200, ["a", "b", "c", "d"])
    assert skus(ask(shop, f"query Q {ALL}", SearchToken(("Product",)), accept="application/json")) == skus(
        answer
    )
    assert refused(ask(shop, ALL, SearchToken(("Note",)))) == (403, "FORBIDDEN")
    assert refused(ask(shop, ALL, SearchToken(()))) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    "query",
    [
        "{ findManyProduct { sku } }",
        "{ searchProduct: findManyProduct { sku } }",
        '{ searchProduct(query: "") { totalCount } x: findManyProduct { sku } }',
        '{ searchProduct(query: "") { totalCount } ...F } fragment F on Query { findManyMaker { name } }',
        '{ ... on Query { findUniqueProduct(where: { sku: "a" }) { sku } } }',
        "{ ... @include(if: true) { countProduct: aggregateProduct { _count { id } } } }",
        "query Q($x: Boolean = true) { findManyProduct @include(if: $x) { sku } }",
        "query Q($x: Boolean = false) { findManyProduct @skip(if: $x) { sku } }",
        'query A { searchProduct(query: "") { totalCount } __schema { queryType { name } } }',
        "{ __schema { types { name } } }",
        '{ __type(name: "Product") { name } }',
        "mutation { deleteManyProduct(where: {}) { count } }",
        "mutation { __typename }",
        '{ search(queries: [{ model: Product, query: "" }]) { hits { product { reviews { text } } } } }',
        '{ searchProduct(query: "") { hits { node { maker { name } } } } }',
        '{ searchProduct(query: "") { hits { node { x: tags(where: { name: { equals: "small" }'
        " }) { name } } } } }",
        '{ searchProduct(query: "") { hits { a: node { sku } b: node { reviews { text } } } } }',
        '{ searchProduct(query: "") { hits { node { _count { reviews } } } } }',
        '{ searchProduct(query: "") { hits { ...H } } } fragment H on ProductSearchHit { node { ...N } }'
        " fragment N on Product { tags { name products { sku } } }",
        '{ searchProduct(query: "", where: { maker: { is: { name: { startsWith: "A" } } } }) {'
        " totalCount } }",
        '{ searchProduct(query: "", where: { reviews: { some: { text: { contains: "L" } } } })'
        " { totalCount } }",
        '{ searchProduct(query: "", where: { AND: [{ OR: [{ NOT: { tags: { none: {} } } }] }]'
        " }) { totalCount } }",
        '{ searchProduct(query: "", where: { NOT: { NOT: [{ maker: null }] } }) { totalCount } }',
    ],
)
def test_nothing_else(shop: Shop, query: str) -> None:
    token = SearchToken()
    before = shop.database.txid
    for media_type in ("application/json", "application/graphql-response+json"):
        assert refused(ask(shop, query, token, accept=media_type)) == (403, "FORBIDDEN")
    assert shop.database.txid == before


def test_variables_and_operations_are_no_way_around(shop: Shop) -> None:
    token = SearchToken(("Product",))
    sent: list[dict[str, Any]] = [
        {
            "query": 'query Q($w: ProductWhereInput) { searchProduct(query: "", where: $w) { totalCount } }',
            "variables": {"w": {"OR": [{"maker": {"is": {"name": {"equals": "Acme"}}}}]}},
        },
        {"query": f"query A {ALL} query B {{ findManyProduct {{ sku }} }}", "operationName": "B"},
        {
            "query": "query Q($q: [SearchInput!]!) { search(queries: $q) { totalCount } }",
            "variables": {"q": [{"model": "Product", "query": ""}, {"model": "Note", "query": ""}]},
        },
        {
            "query": f"query A {ALL} mutation B {{ deleteManyTag(where: {{}}) {{ count }} }}",
            "operationName": "B",
        },
    ]
    for each in sent:
        assert refused(ask(shop, json.dumps(each), token)) == (403, "FORBIDDEN"), each
        # What an unrestricted request has compiled changes nothing.
        headers = {"content-type": "application/json"}
        request = HttpRequest("POST", "/graphql", "", headers, json.dumps(each).encode())
        if "mutation" not in each["query"]:
            assert "errors" not in json.loads(handle(shop.api, shop.database, request, OPTIONS).body)
        assert refused(ask(shop, json.dumps(each), token)) == (403, "FORBIDDEN"), each


def test_a_token_may_allow_relations(shop: Shop) -> None:
    query = (
        '{ searchProduct(query: "", where: { maker: { is: { name: { equals: "Acme" } } } })'
        " { hits { node { sku maker { name } tags { name } } } } }"
    )
    assert skus(ask(shop, query, SearchToken(relations=True))) == ["b"]
    assert refused(ask(shop, "{ findManyTag { name } }", SearchToken(relations=True))) == (403, "FORBIDDEN")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ('query: ""', ["a", "b", "d"]),
        ('query: "", where: { OR: [{ live: true }, { live: false }] }', ["a", "b", "d"]),
        ('query: "", where: { live: false }', []),
        ('query: "", where: { NOT: { live: true } }', []),
        ('query: "", where: { AND: [] }', ["a", "b", "d"]),
        ('query: "", where: null', ["a", "b", "d"]),
        ('query: "kitchen knife", match: ANY', ["a"]),
        ('query: "title : kitchen OR knife", mode: RAW', []),
        ('query: "", facets: [{ field: live, values: ["false"], disjunctive: true }]', []),
        ('query: "-radio"', ["b", "d"]),
        ('query: "", orderBy: { price: asc }', ["a", "b", "d"]),
        ('query: "", distinct: sku', ["a", "b", "d"]),
    ],
)
def test_the_filter_of_a_token_holds_for_each_search(shop: Shop, arguments: str, found: list[str]) -> None:
    token = SearchToken(where={"Product": {"live": True}})
    query = f"{{ a: searchProduct({arguments}) {{ totalCount hits {{ node {{ sku }} }} }} }}"
    assert skus(ask(shop, query, token), "a") == found


def test_counts_and_other_models_obey_it(shop: Shop) -> None:
    token = SearchToken(where={"Product": {"live": True}, "Maker": {"name": {"equals": "Acme"}}})
    query = """{
      searchProduct(
        query: "", facets: [{ field: live, disjunctive: true }, { field: category }, { field: price }]
      ) {
        totalCount facets { field values { value count } stats { min max } }
      }
      search(queries: [{ model: Product, query: "" }, { model: Maker, query: "" }]) {
        totalCount hits { model product { sku } maker { id } }
      }
    }"""
    data = json.loads(ask(shop, query, token).body)["data"]
    live, category, price = data["searchProduct"]["facets"]
    assert (data["searchProduct"]["totalCount"], live["values"]) == (3, [{"value": "true", "count": 3}])
    assert {each["value"] for each in category["values"]} == {"audio", "video"}
    assert price["stats"]["min"] == 0
    assert data["search"]["totalCount"] == 4
    assert [hit["maker"] for hit in data["search"]["hits"] if hit["maker"]] == [{"id": "acme"}]


@pytest.mark.parametrize(
    "where", [{"lve": True}, {"live": {"is": 1}}, {"AND": "x"}, {"live": "yes"}, {"live": [True]}]
)
def test_a_filter_that_does_not_fit_the_schema_finds_nothing(shop: Shop, where: Any) -> None:
    answer = json.loads(ask(shop, ALL, SearchToken(where={"Product": where})).body)
    assert answer["errors"]
    assert not answer.get("data")


def test_a_filter_may_use_relations_that_the_client_may_not(shop: Shop) -> None:
    token = SearchToken(where={"Product": {"maker": {"is": {"name": {"equals": "Acme"}}}}})
    assert skus(ask(shop, ALL, token)) == ["b"]
    assert skus(ask(shop, ALL.replace('""', '"", where: { price: { gt: 400 } }'), token)) == []


def test_past_states_are_refused(shop: Shop) -> None:
    assert refused(ask(shop, ALL, SearchToken(), x_lamdb_as_of="2")) == (403, "FORBIDDEN")


def forged() -> Iterator[str]:
    token = SearchToken(("Product",), {"Product": {"live": True}}).sign(KEY)
    content, signature = token.removeprefix(PREFIX).split(".")
    other = base64.urlsafe_b64encode(orjson.dumps({})).rstrip(b"=").decode()
    yield f"{PREFIX}{other}.{signature}"
    yield f"{PREFIX}{content}"
    yield f"{PREFIX}{content}."
    yield f"{PREFIX}{content}.{signature[:-1]}"
    yield f"{PREFIX}{content}.{signature}x"
    yield f"{PREFIX}{content}.{signature}é"
    yield f"{PREFIX}.{signature}"
    yield PREFIX
    yield SearchToken().sign("another key, that is as long")
    yield SearchToken(expires=int(time.time())).sign(KEY)
    yield SearchToken(expires=0).sign(KEY)


@pytest.mark.parametrize("token", [pytest.param(each, id=str(n)) for n, each in enumerate(forged())])
def test_tokens_that_are_none(shop: Shop, token: str) -> None:
    answer = ask(shop, ALL, token)
    assert refused(answer) == (401, "UNAUTHORIZED")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert b"Product" not in answer.body


def test_without_a_key_no_token_is_accepted(shop: Shop) -> None:
    assert refused(ask(shop, ALL, SearchToken(), HttpOptions())) == (401, "UNAUTHORIZED")
    for scheme in ("bearer", "BEARER", "Bearer  "):
        refusal = ask(shop, ALL, "", HttpOptions(), authorization=f"{scheme} {SearchToken().sign(KEY)}")
        assert refused(refusal) == (401, "UNAUTHORIZED")


def test_other_tokens_are_none_of_its_business(shop: Shop) -> None:
    answer = ask(shop, "{ findManyTag { name } }", "", authorization="Bearer something")
    assert "errors" not in json.loads(answer.body)


@pytest.mark.parametrize(
    "content",
    [{"fields": ["a"]}, {"models": "Product"}, {"models": [1]}, {"where": []}, {"where": {"Product": 1}},
     {"expires": "soon"}, {"expires": True}, {"relations": 1}, []],
)  # fmt: skip
def test_a_restriction_that_is_not_known_makes_a_token_invalid(content: Any) -> None:
    import hmac

    text = PREFIX + base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=").decode()
    signature = base64.urlsafe_b64encode(hmac.digest(KEY.encode(), text.encode(), "sha256")).rstrip(b"=")
    with pytest.raises(Unauthorized):
        SearchToken.verify(f"{text}.{signature.decode()}", KEY)


def test_a_token_is_what_was_signed() -> None:
    token = SearchToken(("A", "B"), {"A": {"x": "ü"}}, relations=True, expires=int(time.time()) + 60)
    assert SearchToken.verify(token.sign(KEY), KEY) == token
    with pytest.raises(ValueError, match="too long"):
        SearchToken(where={"A": {"x": "y" * 9000}}).sign(KEY)
    with pytest.raises(ValueError, match="no key"):
        SearchToken().sign("")
