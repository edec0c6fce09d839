"""Answers built in the caller's shape."""

from typing import Any

import apsw
import pytest
from tests.unit.prisma.query.plan.plan_nodes import (
    INT,
    child,
    data_map,
    execute,
    get,
    join,
    let,
    map_field,
    node,
    param,
    query,
    record,
    run_closures,
    run_read,
    scalar,
)

from lamdb.prisma.query.plan import Constant, Nested, Plan, ScalarOutput, Shape

ENUMS: dict[str, dict[str, str]] = {}


@pytest.fixture(scope="module")
def db() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT);"
        "CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER, ok BOOLEAN); CREATE INDEX b_a ON b (a_id);"
        "INSERT INTO a VALUES (1, 'it''s'), (2, NULL); INSERT INTO b VALUES (10, 1, 1), (11, 1, 0)"
    )
    return connection


PARENTS = query("SELECT `id`, `name` FROM `a` ORDER BY `id`")
CHILDREN = query(
    "SELECT `id`, `a_id`, `ok` FROM `b` WHERE `b`.`a_id` IN ", (param("ids"), [INT]), " ORDER BY `id`"
)
STRUCTURE = record(
    {
        "id": scalar("id"),
        "name": scalar("name", "string"),
        "bs": record({"id": scalar("id"), "ok": scalar("ok", "boolean")}, under="@bs"),
        "_count": record({"id": scalar("id")}),
    }
)
KEYS = {"ids": map_field("id", get("@p"))}
JOINED = let({"@p": PARENTS}, let(KEYS, join(get("@p"), child(CHILDREN, [("id", "a_id")], "@bs"))))
PLAN = data_map(JOINED, STRUCTURE)

SHAPE = Shape.of(
    Constant("__typename", 'It\'s "A"'),
    Nested("_count", "_count", Shape.of(Constant("none", None), ScalarOutput("number", "id"))),
    ScalarOutput("again", "name"),
    ScalarOutput("name", "name"),
    Nested("bs", "bs", Shape.of(ScalarOutput("ok", "ok"), Constant("__typename", "B"))),
    Nested("alias", "bs", Shape.of(ScalarOutput("key", "id"))),
)
A = 'It\'s "A"'


def test_keys_constants_aliases_and_repeated_fields(db: apsw.Connection) -> None:
    answer = run_read(PLAN, db, shape=SHAPE, lowered=True)
    assert answer == [
        {
            "__typename": A,
            "_count": {"none": None, "number": 1},
            "again": "it's",
            "name": "it's",
            "bs": [{"ok": True, "__typename": "B"}, {"ok": False, "__typename": "B"}],
            "alias": [{"key": 10}, {"key": 11}],
        },
        {
            "__typename": A,
            "_count": {"none": None, "number": 2},
            "again": None,
            "name": None,
            "bs": [],
            "alias": [],
        },
    ]
    assert [list(row) for row in answer] == [["__typename", "_count", "again", "name", "bs", "alias"]] * 2


def test_a_relation_that_is_not_asked_for_is_left_out(db: apsw.Connection) -> None:
    assert run_read(PLAN, db, shape=Shape.of(ScalarOutput("id", "id")), lowered=True) == [
        {"id": 1},
        {"id": 2},
    ]
    assert run_read(PLAN, db, shape=Shape.of(), lowered=True) == [{}, {}]


def test_one_record_and_none(db: apsw.Connection) -> None:
    for wanted, answer in ((1, {"x": "it's"}), (9, None)):
        one = query("SELECT `id`, `name` FROM `a` WHERE `id` = ", (wanted, INT))
        plan = data_map(node("unique", one), STRUCTURE)
        assert run_read(plan, db, shape=Shape.of(ScalarOutput("x", "name"))) == answer


def test_the_count_of_a_mutation(db: apsw.Connection) -> None:
    plan = data_map(execute("DELETE FROM `b` WHERE 0"), {"type": "affectedRows"})
    shape = Shape.of(
        Constant("__typename", "AffectedRowsOutput"),
        ScalarOutput("n", "count"),
        ScalarOutput("count", "count"),
    )
    assert run_closures(plan, db, shape=shape) == {"__typename": "AffectedRowsOutput", "n": 0, "count": 0}


@pytest.mark.parametrize(
    "shape",
    [
        Shape.of(ScalarOutput("x", "absent")),
        Shape.of(Nested("x", "absent", Shape.of())),
        Shape.of(Nested("x", "name", Shape.of())),
        Shape.of(ScalarOutput("x", "bs")),
        Shape.of(Nested("x", "bs", Shape.of(ScalarOutput("y", "absent")))),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_when_it_is_bound(shape: Shape) -> None:
    with pytest.raises(KeyError):
        Plan(PLAN).shaped(shape)


def test_only_records_and_counts_have_shapes() -> None:
    with pytest.raises(KeyError):
        Plan(execute("DELETE FROM `b`")).shaped(Shape.of())
    counted = Plan(data_map(execute("DELETE FROM `b`"), {"type": "affectedRows"}))
    with pytest.raises(KeyError):
        counted.shaped(Shape.of(ScalarOutput("x", "total")))


def test_plans_remember_their_shapes(db: apsw.Connection) -> None:
    plan = Plan(node("transaction", PLAN))
    again: Any = Shape.of(*SHAPE.parts)
    assert plan.shaped(SHAPE) is plan.shaped(again)
    assert plan.shaped(SHAPE).run(db, {})[0]["alias"] == [{"key": 10}, {"key": 11}]
    assert plan.run(db, {})[0]["id"] == 1


def test_a_plan_remembers_a_bounded_number_of_shapes() -> None:
    plan = Plan(PLAN)
    for number in range(200):
        plan.shaped(Shape.of(ScalarOutput(f"alias{number}", "id")))
    assert len(plan._shaped) <= 50


def test_shapes_are_parts_of_keys() -> None:
    assert len({SHAPE, Shape.of(*SHAPE.parts), Shape.of()}) == 2
