"""Reads batches of events in the forms in which AWS services deliver them.

The shapes are AWS's: SQS messages, DynamoDB stream records, S3 notifications, EventBridge events (of S3 and
any other sender), SNS notifications, and the last four in the body of an SQS message.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final
from urllib.parse import unquote_plus

from lamdb.cluster.invocation import queued_mutation
from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.sources import topics
from lamdb.errors import EventError
from lamdb.graphql.request import GraphQLRequest
from lamdb.prisma.datamodel.mirrors import SourceKind

REMOVE_ATTRIBUTE: Final = "lamdb-remove"
"""An SQS message with this attribute, `true`, says that its item was removed."""

_REQUEST_MEMBERS: Final = frozenset({"query", "variables", "operationName", "extensions"})
_DIGITS: Final = 40
"""Length of the longest sequence numbers of DynamoDB."""
_SEQUENCER_DIGITS: Final = 64
_S3_SENDER: Final = "aws.s3"
_S3_CHANGES: Final = {"Object Created": False, "Object Deleted": True}
_S3_CREATED: Final = "ObjectCreated:"
_S3_REMOVED: Final = ("ObjectRemoved:", "LifecycleExpiration:")


@dataclass(frozen=True, slots=True)
class RecordChange:
    """Something that was made, changed or removed elsewhere.

    - `name`: of the table, bucket or queue, or an event's `source/detail-type`.
    - `item`: its fields; of what was removed at least the key. `event`: all that came.
    - `complete`: whether a field that `item` lacks is not there, and not just unchanged.
    - `version`: texts that sort as the changes of one item happened. `exact`: no two of them are equal.
    - `revision`, `revision_only`: of a versioned object; whether only this revision of it was removed.
    - `id`: of the event, wherever it comes by.
    """

    kind: SourceKind
    name: str
    id: str
    item: Mapping[str, Any]
    event: Mapping[str, Any]
    version: str
    exact: bool
    removes: bool = False
    complete: bool = False
    revision: str | None = None
    revision_only: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """GraphQL to execute; `key` identifies the message when it is delivered again."""

    key: str
    request: GraphQLRequest


@dataclass(frozen=True, slots=True)
class Record:
    """One of a batch. Its service calls it `id`; what has the same `group` is in order."""

    kind: SourceKind
    id: str
    event: Mapping[str, Any]
    group: str | None = None

    def contents(self) -> Sequence[RecordChange | Request | Write]:
        """The changes to apply; none for events that change nothing. Raises `EventError`."""
        try:
            return tuple(_contents(self.kind, self.event))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            raise EventError(
                f"This is not an event of {self.kind}: {type(error).__name__}: {error}."
            ) from error

    def body(self) -> str:
        """The form of the same statement in an SQS message."""
        if self.kind is SourceKind.SQS:
            return str(self.event.get("body", ""))
        event = self.event if self.kind is SourceKind.EVENTBRIDGE else {"Records": [self.event]}
        return json.dumps(event)


@dataclass(frozen=True, slots=True)
class Batch:
    """`reports`: whether failed records are reported to the service one by one, by `batchItemFailures`."""

    records: tuple[Record, ...]
    reports: bool


def read(event: Mapping[str, Any]) -> Batch:
    """The batch in an event that is of one of the kinds. Raises `EventError`."""
    try:
        return _read(event)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EventError(f"The event cannot be read: {type(error).__name__}: {error}.") from error


def _read(event: Mapping[str, Any]) -> Batch:
    if "Records" not in event:
        return Batch((Record(SourceKind.EVENTBRIDGE, str(event.get("id")), event),), reports=False)
    records = tuple(_record(each) for each in event["Records"])
    sources = {each.get("eventSource") or each.get("EventSource") for each in event["Records"]}
    if len(sources) != 1:
        raise EventError("The records of a batch come from one source.")
    return Batch(records, reports=not sources.isdisjoint({"aws:sqs", "aws:dynamodb"}))


def of_message(message: Mapping[str, Any]) -> Record:
    """A message of SQS, in the form in which an event source mapping delivers it."""
    return Record(SourceKind.SQS, message["messageId"], message, message["attributes"].get("MessageGroupId"))


def _record(record: Mapping[str, Any]) -> Record:
    match record.get("eventSource") or record.get("EventSource"):
        case queued_mutation.SOURCE:
            write = record["write"]["lamdb"]["write"]
            message = {"body": json.dumps(record["write"])}
            return Record(SourceKind.SQS, str(write.get("attempt")), message)
        case "aws:sns":
            return Record(SourceKind.SQS, record["Sns"]["MessageId"], topics.as_message(record))
        case "aws:sqs":
            group = record.get("attributes", {}).get("MessageGroupId")
            return Record(SourceKind.SQS, record["messageId"], record, group)
        case "aws:dynamodb":
            return Record(SourceKind.DYNAMODB, record["dynamodb"]["SequenceNumber"], record, "stream")
        case "aws:s3":
            return Record(SourceKind.S3, record["s3"]["object"].get("sequencer", ""), record)
    raise EventError(f"Events of {record.get('eventSource')!r} are not known.")


def _contents(kind: SourceKind, event: Mapping[str, Any]) -> Iterator[RecordChange | Request | Write]:
    match kind:
        case SourceKind.SQS:
            yield from _in_message(event)
        case SourceKind.DYNAMODB:
            yield _of_table(event)
        case SourceKind.S3:
            yield from _of_notification(event)
        case SourceKind.EVENTBRIDGE:
            yield _of_bus(event)


# SQS


def _in_message(
    message: Mapping[str, Any], *, is_unwrapped: bool = False
) -> Iterator[RecordChange | Request | Write]:
    """`is_unwrapped`: whether a topic's envelope has been taken off already."""
    try:
        body = json.loads(message["body"], parse_float=Decimal)
    except json.JSONDecodeError as error:
        raise EventError(f"The message's body is not JSON: {error}.") from None
    if topics.is_envelope(body) and not is_unwrapped:
        yield from _in_message(topics.unwrapped(message, body), is_unwrapped=True)
        return
    match body:
        case {"detail-type": str(), "source": str(), "detail": dict()}:
            yield _of_bus(body)
        case {"Records": [{"eventSource": "aws:s3" | "aws:dynamodb"}, *_]}:
            for record in read(body).records:
                yield from record.contents()
        case {"Event": "s3:TestEvent"}:
            return
        case {"lamdb": {"write": dict()}} if len(body) == 1:
            # Read anew: numbers are floats there, as in requests.
            yield Write.of(json.loads(message["body"])["lamdb"]["write"])
        case {"query": str()} if body.keys() <= _REQUEST_MEMBERS:
            yield Request(_message_key(message), _request(body))
        case dict():
            yield _of_queue(message, body)
        case _:
            raise EventError("The message's body is JSON, but not an object.")


def _of_queue(message: Mapping[str, Any], item: Mapping[str, Any]) -> RecordChange:
    attributes = message.get("attributes", {})
    number = attributes.get("SequenceNumber")
    removes = message.get("messageAttributes", {}).get(REMOVE_ATTRIBUTE, {}).get("stringValue") == "true"
    return RecordChange(
        SourceKind.SQS,
        message["eventSourceARN"].rpartition(":")[2],
        _message_key(message),
        item,
        {**message, "body": item},
        # A FIFO queue numbers its messages; of others it is only known when they were sent.
        _number(number or attributes["SentTimestamp"]),
        exact=number is not None,
        removes=removes,
    )


def _message_key(message: Mapping[str, Any]) -> str:
    """The deduplication id that the sender gave, if any: the same message may have been sent twice."""
    given = message.get("attributes", {}).get("MessageDeduplicationId")
    # One that SQS made itself is the same for every message with this body, however much later.
    if given == hashlib.sha256(message["body"].encode()).hexdigest():
        given = None
    return f"sqs:{message['eventSourceARN']}:{given or message['messageId']}"


def _request(members: Mapping[str, Any]) -> GraphQLRequest:
    variables, name = members.get("variables"), members.get("operationName")
    if not isinstance(variables, dict | None) or not isinstance(name, str | None):
        raise EventError("`variables` must be an object, and `operationName` a string.")
    return GraphQLRequest(members["query"], _plain(variables), name, caller=None)


def _plain(value: Any) -> Any:
    """JSON as GraphQL requests have it: with floats."""
    match value:
        case Decimal():
            return float(value)
        case dict():
            return {name: _plain(inner) for name, inner in value.items()}
        case list():
            return [_plain(inner) for inner in value]
    return value


# DynamoDB


def _of_table(record: Mapping[str, Any]) -> RecordChange:
    change = record["dynamodb"]
    removes = record["eventName"] == "REMOVE"
    image = change.get("OldImage", {}) if removes else change.get("NewImage")
    if image is None:
        raise EventError(
            "The record has no NewImage.",
            hint="The stream's view type must be NEW_IMAGE or NEW_AND_OLD_IMAGES.",
        )
    return RecordChange(
        SourceKind.DYNAMODB,
        record["eventSourceARN"].split(":table/")[1].split("/")[0],
        f"dynamodb:{record['eventID']}",
        {name: _attribute(value) for name, value in {**image, **change["Keys"]}.items()},
        record,
        _number(change["SequenceNumber"]),
        exact=True,
        removes=removes,
        complete=True,
    )


def _attribute(value: Mapping[str, Any]) -> Any:
    """An attribute value of DynamoDB's: numbers as `Decimal`, binary as bytes, sets as lists."""
    ((kind, content),) = value.items()
    match kind:
        case "S" | "BOOL" | "SS":
            return content
        case "N":
            return Decimal(content)
        case "B":
            return base64.b64decode(content)
        case "NULL":
            return None
        case "NS":
            return [Decimal(each) for each in content]
        case "BS":
            return [base64.b64decode(each) for each in content]
        case "L":
            return [_attribute(each) for each in content]
        case "M":
            return {name: _attribute(each) for name, each in content.items()}
    raise EventError(f"DynamoDB has no type {kind!r}.")


# S3


def _of_notification(record: Mapping[str, Any]) -> Iterator[RecordChange]:
    name = record["eventName"].removeprefix("s3:")
    if not name.startswith((_S3_CREATED, *_S3_REMOVED)):
        return
    stored = record["s3"]["object"]
    yield _of_object(
        record["s3"]["bucket"]["name"],
        # A notification's keys are encoded as in forms; those in EventBridge's events are not.
        {**stored, "key": unquote_plus(stored["key"]), "etag": stored.get("eTag")},
        record,
        event=name,
        time=record["eventTime"],
        removes=not name.startswith(_S3_CREATED),
        revision=stored.get("versionId"),
        revision_only=name.endswith(":Delete"),
    )


def _of_object(
    bucket: str,
    stored: Mapping[str, Any],
    whole: Mapping[str, Any],
    *,
    event: str,
    time: str,
    removes: bool,
    revision: str | None,
    revision_only: bool,
) -> RecordChange:
    item = {
        "bucket": bucket,
        "key": stored["key"],
        "size": stored.get("size"),
        "etag": stored.get("etag"),
        "version": revision,
        "sequencer": stored["sequencer"],
        "time": time,
        "event": event,
    }
    return RecordChange(
        SourceKind.S3,
        bucket,
        f"s3:{bucket}/{stored['key']}@{stored['sequencer']}",
        item,
        whole,
        # Hexadecimal, of different lengths: the shorter one is padded on the right.
        stored["sequencer"].upper().ljust(_SEQUENCER_DIGITS, "0"),
        exact=True,
        removes=removes,
        complete=True,
        revision=revision,
        revision_only=revision_only and revision is not None,
    )


# EventBridge


def _of_bus(event: Mapping[str, Any]) -> RecordChange | Request:
    detail, key = event["detail"], f"eventbridge:{event['id']}"
    if event["source"] == _S3_SENDER and event["detail-type"] in _S3_CHANGES:
        return _of_object(
            detail["bucket"]["name"],
            detail["object"],
            event,
            event=event["detail-type"],
            time=event["time"],
            removes=_S3_CHANGES[event["detail-type"]],
            revision=detail["object"].get("version-id"),
            revision_only=detail.get("deletion-type") == "Permanently Deleted",
        )
    if isinstance(detail.get("query"), str) and detail.keys() <= _REQUEST_MEMBERS:
        return Request(key, _request(detail))
    return RecordChange(
        SourceKind.EVENTBRIDGE,
        f"{event['source']}/{event['detail-type']}",
        key,
        detail,
        event,
        _moment(event["time"]),
        exact=False,
    )


def _number(text: str) -> str:
    """Digits as text that sorts by value."""
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise EventError("A sequence number has characters other than digits.")
    return text.rjust(_DIGITS, "0")


def _moment(text: str) -> str:
    """A time as text that sorts; without an offset it is UTC."""
    moment = datetime.fromisoformat(text)
    return (
        (moment if moment.tzinfo else moment.replace(tzinfo=UTC))
        .astimezone(UTC)
        .isoformat(timespec="microseconds")
    )


def version_of(value: Any) -> str:
    """The value that `@lamdb.version` names, as text that sorts: a whole number or a time. Raises
    `EventError`."""
    match value:
        case bool():
            pass
        case int() | Decimal() if value == int(value) and value >= 0:
            return _number(str(int(value)))
        case str():
            if value.isascii() and value.isdigit():
                return _number(value)
            try:
                return _moment(value)
            except ValueError:
                pass
    raise EventError("The event's version is neither a whole number from 0 on nor a time.")
