"""`lamdb serve --workers N`: one server to its clients, whichever process answers, and whichever dies."""

import hashlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import DEMO, LAMDB, Server

CREATE_TAG = "mutation ($name: String!) { createOneTag(data: { name: $name }) { name } }"
SCHEMA = """
datasource db {
  provider = "sqlite"
}

/// @lamdb.changes
model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
}
"""
NEWEST_TAG = "{ findManyTag(orderBy: { id: desc }, take: 1) { name } }"


def children(pid: int) -> list[int]:
    """The processes of a server: the writer first, as long as none was replaced."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def until[T](found: Callable[[], T], seconds: float = 30) -> T:
    """The first true result of `found`."""
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return result


def ask(url: str, query: str, headers: dict[str, str] | None = None, **variables: Any) -> Any:
    """The data of an answer, over a connection of its own: any worker may get it."""
    answer = httpx.post(
        f"{url}/graphql", json={"query": query, "variables": variables}, headers=headers or {}, timeout=60
    )
    body = answer.json()
    assert answer.status_code == 200, body
    assert "errors" not in body, body
    return body["data"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with two workers and a writer."""
    store, project = tmp_path_factory.mktemp("workers"), tmp_path_factory.mktemp("project")
    (project / "schema.prisma").write_text(SCHEMA)
    running = Server("--store", f"file://{store}", "--push", "--workers", "2", database=project)
    yield running
    running.close()


def test_every_worker_reads_what_any_of_them_wrote(server: Server) -> None:
    for number in range(40):
        ask(server.url, CREATE_TAG, name=f"tag {number}")
        for _ in range(3):
            assert ask(server.url, NEWEST_TAG)["findManyTag"] == [{"name": f"tag {number}"}]


def test_mutations_at_the_same_time_share_the_writer(server: Server) -> None:
    failures: list[BaseException] = []

    def work(client: int) -> None:
        try:
            for number in range(10):
                ask(server.url, CREATE_TAG, name=f"client {client} {number}")
        except BaseException as failure:  # noqa: BLE001 - reported below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(client,)) for client in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    found = ask(
        server.url, '{ aggregateTag(where: { name: { startsWith: "client " } }) { _count { _all } } }'
    )
    assert found["aggregateTag"]["_count"]["_all"] == 80


@pytest.mark.parametrize(
    "document",
    [
        '{"query": "mut\\u0061tion { createOneTag(data: { name: \\"escaped\\" }) { name } }"}',
        json.dumps(
            {"query": 'mutation { createOneTag(data: { name: "large" }) { name } } #' + "x" * 100_000}
        ),
    ],
    ids=["escaped", "large"],
)
def test_the_writer_gets_mutations_in_any_form(server: Server, document: str) -> None:
    headers = {"content-type": "application/json"}
    answer = httpx.post(f"{server.url}/graphql", content=document, headers=headers)
    assert "errors" not in answer.json()
    (created,) = [answer.json()["data"]["createOneTag"]]
    assert ask(server.url, NEWEST_TAG)["findManyTag"] == [created]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_documents_are_named_by_their_hash_to_any_worker(server: Server, method: str) -> None:
    """A client sends the document whenever a process does not have it, which ends."""
    create = CREATE_TAG.replace("{ name } }", f"{{ name }} }} # {method}")
    found = f"query mutation{method} {{ findManyTag(orderBy: {{ id: desc }}, take: 1) {{ name }} }}"
    plain = f"query plain{method} {{ findManyTag(orderBy: {{ id: desc }}, take: 1) {{ name }} }}"
    whole: list[str] = []

    def send(document: str, method: str, **variables: Any) -> Any:
        sha256 = hashlib.sha256(document.encode()).hexdigest()
        sent: dict[str, Any] = {
            "variables": variables,
            "extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256}},
        }
        for _ in range(2):
            if method == "GET":
                texts = {name: part if name == "query" else json.dumps(part) for name, part in sent.items()}
                answer = httpx.get(f"{server.url}/graphql", params=texts)
            else:
                answer = httpx.post(f"{server.url}/graphql", json=sent)
            assert answer.status_code == 200
            body = answer.json()
            if "data" in body:
                return body["data"]
            assert body["errors"][0]["message"] == "PersistedQueryNotFound"
            sent["query"] = document
            whole.append(document)
        raise AssertionError("the document was sent, and not found")

    for number in range(30):
        name = f"hashed {method} {number}"
        assert send(create, "POST", name=name)["createOneTag"] == {"name": name}
        for document in (found, plain):
            assert send(document, method)["findManyTag"] == [{"name": name}]
    assert whole.count(create) == whole.count(found) == 1, "the writer keeps them"
    # Half of the documents that one worker misses go to the other one.
    assert 1 <= whole.count(plain) < 15, "each of two workers keeps it"


def test_a_key_executes_a_mutation_once(server: Server) -> None:
    key = {"idempotency-key": "the only one"}
    first = ask(server.url, CREATE_TAG, key, name="once")
    for _ in range(3):
        assert ask(server.url, CREATE_TAG, key, name="once") == first


def test_streams_of_sql_belong_to_no_worker(server: Server) -> None:
    def pipeline(baton: str | None, *statements: str) -> Any:
        requests = [{"type": "execute", "stmt": {"sql": sql}} for sql in statements]
        answer = httpx.post(f"{server.url}/v3/pipeline", json={"baton": baton, "requests": requests})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert {each["type"] for each in found["results"]} == {"ok"}, found
        return found

    baton = pipeline(None, "BEGIN")["baton"]
    for number in range(6):
        baton = pipeline(baton, f"INSERT INTO Tag (name) VALUES ('sql {number}')")["baton"]
    pipeline(baton, "COMMIT")
    assert ask(server.url, NEWEST_TAG)["findManyTag"] == [{"name": "sql 5"}]


def test_a_cursor_passes_through(server: Server) -> None:
    numbers = (
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT i FROM n"
    )
    batch = {"batch": {"steps": [{"stmt": {"sql": numbers}}]}}
    answer = httpx.post(f"{server.url}/v3/cursor", json=batch, timeout=60)
    rows = [json.loads(line) for line in answer.text.splitlines() if '"row"' in line]
    assert len(rows) == 50_000
    assert rows[-1]["row"] == [{"type": "integer", "value": "50000"}]


def test_operators_and_deferred_mutations(server: Server) -> None:
    operators = httpx.post(f"{server.url}/admin/graphql", json={"query": "{ database { txid } }"}).json()
    assert operators["data"]["database"]["txid"] > 1
    accepted = httpx.post(
        f"{server.url}/graphql",
        json={"query": CREATE_TAG, "variables": {"name": "deferred"}},
        headers={"prefer": "respond-async"},
    )
    assert accepted.status_code == 202
    place = server.url + accepted.headers["location"]
    done = until(lambda: (state := httpx.get(place)).json()["status"] == "done" and state.json())
    assert done["response"]["data"]["createOneTag"]["name"] == "deferred"
    assert httpx.head(place).status_code == 200
    assert httpx.get(f"{server.url}/writes/unknown").status_code == 404


def test_the_change_feed_of_a_worker_follows_the_writer(server: Server) -> None:
    for number in range(4):
        cursor = httpx.get(f"{server.url}/changes").json()
        ask(server.url, CREATE_TAG, name=f"fed {number}")
        found = httpx.get(f"{server.url}/changes", params={"since": cursor["next"], "wait": "20"}, timeout=60)
        assert f"fed {number}" in found.text


def test_clients_cannot_pose_as_workers(server: Server) -> None:
    headers = {"x-lamdb-worker-client": "10.9.9.9:1"}
    assert ask(server.url, CREATE_TAG, headers, name="posing")["createOneTag"] == {"name": "posing"}


def test_a_worker_that_dies_is_replaced(server: Server) -> None:
    before = children(server.process.pid)
    os.kill(before[-1], signal.SIGKILL)
    until(lambda: len(now := children(server.process.pid)) == 3 and before[-1] not in now)
    for _ in range(6):
        until(lambda: httpx.get(f"{server.url}/healthz").status_code == 200)
    assert any("a worker ended" in line for line in server.logs)


def test_mutations_wait_for_a_writer_that_died(server: Server) -> None:
    writer = children(server.process.pid)[0]
    os.kill(writer, signal.SIGKILL)
    assert ask(server.url, CREATE_TAG, name="after the end")["createOneTag"] == {"name": "after the end"}
    assert ask(server.url, NEWEST_TAG)["findManyTag"] == [{"name": "after the end"}]
    assert writer not in children(server.process.pid)


def test_a_reload_replaces_all_and_fails_no_request(server: Server) -> None:
    before = until(lambda: len(now := children(server.process.pid)) == 3 and set(now))
    server.process.send_signal(signal.SIGHUP)
    number = 0
    while before & set(children(server.process.pid)) or len(children(server.process.pid)) != 3:
        number += 1
        assert number < 5000
        ask(server.url, CREATE_TAG, name=f"reload {number}")
        assert ask(server.url, NEWEST_TAG)["findManyTag"] == [{"name": f"reload {number}"}]
    assert number > 0, "no request fell into the reload"


def test_a_stop_answers_what_is_running_and_ends_all(tmp_path: Path) -> None:
    running = Server("--store", f"file://{tmp_path}", "--workers", "2")
    pids = children(running.process.pid)
    answers: list[int] = []

    def ask_on() -> None:
        while True:
            try:
                body = {
                    "query": CREATE_TAG,
                    "variables": {"name": f"{time.monotonic_ns()} {os.urandom(4).hex()}"},
                }
                answers.append(httpx.post(f"{running.url}/graphql", json=body).status_code)
            except httpx.TransportError:  # It was not received: what was is counted below.
                return

    threads = [threading.Thread(target=ask_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(answers) > 20)
    assert running.stop() == 0
    for thread in threads:
        thread.join()
    assert set(answers) == {200}
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    kept = subprocess.run(
        [
            LAMDB,
            "query",
            '{ aggregateTag(where: { name: { contains: " " } }) { _count { _all } } }',
            "--store",
            tmp_path,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(kept.stdout)["data"]["aggregateTag"]["_count"]["_all"] == len(answers)


def test_workers_end_with_their_supervisor(tmp_path: Path) -> None:
    running = Server("--store", f"file://{tmp_path}", "--workers", "2")
    pids = children(running.process.pid)
    running.process.kill()
    until(lambda: not [pid for pid in pids if Path(f"/proc/{pid}").exists()])
    running.close()


def test_keys_hold_for_all_workers(tmp_path: Path) -> None:
    store = f"file://{tmp_path}"
    running = Server("--store", store, "--workers", "2", LAMDB_AUTH="keys")
    made = subprocess.run(
        [LAMDB, "key", "create", "--name", "reader", "--role", "read", "--store", store, "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    key = json.loads(made.stdout)["key"]
    headers = {"authorization": f"Bearer {key}"}
    url = f"{running.url}/graphql"
    until(lambda: httpx.post(url, json={"query": NEWEST_TAG}, headers=headers).status_code == 200)
    for _ in range(4):
        assert httpx.post(url, json={"query": NEWEST_TAG}).status_code == 401
        body = {"query": CREATE_TAG, "variables": {"name": "no"}}
        assert httpx.post(url, json=body).status_code == 401
        refused = httpx.post(url, json=body, headers=headers).json()
        assert refused["errors"][0]["extensions"]["code"] == "FORBIDDEN"
    assert running.stop() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--store", "memory:", "--workers", "2"], "cannot share a store in memory"),
        (["--store", ".", "--workers", "2"], "metrics are counted by one process"),
        (["--store", "memory:", "--workers", "0"], "auto, or a number from 1 to 64"),
        (["--store", "memory:", "--workers", "many"], "auto, or a number from 1 to 64"),
    ],
)
def test_what_cannot_be_shared_is_refused(options: list[str], said: str) -> None:
    command = [LAMDB, "serve", "--database", DEMO, "--port", "0", *options]
    environ = {**os.environ, "LAMDB_METRICS": "on"} if "metrics" in said else None
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environ)
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr


def test_a_writer_that_cannot_start_ends_the_server(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text("model {")
    command = [LAMDB, "serve", "--push", "--database", tmp_path, "--port", "0", "--workers", "2"]
    command += ["--store", f"file://{tmp_path}/store"]
    refused = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert refused.returncode not in (0, -9), refused.stderr
    assert "schema.prisma" in refused.stderr
