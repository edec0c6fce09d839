"""A database that mirrors every kind of source, and the events that those sources send."""

import base64
import hashlib
import json
from collections.abc import Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from lamdb.cluster.sources.batches import Batches, BatchReport
from lamdb.cluster.sources.records import Record
from lamdb.errors import LamdbError
from lamdb.graphql import stored_schema
from lamdb.graphql.from_settings import serving
from lamdb.graphql.request import GraphQLRequest
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.settings import Settings
from lamdb.storage import Database

SCHEMA = """
datasource db {
  provider = "sqlite"
}

enum State {
  OPEN
  DONE
}

/// @lamdb.mirror dynamodb:Orders
model Order {
  id       String  @id
  /// @lamdb.from customer.name
  customer String?
  total    Decimal @default(0)
  count    Int?
  serial   BigInt?
  weight   Float?
  paid     Boolean?
  state    State?
  picture  Bytes?
  tags     Json?
  placed   DateTime?
  /// @lamdb.local
  note     String?
}

/// @lamdb.mirror s3:photos/raw/
model Photo {
  bucket   String
  path     String   /// @lamdb.from key
  size     BigInt?
  etag     String?
  taken    DateTime /// @lamdb.from time
  @@id([bucket, path])
}

/// @lamdb.mirror eventbridge:shop/ParcelSent
/// @lamdb.mirror eventbridge:shop/ParcelSeen
/// @lamdb.remove eventbridge:shop/ParcelLost
/// @lamdb.key code
model Parcel {
  id    Int     @id @default(autoincrement())
  code  String  @unique
  place String
  seen  DateTime? /// @lamdb.from $.time
  kilos Float?
}

/// @lamdb.mirror sqs:*
/// @lamdb.version revision
model Price {
  sku      String @id
  revision Int
  cents    Int
}

/// @lamdb.mirror dynamodb:tags
/// @lamdb.key name
model Tag {
  id   Int    @id @default(autoincrement())
  name String @unique
}

/// @lamdb.mirror s3:example-imports
model Import {
  key  String @id
  size Int
}
"""
QUEUE = "arn:aws:sqs:eu-central-1:123456789012:events.fifo"
STREAM = "arn:aws:dynamodb:eu-central-1:123456789012:table/{}/stream/2026-11-22T10:00:00.000"


class Letters:
    """Takes what can never succeed, unless it is full."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []
        self.bodies: list[str] = []
        self.full = False

    def put(self, record: Record, error: LamdbError) -> None:
        if self.full:
            raise ConnectionError("no queue")
        self.taken.append((record.id, error.code))
        self.bodies.append(record.body())


class World:
    """A database, and what applies events to it."""

    def __init__(self, *, letters: bool = True, database: Database | None = None) -> None:
        self.database = database or Database.open("memory:")
        self.letters = Letters()
        self.apis = serving(Settings())
        if database is None:
            deploy(self.database)
        self.batches = Batches(self.database, self.apis, self.letters if letters else None)

    def apply(self, event: Mapping[str, Any]) -> BatchReport:
        return self.batches.apply(json.loads(json.dumps(event)))

    def failures(self, event: Mapping[str, Any]) -> list[str]:
        return [each["itemIdentifier"] for each in self.apply(event).answer["batchItemFailures"]]

    def ask(self, query: str) -> Any:
        answer = json.loads(self.apis.execute(self.database, GraphQLRequest(query)).body)
        assert "errors" not in answer, answer
        (found,) = answer["data"].values()
        return found


@cache
def compiled() -> tuple[PrismaSchema, stored_schema.Deployable]:
    schema = PrismaSchema.parse(SCHEMA)
    return schema, stored_schema.compute(schema)


def deploy(database: Database) -> None:
    schema, made = compiled()
    with database.writer() as connection:
        push(connection, schema)
        stored_schema.store(connection, made)


# What sources send


def attribute(value: Any) -> dict[str, Any]:
    """A value as DynamoDB writes it."""
    match value:
        case None:
            return {"NULL": True}
        case bool():
            return {"BOOL": value}
        case int() | float() | Decimal():
            return {"N": str(value)}
        case str():
            return {"S": value}
        case bytes():
            return {"B": base64.b64encode(value).decode()}
        case set():
            return {"SS": sorted(value)}
        case list():
            return {"L": [attribute(each) for each in value]}
        case dict():
            return {"M": {name: attribute(each) for name, each in value.items()}}
    raise TypeError(type(value))


def stream(
    sequence: int,
    name: str,
    key: str | int,
    image: Mapping[str, Any] | None = None,
    *,
    table: str = "Orders",
) -> dict[str, Any]:
    """A record of a table's stream; `image` are the attributes besides the key."""
    change: dict[str, Any] = {"Keys": {"id": attribute(key)}, "SequenceNumber": str(sequence)}
    written = {each: attribute(value) for each, value in {"id": key, **(image or {})}.items()}
    if name == "REMOVE":
        change["OldImage"] = written
    else:
        change["NewImage"] = written
    return {
        "eventID": f"event-{sequence}",
        "eventName": name,
        "eventSource": "aws:dynamodb",
        "eventSourceARN": STREAM.format(table),
        "dynamodb": change,
    }


def message(number: int, body: Any, **more: Any) -> dict[str, Any]:
    """A message of a FIFO queue with one group."""
    text = body if isinstance(body, str) else json.dumps(body)
    attributes = {
        "SequenceNumber": str(18849496460467696128 + number),
        "MessageGroupId": "lamdb",
        "MessageDeduplicationId": hashlib.sha256(text.encode()).hexdigest(),
        "SentTimestamp": str(1795344000000 + number),
    }
    return {
        "messageId": f"message-{number}",
        "body": text,
        "attributes": {**attributes, **more.pop("attributes", {})},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": QUEUE,
        **more,
    }


def without_group(of: dict[str, Any]) -> dict[str, Any]:
    """The message as a standard queue has it."""
    return {**of, "attributes": {"SentTimestamp": of["attributes"]["SentTimestamp"]}}


def bus(number: int, kind: str, detail: Mapping[str, Any], *, second: int | None = None) -> dict[str, Any]:
    return {
        "version": "0",
        "id": f"bus-{number}",
        "detail-type": kind,
        "source": "shop",
        "time": f"2026-11-22T10:40:{number if second is None else second:02}Z",
        "detail": dict(detail),
    }


def notification(sequencer: str, name: str, key: str, size: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "eventSource": "aws:s3",
        "eventName": name,
        "eventTime": "2026-11-22T10:40:00.000Z",
        "s3": {
            "bucket": {"name": "photos"},
            "object": {"key": key, "size": size, "eTag": "e", "sequencer": sequencer, **more},
        },
    }


def object_event(sequencer: str, kind: str, key: str, size: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "version": "0",
        "id": f"object-{sequencer}",
        "detail-type": kind,
        "source": "aws.s3",
        "time": "2026-11-22T10:40:00Z",
        "detail": {
            "bucket": {"name": "photos"},
            "object": {"key": key, "size": size, "etag": "e", "sequencer": sequencer, **more},
        },
    }


def records(*of: Mapping[str, Any]) -> dict[str, Any]:
    return {"Records": list(of)}


def create_tag(name: str) -> dict[str, Any]:
    return {
        "query": "mutation ($name: String!) { createOneTag(data: {name: $name}) { id } }",
        "variables": {"name": name},
    }


SAMPLES = Path(__file__).parents[2] / "events"


def sample(name: str) -> dict[str, Any]:
    """One of the repository's sample events."""
    loaded: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return loaded


TAGS = "{ findManyTag(orderBy: {id: asc}) { name } }"
