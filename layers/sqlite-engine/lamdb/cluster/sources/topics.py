"""Unwraps notifications of SNS topics: their content is treated as that of a queue's message.

A topic wraps what was published. A function that is subscribed gets records with the envelope in `Sns`; a
queue, unless its subscription has raw delivery, gets the envelope as the body of a message. The shapes:
https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

_MEMBERS: Final = frozenset(
    {
        "Type",
        "MessageId",
        "TopicArn",
        "Subject",
        "Message",
        "Timestamp",
        "SequenceNumber",
        "SignatureVersion",
        "Signature",
        "SigningCertURL",
        "SigningCertUrl",
        "UnsubscribeURL",
        "UnsubscribeUrl",
        "MessageAttributes",
    }
)


def is_envelope(body: Any) -> bool:
    """True if the body of a queue's message is a notification, and not an item that looks like one."""
    match body:
        case {"Type": "Notification", "Message": str()}:
            return _MEMBERS.issuperset(body)
    return False


def unwrapped(message: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, Any]:
    """The queue's message as raw delivery would have brought it: what was published is its body."""
    attributes = dict(message.get("attributes", {}))
    made_by_queue = hashlib.sha256(message["body"].encode()).hexdigest()
    if attributes.get("MessageDeduplicationId") == made_by_queue:
        del attributes["MessageDeduplicationId"]
    return {
        **message,
        "messageId": envelope.get("MessageId") or message["messageId"],
        "body": envelope["Message"],
        "attributes": attributes,
        "messageAttributes": {**message.get("messageAttributes", {}), **_attributes(envelope)},
    }


def as_message(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a topic as a message of a queue that is called like the topic."""
    envelope = record["Sns"]
    sent = datetime.fromisoformat(envelope["Timestamp"])
    return {
        "messageId": envelope["MessageId"],
        "body": envelope["Message"],
        "attributes": {"SentTimestamp": str(round(sent.timestamp() * 1000))},
        "messageAttributes": _attributes(envelope),
        "eventSource": "aws:sns",
        "eventSourceARN": envelope["TopicArn"],
    }


def _attributes(envelope: Mapping[str, Any]) -> dict[str, Any]:
    """A notification's attributes in the form that those of queues' messages have."""
    given = envelope.get("MessageAttributes") or {}
    return {
        name: {"stringValue": each.get("Value"), "dataType": each.get("Type")} for name, each in given.items()
    }
