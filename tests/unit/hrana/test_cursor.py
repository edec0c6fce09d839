"""Cursors whose rows are sent while the statements run."""

import json
import zlib
from typing import Any

import pytest

from lamdb.access.identity import Role
from lamdb.errors import LamdbError, TimeLimit
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.hrana.cursor import can_stream
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.operation import SqlOperation
from lamdb.storage.budget import Budget, Costs, client_gone

from .conftest import SqlClient
from .test_protocol import when

type Json = dict[str, Any]

NUMBERS = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
    " SELECT i, 'some text' FROM n"
)

FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
    " INSERT INTO t (name) SELECT i || hex(zeroblob(1000)) FROM n"
)


def asked(client: SqlClient, *steps: Any, **headers: str) -> SqlOperation:
    assert isinstance(client.endpoint, SqlEndpoint)
    batch = {"steps": [step if isinstance(step, dict) else {"stmt": {"sql": step}} for step in steps]}
    body = json.dumps({"baton": client.baton, "batch": batch}).encode()
    sent = {name.replace("_", "-"): text for name, text in headers.items()}
    found = client.endpoint.receive(HttpRequest("POST", "/v3/cursor", "", sent, body), Role.ADMIN)
    assert isinstance(found, SqlOperation)
    return found


class Taker:
    """A client that takes pieces, up to some number."""

    def __init__(self, most: int = 10**9) -> None:
        self.pieces: list[bytes] = []
        self.headers: dict[str, str] = {}
        self._most = most

    def __call__(self, headers: dict[str, str], piece: bytes) -> None:
        if len(self.pieces) >= self._most:
            raise client_gone()
        self.headers = self.headers or headers
        self.pieces.append(piece)


def stream(
    client: SqlClient, request: SqlOperation, taker: Taker, costs: Costs | None = None
) -> tuple[HttpResponse | None, list[Json]]:
    """The response, and the lines of the body."""
    endpoint = client.endpoint
    assert isinstance(endpoint, SqlEndpoint)
    assert can_stream(request)
    budget = Budget(costs) if costs is not None else endpoint.budget_of(request)
    response = endpoint.stream(request, budget, taker)
    body = b"".join(taker.pieces) if response is None else response.body
    headers = taker.headers if response is None else response.headers
    if headers.get("content-encoding") == "gzip":
        body = zlib.decompress(body, 16 + zlib.MAX_WBITS)
    lines = [json.loads(line) for line in body.splitlines()]
    if response is None or response.status == 200:
        client.baton = lines[0]["baton"]
    return response, lines


def kinds(lines: list[Json]) -> list[str]:
    """The types of entries, rows only once in a row."""
    found: list[str] = []
    for line in lines[1:]:
        if line["type"] != "row" or found[-1:] != ["row"]:
            found.append(line["type"])
    return found


STEPS = [
    ["SELECT 1", "SELECT name FROM t"],
    ["SELECT 1 WHERE 0"],
    ["SELECT FROM", "SELECT 2"],
    ["SELECT abs(-9223372036854775807 - 1)", "VALUES (1), (2)"],
    ["BEGIN", "SELECT 1", "COMMIT"],
    ["BEGIN", "SELECT 1", "ROLLBACK", "SELECT 2"],
    ["COMMIT", "SELECT 1"],
    ["SELECT missing FROM t", when("SELECT 1", type="ok", step=0), when("SELECT 2", type="error", step=0)],
    ["SELECT x'00', NULL, 1.5, 'é'"],
    [NUMBERS.format(50)],
]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("piece", [1, 100, 10**6])
def test_entries_are_those_of_a_whole_response(
    client: SqlClient, steps: list[Any], piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lamdb.hrana.cursor._PIECE", piece)
    monkeypatch.setattr("lamdb.hrana.cursor._WHOLE", piece)
    batch = {"steps": [step if isinstance(step, dict) else {"stmt": {"sql": step}} for step in steps]}
    whole = client.post("/v3/cursor", {"baton": None, "batch": batch})
    expected = [json.loads(line) for line in whole.body.splitlines()]
    taker = Taker()
    response, lines = stream(client, asked(client, *steps), taker)
    assert lines[1:] == expected[1:]
    assert (response is None) == (piece < 10**6)
    assert "code" not in client.run("SELECT 1")


def test_a_large_result_is_sent_in_pieces(client: SqlClient) -> None:
    taker = Taker()
    response, lines = stream(client, asked(client, NUMBERS.format(50_000)), taker)
    assert response is None
    assert len(lines) == 50_000 + 4
    assert len(taker.pieces) > 20
    assert max(map(len, taker.pieces[1:])) < 70_000
    assert taker.headers["content-type"] == "application/json"
    assert int(taker.headers["x-lamdb-txid"]) > 0


def test_more_than_the_largest_response_is_sent(client: SqlClient) -> None:
    response, lines = stream(client, asked(client, NUMBERS.format(20_000)), Taker(), Costs(max_bytes=10_000))
    assert response is None
    assert len(lines) == 20_000 + 4


def test_gzip(client: SqlClient) -> None:
    taker = Taker()
    request = asked(client, NUMBERS.format(20_000), accept_encoding="gzip")
    assert len(stream(client, request, taker)[1]) == 20_000 + 4
    assert sum(map(len, taker.pieces)) < 300_000


@pytest.mark.parametrize("code", ["TOO_MANY_ROWS", "TIME_LIMIT"])
def test_limits_are_told_after_the_rows_before(client: SqlClient, code: str) -> None:
    assert isinstance(client.endpoint, SqlEndpoint)
    budget = Budget(Costs(max_rows=10_000 if code == "TOO_MANY_ROWS" else 10**9))

    class Slow(Taker):
        def __call__(self, headers: dict[str, str], piece: bytes) -> None:
            super().__call__(headers, piece)
            if code == "TIME_LIMIT":
                budget.cancel(TimeLimit("late"))

    taker = Slow()
    assert client.endpoint.stream(asked(client, NUMBERS.format(3_000_000)), budget, taker) is None
    lines = [json.loads(line) for line in b"".join(taker.pieces).splitlines()]
    assert kinds(lines) == ["step_begin", "row", "error"]
    assert lines[-1]["error"]["code"] == code
    assert client.rows("SELECT 1") == [[1]]


@pytest.mark.parametrize("taken", [0, 1, 3])
def test_a_client_that_hangs_up_ends_the_query_and_its_stream(client: SqlClient, taken: int) -> None:
    client.run("BEGIN")
    request = asked(client, NUMBERS.format(1_000_000))
    taker = Taker(taken)
    assert isinstance(client.endpoint, SqlEndpoint)
    with pytest.raises(LamdbError):
        client.endpoint.stream(request, client.endpoint.budget_of(request), taker)
    assert len(taker.pieces) == taken
    answer = client.post("/v3/pipeline", {"baton": client.baton, "requests": []})
    assert answer.status == 404


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("changed", [False, True])
def test_a_transaction_that_read_a_cursor_may_write(
    client: SqlClient, endpoint: SqlEndpoint, moved: bool, changed: bool
) -> None:
    other = SqlClient(endpoint)
    other.run(FILL)
    client.run("BEGIN")
    _, lines = stream(client, asked(client, "SELECT * FROM t"), Taker())
    assert len(lines) == 300 + 4
    if moved:
        other.run("CREATE TABLE elsewhere (a)")
    if changed:
        other.run("UPDATE t SET name = 'new' WHERE id = 290")
    result = client.run("INSERT INTO t (name) VALUES ('mine')")
    assert result.get("extended_code", result.get("code")) == ("SQLITE_BUSY_SNAPSHOT" if changed else None)
    client.run("ROLLBACK" if changed else "COMMIT")
    assert other.rows("SELECT count(*) FROM t WHERE name = 'mine'") == [[int(not changed)]]


def test_a_transaction_sees_what_it_wrote(client: SqlClient) -> None:
    client.run("BEGIN IMMEDIATE")
    client.run(FILL)
    response, lines = stream(client, asked(client, "SELECT name FROM t ORDER BY id"), Taker())
    assert response is None
    assert len(lines) == 300 + 4
    assert client.run("ROLLBACK").get("code") is None
    assert client.rows("SELECT count(*) FROM t") == [[0]]


@pytest.mark.parametrize(
    "steps",
    [
        ["INSERT INTO t (name) VALUES ('a') RETURNING id"],
        ["SELECT 1", "DELETE FROM t"],
        ["BEGIN IMMEDIATE", "SELECT 1"],
        ["PRAGMA user_version = 2"],
        ["SAVEPOINT a"],
    ],
)
def test_what_may_write_is_answered_when_it_is_committed(client: SqlClient, steps: list[str]) -> None:
    request = asked(client, *steps)
    assert not can_stream(request)
    assert isinstance(client.endpoint, SqlEndpoint)
    client.endpoint.give_up(request)


def test_so_is_a_commit(client: SqlClient) -> None:
    client.run("BEGIN")
    client.run("INSERT INTO t (name) VALUES ('a')")
    request = asked(client, "SELECT 1", "COMMIT")
    assert not can_stream(request)
    assert isinstance(client.endpoint, SqlEndpoint)
    client.endpoint.give_up(request)
