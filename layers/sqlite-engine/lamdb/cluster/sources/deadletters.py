"""The dead-letter queue for events that can never succeed, so that they do not block others.

A message in the queue has the form of the original event: moved back to the events queue, it is processed
again.
"""

import hashlib
import re
from typing import Any, Final, Protocol

from lamdb.cluster.sources.records import Record
from lamdb.errors import LamdbError

_GROUP: Final = "lamdb"
_REFUSED: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LONGEST_MESSAGE: Final = 1000
"""Characters of an error: a message and its attributes share one limit."""


class DeadLetters(Protocol):
    """The destination of events that can never succeed."""

    def put(self, record: Record, error: LamdbError) -> None:
        """Returns when the event is safe. Raises whatever keeps it from being so."""


class DeadLetterQueue:
    """An SQS queue by its URL. The SDK is loaded with the first event that fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: Any = None

    def put(self, record: Record, error: LamdbError) -> None:
        attributes = {
            "lamdb-code": _text(error.code),
            "lamdb-message": _text(error.message[:_LONGEST_MESSAGE]),
            "lamdb-source": _text(record.kind),
            "lamdb-record": _text(record.id),
            **_kept(record.event.get("messageAttributes") or {}),
        }
        message: dict[str, Any] = {
            "QueueUrl": self._url,
            "MessageBody": record.body(),
            "MessageAttributes": attributes,
        }
        if self._url.endswith(".fifo"):
            message["MessageGroupId"] = _GROUP
            # The event may come, and fail, once more before its service knows that it is here.
            name = f"{record.kind}:{record.event.get('eventSourceARN')}:{record.id}"
            message["MessageDeduplicationId"] = hashlib.sha256(name.encode()).hexdigest()
        self._sqs().send_message(**message)

    def _sqs(self) -> Any:
        if self._client is None:
            import boto3  # type: ignore[import-untyped]

            self._client = boto3.client("sqs")
        return self._client


def _text(value: str) -> dict[str, str]:
    """An attribute: never empty, and without what SQS refuses in texts."""
    return {"DataType": "String", "StringValue": _REFUSED.sub("?", value) or "?"}


def _kept(attributes: dict[str, Any]) -> dict[str, Any]:
    """The message's own attributes, of which SQS takes ten in all, but for those of an earlier failure."""
    own = {name: given for name, given in attributes.items() if not name.startswith("lamdb-")}
    own |= {name: given for name, given in attributes.items() if name == "lamdb-remove"}
    texts = {name: given for name, given in own.items() if given.get("dataType") == "String"}
    return {name: _text(given["stringValue"]) for name, given in list(texts.items())[-6:]}
