"""HTTP/1.1: connections on asyncio's transports, parsed by httptools (llhttp, the parser of Node.js).

Everything happens in the event loop's thread. A request that arrives in one piece and can be answered at once
is answered inside `data_received`: no task, no second look at its head if the same bytes came before. All
others become a task that runs the application.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, cast
from urllib.parse import unquote

import httptools

from lamdb.errors import MalformedRequest
from lamdb.graphql.transport.wire import refusal
from lamdb.server.exchange import Exchange, Head

HEAD_BYTES: Final = 64 * 1024
MAX_HEADERS: Final = 100
_KNOWN_HEADS: Final = 256
_KNOWN_HEAD_BYTES: Final = 2048
_OVERHEAD: Final = 16
"""Bytes that a chunked body may take on the wire for each of its own, besides the first 64 KiB."""
_WAITING_REQUESTS: Final = 64
"""Requests of one connection that wait for the response before theirs until no more is read."""
_END: Final = b"\r\n\r\n"


class HttpApplication(Protocol):
    """The application: `at_once` gives a whole response, its head included, in pieces, or None.

    `begin` takes a request that it answers later, without a task.
    """

    async def __rsgi__(self, scope: Any, wire: Any) -> None: ...
    def at_once(self, head: Head, body: bytes, date: str) -> list[bytes] | None: ...
    def begin(self, exchange: Exchange, body: bytes) -> bool: ...


class HttpService(Protocol):
    """The state that connections share (see `listener`)."""

    app: HttpApplication
    heads: "KnownHeads"
    date: str
    tick: int
    is_stopping: bool

    def opened(self, connection: "HttpConnection") -> None: ...
    def closed(self, connection: "HttpConnection") -> None: ...
    def run(self, exchange: Exchange, done: Callable[[], None]) -> None: ...


class KnownHeads:
    """Heads by their bytes. A client sends the same head again and again."""

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}
        self.get = self._heads.get

    def add(self, raw: bytes, head: Head) -> None:
        if len(raw) <= _KNOWN_HEAD_BYTES:
            if len(self._heads) >= _KNOWN_HEADS:
                self._heads.clear()
            self._heads[raw] = head


class _Refused(Exception):
    """The head is refused with this status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


class HttpConnection(asyncio.Protocol):
    """One client. Requests are answered in their order.

    `tick` is the service's when the present state began: waiting for a head, or lingering.
    """

    __slots__ = (
        "_blocked",
        "_body_size",
        "_client",
        "_current",
        "_drained",
        "_fields",
        "_fresh",
        "_gone",
        "_incoming",
        "_lingering",
        "_lost",
        "_parser",
        "_paused",
        "_refusal",
        "_rest",
        "_seen",
        "_service",
        "_started",
        "_target",
        "_transport",
        "_unwritten",
        "_waiting",
        "tick",
    )

    def __init__(self, service: HttpService) -> None:
        self._service = service
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._client = ""
        self._fresh = True
        """No byte of the next request has been parsed."""
        self._current: Exchange | None = None
        """Being answered by the application."""
        self._incoming: Exchange | None = None
        """Its body is being received."""
        self._waiting: deque[Exchange] = deque()
        self._started: list[Exchange] = []
        self._fields: list[tuple[str, str]] = []
        self._target = b""
        self._seen = 0
        self._body_size = 0
        self._rest = -1
        """Bytes of a body that the parser leaves to us, after a head with `Upgrade`."""
        self._refusal: _Refused | None = None
        """The answer to bytes that are no request; sent once the requests before them are answered."""
        self._lingering = False
        self._gone = False
        self._blocked = False
        self._paused = False
        self._unwritten = 0
        self._lost: asyncio.Event | None = None
        self._drained: asyncio.Future[None] | None = None
        self.tick = 0

    # The transport's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        host, port = (transport.get_extra_info("peername") or ("", 0))[:2]
        self._client = f"{host}:{port}"
        self.tick = self._service.tick
        self._service.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering or self._refusal is not None:
            return
        if self._fresh and self._current is None and not self._waiting and not self._blocked:
            end = data.find(_END) + 4
            if end > 3:
                raw = data[:end]
                head = self._service.heads.get(raw)
                if head is not None and len(data) - end == head.length:
                    self._whole(head, data[end:])
                    return
                self._receive(data)
                if len(self._started) == 1 and self._fresh:
                    first = self._started[0]
                    if first.head.length == len(data) - end and "expect" not in first.head.headers:
                        self._service.heads.add(raw, first.head)
                self._dispatch_started()
                return
        self._receive(data)
        self._dispatch_started()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._gone = True
        self._wake_sender()
        if self._lost is not None:
            self._lost.set()
        if self._incoming is not None:
            self._incoming.fail()
        if self._current is not None and self._current.on_lost is not None:
            self._current.on_lost()
        self._waiting.clear()
        self._service.closed(self)

    def pause_writing(self) -> None:
        self._blocked = True
        self._unwritten = self._transport.get_write_buffer_size()
        self.tick = self._service.tick
        self._flow()

    def resume_writing(self) -> None:
        self._blocked = False
        self._wake_sender()
        self._dispatch()
        self._flow()

    # The service's side

    @property
    def is_idle(self) -> bool:
        """True if no request is being answered, and none has been received further than its head."""
        return self._current is None and self._incoming is None and not self._waiting and not self._blocked

    def expire(self, age: int, *, idle: int, linger: int, stuck: int) -> None:
        """Closes the connection if it has been in its present state for too long. All are ticks."""
        if self._lingering:
            if age > linger:
                self._transport.abort()
        elif self._blocked:
            size = self._transport.get_write_buffer_size()
            if size < self._unwritten:
                self._unwritten, self.tick = size, self._service.tick
            elif age > stuck:
                self._transport.abort()
        elif age > idle and self.is_idle:
            self._transport.close()

    def stop(self) -> None:
        """Closes the connection as soon as no request is being answered."""
        if self.is_idle and not self._lingering:
            self._transport.close()

    # Parsing

    def _receive(self, data: bytes) -> None:
        self._seen += len(data)
        try:
            if self._rest >= 0:
                self._receive_rest(data)
            else:
                self._parser.feed_data(data)
            self._check_size()
        except httptools.HttpParserUpgrade as upgrade:
            self._receive_rest(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            if not isinstance(error.__context__, _Refused):
                raise
            self._refuse(error.__context__)
        except httptools.HttpParserError as error:
            self._refuse(_Refused(400, f"The request is not HTTP/1.1: {error}."))
        except _Refused as refused:
            self._refuse(refused)

    def _check_size(self) -> None:
        if self._incoming is None:
            if not self._fresh and self._seen > HEAD_BYTES:
                raise _too_large()
        elif self._seen > 2 * HEAD_BYTES + _OVERHEAD * self._body_size:
            raise _Refused(400, "The request's chunks are too small.")

    def on_message_begin(self) -> None:
        self._fresh = False
        self._fields = []
        self._target = b""
        self._body_size = 0
        self.tick = self._service.tick

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._incoming is not None:
            return  # a trailer
        self._fields.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        if len(self._fields) > MAX_HEADERS:
            raise _too_large()

    def on_headers_complete(self) -> None:
        size = len(self._target) + sum(len(name) + len(value) for name, value in self._fields)
        if size > HEAD_BYTES:
            raise _too_large()
        parser = self._parser
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise _Refused(400, f"The request is HTTP {version}; this server supports HTTP/1.1.")
        headers = _combined(self._fields)
        hosts = sum(name == "host" for name, _ in self._fields)
        if hosts > 1:
            raise _Refused(400, "The request has more than one Host header.")
        if not hosts and version == "1.1":  # RFC 9112, section 3.2
            raise _Refused(400, "The request has no Host header.")
        path, query = _path_and_query(self._target)
        upgrades = parser.should_upgrade()
        chunked = "transfer-encoding" in headers
        if upgrades and chunked:
            raise _Refused(400, "The request asks to switch to another protocol.")
        head = Head(
            parser.get_method().decode(),
            path,
            query,
            headers,
            None if chunked else int(headers.get("content-length", 0)),
            parser.should_keep_alive() and not upgrades,
            version == "1.0",
        )
        self._incoming = Exchange(self, head, self._client)
        self._started.append(self._incoming)
        if upgrades:
            self._rest = head.length or 0

    def on_body(self, body: bytes) -> None:
        assert self._incoming is not None
        self._body_size += len(body)
        self._incoming.feed(body)

    def on_message_complete(self) -> None:
        if self._rest < 0:
            self._complete()

    def _receive_rest(self, data: bytes) -> None:
        """Takes the body of a request with `Upgrade`, which is answered as if it had none."""
        body = data[: self._rest]
        self._rest -= len(body)
        if self._incoming is not None:
            if body:
                self.on_body(body)
            if not self._rest:
                self._complete()

    def _complete(self) -> None:
        assert self._incoming is not None
        self._incoming.finish()
        self._incoming = None
        self._fresh = True
        self._seen = 0

    # Answering

    def _whole(self, head: Head, body: bytes) -> None:
        """Answers a request that came in one piece."""
        service = self._service
        if head.keep_alive and not service.is_stopping:
            pieces = service.app.at_once(head, body, service.date)
            if pieces is not None:
                self.tick = service.tick
                self._write(pieces)
                return
        exchange = Exchange(self, head, self._client)
        if body:
            exchange.chunks.append(body)
        exchange.complete = True
        self._current = exchange
        if not service.app.begin(exchange, body):
            self.run(exchange)

    def _dispatch_started(self) -> None:
        if self._started:
            self._waiting.extend(self._started)
            self._started.clear()
            self._dispatch()
            self._flow()

    def _dispatch(self) -> None:
        """Answers what waits, one request at a time."""
        while self._waiting and self._current is None and not self._blocked and not self._gone:
            exchange = self._waiting.popleft()
            if exchange.complete and exchange.head.length is not None:
                self._whole(exchange.head, b"".join(exchange.chunks))
            else:
                self.run(exchange)
        self._send_refusal()

    def run(self, exchange: Exchange) -> None:
        """Answers a request in a task."""
        self._current = exchange
        self._service.run(exchange, lambda: self._done(exchange))

    def _done(self, exchange: Exchange) -> None:
        """The application has returned."""
        if not exchange.responded and not self._gone:
            self._gone = True
            self._transport.abort()

    def send(self, exchange: Exchange, pieces: list[bytes], *, close: bool) -> None:
        """Sends the response of the current exchange."""
        if self._gone:
            return
        self._current = None
        self.tick = self._service.tick
        self._write(pieces)
        if not close:
            if self._waiting or self._refusal is not None:
                asyncio.get_running_loop().call_soon(self._dispatch)
            self._flow()
        elif exchange.complete:
            self._waiting.clear()
            self._transport.close()
        else:
            self._linger()

    async def send_part(self, pieces: list[bytes]) -> None:
        """Sends a part of the current response, and returns once the client has taken most of what was sent.

        Raises `RuntimeError` if it is gone.
        """
        if not self._gone:
            self.tick = self._service.tick
            self._write(pieces)
        while self._blocked and not self._gone:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained
        if self._gone:
            raise RuntimeError("the connection was closed")

    def _wake_sender(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _write(self, pieces: list[bytes]) -> None:
        if len(pieces) == 1:
            self._transport.write(pieces[0])
        else:
            self._transport.writelines(pieces)

    def _refuse(self, refused: _Refused) -> None:
        """Ends the reading of a connection whose client does not send HTTP."""
        self._refusal = refused
        incoming, self._incoming = self._incoming, None
        if incoming is not None:
            # Its body is broken: the application is told, or never sees the request.
            incoming.fail()
            if self._started and self._started[-1] is incoming:
                self._started.pop()
            elif self._waiting and self._waiting[-1] is incoming:
                self._waiting.pop()
            elif self._current is incoming:
                self._current = None
                incoming.responded = True
        self._send_refusal()

    def _send_refusal(self) -> None:
        """Sends the response to what is no request, if it is its turn."""
        if self._refusal is None or self._current is not None or self._waiting or self._started:
            return
        response = refusal(MalformedRequest(self._refusal.message))
        response.headers["connection"] = "close"
        exchange = Exchange(self, Head("GET", "", "", {}, None, keep_alive=False), self._client)
        exchange.response_bytes(self._refusal.status, list(response.headers.items()), response.body)

    def _linger(self) -> None:
        """Closes the connection so that the client, which still sends, can read the response."""
        self._lingering = True
        self._incoming = None
        self._waiting.clear()
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def send_continue(self) -> None:
        if not self._gone:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def lost(self) -> None:
        """Returns once the connection is lost."""
        if self._lost is None:
            self._lost = asyncio.Event()
            if self._gone:
                self._lost.set()
        await self._lost.wait()

    @property
    def date(self) -> str:
        return self._service.date

    @property
    def is_stopping(self) -> bool:
        return self._service.is_stopping

    # Flow control

    def want_more(self) -> None:
        """The application waits for the body."""
        if self._paused and not self._blocked:
            self._paused = False
            self._transport.resume_reading()

    def want_less(self) -> None:
        """The application does not take the body yet."""
        if not self._paused and not self._gone:
            self._paused = True
            self._transport.pause_reading()

    def _flow(self) -> None:
        """Stops reading while too many requests wait, or the client does not take its answers."""
        if self._gone or self._lingering:
            return
        if self._blocked or len(self._waiting) > _WAITING_REQUESTS:
            self.want_less()
        elif self._incoming is None:
            self.want_more()


def _combined(fields: list[tuple[str, str]]) -> dict[str, str]:
    """Returns headers by name; those that come several times are one list (RFC 9110, section 5.3)."""
    headers = dict(fields)
    if len(headers) < len(fields):
        for name in headers:
            separator = "; " if name == "cookie" else ", "  # RFC 9113, section 8.2.3
            headers[name] = separator.join(text for each, text in fields if each == name)
    return headers


def _path_and_query(target: bytes) -> tuple[str, str]:
    """Raises `_Refused`."""
    if not target.startswith(b"/") and target != b"*":
        try:
            url = httptools.parse_url(target)
        except httptools.HttpParserInvalidURLError:
            raise _Refused(400, "The request's target is not a URL.") from None
        return _text(url.path or b"/"), (url.query or b"").decode("latin-1")
    path, _, query = target.partition(b"?")
    return _text(path), query.decode("latin-1")


def _text(path: bytes) -> str:
    text = path.decode("latin-1")
    return unquote(text) if "%" in text else text


def _too_large() -> _Refused:
    return _Refused(431, f"The headers have more than {HEAD_BYTES} bytes, or are more than {MAX_HEADERS}.")
