"""Writes through the queue and writes whose clients do not wait, in real runtime processes."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from .chaos import Chaos
from .cluster import CREATE, NAMES, Cluster, deploy, running
from .load import provision
from .openloop import measure

pytestmark = pytest.mark.slow


@pytest.fixture(params=["direct", "queued", "auto"])
def cluster(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path, mode=request.param, visibility=2.0) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        deploy(cluster.s3.url)
        yield cluster


def names(cluster: Cluster) -> list[str]:
    return sorted(item["name"] for item in cluster.post(NAMES, x_lamdb_consistency="strong").items)


def state(cluster: Cluster, location: str) -> dict[str, Any]:
    path, _, query = location.partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&")) if query else None
    end = time.monotonic() + 60
    while time.monotonic() < end:
        event = {"httpMethod": "GET", "path": path, "headers": {}, "queryStringParameters": pairs}
        response = cluster.invoke(cluster.proxy, event)
        if response["statusCode"] != 202:
            told: dict[str, Any] = json.loads(response["body"])
            return told
        time.sleep(0.1)
    raise AssertionError("it stays pending")


def test_writes_are_answered_whichever_way_they_go(cluster: Cluster) -> None:
    cluster.proxy.provision(4)

    def create(number: int) -> Any:
        key = {"idempotency_key": f"k{number}"} if number % 2 else {}
        return cluster.post(CREATE, {"name": str(number)}, **key)

    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(create, range(12)))
    assert [reply.status for reply in replies] == [200] * 12
    assert len({reply.body["data"]["createOneItem"]["id"] for reply in replies}) == 12
    assert names(cluster) == sorted(map(str, range(12)))
    failed = cluster.post("mutation { deleteOneItem(where: {id: 999}) { id } }")
    assert (failed.status, failed.code) == (200, "P2025")
    again = cluster.post(CREATE, {"name": "1"}, idempotency_key="k1")
    assert again.body == replies[1].body
    other = cluster.post(CREATE, {"name": "other"}, idempotency_key="k1")
    assert (other.status, other.code) == (422, "IDEMPOTENCY_MISMATCH")
    assert cluster.writes.messages == []


def test_who_does_not_wait_asks_later(cluster: Cluster) -> None:
    reply = cluster.post(CREATE, {"name": "later"}, prefer="respond-async")
    assert reply.status == 202
    assert state(cluster, reply.headers["location"])["response"]["data"]["createOneItem"]["id"]
    failed = cluster.post("mutation { deleteOneItem(where: {id: 999}) { id } }", prefer="respond-async")
    told = state(cluster, failed.headers["location"])
    assert told["response"]["errors"][0]["extensions"]["code"] == "P2025"
    keyed = cluster.post(CREATE, {"name": "keyed"}, prefer="respond-async", idempotency_key="k")
    assert state(cluster, keyed.headers["location"])["response"]["data"]
    assert cluster.post(CREATE, {"name": "keyed"}, idempotency_key="k").status == 200
    assert names(cluster) == ["keyed", "later"]


@pytest.mark.parametrize("is_rough", [False, True])
@pytest.mark.parametrize("cluster", ["auto"], indirect=True)
def test_writes_at_a_rate_are_each_there_once(cluster: Cluster, tmp_path: Path, is_rough: bool) -> None:
    provision(cluster, proxies=8, readers=2)
    chaos = Chaos(cluster, pause=1.0) if is_rough else None
    report = measure(cluster, tmp_path, rate=10.0, seconds=5.0, chaos=chaos)
    print(report.figures)
    assert report.problems == []
    assert report.figures["acknowledged"] > 0
    assert report.figures["api.rest per write"] >= 1
    assert report.figures["s3.put per write"] > 0
    assert report.figures["total, $ per million writes"] > 3.5
    if not is_rough:
        assert cluster.writes.dead_letters == []
