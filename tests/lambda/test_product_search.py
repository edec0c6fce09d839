"""The example of a table in DynamoDB that is mirrored and searched, with a browser's token."""

import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from tests.support.s3_server import s3_endpoint  # noqa: F401 - a fixture; the same server knows DynamoDB.

from lamdb.graphql import stored_schema
from lamdb.graphql.search_tokens import SearchToken
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.storage import Database

from .cluster import Cluster, running

EXAMPLE = Path(__file__).parents[2] / "examples/product-search"
KEY = "a-key-that-nobody-else-knows"
SEARCH = "query ($q: String!) { searchProduct(query: $q) { totalCount hits { node { sku price } } } }"

spec = importlib.util.spec_from_file_location("backfill", EXAMPLE / "backfill.py")
assert spec is not None
assert spec.loader is not None
backfill = importlib.util.module_from_spec(spec)
spec.loader.exec_module(backfill)


class Table:
    """The table `Products` with its stream."""

    def __init__(self, endpoint: str) -> None:
        where = {"endpoint_url": endpoint, "region_name": "us-east-1"}
        self.client: Any = boto3.client("dynamodb", **where)
        self._streams: Any = boto3.client("dynamodbstreams", **where)
        made = self.client.create_table(
            TableName="Products",
            KeySchema=[{"AttributeName": "sku", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "sku", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )
        self.stream = made["TableDescription"]["LatestStreamArn"]
        shards = self._streams.describe_stream(StreamArn=self.stream)["StreamDescription"]["Shards"]
        self._next = self._streams.get_shard_iterator(
            StreamArn=self.stream, ShardId=shards[0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]

    def put(self, sku: str, title: str, price: str = "10", **more: Any) -> None:
        texts = {"sku": sku, "title": title, "brand": "Amsel", "category": "Audio", "kind": "Radios", **more}
        item = {name: {"S": value} for name, value in texts.items()} | {"price": {"N": price}}
        self.client.put_item(TableName="Products", Item=item)

    def remove(self, sku: str) -> None:
        self.client.delete_item(TableName="Products", Key={"sku": {"S": sku}})

    def changes(self) -> dict[str, Any]:
        """The records since the last call, as Lambda hands them over."""
        read = self._streams.get_records(ShardIterator=self._next)
        self._next = read["NextShardIterator"]
        records = [{**each, "eventSourceARN": self.stream} for each in read["Records"]]
        assert records
        event: dict[str, Any] = json.loads(
            json.dumps({"Records": records}, default=lambda at: at.timestamp())
        )
        return event

    def backfill(self) -> list[dict[str, Any]]:
        items = self.client.scan(TableName="Products")["Items"]
        return list(backfill.events(items, ["sku"], self.stream))

    def close(self) -> None:
        self.client.delete_table(TableName="Products")


@pytest.fixture
def shop(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    s3_endpoint: str,  # noqa: F811
) -> Iterator[tuple[Cluster, Table]]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        schema = PrismaSchema.parse((EXAMPLE / "database/schema.prisma").read_text())
        with Database.open(cluster.s3.url) as database, database.writer() as connection:
            push(connection, schema)
            stored_schema.store(connection, stored_schema.compute(schema))
        for function in (cluster.proxy, cluster.reader):
            function.variables["LAMDB_SEARCH_KEY"] = KEY
        table = Table(s3_endpoint)
        yield cluster, table
        table.close()


def search(cluster: Cluster, query: str, token: str = "", document: str = SEARCH) -> tuple[int, Any]:
    token = token or SearchToken(("Product",), {"Product": {"available": True}}).sign(KEY)
    event = {
        "httpMethod": "POST",
        "path": "/search",
        "headers": {
            "content-type": "application/json",
            "authorization": f"Bearer {token}",
            "x-lamdb-consistency": "strong",
        },
        "body": json.dumps({"query": document, "variables": {"q": query}}),
    }
    answer = cluster.invoke(cluster.proxy, event)
    return answer["statusCode"], json.loads(answer["body"])


def skus(cluster: Cluster, query: str) -> list[str]:
    status, body = search(cluster, query)
    assert status == 200, body
    return sorted(hit["node"]["sku"] for hit in body["data"]["searchProduct"]["hits"])


def test_a_table_is_mirrored_and_searched(shop: tuple[Cluster, Table]) -> None:
    cluster, table = shop
    done = {"batchItemFailures": []}

    table.put("a", "Kitchen radio")
    table.put("b", "World receiver", description="Short wave radio")
    assert cluster.invoke(cluster.writer, table.changes()) == done
    assert skus(cluster, "raido") == ["a", "b"]

    table.put("a", "Kitchen radio", "12.5")
    table.put("c", "Travel kettle")
    table.remove("b")
    changes = table.changes()
    assert [cluster.invoke(cluster.writer, changes) for _ in range(2)] == [done] * 2
    assert skus(cluster, "radio") == ["a"]

    # What the table had before its stream was connected; what is newer, or gone, stays so.
    table.put("e", "Garden radio")
    assert cluster.invoke(cluster.writer, table.changes()) == done
    before = table.backfill()
    table.remove("e")
    table.put("c", "Glass kettle")
    table.put("d", "Shower radio")
    assert cluster.invoke(cluster.writer, table.changes()) == done
    for event in before + table.backfill():
        assert cluster.invoke(cluster.writer, event) == done
    assert skus(cluster, "radio") == ["a", "d"]
    assert skus(cluster, "glass") == ["c"]
    assert skus(cluster, "travel") == []

    status, body = search(cluster, "", document="{ findManyProduct { sku } }")
    assert (status, body["errors"][0]["extensions"]["code"]) == (403, "FORBIDDEN")
    status, body = search(cluster, "radio", SearchToken().sign("another-key-of-someone"))
    assert (status, body["errors"][0]["extensions"]["code"]) == (401, "UNAUTHORIZED")


def test_a_table_from_before_its_stream(shop: tuple[Cluster, Table]) -> None:
    cluster, table = shop
    for number in range(120):
        table.put(f"p{number}", f"Radio number {number}")
    sent = table.backfill()
    assert [len(event["Records"]) for event in sent] == [100, 20]
    for event in sent * 2:
        assert cluster.invoke(cluster.writer, event) == {"batchItemFailures": []}
    status, body = search(cluster, "radio")
    assert (status, body["data"]["searchProduct"]["totalCount"]) == (200, 120)
