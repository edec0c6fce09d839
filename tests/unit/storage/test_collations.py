"""Collations that SQLite does not have: found wherever they are, and replaced by what it has."""

import sqlite3
from pathlib import Path

import apsw
import pytest

from lamdb.storage import collations


def folded(one: str, other: str) -> int:
    return (one.casefold() > other.casefold()) - (one.casefold() < other.casefold())


def backwards(one: str, other: str) -> int:
    return (one < other) - (one > other)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "c.db"


def filled(file: Path, script: str, *collation_names: str, compare=folded) -> apsw.Connection:
    """A connection that knows none of the collations, to a file that was written with them."""
    writing = apsw.Connection(str(file))
    for name in collation_names:
        writing.create_collation(name, compare)
    writing.execute(script)
    writing.close()
    return apsw.Connection(str(file))


def sound(file: Path) -> bool:
    connection = sqlite3.connect(file)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("unicase", "NOCASE"), ("LOCALIZED", "NOCASE"), ("NOCASE_UTF8", "NOCASE"), ("utf8_ci", "NOCASE"),
        ("icu_root", "BINARY"), ("naturalsort", "BINARY"), ("utf8_bin", "BINARY"), ("de_DE", "BINARY"),
    ],
)  # fmt: skip
def test_the_name_says_whether_case_counts(file: Path, name: str, by: str) -> None:
    connection = filled(
        file, f"CREATE TABLE t (a TEXT COLLATE {name}, b TEXT); INSERT INTO t VALUES ('x', 'y')", name
    )
    assert collations.replace(connection) == (collations.Replaced(name, by, "t", ("a",)),)
    assert (
        connection.execute("SELECT sql FROM sqlite_schema").get
        == f"CREATE TABLE t (a TEXT COLLATE {by}, b TEXT)"
    )
    assert not collations.has_unknown(connection)
    connection.close()
    assert sound(file)


@pytest.mark.parametrize("written", ['"odd one"', "[odd one]", "`odd one`", "'odd one'"])
def test_a_name_may_be_quoted_and_commented(file: Path, written: str) -> None:
    script = f"CREATE TABLE t (a collate /* ' */ {written} -- COLLATE no\n UNIQUE, b DEFAULT 'COLLATE x')"
    connection = filled(file, script, "odd one")
    [found] = collations.replace(connection)
    assert (found.collation, found.by) == ("odd one", "BINARY")
    made = connection.execute("SELECT sql FROM sqlite_schema WHERE type = 'table'").get
    assert made == script.replace(written, "BINARY")


def test_indexes_keys_views_and_triggers_are_sorted_and_written_anew(file: Path) -> None:
    connection = filled(
        file,
        """CREATE TABLE w (a COLLATE rev PRIMARY KEY, b UNIQUE, g AS (a || 'x') STORED) WITHOUT ROWID;
        CREATE INDEX wb ON w (b COLLATE rev);
        CREATE TABLE r (id INTEGER PRIMARY KEY, a TEXT COLLATE rev UNIQUE);
        CREATE INDEX partial ON r (a) WHERE a < 'm' COLLATE rev;
        CREATE VIEW v AS SELECT a FROM r ORDER BY a COLLATE rev;
        CREATE TRIGGER x AFTER INSERT ON r BEGIN DELETE FROM w WHERE a = 'zz' COLLATE rev; END;
        INSERT INTO w (a, b) VALUES ('b', '1'), ('a', '2'), ('c', '3'), ('B', '4');
        INSERT INTO r (a) VALUES ('b'), ('a'), ('c'), ('q');
        """,
        "rev",
        compare=backwards,
    )
    replaced = collations.replace(connection)
    assert [(each.table, each.columns) for each in replaced] == [("w", ("a",)), ("r", ("a",)), ("v", ())]
    assert connection.execute("SELECT a, b, g FROM w ORDER BY a").fetchall() == [
        ("B", "4", "Bx"), ("a", "2", "ax"), ("b", "1", "bx"), ("c", "3", "cx"),
    ]  # fmt: skip
    assert connection.execute("SELECT a FROM v").fetchall() == [("a",), ("b",), ("c",), ("q",)]
    assert connection.execute("SELECT id FROM r WHERE a = 'q'").get == 4
    connection.execute("INSERT INTO r (a) VALUES ('new')")
    connection.close()
    assert sound(file)


def test_values_that_would_be_the_same_are_compared_byte_by_byte(file: Path) -> None:
    connection = filled(
        file,
        "CREATE TABLE t (a TEXT COLLATE NOCASE_X UNIQUE); INSERT INTO t VALUES ('a'), ('A')",
        "NOCASE_X",
        compare=backwards,
    )
    assert collations.replace(connection) == (collations.Replaced("NOCASE_X", "BINARY", "t", ("a",)),)
    connection.close()
    assert sound(file)


def test_a_database_without_such_collations_is_not_touched(file: Path) -> None:
    script = "CREATE TABLE t (a TEXT COLLATE NoCase, b TEXT COLLATE rtrim, c TEXT DEFAULT 'a COLLATE x')"
    connection = filled(file, f"{script}; CREATE VIRTUAL TABLE f USING fts5 (x, prefix = '2')")
    before = file.read_bytes()
    assert not collations.has_unknown(connection)
    assert collations.replace(connection) == ()
    connection.close()
    assert file.read_bytes() == before
