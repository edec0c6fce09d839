"""SQLite's errors as Prisma words them."""

from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from lamdb.prisma.query.sql_errors import (
    code_name,
    database_error,
    missing_record_in_batch,
    raw_query_error,
    too_many_parameters,
    validation_error,
)


@pytest.fixture
def db() -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(
        """
        PRAGMA foreign_keys = ON;
        CREATE TABLE "User" (id INTEGER PRIMARY KEY, email TEXT NOT NULL, a TEXT, b TEXT);
        CREATE UNIQUE INDEX u1 ON "User" (email);
        CREATE UNIQUE INDEX u2 ON "User" (a, b);
        CREATE TABLE text_key (id TEXT PRIMARY KEY) WITHOUT ROWID;
        CREATE TABLE post (id INTEGER PRIMARY KEY, author INTEGER REFERENCES "User" (id) ON DELETE RESTRICT);
        CREATE TABLE checked (n INTEGER CHECK (n > 0));
        INSERT INTO "User" VALUES (1, 'x', 'a', 'b');
        INSERT INTO text_key VALUES ('k');
        INSERT INTO post VALUES (1, 1);
        """
    )
    yield connection
    connection.close()


def error_of(db: apsw.Connection, sql: str) -> apsw.Error:
    with pytest.raises(apsw.Error) as caught:
        db.execute(sql)
    return caught.value


@pytest.mark.parametrize(
    ("sql", "code", "message", "meta"),
    [
        (
            "INSERT INTO User VALUES (2, 'x', 'c', 'd')",
            "P2002",
            "Unique constraint failed on the fields: (`email`)",
            {"target": ["email"], "table": "User"},
        ),
        (
            "INSERT INTO User VALUES (2, 'y', 'a', 'b')",
            "P2002",
            "Unique constraint failed on the fields: (`a`, `b`)",
            {"target": ["a", "b"], "table": "User"},
        ),
        (
            "INSERT INTO User VALUES (1, 'y', 'c', 'd')",
            "P2002",
            "Unique constraint failed on the fields: (`id`)",
            {"target": ["id"], "table": "User"},
        ),
        (
            "INSERT INTO text_key VALUES ('k')",
            "P2002",
            "Unique constraint failed on the fields: (`id`)",
            {"target": ["id"], "table": "text_key"},
        ),
        (
            "INSERT INTO User VALUES (2, NULL, 'c', 'd')",
            "P2011",
            "Null constraint violation on the fields: (`email`)",
            {"target": ["email"], "table": "User"},
        ),
        ("INSERT INTO post VALUES (2, 9)", "P2003", "Foreign key constraint violated on the foreign key", {}),
        ("DELETE FROM User", "P2003", "Foreign key constraint violated on the foreign key", {}),
        (
            "SELECT * FROM nowhere",
            "P2021",
            "The table `nowhere` does not exist in the current database.",
            {"table": "nowhere"},
        ),
        (
            "SELECT zz FROM post",
            "P2022",
            "The column `zz` does not exist in the current database.",
            {"column": "zz"},
        ),
        (
            "INSERT INTO post (zz) VALUES (1)",
            "P2022",
            "The column `zz` does not exist in the current database.",
            {"column": "zz"},
        ),
        (
            "INSERT INTO checked VALUES (0)",
            "P2039",
            "Database error. Code: `SQLITE_CONSTRAINT_CHECK`. Message: `CHECK constraint failed: n > 0`",
            {"code": "SQLITE_CONSTRAINT_CHECK", "message": "CHECK constraint failed: n > 0"},
        ),
        (
            "SELEC 1",
            "P2039",
            'Database error. Code: `SQLITE_ERROR`. Message: `near "SELEC": syntax error`',
            {"code": "SQLITE_ERROR", "message": 'near "SELEC": syntax error'},
        ),
    ],
)
def test_codes_messages_and_meta(
    db: apsw.Connection, sql: str, code: str, message: str, meta: dict[str, Any]
) -> None:
    error = database_error(error_of(db, sql))
    assert (error.code, error.message, error.meta) == (code, message, meta)


def test_a_trigger_that_raises_is_a_foreign_key_violation(db: apsw.Connection) -> None:
    db.execute("CREATE TRIGGER t BEFORE INSERT ON post BEGIN SELECT RAISE(ABORT, 'no'); END")
    assert database_error(error_of(db, "INSERT INTO post VALUES (5, 1)")).code == "P2003"


def test_a_locked_database_has_timed_out(tmp_path: Any) -> None:
    one, other = (apsw.Connection(str(tmp_path / "db")) for _ in range(2))
    one.execute("BEGIN IMMEDIATE")
    error = database_error(error_of(other, "BEGIN IMMEDIATE"))
    assert (error.code, error.message) == ("P1008", "Operation has timed out")


def test_raw_queries_report_what_sqlite_said(db: apsw.Connection) -> None:
    error = raw_query_error(error_of(db, "INSERT INTO text_key VALUES ('k')"))
    message = "UNIQUE constraint failed: text_key.id"
    assert error.message == f"Raw query failed. Code: `SQLITE_CONSTRAINT_PRIMARYKEY`. Message: `{message}`"
    assert (error.code, error.meta) == ("P2010", {"code": "SQLITE_CONSTRAINT_PRIMARYKEY", "message": message})


def test_every_error_has_a_name() -> None:
    error = apsw.Error("x")
    assert code_name(error) == "SQLITE_ERROR"
    error.extendedresult = 5 | (200 << 8)  # a code that is not known yet
    assert code_name(error) == "SQLITE_BUSY"


@pytest.mark.parametrize(
    ("identifier", "context", "data", "code", "message"),
    [
        (
            "RELATION_VIOLATION",
            {"relation": "AB", "modelA": "A", "modelB": "B"},
            None,
            "P2014",
            "The change you are trying to make would violate the required relation 'AB' between the `A` and "
            "`B` models.",
        ),
        (
            "MISSING_RECORD",
            {"operation": "an update"},
            [],
            "P2025",
            "An operation failed because it depends on one or more records that were required but not found. "
            "No record was found for an update.",
        ),
        (
            "MISSING_RELATED_RECORD",
            {"model": "A", "relation": "AB", "relationType": "one-to-many", "operation": "a nested update",
             "neededFor": "inline the relation on 'B' record(s)"},
            [],
            "P2025",
            "An operation failed because it depends on one or more records that were required but not found. "
            "No 'A' record (needed to inline the relation on 'B' record(s)) was found for a nested update on "
            "one-to-many relation 'AB'.",
        ),
        (
            "INCOMPLETE_CONNECT_INPUT",
            {"expectedRows": 2},
            [1],
            "P2025",
            "An operation failed because it depends on one or more records that were required but not found. "
            "Expected 2 records to be connected, found only 1.",
        ),
        (
            "INCOMPLETE_CONNECT_OUTPUT",
            {"expectedRows": 2, "relation": "AB", "relationType": "one-to-many"},
            1,
            "P2018",
            "The required connected records were not found. Expected 2 records to be connected after connect "
            "operation on one-to-many relation 'AB', found 1.",
        ),
        (
            "RECORDS_NOT_CONNECTED",
            {"relation": "AB", "parent": "A", "child": "B"},
            [],
            "P2017",
            "The records for relation `AB` between the `A` and `B` models are not connected.",
        ),
    ],
)  # fmt: skip
def test_checks_of_a_plan(
    identifier: str, context: dict[str, Any], data: Any, code: str, message: str
) -> None:
    error = validation_error(identifier, context, data)
    assert (error.code, error.message, error.meta) == (code, message, context)


def test_the_remaining_errors() -> None:
    assert too_many_parameters().code == "P2029"
    assert missing_record_in_batch().code == "P2025"
