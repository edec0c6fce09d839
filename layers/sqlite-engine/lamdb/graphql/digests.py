"""Digests of idempotency keys and requests. Imports neither database nor schema."""

import hashlib
from typing import Any, Final

import orjson

from lamdb.graphql.request import GraphQLRequest

_BYTES: Final = 16


def digest(content: bytes) -> bytes:
    """Returns what stands for a key, or for anything else that is only compared."""
    return hashlib.blake2b(content, digest_size=_BYTES).digest()


def digest_of(request: GraphQLRequest) -> bytes:
    """Returns what stands for a request: its document, operation name, variables in any order, and user."""
    said: list[Any] = [request.query, request.operation_name, request.variables or {}]
    if request.caller is not None and request.caller.claims is not None:
        said.append(request.caller.digest)
    return digest(orjson.dumps(said, option=orjson.OPT_SORT_KEYS))
