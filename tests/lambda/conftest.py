"""A whole cluster on this machine: three functions, a local Lambda, an S3 that can fail."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql import deployed
from lamdb.prisma.migrate import push
from lamdb.prisma.schema import PrismaSchema
from lamdb.storage import Database

from ..s3_faults import FaultyS3
from .local import Function, LocalLambda

FUNCTIONS = Path(__file__).parents[2] / "functions"
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
    proxy: Function
    reader: Function
    writer: Function

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


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with FaultyS3() as s3:
        for name, text in s3.environment.items():
            monkeypatch.setenv(name, text)
        _deploy(s3.url)
        local = LocalLambda()
        aws = {**s3.environment, "AWS_DEFAULT_REGION": "us-east-1"}
        store = {**aws, "LAMDB_STORE": s3.url}
        calls = {"LAMDB_WRITER_FUNCTION": "writer", "LAMDB_READER_FUNCTION": "reader"}
        calls |= {"AWS_ENDPOINT_URL_LAMBDA": local.url}
        reader = local.add(Function(FUNCTIONS / "reader", store, tmp_path))
        writer = local.add(Function(FUNCTIONS / "writer", store, tmp_path, reserved=1))
        proxy = local.add(Function(FUNCTIONS / "proxy", {**aws, **calls}, tmp_path))
        yield Cluster(s3, proxy, reader, writer)
        local.close()


def _deploy(url: str) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    with Database.open(url) as database, database.writer() as connection:
        push(connection, schema)
        deployed.store(connection, deployed.compute(schema))
