"""Requests of SQL over HTTP: their kind, their statements, and the key under which they happen once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from lamdb.errors import MalformedRequest
from lamdb.graphql.digests import digest
from lamdb.graphql.idempotency import ATTEMPT_SECONDS, KeyOrigin, Once
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import attempts_key, idempotency_key
from lamdb.hrana.protocol.requests import ParsedPipeline, read_batch, read_pipeline
from lamdb.hrana.transaction.session import StreamSession

_PATH: Final = re.compile(r"(?:/[^?]*)?/(v[123])/?(pipeline|cursor|execute|batch)?")
_KINDS: Final = {
    ("v1", "execute"): "execute",
    ("v1", "batch"): "batch",
    ("v2", "pipeline"): "pipeline",
    ("v3", "pipeline"): "pipeline",
    ("v3", "cursor"): "cursor",
}


@dataclass(slots=True)
class SqlOperation:
    """A request that can be executed: what is asked, on which stream."""

    kind: str
    session: StreamSession
    plan: ParsedPipeline
    headers: Mapping[str, str]
    once: Once | None
    is_new: bool
    writes: bool
    """Whether it looks as if it wrote; else it may turn out to."""
    kept: bytes | None = None
    """The results, if it was executed before."""


def kind_of(path: str) -> str | None:
    """Returns the kind of request that is sent to a path, `version` for a probe; None for all other paths."""
    found = _PATH.fullmatch(path)
    if found is None:
        return None
    if found[2] is None:
        return "version" if found[1] != "v1" else None
    return _KINDS.get((found[1], found[2]))


def once_of(
    headers: Mapping[str, str], body: dict[str, Any], principal: str, options: HttpOptions
) -> Once | None:
    """Returns what makes a request happen once, if it has a key. Raises `MalformedRequest`."""
    seconds, keys = options.idempotency_seconds, KeyOrigin.CLIENT
    key = idempotency_key(headers)
    if key is None:
        seconds, keys, key = ATTEMPT_SECONDS, KeyOrigin.PROXY, attempts_key(headers)
    if key is None:
        return None
    named = digest(f"sql {principal} {key}".encode())
    return Once(named, digest_of(body), seconds, keys, options.room)


def digest_of(body: dict[str, Any]) -> bytes:
    """Returns what tells a request apart from others, on whatever stream it is sent."""
    asked = {name: content for name, content in body.items() if name != "baton"}
    return digest(orjson.dumps(asked, option=orjson.OPT_SORT_KEYS))


def body_of(body: bytes) -> dict[str, Any]:
    """Raises `MalformedRequest`. Clients also send JSON as text/plain, so the media type is ignored."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest(f"The body is not JSON: {error}", hint="") from None
    if not isinstance(value, dict):
        raise MalformedRequest("The body is JSON, but not an object.", hint="")
    return value


def plan_of(kind: str, body: dict[str, Any], stored: dict[int, str]) -> ParsedPipeline:
    match kind:
        case "pipeline":
            return read_pipeline(body.get("requests"), stored)
        case "execute":
            return read_pipeline([{"type": "execute", "stmt": body.get("stmt")}], stored)
    return read_batch(body.get("batch"), stored)
