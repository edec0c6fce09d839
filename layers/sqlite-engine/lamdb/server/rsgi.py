"""RSGI's types: a request and the way to its client (docs/spec/RSGI.md in granian's repository)."""

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol


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
