"""One HTTP request and its response, in the shape that the application is called with.

The shape is RSGI's (docs/spec/RSGI.md in granian's repository): the head is the scope, and the exchange
itself is the way to the client.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Protocol

_REASONS: Final = {int(status): status.phrase for status in HTTPStatus}
_WITHOUT_BODY: Final = frozenset({204, 304})
_BUFFERED_BODY: Final = 256 * 1024
"""Bytes of a body that are taken from the connection before the application asks for it."""


@dataclass(slots=True)
class Head:
    """The head of a request; names in `headers` are in lower case, of repeated ones the last counts.

    - `length`: bytes of the body; None if it comes in chunks.
    - `quick`: the application's notes on heads like this one.
    """

    method: str
    path: str
    query_string: str
    headers: dict[str, str]
    length: int | None
    keep_alive: bool
    is_old: bool = False
    """True for HTTP/1.0."""
    quick: Any = None


class ExchangeConnection(Protocol):
    """The connection of an exchange."""

    def send(self, exchange: "Exchange", pieces: list[bytes], *, close: bool) -> None: ...
    async def send_part(self, pieces: list[bytes]) -> None: ...
    def send_continue(self) -> None: ...
    def run(self, exchange: "Exchange") -> None: ...
    def want_more(self) -> None: ...
    def want_less(self) -> None: ...
    async def lost(self) -> None: ...
    @property
    def date(self) -> str: ...
    @property
    def is_stopping(self) -> bool: ...


class Exchange:
    """A request whose body may still be coming, and the response to it.

    As RSGI's protocol: `await exchange()` is the whole body, `async for` its pieces. Both raise
    `RuntimeError` if the client goes away before it is complete.
    """

    __slots__ = (
        "_all",
        "_begun",
        "_chunked",
        "_closes",
        "_continue",
        "_failed",
        "_size",
        "_waiter",
        "_way",
        "chunks",
        "client",
        "complete",
        "head",
        "on_lost",
        "responded",
    )

    def __init__(self, way: ExchangeConnection, head: Head, client: str) -> None:
        self._way = way
        self.head = head
        self.client = client
        self.chunks: deque[bytes] = deque()
        self.complete = False
        self.responded = False
        self.on_lost: Callable[[], None] | None = None
        """Called if the connection is lost while the request is answered without a task."""
        self._size = 0
        self._all = False
        self._failed = False
        self._begun = b""
        self._closes = False
        self._chunked = False
        self._waiter: asyncio.Future[None] | None = None
        self._continue = "expect" in head.headers and head.headers["expect"].lower() == "100-continue"

    # The scope

    @property
    def proto(self) -> str:
        return "http"

    @property
    def method(self) -> str:
        return self.head.method

    @property
    def path(self) -> str:
        return self.head.path

    @property
    def query_string(self) -> str:
        return self.head.query_string

    @property
    def headers(self) -> dict[str, str]:
        return self.head.headers

    # The body

    def feed(self, chunk: bytes) -> None:
        """Takes a piece of the body from the connection."""
        self.chunks.append(chunk)
        self._size += len(chunk)
        if not self._all:
            if self._size > _BUFFERED_BODY:
                self._way.want_less()
            self._wake()

    def finish(self) -> None:
        """Notes that the body is complete."""
        self.complete = True
        self._wake()

    def fail(self) -> None:
        """Notes that the rest of the body will not come."""
        self._failed = True
        self._wake()

    async def __call__(self) -> bytes:
        self._all = True
        while not self.complete:
            await self._more()
        if len(self.chunks) == 1:
            return self.chunks[0]
        return b"".join(self.chunks)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            while self.chunks:
                chunk = self.chunks.popleft()
                self._size -= len(chunk)
                yield chunk
            if self.complete:
                return
            await self._more()

    async def client_disconnect(self) -> None:
        """Returns once the client has closed the connection."""
        await self._way.lost()

    async def _more(self) -> None:
        if self._failed:
            raise RuntimeError("the connection was closed")
        if self._continue:
            self._continue = False
            if not self._size:
                self._way.send_continue()
        self._waiter = asyncio.get_running_loop().create_future()
        self._way.want_more()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def run(self) -> None:
        """Has the request answered by a task of the application."""
        self._way.run(self)

    # The response

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        """Sends the response; nothing if there was one."""
        if self.responded:
            return
        head = self.head
        content = "" if status in _WITHOUT_BODY else f"content-length: {len(body)}"
        pieces = [self._head_of_response(status, headers, content)]
        if body and status not in _WITHOUT_BODY and head.method != "HEAD":
            pieces.append(body)
        self.responded = True
        self._way.send(self, pieces, close=self._closes)

    def response_begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        """Begins a response whose length is not known. If it is not ended, the connection is closed."""
        self._chunked = not self.head.is_old
        content = "transfer-encoding: chunked" if self._chunked else ""
        self._begun = self._head_of_response(status, headers, content)

    async def response_piece(self, piece: bytes) -> None:
        """Sends a piece of the body, and returns once there is room for more.

        Raises `RuntimeError` if the connection is closed.
        """
        pieces = [self._begun] if self._begun else []
        self._begun = b""
        if self._chunked and piece:
            pieces += [b"%x\r\n" % len(piece), piece, b"\r\n"]
        elif piece:
            pieces.append(piece)
        await self._way.send_part(pieces)

    def response_end(self) -> None:
        """Ends a response that was begun."""
        if not self.responded:
            self.responded = True
            last = [b"0\r\n\r\n"] if self._chunked else []
            # The head may have been sent long before the server began to stop.
            self._way.send(self, [self._begun, *last], close=self._closes or self._way.is_stopping)

    def _head_of_response(self, status: int, headers: list[tuple[str, str]], content: str) -> bytes:
        head = self.head
        close = not head.keep_alive or not self.complete or self._way.is_stopping
        close = close or (not content and status not in _WITHOUT_BODY)
        lines = [f"HTTP/1.1 {status} {_REASONS.get(status, '')}"]
        for name, value in headers:
            if name != "connection":
                lines.append(f"{name}: {_one_line(value)}")
            elif value == "close":
                close = True
        if close:
            lines.append("connection: close")
        elif head.is_old:
            lines.append("connection: keep-alive")
        if content:
            lines.append(content)
        lines.append(f"date: {self._way.date}\r\n\r\n")
        self._closes = close
        return "\r\n".join(lines).encode("latin-1")


def _one_line(value: str) -> str:
    """Raises `ValueError` for a value that would end its header."""
    if "\n" in value or "\r" in value:
        raise ValueError("a response header contains a line break")
    return value
