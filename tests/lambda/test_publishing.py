"""The publisher beside a writer, in real runtime processes that freeze and die."""

import contextlib
import itertools
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lamdb.cluster.publishing.progress import Overtaken, ProgressObject
from lamdb.errors import StoreUnavailable
from lamdb.storage.stores.obstores import Obstore
from lamdb.storage.stores.url import open_store

from .cluster import CREATE, NAMES, SCHEMA, Cluster, deploy, running
from .environment import Environment

pytestmark = pytest.mark.slow

PUBLISH = {"lamdb": {"operation": "publish"}}


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        deploy(cluster.s3.url, SCHEMA.replace("model Item", "/// @lamdb.changes\nmodel Item"))
        report = cluster.invoke(cluster.publisher, PUBLISH)
        assert (report["gaps"], report["finished"]) == (1, True)
        yield cluster


def create(cluster: Cluster, name: str) -> int:
    """Creates an item, as a client that sends its mutation again under its key while it gets a 503."""
    reply = cluster.post(CREATE, {"name": name}, idempotency_key=name)
    for _ in range(5):
        if reply.status != 503:
            break
        reply = cluster.post(CREATE, {"name": name}, idempotency_key=name)
    assert reply.status == 200, reply.body
    return int(reply.body["data"]["createOneItem"]["id"])


def published(cluster: Cluster) -> list[str]:
    return [each["after"]["name"] for each in cluster.bus.details if each.get("operation") == "CREATE"]


def progress(cluster: Cluster) -> ProgressObject:
    store = open_store(cluster.s3.url)
    assert isinstance(store, Obstore)
    return ProgressObject(store)


def end_of_lease(cluster: Cluster) -> None:
    """As if the time had passed for which a publisher holds the object."""
    object_ = progress(cluster)
    found = object_.read()
    assert found is not None
    if found.is_taken():
        object_.replace(found.released())


def publish(cluster: Cluster) -> dict[str, Any]:
    report: dict[str, Any] = cluster.invoke(cluster.publisher, PUBLISH)
    return report


def test_a_bus_that_is_down_does_not_concern_writes(cluster: Cluster) -> None:
    cluster.bus.down = True
    for number in range(3):
        create(cluster, f"n{number}")
    failed = cluster.publisher.invoke(b'{"lamdb": {"operation": "publish"}}')
    assert failed.error is not None
    assert b"NotPublished" in failed.payload
    create(cluster, "n3")
    assert cluster.writer.starts == 1
    cluster.bus.down = False
    assert publish(cluster)["published"] == 4
    assert published(cluster) == ["n0", "n1", "n2", "n3"]


def test_the_writer_sends_nothing_and_knows_of_no_bus(cluster: Cluster) -> None:
    before = cluster.bus.requests
    create(cluster, "a")
    assert cluster.bus.requests == before
    assert not [name for name in cluster.writer.variables if "PUBLISH" in name or "EVENTBRIDGE" in name]


@pytest.mark.parametrize("end", ["kill", "lose"])
def test_a_change_is_published_though_its_writer_dies_after_the_commit(cluster: Cluster, end: str) -> None:
    """The store has taken the commit, and the writer never answers."""
    create(cluster, "first")
    before = cluster.s3.counts()["PUT"]
    with ThreadPoolExecutor(1) as threads:
        cluster.s3.set(latency=0.5)
        writing = threads.submit(create, cluster, "second")
        while cluster.s3.counts()["PUT"] == before:
            time.sleep(0.01)
        time.sleep(0.3)  # the object is there from the middle of the latency on
        (victim,) = cluster.writer.environments()
        victim.kill() if end == "kill" else victim.lose()
        cluster.s3.set()
        writing.result()
    publish(cluster)
    names = published(cluster)
    assert sorted(set(names)) == ["first", "second"]
    assert len(cluster.post(NAMES, x_lamdb_consistency="strong").items) == 2


def test_every_change_is_published_though_writers_and_publishers_die(cluster: Cluster) -> None:
    """Publishers are killed, frozen and thawed after others have taken over; the bus and the store fail."""
    chance = random.Random(7)
    cluster.bus.failures, cluster.bus.seconds = 0.1, 0.01
    cluster.s3.set(latency=0.01, slow_down=0.02, lose_answer=0.02, conflict=0.02)
    over = threading.Event()
    frozen: list[Environment] = []
    hit: Counter[str] = Counter()

    def trigger() -> None:
        while not over.is_set():
            cluster.publisher.invoke(b'{"lamdb": {"operation": "publish"}}')
            time.sleep(chance.uniform(0.0, 0.1))

    def disturb() -> None:
        turns = itertools.cycle([*[cluster.publisher] * 5, cluster.writer])
        while not over.wait(chance.uniform(0.1, 0.4)):
            function = next(turns)
            while not (victims := function.working()) and not over.wait(0.001):
                pass
            for victim in victims[:1]:
                hit[function.name] += 1
                if chance.random() < 0.5:
                    victim.kill()
                else:
                    victim.lose()
                    frozen.append(victim)
            # The store fails, too, and a publisher may go on meanwhile.
            with contextlib.suppress(StoreUnavailable, Overtaken):
                end_of_lease(cluster)
            if frozen and chance.random() < 0.5:
                frozen.pop(0).thaw()

    threads = [threading.Thread(target=trigger) for _ in range(2)] + [threading.Thread(target=disturb)]
    for thread in threads:
        thread.start()
    try:
        names = [f"n{number}" for number in range(80)]
        ids = [create(cluster, name) for name in names]
    finally:
        over.set()
        for thread in threads:
            thread.join()
    assert ids == sorted(ids)
    assert min(hit["publisher"], hit["writer"]) >= 2
    cluster.bus.failures = 0.0
    cluster.s3.set()
    for victim in frozen:
        victim.kill()
    end_of_lease(cluster)
    assert publish(cluster)["finished"]
    seen = published(cluster)
    assert set(seen) == set(names), "none is missing, and none that was rolled back is there"
    assert publish(cluster)["published"] == 0
    details = [each for each in cluster.bus.details if each.get("operation") == "CREATE"]
    by_id = {each["id"]: each for each in details}
    assert len(by_id) == len(names)
    assert [each for each in details if each != by_id[each["id"]]] == [], "what comes twice is the same"


def test_publishers_that_are_called_at_once_publish_once(cluster: Cluster) -> None:
    cluster.publisher.provision(4)
    for round_ in range(5):
        names = [f"r{round_}-{number}" for number in range(8)]
        for name in names:
            create(cluster, name)
        with ThreadPoolExecutor(4) as threads:
            reports = list(threads.map(lambda _: publish(cluster), range(4)))
        assert sum(report["published"] for report in reports) == len(names)
        assert published(cluster)[-len(names) :] == names
