"""Rendering SQL templates: tuples, constant limits, and what exceeds SQLite's limit of bound values."""

from collections.abc import Iterator, Sequence
from typing import Any

import apsw
import pytest
from tests.unit.prisma.query.plan.plan_nodes import (
    BIGINT,
    DATETIME,
    FLOAT,
    INT,
    STRING,
    data_map,
    execute,
    generator,
    node,
    param,
    query,
    record,
    run_closures,
    run_read,
    scalar,
    template,
)

from lamdb.errors import EngineError, QueryError
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.statements import MAX_BOUND_VALUES, compile_statement

TOO_MANY = MAX_BOUND_VALUES + 10


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, f REAL)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?)", [(i, f"n{i}", i / 2) for i in range(1, 101)])
    yield connection
    connection.close()


def render(db: apsw.Connection, *parts: Any, chunkable: bool = True, **values: Any) -> Sequence[Any]:
    return compile_statement(template(*parts, chunkable=chunkable), {})(Run(db, values, 0))


def test_parameters_are_bound_in_order(db: apsw.Connection) -> None:
    ((sql, bound),) = render(db, "a ", (param("x"), INT), " b ", ("7", BIGINT), " c ", (True, STRING), x="5")
    assert sql == "a ? b ? c ?"
    assert tuple(bound) == (5, 7, True)


def test_an_empty_tuple_holds_null(db: apsw.Connection) -> None:
    assert render(db, "x IN ", (param("p"), [INT]), p=[]) == (("x IN (NULL)", []),)


def test_a_tuple_of_one_is_bound_directly(db: apsw.Connection) -> None:
    assert render(db, "x IN ", (param("p"), [INT]), p=[5]) == (("x IN (?)", [5]),)
    assert render(db, "x IN ", (param("p"), [INT]), p=5) == (("x IN (?)", [5]),)


def test_longer_tuples_of_integers_and_text_are_one_json_array(db: apsw.Connection) -> None:
    text = "x IN (SELECT value FROM json_each(?))"
    assert render(db, "x IN ", (param("p"), [INT]), p=["1", 2]) == ((text, ["[1,2]"]),)
    assert render(db, "x IN ", (param("p"), [STRING]), p=["a'", 'b"']) == ((text, ['["a\'","b\\""]']),)
    moments = ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00+01:00"]
    ((_, bound),) = render(db, "x IN ", (param("p"), [DATETIME]), p=moments)
    assert bound == ['["2024-01-01T00:00:00.000+00:00","2024-01-01T23:00:00.000+00:00"]']


def test_what_json_cannot_carry_exactly_is_bound_one_by_one(db: apsw.Connection) -> None:
    assert render(db, "x IN ", (param("p"), [FLOAT]), p=[0.5, 1]) == (("x IN (?,?)", [0.5, 1.0]),)
    assert render(db, "x IN ", (param("p"), [STRING]), p=["a\x00b", "c"]) == (
        ("x IN (?,?)", ["a\x00b", "c"]),
    )
    assert render(db, "x IN ", (param("p"), [STRING]), p=[b"a", "c"]) == (("x IN (?,?)", [b"a", "c"]),)
    assert render(db, "VALUES ", (param("p"), [INT]), p=[1, 2]) == (("VALUES (?,?)", [1, 2]),)


def test_json_tuples_find_what_bound_ones_find(db: apsw.Connection) -> None:
    extremes = [-(2**63), -1, 0, 2**53 + 1, 2**63 - 1]
    texts = ["", "é😀\u2028", '"\\/', "1", "true", "\x01\x1f\x7f"]
    db.executemany("INSERT INTO t (id, name) VALUES (?, ?)", list(zip(extremes, texts, strict=False)))
    for column, kind, values in (("id", INT, extremes), ("name", STRING, texts)):
        for wanted in (values, values[:2]):
            plan = query(
                "SELECT `id` FROM `t` WHERE `", f"{column}` IN ", (param("p"), [kind]), " ORDER BY `id`"
            )
            output = data_map(plan, record({"id": scalar("id", "bigint")}))
            found = run_read(output, db, {"p": wanted})
            marks = ", ".join("?" * len(wanted))
            expected = db.execute(f"SELECT id FROM t WHERE {column} IN ({marks}) ORDER BY id", wanted)
            assert [int(row["id"]) for row in found] == [row[0] for row in expected]
            assert found


def test_lists_of_tuples(db: apsw.Connection) -> None:
    pairs = generator("product", param("a"), param("b"))
    ((sql, bound),) = render(db, "VALUES ", (pairs, [INT, STRING]), a=["1", 2], b="x")
    assert (sql, bound) == ("VALUES (?,?),(?,?)", [1, "x", 2, "x"])
    for bad in ([], [1, 2], "x"):
        with pytest.raises(EngineError, match="non-empty list of tuples"):
            render(db, "VALUES ", (param("p"), [INT, STRING]), p=bad)
    with pytest.raises(EngineError, match="3 parameters for a tuple of arity 2"):
        render(db, "VALUES ", (param("p"), [INT, STRING]), p=[[1, 2, 3]])


# --- too many values ------------------------------------------------------------------------------


def test_json_tuples_know_no_limit(db: apsw.Connection) -> None:
    plan = query(
        "SELECT `id` FROM `t` WHERE `id` IN ", (param("p"), [INT]), " ORDER BY `id`", chunkable=False
    )
    output = data_map(plan, record({"id": scalar("id")}))
    assert len(run_read(output, db, {"p": list(range(-TOO_MANY, 51))})) == 50


def test_other_tuples_are_split(db: apsw.Connection) -> None:
    values = [i / 2 for i in range(TOO_MANY)]
    parts = ("SELECT `id` FROM `t` WHERE `id` > ", (param("x"), INT), " AND `f` IN ", (param("p"), [FLOAT]))
    plan = query(*parts)
    assert len(run_closures(plan, db, {"x": 90, "p": values})) == 10
    assert len(run_read(data_map(plan, record({"id": scalar("id")})), db, {"x": 90, "p": values})) == 10
    with pytest.raises(QueryError, match="query parameter limit") as caught:
        run_closures(query(*parts, chunkable=False), db, {"x": 90, "p": values})
    assert caught.value.code == "P2029"


def test_the_parts_of_a_split_statement_repeat_everything_else(db: apsw.Connection) -> None:
    parts = render(db, (param("x"), INT), " IN ", (param("p"), [FLOAT]), " ", (param("y"), INT),
                   x=1, y=2, p=[0.5] * TOO_MANY)  # fmt: skip
    assert [len(bound) for _, bound in parts] == [MAX_BOUND_VALUES, TOO_MANY - MAX_BOUND_VALUES + 4]
    assert all((bound[0], bound[-1]) == (1, 2) for _, bound in parts)


def test_split_writes_are_summed_and_atomic(db: apsw.Connection) -> None:
    pairs = [[i, f"m{i}"] for i in range(1000, 1000 + TOO_MANY)]
    insert = execute("INSERT INTO `t` (`id`, `name`) VALUES ", (param("p"), [INT, STRING]))
    assert run_closures(insert, db, {"p": pairs}) == TOO_MANY
    pairs = [[i + 10**6, name] for i, name in pairs]
    pairs[-1] = [5, "taken"]
    with pytest.raises(QueryError) as caught:
        run_closures(insert, db, {"p": pairs})
    assert caught.value.code == "P2002"
    assert db.execute("SELECT count(*) FROM t WHERE id >= 1000000").get == 0
    assert not db.in_transaction


def test_tuples_are_not_torn(db: apsw.Connection) -> None:
    triples = [[1, 2, 3]] * 11000
    rendered = render(db, "VALUES ", (param("p"), [INT, INT, INT]), p=triples)
    assert [len(bound) % 3 for _, bound in rendered] == [0, 0]


def test_what_cannot_be_split_is_refused(db: apsw.Connection) -> None:
    half = [0.5] * (MAX_BOUND_VALUES // 2 + 100)
    with pytest.raises(QueryError) as caught:
        render(db, (param("p"), [FLOAT]), (param("q"), [FLOAT]), (param("p"), [FLOAT]), p=half, q=half)
    assert caught.value.code == "P2029"
    single = [part for _ in range(TOO_MANY) for part in ((1, INT), ",")]
    with pytest.raises(QueryError) as caught:
        render(db, *single)
    assert caught.value.code == "P2029"


def test_errors_of_sqlite_are_prismas(db: apsw.Connection) -> None:
    missing = query("SELECT `id` FROM `nowhere`")
    for plan in (missing, execute("DELETE FROM `nowhere`"), node("unique", missing)):
        with pytest.raises(QueryError, match="The table `nowhere` does not exist") as caught:
            run_closures(plan, db)
        assert caught.value.code == "P2021"
    with pytest.raises(QueryError) as caught:
        run_read(data_map(missing, record({"id": scalar("id")})), db)
    assert caught.value.code == "P2021"
