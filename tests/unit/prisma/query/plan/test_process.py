"""Operations in memory: a page of a query's rows is read row by row, and no further than it goes."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest
from tests.unit.prisma.query.plan.plan_nodes import (
    data_map,
    param,
    process,
    query,
    record,
    run_closures,
    run_tables,
    scalar,
)

from lamdb.errors import TooManyRows
from lamdb.storage.budget import Budget, Costs

FIELDS = record({"id": scalar("id"), "a": scalar("a")})


@pytest.fixture
def seen() -> list[int]:
    return []


@pytest.fixture
def db(seen: list[int]) -> Iterator[apsw.Connection]:
    """A table of 2,000 rows, and the function `seen`, which notes the rows that are read."""
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, i % 7) for i in range(1, 2001)])
    connection.create_scalar_function("seen", lambda value: seen.append(value) or value)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    ("operations", "most"),
    [
        ({"take": 3}, 3),
        ({"take": 3, "skip": 2}, 5),
        ({"take": 3, "distinct": ["a"]}, 3),
        ({"take": 3, "skip": 4, "distinct": ["a"]}, 7),
        ({"take": 2, "cursor": {"id": 50}}, 51),
        ({"take": 2, "skip": 1, "cursor": {"id": param("%1")}, "reverse": True}, 52),
        ({"take": 0}, 1),
        ({"take": 9, "distinct": ["a"]}, 2000),
        ({"take": 2, "cursor": {"id": 3000}}, 2000),
    ],
)
def test_no_more_rows_are_read_than_the_page_needs(
    db: apsw.Connection, seen: list[int], operations: dict[str, Any], most: int
) -> None:
    plan = data_map(
        process(query("SELECT seen(`id`) AS `id`, `a` FROM `t` ORDER BY `t`.`id`"), **operations), FIELDS
    )
    wanted = run_closures(plan, db, {"%1": 50})
    seen.clear()
    assert run_tables(plan, db, {"%1": 50}) == wanted
    assert len(seen) == most
    assert not db.in_transaction
    db.execute("DROP TABLE t")  # No statement is left that reads it.


def test_a_page_counts_against_the_budget(db: apsw.Connection) -> None:
    plan = data_map(process(query("SELECT `id`, `a` FROM `t`"), take=500), FIELDS)
    with Budget(Costs(max_rows=499)), pytest.raises(TooManyRows):
        run_tables(plan, db)
    with Budget(Costs(max_bytes=2000)), pytest.raises(TooManyRows):
        run_tables(plan, db)
    distinct = data_map(
        process(query("SELECT `id`, `a` FROM `t`"), take=2, skip=900, distinct=["id"]), FIELDS
    )
    with Budget(Costs(max_rows=700)), pytest.raises(TooManyRows):
        run_tables(distinct, db)
    with Budget(Costs(max_rows=500)):
        assert len(run_tables(plan, db)) == 500
