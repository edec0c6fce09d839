"""Reader and writer in this process: what they answer, log and count, also when the store fails them."""

import base64
import gzip
import importlib
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.graphql_blog import blog_deployable, empty_blog

from lamdb.cluster import reader, service, writer
from lamdb.cluster.invocation.events import CONTENDED_HEADER, envelope
from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.service import FunctionRole, Service
from lamdb.errors import CorruptFile, MalformedRequest, StoreUnavailable
from lamdb.graphql import stored_schema
from lamdb.graphql.from_settings import open_database
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.settings import Settings
from lamdb.storage.backup import verification
from lamdb.storage.backup.verification import Verification

queues = importlib.import_module("tests.lambda.queues")  # `lambda` is a keyword

SECRET = "a-name-of-a-customer"
CREATE = {"query": f'mutation {{ createOneTag(data: {{name: "{SECRET}"}}) {{ name }} }}'}
NAMES = {"query": "{ findManyTag { name } }"}


@pytest.fixture
def store(tmp_path: Path) -> str:
    url = (tmp_path / "store").as_uri()
    with empty_blog(url) as database, database.writer() as connection:
        stored_schema.store(connection, blog_deployable())
    return url


def emitted(printed: str) -> dict[str, Any]:
    """The last metrics, by name."""
    return [json.loads(line) for line in printed.splitlines() if '"_aws"' in line][-1]


def make(role: FunctionRole, store: str) -> Service:
    return Service(role, Settings(store=store))


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json"])
def test_live_queries_are_refused(store: str, accept: str) -> None:
    body = json.dumps({"query": "query @live { findManyTag { name } }"}).encode()
    headers = {"content-type": "application/json", "accept": accept}
    request = envelope(HttpRequest("POST", "/graphql", "", headers, body), None)
    answer = make(reader.ROLE, store).handle(json.loads(request), None)
    (error,) = json.loads(answer["body"])["errors"]
    assert (answer["statusCode"], error["extensions"]["code"]) == (406, "NOT_ACCEPTABLE")
    assert "standalone server" in error["extensions"]["hint"]


def test_metrics_of_a_write_and_of_a_read(store: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = make(writer.role(), store)
    assert made.handle(CREATE, None)["data"] == {"createOneTag": {"name": SECRET}}
    wrote = emitted(capsys.readouterr().out)
    assert (wrote["WriteOperations"], wrote["service"]) == ([1], "writer")
    assert wrote["CommitLatency"][0] > 0
    assert wrote["DatabaseSize"][0] > 8192
    assert "ReadOperations" not in wrote
    other = make(reader.ROLE, store)
    assert other.handle(NAMES, None)["data"] == {"findManyTag": [{"name": SECRET}]}
    made.handle({"query": 'mutation { createOneTag(data: {name: "b"}) { name } }'}, None)
    capsys.readouterr()
    other.handle({**NAMES, "headers": {"x-lamdb-consistency": "strong"}}, None)
    read = emitted(capsys.readouterr().out)
    assert (read["ReadOperations"], read["ReplicaLag"]) == ([1], [1])


@pytest.mark.parametrize(
    ("contended", "timed", "done"), [(True, False, 4), (False, False, 1), (True, True, 1)]
)
def test_a_writer_for_which_the_proxy_waited_does_what_is_queued(
    store: str, monkeypatch: pytest.MonkeyPatch, contended: bool, timed: bool, done: int
) -> None:
    local, queue = queues.LocalSqs(), queues.FifoQueue()
    url = local.add("writes.fifo", queue)
    for name, text in {
        "AWS_ENDPOINT_URL_SQS": local.url,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }.items():
        monkeypatch.setenv(name, text)
    made = Service(writer.role(), Settings(store=store, write_queue=url))
    for name in "abc":
        query = f'mutation {{ createOneTag(data: {{name: "{name}"}}) {{ name }} }}'
        write = Write(name, f"attempt-{name}", GraphQLRequest(query))
        queue.send(write.written(), write.group, write.attempt)
    headers = {"content-type": "application/json"}
    headers |= {CONTENDED_HEADER: "true"} if contended else {}
    request = HttpRequest("POST", "/graphql", "", headers, json.dumps(CREATE).encode())
    # Little time is left to one of them, which its client needs.
    event = json.loads(envelope(request, time.time() + (2.0 if timed else 25.0)))
    assert made.handle(event, None)["statusCode"] == 200
    assert len(made.handle(NAMES, None)["data"]["findManyTag"]) == done
    assert len(queue.messages) == 4 - done
    assert ("ReceiveMessage" in queue.requests) is (done > 1)
    local.close()


def test_work_that_fails_after_a_request_does_not_change_its_answer(store: str) -> None:
    called = []

    def fail(_service: Service, contended: bool) -> None:
        called.append(contended)
        raise ZeroDivisionError

    made = make(replace(writer.role(), afterwards=fail), store)
    headers = {"content-type": "application/json"}
    request = HttpRequest("POST", "/graphql", "", headers, json.dumps(CREATE).encode())
    assert made.handle(json.loads(envelope(request, time.time() + 25.0)), None)["statusCode"] == 200
    assert len(made.handle(NAMES, None)["data"]["findManyTag"]) == 1
    assert called == [False]


def test_neither_logs_nor_metrics_hold_data(
    store: str, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    made = make(writer.role(), store)
    for _ in range(2):  # The second one fails: the name is taken.
        made.handle(CREATE, None)
    made.handle({"query": f'{{ findManyTag(where: {{name: "{SECRET}"}}) {{ nothing }} }}'}, None)
    made.handle({"httpMethod": "GET", "path": "/nowhere"}, None)
    printed = capsys.readouterr()
    assert emitted(printed.out)["OperationErrors"] == [1]
    logged = str([vars(record) for record in caplog.records])
    assert "NOT_FOUND" in logged
    assert SECRET not in printed.out + printed.err + logged


def test_a_store_that_fails_at_the_start_is_tried_again(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_: Settings, **__: Any) -> None:
        raise StoreUnavailable("no answer")

    made = make(reader.ROLE, store)
    with monkeypatch.context() as patch:
        patch.setattr(service, "open_database", failing)
        answer = made.handle(NAMES, None)
        assert answer["errors"][0]["extensions"]["code"] == "STORE_UNAVAILABLE"
        assert answer["extensions"]["lamdb"]["status"] == 503
    assert service.open_database is open_database
    assert made.handle(NAMES, None)["data"] == {"findManyTag": []}


def test_a_database_without_a_schema_says_so(tmp_path: Path) -> None:
    answer = make(reader.ROLE, (tmp_path / "empty").as_uri()).handle(NAMES, None)
    assert answer["errors"][0]["extensions"]["code"] == "NO_SCHEMA"


@pytest.mark.parametrize("path", ["/graphql", "/reader"])
def test_the_paths_of_a_reader(store: str, path: str) -> None:
    event = {"httpMethod": "GET", "path": path, "queryStringParameters": NAMES}
    made = make(reader.ROLE, store)
    assert made.handle(event, None)["statusCode"] == 200
    assert made.handle({**event, "path": "/writer"}, None)["statusCode"] == 404
    assert json.loads(made.handle({**event, "path": "/health"}, None)["body"])["txid"] == 2


@pytest.mark.parametrize("role", [reader.ROLE, writer.role()], ids=lambda role: role.name)
def test_the_schema_is_a_file(store: str, role: FunctionRole) -> None:
    made = make(role, store)

    def get(method: str = "GET", **headers: str) -> dict[str, Any]:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return made.handle({"httpMethod": method, "path": "/schema.graphql", "headers": named}, None)

    whole = get()
    assert (whole["statusCode"], "type Tag {" in whole["body"]) == (200, True)
    assert get("HEAD")["body"] == ""
    packed = get(accept_encoding="gzip")
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == whole["body"]
    assert get(if_none_match=whole["headers"]["etag"])["statusCode"] == 304
    assert get("POST")["statusCode"] == 405


def test_a_failed_verification_fails_the_invocation(
    store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Verification(2, 8192, ("page 3 is gone",))
    monkeypatch.setattr(verification, "verify", lambda *_, **__: found)
    with pytest.raises(CorruptFile, match="page 3 is gone"):
        make(reader.ROLE, store).handle({"lamdb": {"operation": "verify"}}, None)
    assert emitted(capsys.readouterr().out)["VerifyFailures"] == [1]


def test_operations_that_a_function_does_not_know(store: str) -> None:
    with pytest.raises(MalformedRequest, match="no operation 'maintenance'"):
        make(reader.ROLE, store).handle({"lamdb": {"operation": "maintenance"}}, None)
