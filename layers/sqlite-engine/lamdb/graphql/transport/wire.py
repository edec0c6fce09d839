"""GraphQL over HTTP on the wire: reading and checking requests, writing refusals.

This module needs no schema and no database, so that the proxy can load it quickly. `http` answers what was
read.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, Literal
from urllib.parse import unquote_plus, urlencode

import orjson

from lamdb.errors import (
    DocumentInvalid,
    LamdbError,
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    PersistedQueryNotFound,
    PersistedQueryNotSupported,
    RequestError,
    Unauthorized,
    UnsupportedMediaType,
)
from lamdb.graphql.errors import entry, written
from lamdb.graphql.persisted_queries import MEMBER, PersistedQueries
from lamdb.graphql.request import GraphQLRequest
from lamdb.rules.caller import ANONYMOUS, Caller

JSON: Final = "application/json"
GRAPHQL_RESPONSE: Final = "application/graphql-response+json"
EVENTS: Final = "text/event-stream"
_NO_STREAMS: Final = (
    "Live queries are served at /graphql of the standalone server. Elsewhere, accept application/json, "
    "and ask again or follow the change feed."
)

TXID_HEADER: Final = "x-lamdb-txid"
CONSISTENCY_HEADER: Final = "x-lamdb-consistency"
AS_OF_HEADER: Final = "x-lamdb-as-of"
TIMEOUT_HEADER: Final = "x-lamdb-timeout"
REPLAYED_HEADER: Final = "x-lamdb-replayed"
IDEMPOTENCY_HEADERS: Final = ("idempotency-key", "x-lamdb-idempotency-key")
ATTEMPTS_HEADER: Final = "x-lamdb-attempts-key"
"""A key of the proxy's, for its own attempts at a mutation whose client gave none."""

RETRY_AFTER_SECONDS: Final = "1"
_TXID_DIGITS: Final = 18
_SECONDS: Final = re.compile(r"[0-9]{1,6}(\.[0-9]{1,6})?")
LONGEST_KEY: Final = 255


class Consistency(StrEnum):
    """The consistency of a read.

    - `SESSION`: at least the transaction of the token, and nothing older than `HttpOptions.max_staleness`.
    - `STRONG`: everything that was committed anywhere before the request; asks the store on each read.
    - `EVENTUAL`: whatever this process knows, token or not; never waits.
    """

    SESSION = "session"
    STRONG = "strong"
    EVENTUAL = "eventual"


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """`query` is the part of the URL after `?`, still encoded; the names in `headers` are in lower case.

    `caller`: as in `GraphQLRequest`.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    caller: Caller | None = ANONYMOUS


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """A response, and what those who pass it on need to know of it. Names in `headers` are in lower case.

    - `code`: the error code of a request that was refused.
    - `retryable`: whether to send such a request again.
    - `failed`: whether the body has errors.
    - `kind`: query or mutation, if the request got as far; live for a query whose results were followed.
    - `early`: whether the request was refused before it was a GraphQL request.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    code: str | None = None
    retryable: bool = False
    failed: bool = False
    kind: Literal["query", "mutation", "live"] | None = None
    early: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """A GraphQL request that came by HTTP: what is asked, how, and in which media type to answer."""

    parameters: GraphQLRequest
    method: str
    headers: Mapping[str, str]
    media_type: str


def receive(request: HttpRequest, persisted: PersistedQueries | None = None) -> Call | HttpResponse:
    """The first half of `handle`: the GraphQL request in an HTTP request, or its refusal.

    `persisted`: the documents that a request may name by their hash; without them none are.
    """
    media_type = response_type(request.headers.get("accept"))
    if media_type is None:
        if EVENTS in request.headers.get("accept", ""):
            return refusal(NotAcceptable("Streams of events are not served here.", hint=_NO_STREAMS))
        return refusal(NotAcceptable("No media type in Accept is supported."))
    try:
        parameters = read_parameters(request, persisted)
        if request.caller is not ANONYMOUS:
            parameters = replace(parameters, caller=request.caller)
        return Call(parameters, request.method, request.headers, media_type)
    except RequestError as error:
        return refusal(error, media_type)


def refusal(error: LamdbError, media_type: str = JSON) -> HttpResponse:
    """The response to a request that did not become a GraphQL request, in the shape that all errors have."""
    entries = error.entries if isinstance(error, DocumentInvalid) else [entry(error)]
    headers = {"content-type": with_charset(media_type), "vary": "accept, accept-encoding"}
    if isinstance(error, MethodNotAllowed):
        headers["allow"] = ", ".join(error.meta["allow"])
    if isinstance(error, Unauthorized):
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, PersistedQueryNotFound | PersistedQueryNotSupported):
        headers["cache-control"] = "no-store"  # a later answer to the same URL has data
    if error.retryable:
        headers["retry-after"] = RETRY_AFTER_SECONDS
    body = written({"errors": entries})
    return HttpResponse(error.status, headers, body, error.code, error.retryable, failed=True, early=True)


# Reading the request


def read_parameters(request: HttpRequest, persisted: PersistedQueries | None = None) -> GraphQLRequest:
    """The GraphQL request in an HTTP request. `persisted`: as in `receive`.

    Raises `MalformedRequest`, `MethodNotAllowed`, `PersistedQueryNotFound`, `PersistedQueryNotSupported`.
    """
    match request.method:
        case "POST":
            return _checked(_posted(request), persisted)
        case "GET":
            return _checked(_from_url(request.query), persisted)
        case _:
            raise MethodNotAllowed(f"GraphQL does not allow {request.method}.", allow=["GET", "POST"])


def with_document(request: HttpRequest, parameters: GraphQLRequest) -> HttpRequest:
    """The HTTP request of `parameters` with its document and without its hash."""
    extensions = {name: value for name, value in (parameters.extensions or {}).items() if name != MEMBER}
    members: dict[str, Any] = {"query": parameters.query}
    if parameters.operation_name is not None:
        members["operationName"] = parameters.operation_name
    for name, value in (("variables", parameters.variables), ("extensions", extensions)):
        if value:
            members[name] = orjson.dumps(value).decode() if request.method == "GET" else value
    if request.method == "GET":
        return replace(request, query=urlencode(members))
    return replace(request, body=orjson.dumps(members))


def _posted(request: HttpRequest) -> Mapping[str, Any]:
    require_json(request.headers.get("content-type"), request.headers.get("content-encoding"))
    if not request.body:
        raise MalformedRequest("The request has no body.")
    try:
        value = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The body is not JSON: {error}") from None
    if isinstance(value, list):
        raise MalformedRequest(
            "The body is a list; batches are not supported.", hint="Send one request at a time."
        )
    if not isinstance(value, dict):
        raise MalformedRequest("The body is JSON, but not an object.")
    return value


def _from_url(query: str) -> Mapping[str, Any]:
    parameters: dict[str, Any] = {}
    for name, value in _decoded_pairs(query):
        if name not in {"query", "operationName", "variables", "extensions"}:
            continue
        if name in parameters:
            raise MalformedRequest(f"The URL gives `{name}` twice.")
        parameters[name] = value
    for name in ("variables", "extensions"):
        if text := parameters.get(name):
            parameters[name] = _json_parameter(name, text)
    # An empty value in a URL is how HTML forms say that there is none.
    return {name: value for name, value in parameters.items() if value != ""}


def _decoded_pairs(query: str) -> list[tuple[str, str]]:
    try:
        return [
            (unquote_plus(name, errors="strict"), unquote_plus(value, errors="strict"))
            for name, _, value in (pair.partition("=") for pair in query.split("&") if pair)
        ]
    except UnicodeDecodeError:
        raise MalformedRequest("The URL's query is not UTF-8.") from None


def _json_parameter(name: str, text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"`{name}` in the URL is not JSON: {error}") from None


def _checked(parameters: Mapping[str, Any], persisted: PersistedQueries | None) -> GraphQLRequest:
    query, extensions = parameters.get("query"), _object(parameters, "extensions")
    if extensions is not None and extensions.get(MEMBER) is not None:
        if query is None:
            if persisted is None:
                raise PersistedQueryNotSupported("PersistedQueryNotSupported")
            query = persisted.document(extensions)
        elif persisted is not None and isinstance(query, str):
            persisted.check(extensions, query)
    if not isinstance(query, str):
        if query is None:
            raise MalformedRequest("`query` is missing.")
        raise MalformedRequest("`query` must be a string.")
    operation_name = parameters.get("operationName")
    if operation_name is not None and not isinstance(operation_name, str):
        raise MalformedRequest("`operationName` must be a string.")
    return GraphQLRequest(
        query=query,
        variables=_object(parameters, "variables"),
        operation_name=operation_name or None,
        extensions=extensions,
    )


def _object(parameters: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    value = parameters.get(name)
    if value is None or isinstance(value, dict):
        return value
    raise MalformedRequest(f"`{name}` must be an object.")


def require_json(content_type: str | None, content_encoding: str | None) -> None:
    """Raises `UnsupportedMediaType` for a body that is not plain JSON."""
    if content_type is None:
        raise UnsupportedMediaType("The request has no Content-Type.")
    if not _is_json(content_type):
        raise UnsupportedMediaType(f"Content-Type {content_type!r} is not supported.")
    if content_encoding not in {None, "identity"}:
        raise UnsupportedMediaType(f"Content-Encoding {content_encoding!r} is not supported.")


# Media types


@lru_cache(maxsize=256)
def _is_json(content_type: str) -> bool:
    name, parameters = _media_type(content_type)
    return name == JSON and parameters.get("charset", "utf-8").lower() in {"utf-8", "utf8"}


@lru_cache(maxsize=256)
def response_type(accept: str | None) -> str | None:
    """The media type to answer with, or None if `accept` allows neither.

    Wildcards and no header at all mean `application/json`: clients older than the specification expect it.
    """
    if accept is None or not accept.strip():
        return JSON
    best: tuple[float, int, str] | None = None
    for item in accept.split(","):
        name, parameters = _media_type(item)
        rank = {"*/*": 0, "application/*": 1, JSON: 2, GRAPHQL_RESPONSE: 3}.get(name)
        if rank is None or parameters.get("charset", "utf-8").lower() not in {"utf-8", "utf8"}:
            continue
        quality = _quality(parameters.get("q", "1"))
        chosen = (quality, rank, GRAPHQL_RESPONSE if name == GRAPHQL_RESPONSE else JSON)
        if quality > 0 and (best is None or chosen > best):
            best = chosen
    return best[2] if best else None


def _media_type(item: str) -> tuple[str, dict[str, str]]:
    """`text/html; charset="x"` → ("text/html", {"charset": "x"})."""
    name, *rest = item.split(";")
    pairs = (parameter.partition("=") for parameter in rest)
    return name.strip().lower(), {key.strip().lower(): value.strip().strip('"') for key, _, value in pairs}


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def with_charset(media_type: str) -> str:
    return media_type + "; charset=utf-8"


def accepts_gzip(headers: Mapping[str, str]) -> bool:
    """True if the client of a request can take a gzipped response."""
    return _allows_gzip(headers.get("accept-encoding", ""))


@lru_cache(maxsize=256)
def _allows_gzip(accept_encoding: str) -> bool:
    accepted = dict(_media_type(item) for item in accept_encoding.split(","))
    parameters = accepted.get("gzip", accepted.get("*"))
    return parameters is not None and _quality(parameters.get("q", "1")) > 0


# What a request's headers ask for


def wanted_txid(headers: Mapping[str, str]) -> int:
    """The request's token; 0 without one. Raises `MalformedRequest`."""
    text = headers.get(TXID_HEADER)
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _TXID_DIGITS):
        raise MalformedRequest(
            f"{TXID_HEADER} {text!r} is not a transaction number.",
            hint="Send the value of an earlier response.",
        )
    return int(text)


def consistency(headers: Mapping[str, str]) -> Consistency:
    """Raises `MalformedRequest`."""
    text = headers.get(CONSISTENCY_HEADER)
    if text is None:
        return Consistency.SESSION
    try:
        return Consistency(text.lower())
    except ValueError:
        raise MalformedRequest(
            f"{CONSISTENCY_HEADER} {text!r} is unknown.", hint=f"Use one of: {', '.join(Consistency)}."
        ) from None


def as_of(headers: Mapping[str, str]) -> tuple[int | None, datetime | None]:
    """The past state that a request asks for, as TXID or as time. Raises `MalformedRequest`."""
    text = headers[AS_OF_HEADER].strip()
    if text.isascii() and text.isdigit() and len(text) <= _TXID_DIGITS:
        return int(text), None
    try:
        return None, datetime.fromisoformat(text)
    except ValueError:
        raise MalformedRequest(
            f"{AS_OF_HEADER} {text!r} is neither a transaction number nor a time.",
            hint="A time is written as in 2026-01-31T12:00:00Z.",
        ) from None


def timeout(headers: Mapping[str, str]) -> float | None:
    """Seconds after which the client does not want the answer any more; None without a limit.

    Raises `MalformedRequest`.
    """
    text = headers.get(TIMEOUT_HEADER)
    if text is None:
        return None
    if not _SECONDS.fullmatch(text):
        raise MalformedRequest(
            f"{TIMEOUT_HEADER} {text!r} is not a number of seconds.", hint="Send one such as 2.5."
        )
    return float(text)


def idempotency_key(headers: Mapping[str, str]) -> str | None:
    """The key under which a mutation is executed once; None without one. Raises `MalformedRequest`."""
    return _key(headers, IDEMPOTENCY_HEADERS)


def attempts_key(headers: Mapping[str, str]) -> str | None:
    """The key that a proxy gave a mutation which has no `idempotency_key`. Raises `MalformedRequest`."""
    return _key(headers, (ATTEMPTS_HEADER,))


def _key(headers: Mapping[str, str], names: Sequence[str]) -> str | None:
    given = {headers[name] for name in names if name in headers}
    if not given:
        return None
    key = given.pop()
    if given or not key.isascii() or not key.isprintable() or not 1 <= len(key) <= LONGEST_KEY:
        raise MalformedRequest(
            "The idempotency key cannot be used.",
            hint=f"Give one key of 1 to {LONGEST_KEY} ASCII characters, such as a UUID.",
        )
    return key
