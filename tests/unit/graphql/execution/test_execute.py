"""Results made in Python: shapes over plain records, and the filters that find records again."""

import pytest

from lamdb.errors import LamdbError, QueryError
from lamdb.graphql.errors import entry, internal
from lamdb.graphql.execution.execute import _criteria, _records, project
from lamdb.prisma.query.plan import Constant, Nested, ScalarOutput, Shape

SHAPE = Shape.of(
    ScalarOutput("n", "name"),
    Constant("__typename", "User"),
    Nested("a", "posts", Shape.of(ScalarOutput("id", "id"))),
    Nested("b", "posts#1", Shape.of(ScalarOutput("t", "title"))),
    Nested("one", "boss", Shape.of(ScalarOutput("name", "name"))),
)


def test_a_shape_is_projected_in_its_order():
    record = {
        "id": 1,
        "name": "Ann",
        "posts": [{"id": 1, "title": "x"}, {"id": 2, "title": "y"}],
        "posts#1": [{"title": "z"}],
        "boss": None,
    }
    (made,) = project(SHAPE, [record])
    assert made == {
        "n": "Ann",
        "__typename": "User",
        "a": [{"id": 1}, {"id": 2}],
        "b": [{"t": "z"}],
        "one": None,
    }
    assert list(made) == ["n", "__typename", "a", "b", "one"]


@pytest.mark.parametrize("result", [None, []])
def test_nothing_is_projected_to_nothing(result):
    assert project(SHAPE, result) == result


def test_records_are_found_through_lists_and_past_nulls():
    result = [{"a": {"b": [{"n": 1}, {"n": 2}]}}, {"a": None}, {"a": {"b": [{"n": 3}]}}]
    assert [record["n"] for record in _records(result, ("a", "b"))] == [1, 2, 3]
    assert list(_records(None, ("a",))) == []
    assert list(_records({"x": 1}, ())) == [{"x": 1}]


def test_one_field_is_looked_for_in_lists_of_bounded_length():
    found = list(_criteria(("id",), [(n,) for n in range(12_000)]))
    assert [len(criterion["id"]["in"]) for criterion in found] == [5000, 5000, 2000]
    assert list(_criteria(("id",), [])) == []


@pytest.mark.parametrize(
    ("records", "terms"), [(1, [1]), (2, [2]), (3, [4]), (5, [8]), (256, [256]), (300, [256, 64])]
)
def test_several_fields_are_looked_for_in_few_sizes(records, terms):
    keys = [(n, "x") for n in range(records)]
    found = list(_criteria(("row", "column"), keys))
    assert [len(criterion["OR"]) for criterion in found] == terms
    looked_for = {(term["row"], term["column"]) for criterion in found for term in criterion["OR"]}
    assert looked_for == set(keys)


# Error entries


def test_an_entry_has_what_is_known():
    error = QueryError("no", code="P2002", meta={"target": ["email"]})
    assert entry(error, locations=[{"line": 1, "column": 2}], path=["a"]) == {
        "message": "no",
        "locations": [{"line": 1, "column": 2}],
        "path": ["a"],
        "extensions": {"code": "P2002", "meta": {"target": ["email"]}},
    }
    assert entry(QueryError("no")).keys() == {"message", "extensions"}


def test_descriptions_of_whole_types_are_left_out():
    described = {"kind": "UnknownInputField", "argumentPath": ["where"], "inputType": {"fields": ["many"]}}
    error = QueryError("no", meta={"kind": "Union", "errors": [described] * 30})
    meta = entry(error)["extensions"]["meta"]
    assert meta["errors"] == [{"kind": "UnknownInputField", "argumentPath": ["where"]}] * 10
    assert "inputType" in error.meta["errors"][0], "the error itself keeps them"


def test_a_fault_says_nothing_to_the_client(caplog):
    made = internal(ZeroDivisionError("secret"), path=["a"])
    assert made["path"] == ["a"]
    assert made["extensions"]["code"] == LamdbError.code
    assert "secret" not in str(made)
    assert "secret" in caplog.text
