"""Mutations whose clients do not wait: what asks for them, and how their state is asked for and told.

A mutation with `Prefer: respond-async` (RFC 7240) is answered with 202 and the path of its state,
`/writes/<key>`. Nothing here knows a database, so that a proxy can load it quickly; `outcomes` does.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, unquote

import orjson

from lamdb.errors import MalformedRequest, NotFound
from lamdb.graphql.transport.wire import JSON, RETRY_AFTER_SECONDS, HttpResponse, with_charset

PREFIX: Final = "/writes/"
PREFER: Final = "prefer"

_ASYNC: Final = re.compile(r'(?:^|,)\s*respond-async\s*(?:=\s*(?:""|"?true"?))?\s*(?:;|,|$)', re.IGNORECASE)
_LONGEST: Final = 255
_HEADERS: Final = {"content-type": with_charset(JSON), "cache-control": "no-store"}


def prefers_async(headers: Mapping[str, str]) -> bool:
    """Whether a request has `Prefer: respond-async`."""
    preferred = headers.get(PREFER)
    return preferred is not None and _ASYNC.search(preferred) is not None


def accepted(key: str, *, prefix: str = "", query: str = "") -> HttpResponse:
    """The answer to a mutation that is executed later. `prefix` stands before lamDB's paths in the URL."""
    place = f"{prefix}{PREFIX}{quote(key, safe='')}" + (f"?{query}" if query else "")
    headers = {"location": place, "preference-applied": "respond-async", "retry-after": RETRY_AFTER_SECONDS}
    return HttpResponse(202, _HEADERS | headers, orjson.dumps({"status": "pending", "location": place}))


def pending() -> HttpResponse:
    """The state of a mutation that nothing is known of yet."""
    headers = _HEADERS | {"retry-after": RETRY_AFTER_SECONDS}
    return HttpResponse(202, headers, orjson.dumps({"status": "pending"}))


def done(status: int, body: bytes, *, refused: bool) -> HttpResponse:
    """The state of a mutation that was answered, with its response.

    `refused`: it did not get as far as GraphQL.
    """
    state = {"status": "done", "httpStatus": status, "refused": refused, "response": orjson.Fragment(body)}
    return HttpResponse(200, dict(_HEADERS), orjson.dumps(state))


def key_of(path: str) -> str:
    """The key in the path of a state. Raises `NotFound`, `MalformedRequest`."""
    key = unquote(path.removeprefix(PREFIX))
    if not key:
        raise NotFound("The path names no write.", hint=f"Ask for {PREFIX}<key>.")
    if not key.isascii() or not key.isprintable() or len(key) > _LONGEST:
        raise MalformedRequest(
            "The key in the path cannot be one of a write.", hint="Ask for the Location that the 202 named."
        )
    return key
