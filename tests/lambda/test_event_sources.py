"""Events of other services in real runtime processes: once each, though writers die and answers get lost."""

import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.mirroring import TAGS, bus, create_tag, deploy, message, records, sample, stream
from tests.support.s3_server import s3_endpoint  # noqa: F401 - a fixture; the same server knows SQS.

from lamdb.storage import Database

from .cluster import Cluster, running
from .pollers import Poller

pytestmark = pytest.mark.slow


@pytest.fixture
def mirrored(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3_endpoint: str,  # noqa: F811
) -> Iterator[tuple[Cluster, Any]]:
    """A cluster whose schema mirrors everything, and the client and URL of its queue of dead letters."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        with Database.open(cluster.s3.url) as database:
            deploy(database)
        sqs = boto3.client("sqs", endpoint_url=s3_endpoint, region_name="us-east-1")
        attributes = {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        url = sqs.create_queue(QueueName=f"{tmp_path.name}.fifo", Attributes=attributes)["QueueUrl"]
        cluster.writer.variables |= {"LAMDB_DEAD_LETTERS": url, "AWS_ENDPOINT_URL_SQS": s3_endpoint}
        yield cluster, (sqs, url)


def ask(cluster: Cluster, query: str) -> Any:
    answer = cluster.invoke(cluster.reader, {"query": query, "headers": {"x-lamdb-consistency": "strong"}})
    (found,) = answer["data"].values()
    return found


def letters(queue: Any) -> list[dict[str, Any]]:
    sqs, url = queue
    found: list[dict[str, Any]] = []
    while got := sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10, WaitTimeSeconds=0
    ).get("Messages"):
        found += got
        for each in got:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return found


def test_each_sample_is_applied_once(mirrored: tuple[Cluster, Any]) -> None:
    cluster, queue = mirrored
    answers = {
        name: [cluster.invoke(cluster.writer, sample(name)) for _ in range(2)]
        for name in ("sqs", "eventbridge", "dynamodb-stream", "s3", "s3-eventbridge")
    }
    reported = [{"batchItemFailures": []}] * 2
    assert (answers["sqs"], answers["dynamodb-stream"]) == (reported, reported)
    assert answers["eventbridge"] == answers["s3"] == answers["s3-eventbridge"] == [{}, {}]
    assert [tag["name"] for tag in ask(cluster, TAGS)] == ["from-a-queue", "from-a-bus", "from-a-table"]
    assert ask(cluster, "{ findManyImport { key size } }") == [{"key": "imports/tags.graphql", "size": 2048}]
    assert sum(cluster.writer.metrics("EventsApplied")) == 5
    assert sum(cluster.writer.metrics("EventsRepeated")) == 5
    assert letters(queue) == []


def test_readers_and_proxies_take_no_events(mirrored: tuple[Cluster, Any]) -> None:
    cluster, _ = mirrored
    for function in (cluster.reader, cluster.proxy):
        answer = function.invoke(json.dumps(sample("sqs")).encode())
        assert answer.error == "Unhandled"
        assert b"takes no events" in answer.payload


def test_poison_stands_among_the_dead_letters_with_its_error(mirrored: tuple[Cluster, Any]) -> None:
    cluster, queue = mirrored
    kept = {"kind": {"stringValue": "order", "dataType": "String"}}
    poison = message(2, {"query": "mutation { nothing }"}, messageAttributes=kept)
    event = records(message(1, create_tag("a")), poison, message(3, create_tag("b")))
    for _ in range(2):
        assert cluster.invoke(cluster.writer, event) == {"batchItemFailures": []}
    (letter,) = letters(queue)
    assert letter["Body"] == poison["body"]
    told = {name: given["StringValue"] for name, given in letter["MessageAttributes"].items()}
    assert "nothing" in told.pop("lamdb-message")
    assert told == {
        "lamdb-code": "P2009",
        "lamdb-source": "sqs",
        "lamdb-record": "message-2",
        "kind": "order",
    }
    assert [tag["name"] for tag in ask(cluster, TAGS)] == ["a", "b"]


def test_an_event_that_cannot_be_set_aside_comes_again(mirrored: tuple[Cluster, Any]) -> None:
    cluster, (sqs, url) = mirrored
    sqs.delete_queue(QueueUrl=url)
    event = records(message(1, create_tag("a")), message(2, "poison"), message(3, create_tag("b")))
    assert cluster.invoke(cluster.writer, event) == {"batchItemFailures": [{"itemIdentifier": "message-2"}]}
    assert [tag["name"] for tag in ask(cluster, TAGS)] == ["a", "b"]
    assert cluster.writer.invoke(json.dumps(bus(1, "Nothing", {})).encode()).error == "Unhandled"


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.2, 0.3])
def test_a_batch_whose_writer_dies_is_applied_whole_or_not_at_all(
    mirrored: tuple[Cluster, Any], delay: float
) -> None:
    """Killed at moments from before the commit to after it: 0.2 s, as slow as the store is."""
    cluster, _ = mirrored
    cluster.invoke(cluster.writer, {"query": TAGS})
    cluster.s3.set(latency=0.2)
    event = records(*(message(number, create_tag(str(number))) for number in range(5)))
    killer = threading.Timer(delay, cluster.writer.kill_any)
    killer.start()
    cluster.writer.invoke(json.dumps(event).encode())
    killer.join()
    cluster.s3.set()
    assert len(ask(cluster, TAGS)) in {0, 5}
    assert cluster.invoke(cluster.writer, event) == {"batchItemFailures": []}
    assert [tag["name"] for tag in ask(cluster, TAGS)] == list("01234")


def test_everything_happens_once_and_in_order_whatever_dies_and_gets_lost(
    mirrored: tuple[Cluster, Any],
) -> None:
    cluster, queue = mirrored
    chance = random.Random(7)
    cluster.s3.set(latency=0.02)
    tags = [message(number, create_tag(f"t{number}")) for number in range(30)]
    tags[11] = message(11, "poison")
    changes = []
    table: dict[str, str] = {}
    for number in range(60):
        key = chance.choice("abcdef")
        name = chance.choice(["INSERT", "MODIFY", "MODIFY", "REMOVE"])
        changes.append(stream(1000 + number, name, key, {"total": number}))
        if name == "REMOVE":
            table.pop(key, None)
        else:
            table[key] = str(number)
    Poller(cluster.writer, tags, size=10).run(chance=chance, chaos=0.25)
    Poller(cluster.writer, changes, size=20).run(chance=chance, chaos=0.25)
    cluster.s3.set()
    # And all of it once more, as when nobody knows what had been done.
    Poller(cluster.writer, tags, size=10).run()
    Poller(cluster.writer, changes, size=60).run()
    expected = [f"t{number}" for number in range(30) if number != 11]
    assert [tag["name"] for tag in ask(cluster, TAGS)] == expected
    orders = ask(cluster, "{ findManyOrder { id total } }")
    assert {order["id"]: order["total"] for order in orders} == table
    assert {letter["Body"] for letter in letters(queue)} == {"poison"}
