"""The application, called as granian calls it: every request gets one response, whatever happens."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.transport import http
from lamdb.graphql.transport.http import HttpResponse
from lamdb.server.app import Application
from lamdb.server.fast_path import FastLane
from lamdb.server.instance import Instance
from lamdb.settings import Settings

DEMO = Path(__file__).parents[3] / "database"
QUERY = "{ findManyTag(take: 1) { name } }"
ANSWER = {"data": {"findManyTag": [{"name": "history"}]}}


@dataclass
class Wire:
    """Both ends of RSGI's protocol: the body to be read, and what was answered."""

    chunks: list[bytes] = field(default_factory=list)
    delay: float = 0.0
    broken: bool = False
    answers: list[tuple[int, dict[str, str], bytes]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self) -> bytes:
        await asyncio.sleep(self.delay)
        if self.broken:
            raise RuntimeError("RSGI transport is closed")
        return b"".join(self.chunks)

    async def client_disconnect(self) -> None:
        await self.gone.wait()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            yield chunk

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.answers.append((status, dict(headers), body))


@dataclass
class Scope:
    method: str = "POST"
    path: str = "/graphql"
    headers: dict[str, str] = field(default_factory=dict)
    query_string: str = ""
    proto: str = "http"
    client: str = "127.0.0.1:1234"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


def with_app(instance: Instance, test: Callable[[Application], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        app = Application(instance, Settings(**settings))
        try:
            return await test(app)
        finally:
            app.close()

    return asyncio.run(main())


def post(body: Any, **headers: str) -> tuple[Scope, Wire]:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"content-type": "application/json", "content-length": str(len(content))}
    named.update({name.replace("_", "-"): text for name, text in headers.items()})
    return Scope(headers=named), Wire([content])


async def send(app: Application, scope: Scope, wire: Wire) -> tuple[int, dict[str, str], Any]:
    await app.__rsgi__(scope, wire)
    ((status, headers, body),) = wire.answers
    return status, headers, json.loads(body) if body else None


def code(answer: Any) -> str:
    return answer["errors"][0]["extensions"]["code"]


def test_a_query_is_answered(instance: Instance) -> None:
    status, headers, answer = with_app(instance, lambda app: send(app, *post({"query": QUERY})))
    assert (status, answer) == (200, ANSWER)
    assert headers["x-lamdb-txid"] == str(instance.database.txid)
    assert headers["x-request-id"]


def test_a_proven_document_is_answered_on_the_loop(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []
    answer = http.answer

    def watched(*arguments: Any, **options: Any) -> HttpResponse:
        threads.append(threading.current_thread() is threading.main_thread())
        return answer(*arguments, **options)

    monkeypatch.setattr(http, "answer", watched)

    async def test(app: Application) -> None:
        for _ in range(5):
            status, _, body = await send(app, *post({"query": QUERY}))
            assert (status, body) == (200, ANSWER)

    with_app(instance, test)
    assert threads == [False, False, False, True, True]


def test_what_would_wait_goes_to_a_thread(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mutation takes the writer, strong consistency asks the store: neither may happen on the loop."""
    monkeypatch.setattr(FastLane, "allows", lambda *_: True)
    before = instance.database.txid
    create = 'mutation { createOneTag(data: { name: "from-the-loop" }) { name } }'
    delete = 'mutation { deleteOneTag(where: { name: "from-the-loop" }) { name } }'

    async def test(app: Application) -> None:
        for mutation in (create, delete):
            status, headers, answer = await send(app, *post({"query": mutation}))
            assert (status, set(answer)) == (200, {"data"})
            before_next = int(headers["x-lamdb-txid"])
        assert before_next == before + 2
        strong = await send(app, *post({"query": QUERY}, x_lamdb_consistency="strong"))
        assert strong[2] == ANSWER

    with_app(instance, test)


def test_large_bodies_are_read_in_a_thread(instance: Instance) -> None:
    large = {"query": QUERY, "extensions": {"padding": "x" * 100_000}}
    status, _, answer = with_app(instance, lambda app: send(app, *post(large)))
    assert (status, answer) == (200, ANSWER)


def test_a_body_without_length_is_read_in_chunks(instance: Instance) -> None:
    scope, wire = post({"query": QUERY})
    del scope.headers["content-length"]
    wire.chunks = [wire.chunks[0][:7], wire.chunks[0][7:]]
    status, _, answer = with_app(instance, lambda app: send(app, scope, wire))
    assert (status, answer) == (200, ANSWER)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_length_that_lies_does_not_get_past_the_limit(instance: Instance, chunked: bool) -> None:
    scope, wire = post(b"x" * 5000, content_length="10")
    if chunked:
        scope.headers["transfer-encoding"] = "chunked"
    status, _, answer = with_app(instance, lambda app: send(app, scope, wire), max_body_bytes=2000)
    assert (status, code(answer)) == ((413, "BODY_TOO_LARGE") if chunked else (400, "MALFORMED_REQUEST"))


def test_a_declared_length_is_refused_before_it_is_read(instance: Instance) -> None:
    scope, wire = post(b"{}", content_length="3000")
    status, headers, answer = with_app(instance, lambda app: send(app, scope, wire), max_body_bytes=2000)
    assert (status, code(answer), headers["connection"]) == (413, "BODY_TOO_LARGE", "close")


def test_a_slow_body_is_given_up(instance: Instance) -> None:
    scope, wire = post({"query": QUERY})
    wire.delay = 10
    status, headers, answer = with_app(instance, lambda app: send(app, scope, wire), body_timeout=0.05)
    assert (status, code(answer), headers["connection"]) == (408, "BODY_TIMEOUT", "close")


def test_a_client_that_is_gone_gets_no_answer(instance: Instance) -> None:
    scope, wire = post({"query": QUERY})
    wire.broken = True

    async def test(app: Application) -> None:
        await app.__rsgi__(scope, wire)
        await asyncio.wait_for(app.drain(), 5)

    with_app(instance, test)
    assert wire.answers == []


def test_a_fault_is_answered_without_its_details_and_logged_with_them(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(http, "answer", fail)
    status, headers, answer = with_app(
        instance, lambda app: send(app, *post({"query": QUERY}, x_request_id="r-7"))
    )
    assert (status, code(answer), headers["x-request-id"]) == (500, "INTERNAL", "r-7")
    assert "secret" not in json.dumps(answer)
    assert "secret detail" in caplog.text


def test_too_many_requests_are_refused(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    go = threading.Event()
    answer = http.answer

    def held(*arguments: Any, **options: Any) -> HttpResponse:
        go.wait(10)
        return answer(*arguments, **options)

    monkeypatch.setattr(http, "answer", held)

    async def test(app: Application) -> None:
        first = [asyncio.create_task(send(app, *post({"query": QUERY}))) for _ in range(2)]
        await asyncio.sleep(0.05)
        status, headers, refused = await send(app, *post({"query": QUERY}))
        assert (status, code(refused), headers["retry-after"]) == (503, "OVERLOADED", "1")
        assert app.is_executing()
        health = await send(app, Scope("GET", "/healthz"), Wire())
        assert health[2]["status"] == "ok"
        go.set()
        assert [result[2] for result in await asyncio.gather(*first)] == [ANSWER] * 2
        await asyncio.wait_for(app.drain(), 5)
        assert not app.is_executing()

    with_app(instance, test, threads=1, max_pending=2)


def test_pages_for_browsers_and_data_for_others(instance: Instance) -> None:
    async def get(app: Application, path: str, accept: str, query: str = "") -> tuple[str, bytes]:
        wire = Wire()
        await app.__rsgi__(Scope("GET", path, {"accept": accept}, query), wire)
        ((status, headers, body),) = wire.answers
        assert status == 200
        return headers["content-type"].partition(";")[0], body

    async def test(app: Application) -> None:
        for path in ("/", "/graphql"):
            kind, body = await get(app, path, "text/html,*/*;q=0.8")
            assert kind == "text/html"
            assert b"findManyAuthor" in body or b"make build" in body
        assert (await get(app, "/", "*/*"))[0] == "application/json"
        kind, body = await get(app, "/graphql", "text/html,*/*;q=0.8", "query=%7B__typename%7D")
        assert (kind, body) == ("application/json", b'{"data":{"__typename":"Query"}}')

    with_app(instance, test)


def test_graphiql_can_be_switched_off(instance: Instance) -> None:
    async def test(app: Application) -> None:
        status, _, answer = await send(app, Scope("GET", "/", {"accept": "text/html"}), Wire())
        assert (status, answer["graphql"]) == (200, "/graphql")
        status, _, answer = await send(app, Scope("GET", "/graphiql/app.js"), Wire())
        assert (status, code(answer)) == (404, "NOT_FOUND")

    with_app(instance, test, graphiql=False)


def test_other_origins_are_let_in_by_the_settings_alone(instance: Instance) -> None:
    asking = {"origin": "https://app.example", "access-control-request-method": "POST"}

    async def test(app: Application) -> tuple[int, dict[str, str]]:
        status, headers, _ = await send(app, Scope("OPTIONS", "/graphql", asking), Wire())
        return status, headers

    assert with_app(instance, test)[0] == 403
    status, headers = with_app(instance, test, cors_origins=("https://app.example",))
    assert status == 204
    assert headers["access-control-allow-origin"] == "https://app.example"
