"""The events that a function is invoked with, and its responses.

All functions accept the same events:

- **HTTP**: API Gateway's REST and HTTP APIs (payload formats 1.0 and 2.0), load balancers and function
  URLs. The answer is in their format.
- **Internal**: `{"lamdb": {"request": {…}, "deadline": 1767225600.5}}`, the proxy's way to reader and
  writer; answered as HTTP is. The deadline is in seconds since 1970.
- **Writes**: `{"lamdb": {"write": {…}}}`, a mutation whose client does not wait; see `queued_mutation`.
- **Direct**: `{"query": …, "variables": …, "operationName": …, "headers": {…}}`, as `aws lambda invoke` sends
  it. The answer is the GraphQL response itself, with `extensions.lamdb.txid`.
- **Operators**: `{"lamdb": {"admin": {"query": …, "variables": …, "operationName": …}}}`, a request of the
  operator API, answered as a direct one is.
- **Commands**: `{"lamdb": {"operation": "maintenance"}}`, from a schedule. Other members are its arguments.
- **Events** of SQS, SNS, DynamoDB Streams, EventBridge and S3, which only the writer takes: see `sources`.
"""

import base64
import binascii
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Final
from urllib.parse import urlencode

import orjson

from lamdb.cluster.invocation import queued_mutation, session_cookie
from lamdb.cluster.invocation.paths import RequestPath, place
from lamdb.errors import MalformedRequest, ResponseTooLarge
from lamdb.graphql.transport.wire import (
    JSON,
    REPLAYED_HEADER,
    TXID_HEADER,
    HttpRequest,
    HttpResponse,
    accepts_gzip,
    refusal,
)
from lamdb.rules.caller import read_caller, written_caller

PAYLOAD_LIMIT: Final = 6_291_556
"""Bytes that Lambda takes from a function as its answer to a synchronous invocation."""

REQUEST_LIMIT: Final = 6 * 1024 * 1024
"""Bytes that Lambda passes to a function synchronously."""

_HEADROOM: Final = 16 * 1024
"""For what the proxy adds to the headers of a response on its way."""

BODY_LIMIT: Final = PAYLOAD_LIMIT - _HEADROOM
"""Bytes of a response that is not compressed: more of it cannot be answered."""

SCHEMA_PATH: Final = "/schema.graphql"
REQUEST_ID_HEADER: Final = "x-request-id"

CONTENDED_HEADER: Final = "x-lamdb-contended"
"""Set by the proxy if the writer was busy before it took this request: others probably wait in the queue."""

OPERATOR_PATH: Final = "/admin/graphql"
"""`lamdb.operator.kind.PATH`, for those that do not load the operator API."""

_GZIP_LEVEL: Final = 6
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class EventSource(Enum):
    REST = auto()
    HTTP = auto()
    INTERNAL = auto()
    DIRECT = auto()


@dataclass(frozen=True, slots=True)
class Received:
    """A request, and where it came from.

    - `prefix`: the stage's part of the path, such as `/v1`.
    - `is_operators`: whether IAM let the sender call the operator API; callers that invoke functions may.
    - `deadline`: seconds since 1970 after which the client no longer waits.
    - `context`: what the event says of its sender, as API Gateway has found out.
    - `refused`: why the request cannot be answered, if that is known already.
    - `wants_lists`: whether the answer's headers are lists, as a load balancer wants them that sends lists.
    """

    source: EventSource
    request: HttpRequest
    prefix: str = ""
    is_operators: bool = False
    refused: MalformedRequest | None = None
    wants_lists: bool = False
    deadline: float | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_judged(self) -> bool:
        """True if the sender's role is checked, which it is not for direct invocations of the function."""
        return self.source in {EventSource.REST, EventSource.HTTP}

    @property
    def correlation_id(self) -> str | None:
        return self.request.headers.get(REQUEST_ID_HEADER)


@dataclass(frozen=True, slots=True)
class OperatorCommand:
    """A task that is not a request of a client."""

    operation: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Events:
    """Events of other services, as they came."""

    event: Mapping[str, Any]


def read(event: Any) -> Received | OperatorCommand | Events:
    """Raises `MalformedRequest` for an event of none of these kinds."""
    try:
        return _read(event)
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise MalformedRequest(
            f"The event cannot be read: {type(error).__name__}.", hint="Compare it with events/."
        ) from error


def _read(event: Any) -> Received | OperatorCommand | Events:
    match event:
        case {"lamdb": {"request": dict(request)}}:
            inner = _internal_request(request)
            is_operators = inner.path == OPERATOR_PATH
            deadline = event["lamdb"].get("deadline")
            if not isinstance(deadline, int | float | None):
                raise MalformedRequest("The envelope's deadline is not a number.")
            return Received(EventSource.INTERNAL, inner, is_operators=is_operators, deadline=deadline)
        case {"lamdb": {"write": dict()}}:
            return Events({"Records": [{"eventSource": queued_mutation.SOURCE, "write": event}]})
        case {"lamdb": {"admin": {"query": str()} as admin}}:
            return _direct(admin, OPERATOR_PATH, is_operators=True)
        case {"lamdb": {"operation": str(operation)}}:
            arguments = {name: value for name, value in event["lamdb"].items() if name != "operation"}
            return OperatorCommand(operation, arguments)
        case {"httpMethod": str()}:
            return _rest(event)
        case {"requestContext": {"http": {"method": str()}}}:
            return _http(event)
        case {
            "Records": [
                {"eventSource": "aws:sqs" | "aws:dynamodb" | "aws:s3"} | {"EventSource": "aws:sns"},
                *_,
            ]
        }:
            return Events(event)
        case {"detail-type": str(), "source": str(), "detail": dict()}:
            return Events(event)
        case {"query": str()}:
            return _direct(event)
    raise MalformedRequest(
        "The event is neither a request of API Gateway nor one of lamDB.",
        hint='Invoke with {"query": "{ … }", "variables": {}}.',
    )


def envelope(request: HttpRequest, deadline: float | None = None) -> bytes:
    """The payload by which the proxy sends a request on. `deadline`: in seconds since 1970."""
    text, is_base64 = _text(request.body)
    inner = {
        "method": request.method,
        "path": request.path,
        "query": request.query,
        "headers": dict(request.headers),
        "body": text,
        "isBase64Encoded": is_base64,
        "caller": written_caller(request.caller),
    }
    sent: dict[str, Any] = {"request": inner}
    if deadline is not None:
        sent["deadline"] = deadline
    return orjson.dumps({"lamdb": sent})


def response_of(payload: bytes) -> HttpResponse:
    """The response in what a function answered to `envelope`. Raises `ValueError` if it is none."""
    answer = orjson.loads(payload)
    try:
        body = _bytes(answer.get("body"), answer.get("isBase64Encoded"))
        code, retryable = answer.get("lamdb") or (None, False)
        return HttpResponse(answer["statusCode"], dict(answer["headers"]), body, code, retryable)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError("not a response in the proxy's format") from error


def reply(received: Received, response: HttpResponse) -> dict[str, Any]:
    """Returns the function's response. A response that is too large for that becomes an error that says
    so."""
    if received.source is EventSource.DIRECT:
        return _direct_reply(response)
    response = _fitting(received.request, response)
    headers = dict(response.headers)
    answer: dict[str, Any] = {"statusCode": response.status, "headers": headers}
    if received.source is EventSource.INTERNAL and response.code is not None:
        answer["lamdb"] = (response.code, response.retryable)
    if received.source is not EventSource.INTERNAL and (
        cookie := session_cookie.cookie(received.request, response)
    ):
        if received.source is EventSource.HTTP:
            answer["cookies"] = [cookie]
        else:
            headers["set-cookie"] = cookie
    answer["body"], answer["isBase64Encoded"] = _text(response.body, headers.get("content-encoding"))
    if received.wants_lists:
        answer["multiValueHeaders"] = {name: [text] for name, text in headers.items()}
    return answer


# Requests


def _rest(event: Mapping[str, Any]) -> Received:
    """A request of a REST API, of an HTTP API in payload format 1.0, or of a load balancer."""
    headers = _headers(event.get("headers"), event.get("multiValueHeaders"))
    pairs = event.get("multiValueQueryStringParameters") or event.get("queryStringParameters") or {}
    context = event.get("requestContext") or {}
    balanced = "elb" in context
    path = str(event.get("path") or "/")
    full = str(context.get("path") or path)
    resource = event.get("resource") or context.get("resourcePath")
    if resource is None and full != path:
        found = RequestPath(path, full.removesuffix(path))
    else:
        found = place(full, resource, context, event.get("pathParameters"))
    headers.setdefault(REQUEST_ID_HEADER, str(context.get("requestId") or ""))
    body, refused = _body_of(event)
    request = HttpRequest(
        event["httpMethod"],
        found.path,
        _joined(pairs) if balanced else urlencode(pairs, doseq=True),
        session_cookie.from_cookie(headers),
        body,
    )
    signed = bool((context.get("identity") or {}).get("userArn"))
    return Received(
        EventSource.REST,
        request,
        found.prefix,
        is_operators=signed and context.get("resourcePath") == OPERATOR_PATH,
        refused=refused,
        wants_lists=balanced and "multiValueHeaders" in event,
        context=context,
    )


def _joined(pairs: Mapping[str, Any]) -> str:
    """A query from pairs that are still encoded, as load balancers have them."""
    return "&".join(
        f"{name}={value}"
        for name, values in pairs.items()
        for value in (values if isinstance(values, list) else [values])
    )


def _http(event: Mapping[str, Any]) -> Received:
    context = event["requestContext"]
    headers = _headers(event.get("headers"), None)
    if cookies := event.get("cookies"):
        headers["cookie"] = "; ".join(cookies)
    headers.setdefault(REQUEST_ID_HEADER, str(context.get("requestId") or ""))
    route = context.get("routeKey") or event.get("routeKey")
    found = place(str(event.get("rawPath") or "/"), route, context, event.get("pathParameters"))
    query = str(event.get("rawQueryString") or "")
    body, refused = _body_of(event)
    request = HttpRequest(
        context["http"]["method"], found.path, query, session_cookie.from_cookie(headers), body
    )
    signed = bool(((context.get("authorizer") or {}).get("iam") or {}).get("userArn"))
    routed = str(route).endswith(f" {OPERATOR_PATH}")
    return Received(
        EventSource.HTTP,
        request,
        found.prefix,
        is_operators=signed and routed,
        refused=refused,
        context=context,
    )


def _internal_request(inner: Mapping[str, Any]) -> HttpRequest:
    try:
        body = _bytes(inner.get("body"), inner.get("isBase64Encoded"))
        caller = read_caller(inner.get("caller"))
        query = inner.get("query", "")
        return HttpRequest(inner["method"], inner["path"], query, inner["headers"], body, caller)
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedRequest("The envelope does not hold a request.") from error


def _direct(event: Mapping[str, Any], path: str = "/graphql", *, is_operators: bool = False) -> Received:
    try:
        return Received(EventSource.DIRECT, _direct_request(event, path), is_operators=is_operators)
    except (TypeError, RecursionError):  # what orjson cannot write, such as half of a surrogate pair
        refused = MalformedRequest("The request holds what JSON in UTF-8 does not.", hint="")
        return Received(EventSource.DIRECT, HttpRequest("POST", path, "", {}), refused=refused)


def _direct_request(event: Mapping[str, Any], path: str = "/graphql") -> HttpRequest:
    given = event.get("headers")
    headers = _headers(given if isinstance(given, dict) else None, None)
    headers = {name: text for name, text in headers.items() if name != "accept-encoding"}
    parameters = {name: event.get(name) for name in ("query", "variables", "operationName", "extensions")}
    content = orjson.dumps(parameters)
    return HttpRequest("POST", path, "", {**headers, "content-type": JSON}, content, caller=None)


def _headers(single: Mapping[str, Any] | None, multiple: Mapping[str, Any] | None) -> dict[str, str]:
    headers = {name.lower(): str(text) for name, text in (single or {}).items()}
    for name, texts in (multiple or {}).items():
        headers[name.lower()] = ("; " if name.lower() == "cookie" else ", ").join(texts)
    return headers


def _body_of(event: Mapping[str, Any]) -> tuple[bytes, MalformedRequest | None]:
    """The body, or why it cannot be read."""
    try:
        return _bytes(event.get("body"), event.get("isBase64Encoded")), None
    except ValueError:
        return b"", MalformedRequest(
            "The body is not the base64, or the text, that it is said to be.", hint=""
        )


def _bytes(text: str | None, is_base64: object) -> bytes:
    """Raises `ValueError`."""
    if not text:
        return b""
    if not is_base64:
        return text.encode()
    try:
        # Base64 may be broken into lines (RFC 2045, section 6.8).
        return base64.b64decode("".join(text.split()), validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error


# Responses


def _text(body: bytes, encoding: str | None = None) -> tuple[str, bool]:
    """A body as JSON can hold it, and whether that is base64."""
    if encoding is None:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def _fitting(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    """The response if it fits, else compressed if the client takes that, else an error."""
    if _fits(response):
        return response
    size = len(response.body)
    if "content-encoding" not in response.headers and accepts_gzip(request.headers):
        packed = zlib.compress(response.body, _GZIP_LEVEL, _GZIP_WINDOW)
        smaller = replace(response, headers={**response.headers, "content-encoding": "gzip"}, body=packed)
        if _fits(smaller):
            return smaller
    refused = refusal(_too_large(size))
    kept = {
        name: response.headers[name] for name in (TXID_HEADER, REPLAYED_HEADER) if name in response.headers
    }
    return replace(refused, headers=refused.headers | kept)


def _fits(response: HttpResponse) -> bool:
    room = BODY_LIMIT
    if (
        len(response.body) * 2 < room
    ):  # JSON inside JSON doubles its quotation marks, and base64 takes a third.
        return True
    if "content-encoding" in response.headers:
        return len(response.body) * 4 // 3 < room
    return len(response.body) + response.body.count(b'"') + response.body.count(b"\\") < room


def _too_large(size: int) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"The response has {size} bytes; the limit of a function is {PAYLOAD_LIMIT}. "
        "If it was a mutation, it has been committed.",
        meta={"bytes": size, "limit": PAYLOAD_LIMIT},
    )


def _direct_reply(response: HttpResponse) -> dict[str, Any]:
    if len(response.body) > BODY_LIMIT:
        response = refusal(_too_large(len(response.body)))
    answer: dict[str, Any] = orjson.loads(response.body)
    about: dict[str, Any] = {"status": response.status}
    if TXID_HEADER in response.headers:
        about["txid"] = int(response.headers[TXID_HEADER])
    if REPLAYED_HEADER in response.headers:
        about["replayed"] = True
    answer.setdefault("extensions", {})["lamdb"] = about
    return answer
