"""RSGI's types: a request, its body and the way to its client (docs/spec/RSGI.md in granian's repository)."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

from lamdb.errors import BodyTooLarge


class Scope(Protocol):
    """The properties of a request in RSGI."""

    proto: str
    method: str
    path: str
    query_string: str
    headers: Any
    client: str


class Wire(Protocol):
    """RSGI's way to the client."""

    async def __call__(self) -> bytes: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def client_disconnect(self) -> Awaitable[None]: ...
    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None: ...
    def response_begin(self, status: int, headers: list[tuple[str, str]]) -> None: ...
    async def response_piece(self, piece: bytes) -> None: ...
    def response_end(self) -> None: ...


class ClientGone(Exception):
    """The client closed the connection before its request was complete, or answered."""


async def limited(wire: Wire, limit: int) -> bytes:
    """Returns the body of a request that does not say how long it is. Raises `BodyTooLarge`."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in wire:
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"The body has more than {limit} bytes.")
        chunks.append(chunk)
    return b"".join(chunks)
