"""Events of every source, and answers in their formats."""

import base64
import gzip
import json
from typing import Any

import pytest

from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.events import EventSource, OperatorCommand, Received
from lamdb.errors import MalformedRequest
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse, read_parameters

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
    assert (received.source, received.prefix, received.correlation_id) == (EventSource.REST, "/v1", "r-1")
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
    assert (received.source, received.prefix, received.request.path) == (
        EventSource.HTTP,
        "/prod",
        "/graphql",
    )
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
    assert events.read({"lamdb": {"operation": "verify"}}) == OperatorCommand("verify")
    given = {"lamdb": {"operation": "verify", "litestream": True}}
    assert events.read(given) == OperatorCommand("verify", {"litestream": True})


@pytest.mark.parametrize(
    "event",
    [{}, None, [], {"Records": []}, {"query": 1}, {"lamdb": {}}, {"httpMethod": "POST", "headers": 1},
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


# Where the path begins


def http(**changes: Any) -> dict[str, Any]:
    context = {
        "http": {"method": "POST"},
        "stage": "$default",
        "requestId": "r",
        **changes.pop("context", {}),
    }
    return {"version": "2.0", "rawPath": "/graphql", "headers": {}, "requestContext": context, **changes}


def old(path: str, resource: str, stage: str, **changes: Any) -> dict[str, Any]:
    """Payload format 1.0 of an HTTP API."""
    context = {
        "path": path,
        "stage": stage,
        "requestId": "r",
        "domainName": "x.execute-api.eu-west-1.amazonaws.com",
    }
    return rest(version="1.0", path=path, resource=resource, requestContext=context, **changes)


def routed(path: str, resource: str, **parameters: str) -> dict[str, Any]:
    context = {"path": path, "resourcePath": resource, "stage": "v1", "requestId": "r"}
    return rest(path=path, resource=resource, pathParameters=parameters or None, requestContext=context)


DB = {"routeKey": "POST /graphql"}
CUSTOM = {"stage": "graphql", "domainName": "db.example.com"}
OWN = {"stage": "graphql", "domainName": "x.execute-api.eu-west-1.amazonaws.com"}


@pytest.mark.parametrize(
    ("event", "path", "prefix"),
    [
        (routed("/db/graphql", "/graphql"), "/graphql", "/db"),
        (routed("/graphql", "/graphql"), "/graphql", ""),
        (routed("/admin/graphql", "/graphql"), "/graphql", "/admin"),
        (routed("/shop/admin/graphql", "/admin/graphql"), "/admin/graphql", "/shop"),
        (routed("/a/b/schema.graphql", "/schema.graphql"), "/schema.graphql", "/a/b"),
        (routed("/db/graphql", "/{proxy+}", proxy="graphql"), "/graphql", "/db"),
        (routed("/db/graphql", "/db/{proxy+}", proxy="graphql"), "/graphql", "/db"),
        (routed("/x/graphiql/app.js", "/graphiql/{file}", file="app.js"), "/graphiql/app.js", "/x"),
        (routed("/x/studio", "/studio"), "/studio", "/x"),
        (routed("/x/studio/app.js", "/studio/{proxy+}", proxy="app.js"), "/studio/app.js", "/x"),
        (routed("/x/studio/graphql", "/studio/{proxy+}", proxy="graphql"), "/studio/graphql", "/x"),
        (routed("/x/studio/session", "/studio/session"), "/studio/session", "/x"),
        (routed("/studio/v3/pipeline", "/studio/v3/pipeline"), "/studio/v3/pipeline", ""),
        (routed("/x/studio/app.js", "/x/{proxy+}", proxy="studio/app.js"), "/studio/app.js", "/x"),
        (routed("/db/", "/"), "/", "/db"),
        (routed("/mine/graphql", "/mine/graphql"), "/graphql", "/mine"),
        (routed("/db/other", "/other"), "/other", "/db"),
        (http(rawPath="/db/graphql", **DB), "/graphql", "/db"),
        (http(rawPath="/v1/graphql", context={"stage": "v1", **DB}), "/graphql", "/v1"),
        (http(rawPath="/graphql", context={**CUSTOM, **DB}), "/graphql", ""),
        (http(rawPath="/graphql", context=CUSTOM), "/graphql", ""),
        (http(rawPath="/graphql/graphql", context={**OWN, **DB}), "/graphql", "/graphql"),
        (http(rawPath="/graphql/graphql", context=OWN), "/graphql", "/graphql"),
        (http(rawPath="/graphql", context={"stage": "graphql"}), "/graphql", ""),
        (http(rawPath="/dev/graphql", context={"stage": "dev"}), "/graphql", "/dev"),
        (http(rawPath="/dev", context={"stage": "dev"}), "/", "/dev"),
        (http(rawPath="/device", context={"stage": "dev"}), "/device", ""),
        (http(rawPath="/db/graphql", context={"routeKey": "$default"}), "/db/graphql", ""),
        (
            http(rawPath="/x/graphql", pathParameters={"p": "graphql"}, context={"routeKey": "ANY /x/{p+}"}),
            "/graphql",
            "/x",
        ),
        (old("/dev/graphql", "/graphql", "dev"), "/graphql", "/dev"),
        (old("/dev/graphql", "$default", "dev"), "/graphql", "/dev"),
        (old("/graphql", "$default", "$default"), "/graphql", ""),
    ],
)
def test_the_route_says_what_is_asked_and_the_rest_is_prefix(event: Any, path: str, prefix: str) -> None:
    received = events.read(event)
    assert isinstance(received, Received)
    assert (received.request.path, received.prefix) == (path, prefix)


def test_only_a_signed_route_of_operators_is_theirs() -> None:
    for event in (routed("/admin/graphql", "/graphql"), routed("/admin/graphql", "/{p+}", p="admin/graphql")):
        event["requestContext"]["identity"] = {"userArn": "arn:aws:iam::1:user/x"}
        received = events.read(event)
        assert isinstance(received, Received)
        assert not received.is_operators


def balanced(**changes: Any) -> dict[str, Any]:
    return {
        "httpMethod": "GET",
        "path": "/graphql",
        "requestContext": {"elb": {"targetGroupArn": "arn:x"}},
        "headers": {"accept": "*/*"},
        "queryStringParameters": {
            "query": "%7B+findManyTag(where:+%7Bname:+%22a%26b%22%7D)+%7B+name+%7D+%7D"
        },
        "body": "",
        "isBase64Encoded": False,
        **changes,
    }


def test_the_query_of_a_load_balancer_is_encoded_already() -> None:
    expected = '{ findManyTag(where: {name: "a&b"}) { name } }'
    assert read_parameters(request_in(balanced())).query == expected
    several = balanced()
    pairs = several.pop("queryStringParameters")
    several["multiValueQueryStringParameters"] = {name: [text] for name, text in pairs.items()}
    several["multiValueHeaders"] = {name: [text] for name, text in several.pop("headers").items()}
    received = events.read(several)
    assert isinstance(received, Received)
    assert read_parameters(received.request).query == expected
    answer = events.reply(received, HttpResponse(200, {"content-type": "x"}, b"{}"))
    assert answer["multiValueHeaders"] == {"content-type": ["x"]}


@pytest.mark.parametrize("width", [4, 76])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_base64_in_lines(width: int, end: str) -> None:
    text = base64.b64encode(DOCUMENT.encode()).decode()
    broken = end.join(text[at : at + width] for at in range(0, len(text), width)) + end
    for event in (rest(body=broken, isBase64Encoded=True), http(body=broken, isBase64Encoded=True)):
        assert request_in(event).body.decode() == DOCUMENT


@pytest.mark.parametrize("body", ["&", "ab=c", "\ud800"])
def test_a_body_that_is_no_base64_is_refused_not_raised(body: str) -> None:
    received = events.read(rest(body=body, isBase64Encoded=True))
    assert isinstance(received, Received)
    assert isinstance(received.refused, MalformedRequest)
