"""HTTP/1.1 on sockets, before an application that says what it was asked."""

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from lamdb.server.exchange import Exchange, Head
from lamdb.server.http1 import HEAD_BYTES, MAX_HEADERS
from lamdb.server.listener import Listener

GET = b"GET /a%20b?x=%20 HTTP/1.1\r\nhost: h\r\n"
POST = b"POST /p HTTP/1.1\r\nhost: h\r\n"


@dataclass
class Echo:
    """Answers with what it was asked. Bodies "at once" are answered inside `data_received`."""

    pause: float = 0.0
    reads: bool = True
    size: int = 0
    heads: list[Head] = field(default_factory=list)
    gone: int = 0
    broken: int = 0

    async def __rsgi__(self, scope: Any, wire: Exchange) -> None:
        self.heads.append(scope.head)
        body = b""
        if self.reads and scope.method == "POST":
            try:
                if "transfer-encoding" in scope.headers:
                    async for chunk in wire:
                        body += chunk
                else:
                    body = await wire()
            except RuntimeError:
                self.broken += 1
                return
        if self.pause:
            waiting = asyncio.ensure_future(wire.client_disconnect())
            done, _ = await asyncio.wait([waiting], timeout=self.pause)
            self.gone += len(done)
            waiting.cancel()
        told = {
            "path": scope.path,
            "query": scope.query_string,
            "body": body.decode(),
            "more": "x" * self.size,
        }
        wire.response_bytes(200, [("x-method", scope.method)], json.dumps(told).encode())

    def at_once(self, head: Head, body: bytes, date: str) -> list[bytes] | None:
        if body != b"at once":
            return None
        self.heads.append(head)
        return [b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n", b"once"]

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        if body != b"later":
            return False
        self.heads.append(exchange.head)
        asyncio.get_running_loop().call_later(0.02, exchange.response_bytes, 200, [], b"later")
        return True


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def response(self, *, has_body: bool = True) -> tuple[int, dict[str, str], bytes]:
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        length = int(headers.get("content-length", "0")) if has_body else 0
        return int(status.split(" ")[1]), headers, await self.reader.readexactly(length)

    async def rest(self) -> bytes:
        return await self.reader.read()


type Test = Callable[[Listener, Callable[[], Awaitable[Client]]], Awaitable[None]]


def serve(app: Echo, test: Test, *, connections: int = 100, idle: float = 30.0) -> None:
    async def main() -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        address = sock.getsockname()
        listener = Listener(app, sock, connections=connections, idle_seconds=idle)
        clients: list[Client] = []

        async def connect() -> Client:
            clients.append(Client(*await asyncio.open_connection(*address)))
            return clients[-1]

        async with asyncio.timeout(20):
            await test(listener, connect)
            listener.stop()
            for client in clients:
                client.writer.close()
            await listener.closed_all()

    uvloop.run(main())


def ask(*sent: bytes, app: Echo | None = None) -> list[Any]:
    """The responses to what is sent on one connection."""
    answers: list[Any] = []

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        for data in sent:
            client.send(data)
            await client.writer.drain()
            await asyncio.sleep(0.01)
        answers.append(await client.response())

    serve(app or Echo(), test)
    return answers


def test_a_request_and_its_response() -> None:
    ((status, headers, body),) = ask(GET + b"\r\n")
    assert status == 200
    assert json.loads(body) == {"path": "/a b", "query": "x=%20", "body": "", "more": ""}
    assert headers["x-method"] == "GET"
    assert headers["date"].endswith("GMT")
    assert "connection" not in headers


@pytest.mark.parametrize(("name", "joined"), [("X-More", "a, b"), ("cookie", "a; b")])
def test_a_header_that_comes_twice_is_a_list(name: str, joined: str) -> None:
    class Headers(Echo):
        def at_once(self, head: Head, body: bytes, date: str) -> list[bytes] | None:
            seen.append(head.headers[name.lower()])
            return super().at_once(head, body, date)

    seen: list[str] = []
    twice = f"{name}: a\r\naccept: */*\r\n{name.upper()}: b\r\n\r\n".encode()
    ((status, _, _),) = ask(GET + twice, app=Headers())
    assert (status, seen) == (200, [joined])


@pytest.mark.parametrize(
    "whole",
    [
        POST + b"content-length: 5\r\n\r\nhello",
        POST + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\ntrailer: 1\r\n\r\n",
        POST + b"upgrade: h2c\r\nconnection: upgrade\r\ncontent-length: 5\r\n\r\nhello",
    ],
)
def test_a_request_may_come_in_any_pieces(whole: bytes) -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        for cut in range(1, len(whole) + 1):
            client = await connect()
            client.send(whole[:cut])
            await client.writer.drain()
            await asyncio.sleep(0)
            client.send(whole[cut:])
            status, _, body = await client.response()
            assert (status, json.loads(body)["body"]) == (200, "hello")
            client.writer.close()

    serve(Echo(), test)


def test_requests_in_one_packet_are_answered_in_order() -> None:
    def one(body: bytes) -> bytes:
        return POST + b"content-length: %d\r\n\r\n" % len(body) + body

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        bodies = [
            b"first",
            b"at once",
            b"later",
            b"second",
            b"at once",
            b"later",
            b"at once",
            *(b"%d" % n for n in range(200)),
        ]
        client.send(b"".join(map(one, bodies)))
        for body in bodies:
            _, _, answer = await client.response()
            short = {b"at once": b"once", b"later": b"later"}.get(body)
            assert answer == short if short else json.loads(answer)["body"] == body.decode()

    serve(Echo(), test)


def test_a_known_head_is_not_parsed_again() -> None:
    app = Echo()

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        for _ in range(2):
            client = await connect()
            for _ in range(2):
                client.send(POST + b"content-length: 7\r\n\r\nat once")
                assert (await client.response())[2] == b"once"
            client.send(POST + b"content-length: 6\r\n\r\nlonger")
            assert json.loads((await client.response())[2])["body"] == "longer"

    serve(app, test)
    once = [head for head in app.heads if head.length == 7]
    assert len({id(head) for head in once}) == 1
    assert app.heads[0].headers == {"host": "h", "content-length": "7"}


def test_a_known_head_with_another_amount_of_body() -> None:
    """The bytes of a head say nothing of what follows: less, or the next request."""

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        head = POST + b"content-length: 7\r\n\r\n"
        client.send(head + b"at once")
        assert (await client.response())[2] == b"once"
        client.send(head + b"at ")
        await asyncio.sleep(0.01)
        client.send(b"once")
        assert json.loads((await client.response())[2])["body"] == "at once"
        client.send(head + b"at once" + head + b"again..")
        assert (await client.response())[2] == b"once"
        assert json.loads((await client.response())[2])["body"] == "again.."

    serve(Echo(), test)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
        (b"GET http:/// HTTP/1.1\r\nhost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (GET + b"a : b\r\n\r\n", 400),
        (GET + b"a: b\r\n c\r\n\r\n", 400),
        (GET + b"a: b\x00c\r\n\r\n", 400),
        (GET + b"host: other\r\n\r\n", 400),
        (GET + b"a: b\n\r\n", 400),
        (POST + b"content-length: 1\r\ncontent-length: 1\r\n\r\n1", 400),
        (POST + b"content-length: +1\r\n\r\n1", 400),
        (POST + b"content-length: 99999999999999999999999\r\n\r\n1", 400),
        (POST + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: gzip\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked, gzip\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n-1\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n0\r\n\r\n", 400),
        (POST + b"transfer-encoding: chunked\r\n\r\n" + b"1;" + b"e" * 300_000 + b"\r\n1\r\n0\r\n\r\n", 400),
        (GET + b"a: " + b"b" * HEAD_BYTES + b"\r\n\r\n", 431),
        (GET + b"a: " + b"b" * 4 * HEAD_BYTES, 431),
        (GET + b"a: b\r\n" * MAX_HEADERS + b"\r\n", 431),
        (b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_what_is_refused(sent: bytes, status: int) -> None:
    app = Echo()

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(POST + b"content-length: 7\r\n\r\nat once")
        await client.response()
        client.send(sent)
        found, headers, body = await client.response()
        assert (found, headers["connection"]) == (status, "close")
        assert json.loads(body)["errors"][0]["extensions"]["code"] == "MALFORMED_REQUEST"
        assert await client.rest() == b""

    serve(app, test)
    assert app.broken <= 1


def test_a_request_before_bytes_that_are_none_is_answered() -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(GET + b"\r\n" + b"nonsense\r\n\r\n" + GET + b"\r\n")
        assert (await client.response())[0] == 200
        assert (await client.response())[0] == 400
        assert await client.rest() == b""

    serve(Echo(pause=0.01), test)


@pytest.mark.parametrize(
    ("sent", "connection"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "close"),
        (b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", "keep-alive"),
        (b"GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n", "close"),
        (b"GET http://h/ HTTP/1.1\r\nhost: h\r\n\r\n", None),
        (b"GET / HTTP/1.1\r\nhost: h\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n", "close"),
        (b"\r\n\r\nGET / HTTP/1.1\r\nhost: h\r\n\r\n", None),
    ],
)
def test_whether_a_connection_stays(sent: bytes, connection: str | None) -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(sent)
        status, headers, body = await client.response()
        assert (status, json.loads(body)["path"], headers.get("connection")) == (200, "/", connection)
        if connection == "close":
            assert await client.rest() == b""
        else:
            client.send(GET + b"\r\n")
            assert (await client.response())[0] == 200

    serve(Echo(), test)


def test_head_has_the_length_and_no_body() -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(b"HEAD / HTTP/1.1\r\nhost: h\r\n\r\n")
        _, headers, _ = await client.response(has_body=False)
        assert int(headers["content-length"]) > 10
        client.send(GET + b"\r\n")
        assert (await client.response())[0] == 200

    serve(Echo(), test)


def test_a_client_that_asks_before_it_sends_the_body() -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(POST + b"content-length: 5\r\nexpect: 100-continue\r\n\r\n")
        assert (await client.reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 100 ")
        client.send(b"hello")
        assert json.loads((await client.response())[2])["body"] == "hello"

    serve(Echo(), test)


def test_a_response_before_the_body_is_there_closes_the_connection() -> None:
    """The client, which is still sending, can read it all the same."""

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(POST + b"content-length: 8000000\r\n\r\n")
        for _ in range(20):
            client.send(b"x" * 100_000)
        status, headers, _ = await client.response()
        assert (status, headers["connection"]) == (200, "close")
        assert await client.rest() == b""

    serve(Echo(reads=False), test)


def test_a_client_that_goes_away() -> None:
    app = Echo(pause=5.0)

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        early, late = await connect(), await connect()
        early.send(POST + b"content-length: 5\r\n\r\nhe")
        late.send(GET + b"\r\n")
        while len(app.heads) < 2:
            await asyncio.sleep(0.005)
        early.writer.close()
        late.writer.close()
        while not (app.broken and app.gone):
            await asyncio.sleep(0.005)

    serve(app, test)


def test_connections_wait_for_their_turn() -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        first, second, third = [await connect() for _ in range(3)]
        for client in (first, second, third):
            client.send(GET + b"\r\n")
        await first.response()
        await second.response()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(third.reader.read(1), 0.1)
        first.writer.close()
        assert (await third.response())[0] == 200

    serve(Echo(), test, connections=2)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET, GET + b"\r\n" + b"POST"])
def test_a_connection_that_says_nothing_more_is_closed(sent: bytes) -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(sent)
        if sent.startswith(GET + b"\r\n"):
            await client.response()
        assert await client.rest() == b""

    serve(Echo(), test, idle=0.2)


def test_a_request_that_takes_long_is_not_idle() -> None:
    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(GET + b"\r\n")
        assert (await client.response())[0] == 200

    serve(Echo(pause=0.6), test, idle=0.1)


def test_a_client_that_does_not_read_is_not_answered_any_more() -> None:
    """Its requests wait in its own system: memory stays bounded."""
    app = Echo(size=200_000)

    async def test(listener: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send((GET + b"\r\n") * 400)
        seen = -1
        while len(app.heads) != seen:
            seen = len(app.heads)
            await asyncio.sleep(0.1)
        assert seen < 300
        for _ in range(400):
            assert (await client.response())[0] == 200

    serve(app, test)


def test_stopping_answers_what_was_asked() -> None:
    async def test(listener: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        asked, idle = await connect(), await connect()
        asked.send(GET + b"\r\n")
        await asyncio.sleep(0.02)
        listener.stop()
        assert await idle.rest() == b""
        status, headers, _ = await asked.response()
        assert (status, headers["connection"]) == (200, "close")
        assert await asked.rest() == b""

    serve(Echo(pause=0.1), test)


def test_a_response_header_cannot_end_its_line() -> None:
    class Splitting(Echo):
        async def __rsgi__(self, scope: Any, wire: Exchange) -> None:
            wire.response_bytes(200, [("x", "a\r\nset-cookie: b")], b"")

    async def test(_: Listener, connect: Callable[[], Awaitable[Client]]) -> None:
        client = await connect()
        client.send(GET + b"\r\n")
        assert await client.rest() == b""

    serve(Splitting(), test)
