"""The sample events, read by lamDB's parsers and by Powertools' data classes: both find the same in them."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aws_lambda_powertools.utilities.data_classes import (
    DynamoDBStreamEvent,
    EventBridgeEvent,
    S3Event,
    SQSEvent,
)

from lamdb.cluster.sources import records
from lamdb.cluster.sources.records import Record, RecordChange

from .stack import ROOT


def sample(name: str) -> dict[str, Any]:
    event: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text())
    return event


def changes(record: Record) -> RecordChange:
    (content,) = record.contents()
    assert isinstance(content, RecordChange)
    return content


def binary(image: Mapping[str, Mapping[str, Any]], item: Mapping[str, Any]) -> dict[str, Any]:
    """An item as Powertools has it, with what it leaves as it came: base64, and sets in any order."""
    made = dict(item)
    for name, value in image.items():
        if "B" in value:
            made[name] = base64.b64decode(made[name])
        if not value.keys().isdisjoint({"SS", "NS"}):
            made[name] = sorted(made[name])
    return made


def test_messages() -> None:
    theirs = list(SQSEvent(sample("sqs")).records)
    ours = records.read(sample("sqs")).records
    assert [each.id for each in ours] == [each.message_id for each in theirs]
    assert [each.group for each in ours] == [each.attributes.message_group_id for each in theirs]
    assert [each.body() for each in ours] == [each.body for each in theirs]


def test_changes_of_a_table() -> None:
    event = sample("dynamodb-stream")
    extra = {"B": "AAE="}, {"SS": ["a", "b"]}, {"NS": ["1", "2.5"]}, {"L": [{"NULL": True}, {"BOOL": False}]}
    event["Records"][0]["dynamodb"]["NewImage"] |= {f"extra{n}": each for n, each in enumerate(extra)}
    theirs = list(DynamoDBStreamEvent(event).records)
    ours = records.read(event).records
    assert len(ours) == len(theirs) > 0
    for record, their in zip(ours, theirs, strict=True):
        change, data = changes(record), their.dynamodb
        assert data is not None
        assert data.sequence_number is not None
        assert change.version == data.sequence_number.rjust(40, "0")
        assert change.removes == (their.event_name is not None and their.event_name.name == "REMOVE")
        image = data.old_image if change.removes else data.new_image
        raw = record.event["dynamodb"]["OldImage" if change.removes else "NewImage"]
        assert change.item == binary(raw, image)


@pytest.mark.parametrize("key", ["a.txt", "a+b/c d%é.txt"])
def test_objects(key: str) -> None:
    from urllib.parse import quote_plus

    event = sample("s3")
    event["Records"][0]["s3"]["object"]["key"] = quote_plus(key, safe="/")
    theirs = S3Event(event)
    their = theirs.record
    item = changes(records.read(event).records[0]).item
    stored = their.s3.get_object
    assert (item["bucket"], item["key"], key) == (theirs.bucket_name, theirs.object_key, item["key"])
    assert (item["size"], item["etag"], item["version"]) == (stored.size, stored.etag, stored.version_id)
    assert (item["sequencer"], item["time"]) == (stored.sequencer, their.event_time)


def test_events_of_a_bus() -> None:
    event = {**sample("eventbridge"), "detail": {"id": 7, "name": "a"}}
    their = EventBridgeEvent(event)
    change = changes(records.read(event).records[0])
    assert change.name == f"{their.source}/{their.detail_type}"
    assert (change.item, change.id) == (their.detail, f"eventbridge:{their.get_id}")
