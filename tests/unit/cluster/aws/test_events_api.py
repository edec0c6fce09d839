"""Requests to EventBridge that get no usable answer, and its address."""

from typing import Any
from unittest.mock import patch

import pytest

from lamdb.cluster.aws.events_api import EventsApi, EventsRefused
from lamdb.cluster.aws.http import HttpAnswer, Unreachable
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.signature import AccessKeys

ENTRY = {"Source": "lamdb", "DetailType": "Author created", "Detail": "{}", "EventBusName": "shop"}
VARIABLES = {"AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}


def put(status: int, body: bytes, headers: dict[str, str] | None = None) -> list[str]:
    api = EventsApi(Access("https://events.example", "us-east-1", AccessKeys("key", "secret")))
    with patch.object(api._connections, "post", return_value=HttpAnswer(status, headers or {}, body)):
        return api.put([ENTRY, ENTRY])


def test_each_event_has_its_code() -> None:
    body = b'{"FailedEntryCount":1,"Entries":[{"EventId":"1"},{"ErrorCode":"Throttling","ErrorMessage":"m"}]}'
    assert put(200, body) == ["", "Throttling"]
    assert put(200, b'{"Entries":[{},{"EventId":"2"}]}') == ["Unknown", ""]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"Entries":null}',
        b'{"Entries":[{"EventId":"1"}]}',
        b'{"Entries":[1,2]}',
    ],
)
def test_answers_that_are_not_those_of_eventbridge(body: bytes) -> None:
    with pytest.raises(EventsRefused, match="UnknownAnswer"):
        put(200, body)


@pytest.mark.parametrize(
    ("status", "code", "is_transient"),
    [
        (400, "ThrottlingException", True),
        (400, "AccessDeniedException", False),
        (403, "InvalidSignatureException", False),
        (500, "InternalException", True),
        (503, "Unknown", True),
    ],
)
def test_refused_requests_have_a_code(status: int, code: str, is_transient: bool) -> None:
    body = b"" if code == "Unknown" else f'{{"__type":"com.amazonaws#{code}"}}'.encode()
    with pytest.raises(EventsRefused, match=code) as caught:
        put(status, body)
    assert caught.value.is_transient == is_transient


@pytest.mark.parametrize(
    ("status", "code", "found"),
    [(200, "", True), (400, "ResourceNotFoundException", False), (400, "AccessDeniedException", None)],
)
def test_whether_a_bus_exists(status: int, code: str, found: bool | None) -> None:
    api = EventsApi(Access("https://events.example", "us-east-1", AccessKeys("key", "secret")))
    answer = HttpAnswer(status, {}, f'{{"__type":"{code}","Name":"shop"}}'.encode())
    with patch.object(api._connections, "post", return_value=answer) as post:
        if found is None:
            with pytest.raises(EventsRefused, match=f"DescribeEventBus: {code}"):
                api.has_bus("shop")
        else:
            assert api.has_bus("shop") == found
    (_, headers, body), _ = post.call_args
    assert (headers["x-amz-target"], body) == ("AWSEvents.DescribeEventBus", b'{"Name":"shop"}')


def test_without_credentials_it_cannot_be_reached() -> None:
    with pytest.raises(Unreachable, match="redentials"):
        EventsApi(Access("https://events.example", "us-east-1", None)).put([ENTRY])


@pytest.mark.parametrize(
    ("given", "endpoint"),
    [
        ({}, "https://events.eu-central-1.amazonaws.com"),
        ({"AWS_REGION": "cn-north-1"}, "https://events.cn-north-1.amazonaws.com.cn"),
        ({"AWS_ENDPOINT_URL": "http://all/"}, "http://all"),
        ({"AWS_ENDPOINT_URL": "http://all", "AWS_ENDPOINT_URL_EVENTBRIDGE": "http://own"}, "http://own"),
        ({"AWS_ENDPOINT_URL_LAMBDA": "http://lambda"}, "https://events.eu-central-1.amazonaws.com"),
    ],
)
def test_the_address_is_as_the_sdk_has_it(given: dict[str, str], endpoint: str, monkeypatch: Any) -> None:
    import boto3

    environ = VARIABLES | given
    assert Access.find(environ, "events").endpoint == endpoint
    for name, text in {**environ, "AWS_DEFAULT_REGION": environ["AWS_REGION"]}.items():
        monkeypatch.setenv(name, text)
    assert boto3.Session().client("events").meta.endpoint_url.rstrip("/") == endpoint
