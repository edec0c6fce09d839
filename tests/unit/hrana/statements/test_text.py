"""The analysis of a statement's text: its parameters, in the numbers that SQLite gives them."""

import apsw
import pytest

from lamdb.hrana.statements.text import one


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1", ()),
        ("SELECT ?, ?", (None, None)),
        ("SELECT ?3, ?1", (None, None, None)),
        ("SELECT ?2, ?, ?3", (None, None, None)),
        ("SELECT :b, @a, $c, :b", ("b", "a", "c")),
        ("SELECT :b, :a, ?1", ("b", "a")),
        ("SELECT :b, ?2, ?1, :c, ?", ("b", None, "c", None)),
        ("SELECT ?4, :a", (None, None, None, None, "a")),
        ("SELECT ':a', \"?\", `@b`, [?], x -- :c ?\n /* ? */ FROM t WHERE y = ?", (None,)),
        ("SELECT $a::b(c), :ä", ("a::b(c)", "ä")),
    ],
)
def test_parameters_have_sqlites_numbers(sql: str, names: tuple[str | None, ...]) -> None:
    assert one(sql).parameters == names
    connection = apsw.Connection(":memory:")
    connection.execute('CREATE TABLE t (x, y, "?", "@b")')
    found: list[int] = []

    def look(cursor: apsw.Cursor, _sql: str, _bindings: object) -> bool:
        found.append(cursor.bindings_count)
        return False

    cursor = connection.cursor()
    cursor.exec_trace = look
    with pytest.raises(apsw.ExecTraceAbort):
        cursor.execute(sql, (None,) * len(names))
    assert found == [len(names)]


@pytest.mark.parametrize("number", ["0", "32767", "99999999", "9" * 5000])
def test_numbers_that_sqlite_does_not_have_are_left_to_it(number: str) -> None:
    assert one(f"SELECT ?{number}").parameters == ()


def test_many_parameters_are_counted_in_one_pass() -> None:
    """With the square of their number this would take minutes."""
    assert len(one("SELECT " + "+".join("?" * 200_000)).parameters) == 200_000
