"""Limits of a request, past states, and how fresh what is read is."""

import json
from pathlib import Path
from typing import Any

import pytest

from lamdb.access.identity import Role
from lamdb.graphql.transport.http import HttpOptions
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.protocol.requests import MOST_STEPS
from lamdb.hrana.streams.in_memory import Streams
from lamdb.storage import Database
from lamdb.storage.budget import Costs

from .conftest import SqlClient, with_tables
from .test_protocol import execute

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT {} FROM n"


def limited(database: Database, **costs: Any) -> SqlClient:
    endpoint = SqlEndpoint(SqlEngine(database), Streams(), HttpOptions(costs=Costs(**costs)))
    return with_tables(SqlClient(endpoint))


def code_of(client: SqlClient, *requests: Any) -> tuple[int, str]:
    response = client.post("/v3/pipeline", {"baton": client.baton, "requests": list(requests)})
    return response.status, json.loads(response.body).get("code")


@pytest.mark.parametrize("before", [[], ["INSERT INTO t (id) VALUES (1)"]])
def test_rows(database: Database, before: list[str]) -> None:
    client = limited(database, max_rows=100)
    asked = [execute(sql) for sql in (*before, ENDLESS.format("i"))]
    assert code_of(client, *asked) == (413, "TOO_MANY_ROWS")
    assert client.rows("SELECT count(*) FROM t") == [[0]]


def test_bytes(database: Database) -> None:
    client = limited(database, max_bytes=100_000)
    assert code_of(client, execute(ENDLESS.format("hex(zeroblob(1000))"))) == (413, "TOO_MANY_ROWS")
    assert code_of(client, execute(ENDLESS.format("1") + " LIMIT 20")) == (200, None)


@pytest.mark.parametrize("place", ["a query", "a write", "a transaction"])
def test_time(database: Database, place: str) -> None:
    client = limited(database, query_seconds=0.2, mutation_seconds=0.2)
    slow = ENDLESS.format("count(*)")
    if place == "a query":
        assert code_of(client, execute(slow)) == (504, "TIME_LIMIT")
    elif place == "a write":
        asked = [execute("INSERT INTO t (id) VALUES (1)"), execute(f"INSERT INTO t (id) {slow}")]
        assert code_of(client, *asked) == (504, "TIME_LIMIT")
    else:
        client.run("BEGIN")
        client.run("INSERT INTO t (id) VALUES (1)")
        assert code_of(client, execute(slow)) == (504, "TIME_LIMIT")
        client.baton = None
    assert client.rows("SELECT count(*) FROM t") == [[0]]
    assert "code" not in client.run("INSERT INTO t (id) VALUES (2)"), "the writer is free again"


@pytest.mark.parametrize("place", ["a query", "a write", "a transaction"])
def test_memory_of_one_value(client: SqlClient, database: Database, place: str) -> None:
    if place == "a transaction":
        client.run("BEGIN IMMEDIATE")
    sql = "SELECT length(hex(zeroblob(100000000)))"
    sql = f"INSERT INTO t (id) {sql}" if place == "a write" else sql
    assert client.code(sql) in ("SQLITE_TOOBIG", None if place == "a query" else "SQLITE_TOOBIG")
    client.run("ROLLBACK")
    with database.writer() as connection:
        assert connection.execute("SELECT length(zeroblob(100000000))").get == 100_000_000


def test_the_clients_own_patience(client: SqlClient) -> None:
    body = {"requests": [execute(ENDLESS.format("count(*)"))]}
    assert client.post("/v3/pipeline", body, x_lamdb_timeout="0.2").status == 504


def test_statements(client: SqlClient) -> None:
    assert code_of(client, *[execute("SELECT 1")] * (MOST_STEPS + 1))[0] == 400


def test_a_transaction_that_changes_too_much(tmp_path: Path) -> None:
    from lamdb.storage.stores.url import open_store

    with Database(open_store("memory:"), max_transaction_bytes=256 * 1024) as database:
        client = SqlClient(SqlEndpoint(SqlEngine(database), Streams(), HttpOptions()))
        with_tables(client)
        large = "INSERT INTO t (name) SELECT hex(randomblob(400000))"
        assert client.code(large) == "SQLITE_FULL"
        client.run("BEGIN")
        # SQLite writes pages early where memory is short: then the statement fails and ends the transaction.
        assert "SQLITE_FULL" in (client.run(large).get("code"), client.run("COMMIT").get("code"))
        client.run("ROLLBACK")
        assert "code" not in client.run("INSERT INTO t (name) VALUES ('small')")


def test_past_states(client: SqlClient, database: Database) -> None:
    client.run("INSERT INTO t (id) VALUES (1)")
    before = database.txid
    client.run("INSERT INTO t (id) VALUES (2)")
    past = SqlClient(client.endpoint, Role.ADMIN)

    def ask(sql: str) -> Any:
        past.baton = None
        (result,) = past.pipeline(execute(sql), x_lamdb_as_of=str(before))
        return result

    assert ask("SELECT max(id) FROM t")["response"]["result"]["rows"] == [[{"type": "integer", "value": "1"}]]
    assert past.headers["x-lamdb-as-of"] == str(before)
    assert past.baton is None
    assert ask("DELETE FROM t")["error"]["code"] == "SQLITE_READONLY"
    assert past.post("/v3/pipeline", {"requests": []}, x_lamdb_as_of="99999").status == 404
    client.run("BEGIN")
    body = {"baton": client.baton, "requests": [execute("SELECT 1")]}
    assert client.post("/v3/pipeline", body, x_lamdb_as_of=str(before)).status == 400


def test_tokens(tmp_path: Path) -> None:
    url = f"file://{tmp_path}"
    with Database.open(url) as one, Database.open(url) as two:
        made = [
            SqlClient(SqlEndpoint(SqlEngine(each), Streams(), HttpOptions(max_staleness=60, token_wait=0.2)))
            for each in (one, two)
        ]
        with_tables(made[0])
        two.refresh()
        made[0].run("INSERT INTO t (id) VALUES (1)")
        token = made[0].headers["x-lamdb-txid"]
        request = execute("SELECT count(*) FROM t")
        assert made[1].rows("SELECT count(*) FROM t") == [[0]]
        made[1].baton = None
        (result,) = made[1].pipeline(request, x_lamdb_txid=token)
        assert result["response"]["result"]["rows"] == [[{"type": "integer", "value": "1"}]]
        made[0].run("INSERT INTO t (id) VALUES (2)")
        made[1].baton = None
        (result,) = made[1].pipeline(request, x_lamdb_consistency="strong")
        assert result["response"]["result"]["rows"] == [[{"type": "integer", "value": "2"}]]
        response = made[1].post("/v3/pipeline", {"requests": [request]}, x_lamdb_txid="99")
        assert (response.status, json.loads(response.body)["code"]) == (503, "REPLICA_LAG")
