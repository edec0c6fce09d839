"""The short way of one query: it answers what the usual way does, or leaves it to that."""

import json
from typing import Any

import pytest

from lamdb.access.identity import Role
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.hrana import fast_path
from lamdb.hrana.endpoint import SqlEndpoint

from .conftest import SqlClient
from .test_protocol import execute


def asked(*requests: Any, **more: Any) -> Any:
    return {"baton": None, "requests": list(requests), **more}


CLOSE = {"type": "close"}


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT id, name AS n, born FROM t",
        "SELECT * FROM t WHERE 0",
        "select last_insert_rowid()",
    ],
)
def test_it_answers_as_the_usual_way_does(endpoint: SqlEndpoint, client: SqlClient, sql: str) -> None:
    client.run("INSERT INTO t VALUES (7, 'x', x'00')")
    body = asked(execute(sql), CLOSE)
    stmt = fast_path.query_of(body)
    assert stmt is not None
    response = fast_path.answer(endpoint.engine, Role.READ, stmt, {})
    request = HttpRequest("POST", "/v2/pipeline", "", {}, json.dumps(body).encode())
    usual = endpoint.receive(request, Role.READ)
    assert response is not None
    assert not isinstance(usual, HttpResponse)
    expected = endpoint.answer(usual)
    assert _timeless(response) == _timeless(expected)
    assert response.headers == expected.headers


def _timeless(response: HttpResponse) -> Any:
    body = json.loads(response.body)
    body["results"][0]["response"]["result"]["query_duration_ms"] = 0
    return body


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        asked(),
        asked(execute("SELECT 1")),
        asked(execute("SELECT 1"), execute("SELECT 1")),
        asked(execute("SELECT 1"), CLOSE, baton="x"),
        asked(CLOSE, CLOSE),
        asked({"type": "execute"}, CLOSE),
        asked({"type": "execute", "stmt": {"sql_id": 1}}, CLOSE),
        asked(execute("SELECT :a", named_args=[{"name": "a", "value": {"type": "null"}}]), CLOSE),
        asked({"type": "sequence", "sql": "SELECT 1"}, CLOSE),
    ],
)
def test_other_requests_take_the_usual_way(body: Any) -> None:
    assert fast_path.query_of(body) is None


@pytest.mark.parametrize(
    "stmt",
    [
        {"sql": "DELETE FROM t"},
        {"sql": "SELEC"},
        {"sql": "SELECT ?"},
        {"sql": "SELECT 1; SELECT 2"},
        {"sql": "SELECT hash FROM _lamdb_schema"},
        {"sql": "SELECT ?", "args": [{"type": "integer", "value": "x"}]},
        {"sql": "SELECT ?", "args": 5},
        {"sql": "SELECT 1", "want_rows": False},
        {"sql": "PRAGMA foreign_keys"},
        {"sql": "BEGIN"},
    ],
)
@pytest.mark.usefixtures("client")
def test_what_fails_is_left_to_the_usual_way(endpoint: SqlEndpoint, stmt: Any) -> None:
    assert fast_path.answer(endpoint.engine, Role.WRITE, stmt, {}) is None


@pytest.mark.parametrize(
    "header", ["x-lamdb-txid", "x-lamdb-as-of", "x-lamdb-consistency", "x-lamdb-timeout"]
)
def test_requests_with_wishes_take_the_usual_way(endpoint: SqlEndpoint, header: str) -> None:
    assert fast_path.answer(endpoint.engine, Role.READ, {"sql": "SELECT 1"}, {header: "1"}) is None
