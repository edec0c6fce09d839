"""Signed requests to SQS, without boto3: see `lambda_api`.

Sending a message is one request in SQS's JSON protocol:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import orjson

from lamdb.cluster.aws.http import Connections
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.signature import frozen, signed

_SERVICE: Final = "sqs"
_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 5.0


class SqsApi:
    """Sends messages to one queue, by its URL, over a connection that is kept."""

    def __init__(self, url: str, access: Access, environ: Mapping[str, str] = os.environ) -> None:
        place = urlsplit(url)
        self._url = url
        self._access = access
        self._endpoint = environ.get("AWS_ENDPOINT_URL_SQS") or f"{place.scheme}://{place.netloc}"
        self._connections = Connections(
            self._endpoint, connect_seconds=_CONNECT_SECONDS, read_seconds=_READ_SECONDS
        )

    def send(self, body: str, group: str, deduplication: str) -> int:
        """Sends a message to a FIFO queue; the status of the answer.

        Raises `Unreachable`, `AnswerLost`, and botocore's `NoCredentialsError`.
        """
        message = {
            "QueueUrl": self._url,
            "MessageBody": body,
            "MessageGroupId": group,
            "MessageDeduplicationId": deduplication,
        }
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.SendMessage"}
        access, url, content = self._access, self._endpoint.rstrip("/") + "/", orjson.dumps(message)
        keys = frozen(access.credentials)
        sent = signed(url, headers, content, keys=keys, service=_SERVICE, region=access.region)
        return self._connections.post(url, sent, content).status
