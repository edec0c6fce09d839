"""Any tables and values of a SQLite file: every row is answered, and as SQLite has it."""

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.support.imported_databases import Imported, differences, imported, in_sync

from lamdb.prisma.datamodel.naming import Style

DECLARED = (
    "INTEGER", "INT", "BIGINT", "TINYINT(1)", "BOOLEAN", "BOOL", "REAL", "DOUBLE PRECISION", "NUMERIC",
    "DECIMAL(10, 2)", "TEXT", "VARCHAR(20)", "LONGVARCHAR", "STRING", "UUID", "DATE", "DATETIME", "TIMESTAMP",
    "JSON", "JSONB", "BLOB", "VARBINARY(8)", "integer_or_text", "point", "",
)  # fmt: skip
RULES = ("", "", "NOT NULL", "UNIQUE")
NAMES = (
    "id",
    "Name",
    "name",
    "created at",
    "class",
    "AND",
    "1st",
    "größe",
    "日本",
    "a-b",
    "a_b",
    "from",
    "_x",
)
TABLES = ("users", "User", "order details", "query", "Ünïcode", "2nd", "string")

values = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=8),
    st.sampled_from(("5", "-1.50", "true", "{}", "2026-01-02", "2026-01-02T03:04:05.678+00:00", "1e3")),
    st.binary(max_size=6),
)


@st.composite
def tables(draw: st.DrawFn) -> list[tuple[str, list[tuple[Any, ...]]]]:
    """(CREATE TABLE, rows) of each table."""
    made = []
    names = draw(st.lists(st.sampled_from(TABLES), min_size=1, max_size=3, unique_by=str.lower))
    for name in names:
        columns = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=5, unique_by=str.lower))
        parts = [
            f'"{column}" {draw(st.sampled_from(DECLARED))} {draw(st.sampled_from(RULES))}'
            for column in columns
        ]
        key = draw(st.lists(st.sampled_from(columns), max_size=2, unique=True))
        if key:
            parts.append(f"PRIMARY KEY ({', '.join(f'"{column}"' for column in key)})")
        if made and draw(st.booleans()):
            parts.append(f'FOREIGN KEY ("{columns[0]}") REFERENCES "{names[0]}"')
        without_rowid = " WITHOUT ROWID" if key and draw(st.booleans()) else ""
        rows = draw(st.lists(st.tuples(*[values] * len(columns)), max_size=6))
        made.append((f'CREATE TABLE "{name}" ({", ".join(parts)}){without_rowid}', rows))
    return made


@contextmanager
def brought(made: list[tuple[str, list[tuple[Any, ...]]]], style: Style) -> Iterator[Imported]:
    with tempfile.TemporaryDirectory() as place:
        source = Path(place) / "any.db"
        connection = sqlite3.connect(source)
        for statement, rows in made:
            connection.execute(statement)
            table = statement.split('"')[1]
            for row in rows:
                marks = ", ".join("?" * len(row))
                with suppress(sqlite3.IntegrityError):  # A rowid is an integer.
                    connection.execute(f'INSERT OR IGNORE INTO "{table}" VALUES ({marks})', row)
        connection.commit()
        connection.close()
        with imported(source, Path(place), style=style) as found:
            yield found


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(tables(), st.sampled_from(Style))
@example(
    [
        ('CREATE TABLE "users" ("id" INTEGER, PRIMARY KEY ("id"))', []),
        ('CREATE TABLE "User" ("id" INTEGER, FOREIGN KEY ("id") REFERENCES "users")', [(2.0**63,)]),
    ],
    Style.PRISMA,
)
def test_every_row_is_answered_as_sqlite_has_it(
    made: list[tuple[str, list[tuple[Any, ...]]]], style: Style
) -> None:
    with brought(made, style) as found:
        assert not found.findings("difference")
        assert not found.findings("no-identifier")
        assert len(found.served) == len(made)
        assert list(differences(found)) == []
        assert in_sync(found)
