"""The change feed at `/changes`: pages, long polling, server-sent events, and who may follow."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, Wire

from lamdb.access import keys
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.settings import Settings

type Json = dict[str, Any]

SCHEMA = """datasource db {
  provider = "sqlite"
}
/// @@allow('all', owner == auth().sub)
/// @lamdb.changes
model Note {
  id    Int    @id
  text  String
  owner String
}
/// @@allow('all', true)
/// @lamdb.changes
model Other {
  id Int @id
}
"""


@dataclass
class StreamWire(Wire):
    """A wire whose response comes in pieces."""

    pieces: list[bytes] = field(default_factory=list)
    begun: dict[str, str] | None = None
    ended: bool = False

    def response_begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.begun = dict(headers)

    async def response_piece(self, piece: bytes) -> None:
        if self.gone.is_set():
            raise RuntimeError("the connection is closed")
        self.pieces.append(piece)

    def response_end(self) -> None:
        self.ended = True

    def events(self) -> list[tuple[str, Json]]:
        """The events so far: types and data; what a client of EventSource dispatches."""
        found = []
        for block in b"".join(self.pieces).decode().split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.splitlines())
            if "data" in fields:
                found.append((fields["event"], json.loads(fields["data"])))
        return found

    def last_id(self) -> str:
        lines = b"".join(self.pieces).decode().splitlines()
        return next(line for line in reversed(lines) if line.startswith("id: "))[4:]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """For tests that write nothing."""
    folder = tmp_path_factory.mktemp("database")
    (folder / "schema.prisma").write_text(SCHEMA)
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as opened:
        yield opened


def run(instance: Instance, test: Callable[[Application], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        app = Application(instance, Settings(**settings))
        try:
            return await asyncio.wait_for(test(app), 30)
        finally:
            app.close()

    return asyncio.run(main())


def scope(query: str = "", **headers: str) -> Scope:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Scope("GET", "/changes", {"host": "localhost", **named}, query)


async def get(app: Application, query: str = "", **headers: str) -> tuple[int, Any]:
    wire = Wire()
    await app.__rsgi__(scope(query, **headers), wire)
    ((status, _, body),) = wire.answers
    return status, json.loads(body)


async def until(holds: Callable[[], Any]) -> None:
    while not holds():
        await asyncio.sleep(0.005)


def insert(instance: Instance, *ids: int, owner: str = "ann") -> None:
    for number in ids:
        row = (number, f"text {number}", owner)
        instance.database.write(lambda each, row=row: each.execute("INSERT INTO Note VALUES (?, ?, ?)", row))


def other(instance: Instance, number: int) -> None:
    instance.database.write(lambda each: each.execute("INSERT INTO Other VALUES (?)", (number,)))


def ids(changes: list[Json]) -> list[int]:
    return [each["key"]["id"] for each in changes]


ADMIN = {"auth": ("keys",)}


def key(instance: Instance, role: str = "admin", **claims: Any) -> dict[str, str]:
    with instance.database.writer() as connection:
        made = keys.create(connection, name=f"{role} {claims}", role=role, claims=claims)[1]
    return {"authorization": f"Bearer {made}"}


def test_a_page_is_json(instance: Instance) -> None:
    admin = key(instance)

    async def test(app: Application) -> None:
        status, first = await get(app, **admin)
        assert (status, first["changes"], first["more"]) == (200, [], False)
        insert(instance, 1, 2, 3)
        other(instance, 9)
        status, page = await get(app, f"since={first['next']}", **admin)
        assert ids(page["changes"]) == [1, 2, 3, 9]
        assert page["changes"][0]["after"] == {"id": 1, "text": "text 1", "owner": "ann"}
        status, page = await get(app, f"since={first['next']}&take=2&models=Note", **admin)
        assert (ids(page["changes"]), page["more"]) == ([1, 2], True)
        status, page = await get(app, f"since={page['next']}&models=Other", **admin)
        assert ids(page["changes"]) == [9]

    run(instance, test, **ADMIN)


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("since=x", 400, "P2009"),
        ("since=1&take=0", 400, "P2009"),
        ("since=1&take=-1", 400, "MALFORMED_REQUEST"),
        ("since=1&wait=61", 400, "MALFORMED_REQUEST"),
        ("since=1&wait=nan", 400, "MALFORMED_REQUEST"),
        ("since=1&sinse=1", 400, "MALFORMED_REQUEST"),
        ("since=1&models=Nota", 400, "BAD_VARIABLES"),
        ("since=0", 410, "CHANGES_NOT_KEPT"),
    ],
)
@pytest.mark.parametrize("accept", ["application/json", "text/event-stream"])
def test_bad_requests_are_refused(shared: Instance, query: str, status: int, code: str, accept: str) -> None:
    async def test(app: Application) -> None:
        found, answer = await get(app, query, accept=accept)
        assert (found, answer["errors"][0]["extensions"]["code"]) == (status, code)

    run(shared, test)


def test_without_recorded_models_there_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(SCHEMA.replace("/// @lamdb.changes\n", ""))
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as opened:
        assert run(opened, lambda app: get(app))[0] == 404


def test_a_long_poll_returns_with_the_next_change(instance: Instance) -> None:
    admin = key(instance)

    async def test(app: Application) -> None:
        since = (await get(app, **admin))[1]["next"]
        polls = [asyncio.create_task(get(app, f"since={since}&wait=25", **admin)) for _ in range(3)]
        await until(lambda: app._feeds._waiting == 3 and app.commits._waiting)
        assert not any(poll.done() for poll in polls)
        await asyncio.to_thread(insert, instance, 1)
        for status, page in await asyncio.gather(*polls):
            assert (status, ids(page["changes"])) == (200, [1])
        status, page = await get(app, f"since={page['next']}&wait=0.05", **admin)
        assert (status, page["changes"]) == (200, [])
        assert app._feeds._waiting == 0

    run(instance, test, **ADMIN)


@contextlib.asynccontextmanager
async def following(app: Application, query: str = "", **headers: str) -> Any:
    wire = StreamWire()
    task = asyncio.create_task(app.__rsgi__(scope(query, accept="text/event-stream", **headers), wire))
    await until(lambda: wire.begun is not None or task.done())
    try:
        yield wire
    finally:
        wire.gone.set()
        await task


def test_a_stream_brings_each_change_once_across_reconnects(instance: Instance) -> None:
    admin = key(instance)

    async def test(app: Application) -> None:
        seen: list[int] = []
        last = (await get(app, **admin))[1]["next"]
        number = 0
        for _ in range(6):
            async with following(app, last_event_id=last, **admin) as wire:
                assert wire.begun["content-type"] == "text/event-stream"
                wanted = number + 4
                while number < wanted:
                    number += 1
                    await asyncio.to_thread(insert, instance, number)
                # Some changes come before the client goes, some after.
                await until(lambda wire=wire: len(wire.events()) >= 2)
            seen += [change["key"]["id"] for kind, change in wire.events() if kind == "change"]
            last = wire.last_id()
        async with following(app, last_event_id=last, **admin) as wire:
            await until(lambda: len(seen) + len(wire.events()) >= number)
        seen += [change["key"]["id"] for _, change in wire.events()]
        assert seen == list(range(1, number + 1))
        assert app._feeds._waiting == 0

    run(instance, test, **ADMIN)


def test_callers_follow_what_they_may_read(instance: Instance) -> None:
    callers = {name: key(instance, "read", sub=name) for name in ("ann", "bob")}
    admin = key(instance)

    async def test(app: Application) -> None:
        since = (await get(app, **admin))[1]["next"]
        async with contextlib.AsyncExitStack() as stack:
            wires = {
                name: await stack.enter_async_context(following(app, f"since={since}", **given))
                for name, given in callers.items()
            }
            for number in range(1, 9):
                owner = ("ann", "bob", "zoe")[number % 3]
                await asyncio.to_thread(insert, instance, number, owner=owner)
            await asyncio.to_thread(other, instance, 99)
            for wire in wires.values():
                await until(lambda wire=wire: wire.events() and wire.events()[-1][1]["model"] == "Other")
        assert [each["key"]["id"] for _, each in wires["ann"].events()] == [3, 6, 99]
        assert [each["key"]["id"] for _, each in wires["bob"].events()] == [1, 4, 7, 99]
        assert "zoe" not in repr(wires)
        assert (await get(app))[0] == 401
        assert (await get(app, accept="text/event-stream"))[0] == 401

    run(instance, test, **ADMIN)


def test_a_revoked_key_ends_its_stream(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    given = key(instance, "read", sub="ann")

    async def test(app: Application) -> None:
        async with following(app, **given) as wire:
            with instance.database.writer() as connection:
                connection.execute("DELETE FROM _lamdb_keys")
            app._callers.known = lambda headers: None  # type: ignore[method-assign]
            app._callers = type(app._callers)(app._settings, instance.database)
            await asyncio.to_thread(insert, instance, 1)
            await until(lambda: wire.ended)
            assert [(kind, each["code"]) for kind, each in wire.events()] == [("error", "UNAUTHORIZED")]

    run(instance, test, **ADMIN)


def test_followers_are_bounded(instance: Instance) -> None:
    async def test(app: Application) -> None:
        async with following(app), following(app):
            for headers in ({"accept": "text/event-stream"}, {}):
                status, answer = await get(app, "since=1&wait=9", **headers)
                assert (status, answer["errors"][0]["extensions"]["code"]) == (503, "OVERLOADED")
            assert (await get(app))[0] == 200
        async with following(app) as wire:
            assert wire.begun is not None

    run(instance, test, changes_clients=2)


def test_streams_end_when_the_server_stops(instance: Instance) -> None:
    async def test(app: Application) -> None:
        async with following(app) as wire:
            poll = asyncio.create_task(get(app, "since=2&wait=60"))
            await until(lambda: app._feeds._waiting == 2)
            app.commits.stop()
            await until(lambda: wire.ended)
            assert (await poll)[0] == 200
            await app.drain()

    run(instance, test)


def test_commits_of_other_servers_are_noticed(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(SCHEMA)
    settings = Settings(store=f"file://{tmp_path}/store", database=str(tmp_path))
    with Instance.open(settings, push=True) as one, Instance.open(settings, push=True) as far:
        admin = key(far)
        one.database.refresh()

        async def test(app: Application) -> None:
            async with following(app, **admin) as wire:
                await asyncio.to_thread(insert, far, 1)
                await until(wire.events)
            assert [each["key"]["id"] for _, each in wire.events()] == [1]

        run(one, test, changes_look=0.1, **ADMIN)
