"""The SQL of plans is rewritten so that SQLite keeps its prepared statements."""

import copy
from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from tests.unit.prisma.query.plan.plan_nodes import (
    BIGINT,
    INT,
    STRING,
    Node,
    data_map,
    execute,
    node,
    param,
    query,
    raw,
    record,
    run_closures,
    run_read,
    scalar,
    template,
)

from lamdb.prisma.query.plan import Plan
from lamdb.prisma.query.plan.polish import has_partial_indexes, hide_equality_variables, inline_limits, polish


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, s TEXT); CREATE INDEX t_a ON t (a)"
    )
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, i % 10, f"s{i}") for i in range(1, 101)])
    yield connection
    connection.close()


def text_of(template_: Any) -> str:
    return "".join(fragment.get("chunk", "?") for fragment in template_["fragments"])


def limited(*parts: Any) -> str:
    return text_of(inline_limits(template(*parts)))


def test_constant_limits_become_text() -> None:
    parts = ("SELECT 1 WHERE ", (param("x"), INT), " LIMIT ", (param("n"), INT), " OFFSET ", ("0", BIGINT))
    assert limited(*parts) == "SELECT 1 WHERE ? LIMIT ?"
    assert limited("SELECT 1 LIMIT ", (2, INT), " OFFSET ", ("3", BIGINT)) == "SELECT 1 LIMIT 2 OFFSET 3"
    assert limited("SELECT 1 LIMIT ", ("-1", BIGINT), " OFFSET ", ("0", BIGINT)) == "SELECT 1"
    assert limited("SELECT 1 LIMIT ", (-1, INT), " OFFSET ", ("3", BIGINT)) == "SELECT 1 LIMIT -1 OFFSET 3"
    inner = ("SELECT (SELECT 1 LIMIT ", (1, INT), " OFFSET ", ("0", BIGINT), ") + ", (5, INT))
    assert limited(*inner) == "SELECT (SELECT 1 LIMIT 1 OFFSET 0) + ?"


def test_only_integers_are_written_as_limits() -> None:
    assert limited("SELECT 1 LIMIT ", ("1; DROP TABLE t", STRING)) == "SELECT 1 LIMIT ?"
    assert limited("SELECT 1 LIMIT ", ("١", STRING)) == "SELECT 1 LIMIT ?"


def test_variables_behind_an_equals_sign_are_hidden() -> None:
    def hidden(*parts: Any) -> str:
        return text_of(hide_equality_variables(template(*parts)))

    x = (param("x"), INT)
    assert hidden("SELECT 1 WHERE a = ", x, " AND b = ", x) == "SELECT 1 WHERE a = +? AND b = +?"
    for other in ("<", ">", "<=", ">=", "!=", "<>", "LIKE", "+"):
        assert hidden(f"SELECT 1 WHERE a {other} ", x) == f"SELECT 1 WHERE a {other} ?"
    assert hidden("SELECT 1 WHERE a IN ", (param("x"), [INT])) == "SELECT 1 WHERE a IN ?"


def test_the_plan_is_rewritten_everywhere_and_left_alone() -> None:
    limit = query("SELECT `id` FROM `t` WHERE `a` = ", (param("x"), INT), " LIMIT ", (1, INT))
    delete = execute("DELETE FROM `t` WHERE `a` = ", (5, INT))
    plan = node(
        "seq", [delete, raw("SELECT 1 LIMIT ?", (1, INT)), data_map(limit, record({"id": scalar("id")}))]
    )
    before = copy.deepcopy(plan)
    found = polish(plan, hide_equalities=True)["args"]
    assert plan == before
    assert text_of(found[0]["args"]) == "DELETE FROM `t` WHERE `a` = +?"
    assert found[1] == plan["args"][1]
    assert text_of(found[2]["args"]["expr"]["args"]) == "SELECT `id` FROM `t` WHERE `a` = +? LIMIT 1"
    kept = polish(plan, hide_equalities=False)["args"]
    assert text_of(kept[2]["args"]["expr"]["args"]) == "SELECT `id` FROM `t` WHERE `a` = ? LIMIT 1"


def page() -> Node:
    parts = ("SELECT `id` FROM `t` WHERE `a` = ", (param("x"), INT), " AND `s` <> ", (param("s"), STRING))
    return query(*parts, " ORDER BY `id` LIMIT ", (2, INT), " OFFSET ", ("1", BIGINT))


@pytest.mark.parametrize("hide", [True, False])
def test_the_answer_stays_the_same(db: apsw.Connection, hide: bool) -> None:
    plan = data_map(page(), record({"id": scalar("id")}))
    values = {"x": 3, "s": "s13"}
    wanted = [{"id": 23}, {"id": 33}]
    assert run_read(plan, db, values) == wanted
    assert run_read(polish(plan, hide_equalities=hide), db, values) == wanted
    assert Plan(plan).run(db, values) == wanted


def is_prepared_again(db: apsw.Connection, plan: Node) -> bool:
    """True if SQLite compiles the plan's statement again when it is run with other values."""
    compiled: list[int] = []

    def note(*action: Any) -> int:
        compiled.append(1)
        return apsw.SQLITE_OK

    db.authorizer = note
    run_closures(plan, db, {"x": 1, "s": ""})
    compiled.clear()
    run_closures(plan, db, {"x": 2, "s": ""})
    db.authorizer = None
    return bool(compiled)


def test_statements_stay_prepared(db: apsw.Connection) -> None:
    assert is_prepared_again(db, page())
    assert is_prepared_again(db, polish(page(), hide_equalities=False))
    assert not is_prepared_again(db, polish(page(), hide_equalities=True))


def test_partial_indexes_are_used(db: apsw.Connection) -> None:
    assert not has_partial_indexes(db)
    db.execute("DROP INDEX t_a; CREATE INDEX t_part ON t (s) WHERE a = 7")
    assert has_partial_indexes(db)
    parts = ("SELECT `id` FROM `t` WHERE `a` = ", (param("x"), INT), " AND `s` = ", (param("s"), STRING))
    plan = Plan(data_map(query(*parts), record({"id": scalar("id")})))
    statements: list[str] = []
    db.exec_trace = lambda cursor, sql, bindings: statements.append(sql) or True  # type: ignore[func-returns-value]
    assert plan.run(db, {"x": 7, "s": "s7"}) == [{"id": 7}]
    db.exec_trace = None
    explained = db.execute(f"EXPLAIN QUERY PLAN {statements[-1]}", (7, "s7")).fetchall()
    assert "USING INDEX t_part" in str(explained[0][3]) or "USING COVERING INDEX t_part" in str(
        explained[0][3]
    )
