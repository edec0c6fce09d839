"""SQL over HTTP on a server: paths, users, threads, and what happens beside GraphQL."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, Wire, post, send, with_app

from lamdb.hrana import fast_path
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.settings import Settings

DEMO = Path(__file__).parents[3] / "database"
READ, WRITE, ADMIN = "r" * 20, "w" * 20, "o" * 20
TOKENS = {"sql_tokens": {READ: "read", WRITE: "write"}, "operator_token": ADMIN}

type Json = dict[str, Any]


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


def asked(*statements: str, baton: str | None = None, closes: bool = False) -> Json:
    requests: list[Json] = [{"type": "execute", "stmt": {"sql": each}} for each in statements]
    if closes:
        requests.append({"type": "close"})
    return {"baton": baton, "requests": requests}


async def ask(app: Application, body: Any, path: str = "/v2/pipeline", **headers: str) -> tuple[int, Any]:
    scope, wire = post(body, **{"host": "127.0.0.1:8000", **headers})
    scope.path = path
    status, _, answer = await send(app, scope, wire)
    return status, answer


def once(instance: Instance, body: Any, settings: Json | None = None, **more: Any) -> tuple[int, Any]:
    found: tuple[int, Any] = with_app(instance, lambda app: ask(app, body, **more), **(settings or {}))
    return found


def outcome(answer: Json, number: int = 0) -> Any:
    result = answer["results"][number]
    return result["error"]["code"] if result["type"] == "error" else result["response"]["result"]["rows"]


@pytest.mark.parametrize("path", ["/v2/pipeline", "/v3/pipeline", "/prod/db/v2/pipeline"])
@pytest.mark.parametrize("media_type", ["application/json", "text/plain;charset=UTF-8", ""])
def test_paths_and_media_types(instance: Instance, path: str, media_type: str) -> None:
    status, answer = once(instance, asked("SELECT 1"), path=path, content_type=media_type)
    assert (status, outcome(answer)) == (200, [[{"type": "integer", "value": "1"}]])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2", 200),
        ("GET", "/v3/", 200),
        ("GET", "/v3-protobuf", 404),
        ("GET", "/v2/pipeline", 405),
        ("POST", "/v2", 405),
        ("POST", "/v4/pipeline", 405),
    ],
)
def test_methods(instance: Instance, method: str, path: str, status: int) -> None:
    scope = Scope(method=method, path=path, headers={"host": "localhost", "content-length": "0"})
    found = with_app(instance, lambda app: send(app, scope, Wire([b""])))
    assert found[0] in (status, 404 if status == 405 and path == "/v4/pipeline" else status)


def test_it_can_be_switched_off(instance: Instance) -> None:
    status, _ = once(instance, asked("SELECT 1"), {"sql": False})
    assert status in (404, 405)


@pytest.mark.parametrize(
    ("token", "settings", "reads", "writes", "administers"),
    [
        (None, {}, True, True, True),
        (None, {"host": "0.0.0.0"}, True, True, False),
        (None, {"operator_token": ADMIN}, True, True, False),
        (ADMIN, {"operator_token": ADMIN}, True, True, True),
        (READ, TOKENS, True, False, False),
        (WRITE, TOKENS, True, True, False),
        (ADMIN, TOKENS, True, True, True),
    ],
)
def test_roles(
    instance: Instance, token: str | None, settings: Json, reads: bool, writes: bool, administers: bool
) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    statements = ("SELECT 1", "UPDATE Tag SET name = name WHERE 0", "SELECT hash FROM _lamdb_schema")
    status, answer = once(instance, asked(*statements), settings, **headers)
    assert status == 200
    allowed = [outcome(answer, number) != "SQLITE_AUTH" for number in range(3)]
    assert allowed == [reads, writes, administers]


@pytest.mark.parametrize(
    "header", [None, "Bearer wrong-wrong-wrong", "Basic abc", "Bearer ", f"Bearer {READ}x"]
)
def test_tokens_that_are_refused(instance: Instance, header: str | None) -> None:
    headers = {} if header is None else {"authorization": header}
    status, answer = once(instance, asked("SELECT 1"), TOKENS, **headers)
    assert (status, answer["code"]) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("origin", "settings", "status"),
    [
        ("http://127.0.0.1:8000", {}, 200),
        ("http://evil.example", {"host": "0.0.0.0"}, 403),
        ("null", {"host": "0.0.0.0"}, 403),
        ("http://app.example", {"host": "0.0.0.0", "cors_origins": ("http://app.example",)}, 200),
        ("http://evil.example", {}, 403),
    ],
)
def test_pages_of_other_origins_are_refused(
    instance: Instance, origin: str, settings: Json, status: int
) -> None:
    """They can send text/plain without asking first."""
    found = once(instance, asked("SELECT 1"), settings, origin=origin, content_type="text/plain")
    assert found[0] == status


def test_a_stream_belongs_to_its_token(instance: Instance) -> None:
    async def test(app: Application) -> None:
        own = {"authorization": f"Bearer {WRITE}"}
        _, answer = await ask(app, asked("BEGIN"), **own)
        body = asked("SELECT 1", baton=answer["baton"])
        assert (await ask(app, body, authorization=f"Bearer {READ}"))[0] == 404
        assert (await ask(app, body, authorization=f"Bearer {ADMIN}"))[0] == 404
        assert (await ask(app, body, **own))[0] == 200

    with_app(instance, test, **TOKENS)


def test_a_proven_query_is_answered_on_the_loop(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = []
    answer = fast_path.answer

    def watched(*arguments: Any) -> Any:
        answered.append(arguments)
        return answer(*arguments)

    monkeypatch.setattr(fast_path, "answer", watched)
    body = asked("SELECT name FROM Tag ORDER BY name LIMIT 1", closes=True)

    async def test(app: Application) -> None:
        answers = [await ask(app, body) for _ in range(6)]
        assert len({str(outcome(each)) for _, each in answers}) == 1

    with_app(instance, test)
    assert answered


def test_a_transaction_beside_mutations(instance: Instance) -> None:
    create = {"query": 'mutation { createOneTag(data: {name: "graphql"}) { name } }'}

    async def test(app: Application) -> None:
        _, answer = await ask(app, asked("BEGIN IMMEDIATE", "INSERT INTO Tag (name) VALUES ('sql')"))
        mutation = asyncio.create_task(send(app, *post(create)))
        query = {"query": '{ findManyTag(where: {name: "sql"}) { name } }'}
        _, _, seen = await send(app, *post(query))
        assert seen["data"]["findManyTag"] == [], "readers neither wait nor see it"
        await asyncio.sleep(0.05)
        assert not mutation.done(), "there is one writer"
        status, answer = await ask(app, asked("COMMIT", baton=answer["baton"]))
        assert status == 200
        _, _, made = await mutation
        assert made["data"] == {"createOneTag": {"name": "graphql"}}
        status, answer = await ask(app, asked("SELECT count(*) FROM Tag WHERE name IN ('sql', 'graphql')"))
        assert outcome(answer) == [[{"type": "integer", "value": "2"}]]
        await ask(app, asked("DELETE FROM Tag WHERE name IN ('sql', 'graphql')"))

    with_app(instance, test)


def test_a_server_that_stops_rolls_back(instance: Instance) -> None:
    async def test(app: Application) -> None:
        await ask(app, asked("BEGIN IMMEDIATE", "INSERT INTO Tag (name) VALUES ('gone')"))

    with_app(instance, test)
    with instance.database.writer() as connection:
        assert connection.execute("SELECT count(*) FROM Tag WHERE name = 'gone'").get == 0


def test_many_at_once(instance: Instance) -> None:
    async def test(app: Application) -> None:
        bodies = [asked(f"INSERT INTO Tag (name) VALUES ('many {number}')") for number in range(40)]
        bodies += [asked("SELECT count(*) FROM Tag", closes=True)] * 40
        answers = await asyncio.gather(*(ask(app, body) for body in bodies))
        assert {status for status, _ in answers} == {200}
        _, answer = await ask(app, asked("DELETE FROM Tag WHERE name LIKE 'many %'"))
        assert answer["results"][0]["response"]["result"]["affected_row_count"] == 40

    with_app(instance, test)
