"""Random SQL through the endpoint and on plain SQLite: equal answers, equal errors, equal tables."""

import os
import random
from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.statements import text as texts
from lamdb.hrana.statements.errors import error_object
from lamdb.hrana.statements.run import run
from lamdb.storage import Database

from .conftest import Functions, Json, SqlClient, value

SCHEMA = """
CREATE TABLE a (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n INT CHECK (n < 90), d DEFAULT 'x' NOT NULL);
CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT, a INT REFERENCES a(id) ON DELETE CASCADE,
  late INT REFERENCES a(id) DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE w (k TEXT PRIMARY KEY, v) WITHOUT ROWID;
CREATE TABLE log (id INTEGER PRIMARY KEY, what TEXT);
CREATE TRIGGER logged AFTER INSERT ON a BEGIN INSERT INTO log (what) VALUES (new.u); END;
CREATE TRIGGER refused BEFORE UPDATE ON a WHEN new.n = 13 BEGIN SELECT RAISE(ABORT, 'thirteen'); END;
CREATE TRIGGER undone BEFORE UPDATE ON a WHEN new.n = 14 BEGIN SELECT RAISE(ROLLBACK, 'fourteen'); END;
CREATE VIEW v AS SELECT a.id AS i, count(b.id) AS c FROM a LEFT JOIN b ON b.a = a.id GROUP BY a.id;
"""
TABLES = ("a", "b", "w", "log", "sqlite_sequence")


SEEDS = int(os.environ.get("LAMDB_TEST_SEEDS", "8"))
CONFLICTS = ("IGNORE", "REPLACE", "FAIL", "ABORT", "ROLLBACK")


def statements(chance: random.Random, count: int) -> Iterator[tuple[str, list[Any]]]:
    """Statements with arguments; some of them fail."""

    def small() -> int:
        return chance.randrange(1, 12)

    def any_value() -> Any:
        return chance.choice([None, small(), -(2**63), 1.5, "", "ä", str(small()), 95, 13])

    for _ in range(count):
        conflict = chance.choice(["", "", *(f"OR {how} " for how in CONFLICTS)])
        returning = chance.choice(["", "", " RETURNING *", " RETURNING id AS x, n + 1"])
        name = chance.choice(["p", "q"])
        yield chance.choice(
            [
                (
                    f"INSERT {conflict}INTO a (id, u, n) VALUES (?, ?, ?), (?, ?, ?){returning}",
                    [small(), any_value(), small(), None, any_value(), any_value()],
                ),
                (
                    f"INSERT {conflict}INTO b (a, late) VALUES (?, ?)",
                    [small(), chance.choice([None, small()])],
                ),
                (
                    "INSERT INTO a (u, n) VALUES (?, ?) ON CONFLICT (u) DO UPDATE SET n = n + 1",
                    ["1", small()],
                ),
                (f"UPDATE {conflict}a SET n = ?, u = ? WHERE id <= ?", [any_value(), any_value(), small()]),
                ("UPDATE a SET n = ? WHERE id = ?", [chance.choice([13, 14, 15]), small()]),
                ("DELETE FROM a WHERE id >= ?", [small()]),
                ("REPLACE INTO w VALUES (?, ?)", [any_value(), any_value()]),
                ("SELECT * FROM a ORDER BY id LIMIT ?", [small()]),
                ("SELECT u, typeof(n), n * 1.0, hex(u), d FROM a WHERE n IS ? OR u = ?", [any_value(), "1"]),
                ("SELECT i, c, (SELECT max(what) FROM log) FROM v ORDER BY i", []),
                ("SELECT last_insert_rowid()", []),
                ("WITH x AS (SELECT id FROM a) INSERT INTO log (what) SELECT id FROM x LIMIT 2", []),
                (
                    "WITH c(x) AS (VALUES (1), (2)) SELECT x, x + 1 FROM c",
                    [],
                ),
                ("VALUES (1, 'a'), (2, NULL)", []),
                ("SELECT nothing FROM a", []),
                ("SELECT abs(-9223372036854775808)", []),
                ("INSERT INTO v VALUES (1)", []),
                ("BEGIN", []),
                ("BEGIN IMMEDIATE", []),
                ("COMMIT", []),
                ("END TRANSACTION", []),
                ("ROLLBACK", []),
                (f"SAVEPOINT {name}", []),
                (f"RELEASE {name}", []),
                (f"ROLLBACK TO {name}", []),
            ]
        )


class Plain:
    """SQLite itself."""

    def __init__(self) -> None:
        self.connection = apsw.Connection(":memory:")
        self.connection.execute("PRAGMA foreign_keys = ON")
        self.connection.execute(SCHEMA).fetchall()

    def run(self, text: str, args: list[Any]) -> Json:
        try:
            result = run(self.connection, texts.one(text), args)
        except apsw.Error as error:
            return error_object(error)
        return result


def comparable(answer: Json, text: str) -> Any:
    if "code" in answer:
        return answer["code"], answer.get("extended_code"), answer["message"]
    columns = answer["cols"] if isinstance(answer["cols"], list) else None
    # libSQL's protocol leaves open what statements of transactions answer.
    rowid = answer["last_insert_rowid"] if text.startswith(("INSERT", "REPLACE")) else None
    return answer["rows"], answer["affected_row_count"], rowid, columns and len(columns)


def fill(database: Database) -> None:
    with database.writer() as connection:
        connection.execute(SCHEMA).fetchall()


@pytest.fixture(params=["one by one", "in pipelines", "on functions"])
def way(request: Any) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("seed", range(SEEDS))
def test_equal_answers_and_tables(endpoint: SqlEndpoint, functions: Functions, way: str, seed: int) -> None:
    chance = random.Random(seed)
    on = functions if way == "on functions" else endpoint
    database = functions.writer.engine.database if way == "on functions" else endpoint.engine.database
    fill(database)
    plain, client = Plain(), SqlClient(on)
    script: list[str] = []
    batch: list[tuple[str, list[Any]]] = []
    for text, args in statements(chance, 120):
        script.append(f"{text}  -- {args}")
        batch.append((text, args))
        if way == "in pipelines" and chance.random() < 0.8:
            continue
        requests = [
            {"type": "execute", "stmt": {"sql": each, "args": [value(arg) for arg in its]}}
            for each, its in batch
        ]
        results = client.pipeline(*requests, {"type": "get_autocommit"})
        for (each, its), result in zip(batch, results, strict=False):
            got = result["response"]["result"] if result["type"] == "ok" else result["error"]
            expected = plain.run(each, its)
            assert comparable(got, each)[:3] == comparable(expected, each)[:3], "\n".join(script)
        is_autocommit = results[-1]["response"]["is_autocommit"]
        assert is_autocommit is not plain.connection.in_transaction, "\n".join(script)
        batch.clear()
    client.pipeline({"type": "execute", "stmt": {"sql": "ROLLBACK"}}, {"type": "close"})
    if plain.connection.in_transaction:
        plain.connection.execute("ROLLBACK")
    database.refresh()
    with database.reader() as connection:
        for table in TABLES:
            query = f"SELECT * FROM {table} ORDER BY 1"
            assert connection.execute(query).fetchall() == plain.connection.execute(query).fetchall()
