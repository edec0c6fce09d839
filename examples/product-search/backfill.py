"""Sends the items that a DynamoDB table has already to the mirror, as its stream would have done.

    python backfill.py --table Products --function shop-writer:live

The stream must be connected first (`TableStreamArn`). An item that has changed since keeps its newer state,
whichever comes first: the events here have a version that is smaller than all of the stream's.
"""

import argparse
import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

AT_ONCE: Final = 100
"""Items of one event; the writer applies them in one transaction."""
VERSION: Final = "1"


def main() -> None:
    import boto3

    parser = argparse.ArgumentParser(description="Send the items of a DynamoDB table to a mirror.")
    parser.add_argument("--table", required=True)
    parser.add_argument("--function", required=True, help="the writer of the stack, or its ARN")
    options = parser.parse_args()
    dynamodb, functions = boto3.client("dynamodb"), boto3.client("lambda")
    table = dynamodb.describe_table(TableName=options.table)["Table"]
    keys = [each["AttributeName"] for each in table["KeySchema"]]
    pages = dynamodb.get_paginator("scan").paginate(TableName=options.table)
    sent = 0
    for event in events((item for page in pages for item in page["Items"]), keys, table["LatestStreamArn"]):
        payload = json.dumps(event).encode()
        answer = functions.invoke(FunctionName=options.function, Payload=payload)
        report = json.loads(answer["Payload"].read())
        if answer.get("FunctionError") or report.get("batchItemFailures"):
            raise SystemExit(f"The writer failed after {sent} items: {report}")
        sent += len(event["Records"])
    print(f"Sent {sent} items.")


def events(items: Iterable[Mapping[str, Any]], keys: Iterable[str], stream: str) -> Iterator[dict[str, Any]]:
    """Yields events of a stream, of up to `AT_ONCE` items; `keys` are the attributes of the table's key."""
    names = list(keys)
    for batch in itertools.batched(items, AT_ONCE, strict=False):
        yield {"Records": [_record(item, {name: item[name] for name in names}, stream) for item in batch]}


def _record(item: Mapping[str, Any], key: Mapping[str, Any], stream: str) -> dict[str, Any]:
    identity = hashlib.sha256(json.dumps([stream, key], sort_keys=True, default=str).encode()).hexdigest()
    return {
        "eventID": identity[:32],
        "eventName": "INSERT",
        "eventSource": "aws:dynamodb",
        "eventSourceARN": stream,
        "dynamodb": {
            "Keys": key,
            "NewImage": item,
            "SequenceNumber": VERSION,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    }


if __name__ == "__main__":
    main()
