"""Requests to SQS, as a queue of other people's making (moto) and the tests' own understand them."""

import importlib
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.signature import AccessKeys
from lamdb.cluster.aws.sqs_api import BATCH, Refused, SqsApi

queues = importlib.import_module("tests.lambda.queues")  # `lambda` is a keyword


@pytest.fixture(params=["moto", "own"])
def api(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SqsApi]:
    access = Access("http://unused", "us-east-1", AccessKeys("key", "secret"))
    if request.param == "own":
        local = queues.LocalSqs()
        url = local.add("writes.fifo", queues.FifoQueue())
        yield SqsApi(url, access, {"AWS_ENDPOINT_URL_SQS": local.url})
        local.close()
        return
    endpoint = request.getfixturevalue("s3_endpoint")
    client = boto3.client(
        "sqs",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="key",
        aws_secret_access_key="secret",
    )
    attributes = {
        "FifoQueue": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
        "VisibilityTimeout": "60",
    }
    url = client.create_queue(QueueName="api.fifo", Attributes=attributes)["QueueUrl"]
    yield SqsApi(url, access, {"AWS_ENDPOINT_URL_SQS": endpoint})
    client.delete_queue(QueueUrl=url)


def test_messages_are_received_by_tens_with_their_attributes_and_deleted(api: SqsApi) -> None:
    for number in range(BATCH + 2):
        assert api.send(f"body {number}", f"g{number}", f"d{number}") == 200
    first, second, third = api.receive(), api.receive(), api.receive()
    assert [each["Body"] for each in first + second] == [f"body {number}" for number in range(BATCH + 2)]
    assert (len(first), third) == (BATCH, [])
    assert first[3]["Attributes"]["MessageGroupId"] == "g3"
    assert first[3]["Attributes"]["MessageDeduplicationId"] == "d3"
    assert int(first[3]["Attributes"]["SentTimestamp"]) > 1_700_000_000_000
    assert api.delete([each["ReceiptHandle"] for each in first]) == 0
    api.release([each["ReceiptHandle"] for each in second])
    assert [each["Body"] for each in api.receive()] == ["body 10", "body 11"]


def test_a_message_that_was_received_again_is_not_deleted_by_its_first_handle() -> None:
    queue = queues.FifoQueue()
    queue.send("one", "g", "d")
    (first,) = [each.handle for each in queue.receive()]
    queue.release([first])
    (second,) = [each.handle for each in queue.receive()]
    assert queue.delete([first]) == [first]
    assert queue.delete([second]) == []
    assert queue.messages == []


def test_a_group_gives_no_other_message_while_one_is_received() -> None:
    queue = queues.FifoQueue()
    for number in range(3):
        queue.send(str(number), "same", str(number))
    queue.send("other", "another", "o")
    assert [each.body for each in queue.receive(1)] == ["0"]
    assert [each.body for each in queue.receive()] == ["other"]


@pytest.mark.parametrize("api", ["own"], indirect=True)
@pytest.mark.parametrize("number", [0, BATCH + 1])
def test_what_is_refused_is_an_error(api: SqsApi, number: int) -> None:
    with pytest.raises(Refused):
        api.delete([f"handle {each}" for each in range(number)])


def test_messages_that_are_not_there_are_counted(api: SqsApi) -> None:
    api.send("body", "g", "d")
    (message,) = api.receive()
    assert api.delete([message["ReceiptHandle"], "nothing"]) == 1
