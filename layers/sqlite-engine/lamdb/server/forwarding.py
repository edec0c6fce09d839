"""Requests that a worker passes on to the writer process, over its Unix socket, as HTTP/1.1.

The response is passed on as it comes: one without a length piece by piece. If the client goes away, the
connection to the writer is closed, which gives the request up there too.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol
from urllib.parse import quote

import httptools

from lamdb.errors import CommitUnknown, Overloaded
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.server.cursors import Open, StreamedResponse

CLIENT_HEADER: Final = "x-lamdb-worker-client"
"""The address of the client, on the way to the writer. Clients cannot set it: a worker replaces it."""

_IDLE_SECONDS: Final = 20.0
"""After which a connection is not used again. The writer closes it later than that."""
_IDLE_CONNECTIONS: Final = 64
_CONNECT_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
_PIECE: Final = 64 * 1024
_HOP_BY_HOP: Final = frozenset({"connection", "transfer-encoding", "content-length", "date", "keep-alive"})
_NOT_SENT: Final = _HOP_BY_HOP | {"expect", "upgrade", "te", "trailer"}


class _Response:
    """Collects what httptools finds in a response."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.has_head = False
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.has_head = True

    def on_body(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def on_message_complete(self) -> None:
        self.complete = True


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.used = time.monotonic()

    @property
    def is_usable(self) -> bool:
        fresh = time.monotonic() - self.used < _IDLE_SECONDS
        return fresh and not self.reader.at_eof() and not self.writer.is_closing()

    def close(self) -> None:
        self.writer.close()


class Disconnected(Protocol):
    def client_disconnect(self) -> Awaitable[None]: ...


class Forwarder:
    """The way to the writer. Made inside the event loop."""

    def __init__(self, path: str, most: int, is_serving: Callable[[], bool]) -> None:
        """`path`: of the socket. `most`: requests that may be under way; more are refused. `is_serving`:
        false while the writer is replaced; requests wait for it."""
        self._path = path
        self._is_serving = is_serving
        self._most = most
        self._under_way = 0
        self._idle: deque[_Connection] = deque()

    async def forward(
        self, request: HttpRequest, client: str, request_id: str, open_body: Open
    ) -> HttpResponse:
        """Returns the writer's response; a `StreamedResponse` if its body was passed on already.

        Raises `Overloaded`, and `CommitUnknown` if the writer ended meanwhile.
        """
        if self._under_way >= self._most:
            raise Overloaded("Too many requests wait for the writer.")
        self._under_way += 1
        try:
            connection = await self._connect()
            try:
                connection.writer.write(_encoded(request, client, request_id))
                return await self._receive(connection, request.method == "HEAD", open_body)
            except (OSError, httptools.HttpParserError) as error:
                raise CommitUnknown("The writer process ended while it executed the request.") from error
            finally:
                self._release(connection)
        finally:
            self._under_way -= 1

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _connect(self) -> _Connection:
        await self._wait_for_writer()
        while self._idle:
            connection = self._idle.pop()
            if connection.is_usable:
                connection.used = 0.0
                return connection
            connection.close()
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                reader, writer = await asyncio.open_unix_connection(self._path)
        except (OSError, TimeoutError) as error:
            raise Overloaded("The writer process cannot be reached.") from error
        connection = _Connection(reader, writer)
        connection.used = 0.0
        return connection

    async def _wait_for_writer(self) -> None:
        """Raises `Overloaded`."""
        deadline = time.monotonic() + _CONNECT_SECONDS
        while not self._is_serving():
            if time.monotonic() > deadline:
                raise Overloaded("The writer process does not start.")
            await asyncio.sleep(_POLL_SECONDS)

    def _release(self, connection: _Connection) -> None:
        if connection.used and len(self._idle) < _IDLE_CONNECTIONS:
            self._idle.append(connection)
        else:
            connection.close()

    async def _receive(self, connection: _Connection, is_head: bool, open_body: Open) -> HttpResponse:
        found = _Response()
        parser: Any = httptools.HttpResponseParser(found)
        while not found.has_head:
            parser.feed_data(await _more(connection))
        status: int = parser.get_status_code()
        keeps = found.headers.get("connection") != "close"
        headers = {name: value for name, value in found.headers.items() if name not in _HOP_BY_HOP}
        if "transfer-encoding" in found.headers:
            way = open_body(headers)
            try:
                while True:
                    pieces, found.pieces = found.pieces, []
                    for piece in pieces:
                        await way.response_piece(piece)
                    if found.complete:
                        break
                    parser.feed_data(await _more(connection))
            except (OSError, RuntimeError, httptools.HttpParserError):
                # The writer or the client has gone. The body is not ended, so that its connection is closed.
                return StreamedResponse(status, code=CommitUnknown.code, failed=True)
            way.response_end()
            response: HttpResponse = StreamedResponse(status)
        else:
            while not found.complete and not is_head:
                parser.feed_data(await _more(connection))
            response = HttpResponse(status, headers, b"".join(found.pieces))
        if keeps and not is_head:
            connection.used = time.monotonic()
        return response


async def _more(connection: _Connection) -> bytes:
    piece = await connection.reader.read(_PIECE)
    if not piece:
        raise ConnectionResetError
    return piece


def _encoded(request: HttpRequest, client: str, request_id: str) -> bytes:
    path = quote(request.path)
    target = f"{path}?{request.query}" if request.query else path
    headers = {name: value for name, value in request.headers.items() if name not in _NOT_SENT}
    headers |= {CLIENT_HEADER: client, "x-request-id": request_id, "content-length": str(len(request.body))}
    headers.setdefault("host", "")
    lines = [f"{request.method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + request.body


async def unless_gone[T](wire: Disconnected, work: asyncio.Task[T]) -> T | None:
    """The result of `work`, which is cancelled if the client goes away; then None."""
    gone = asyncio.ensure_future(wire.client_disconnect())
    try:
        await asyncio.wait([gone, work], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work
        return None
    finally:
        gone.cancel()
        if not work.done():
            work.cancel()
