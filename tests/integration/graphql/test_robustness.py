"""Broken documents and odd variables: whatever comes in, a response goes out, never an internal error."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.graphql_blog import blog_api, blog_engine, blog_types, empty_blog

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.storage import Database

DOCUMENTS = [
    """query Q($n: Int = 2, $w: PostWhereInput) { p: findManyPost(where: $w, take: $n) { ...F } }
    fragment F on Post { id author { name } tags(where: { name: { in: ["a", "b"] } }) { name } }""",
    """mutation { createOneUser(data: { email: "e", meta: { a: [1, null] },
    posts: { create: [{ id: 1, title: "t" }], connect: { id: 2 } } }) {
    id posts(orderBy: { id: desc }, cursor: { id: 1 }) { title } } }""",
    "{ groupByUser(by: [role, name], having: { score: { _avg: { gt: 1.5 } } }) { role _count { _all } } }",
    "{ aggregatePost(where: { likes: { gt: 1, not: { in: [2] } } }) { _sum { likes } _count { _all id } } }",
    """mutation ($d: UserUpdateInput!) { updateOneUser(where: { id: 1 }, data: $d) {
    a: posts { id } b: posts(take: 1) { id } } }""",
    """{ findManyUser(where: { email: { equals: { _ref: "name", _container: "User" } } }) {
    _count { posts } } }""",
    """query ($s: Boolean!) { findFirstSeat(where: { row: 1 }) @skip(if: $s) {
    row labels { text @include(if: $s) } } }""",
    '{ __schema { types { name } } __type(name: "Post") { fields { name type { ofType { name } } } } }',
    """mutation { upsertOneTag(where: { name: "x" }, create: { name: "x" }, update: { name: { set: "y" } }) {
    name } }""",
]
SEED = """mutation {
  a: createOneUser(data: { email: "e", role: ADMIN, big: 1, score: 1.5, price: "12.5", photo: "AQID",
    meta: [1],
    posts: { create: [{ id: 1, title: "red", likes: 1 }, { id: 2, title: "1", likes: 2 }] } }) { id }
  b: createOneTag(data: { name: "red" }) { name } c: createOnePost(data: { id: 3, title: "é" }) { id }
}"""
TOKEN = re.compile(r'"[^"]*"|\.\.\.|[A-Za-z_0-9.]+|\S')
ODD = [
    "null",
    "-1",
    "99999999999999999999",
    "1e400",
    "{}",
    "[]",
    "DbNull",
    "ADMIN",
    "@skip",
    "...",
    "fragment",
]
WORDS = [*sorted({token for document in DOCUMENTS for token in TOKEN.findall(document)}), *ODD, '"{"']
NAMES = [
    "AND",
    "OR",
    "NOT",
    "id",
    "title",
    "likes",
    "tags",
    "some",
    "connect",
    "create",
    "set",
    "$type",
    "value",
    "_ref",
    "name",
    "posts",
    "email",
    "meta",
]


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with empty_blog() as made:
        assert b"errors" not in blog_api().execute(made, GraphQLRequest(SEED)).body
        yield made


@st.composite
def broken(draw: st.DrawFn) -> str:
    tokens = TOKEN.findall(draw(st.sampled_from(DOCUMENTS)))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(tokens) - 1))
        change = draw(st.sampled_from(["drop", "replace", "insert", "double"]))
        if change == "drop" and len(tokens) > 1:
            del tokens[place]
        elif change == "replace":
            tokens[place] = draw(st.sampled_from(WORDS))
        elif change == "insert":
            tokens.insert(place, draw(st.sampled_from(WORDS)))
        else:
            tokens.insert(place, tokens[place])
    return " ".join(tokens)


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.sampled_from(["DbNull", "ADMIN", "2024-01-01T00:00:00Z", "asc", "$type"])
)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


def answer(database: Database, text: str, variables: dict[str, Any]) -> dict[str, Any]:
    result = blog_api().execute(database, GraphQLRequest(text, variables))
    response = json.loads(result.body)
    assert response.keys() <= {"data", "errors"}
    assert ("data" in response) is result.executed
    for error in response.get("errors", ()):
        assert error["message"]
        assert error["extensions"]["code"] not in ("INTERNAL", "ENGINE"), (text, variables, error)
        assert len(json.dumps(error)) < 20_000
    return response


@given(
    text=broken(), variables=st.fixed_dictionaries({}, optional={"n": anything, "w": anything, "d": anything})
)
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_broken_documents(database: Database, text: str, variables: dict[str, Any]) -> None:
    answer(database, text, variables)


@given(w=anything, d=anything, n=anything)
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_odd_variables(database: Database, w: Any, d: Any, n: Any) -> None:
    answer(
        database,
        """query ($w: PostWhereInput, $n: [Int!]) {
          findManyPost(where: { AND: [$w, { id: { in: $n } }] }) {
            id tags(where: { posts: { some: $w } }) { name } } }""",
        {"w": w, "n": n},
    )
    answer(
        database,
        "mutation ($d: UserUpdateInput!, $m: Json) { updateOneUser(where: { id: 1 }, data: $d) { id } "
        'createOneUser(data: { email: "e", meta: $m }) { meta } }',
        {"d": d, "m": n},
    )


# Documents that differ in their literals: the second of a kind is not compiled again. What it answers must be
# what an API that has never seen its like would answer. (The mutation always fails, so nothing changes.)
TEMPLATES = [
    "{ findManyPost(where: { id: { in: [?, ?] }, title: { contains: ? } }, take: ?) { id title } }",
    "{ findUniqueUser(where: { id: ? }) { a: posts(take: ?) { id } b: posts(skip: ?) { id } name } }",
    "{ findManyUser(where: { role: ?, big: ?, created: { lt: ? } }, distinct: ?) { id role } }",
    """{ findManyUser(where: { meta: { equals: [?, { x: ? }] } }) { email }
    x: findFirstTag(where: { name: ? }) { name } }""",
    "{ findManyUser(where: { meta: { equals: ? }, score: ?, price: ?, photo: ? }) { email } }",
    "query ($n: Int = ?) { findManyPost(take: $n, where: { likes: ? }) { id } __type(name: ?) { name } }",
    """{ findManyPost(take: ?) { id } findManyPost(take: ?) { title }
    t: findManyTag(where: { name: "é" }) { name } }""",
    "{ findFirstUser @skip(if: ?) { posts(where: { likes: ? }) { id } _count { posts(where: { id: ? }) } } }",
    """mutation { createOneTag(data: { name: ? }) { name }
    updateOnePost(where: { id: ? }, data: { title: ? }) { id }
    deleteOneTag(where: { name: "none" }) { name } }""",
]
literals = st.one_of(
    st.integers(-3, 8).map(str),
    st.sampled_from(
        ["2147483648", "9223372036854775808", "1.5", "1e400", "true", "null", "ADMIN", "01", "[1]"]
    ),
    st.sampled_from(
        [
            '"red"',
            '"1"',
            '"ADMIN"',
            '"name"',
            '"NOPE"',
            '"{}"',
            '"[1]"',
            '"é"',
            '"\\n"',
            '"""x"""',
            '"Post"',
            '"DbNull"',
        ]
    ),
    st.sampled_from(['"2024-01-01T00:00:00Z"', '"AQID"', '"12.5"', '"x', '"a" # "b"\n', "1-2", "-"]),
)


@st.composite
def filled(draw: st.DrawFn) -> list[str]:
    template = draw(st.sampled_from(TEMPLATES)).split("?")
    kinds = [draw(literals) for _ in template[1:]]
    texts = []
    for _ in range(3):
        chosen = [kind if draw(st.booleans()) else draw(literals) for kind in kinds]
        texts.append(template[0] + "".join(a + b for a, b in zip(chosen, template[1:], strict=True)))
    return texts


@given(texts=filled())
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
def test_documents_alike_are_answered_as_if_they_were_new(database: Database, texts: list[str]) -> None:
    shared = Api(blog_engine(), blog_types())
    for text in texts:
        body = shared.execute(database, GraphQLRequest(text)).body
        fresh = Api(blog_engine(), blog_types()).execute(database, GraphQLRequest(text)).body
        assert json.loads(body) == json.loads(fresh), texts
        assert b'"INTERNAL"' not in body
