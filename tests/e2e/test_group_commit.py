"""Mutations that come at the same time share commits: through the real server, on a slow store."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.support.http_writers import write_concurrently
from tests.support.s3_faults import FaultyS3

from .conftest import Server

CREATE_TAG = "mutation ($name: String!) { createOneTag(data: { name: $name }) { id } }"
CLIENTS = 64

type Serve = Callable[..., Server]


@pytest.fixture
def slow() -> Iterator[FaultyS3]:
    """50 ms per request: far more than a client takes to send its next, on the busiest machine."""
    with FaultyS3(latency=0.05) as s3:
        yield s3


def mutations(count: int, prefix: str) -> list[bytes]:
    return [
        json.dumps({"query": CREATE_TAG, "variables": {"name": f"{prefix}-{number}"}}).encode()
        for number in range(count)
    ]


def tags(server: Server) -> int:
    return server.data("{ aggregateTag { _count { _all } } }")["aggregateTag"]["_count"]["_all"]


def test_many_writers_make_few_requests(serve: Serve, slow: FaultyS3) -> None:
    """One writer makes a request for each of its writes; 64 make at most a twentieth of that."""
    server = serve("--store", slow.url, **slow.environment)
    url, before = server.url + "/graphql", tags(server)
    slow.reset()
    assert write_concurrently(url, mutations(20, "alone"), 1)[1] == []
    assert 20 <= slow.counts()["PUT"] <= 23  # Some may be compaction's.
    slow.reset()
    assert write_concurrently(url, mutations(640, "together"), CLIENTS)[1] == []
    assert slow.counts()["PUT"] <= 640 / 20
    assert tags(server) == before + 660


@pytest.mark.parametrize(
    ("setting", "at_least"), [({"LAMDB_GROUP_SECONDS": "0"}, 24), ({"LAMDB_WRITE_THREADS": "4"}, 6)]
)
def test_the_settings_bound_a_group(
    serve: Serve, slow: FaultyS3, setting: dict[str, str], at_least: int
) -> None:
    server = serve("--store", slow.url, **slow.environment, **setting)
    slow.reset()
    assert write_concurrently(server.url + "/graphql", mutations(24, "bounded"), 24)[1] == []
    assert slow.counts()["PUT"] >= at_least


def test_each_mutation_has_its_own_outcome(serve: Serve, slow: FaultyS3) -> None:
    server = serve("--store", slow.url, **slow.environment)
    before = tags(server)
    _, wrong = write_concurrently(server.url + "/graphql", mutations(32, "twice") * 2, CLIENTS)
    codes = Counter(json.loads(answer)["errors"][0]["extensions"]["code"] for answer in wrong)
    assert codes == {"P2002": 32}
    assert tags(server) == before + 32


def test_writers_that_wait_hold_up_no_reader(serve: Serve, slow: FaultyS3) -> None:
    server = serve("--store", slow.url, LAMDB_MAX_STALENESS="3600", **slow.environment)
    before = tags(server)
    slow.set(latency=10.0)
    writing = threading.Thread(
        target=write_concurrently, args=(server.url + "/graphql", mutations(CLIENTS, "waiting"), CLIENTS)
    )
    writing.start()
    time.sleep(0.3)
    assert tags(server) == before
    assert writing.is_alive(), "the read came after the commits"
    slow.set()
    writing.join(60)
    assert tags(server) == before + CLIENTS
