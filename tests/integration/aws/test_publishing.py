"""Published changes on a bus of other people's making (moto), whose rule brings them to a queue."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.event_bus import CHANGING
from tests.support.s3_faults import FaultyS3
from tests.support.s3_server import S3

from lamdb.cluster.aws.events_api import EventsApi, EventsRefused
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.signature import AccessKeys
from lamdb.cluster.function_settings import function_settings
from lamdb.cluster.publisher import role
from lamdb.cluster.publishing.progress import Overtaken, Progress, ProgressObject
from lamdb.cluster.service import Service
from lamdb.errors import SettingsError
from lamdb.graphql.api import GraphQLRequest
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage.stores.obstores import Obstore
from lamdb.storage.stores.url import open_store

PUBLISH = {"lamdb": {"operation": "publish"}}


@dataclass
class Bus:
    """A bus with a rule that sends the events of authors to a queue."""

    s3: S3
    sqs: Any
    queue: str

    def received(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found


@pytest.fixture
def bus(s3: S3) -> Iterator[Bus]:
    events = boto3.client("events", endpoint_url=s3.endpoint)
    sqs = boto3.client("sqs", endpoint_url=s3.endpoint)
    events.create_event_bus(Name="shop")
    queue = sqs.create_queue(QueueName="authors")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = {"source": ["lamdb"], "detail": {"model": ["Author"]}}
    events.put_rule(Name="authors", EventBusName="shop", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="authors", EventBusName="shop", Targets=[{"Id": "queue", "Arn": arn}])
    yield Bus(s3, sqs, queue)
    events.remove_targets(Rule="authors", EventBusName="shop", Ids=["queue"])
    events.delete_rule(Name="authors", EventBusName="shop")
    events.delete_event_bus(Name="shop")
    sqs.delete_queue(QueueUrl=queue)


def publisher(store: str, endpoint: str, monkeypatch: pytest.MonkeyPatch, **variables: str) -> Service:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EVENTBRIDGE", endpoint)
    return Service(
        role(), function_settings({"LAMDB_STORE": store, "LAMDB_PUBLISH_BUS": "shop", **variables})
    )


def test_changes_arrive_where_a_rule_sends_them(
    bus: Bus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "schema.prisma").write_text(CHANGING)
    made = publisher(bus.s3.url, bus.s3.endpoint, monkeypatch)
    with Instance.open(Settings(store=bus.s3.url, database=str(tmp_path)), push=True) as instance:

        def run(document: str) -> None:
            result = instance.api.execute(instance.database, GraphQLRequest(document))
            assert b'"errors"' not in result.body, result.body

        assert made.handle(PUBLISH, None)["gaps"] == 1
        run('mutation { createOneAuthor(data: {id: 1, name: "Ann", books: "[1, 2]"}) { id } }')
        run('mutation { createOneLabel(data: {name: "new"}) { name } }')
        run('mutation { updateOneAuthor(where: {id: 1}, data: {name: "Bo"}) { id } }')
        report = made.handle(PUBLISH, None)
        assert (report["published"], report["finished"]) == (3, True)
        many = "".join(f"a{n}: createOneAuthor(data: {{id: {n}}}) {{ id }} " for n in range(10, 33))
        run(f"mutation {{ {many} }}")
        assert made.handle(PUBLISH, None)["published"] == 23
        assert made.handle(PUBLISH, None)["published"] == 0
    received = bus.received()
    types = [(each["source"], each["detail-type"]) for each in received]
    assert (
        types
        == [("lamdb", "Author created"), ("lamdb", "Author updated")] + [("lamdb", "Author created")] * 23
    )
    assert received[0]["detail"]["after"] == {"id": 1, "name": "Ann", "books": "[1,2]"}, (
        "Json is text, as in the feed"
    )
    assert received[1]["detail"]["before"] == {"name": "Ann"}
    assert {each["detail"]["key"]["id"] for each in received[2:]} == set(range(10, 33))


def test_the_botocore_sdk_and_the_requests_agree_on_what_is_refused(bus: Bus) -> None:
    api = EventsApi(Access(bus.s3.endpoint, "us-east-1", AccessKeys("key", "secret")))
    entry = {"EventBusName": "shop", "Source": "lamdb", "DetailType": "Author created", "Detail": "{}"}
    with pytest.raises(EventsRefused, match="ValidationException"):
        api.put([entry] * 11)
    assert (api.has_bus("shop"), api.has_bus("elsewhere")) == (True, False)
    assert api.put([entry, {**entry, "Detail": "no JSON"}]) == ["", "MalformedDetail"]


@pytest.mark.parametrize("server", ["moto", "own"])
def test_progress_in_s3_is_replaced_by_one_of_two(
    server: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    if server == "moto":
        check_progress(request.getfixturevalue("s3").url)
        return
    with FaultyS3(conflict=0.2, lose_answer=0.2, slow_down=0.1) as s3:
        for name, text in s3.environment.items():
            monkeypatch.setenv(name, text)
        check_progress(s3.url)


def check_progress(url: str) -> None:
    store = open_store(url)
    assert isinstance(store, Obstore)
    progress = ProgressObject(store)
    assert progress.read() is None
    first = progress.replace(Progress("1").taken())
    assert progress.read() == first
    with pytest.raises(Overtaken):
        progress.replace(Progress("1").taken())
    for number in range(2, 12):
        latest = progress.replace(Progress(str(number), first.publisher, first.until, first.etag))
        assert latest.etag != first.etag
        with pytest.raises(Overtaken):
            progress.replace(Progress("0", "other", 0, first.etag))
        first = latest
    assert progress.read() == first


@pytest.mark.parametrize(
    "variables", [{"LAMDB_PUBLISH_BUS": ""}, {"LAMDB_STORE": "file:///nowhere/at/all"}], ids=["bus", "store"]
)
def test_what_cannot_be_published_is_said(
    variables: dict[str, str], s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = publisher(s3.url, s3.endpoint, monkeypatch, **variables)
    with pytest.raises(SettingsError):
        made.handle(PUBLISH, None)
