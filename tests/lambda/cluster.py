"""A whole cluster on this machine: an API, the functions in a local Lambda, an S3 that can fail."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.s3_faults import FaultyS3

from lamdb.graphql import stored_schema
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.storage import Database

from .buses import LocalBus
from .gateway import Gateway
from .local import ACCOUNT_CONCURRENCY, Account, Function, LocalLambda
from .queues import FifoQueue, LocalSqs, Mapping

FUNCTIONS = Path(__file__).parents[2] / "functions"
LISTING = os.environ.get("LAMDB_TEST_LISTING", "")
"""The prefix that functions may list: "" is the whole bucket, as in the template; see `FaultyS3.restrict`."""
SCHEMA = """
generator client {
  provider = "prisma-client"
}

datasource db {
  provider = "sqlite"
}

model Item {
  id   Int    @id @default(autoincrement())
  name String

  @@index([name])
}
/// @lamdb.search title^2 body
/// @lamdb.search.facets kind
model Page {
  id    Int     @id @default(autoincrement())
  title String
  body  String?
  kind  String?
}
"""
CREATE = "mutation ($name: String!) { createOneItem(data: {name: $name}) { id } }"
COUNT = "query ($name: String!) { findManyItem(where: {name: $name}) { id } }"
NAMES = "{ findManyItem { name } }"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def txid(self) -> int:
        return int(self.headers["x-lamdb-txid"])

    @property
    def code(self) -> str:
        return str(self.body["errors"][0]["extensions"]["code"])

    @property
    def items(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.body["data"]["findManyItem"]
        return items


@dataclass
class Cluster:
    s3: FaultyS3
    gateway: Gateway
    proxy: Function
    reader: Function
    writer: Function
    writes: FifoQueue
    mapping: Mapping
    publisher: Function
    bus: LocalBus

    @property
    def functions(self) -> tuple[Function, Function, Function]:
        return self.proxy, self.reader, self.writer

    def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> Reply:
        """As API Gateway passes a client's request on to the proxy; header names with underscores."""
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        event = {
            "httpMethod": "POST",
            "path": "/graphql",
            "headers": {"content-type": "application/json", **named},
            "body": json.dumps({"query": query, "variables": variables}),
            "isBase64Encoded": False,
        }
        answer = self.proxy.invoke(json.dumps(event).encode())
        assert answer.error is None, answer.payload
        response = json.loads(answer.payload)
        return Reply(response["statusCode"], response["headers"], json.loads(response["body"]))

    def invoke(self, function: Function, event: Any) -> Any:
        """A direct invocation, as `aws lambda invoke` makes it."""
        answer = function.invoke(json.dumps(event).encode())
        assert answer.error is None, answer.payload
        return json.loads(answer.payload)


@contextmanager
def running(
    folder: Path,
    *,
    readers: int | None = None,
    writers: int = 1,
    writer_rate: float | None = None,
    concurrency: int = ACCOUNT_CONCURRENCY,
    listing: str = LISTING,
    mode: str = "direct",
    visibility: float = 30.0,
    sql: bool = False,
    batch: int = 1,
) -> Iterator[Cluster]:
    """A cluster whose database has the schema and nothing else. Logs are in `folder`.

    `readers`, `writers`: their reserved concurrency. `writer_rate`: how often writers may be invoked in a
    second. `concurrency`: of the account, for all that is not reserved. `listing`: what the functions'
    credentials may list, see `FaultyS3.restrict`; "" for everything. `mode`: how the proxy sends mutations.
    `visibility`: seconds for which a message of the writes' queue is hidden once it was received.
    `batch`: the messages that its event source mapping brings at once.
    """
    with FaultyS3() as s3:
        local, account = LocalLambda(), Account(concurrency)
        s3.restrict(**({"functions": listing} if listing else {}))
        aws = {**s3.environment, "AWS_ACCESS_KEY_ID": "functions", "AWS_DEFAULT_REGION": "us-east-1"}
        aws |= {"LAMDB_SQL": str(sql).lower(), "LAMDB_SQL_KEY": "arn-of-the-stack-itself"}
        store = {**aws, "LAMDB_STORE": s3.url}
        calls = {"LAMDB_WRITER_FUNCTION": "writer", "LAMDB_READER_FUNCTION": "reader"}
        calls |= {"AWS_ENDPOINT_URL_LAMBDA": local.url, "LAMDB_WRITE_MODE": mode}
        sqs, writes = LocalSqs(), FifoQueue(visibility)
        url = sqs.add("writes.fifo", writes)
        if mode != "direct":
            calls |= {"LAMDB_WRITE_QUEUE": url, "AWS_ENDPOINT_URL_SQS": sqs.url}
        takes = {**store, "LAMDB_WRITE_QUEUE": url, "AWS_ENDPOINT_URL_SQS": sqs.url}
        reader = local.add(Function(FUNCTIONS / "reader", store, folder, reserved=readers, account=account))
        has = takes if mode != "direct" else store
        writer = local.add(Function(FUNCTIONS / "writer", has, folder, reserved=writers, rate=writer_rate))
        # Hundreds of proxies that try again must not take the processor from the writer they wait for.
        proxy = local.add(Function(FUNCTIONS / "proxy", {**aws, **calls}, folder, account=account, nice=12))
        bus = LocalBus()
        publishes = {**store, "AWS_ENDPOINT_URL_EVENTBRIDGE": bus.url, "LAMDB_PUBLISH_BUS": "shop"}
        publisher = local.add(Function(FUNCTIONS / "publisher", publishes, folder, account=account))
        gateway = Gateway(proxy)
        mapping = Mapping(writes, writer, batch=batch)
        try:
            yield Cluster(s3, gateway, proxy, reader, writer, writes, mapping, publisher, bus)
        finally:
            mapping.close()
            sqs.close()
            bus.close()
            gateway.close()
            local.close()


def deploy(url: str, text: str = SCHEMA) -> None:
    """Makes the database, with its schema. The environment must lead to its store."""
    schema = PrismaSchema.parse(text)
    with Database.open(url) as database, database.writer() as connection:
        push(connection, schema)
        stored_schema.store(connection, stored_schema.compute(schema))
