"""Signed requests to SQS, without boto3: see `lambda_api`.

Each call is one request in SQS's JSON protocol:
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-making-api-requests-json.html
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import orjson

from lamdb.cluster.aws.http import Connections, HttpAnswer, Unreachable
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.signature import frozen, signed

_SERVICE: Final = "sqs"
_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 5.0

BATCH: Final = 10
"""Messages that one request may receive, delete or release."""


class Refused(Exception):
    """SQS answered with another status than 200, or with something that is not SQS's."""


class SqsApi:
    """Requests to one queue, by its URL, over a connection that is kept."""

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

        Raises `Unreachable`, also without credentials, and `AnswerLost`.
        """
        message = {"MessageBody": body, "MessageGroupId": group, "MessageDeduplicationId": deduplication}
        return self._call("SendMessage", message).status

    def receive(self) -> list[dict[str, Any]]:
        """Up to ten messages that can be received now, with all their attributes, as SQS returns them.

        Raises `Refused`, and as `send` does.
        """
        asked = {
            "MaxNumberOfMessages": BATCH,
            "WaitTimeSeconds": 0,
            "MessageSystemAttributeNames": ["All"],
            "MessageAttributeNames": ["All"],
        }
        messages: list[dict[str, Any]] = self._answer("ReceiveMessage", asked).get("Messages") or []
        return messages

    def delete(self, handles: Sequence[str]) -> int:
        """Deletes up to ten messages by their receipt handles; the number of those that were not deleted.

        Raises as `receive` does.
        """
        entries = [{"Id": str(number), "ReceiptHandle": each} for number, each in enumerate(handles)]
        return len(self._answer("DeleteMessageBatch", {"Entries": entries}).get("Failed") or ())

    def release(self, handles: Sequence[str]) -> None:
        """Makes up to ten received messages visible again at once. Raises as `receive` does."""
        entries = [
            {"Id": str(number), "ReceiptHandle": each, "VisibilityTimeout": 0}
            for number, each in enumerate(handles)
        ]
        self._answer("ChangeMessageVisibilityBatch", {"Entries": entries})

    def _answer(self, action: str, members: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._call(action, members)
        if answer.status != 200:
            raise Refused(f"{action}: status {answer.status}")
        try:
            said = orjson.loads(answer.body or b"{}")
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise Refused(f"{action}: the answer is not a JSON object")
        return said

    def _call(self, action: str, members: Mapping[str, Any]) -> HttpAnswer:
        headers = {"content-type": "application/x-amz-json-1.0", "x-amz-target": f"AmazonSQS.{action}"}
        access, url = self._access, self._endpoint.rstrip("/") + "/"
        content = orjson.dumps({"QueueUrl": self._url, **members})
        try:
            keys = frozen(access.credentials)
        except _credentials_errors() as error:
            raise Unreachable(f"{action}: {error}") from error
        sent = signed(url, headers, content, keys=keys, service=_SERVICE, region=access.region)
        return self._connections.post(url, sent, content)


def _credentials_errors() -> type[Exception]:
    """Botocore's errors. They take long to import, so this is called when there is one."""
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    found: type[Exception] = BotoCoreError
    return found
