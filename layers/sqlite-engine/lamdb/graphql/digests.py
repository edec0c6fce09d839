"""Digests of idempotency keys and requests. Imports neither database nor schema."""

import hashlib
from typing import Any, Final

import orjson

from lamdb.graphql.request import GraphQLRequest
from lamdb.rules.caller import Caller

_BYTES: Final = 16


def digest(content: bytes) -> bytes:
    """Returns what stands for a key, or for anything else that is only compared."""
    return hashlib.blake2b(content, digest_size=_BYTES).digest()


def digest_of(request: GraphQLRequest) -> bytes:
    """Returns what stands for a request: its document, operation name, variables in any order, and caller."""
    said: list[Any] = [request.query, request.operation_name, request.variables or {}]
    return digest(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)) + digest_of_caller(request.caller)


def digest_of_caller(caller: Caller | None) -> bytes:
    """Returns what stands for a caller at the end of digests; nothing for one without identity."""
    return b"" if caller is None or caller.claims is None else bytes.fromhex(caller.digest)


def is_of_caller(kept: bytes, caller: Caller | None) -> bool:
    """True if a request with this digest is the caller's own, or the caller is a trusted one (None)."""
    return caller is None or kept[_BYTES:] == digest_of_caller(caller)
