"""Requests to SQS that get no usable answer."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import CredentialRetrievalError

from lamdb.cluster.aws.http import HttpAnswer, Unreachable
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.signature import AccessKeys
from lamdb.cluster.aws.sqs_api import Refused, SqsApi

URL = "https://sqs.us-east-1.amazonaws.com/123456789012/writes.fifo"
CALLS: list[Callable[[SqsApi], Any]] = [
    lambda api: api.receive(),
    lambda api: api.delete(["handle"]),
    lambda api: api.release(["handle"]),
]


class Expired:
    """Credentials that cannot be renewed."""

    def get_frozen_credentials(self) -> Any:
        raise CredentialRetrievalError(provider="test", error_msg="expired")


def api(credentials: Any) -> SqsApi:
    return SqsApi(URL, Access("", "us-east-1", credentials), {})


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"<html>"), (200, b"[]"), (200, b"1"), (200, b"\xff"), (400, b"{}"), (503, b"")],
)
def test_answers_that_are_not_those_of_sqs(call: Callable[[SqsApi], Any], status: int, body: bytes) -> None:
    asked = api(AccessKeys("key", "secret", None))
    answer = HttpAnswer(status, {}, body)
    with patch.object(asked._connections, "post", return_value=answer), pytest.raises(Refused):
        call(asked)


@pytest.mark.parametrize("call", [*CALLS, lambda api: api.send("body", "group", "id")])
@pytest.mark.parametrize("credentials", [None, Expired()])
def test_without_credentials_the_queue_cannot_be_reached(
    call: Callable[[SqsApi], Any], credentials: Any
) -> None:
    with pytest.raises(Unreachable, match="redentials"):
        call(api(credentials))
