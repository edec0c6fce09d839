"""Any input gets a clear error with a code, loses nothing, and leaves the server running."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import DEMO, Server, run

SECRET = "correct-horse-battery-staple"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Small limits, short timeouts, and every request in the log."""
    started = Server(
        "--store",
        "memory:",
        LAMDB_MAX_BODY_BYTES="200000",
        LAMDB_MAX_DOCUMENT_BYTES="20000",
        LAMDB_MAX_DOCUMENT_DEPTH="30",
        LAMDB_HEADER_TIMEOUT="1",
        LAMDB_BODY_TIMEOUT="0.5",
        LAMDB_LOG_REQUESTS="true",
    )
    yield started
    started.close()


@pytest.fixture(autouse=True)
def nothing_lost(server: Server) -> Iterator[None]:
    """After each test the server answers as before it."""
    before = rows(server)
    yield
    assert server.process.poll() is None
    assert rows(server) == before


def rows(server: Server) -> Any:
    """The rows, over a connection of its own: an idle one is closed at any moment after a second."""
    query = "{ findManyAuthor { id email } findManyTag { name } findManyArticle { slug author { id } } }"
    answer = httpx.post(f"{server.url}/graphql", json={"query": query}, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def only_error(response: httpx.Response) -> dict[str, Any]:
    """The one error of a response that kept nothing. Its hint never blames lamDB."""
    answer = response.json()
    (error,) = answer["errors"]
    assert answer.get("data") is None or set(answer["data"].values()) == {None}
    assert error["message"]
    assert "fault in lamDB" not in error["extensions"].get("hint", "")
    return error


# GraphQL


@pytest.mark.parametrize(
    ("document", "variables", "code", "says"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ("", None, "GRAPHQL_PARSE_FAILED", "Syntax Error"),
        ('{ findUniqueTag(where: { name: "a', None, "GRAPHQL_PARSE_FAILED", "Unterminated string"),
        ("subscription { findManyTag { id } }", None, "GRAPHQL_VALIDATION_FAILED", "ubscription"),
        ("query A { __typename } query B { __typename }", None, "OPERATION_RESOLUTION_FAILURE", "operation"),
        ("query ($n: Int!) { findManyTag(take: $n) { id } }", None, "BAD_VARIABLES", "$n"),
        ("query ($n: Int) { findManyTag(take: $n) { id } }", {"n": "one"}, "BAD_VARIABLES", "$n"),
        ("query ($n: Int) { findManyTag(take: $n) { id } }", {"n": 2**40}, "BAD_VARIABLES", "$n"),
        (
            'mutation { createOneTag(data: { name: "history" }) { id } }',
            None,
            "P2002",
            "Unique constraint failed",
        ),
        (
            'mutation { createOneArticle(data: { slug: "s", title: "t", body: "b", authorId: 99 }) { id } }',
            None,
            "P2003",
            "Foreign key constraint",
        ),
        (
            'mutation { updateOneTag(where: { id: 99 }, data: { name: { set: "y" } }) { id } }',
            None,
            None,
            None,
        ),
        ("mutation { deleteOneTag(where: { id: 99 }) { id } }", None, None, None),
        ("{ findUniqueTagOrThrow(where: { id: 99 }) { id } }", None, "P2025", "record"),
        ("{ " * 31 + "}" * 31, None, "DOCUMENT_TOO_DEEP", "30"),
        ("{ findManyTag(where: " + "{ NOT: " * 40 + "}" * 40 + ") { id } }", None, "DOCUMENT_TOO_DEEP", "30"),
        ("{ " + "a: __typename " * 2000 + "}", None, "DOCUMENT_TOO_LARGE", "20000"),
        ("query { ...F } fragment F on Query { ...F }", None, None, None),
    ],
)
def test_documents(
    server: Server, document: str, variables: dict[str, Any] | None, code: str | None, says: str | None
) -> None:
    response = server.post(document, variables, accept="application/graphql-response+json")
    if code is None:
        answer = response.json()
        assert "errors" in answer or set(answer["data"].values()) == {None}
        return
    error = only_error(response)
    assert error["extensions"]["code"] == code
    assert says is not None
    assert says in error["message"]
    assert response.status_code == (200 if code.startswith("P2") else 413 if "LARGE" in code else 400)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ("{ findManyTags { id } }", "Cannot query field"),
        ("{ findManyTag { colour } }", "Cannot query field"),
        ('{ findManyTag(take: "one") { id } }', "Int cannot represent"),
        ("{ findManyTag(takes: 1) { id } }", "Unknown argument"),
        ("{ findManyTag }", "must have a selection"),
    ],
)
def test_documents_that_the_schema_does_not_allow(server: Server, document: str, says: str) -> None:
    response = server.post(document, accept="application/graphql-response+json")
    assert response.status_code == 400
    (first,) = response.json()["errors"]
    assert first["extensions"]["code"] in {"GRAPHQL_VALIDATION_FAILED", "P2009"}
    assert says in first["message"]
    assert first["locations"][0]["line"] == 1
    assert "data" not in response.json()


def test_a_mutation_that_fails_half_way_keeps_nothing(server: Server) -> None:
    response = server.post(
        'mutation { a: createOneTag(data: { name: "new" }) { id }'
        ' b: createOneTag(data: { name: "history" }) { id } }'
    )
    error = only_error(response)
    assert (error["extensions"]["code"], error["path"]) == ("P2002", ["b"])


# HTTP


def test_malformed_json(server: Server) -> None:
    response = server.client.post(
        "/graphql", content=b'{"query": "{ __typename', headers={"content-type": "application/json"}
    )
    assert response.status_code == 400
    assert only_error(response)["extensions"]["code"] == "MALFORMED_REQUEST"


@pytest.mark.parametrize("chunked", [False, True])
def test_an_oversized_body(server: Server, chunked: bool) -> None:
    body = json.dumps({"query": "{ __typename }", "variables": {"x": "x" * 300_000}}).encode()
    content: Any = iter([body[:150_000], body[150_000:]]) if chunked else body
    response = server.client.post("/graphql", content=content, headers={"content-type": "application/json"})
    assert response.status_code == 413
    assert only_error(response)["extensions"]["code"] == "BODY_TOO_LARGE"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "NOT_FOUND"),
        ("GET", "/graphiql/../../secret", 404, "NOT_FOUND"),
        ("GET", "/graphiql/..%2fgraphiql.py", 404, "NOT_FOUND"),
        ("GET", "/graphiql/app.py", 404, "NOT_FOUND"),
        ("POST", "/healthz", 405, "METHOD_NOT_ALLOWED"),
        ("DELETE", "/graphql", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/", 405, "METHOD_NOT_ALLOWED"),
        ("OPTIONS", "/graphql", 405, "METHOD_NOT_ALLOWED"),
    ],
)
def test_paths_and_methods(server: Server, method: str, path: str, status: int, code: str) -> None:
    response = server.client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    assert only_error(response)["extensions"]["code"] == code
    assert ("allow" in response.headers) == (status == 405)


def raw(server: Server, *parts: bytes | float) -> bytes:
    """Everything the server answers to bytes sent as they are; a number is a pause in seconds."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=40) as connection:
        for part in parts:
            if isinstance(part, bytes):
                connection.sendall(part)
            else:
                time.sleep(part)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


POST = b"POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"


def test_a_body_that_does_not_come_is_given_up(server: Server) -> None:
    answer = raw(server, POST + b"content-length: 30\r\n\r\n{")
    assert answer.startswith(b"HTTP/1.1 408")
    assert b"BODY_TIMEOUT" in answer


@pytest.mark.parametrize("sent", [b"", b"POST /graphql HT", POST])
def test_a_connection_that_says_nothing_is_closed(server: Server, sent: bytes) -> None:
    # `raw` waits 40 s, less than the default of the setting. It raises TimeoutError if nothing is closed.
    assert raw(server, sent) == b""


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", b"400"),
        (b"GET / HTTP/9.9\r\n\r\n", b"400"),
        (POST + b"x: " + b"y" * 200_000 + b"\r\n\r\n", b"431"),
        (POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}", b"400"),
        (POST + b"content-length: -1\r\n\r\n{}", b"400"),
        (POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n", b"400"),
        (
            POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n0\r\n\r\n",
            b"400",
        ),
    ],
)
def test_what_is_not_http(server: Server, sent: bytes, status: bytes) -> None:
    assert raw(server, sent).split(b"\r\n")[0].split(b" ")[1] == status


def test_a_client_that_hangs_up_early(server: Server) -> None:
    host, port = server.url.removeprefix("http://").split(":")
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(POST + b"content-length: 1000\r\n\r\n{")
    body = json.dumps({"query": "{ findManyArticle { body } }"}).encode()
    for _ in range(20):
        with socket.create_connection((host, int(port))) as connection:
            connection.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body)
    assert rows(server)
    assert [line for line in server.logs if "internal error" in line or "Traceback" in line] == []


def test_two_requests_in_one_packet(server: Server) -> None:
    body = b'{"query":"{ __typename }"}'
    one = POST + b"content-length: %d\r\n\r\n" % len(body) + body
    last = one.replace(b"host: localhost\r\n", b"host: localhost\r\nconnection: close\r\n")
    assert raw(server, one + last).count(b'{"data":{"__typename":"Query"}}') == 2


def test_no_value_of_the_data_is_logged(server: Server) -> None:
    server.post('mutation ($bad: Int) { createOneTag(data: { name: "history" }) { id } }', {"bad": SECRET})
    server.post("query ($name: String!) { findUniqueTag(where: { name: $name }) { id } }", {"name": SECRET})
    server.client.get(
        "/graphql", params={"query": '{ findManyTag(where: { name: "' + SECRET + '" }) { id } }'}
    )
    server.client.get("/" + "nothing", params={"q": SECRET}, headers={"x-request-id": "the-last-one"})
    server.wait_for_log("the-last-one")
    assert [line for line in server.logs if SECRET in line] == []
    logged = [json.loads(line) for line in server.logs if '"request"' in line]
    assert {"method", "path", "status", "ms", "bytes", "request_id", "time", "level"} <= set(logged[-1])


def test_request_ids_are_kept_when_they_are_harmless(server: Server) -> None:
    kept = server.post("{ __typename }", x_request_id="abc-123")
    assert kept.headers["x-request-id"] == "abc-123"
    replaced = server.post("{ __typename }", x_request_id="a b; DROP")
    assert re.fullmatch(r"[0-9a-f]+-[0-9a-f]+", replaced.headers["x-request-id"])


# What the command is given


def test_an_invalid_schema(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(
        'datasource db {\n  provider = "sqlite"\n}\n\nmodel Tag {\n  id Int @id\n  other Othr\n}\n'
    )
    failed = run("serve", "--store", "memory:", "--database", str(tmp_path), "--port", "0")
    assert failed.returncode == 1
    assert 'Type "Othr" is neither a built-in type' in failed.stderr
    assert "schema.prisma:7" in failed.stderr
    assert "code: P1012" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_migration_that_fails(tmp_path: Path) -> None:
    database = tmp_path / "database"
    (database / "migrations/1_bad").mkdir(parents=True)
    (database / "schema.prisma").write_text((DEMO / "schema.prisma").read_text())
    (database / "migrations/1_bad/migration.sql").write_text("CREATE TABLE a (b);\nCREATE TABLE a (b);\n")
    store = f"file://{tmp_path}/store"
    failed = run("migrate", "deploy", "--store", store, "--database", str(database))
    assert failed.returncode == 1
    assert "Migration 1_bad failed at line 2" in failed.stderr
    assert "code: P3018" in failed.stderr
    status = run("migrate", "status", "--store", store, "--database", str(database))
    assert status.returncode == 1


def objects(store: Path) -> list[Path]:
    """The LTX files of a store in a directory, in the order of their transactions."""
    return sorted(store.rglob("*.ltx"))


def damage(path: Path, start: int, length: int) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + length] = bytes(length)
    path.chmod(0o644)
    path.write_bytes(content)


def stopped_store(serve: Callable[..., Server], tmp_path: Path) -> Path:
    """A store with the demo in it that no server has open."""
    store = tmp_path / "store"
    assert serve("--store", f"file://{store}").stop() == 0
    return store


def test_a_store_that_is_not_lamdbs(serve: Callable[..., Server], tmp_path: Path) -> None:
    store = stopped_store(serve, tmp_path)
    for path in objects(store):
        path.unlink()
    (path.parent / "notes.txt").write_text("mine")
    path.write_text("this is no LTX file")
    failed = run("serve", "--store", f"file://{store}", "--database", str(DEMO), "--port", "0")
    assert failed.returncode == 1
    assert re.search(r"code: (NOT_A_STORE|CORRUPT_FILE)", failed.stderr)
    assert "Traceback" not in failed.stderr
    assert (path.parent / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/x", "must be file:///directory"),
        ("file://relative/path", "absolute path"),
        ("s3://", "has no bucket"),
        ("", "no store is named"),
    ],
)
def test_a_store_url_that_means_nothing(url: str, says: str) -> None:
    failed = run("serve", "--store", url, "--database", str(DEMO), "--port", "0")
    assert failed.returncode == 2
    assert says in failed.stderr
    assert "code: SETTINGS" in failed.stderr


def test_a_store_that_does_not_answer() -> None:
    failed = run(
        "serve", "--store", "s3://bucket/x", "--database", str(DEMO), "--port", "0",
        AWS_ENDPOINT_URL_S3="http://127.0.0.1:9", AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b",
        AWS_REGION="us-east-1",
    )  # fmt: skip
    assert failed.returncode == 1
    assert "code: STORE_UNAVAILABLE" in failed.stderr


def test_a_corrupted_object_under_a_running_server(serve: Callable[..., Server], tmp_path: Path) -> None:
    """A request that needs it fails with a code; the server goes on, and answers once the object is out of
    the way."""
    store = stopped_store(serve, tmp_path)
    server = serve("--store", f"file://{store}")
    seed = objects(store)[-1]
    bad = seed.with_name(seed.name.replace("2", "3"))
    bad.write_bytes(seed.read_bytes())
    damage(bad, 200, 100)
    response = server.post("{ findManyTag { name } }", x_lamdb_consistency="strong")
    assert response.status_code == 500
    assert only_error(response)["extensions"]["code"] == "CORRUPT_FILE"
    assert bad.name not in response.text
    assert str(tmp_path) not in response.text
    request_id = response.headers["x-request-id"]
    assert request_id in server.wait_for_log(bad.name)
    assert server.client.get("/healthz").status_code == 200
    bad.unlink()
    assert server.data("{ findManyTag { name } }", x_lamdb_consistency="strong")["findManyTag"]


@pytest.mark.parametrize("start", [0, -40])
def test_a_corrupted_object_at_start(serve: Callable[..., Server], tmp_path: Path, start: int) -> None:
    store = stopped_store(serve, tmp_path)
    seed = objects(store)[-1]
    damage(seed, start if start >= 0 else seed.stat().st_size + start, 40)
    failed = run("serve", "--store", f"file://{store}", "--database", str(DEMO), "--port", "0")
    assert failed.returncode == 1
    assert "code: CORRUPT_FILE" in failed.stderr
    assert seed.name in failed.stderr
