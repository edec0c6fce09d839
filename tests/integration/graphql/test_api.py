"""The GraphQL API on a real database: the whole way from a request's text to the bytes of its response."""

import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.support.graphql_blog import blog_api, blog_engine, blog_schema, blog_types, empty_blog

from lamdb.errors import DocumentInvalid, Fenced
from lamdb.graphql.api import Api, GraphQLRequest, Result
from lamdb.graphql.document import document as documents
from lamdb.graphql.document.document import Limits
from lamdb.graphql.schema.types import ApiTypes
from lamdb.storage import Database

SEED = """mutation {
  a: createOneUser(data: { email: "ann@x", name: "Ann", role: ADMIN, posts: { create: [
    { id: 1, title: "one", likes: 5, tags: { create: [{ name: "red" }, { name: "blue" }] } },
    { id: 2, title: "two", likes: 7, tags: { connect: { name: "red" } } },
    { id: 3, title: "three" } ] } }) { id }
  b: createOneUser(data: { email: "bob@x", posts: { create: { id: 4, title: "four", parentId: 1 } },
    seats: { create: [
      { row: 1, column: "A", labels: { create: [{ id: 1, text: "x" }, { id: 2, text: "y" }] } },
      { row: 1, column: "B", labels: { create: { id: 3, text: "z" } } } ] } }) { id }
}"""


class Blog:
    """An API with its database, and what a client would see of it."""

    def __init__(self, database: Database, api: Api) -> None:
        self.database = database
        self.api = api

    def result(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> Result:
        return self.api.execute(self.database, GraphQLRequest(query, variables, **more))

    def response(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> Any:
        return json.loads(self.result(query, variables, **more).body)

    def data(self, query: str, variables: dict[str, Any] | None = None, **more: Any) -> Any:
        response = self.response(query, variables, **more)
        assert "errors" not in response, response["errors"]
        return response["data"]

    def errors(
        self, query: str, variables: dict[str, Any] | None = None, **more: Any
    ) -> list[dict[str, Any]]:
        return self.response(query, variables, **more)["errors"]


@pytest.fixture
def blog() -> Iterator[Blog]:
    with empty_blog() as database:
        made = Blog(database, blog_api())
        made.data(SEED)
        yield made


# The language


def test_aliases_come_out_in_the_order_of_the_document(blog):
    body = blog.result('{ who: findUniqueUser(where: { email: "ann@x" }) { n: name m: email name } }').body
    assert body == b'{"data":{"who":{"n":"Ann","m":"ann@x","name":"Ann"}}}'


def test_typename_everywhere(blog):
    query = """{ __typename t: __typename
      findFirstUser { __typename posts { __typename } _count { __typename } }
      aggregateUser { __typename _count { _all } } }"""
    assert blog.data(query) == {
        "__typename": "Query",
        "t": "Query",
        "findFirstUser": {
            "__typename": "User",
            "posts": [{"__typename": "Post"}] * 3,
            "_count": {"__typename": "UserCountOutputType"},
        },
        "aggregateUser": {"__typename": "AggregateUser", "_count": {"_all": 2}},
    }


@pytest.mark.parametrize(
    "query",
    [
        "{ findManyUser { __typename } }",
        "{ findManyUser { id @skip(if: true) __typename } }",
        "{ findManyUser { ... on User { __typename } } }",
    ],
)
def test_nothing_but_typename(blog, query):
    assert blog.data(query) == {"findManyUser": [{"__typename": "User"}, {"__typename": "User"}]}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("{ groupByUser(by: [role]) { __typename } }", [{"__typename": "UserGroupByOutputType"}] * 2),
        ("{ aggregateUser { __typename } }", {"__typename": "AggregateUser"}),
        ("{ aggregateUser { _sum { __typename } } }", {"_sum": {"__typename": "UserSumAggregateOutputType"}}),
        (
            "{ findFirstSeat { labels { seat { __typename } } } }",
            {"labels": [{"seat": {"__typename": "Seat"}}] * 2},
        ),
    ],
)
def test_typename_where_something_must_be_selected(blog, query, answer):
    (found,) = blog.data(query).values()
    assert found == answer


def test_nothing_at_all_is_left(blog):
    assert blog.data("{ findManyUser { id @include(if: false) } }") == {"findManyUser": [{}, {}]}


def test_fragments_named_inline_and_nested(blog):
    query = """
      query { findFirstPost(where: { id: 1 }) { ...A ... on Post { likes } ... @include(if: true) { id } } }
      fragment A on Post { title author { ...B } }
      fragment B on User { name ...C }
      fragment C on User { email }
    """
    assert blog.data(query) == {
        "findFirstPost": {
            "title": "one",
            "author": {"name": "Ann", "email": "ann@x"},
            "likes": 5,
            "id": 1,
        }
    }


def test_equal_response_names_merge(blog):
    query = """{ findFirstPost(where: { id: 1 }) { author { name } tags { name } ...F author { id } } }
      fragment F on Post {
        author { email posts(where: { id: 2 }) { id } }
        author { posts(where: { id: 2 }) { title } } }"""
    assert blog.data(query) == {
        "findFirstPost": {
            "author": {"name": "Ann", "email": "ann@x", "posts": [{"id": 2, "title": "two"}], "id": 1},
            "tags": [{"name": "blue"}, {"name": "red"}],
        }
    }


@pytest.mark.parametrize(("flag", "keys"), [(True, {"id", "title"}), (False, {"id", "likes"})])
def test_skip_and_include_with_variables(blog, flag, keys):
    query = """query ($f: Boolean!, $g: Boolean = true) {
      findFirstPost { id @include(if: $g) title @include(if: $f) likes @skip(if: $f) } }"""
    assert blog.data(query, {"f": flag})["findFirstPost"].keys() == keys
    assert "id" not in blog.data(query, {"f": flag, "g": False})["findFirstPost"]


def test_a_null_flag(blog):
    query = "query ($f: Boolean = true) { findFirstPost { id @include(if: $f) } }"
    (error,) = blog.errors(query, {"f": None})
    assert error["extensions"]["code"] == "BAD_VARIABLES"


def test_operations_are_chosen_by_name(blog):
    query = "query A { findFirstPost { id } } query B($t: Int) { findManyPost(take: $t) { id } }"
    assert blog.data(query, operation_name="A") == {"findFirstPost": {"id": 1}}
    assert blog.data(query, {"t": 1}, operation_name="B") == {"findManyPost": [{"id": 1}]}
    for name in (None, "C"):
        result = blog.result(query, operation_name=name)
        assert (result.executed, result.kind, result.status) == (False, None, 400)


def test_strings_of_every_kind(blog):
    query = '''mutation ($t: String!) {
      a: createOnePost(data: { id: 10, title: """
          block "quoted"
            ünï \\""" end
      """ }) { title }
      b: createOnePost(data: { id: 11, title: "tab\\t \\u00e9 \\u{1F600} \\ud83d\\ude00" }) { title }
      c: createOnePost(data: { id: 12, title: $t }) { title }
    }'''
    assert blog.data(query, {"t": "日本\u0000\n"}) == {
        "a": {"title": 'block "quoted"\n  ünï """ end'},
        "b": {"title": "tab\t é 😀 😀"},
        "c": {"title": "日本\u0000\n"},
    }


# Variables


@pytest.mark.parametrize(
    ("query", "variables"),
    [
        ("query ($w: PostWhereInput) { p: findManyPost(where: $w) { id } }", {"w": {"likes": {"gt": 4}}}),
        ("query ($w: IntFilter) { p: findManyPost(where: { likes: $w }) { id } }", {"w": {"gt": 4}}),
        ("query ($n: Int) { p: findManyPost(where: { likes: { gt: $n } }) { id } }", {"n": 4}),
        ("query ($n: Int = 4) { p: findManyPost(where: { likes: { gt: $n } }) { id } }", {}),
        ("query ($n: Int!) { p: findManyPost(where: { likes: { in: [5, $n] } }) { id } }", {"n": 7}),
        ("query ($n: [Int!]) { p: findManyPost(where: { likes: { in: $n } }) { id } }", {"n": [5, 7]}),
        (
            """query ($n: [Int!], $m: Int) {
              p: findManyPost(where: { AND: [{ likes: { in: $n } }, { id: { gte: $m } }] }) { id } }""",
            {"n": [5, 7, 9], "m": 0},
        ),
        (
            """query ($o: [PostOrderByWithRelationInput!], $t: Int) {
              p: findManyPost(orderBy: $o, take: $t) { id } }""",
            {"o": [{"id": "asc"}], "t": 2},
        ),
        ("query ($s: SortOrder) { p: findManyPost(orderBy: { id: $s }, take: 2) { id } }", {"s": "asc"}),
        ("query ($w: PostWhereInput) { p: findManyPost(where: $w, take: 2) { id } }", {}),
        ("query ($n: Int) { p: findManyPost(where: { likes: { gt: $n } }, take: 2) { id } }", {}),
    ],
)
def test_variables_anywhere(blog, query, variables):
    assert blog.data(query, variables) == {"p": [{"id": 1}, {"id": 2}]}


@pytest.mark.parametrize(
    ("query", "variables", "message"),
    [
        (
            "query ($n: Int!) { findManyPost(take: $n) { id } }",
            {},
            'Variable "$n" of required type "Int!" was not',
        ),
        ("query ($n: Int!) { findManyPost(take: $n) { id } }", {"n": None}, "not to be null"),
        (
            "query ($n: Int) { findManyPost(take: $n) { id } }",
            {"n": "x"},
            '"x"; Int cannot represent non-integer value: "x"',
        ),
        ("query ($n: Int) { findManyPost(take: $n) { id } }", {"n": 2**31}, "non 32-bit signed integer"),
        ("query ($n: Int) { findManyPost(take: $n) { id } }", {"n": True}, "non-integer value: true"),
        (
            "query ($r: Role) { findManyUser(where: { role: $r }) { id } }",
            {"r": "BOSS"},
            'Value "BOSS" does not exist in "Role" enum',
        ),
        (
            "query ($w: PostWhereInput) { findManyPost(where: $w) { id } }",
            {"w": [1]},
            'got invalid value [1]; Expected type "PostWhereInput" to be an object',
        ),
        (
            "query ($i: [Int!]) { findManyPost(where: { id: { in: $i } }) { id } }",
            {"i": [1, None]},
            'Expected non-nullable type "Int!" not to be null',
        ),
    ],
)
def test_variables_of_the_wrong_type(blog, query, variables, message):
    result = blog.result(query, variables)
    (error,) = json.loads(result.body)["errors"]
    assert message in error["message"]
    assert error["extensions"]["code"] == "BAD_VARIABLES"
    assert (result.executed, result.kind, result.status) == (False, "query", 400)


def test_what_is_wrong_inside_an_object_is_said_of_the_variable(blog):
    query = "query ($w: PostWhereInput) { findManyPost(where: $w) { id } }"
    (error,) = blog.errors(query, {"w": {"likes": "many"}})
    assert error["extensions"]["code"] == "BAD_VARIABLES"
    assert 'got invalid value "many" at "w.likes"' in error["message"]
    assert error["locations"] == [{"line": 1, "column": 8}]
    (error,) = blog.errors(query, {"w": {"zork": 1}})
    assert "Field 'zork' is not defined by type 'PostWhereInput'" in error["message"]


def test_the_description_of_a_whole_input_type_is_left_out(blog):
    (error,) = blog.errors("{ findManyPost(where: { zork: 1 }) { id } }")
    assert "`findManyPost.where.zork`: Field does not exist" in error["message"]
    assert len(json.dumps(error)) < 1000


def test_variables_that_nest_without_end(blog):
    deep: dict[str, Any] = {}
    for _ in range(900):
        deep = {"AND": deep}
    (error,) = blog.errors("query ($w: PostWhereInput) { findManyPost(where: $w) { id } }", {"w": deep})
    assert "more than 100 levels" in error["message"]


def test_a_filter_as_deep_as_variables_may_be(blog):
    deep: dict[str, Any] = {"id": 1}
    for _ in range(98):
        deep = {"AND": deep}
    assert blog.data("query ($w: PostWhereInput) { findManyPost(where: $w) { id } }", {"w": deep}) == {
        "findManyPost": [{"id": 1}]
    }


def test_every_scalar_goes_in_and_comes_out(blog):
    query = """mutation ($d: UserCreateInput!) { createOneUser(data: $d) {
      big price score photo meta active created role } }"""
    given = {
        "email": "x",
        "big": "9007199254740993",
        "price": "12.5",
        "score": 3,
        "photo": "AQID",
        "meta": '{"b": [1, null], "a": "é"}',
        "active": False,
        "created": "2024-02-29T12:00:00.5+02:00",
        "role": "ADMIN",
    }
    assert blog.data(query, {"d": given})["createOneUser"] == {
        "big": "9007199254740993",
        "price": "12.5",
        "score": 3.0,
        "photo": "AQID",
        "meta": '{"b":[1,null],"a":"é"}',
        "active": False,
        "created": "2024-02-29T10:00:00.500Z",
        "role": "ADMIN",
    }


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("big", '"x"', "P2009"),
        ("created", '"yesterday"', "P2009"),
        ("photo", '"?"', "P2009"),
        ("price", '"1,5"', "P2009"),
        ("meta", '"{"', "P2009"),
        ("big", "9223372036854775808", "P2033"),
        ("active", '"yes"', "P2009"),
    ],
)
def test_scalars_that_are_none(blog, field, text, code):
    (error,) = blog.errors(f'mutation {{ createOneUser(data: {{ email: "y", {field}: {text} }}) {{ id }} }}')
    assert error["extensions"]["code"] == code


# Raw queries


def test_raw_queries_are_not_there_unless_switched_on(blog):
    (refusal,) = blog.errors('mutation { queryRaw(query: "SELECT 1") }')
    assert refusal["message"].startswith("Cannot query field 'queryRaw' on type 'Mutation'.")


@pytest.mark.parametrize(
    ("parameters", "variables"),
    [('"[1, 2]"', {}), ("[1, 2]", {}), ("$p", {"p": "[1, 2]"}), ("$p", {"p": [1, 2]})],
)
def test_a_raw_query_takes_its_parameters_as_text_or_as_a_list(blog, parameters, variables):
    blog.api = Api(blog_engine(), ApiTypes.from_dmmf(blog_schema().dmmf, raw=True))
    head = "mutation ($p: Json)" if variables else "mutation"
    raw = f'queryRaw(query: "SELECT ?2 - ?1 AS less", parameters: {parameters})'
    assert blog.data(f"{head} {{ {raw} }}", variables) == {
        "queryRaw": {"columns": ["less"], "types": ["bigint"], "rows": [["1"]]}
    }


# A filter given twice


def test_of_a_filter_given_twice_the_later_one_counts(blog):
    def found(where):
        return [
            post["id"] for post in blog.data(f"{{ findManyPost(where: {where}) {{ id }} }}")["findManyPost"]
        ]

    assert found("{ id: { gt: 2 }, id: { lt: 4 } }") == found("{ id: { lt: 4 } }") == [1, 2, 3]


# One relation, several times


def separately(blog: Blog, where: str, *selections: str) -> dict[str, Any]:
    """The responses of one request for each selection of `findManyUser`, put together."""
    merged: dict[str, Any] = {}
    for selection in selections:
        for number, record in enumerate(
            blog.data(f"{{ findManyUser({where}) {{ {selection} }} }}")["findManyUser"]
        ):
            merged.setdefault(str(number), {}).update(record)
    return merged


def test_a_relation_under_several_names_with_other_arguments(blog):
    selections = (
        "a: posts(take: 1) { id }",
        'b: posts(where: { title: { contains: "o" } }, orderBy: { id: desc }) { title tags { name } }',
        "c: posts { n: likes }",
        "posts(take: 1) { title }",
        "d: posts(take: 1, skip: 1) { x: tags(take: 1) { name } y: tags(orderBy: { name: desc }) { name } }",
        "seats { first: labels(take: 1) { id } rest: labels(skip: 1) { id seat { row column } } }",
        "_count { all: posts some: posts(where: { likes: { gt: 0 } }) }",
        "k: _count { posts(where: { likes: { gt: 5 } }) seats }",
    )
    found = blog.data(f"{{ findManyUser(orderBy: {{ id: asc }}) {{ {' '.join(selections)} }} }}")[
        "findManyUser"
    ]
    expected = separately(blog, "orderBy: { id: asc }", *selections)
    assert found == list(expected.values())
    assert [list(record) for record in found] == [["a", "b", "c", "posts", "d", "seats", "_count", "k"]] * 2


def test_other_arguments_by_variables(blog):
    query = """query ($n: Int, $m: Int) { findFirstUser(orderBy: { id: asc }) {
      a: posts(take: $n) { id } b: posts(take: $m) { id } c: posts(take: $n) { id } } }"""
    ids = [{"id": 1}, {"id": 2}]
    assert blog.data(query, {"n": 1, "m": 2})["findFirstUser"] == {"a": ids[:1], "b": ids, "c": ids[:1]}
    assert blog.data(query, {"n": 2, "m": 1})["findFirstUser"] == {"a": ids, "b": ids[:1], "c": ids}


def test_records_with_compound_identities(blog):
    query = "{ findManySeat { a: labels(take: 1) { id } b: labels(skip: 1) { id } } }"
    assert blog.data(query) == {
        "findManySeat": [{"a": [{"id": 1}], "b": [{"id": 2}]}, {"a": [{"id": 3}], "b": []}]
    }


def test_no_records_to_follow(blog):
    query = "{ findManyUser(where: { id: 99 }) { a: posts(take: 1) { id } b: posts { id } } }"
    assert blog.data(query) == {"findManyUser": []}
    query = "{ findUniqueUser(where: { id: 99 }) { a: posts(take: 1) { id } b: posts { id } } }"
    assert blog.data(query) == {"findUniqueUser": None}


def test_below_a_relation_that_is_not_there(blog):
    blog.data('mutation { createOnePost(data: { id: 50, title: "alone" }) { id } }')
    query = """{ findManyPost(where: { id: { in: [50, 4] } }) {
      author { a: posts(take: 1) { id } b: posts { id } } } }"""
    both = {"a": [{"id": 4}], "b": [{"id": 4}]}
    assert blog.data(query) == {"findManyPost": [{"author": both}, {"author": None}]}


def test_in_mutations(blog):
    query = """mutation {
      updateOneUser(where: { id: 1 }, data: { posts: { create: { id: 9, title: "nine" } } }) {
      a: posts(orderBy: { id: desc }, take: 1) { title } b: posts(take: 1) { title } } }"""
    assert blog.data(query) == {"updateOneUser": {"a": [{"title": "nine"}], "b": [{"title": "one"}]}}


def test_of_a_record_that_is_deleted(blog):
    query = """mutation { deleteOnePost(where: { id: 1 }) {
      a: tags(take: 1) { name } b: tags(orderBy: { name: desc }) { name } id } }"""
    assert blog.data(query) == {
        "deleteOnePost": {"a": [{"name": "blue"}], "b": [{"name": "red"}, {"name": "blue"}], "id": 1}
    }
    assert blog.data("{ findUniquePost(where: { id: 1 }) { id } }") == {"findUniquePost": None}


def test_of_a_record_that_is_not_there_to_delete(blog):
    query = "mutation { deleteOnePost(where: { id: 77 }) { a: tags(take: 1) { name } b: tags { name } } }"
    (error,) = blog.errors(query)
    assert error["extensions"]["code"] == "P2025"


def test_many_records_are_followed_in_few_reads(blog):
    rows = [{"id": n, "title": f"t{n}", "authorId": 1} for n in range(1000, 7000)]
    blog.data("mutation ($d: [PostCreateManyInput!]!) { createManyPost(data: $d) { count } }", {"d": rows})
    seats = [{"row": 2, "column": str(n)} for n in range(600)]
    blog.data("mutation ($d: [SeatCreateManyInput!]!) { createManySeat(data: $d) { count } }", {"d": seats})
    found = blog.data("{ findManyPost { id a: tags(take: 1) { name } b: tags { name } } }")["findManyPost"]
    assert len(found) == 6004
    assert found[0] == {"id": 1, "a": [{"name": "blue"}], "b": [{"name": "blue"}, {"name": "red"}]}
    found = blog.data("{ findManySeat { column a: labels(take: 1) { id } b: labels { id } } }")[
        "findManySeat"
    ]
    assert len(found) == 602
    assert found[0] == {"column": "A", "a": [{"id": 1}], "b": [{"id": 1}, {"id": 2}]}


# Failing fields


def test_a_nullable_root_field_fails_alone(blog):
    query = """{ a: findFirstUser(orderBy: { id: asc }) { name }
      b: findUniqueUserOrThrow(where: { id: 99 }) { name }
      c: findFirstUser(orderBy: { id: asc }) { email } }"""
    response = blog.response(query)
    assert response["data"] == {"a": {"name": "Ann"}, "b": None, "c": {"email": "ann@x"}}
    (error,) = response["errors"]
    assert error["path"] == ["b"]
    assert error["locations"] == [{"line": 2, "column": 7}]
    assert error["extensions"]["code"] == "P2025"


def test_a_root_field_that_is_never_null_takes_the_data_with_it(blog):
    response = blog.response("{ a: findFirstUser { name } b: groupByUser(by: []) { role } }")
    assert response["data"] is None
    assert response["errors"][0]["path"] == ["b"]
    assert response["errors"][0]["extensions"]["code"] == "P2019"


def test_an_executed_response_with_errors_has_both(blog):
    result = blog.result("{ findUniqueUserOrThrow(where: { id: 99 }) { name } }")
    assert (result.executed, result.kind, result.status) == (True, "query", 200)


# Mutations


def test_fields_run_one_after_another(blog):
    query = """mutation {
      a: createOneTag(data: { name: "t" }) { name }
      b: updateOneTag(where: { name: "t" }, data: { name: "u" }) { name }
      c: deleteOneTag(where: { name: "u" }) { name } }"""
    assert blog.data(query) == {"a": {"name": "t"}, "b": {"name": "u"}, "c": {"name": "u"}}


def test_a_document_is_one_transaction(blog):
    before = blog.database.txid
    response = blog.response("""mutation {
      a: createOneTag(data: { name: "t" }) { name }
      b: createOneTag(data: { name: "red" }) { name }
      c: createOneTag(data: { name: "v" }) { name } }""")
    assert response["data"] is None
    (error,) = response["errors"]
    assert error["path"] == ["b"]
    assert error["locations"] == [{"line": 3, "column": 7}]
    assert error["extensions"]["code"] == "P2002"
    assert error["extensions"]["meta"]["target"] == ["name"]
    assert blog.database.txid == before
    assert blog.data("{ findManyTag(orderBy: { name: asc }) { name } }") == {
        "findManyTag": [{"name": "blue"}, {"name": "red"}]
    }


def test_it_leaves_one_txid(blog):
    before = blog.database.txid
    result = blog.result("""mutation { a: createOneTag(data: { name: "t" }) { name }
      b: createOneTag(data: { name: "u" }) { name } }""")
    assert result.txid == blog.database.txid == before + 1


def test_after_a_failure_the_writer_works(blog):
    blog.errors('mutation { createOneTag(data: { name: "red" }) { name } }')
    assert blog.data('mutation { createOneTag(data: { name: "new" }) { name } }')


def test_queries_see_one_snapshot(blog):
    """Two root fields of one query agree, even while a writer works."""
    stop = threading.Event()

    def write():
        number = 100
        while not stop.is_set():
            number += 1
            blog.data(f'mutation {{ createOnePost(data: {{ id: {number}, title: "n" }}) {{ id }} }}')

    writer = threading.Thread(target=write)
    writer.start()
    try:
        query = """{ a: aggregatePost { _count { _all } }
          b: findManyPost { id } c: aggregatePost { _count { id } } }"""
        for _ in range(100):
            data = blog.data(query)
            counts = {data["a"]["_count"]["_all"], len(data["b"]), data["c"]["_count"]["id"]}
            assert len(counts) == 1
    finally:
        stop.set()
        writer.join()


def test_threads_share_an_api(blog):
    def read(number):
        query = f"query ($i: Int) {{ p: findManyPost(where: {{ id: $i }}) {{ id x{number % 7}: title }} }}"
        return blog.data(query, {"i": number % 4 + 1})["p"][0]["id"] == number % 4 + 1

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(200)))


# Other writers


def test_a_fenced_mutation_is_tried_again(tmp_path):
    url = f"file://{tmp_path}"
    with empty_blog(url) as first, Database.open(url) as second:
        one, other = Blog(first, blog_api()), Blog(second, blog_api())
        for number in range(6):
            writer = (one, other)[number % 2]
            writer.data(
                "mutation ($n: String!) { createOneTag(data: { name: $n }) { name } }", {"n": str(number)}
            )
        first.refresh()
        assert len(one.data("{ findManyTag { name } }")["findManyTag"]) == 6


def test_without_retries_the_client_is_told(tmp_path):
    url = f"file://{tmp_path}"
    api = Api(blog_engine(), blog_types(), fenced_retries=0)
    with empty_blog(url) as first, Database.open(url) as second:
        one, other = Blog(first, api), Blog(second, api)
        one.data('mutation { createOneTag(data: { name: "a" }) { name } }')
        result = other.result('mutation { createOneTag(data: { name: "b" }) { name } }')
        (error,) = json.loads(result.body)["errors"]
        assert (error["extensions"]["code"], error["extensions"]["retryable"]) == ("FENCED", True)
        assert (result.executed, result.status) == (False, Fenced.status)
        assert other.data('mutation { createOneTag(data: { name: "c" }) { name } }')


# Requests that are not executed


def test_an_invalid_document(blog):
    result = blog.result("{ findManyUser { zork } }")
    (error,) = json.loads(result.body)["errors"]
    assert error["message"].startswith("Cannot query field 'zork' on type 'User'.")
    assert "(Prisma: Field 'zork' not found in enclosing type 'User')" in error["message"]
    assert error["locations"] == [{"line": 1, "column": 18}]
    assert error["extensions"]["code"] == "P2009"
    assert (result.executed, result.kind, result.status) == (False, None, 400)
    assert "data" not in json.loads(result.body)


def test_a_syntax_error(blog):
    (error,) = blog.errors("{ findManyUser { id }")
    assert error["extensions"]["code"] == "GRAPHQL_PARSE_FAILED"


@pytest.mark.parametrize(
    ("query", "code", "status"),
    [
        ("{" * 100_000, "DOCUMENT_TOO_DEEP", 400),
        ("{ a" + " " * 300_000 + "}", "DOCUMENT_TOO_LARGE", 413),
    ],
)
def test_documents_beyond_the_limits(blog, query, code, status):
    result = blog.result(query)
    (error,) = json.loads(result.body)["errors"]
    assert error["extensions"]["code"] == code
    assert (result.executed, result.status) == (False, status)


def test_limits_are_settings():
    api = Api(blog_engine(), blog_types(), limits=Limits(root_fields=1))
    with empty_blog() as database:
        (error,) = Blog(database, api).errors("{ a: findManyTag { name } b: findManyTag { name } }")
        assert "2 root fields" in error["message"]


def test_subscriptions_are_refused(blog):
    assert blog.errors("subscription { x }")
    with pytest.raises(DocumentInvalid, match="not supported"):
        blog.api.operation_kind(GraphQLRequest("subscription { x }"))


def test_a_fault_is_logged_and_not_told(blog, caplog, monkeypatch):
    def fail(*_: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("lamdb.graphql.execution.execute.Executor._data", fail)
    with caplog.at_level(logging.ERROR):
        response = blog.response("{ a: findFirstUser { id } }")
    assert response["data"] == {"a": None}
    (error,) = response["errors"]
    assert error["path"] == ["a"]
    assert error["extensions"]["code"] == "INTERNAL"
    assert "secret" not in json.dumps(response)
    assert "secret detail" in caplog.text
    monkeypatch.undo()
    assert blog.data("{ a: findFirstUser { id } }") == {"a": {"id": 1}}


def test_the_kind_is_told_without_executing(blog):
    kind = blog.api.operation_kind
    assert kind(GraphQLRequest("{ nonsense }")) == "query"
    assert kind(GraphQLRequest("query A { x } mutation B { y }", operation_name="B")) == "mutation"
    with pytest.raises(DocumentInvalid):
        kind(GraphQLRequest("{"))


# Introspection


def test_introspection_beside_data(blog):
    query = """query ($t: String = "Tag") { s: __schema { queryType { n: name } }
      __type(name: $t) { kind ...F } findManyTag(orderBy: { name: asc }) { name __typename } }
      fragment F on __Type { fields { name } }"""
    assert blog.data(query) == {
        "s": {"queryType": {"n": "Query"}},
        "__type": {"kind": "OBJECT", "fields": [{"name": "name"}, {"name": "posts"}, {"name": "_count"}]},
        "findManyTag": [{"name": "blue", "__typename": "Tag"}, {"name": "red", "__typename": "Tag"}],
    }


def test_the_whole_schema_comes_compressed_too(blog):
    from graphql import build_client_schema, get_introspection_query

    result = blog.result(get_introspection_query())
    assert result.gzipped is not None
    assert result.gzipped[:2] == b"\x1f\x8b"
    schema = build_client_schema(json.loads(result.body)["data"])
    assert schema.query_type is not None
    assert "findManyPost" in schema.query_type.fields


# Documents alike


def test_documents_with_other_literals_are_compiled_once(monkeypatch):
    compiled = []
    with empty_blog() as database:
        blog = Blog(database, Api(blog_engine(), blog_types()))
        blog.data(SEED)
        parse = documents.load
        monkeypatch.setattr(documents, "load", lambda *given: compiled.append(given) or parse(*given))
        for number in range(1, 5):
            query = f'{{ findManyPost(where: {{ id: {number}, title: {{ not: "{number}" }} }}) {{ id }} }}'
            assert blog.data(query) == {"findManyPost": [{"id": number}]}
        assert len(compiled) == 1


def test_errors_of_documents_alike_have_their_own_places(blog):
    for number in (1, 123456789):
        query = f"{{ a: findFirstPost(where: {{ id: {number} }}) {{ id }}"
        query += " b: findUniquePostOrThrow(where: { id: 99 }) { id } }"
        (error,) = blog.errors(query)
        assert error["locations"] == [{"line": 1, "column": query.index("b:") + 1}]
        assert error["path"] == ["b"]


def test_the_kind_of_a_document_alike_is_known_without_parsing(blog, monkeypatch):
    blog.data("{ findManyPost(take: 1) { id } }")
    monkeypatch.setattr(documents, "load", None)
    assert blog.api.operation_kind(GraphQLRequest("{ findManyPost(take: 2) { id } }")) == "query"
