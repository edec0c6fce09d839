"""Mutations that are answered without a thread of their own: once, and as all others are."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamdb.errors import CommitUnknown, Fenced, LamdbError, StoreUnavailable
from lamdb.server.app import Application
from lamdb.server.exchange import Exchange, Head
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage.ltx.replica import Replica

from .test_app import Scope, Wire

DEMO = Path(__file__).parents[3] / "database"
CREATE = "mutation ($name: String!) { createOneTag(data: { name: $name }) { name } }"
BOTH = (
    "mutation ($a: String!, $b: String!) {"
    " a: createOneTag(data: { name: $a }) { name } b: createOneTag(data: { name: $b }) { name } }"
)


class Way:
    """A connection that keeps what is sent, and runs the application where `begin` does not do."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.sent: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.fell_back = False
        self.date = "now"
        self.is_stopping = False

    def send(self, exchange: Exchange, pieces: list[bytes], *, close: bool) -> None:
        self.sent.set_result(b"".join(pieces))

    def run(self, exchange: Exchange) -> None:
        self.fell_back = True

        async def run() -> None:
            wire = Wire([b"".join(exchange.chunks)])
            await self.app.__rsgi__(Scope(headers=exchange.headers), wire)
            ((status, headers, body),) = wire.answers
            exchange.response_bytes(status, list(headers.items()), body)

        self.task = asyncio.create_task(run())

    def send_continue(self) -> None: ...
    def want_more(self) -> None: ...
    def want_less(self) -> None: ...
    async def lost(self) -> None: ...


class Sent:
    """One mutation, begun at once."""

    def __init__(self, app: Application, document: str, variables: dict[str, Any], **headers: str) -> None:
        body = json.dumps({"query": document, "variables": variables}).encode()
        named = {"content-type": "application/json", "content-length": str(len(body)), **headers}
        head = Head("POST", "/graphql", "", named, len(body), keep_alive=True)
        self.way = Way(app)
        self.exchange = Exchange(self.way, head, "127.0.0.1:1")
        self.exchange.chunks.append(body)
        self.exchange.complete = True
        assert app.at_once(head, body, "now") is None
        self.begun = app.begin(self.exchange, body)
        if not self.begun:
            self.way.run(self.exchange)

    async def response(self) -> tuple[int, dict[str, str], Any]:
        async with asyncio.timeout(20):
            start, _, body = (await self.way.sent).partition(b"\r\n\r\n")
        status, *lines = start.decode().split("\r\n")
        return int(status.split(" ")[1]), dict(line.split(": ", 1) for line in lines), json.loads(body)


@pytest.fixture
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


def with_app(instance: Instance, test: Callable[[Application], Awaitable[None]], **settings: Any) -> None:
    async def main() -> None:
        app = Application(instance, Settings(**settings))
        for document in (CREATE, BOTH):
            await Sent(app, document, {"name": "warm", "a": "art", "b": "art"}).response()
        await test(app)
        await app.drain()
        app.close()

    asyncio.run(main())


def names(instance: Instance) -> list[str]:
    with instance.database.reader() as connection:
        return [name for (name,) in connection.execute("SELECT name FROM Tag ORDER BY id")]


def test_many_at_once_are_executed_once_each(instance: Instance) -> None:
    async def test(app: Application) -> None:
        before = instance.database.txid
        sent = [Sent(app, CREATE, {"name": f"n{number}"}, origin="http://localhost") for number in range(100)]
        assert all(each.begun for each in sent)
        for number, each in enumerate(sent):
            status, headers, answer = await each.response()
            assert (status, answer) == (200, {"data": {"createOneTag": {"name": f"n{number}"}}})
            assert int(headers["x-lamdb-txid"]) > before
            assert headers["content-type"] == "application/json; charset=utf-8"
            assert headers["x-request-id"]
            assert not each.way.fell_back
        assert instance.database.txid - before < 100  # they share commits

    with_app(instance, test)
    found = names(instance)
    assert [found.count(f"n{number}") for number in range(100)] == [1] * 100


def test_one_that_fails_keeps_nothing_and_fails_alone(instance: Instance) -> None:
    async def test(app: Application) -> None:
        sent = [
            Sent(app, CREATE, {"name": "good"}),
            Sent(app, BOTH, {"a": "kept?", "b": "history"}),
            Sent(app, CREATE, {"name": "better"}),
            Sent(app, CREATE, {"name": "history"}),
        ]
        assert all(each.begun for each in sent)
        answers = [(await each.response())[2] for each in sent]
        codes = [[error["extensions"]["code"] for error in answer.get("errors", [])] for answer in answers]
        assert codes == [[], ["P2002"], [], ["P2002"]]
        assert answers[1]["errors"][0]["path"] == ["b"]

    with_app(instance, test)
    assert names(instance)[-2:] == ["good", "better"]
    assert "kept?" not in names(instance)


@pytest.mark.parametrize("times", [1, 2])
def test_one_that_another_writer_overtook_is_executed_again(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    commit, left = Replica.commit, [Fenced("overtaken") for _ in range(times)]

    def fenced(self: Replica, *arguments: Any, **options: Any) -> None:
        if left:
            raise left.pop()
        commit(self, *arguments, **options)

    async def test(app: Application) -> None:
        monkeypatch.setattr(Replica, "commit", fenced)
        sent = Sent(app, CREATE, {"name": "again"})
        assert (await sent.response())[2] == {"data": {"createOneTag": {"name": "again"}}}
        assert sent.way.fell_back

    with_app(instance, test)
    assert names(instance).count("again") == 1


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (CommitUnknown("no answer"), 503, "COMMIT_UNKNOWN"),
        (StoreUnavailable("no store"), 503, "STORE_UNAVAILABLE"),
        (ZeroDivisionError("a fault"), 500, LamdbError.code),
    ],
)
def test_one_that_may_have_been_kept_is_not_executed_again(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, failure: Exception, status: int, code: str
) -> None:
    commit, calls = Replica.commit, []

    def lost(self: Replica, *arguments: Any, **options: Any) -> None:
        calls.append(arguments)
        commit(self, *arguments, **options)
        raise failure

    async def test(app: Application) -> None:
        monkeypatch.setattr(Replica, "commit", lost)
        sent = Sent(app, CREATE, {"name": "perhaps"})
        found, _, answer = await sent.response()
        assert not sent.way.fell_back
        assert answer["errors"][0]["extensions"]["code"] == code
        assert found == status
        monkeypatch.setattr(Replica, "commit", commit)

    with_app(instance, test)
    assert len(calls) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {"idempotency-key": "k"},
        {"x-lamdb-timeout": "5"},
        {"prefer": "respond-async"},
        {"authorization": "Bearer x"},
        {"x-lamdb-consistency": "strong"},
        {"content-encoding": "identity"},
    ],
)
def test_unusual_heads_are_left_to_the_application(instance: Instance, headers: dict[str, str]) -> None:
    async def test(app: Application) -> None:
        sent = Sent(app, CREATE, {"name": "unusual"}, **headers)
        assert not sent.begun
        await sent.response()

    with_app(instance, test)


@pytest.mark.parametrize(
    ("document", "variables"),
    [
        ("mutation { createOneTag(data: { name: $x }) { name } }", {}),
        (CREATE, {}),
        (CREATE, {"name": 1}),
        ("mutation { __typename }", {}),
        ("query mutation { findManyTag { name } }", {}),
        ("mutation A { __typename } mutation B { __typename }", {}),
    ],
)
def test_other_documents_are_left_to_the_application(
    instance: Instance, document: str, variables: dict[str, Any]
) -> None:
    async def test(app: Application) -> None:
        for _ in range(3):
            sent = Sent(app, document, variables)
            assert not sent.begun
            await sent.response()

    with_app(instance, test)


def test_no_more_are_begun_than_may_wait(instance: Instance) -> None:
    async def test(app: Application) -> None:
        with instance.database.writer():
            sent = [Sent(app, CREATE, {"name": f"n{number}"}) for number in range(5)]
            assert [each.begun for each in sent] == [True, True, False, False, False]
        for each in sent:
            await each.response()

    with_app(instance, test, max_pending=2)


def test_a_client_that_goes_away_takes_its_mutation_with_it(instance: Instance) -> None:
    async def test(app: Application) -> None:
        with instance.database.writer():
            sent = Sent(app, CREATE, {"name": "gone"})
            assert sent.exchange.on_lost is not None
            sent.exchange.on_lost()
            assert app.is_executing()

    with_app(instance, test)
    assert "gone" not in names(instance)


def test_stopping_gives_up_what_waits(instance: Instance) -> None:
    async def test(app: Application) -> None:
        with instance.database.writer():
            sent = Sent(app, CREATE, {"name": "late"})
            app.give_up()
        status, _, answer = await sent.response()
        assert (status, answer["errors"][0]["extensions"]["code"]) == (503, "CANCELLED")

    with_app(instance, test)
    assert "late" not in names(instance)
