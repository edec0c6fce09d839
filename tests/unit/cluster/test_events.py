"""Events of every source, and answers in their formats."""

import base64
import gzip
import json
from typing import Any

import pytest

from lamdb.cluster import events
from lamdb.cluster.events import Command, Received, Source
from lamdb.errors import MalformedRequest
from lamdb.graphql.wire import HttpRequest, HttpResponse, read_parameters

DOCUMENT = '{"query": "{ findManyTag { name } }"}'
JSON = {"content-type": "application/json"}


def rest(**changes: Any) -> dict[str, Any]:
    return {
        "httpMethod": "POST",
        "path": "/graphql",
        "headers": {"Content-Type": "application/json"},
        "multiValueHeaders": {"Content-Type": ["application/json"]},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"path": "/v1/graphql", "requestId": "r-1"},
        "body": DOCUMENT,
        "isBase64Encoded": False,
        **changes,
    }


def request_in(event: Any) -> HttpRequest:
    received = events.read(event)
    assert isinstance(received, Received)
    return received.request


@pytest.mark.parametrize("is_base64", [False, True])
def test_a_post_through_the_rest_api(is_base64: bool) -> None:
    body = base64.b64encode(DOCUMENT.encode()).decode() if is_base64 else DOCUMENT
    received = events.read(rest(body=body, isBase64Encoded=is_base64))
    assert isinstance(received, Received)
    assert (received.source, received.prefix, received.correlation_id) == (Source.REST, "/v1", "r-1")
    assert received.request.body.decode() == DOCUMENT
    assert read_parameters(received.request).query == "{ findManyTag { name } }"


def test_a_get_through_the_rest_api_is_encoded_again() -> None:
    query = '{ findManyTag(where: {name: "a&b=ü"}) { name } }'
    event = rest(httpMethod="GET", body=None, multiValueQueryStringParameters={"query": [query]})
    assert read_parameters(request_in(event)).query == query


def test_a_parameter_given_twice_stays_so() -> None:
    event = rest(httpMethod="GET", body=None, multiValueQueryStringParameters={"query": ["{a}", "{b}"]})
    with pytest.raises(MalformedRequest, match="twice"):
        read_parameters(request_in(event))


def test_a_request_through_an_http_api() -> None:
    event = {
        "version": "2.0",
        "rawPath": "/prod/graphql",
        "rawQueryString": "query=%7Ba%7D",
        "cookies": ["x=1", "lamdb-txid=12"],
        "headers": {"accept": "*/*"},
        "requestContext": {"http": {"method": "GET"}, "stage": "prod", "requestId": "r-2"},
    }
    received = events.read(event)
    assert isinstance(received, Received)
    assert (received.source, received.prefix, received.request.path) == (Source.HTTP, "/prod", "/graphql")
    assert received.request.headers["x-lamdb-txid"] == "12"
    answer = events.reply(received, HttpResponse(200, {"x-lamdb-txid": "13"}, b"{}"))
    assert answer["cookies"] == ["lamdb-txid=13; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Lax"]


def test_a_direct_invocation_is_answered_with_the_graphql_response() -> None:
    received = events.read({"query": "{ a }", "variables": {"x": 1}, "headers": {"X-Lamdb-Txid": "3"}})
    assert isinstance(received, Received)
    parameters = read_parameters(received.request)
    assert (parameters.query, parameters.variables) == ("{ a }", {"x": 1})
    assert received.request.headers["x-lamdb-txid"] == "3"
    response = HttpResponse(200, {"x-lamdb-txid": "4", "x-lamdb-replayed": "true"}, b'{"data":{"a":1}}')
    assert events.reply(received, response) == {
        "data": {"a": 1},
        "extensions": {"lamdb": {"status": 200, "txid": 4, "replayed": True}},
    }


@pytest.mark.parametrize("body", [b"", b'{"query": "{ a }"}', b"\xff\x00"])
def test_an_envelope_brings_a_request_over_as_it_was(body: bytes) -> None:
    request = HttpRequest("POST", "/graphql", "a=b", {**JSON, "x-lamdb-txid": "3"}, body)
    assert request_in(json.loads(events.envelope(request))) == request


@pytest.mark.parametrize(
    "response",
    [
        HttpResponse(200, {**JSON, "x-lamdb-txid": "3"}, '{"a": "ü"}'.encode()),
        HttpResponse(503, {"retry-after": "1"}, b"{}"),
        HttpResponse(200, {"content-encoding": "gzip"}, gzip.compress(b"{}")),
        HttpResponse(204, {}, b""),
    ],
)
def test_an_answer_brings_a_response_over_as_it_was(response: HttpResponse) -> None:
    received = events.read(json.loads(events.envelope(HttpRequest("POST", "/graphql", "", {}, b"x"))))
    assert isinstance(received, Received)
    answer = events.reply(received, response)
    assert events.response_of(json.dumps(answer).encode()) == response


@pytest.mark.parametrize("payload", [b"{}", b"null", b"[]", b"not json", b'{"statusCode": 200}'])
def test_what_is_no_answer(payload: bytes) -> None:
    with pytest.raises(ValueError):
        events.response_of(payload)


def test_a_command() -> None:
    assert events.read({"lamdb": {"operation": "verify"}}) == Command("verify")


@pytest.mark.parametrize(
    "event",
    [{}, None, [], {"Records": []}, {"query": 1}, {"lamdb": {}}, rest(body="&", isBase64Encoded=True),
     {"lamdb": {"request": {"method": "POST"}}}],
)  # fmt: skip
def test_what_is_no_event(event: Any) -> None:
    with pytest.raises(MalformedRequest):
        events.read(event)


# Cookies


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({"Cookie": "a=b; lamdb-txid=7"}, "7"),
        ({"Cookie": "lamdb-txid=7", "X-Lamdb-Txid": "9"}, "9"),
        ({"Cookie": "lamdb-txid=seven"}, None),
        ({"Cookie": "lamdb-txid=" + "9" * 19}, None),
        ({}, None),
    ],
)
def test_the_token_of_a_request(headers: dict[str, str], token: str | None) -> None:
    assert request_in(rest(headers=headers, multiValueHeaders=None)).headers.get("x-lamdb-txid") == token


@pytest.mark.parametrize(
    ("known", "new", "is_set"), [(None, 5, True), (4, 5, True), (5, 5, False), (6, 5, False)]
)
def test_the_cookie_goes_only_forward(known: int | None, new: int, is_set: bool) -> None:
    received = events.read(rest(headers={"cookie": f"lamdb-txid={known}"} if known else {}))
    assert isinstance(received, Received)
    answer = events.reply(received, HttpResponse(200, {"x-lamdb-txid": str(new)}, b"{}"))
    assert ("set-cookie" in answer["headers"]) is is_set


# The limit


def answered(body: bytes, **headers: str) -> dict[str, Any]:
    received = events.read(rest(headers=headers))
    assert isinstance(received, Received)
    answer = events.reply(received, HttpResponse(200, {"x-lamdb-txid": "8"}, body))
    assert len(json.dumps(answer, ensure_ascii=False).encode()) <= events.PAYLOAD_LIMIT
    return answer


LARGE = b'{"data":"' + b'\\"x' * 2_500_000 + b'"}'


def test_a_large_response_is_compressed_for_those_who_take_it() -> None:
    answer = answered(LARGE, **{"accept-encoding": "gzip"})
    assert (answer["statusCode"], answer["isBase64Encoded"]) == (200, True)
    assert answer["headers"]["content-encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(answer["body"])) == LARGE


def test_a_response_that_does_not_fit_says_so() -> None:
    answer = answered(LARGE)
    error = json.loads(answer["body"])["errors"][0]
    assert (answer["statusCode"], error["extensions"]["code"]) == (413, "RESPONSE_TOO_LARGE")
    assert answer["headers"]["x-lamdb-txid"] == "8"


def test_quotation_marks_count_twice() -> None:
    assert answered(b'"' * 3_200_000)["statusCode"] == 413
    assert answered(b"x" * 6_200_000)["statusCode"] == 200
