"""Automatic persisted queries: documents that a process keeps by their SHA-256.

The protocol is Apollo's: https://www.apollographql.com/docs/apollo-server/performance/apq

    {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "…"}}}

A client sends the hash of a document in its place. A process that does not have the document answers
`PERSISTED_QUERY_NOT_FOUND`, and the client sends the document with its hash; from then on the hash is enough.
Each process has its own documents, which are texts: they are validated against the schema of every request.

Nothing here needs a schema or a database, so that the proxy can load it quickly.
"""

import hashlib
import re
import sys
from collections.abc import Mapping
from typing import Any, Final, Self

from lamdb.errors import MalformedRequest, PersistedQueryNotFound
from lamdb.graphql.request import GraphQLRequest
from lamdb.lru import LruCache
from lamdb.memory import Shares
from lamdb.settings import Settings

MEMBER: Final = "persistedQuery"

_VERSION: Final = 1
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_ENTRY_BYTES: Final = 320
"""Memory of an entry besides its document: 224 to 267 bytes were measured."""

_MUTATION: Final = "mutation"


class PersistedQueries:
    """The documents of one process. Safe to use from several threads."""

    def __init__(self, entries: int, size: int, *, queries_only: bool = False) -> None:
        """`entries` and `size`: the documents that are kept at most, and the bytes of memory that they take.

        `queries_only`: keep no document with the word `mutation`.
        """
        self._texts: LruCache[str, str] = LruCache(entries, size)
        self._most = size
        self._queries_only = queries_only

    @classmethod
    def of(cls, settings: Settings, *, queries_only: bool = False) -> Self | None:
        """None where they are turned off."""
        if not settings.persisted_queries:
            return None
        size = Shares.of(settings.memory).persisted_query_bytes
        return cls(settings.persisted_queries, size, queries_only=queries_only)

    def __len__(self) -> int:
        return len(self._texts)

    def find(self, extensions: Mapping[str, Any]) -> str | None:
        """The document that a request names; None if it is not kept, or if the name is not one."""
        named = extensions[MEMBER]
        if type(named) is not dict or named.get("version") != _VERSION:
            return None
        given = named.get("sha256Hash")
        return self._texts.get(given) if type(given) is str else None

    def document(self, extensions: Mapping[str, Any]) -> str:
        """The document that a request names. Raises `PersistedQueryNotFound`, `MalformedRequest`."""
        document = self._texts.get(_named(extensions))
        if document is None:
            raise PersistedQueryNotFound("PersistedQueryNotFound")
        return document

    def check(self, extensions: Mapping[str, Any], document: str) -> None:
        """Raises `MalformedRequest` if a request names another document than it has."""
        if self.find(extensions) == document:
            return
        given, actual = _named(extensions), _hash_of(document)
        if given != actual:
            raise MalformedRequest(
                f"`sha256Hash` in `extensions.persistedQuery` is {given}, but the SHA-256 of `query` is "
                f"{actual}.",
                hint="Hash the UTF-8 bytes of `query` exactly as they are sent.",
            )

    def keep(self, request: GraphQLRequest) -> None:
        """Keeps the document of a request that was checked and is valid, if the request names it."""
        if request.extensions is None or request.extensions.get(MEMBER) is None:
            return
        document = request.query
        if self._queries_only and _MUTATION in document:
            return
        size = sys.getsizeof(document) + _ENTRY_BYTES
        if size <= self._most and self.find(request.extensions) is None:
            self._texts.put(_named(request.extensions), document, size)


def _named(extensions: Mapping[str, Any]) -> str:
    """The hash in a request. Raises `MalformedRequest`."""
    named = extensions[MEMBER]
    if not isinstance(named, dict):
        raise MalformedRequest("`extensions.persistedQuery` must be an object.")
    if named.get("version") != _VERSION:
        raise MalformedRequest(
            f"`extensions.persistedQuery` has version {named.get('version')!r}, which is not supported.",
            hint='Send {"version": 1, "sha256Hash": "…"}.',
        )
    given = named.get("sha256Hash")
    if not isinstance(given, str) or not _HASH.fullmatch(given):
        raise MalformedRequest(
            "`sha256Hash` in `extensions.persistedQuery` is not a SHA-256 in lower-case hexadecimal digits.",
            hint="Documents have no other names here.",
        )
    return given


def _hash_of(document: str) -> str:
    # Half of a surrogate pair is refused later, with a better message.
    return hashlib.sha256(document.encode("utf-8", "surrogatepass")).hexdigest()
