"""Asynchronous mutations (`Prefer: respond-async`): recognising them, and reporting their results.

A mutation with `Prefer: respond-async` (RFC 7240) is answered with 202 and the path of its state,
`/writes/<key>`. Nothing here knows a database, so that a proxy can load it quickly; `outcomes` does.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, quote, unquote, urlencode

import orjson

from lamdb.errors import MalformedRequest, NotFound
from lamdb.graphql.digests import digest_of
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.transport.wire import (
    JSON,
    LONGEST_KEY,
    REPLAYED_HEADER,
    RETRY_AFTER_SECONDS,
    HttpResponse,
    with_charset,
)

PREFIX: Final = "/writes/"
PREFER: Final = "prefer"

_ASYNC: Final = re.compile(r'(?:^|,)\s*respond-async\s*(?:=\s*(?:""|"?true"?))?\s*(?:;|,|$)', re.IGNORECASE)
_HEADERS: Final = {"content-type": with_charset(JSON), "cache-control": "no-store"}


def prefers_async(headers: Mapping[str, str]) -> bool:
    """True if a request has `Prefer: respond-async`."""
    preferred = headers.get(PREFER)
    return preferred is not None and _ASYNC.search(preferred) is not None


def accepted(key: str, *, prefix: str = "", query: str = "") -> HttpResponse:
    """The answer to a mutation that is executed later. `prefix` precedes lamDB's paths in the URL."""
    place = f"{prefix}{PREFIX}{quote(key, safe='')}" + (f"?{query}" if query else "")
    headers = {"location": place, "preference-applied": "respond-async", "retry-after": RETRY_AFTER_SECONDS}
    return HttpResponse(202, _HEADERS | headers, orjson.dumps({"status": "pending", "location": place}))


def told_apart(request: GraphQLRequest, attempt: str | None = None) -> str:
    """The query of the path of a state under a key that the client gave, who may give it to other requests.

    `attempt`: this sending of it, if there may be others.
    """
    named = {"attempt": attempt} if attempt is not None else {}
    return urlencode({**named, "request": digest_of(request).hex()})


def asked(query: str) -> tuple[str | None, bytes | None]:
    """The attempt and the digest of the request that the query of a path names. Raises `MalformedRequest`."""
    given = {name: values[0] for name, values in parse_qs(query).items()}
    try:
        digest = bytes.fromhex(given["request"]) if "request" in given else None
    except ValueError:
        raise MalformedRequest("`request` is not a digest.", hint="Leave it out.") from None
    return given.get("attempt"), digest


def pending() -> HttpResponse:
    """The state of a mutation that nothing is known of yet."""
    headers = _HEADERS | {"retry-after": RETRY_AFTER_SECONDS}
    return HttpResponse(202, headers, orjson.dumps({"status": "pending"}))


def done(status: int, body: bytes, *, refused: bool, replayed: bool = False) -> HttpResponse:
    """The state of a mutation that was answered, with its response.

    `refused`: it did not get as far as GraphQL. `replayed`: it was executed by an earlier attempt.
    """
    state = {"status": "done", "httpStatus": status, "refused": refused, "response": orjson.Fragment(body)}
    headers = _HEADERS | ({REPLAYED_HEADER: "true"} if replayed else {})
    return HttpResponse(200, headers, orjson.dumps(state))


def key_of(path: str) -> str:
    """The key in the path of a state. Raises `NotFound`, `MalformedRequest`."""
    key = unquote(path.removeprefix(PREFIX))
    if not key:
        raise NotFound("The path names no write.", hint=f"Ask for {PREFIX}<key>.")
    if not key.isascii() or not key.isprintable() or len(key) > LONGEST_KEY:
        raise MalformedRequest(
            "The key in the path is not the key of a write.", hint="Use the Location of the 202 response."
        )
    return key
