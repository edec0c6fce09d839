"""The main job: `lamdb serve` brings a store up to a schema and serves it, whatever the store."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .conftest import DEMO, Server, run

CREATE_TAG = "mutation ($name: String!) { createOneTag(data: { name: $name }) { id name } }"
TAG_NAMES = "{ findManyTag(orderBy: { id: asc }) { name } }"
SEEDED = ["history", "computing", "mathematics", "debugging", "databases"]

type Serve = Callable[..., Server]


def tag_names(server: Server, **headers: str) -> list[str]:
    return [tag["name"] for tag in server.data(TAG_NAMES, **headers)["findManyTag"]]


def stored_tags(store: str) -> list[str]:
    """The content of the store, read by a process that starts without a cache."""
    answered = run("query", TAG_NAMES, "--store", store)
    assert answered.returncode == 0, answered.stderr
    return [tag["name"] for tag in json.loads(answered.stdout)["data"]["findManyTag"]]


def test_the_demo_is_served_from_memory(demo: Server) -> None:
    assert tag_names(demo) == SEEDED
    found = demo.data(
        '{ findUniqueAuthor(where: { email: "grace@example.com" })'
        " { name role articles(orderBy: { slug: asc }) { slug tags { name } comments { name } } } }"
    )["findUniqueAuthor"]
    assert (found["name"], found["role"]) == ("Grace Hopper", "ADMIN")
    assert [article["slug"] for article in found["articles"]] == ["compilers-are-possible", "the-first-bug"]
    assert found["articles"][1]["tags"] == [{"name": "computing"}, {"name": "debugging"}]
    assert [comment["name"] for comment in found["articles"][0]["comments"]] == ["Jean", "Betty"]


def test_the_printed_line_works_when_it_is_pasted(demo: Server) -> None:
    (line,) = [line for line in demo.output if line.startswith("  curl ")]
    answer = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=30, check=True)
    assert json.loads(answer.stdout)["data"]["findManyAuthor"][0]["email"] == "ada@example.com"


def test_health_says_version_and_transaction(demo: Server) -> None:
    health = demo.client.get("/healthz")
    assert health.status_code == 200
    assert set(health.json()) == {"status", "txid", "version"}
    assert health.json()["status"] == "ok"
    assert health.json()["txid"] >= 2


def test_the_schema_is_published(demo: Server) -> None:
    first = demo.client.get("/schema.graphql", headers={"accept-encoding": "identity"})
    assert "findManyArticle(" in first.text
    assert demo.client.get("/schema.graphql").text == first.text
    again = demo.client.get("/schema.graphql", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_restart_keeps_the_data_and_seeds_no_more(serve: Serve, store: str) -> None:
    first = serve("--store", store)
    created = first.data(CREATE_TAG, {"name": "x"})["createOneTag"]
    assert first.stop() == 0
    second = serve("--store", store)
    assert tag_names(second) == [*SEEDED, "x"]
    found = second.data('{ findUniqueTag(where: { name: "x" }) { id name } }')["findUniqueTag"]
    assert found == created
    assert not any("migration" in line or "seeded" in line for line in second.logs)
    assert second.stop(signal.SIGINT) == 0


def test_nothing_acknowledged_is_lost_to_sigkill(serve: Serve, tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    first = serve("--store", store)
    for number in range(5):
        first.data(CREATE_TAG, {"name": f"kept-{number}"})
    first.process.kill()
    first.wait()
    assert stored_tags(store)[-5:] == [f"kept-{number}" for number in range(5)]


def test_two_servers_one_store(serve: Serve, store: str) -> None:
    """The fence decides: writes may be refused as fenced, but none that was acknowledged is lost."""
    servers = [serve("--store", store, LAMDB_FENCED_RETRIES="1"), serve("--store", store)]

    def write(job: tuple[int, int]) -> tuple[str, httpx.Response]:
        worker, number = job
        name = f"w{worker}-{number}"
        return name, servers[worker % 2].post(CREATE_TAG, {"name": name})

    jobs = [(worker, number) for number in range(12) for worker in range(4)]
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(write, jobs))

    acknowledged = {name for name, response in outcomes if "data" in response.json()}
    refused = [response for _, response in outcomes if "data" not in response.json()]
    assert len(acknowledged) >= 24
    for response in refused:
        assert response.status_code == 503
        assert response.headers["retry-after"]
        assert response.json()["errors"][0]["extensions"]["code"] == "FENCED"
    for server in servers:
        names = tag_names(server, x_lamdb_consistency="strong")
        assert len(names) == len(set(names))
        assert set(names) - set(SEEDED) == acknowledged
    assert all(server.stop() == 0 for server in servers)
    assert set(stored_tags(store)) - set(SEEDED) == acknowledged


def test_two_servers_that_start_at_once_seed_once(serve: Serve, tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    with ThreadPoolExecutor(2) as pool:
        servers = list(pool.map(lambda _: serve("--store", store), range(2)))
    for server in servers:
        assert tag_names(server, x_lamdb_consistency="strong") == SEEDED
        counted = server.data("{ aggregateAuthor { _count { _all } } }")
        assert counted["aggregateAuthor"]["_count"]["_all"] == 3


def test_a_token_reads_what_another_server_wrote(serve: Serve, store: str) -> None:
    writer = serve("--store", store)
    reader = serve("--store", store, LAMDB_MAX_STALENESS="3600", LAMDB_TOKEN_WAIT="0.3")
    token = writer.post(CREATE_TAG, {"name": "mine"}).headers["x-lamdb-txid"]
    assert "mine" not in tag_names(reader, x_lamdb_consistency="eventual")
    fresh = reader.post(TAG_NAMES, x_lamdb_txid=token)
    assert "mine" in fresh.text
    assert int(fresh.headers["x-lamdb-txid"]) >= int(token)

    writer.data(CREATE_TAG, {"name": "also"})
    assert "also" not in tag_names(reader)
    assert "also" in tag_names(reader, x_lamdb_consistency="strong")

    lagging = reader.post(TAG_NAMES, x_lamdb_txid=str(int(token) + 100))
    assert lagging.status_code == 503
    assert lagging.json()["errors"][0]["extensions"]["code"] == "REPLICA_LAG"


def test_a_read_is_never_much_older_than_the_store(serve: Serve, tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    writer = serve("--store", store)
    reader = serve("--store", store, LAMDB_MAX_STALENESS="0.2")
    writer.data(CREATE_TAG, {"name": "seen"})
    time.sleep(0.25)
    assert "seen" in tag_names(reader)


# Stopping


def test_stopping_finishes_what_was_begun(serve: Serve) -> None:
    server = serve("--store", "memory:")
    body = json.dumps({"query": CREATE_TAG, "variables": {"name": "late"}}).encode()
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head_of_post(len(body)) + body[:10])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(httpx.ConnectError):
            httpx.get(server.url + "/healthz")
        connection.sendall(body[10:])
        answer = connection.recv(65536)
    assert b"200 OK" in answer
    assert b'"name":"late"' in answer
    assert server.wait() == 0


def test_stopping_under_load_loses_nothing_acknowledged(serve: Serve, tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    server = serve("--store", store)

    def write(worker: int) -> list[str]:
        done: list[str] = []
        try:
            while True:
                name = f"w{worker}-{len(done)}"
                server.data(CREATE_TAG, {"name": name})
                done.append(name)
        except httpx.TransportError:
            return done

    with ThreadPoolExecutor(4) as pool:
        writers = [pool.submit(write, worker) for worker in range(4)]
        time.sleep(1)
        assert server.stop() == 0
        acknowledged = {name for writer in writers for name in writer.result()}
    assert len(acknowledged) > 4
    assert acknowledged <= set(stored_tags(store))


def test_a_request_that_never_ends_does_not_hold_up_stopping(serve: Serve) -> None:
    server = serve("--store", "memory:", LAMDB_SHUTDOWN_TIMEOUT="0.5")
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(head_of_post(9))
        time.sleep(0.2)
        begun = time.monotonic()
        assert server.stop() == 0
    assert time.monotonic() - begun < 25, "it waited for the request"
    assert any("before all requests were finished" in line for line in server.logs)


def head_of_post(length: int) -> bytes:
    return (
        "POST /graphql HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"content-length: {length}\r\n\r\n"
    ).encode()


# Starting


def test_a_port_that_is_taken_is_an_error(demo: Server) -> None:
    port = demo.url.rsplit(":", 1)[1]
    failed = run("serve", "--store", "memory:", "--database", str(DEMO), "--port", port)
    assert failed.returncode == 2
    assert f"port {port}: Address already in use" in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_schema_ahead_of_its_migrations_is_a_warning(serve: Serve, tmp_path: Path) -> None:
    database = copy_of_demo(tmp_path)
    schema = database / "schema.prisma"
    schema.write_text(schema.read_text().replace("model Tag {\n", "model Tag {\n  colour String?\n"))
    server = serve("--store", "memory:", database=database, LAMDB_THREDS="4")
    assert "LAMDB_THREDS" in server.wait_for_log("no such setting")
    warning = json.loads(server.wait_for_log("no migration has"))
    assert warning["level"] == "warning"
    assert warning["run"] == f"lamdb migrate create NAME --database {database}"


def test_a_schema_without_migrations_is_served_when_pushed(serve: Serve, tmp_path: Path) -> None:
    database = tmp_path / "prototype"
    database.mkdir()
    (database / "schema.prisma").write_text((DEMO / "schema.prisma").read_text())
    store = f"file://{tmp_path}/store"
    refused = run("serve", "--store", store, "--database", str(database), "--port", "0")
    assert refused.returncode == 1
    assert "has no migrations" in refused.stderr
    assert "--push" in refused.stderr
    server = serve("--store", store, "--push", database=database)
    server.data(CREATE_TAG, {"name": "pushed"})
    assert server.stop() == 0
    assert stored_tags(store) == ["pushed"]


def test_the_documented_line_pushes_the_demo_to_memory(serve: Serve) -> None:
    server = serve("--store", "memory:", "--push")
    assert tag_names(server) == SEEDED
    assert not any("migration" in line for line in server.logs)


def test_a_seed_that_fails_leaves_nothing(tmp_path: Path) -> None:
    database = copy_of_demo(tmp_path)
    seed = database / "seed.graphql"
    seed.write_text(
        'mutation { a: createOneTag(data: { name: "a" }) { id } b: createOneTag(data: { name: "a" }) { id } }'
    )
    store = f"file://{tmp_path}/store"
    failed = run("serve", "--store", store, "--database", str(database), "--port", "0")
    assert failed.returncode == 1
    assert "The seed failed: Unique constraint failed" in failed.stderr
    assert "code: P2002" in failed.stderr
    assert stored_tags(store) == []


def copy_of_demo(tmp_path: Path) -> Path:
    database = tmp_path / "database"
    for path in DEMO.rglob("*"):
        if path.is_file():
            target = database / path.relative_to(DEMO)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
    return database
