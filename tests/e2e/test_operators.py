"""Operators at work on a running server: a migration under traffic, upkeep, and a token."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import Server

pytest.importorskip("tartiflette", reason="the operator API is not compiled: `make setup` says why")

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
SCHEMA = HEAD + "model Thing {\n  id Int @id @default(autoincrement())\n  name String\n%s}\n"
TABLE = 'CREATE TABLE "Thing" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "name" TEXT NOT NULL);\n'
TOKEN = "a-token-of-some-length"
STEPS = 5

MIGRATE = """
mutation ($m: [MigrationInput!]!, $s: String) {
  migrate(migrations: $m, schema: $s) { applied { name } txid }
}"""

type Serve = Callable[..., Server]


def migrations(count: int) -> list[dict[str, str]]:
    added = [
        {"name": f"2026010{n + 1}000000_c{n}", "sql": f'ALTER TABLE "Thing" ADD COLUMN "c{n}" INTEGER;\n'}
        for n in range(1, count + 1)
    ]
    return [{"name": "20260101000000_init", "sql": TABLE}, *added]


def schema(count: int) -> str:
    return SCHEMA % "".join(f"  c{n} Int?\n" for n in range(1, count + 1))


class Operator:
    def __init__(self, server: Server, token: str | None = None) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self._client = httpx.Client(base_url=server.url, timeout=60, headers=headers)

    def ask(self, query: str, variables: Any = None) -> Any:
        body = {"query": query, "variables": variables}
        answer = self._client.post("/admin/graphql", json=body).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def migrate(self, count: int) -> Any:
        return self.ask(MIGRATE, {"m": migrations(count), "s": schema(count)})["migrate"]


@pytest.fixture
def server(serve: Serve, tmp_path: Path) -> Server:
    project = tmp_path / "project"
    (project / "migrations/20260101000000_init").mkdir(parents=True)
    (project / "migrations/20260101000000_init/migration.sql").write_text(TABLE)
    (project / "schema.prisma").write_text(schema(0))
    store = f"file://{tmp_path}/store"
    return serve("--store", store, database=project, LAMDB_OPERATOR_TOKEN=TOKEN)


def test_migrations_by_operators_under_traffic(server: Server) -> None:
    """Nobody who reads or writes meanwhile gets an error, and the new columns are served at once."""
    operator = Operator(server, TOKEN)
    stop, faults, writes = threading.Event(), [], []

    def traffic() -> None:
        client = httpx.Client(base_url=server.url, timeout=60)
        while not stop.is_set():
            for query in (
                'mutation { createOneThing(data: {name: "x"}) { id } }',
                "{ findManyThing(take: 3) { id name } }",
            ):
                answer = client.post("/graphql", json={"query": query}).json()
                if "errors" in answer:
                    faults.append(answer)
                elif "createOneThing" in answer["data"]:
                    writes.append(answer["data"]["createOneThing"]["id"])

    threads = [threading.Thread(target=traffic) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for count in range(1, STEPS + 1):
            done = operator.migrate(count)
            assert [each["name"] for each in done["applied"]] == [migrations(count)[-1]["name"]]
            assert server.data(f"{{ findManyThing(take: 1) {{ c{count} }} }}")["findManyThing"]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert faults == []
    assert server.data("{ aggregateThing { _count { _all } } }")["aggregateThing"]["_count"]["_all"] == len(
        writes
    )
    history = operator.ask("{ migrations { name } }")["migrations"]
    assert [each["name"] for each in history] == [each["name"] for each in migrations(STEPS)]
    verified = operator.ask("mutation { verify { ok faults } }")["verify"]
    assert verified == {"ok": True, "faults": []}
    assert operator.ask("mutation { compact(seconds: 20) { finished } }")["compact"]["finished"] is True
    # Every mutation left a line, and none of what it said.
    line = server.wait_for_log("operator's mutation")
    assert "CREATE TABLE" not in "".join(server.logs)
    assert TOKEN not in "".join(server.logs)
    assert "migrate" in line


def test_without_the_token_nobody_gets_in(server: Server) -> None:
    for headers in ({}, {"authorization": "Bearer guess-guess-guess"}):
        answer = httpx.post(f"{server.url}/admin/graphql", json={"query": "{ schema }"}, headers=headers)
        assert answer.status_code == 401
        assert answer.json()["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"


def test_what_would_crash_the_parser_does_not(server: Server) -> None:
    deep = "{ database " * 100_000 + "{ txid }" + "}" * 100_000
    headers = {"authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{server.url}/admin/graphql", json={"query": deep}, headers=headers)
    assert answer.json()["errors"][0]["extensions"]["code"] == "DOCUMENT_TOO_LARGE"
    assert Operator(server, TOKEN).ask("{ database { txid } }")["database"]["txid"] >= 1
    assert server.process.poll() is None


def test_the_server_prints_where_operators_go(demo: Server) -> None:
    assert f"  Operators {demo.url}/admin/graphql\n" in demo.output
    assert Operator(demo).ask("{ database { store } }") == {"database": {"store": "memory:"}}
