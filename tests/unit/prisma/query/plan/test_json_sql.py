"""Lowering to one statement: which plans are lowered, which are not, and the fall-back when SQLite refuses a
value."""

from collections.abc import Iterator
from typing import Any

import apsw
import orjson
import pytest
from tests.unit.prisma.query.plan.plan_nodes import (
    INT,
    Node,
    child,
    data_map,
    execute,
    get,
    join,
    let,
    map_field,
    node,
    param,
    process,
    query,
    raw,
    record,
    run_read,
    scalar,
    validate,
)

from lamdb.errors import QueryError
from lamdb.prisma.query.plan import Plan
from lamdb.prisma.query.plan.json_sql import lower


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE a (id INTEGER PRIMARY KEY, v); CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER);"
        "INSERT INTO a VALUES (1, NULL), (2, NULL); INSERT INTO b VALUES (10, 1), (11, 1), (12, 2)"
    )
    yield connection
    connection.close()


def with_children(below: Node, **on: Any) -> Node:
    keys = {"ids": map_field("id", get("@p"))}
    joined = join(get("@p"), child(below, [("id", "a_id")], "@bs"), **on)
    fields = record({"id": scalar("id"), "bs": record({"id": scalar("id")}, under="@bs")})
    return data_map(let({"@p": query("SELECT `id` FROM `a`")}, let(keys, joined)), fields)


B_OF_A = query("SELECT `id`, `a_id` FROM `b` WHERE `b`.`a_id` IN ", (param("ids"), [INT]))


def test_children_must_be_found_by_an_index(db: apsw.Connection) -> None:
    plan = with_children(B_OF_A)
    assert lower(plan, db, None) is None
    db.execute("CREATE INDEX b_id ON b (id, a_id)")
    assert lower(plan, db, None) is None
    db.execute("CREATE INDEX b_a ON b (a_id)")
    answer = run_read(plan, db, lowered=True)
    assert answer == [{"id": 1, "bs": [{"id": 10}, {"id": 11}]}, {"id": 2, "bs": [{"id": 12}]}]


def test_an_index_on_something_else_does_not_count(db: apsw.Connection) -> None:
    db.execute("ALTER TABLE b ADD COLUMN ok; CREATE INDEX b_ok ON b (ok)")
    below = query("SELECT `id`, `a_id` FROM `b` WHERE `ok` = 1 AND `b`.`a_id` IN ", (param("ids"), [INT]))
    assert lower(with_children(below), db, None) is None


def test_take_below_reads_only_what_it_takes(db: apsw.Connection) -> None:
    db.execute("CREATE INDEX b_a ON b (a_id)")
    below = query(
        "SELECT `id`, `a_id` FROM `b` WHERE `b`.`a_id` IN ", (param("ids"), [INT]), " ORDER BY `id`"
    )
    statement = lower(with_children(process(below, take=1, skip=1, linking=["a_id"])), db, None)
    assert statement is not None
    assert "LIMIT 1 OFFSET 1" in statement.sql
    assert statement.run(db, {}) == '[{"id":1,"bs":[{"id":11}]},{"id":2,"bs":[]}]'


ALL_A = query("SELECT `id` FROM `a`")
ID = record({"id": scalar("id")})


@pytest.mark.parametrize(
    "plan",
    [
        execute("DELETE FROM `a`"),
        data_map(execute("DELETE FROM `a`"), {"type": "affectedRows"}),
        data_map(raw("SELECT 1 AS id"), ID),
        data_map(node("unique", ALL_A), ID),  # one record is as fast without
        data_map(query("DELETE FROM `a` RETURNING `id`"), ID),
        data_map(query("SELECT `id`, `id` FROM `a`"), ID),
        data_map(node("concat", [ALL_A, ALL_A]), ID),
        data_map(process(ALL_A, take=1), ID),
        data_map(let({"x": ALL_A}, let({"ids": map_field("id", get("x"))}, B_OF_A)), ID),
        data_map(let({"x": execute("DELETE FROM `b`")}, ALL_A), ID),
        data_map(let({"x": query("DELETE FROM `b` RETURNING `id`")}, ALL_A), ID),
        data_map(
            query("SELECT `id` FROM `a` WHERE `v` IN ", (param("p"), [{**INT, "scalarType": "float"}])), ID
        ),
        data_map(ALL_A, record({"v": scalar("id", "bytes", encoding="array")})),
        data_map(ALL_A, record({"v": scalar("id", "json")})),
        data_map(ALL_A, record({"v": scalar("id", arity="list")})),
        data_map(ALL_A, record({"v": scalar("absent")})),
        with_children(process(B_OF_A, take=1, reverse=True, linking=["a_id"])),
        with_children(process(B_OF_A, distinct=["id"], linking=["a_id"])),
        with_children(process(B_OF_A, cursor={"id": 1}, linking=["a_id"])),
        with_children(B_OF_A, strict=False),
        with_children(query("SELECT `id`, `a_id` FROM `b`")),
        with_children(query("SELECT `id`, `a_id` FROM `b` WHERE `b`.`a_id` NOT IN ", (param("ids"), [INT]))),
        with_children(
            query(
                "SELECT `id`, `a_id` FROM `b` WHERE `b`.`a_id` IN ",
                (param("ids"), [INT]),
                " LIMIT ",
                (1, INT),
            )
        ),
    ],
)
def test_other_plans_are_run(db: apsw.Connection, plan: Node) -> None:
    db.execute("CREATE INDEX b_a ON b (a_id)")
    assert lower(plan, db, None) is None


# --- values ---------------------------------------------------------------------------------------


def plan_of(db: apsw.Connection, stored: Any, kind: str, **more: Any) -> Plan:
    """A plan that reads a column with one value."""
    db.execute("UPDATE a SET v = ?", (stored,))
    rows = query("SELECT `v` FROM `a` ORDER BY `id`")
    return Plan(data_map(rows, record({"v": scalar("v", kind, **more)}), {"Role": {"x": "X", "it's": "Y"}}))


def answers(db: apsw.Connection, stored: Any, kind: str, **more: Any) -> tuple[Any, Any, bool]:
    """(by `run`, by `run_json`, whether SQLite made the JSON)."""
    plan = plan_of(db, stored, kind, **more)
    made = plan.run_json(db, {})
    return plan.run(db, {}), orjson.loads(orjson.dumps(made)), isinstance(made, orjson.Fragment)


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        ("2024-01-01T00:00:00.000+00:00", "datetime"),
        ("it's", "enum"),
        (0, "boolean"),
        (1, "boolean"),
        (-(2**63), "bigint"),
        (12, "decimal"),
        (12.34, "decimal"),
        (-0.0001, "decimal"),
        (123456789012345.0, "decimal"),
        (1e-300, "float"),
        (7, "int"),
        ('nul\x00 " \\ \x7f', "string"),
    ],
)
def test_values_that_sqlite_converts(db: apsw.Connection, stored: Any, kind: str) -> None:
    run, made, by_sqlite = answers(db, stored, kind, name="Role")
    assert by_sqlite
    assert made == run


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        ("2024-01-01 00:00:00", "datetime"),
        ("2024-01-01T00:00:00.123456+00:00", "datetime"),
        (1700000000000, "datetime"),
        (7.9, "int"),
        (-7.9, "int"),
        ("7", "int"),
        ("7.5", "float"),
        (2, "boolean"),
        ("true", "boolean"),
        (b"\x01", "boolean"),
        ("12", "bigint"),
        (12.9, "bigint"),
        ("12.50", "decimal"),
        (1e21, "decimal"),
        (1e-7, "decimal"),
        (0.1 + 0.2, "decimal"),
    ],
)
def test_values_that_only_python_converts(db: apsw.Connection, stored: Any, kind: str) -> None:
    run, made, by_sqlite = answers(db, stored, kind)
    assert not by_sqlite
    assert made == run


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (b"x", "string"),
        (b"x", "int"),
        (b"x", "float"),
        ("z", "enum"),
        ("yesterday", "datetime"),
        ("maybe", "boolean"),
    ],
)
def test_values_that_nobody_converts(db: apsw.Connection, stored: Any, kind: str) -> None:
    plan = plan_of(db, stored, kind, name="Role")
    for run in (plan.run, plan.run_json):
        with pytest.raises(QueryError) as caught:
            run(db, {})
        assert caught.value.code == "P2023"


def test_a_plan_whose_data_is_refused_again_and_again_is_no_longer_lowered(db: apsw.Connection) -> None:
    db.execute("UPDATE a SET v = 2")
    plan = Plan(data_map(query("SELECT `v` FROM `a`"), record({"v": scalar("v", "boolean")})))
    for _ in range(4):
        assert plan.run_json(db, {}) == [{"v": False}] * 2
    db.execute("UPDATE a SET v = 1")
    assert not isinstance(plan.run_json(db, {}), orjson.Fragment)


def test_a_value_that_json_cannot_carry_is_bound_otherwise(db: apsw.Connection) -> None:
    db.execute("UPDATE a SET v = 'x' || char(0) WHERE id = 1")
    string = {**INT, "scalarType": "string"}
    plan = Plan(data_map(query("SELECT `id` FROM `a` WHERE `v` IN ", (param("p"), [string])), ID))
    assert isinstance(plan.run_json(db, {"p": ["x", "y"]}), orjson.Fragment)
    assert plan.run_json(db, {"p": ["x\x00", "y"]}) == [{"id": 1}]


# --- one record -----------------------------------------------------------------------------------


def one(wanted: int, *, required: bool) -> Plan:
    record_ = node("unique", query("SELECT `id` FROM `a` WHERE `id` = ", (wanted, INT)))
    below = let({"ids": map_field("id", get("@p"))}, join(get("@p"), child(B_OF_A, [("id", "a_id")], "@bs")))
    found = let({"@p": record_}, below)
    checked = validate(found, ("rowCountNeq", 0), operation="a query") if required else found
    fields = record({"id": scalar("id"), "bs": record({"id": scalar("id")}, under="@bs")})
    return Plan(data_map(checked, fields), model="A")


def test_one_record_with_relations(db: apsw.Connection) -> None:
    db.execute("CREATE INDEX b_a ON b (a_id)")
    for required in (True, False):
        plan = one(2, required=required)
        made = plan.run_json(db, {})
        assert isinstance(made, orjson.Fragment)
        assert orjson.dumps(made) == b'{"id":2,"bs":[{"id":12}]}'
    assert orjson.dumps(one(9, required=False).run_json(db, {})) == b"null"


def test_a_required_record_that_is_not_there(db: apsw.Connection) -> None:
    db.execute("CREATE INDEX b_a ON b (a_id)")
    with pytest.raises(QueryError, match="No record was found for a query") as caught:
        one(9, required=True).run_json(db, {})
    assert caught.value.meta["modelName"] == "A"


def test_a_missing_table_is_reported(db: apsw.Connection) -> None:
    plan = Plan(data_map(query("SELECT `id` FROM `c`"), ID), model="C")
    with pytest.raises(QueryError) as caught:
        plan.run_json(db, {})
    assert (caught.value.code, caught.value.meta["modelName"]) == ("P2021", "C")
    db.execute("CREATE TABLE c (id INTEGER)")
    assert orjson.dumps(plan.run_json(db, {})) == b"[]"
