"""Long chains of conditions become trees that SQLite takes."""

from typing import Any

import apsw
import pytest

from lamdb.prisma.query.plan.balance import LONG_CHAIN, balance


def _query(before: str, members: list[str], operator: str, after: str) -> dict[str, Any]:
    """A template; each `?` in it is a parameter of its own."""
    text = before + f" {operator} ".join(members) + after
    fragments: list[dict[str, Any]] = []
    for part in text.split("?"):
        fragments += ({"type": "stringChunk", "chunk": part}, {"type": "parameter"})
    return {"type": "templateSql", "fragments": fragments[:-1]}


def _sql(query: Any) -> str:
    return "".join(fragment.get("chunk", "?") for fragment in query["fragments"])


def _rows(sql: str, values: list[Any]) -> list[Any]:
    connection = apsw.Connection(":memory:")
    connection.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, a INT, "o) OR (" TEXT)')
    connection.executemany("INSERT INTO t VALUES (?, ?, 'x')", [(number, number % 7) for number in range(50)])
    found = connection.execute(sql, values).fetchall()
    connection.close()
    return found


@pytest.mark.parametrize("length", [LONG_CHAIN + 1, 1000, 1001, 3000])
@pytest.mark.parametrize(
    ("before", "member", "operator", "expected"),
    [
        ("SELECT id FROM t WHERE (", "id = ?", "OR", 50),
        ("SELECT id FROM t WHERE (a < 3 AND (", "id = ?", "OR", 22),
        ("SELECT id FROM t WHERE (", "id <> ? + 1000", "AND", 50),
        ("SELECT id FROM t WHERE (", '(NOT "o) OR (" = ?)', "AND", 50),
        ("SELECT count(*) FROM t GROUP BY a HAVING (", "a = ?", "OR", 7),
    ],
)
def test_a_chain_of_any_length(before: str, member: str, operator: str, expected: int, length: int) -> None:
    query = balance(_query(before, [member] * length, operator, ")" * (1 + before.count("AND"))))
    assert len(_rows(_sql(query), list(range(length)))) == expected


def test_members_of_several_conditions() -> None:
    members = ["(id = ? AND a = ?)"] * 3000
    query = balance(_query("SELECT id FROM t WHERE (", members, "OR", ")"))
    values = [value for number in range(3000) for value in (number, number % 7)]
    assert len(_rows(_sql(query), values)) == 50


def test_the_meaning_stays() -> None:
    """The same rows as a chain that SQLite takes as it is."""
    members = [f"a = ? {'OR' if number % 3 else 'AND'} id <> {number}" for number in range(300)]
    query = _query(
        "SELECT id FROM t WHERE ((a = 1 OR a = 2) AND (", [f"({each})" for each in members], "OR", "))"
    )
    values = [number % 4 for number in range(300)]
    assert _rows(_sql(balance(query)), values) == _rows(_sql(query), values)
    assert _sql(balance(query)) != _sql(query)


@pytest.mark.parametrize(
    ("before", "member", "operator", "after"),
    [
        ("SELECT id FROM t WHERE (", "id = ?", "OR", ")"),
        # What stands in parentheses is no chain of conditions, or one without parentheses of its own.
        ("SELECT id FROM t WHERE id IN (", "?", ",", ")"),
        ("SELECT id FROM t WHERE id IN (SELECT id FROM t WHERE ", "id = ?", "OR", ")"),
        ("SELECT id FROM t WHERE ", "id = ?", "OR", ""),
    ],
)
def test_what_is_left_alone(before: str, member: str, operator: str, after: str) -> None:
    length = 100 if member == "id = ?" and after == ")" and "IN" not in before else 400
    query = _query(before, [member] * length, operator, after)
    assert balance(query) == query


def test_mixed_operators_are_left_alone() -> None:
    members = [f"id = ? {'AND' if number % 2 else 'OR'} a = 1" for number in range(300)]
    query = _query("SELECT id FROM t WHERE (", members, "OR", ")")
    assert balance(query) == query
