"""Live queries of real servers: processes that commit to one store, and the npm client graphql-sse."""

import itertools
import json
import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pytest

from .conftest import DEMO, Server

NODE = Path(__file__).parent / "node"
SCHEMA = """
datasource db {
  provider = "sqlite"
}

/// @lamdb.search name
model Tag {
  id    Int    @id @default(autoincrement())
  name  String
  notes Note[]
}

model Note {
  id    Int    @id @default(autoincrement())
  text  String
  tagId Int?
  tag   Tag?   @relation(fields: [tagId], references: [id], onDelete: SetNull)
}

model Log {
  id   Int    @id @default(autoincrement())
  line String
}
"""
QUERIES = [
    "{ findManyTag(orderBy: { id: asc }) { id name notes(orderBy: { id: asc }) { text } } }",
    "{ findManyNote(where: { tag: { name: { contains: \"1\" } } }, orderBy: { id: asc }) { id text } }",
    "{ aggregateNote { _count { _all } _max { id } } }",
    "{ findFirstTag(where: { id: 3 }) { name } }",
    '{ searchTag(query: "name1") { totalCount } }',
    "{ findManyLog(orderBy: { id: desc }, take: 3) { line } }",
]  # fmt: skip


class Following:
    """A live query that is followed in a thread."""

    def __init__(self, url: str, query: str) -> None:
        self.results: list[Any] = []
        self.ended = threading.Event()
        self.status = 0
        self._client = httpx.Client(timeout=60)
        self._arguments = (f"{url}/graphql", query)
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        until(lambda: self.results or self.ended.is_set())
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def _follow(self) -> None:
        url, query = self._arguments
        try:
            with self._client.stream(
                "POST", url, json={"query": f"query @live {query}"}, headers={"accept": "text/event-stream"}
            ) as response:
                self.status = response.status_code
                for line in response.iter_lines():
                    if line.startswith("data: {"):
                        self.results.append(json.loads(line[6:]))
        except (httpx.HTTPError, RuntimeError):
            pass  # the server was killed, or the test is done
        finally:
            self.ended.set()


def until[T](found: Callable[[], T], seconds: float = 30) -> T:
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return result


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "schema.prisma").write_text(SCHEMA)
    return folder


def write(server: Server, chance: random.Random) -> None:
    """One commit, by the API or by SQL."""
    number = chance.randrange(1, 12)
    match chance.randrange(7):
        case 0:
            mutate(server, f'createOneTag(data: {{ name: "name{number}" }}) {{ id }}')
        case 1:
            data = f'data: {{ name: {{ set: "name{number + 7}" }} }}'
            mutate(server, f"updateManyTag({data}, where: {{ id: {{ equals: {number} }} }}) {{ count }}")
        case 2:
            mutate(server, f"deleteManyTag(where: {{ id: {{ gt: {20 + number} }} }}) {{ count }}")
        case 3:
            mutate(server, f'createOneNote(data: {{ text: "t{number}" }}) {{ id }}')
        case 4:
            sql(server, f"UPDATE Note SET tagId = (SELECT min(id) FROM Tag) WHERE id % 5 = {number % 5}")
        case 5:
            sql(server, f"DELETE FROM Note WHERE id % 11 = {number}")
        case _:
            mutate(server, f'createOneLog(data: {{ line: "{number}" }}) {{ id }}')


def mutate(server: Server, field: str) -> None:
    """Sends a mutation again for as long as the other server is first."""
    until(lambda: is_kept(server.post(f"mutation {{ {field} }}")))


def sql(server: Server, statement: str) -> None:
    request = {"requests": [{"type": "execute", "stmt": {"sql": statement}}, {"type": "close"}]}
    until(lambda: is_kept(server.client.post("/v2/pipeline", json=request)))


def is_kept(answer: httpx.Response) -> bool:
    if "FENCED" in answer.text:
        return False
    assert '"error' not in answer.text, answer.text
    return True


@pytest.fixture(params=["two servers", "workers"])
def servers(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> Iterator[list[Server]]:
    """The addresses to follow at and to write to, of one store."""
    options = ["--store", f"file://{tmp_path}/store", "--push"]
    settings = {"LAMDB_CHANGES_LOOK": "0.1", "LAMDB_LIVE_QUERIES": "64"}
    running = [
        Server(*options, *(["--workers", "2"] * (request.param == "workers")), database=project, **settings)
    ]
    if request.param == "two servers":
        running.append(Server(*options, database=project, **settings))
    yield running
    for server in running:
        server.close()


@pytest.mark.parametrize("seed", range(2))
def test_in_the_end_every_client_has_the_present_result(servers: list[Server], seed: int) -> None:
    followers = [Following(server.url, query) for server in servers * 2 for query in QUERIES]
    for follower in followers:
        follower.__enter__()
        assert follower.status == 200

    failures: list[BaseException] = []

    def work(server: Server, number: int) -> None:
        chance = random.Random(f"{seed} {number}")
        try:
            for _ in range(60):
                write(server, chance)
        except BaseException as failure:  # noqa: BLE001 - reported below
            failures.append(failure)

    workers = [
        threading.Thread(target=work, args=(server, number))
        for number, server in enumerate([servers[0], servers[-1]])
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []
    present = [servers[0].data(query, x_lamdb_consistency="strong") for query in QUERIES]
    for follower, expected in zip(followers, present * 2 * len(servers), strict=True):
        until(lambda follower=follower, expected=expected: follower.results[-1]["data"] == expected)
        shown = [json.dumps(result) for result in follower.results]
        assert all(one != next_one for one, next_one in itertools.pairwise(shown))
    assert sum(len(follower.results) for follower in followers) > 3 * len(followers)
    for follower in followers:
        follower.__exit__()


def test_a_stop_ends_streams_at_once(project: Path) -> None:
    server = Server("--store", "memory:", "--push", database=project)
    try:
        with Following(server.url, QUERIES[0]) as follower:
            server.process.terminate()
            started = time.monotonic()
            assert server.process.wait(30) == 0
            assert time.monotonic() - started < 10
            assert follower.ended.wait(10)
            assert len(follower.results) == 1
    finally:
        server.close()


@pytest.mark.node
@pytest.mark.skipif(
    not (NODE / "node_modules/graphql-sse").is_dir(), reason="run `make e2e` to install the tools"
)
def test_graphql_sse_follows_queries_and_connects_again(tmp_path: Path) -> None:
    options = ("--store", f"file://{tmp_path}/store")
    server = Server(*options)
    port = server.url.rpartition(":")[2]
    client = subprocess.Popen(
        ["node", str(NODE / "live.mjs"), f"{server.url}/graphql"], stdout=subprocess.PIPE, text=True
    )
    assert client.stdout is not None
    try:
        seen = json.loads(client.stdout.readline())
        created = {"data": {"createOneTag": {"name": "from graphql-sse"}}}
        assert seen["mutation"] == [created]
        assert seen["second"] == [*seen["first"], "from graphql-sse"]
        assert seen["once"] == [{"data": {"findManyTag": [{"name": seen["first"][0]}]}}]
        for name, code in (("invalid", "P2009"), ("subscription", "GRAPHQL_VALIDATION_FAILED")):
            (result,) = seen[name]
            assert result["errors"][0]["extensions"]["code"] == code
        assert seen["ended"]["done"]
        assert json.loads(client.stdout.readline()) == seen["second"]
        server.close()
        server = Server(*options, "--port", port, database=DEMO)
        assert json.loads(client.stdout.readline()) == seen["second"]
        server.data('mutation { createOneTag(data: { name: "after" }) { name } }')
        assert json.loads(client.stdout.readline()) == [*seen["second"], "after"]
    finally:
        client.kill()
        client.wait()
        server.close()
