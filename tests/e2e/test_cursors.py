"""Cursors of SQL over HTTP on a server: results that no process has in memory as a whole."""

import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Server

type Json = dict[str, Any]

ROWS = 300_000
NUMBERS = (
    f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS}) "
    "SELECT i, hex(zeroblob(100)) FROM n"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server("--store", "memory:", LAMDB_QUERY_SECONDS="60")
    yield server
    server.close()


def batch(sql: str, baton: str | None = None) -> Json:
    return {"baton": baton, "batch": {"steps": [{"stmt": {"sql": sql}}]}}


def execute(server: Server, sql: str, baton: str | None = None) -> tuple[Json, str | None]:
    body = {"baton": baton, "requests": [{"type": "execute", "stmt": {"sql": sql}}]}
    answer = server.client.post("/v3/pipeline", json=body).json()
    return answer["results"][0], answer["baton"]


def memory(server: Server) -> int:
    """The most memory that the process had, in bytes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1024


def test_a_large_result_is_never_in_memory(server: Server) -> None:
    before = memory(server)
    size = rows = 0
    with server.client.stream("POST", "/v3/cursor", json=batch(NUMBERS)) as response:
        assert response.status_code == 200
        assert response.headers["x-request-id"]
        for line in response.iter_lines():
            size += len(line)
            rows += '"row"' in line
    assert rows == ROWS
    assert size > 75_000_000
    assert memory(server) - before < 40_000_000


def test_the_server_waits_for_a_client_that_reads_slowly(server: Server) -> None:
    before = memory(server)
    with server.client.stream(
        "POST", "/v3/cursor", json=batch(NUMBERS), headers={"accept-encoding": "identity"}
    ) as response:
        pieces = response.iter_raw()
        first = next(pieces)
        # Meanwhile others are served.
        for number in range(20):
            assert execute(server, f"SELECT {number}")[0]["type"] == "ok"
            time.sleep(0.05)
        assert memory(server) - before < 20_000_000
        assert first.startswith(b'{"baton":')


def held(server: Server) -> str | None:
    """The baton of a transaction that holds the writer."""
    result, baton = execute(server, "BEGIN IMMEDIATE")
    assert result["type"] == "ok", result
    return baton


def test_a_client_that_hangs_up_leaves_no_transaction_behind(server: Server) -> None:
    baton = held(server)
    with (
        httpx.Client(base_url=server.url, timeout=60) as client,
        client.stream("POST", "/v3/cursor", json=batch(NUMBERS, baton)) as response,
    ):
        next(response.iter_raw())
    # Otherwise it would be open until it has been idle for 10 s, and a writer waits for 5 s.
    result, _ = execute(server, "CREATE TABLE free (a)")
    assert result["type"] == "ok", result
    assert server.client.post("/v3/pipeline", json={"baton": baton, "requests": []}).status_code in (404, 410)


def test_the_time_of_a_request_includes_that_of_its_client() -> None:
    server = Server("--store", "memory:", LAMDB_QUERY_SECONDS="2")
    try:
        # Compressed, the rows would fit into the buffers of the connection.
        plain = {"accept-encoding": "identity"}
        with server.client.stream("POST", "/v3/cursor", json=batch(NUMBERS), headers=plain) as response:
            pieces = response.iter_lines()
            next(pieces)
            time.sleep(3)
            entries = [json.loads(line) for line in pieces]
        assert entries[-1]["type"] == "error"
        assert entries[-1]["error"]["code"] == "TIME_LIMIT"
        assert 1000 < len(entries) < ROWS
        assert execute(server, "SELECT 1")[0]["type"] == "ok"
    finally:
        server.close()


def test_a_connection_goes_on_after_a_cursor_and_an_old_client_gets_no_chunks(server: Server) -> None:
    body = json.dumps(batch(NUMBERS.replace(str(ROWS), "9000")))
    found: dict[str, bytes] = {}
    for version in ("1.1", "1.0"):
        host = httpx.URL(server.url)
        with socket.create_connection((host.host, host.port), timeout=30) as connection:
            head = f"POST /v3/cursor HTTP/{version}\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
            again = (
                "GET /v3 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n" if version == "1.1" else ""
            )
            connection.sendall((head + body + again).encode())
            found[version] = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, lines = found["1.0"].partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head
    assert len(lines.splitlines()) == 9000 + 4
    assert b"transfer-encoding: chunked" in found["1.1"]
    assert found["1.1"].count(b"HTTP/1.1 200") == 2
