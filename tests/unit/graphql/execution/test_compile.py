"""Operations become requests and shapes: what is asked of Prisma, and what is made of the answer."""

import pytest
from tests.support.graphql_blog import blog_types

from lamdb.errors import QueryError
from lamdb.graphql.document.document import load
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.operation import ConstantRoot, DataRoot, FailedRoot, IntrospectionRoot
from lamdb.prisma.query.engine import TemplateVariable
from lamdb.prisma.query.plan import Constant, Nested, ScalarOutput, Shape


@pytest.fixture(scope="module")
def compiler():
    return OperationCompiler(blog_types())


def roots(compiler, text, **flags):
    document = load(text)
    return compiler.operation(document.operation(None), document.fragments, flags, {})


def only(compiler, text, **flags):
    (root,) = roots(compiler, text, **flags)
    assert isinstance(root, DataRoot)
    return root


def test_a_root_field_is_an_action_on_a_model(compiler):
    root = only(compiler, "{ mine: findManyPost(take: 2) { id } }")
    assert root.key == "mine"
    assert root.request == {
        "modelName": "Post",
        "action": "findMany",
        "query": {"arguments": {"take": 2}, "selection": {"id": True}},
    }
    assert root.shape == Shape.of(ScalarOutput("id", "id"))
    assert (root.nullable, root.bindings, root.follow_ups) == (False, (), ())


@pytest.mark.parametrize(
    ("text", "action", "nullable"),
    [
        ("{ findUniquePost(where: { id: 1 }) { id } }", "findUnique", True),
        ("{ findUniquePostOrThrow(where: { id: 1 }) { id } }", "findUniqueOrThrow", True),
        ("{ findFirstPost { id } }", "findFirst", True),
        ("{ aggregatePost { _count { _all } } }", "aggregate", False),
        ("{ groupByPost(by: likes) { likes } }", "groupBy", False),
        ('mutation { createOneTag(data: { name: "x" }) { name } }', "createOne", False),
        ("mutation { deleteOnePost(where: { id: 1 }) { id } }", "deleteOne", True),
        ("mutation { deleteManyPost { count } }", "deleteMany", False),
        ("mutation { createManyTagAndReturn(data: []) { name } }", "createManyAndReturn", False),
    ],
)
def test_actions(compiler, text, action, nullable):
    root = only(compiler, text)
    assert (root.action, root.nullable) == (action, nullable)


def test_the_shape_has_aliases_constants_and_nested_shapes(compiler):
    root = only(compiler, "{ findFirstPost { __typename n: title title author { e: email __typename } } }")
    assert root.shape == Shape.of(
        Constant("__typename", "Post"),
        ScalarOutput("n", "title"),
        ScalarOutput("title", "title"),
        Nested("author", "author", Shape.of(ScalarOutput("e", "email"), Constant("__typename", "User"))),
    )
    assert root.request["query"]["selection"] == {
        "title": True,
        "author": {"arguments": {}, "selection": {"email": True}},
    }


def test_names_with_the_same_arguments_share_one_selection(compiler):
    root = only(compiler, "{ findFirstUser { a: posts(take: 1) { id } b: posts(take: 1) { t: title } } }")
    assert root.request["query"]["selection"] == {
        "posts": {"arguments": {"take": 1}, "selection": {"id": True, "title": True}}
    }
    assert root.shape == Shape.of(
        Nested("a", "posts", Shape.of(ScalarOutput("id", "id"))),
        Nested("b", "posts", Shape.of(ScalarOutput("t", "title"))),
    )


def test_a_variable_is_the_same_argument_as_itself_only(compiler):
    same = "query ($n: Int) { findFirstUser { a: posts(take: $n) { id } b: posts(take: $n) { id } } }"
    other = (
        "query ($n: Int, $m: Int) { findFirstUser { a: posts(take: $n) { id } b: posts(take: $m) { id } } }"
    )
    assert not only(compiler, same).follow_ups
    assert len(only(compiler, other).follow_ups) == 1


def test_an_enum_is_not_the_same_argument_as_its_name_in_quotes(compiler):
    text = """{ findFirstUser {
      a: posts(where: { author: { meta: { equals: DbNull } } }) { id }
      b: posts(where: { author: { meta: { equals: "\\"DbNull\\"" } } }) { id } } }"""
    assert len(only(compiler, text).follow_ups) == 1


def test_other_arguments_are_followed_up(compiler):
    root = only(
        compiler, "{ findManySeat { a: labels(take: 1) { id } b: labels(take: 2) { text seat { row } } } }"
    )
    assert root.request["query"]["selection"] == {
        "labels": {"arguments": {"take": 1}, "selection": {"id": True}},
        "row": True,
        "column": True,
    }
    (follow_up,) = root.follow_ups
    assert (follow_up.model, follow_up.path, follow_up.identity) == ("Seat", (), ("row", "column"))
    assert (follow_up.inner, follow_up.source, follow_up.slot) == ((), "labels", "labels#1")
    assert follow_up.selection == {
        "row": True,
        "column": True,
        "labels": {
            "arguments": {"take": 2},
            "selection": {"text": True, "seat": {"arguments": {}, "selection": {"row": True}}},
        },
    }


def test_follow_ups_below_relations_and_counts(compiler):
    root = only(
        compiler,
        """{ findManyUser { posts { tags(take: 1) { name } more: tags { name }
          _count { a: tags(where: { name: "x" }) b: tags } } } }""",
    )
    tags, count = root.follow_ups
    assert (tags.path, tags.model, tags.identity, tags.inner) == (("posts",), "Post", ("id",), ())
    assert (count.path, count.inner, count.source, count.slot) == (("posts",), ("_count",), "tags", "tags#1")
    assert count.selection == {
        "id": True,
        "_count": {"arguments": {}, "selection": {"tags": True}},
    }


def test_variables_stay_open(compiler):
    root = only(
        compiler,
        """query ($i: [Int!], $t: String) { findManyPost(where: { id: { in: $i } }) {
          tags(where: { name: $t }) { name } } }""",
    )
    query = root.request["query"]
    assert query["arguments"] == {"where": {"id": {"in": TemplateVariable("0")}}}
    assert query["selection"]["tags"]["arguments"] == {"where": {"name": TemplateVariable("1")}}
    assert [binding.key for binding in root.bindings] == ["0", "1"]
    assert root.bindings[0].source.bind({"i": [1]}) == [1]


@pytest.mark.parametrize(("flag", "selection"), [(True, {"title": True}), (False, {"likes": True})])
def test_directives(compiler, flag, selection):
    text = "query ($f: Boolean!) { findFirstPost { title @include(if: $f) likes @skip(if: $f) } }"
    assert only(compiler, text, f=flag).request["query"]["selection"] == selection


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("{ findFirstPost { __typename } }", {"id": True}),
        ("{ findFirstSeat { __typename } }", {"row": True, "column": True}),
        ("mutation { deleteManyPost { __typename } }", {"count": True}),
        (
            "{ groupByPost(by: likes) { __typename } }",
            {"_count": {"arguments": {}, "selection": {"id": True}}},
        ),
    ],
)
def test_something_is_always_selected(compiler, text, selection):
    assert only(compiler, text).request["query"]["selection"] == selection


def test_roots_of_every_kind(compiler):
    text = """{ __typename d: findManyPost { id } s: __schema { description }
      f: findManyUser(where: { meta: { equals: "{" } }) { id } }"""
    constant, data, introspection, failed = roots(compiler, text)
    assert constant == ConstantRoot("__typename", "Query")
    assert isinstance(data, DataRoot)
    assert isinstance(introspection, IntrospectionRoot)
    assert isinstance(failed, FailedRoot)


def test_a_number_that_no_protocol_can_write_fails_the_document(compiler):
    with pytest.raises(QueryError, match="64 bit float"):
        roots(compiler, "{ findManyUser(where: { score: 1e999 }) { id } }")


def test_identities(compiler):
    assert [compiler.identity(model) for model in ("User", "Post", "Tag", "Seat", "Label")] == [
        ("id",),
        ("id",),
        ("name",),
        ("row", "column"),
        ("id",),
    ]
    assert compiler.identity("Nothing") == ()
