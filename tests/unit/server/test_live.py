"""Live queries: `@live` at `/graphql`, as a stream of events."""

import asyncio
import contextlib
import gc
import hashlib
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from tests.unit.server.test_app import Scope
from tests.unit.server.test_changes import StreamWire

from lamdb.access import callers, keys
from lamdb.deployment import deploy
from lamdb.deployment.project import Project
from lamdb.graphql.api import Result
from lamdb.server import live
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.settings import Settings

type Json = dict[str, Any]

SCHEMA = """datasource db {
  provider = "sqlite"
}
/// @@allow('all', auth().sub == owner)
/// @@allow('read', team.open)
model Note {
  id     Int    @id @default(autoincrement())
  text   String
  owner  String
  teamId Int
  team   Team   @relation(fields: [teamId], references: [id])
}
/// @@allow('all', true)
model Team {
  id    Int     @id
  name  String
  open  Boolean @default(false)
  notes Note[]
}
/// @@allow('all', true)
/// @lamdb.search title
model Page {
  id    Int    @id @default(autoincrement())
  title String
}
/// @@allow('all', true)
model Other {
  id   Int @id @default(autoincrement())
  data String @default("")
}
"""
TEAMS = "query @live { findManyTeam(orderBy: { id: asc }) { id name } }"
NOTES = "query @live { findManyNote(orderBy: { id: asc }) { id text } }"
EVENTS = "text/event-stream"
SEARCH = 'query @live { searchPage(query: "tree") { totalCount } }'


def make(folder: Path, schema: str = SCHEMA, store: str = "memory:") -> Instance:
    (folder / "schema.prisma").write_text(schema)
    return Instance.open(Settings(store=store, database=str(folder)), push=True)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    with make(tmp_path) as opened:
        sql(opened, "INSERT INTO Team VALUES (1, 'red', 0), (2, 'blue', 0)")
        yield opened


def sql(instance: Instance, text: str) -> None:
    instance.database.write(lambda each: each.execute(text))


def run(instance: Instance, test: Callable[[Application], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        app = Application(instance, Settings(**settings))
        try:
            return await asyncio.wait_for(test(app), 60)
        finally:
            app.close()

    return asyncio.run(main())


class Client(StreamWire):
    def results(self) -> list[Any]:
        return [data for kind, data in self.events() if kind == "next"]

    def events(self) -> list[tuple[str, Any]]:
        found = []
        for block in b"".join(self.pieces).decode().split("\n\n"):
            fields = dict(line.split(":", 1) for line in block.splitlines() if not line.startswith(":"))
            if "event" in fields:
                data = fields["data"].strip()
                found.append((fields["event"].strip(), json.loads(data) if data else None))
        return found


def request(query: str, variables: Json | None = None, **headers: str) -> tuple[Scope, Client]:
    body = json.dumps({"query": query, "variables": variables}).encode()
    named = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "accept": EVENTS,
        "host": "localhost",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return Scope(headers=named), Client([body])


async def send(app: Application, query: str, variables: Json | None = None, **headers: str) -> Any:
    """The status, media type and body of a request that is answered at once."""
    scope, wire = request(query, variables, **headers)
    await asyncio.wait_for(app.__rsgi__(scope, wire), 20)
    ((status, found, body),) = wire.answers
    return status, found["content-type"], body


@contextlib.asynccontextmanager
async def following(
    app: Application, query: str, variables: Json | None = None, **headers: str
) -> AsyncIterator[Client]:
    scope, wire = request(query, variables, **headers)
    task = asyncio.create_task(app.__rsgi__(scope, wire))
    await until(lambda: wire.pieces or task.done())
    assert wire.pieces, wire.answers
    try:
        yield wire
    finally:
        wire.gone.set()
        await asyncio.wait_for(task, 20)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.005)


async def change(instance: Instance, text: str) -> None:
    await asyncio.to_thread(sql, instance, text)


def key(instance: Instance, role: str = "read", **claims: Any) -> dict[str, str]:
    with instance.database.writer() as connection:
        made = keys.create(connection, name=f"{role} {claims}", role=role, claims=claims)[1]
    return {"authorization": f"Bearer {made}"}


def code(body: bytes) -> str:
    found: str = json.loads(body)["errors"][0]["extensions"]["code"]
    return found


def test_a_result_follows_each_commit_that_changes_it(instance: Instance) -> None:
    async def test(app: Application) -> None:
        async with following(app, TEAMS) as client:
            assert client.begun is not None
            assert client.begun["content-type"] == EVENTS
            assert int(client.begun["x-lamdb-txid"]) == instance.database.txid
            red, blue = {"id": 1, "name": "red"}, {"id": 2, "name": "blue"}
            assert client.results() == [{"data": {"findManyTeam": [red, blue]}}]
            await change(instance, "UPDATE Team SET name = 'green' WHERE id = 2")
            await until(lambda: len(client.results()) == 2)
            assert client.results()[1]["data"]["findManyTeam"][1]["name"] == "green"
            await change(instance, "DELETE FROM Team")
            await until(lambda: len(client.results()) == 3)
            assert client.results()[2] == {"data": {"findManyTeam": []}}
        assert app._live.queries.open == 0

    run(instance, test)


@pytest.mark.parametrize(
    ("query", "statement"),
    [
        ("query @live { aggregateTeam { _count { _all } } }",
         "INSERT INTO Team VALUES (3, 'x', 0)"),
        ("query @live { findUniqueTeam(where: { id: 2 }) { name } }", "DELETE FROM Team WHERE id = 2"),
        ("query @live { findManyTeam { notes { text } } }", "INSERT INTO Note VALUES (1, 't', 'o', 1)"),
        ("query @live { findManyTeam(where: { notes: { some: {} } }) { id } }",
         "INSERT INTO Note VALUES (1, 't', 'o', 1)"),
        (SEARCH, "INSERT INTO Page (title) VALUES ('a tree')"),
        (SEARCH, "UPDATE Page SET title = 'trees' WHERE id = 1"),
        ("query L @live { t: findManyTeam { id } o: findManyOther { id } }",
         "INSERT INTO Other VALUES (1, '')"),
    ],
)  # fmt: skip
def test_whatever_is_read_counts(instance: Instance, query: str, statement: str) -> None:
    admin = key(instance, "admin")
    sql(instance, "INSERT INTO Page (title) VALUES ('first')")

    async def test(app: Application) -> None:
        async with following(app, query, **admin) as client:
            await change(instance, statement)
            await until(lambda: len(client.results()) == 2)
            first, second = client.results()
            assert first != second
            assert "errors" not in first | second

    run(instance, test, auth=("keys",))


def test_what_is_not_read_is_not_executed_again(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(app: Application) -> None:
        runs = count_runs(app, monkeypatch)
        async with following(app, TEAMS) as client:
            for _ in range(5):
                await change(instance, "INSERT INTO Other (data) VALUES ('x')")
                await asyncio.sleep(0.06)
            assert len(runs) == 1
            # Read again, but the same.
            await change(instance, "UPDATE Team SET open = 1")
            await until(lambda: len(runs) == 2)
            await change(instance, "UPDATE Team SET name = 'last' WHERE id = 1")
            await until(lambda: len(client.results()) == 2)
            assert len(runs) == 3

    run(instance, test)


def count_runs(app: Application, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    runs: list[float] = []
    execute = app._live.execute

    def counted(*arguments: Any) -> Any:
        runs.append(time.monotonic())
        return execute(*arguments)

    monkeypatch.setattr(app._live, "execute", counted)
    return runs


def test_commits_of_a_while_are_one_execution_and_the_newest_counts(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(app: Application) -> None:
        runs = count_runs(app, monkeypatch)
        async with following(app, TEAMS.replace("@live", "@live(throttle: 400)")) as client:
            for number in range(60):
                await change(instance, f"UPDATE Team SET name = 'n{number}' WHERE id = 1")
            await until(lambda: "n59" in str(client.results()[-1]))
            assert len(client.results()) <= 4
            assert all(later - earlier >= 0.35 for earlier, later in itertools.pairwise(runs))

    run(instance, test)


def test_a_client_that_does_not_read_gets_the_newest_result(instance: Instance) -> None:
    async def test(app: Application) -> None:
        scope, client = request(TEAMS)
        gate, piece = asyncio.Event(), client.response_piece

        async def slow(content: bytes) -> None:
            if client.pieces:
                await gate.wait()
            await piece(content)

        client.response_piece = slow  # type: ignore[method-assign]
        task = asyncio.create_task(app.__rsgi__(scope, client))
        await until(lambda: client.pieces)
        for number in range(20):
            await change(instance, f"UPDATE Team SET name = 'n{number}' WHERE id = 1")
            await asyncio.sleep(0.02)
        gate.set()
        await until(lambda: "n19" in str(client.results()[-1]))
        assert len(client.results()) == 3
        client.gone.set()
        await task

    run(instance, test)


def test_an_idle_stream_has_no_thread_and_no_connection(instance: Instance) -> None:
    async def test(app: Application) -> None:
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(following(app, TEAMS)) for _ in range(20)]
            assert not app.is_executing()
            assert not instance.database.pages._pinned
            status, _, _ = await send(app, "{ findManyOther { id } }", accept="application/json")
            assert status == 200
            await change(instance, "UPDATE Team SET name = 'all' WHERE id = 1")
            await until(lambda: all(len(client.results()) == 2 for client in clients))

    run(instance, test, threads=1)


def test_streams_are_bounded(instance: Instance) -> None:
    async def test(app: Application) -> None:
        async with following(app, TEAMS):
            async with following(app, TEAMS):
                scope, wire = request(TEAMS)
                await app.__rsgi__(scope, wire)
                ((status, headers, body),) = wire.answers
                assert (status, code(body), headers["retry-after"]) == (503, "OVERLOADED", "1")
                assert b"LAMDB_LIVE_QUERIES" in body
                assert json.loads(body)["errors"][0]["extensions"]["retryable"] is True
                assert (await send(app, "{ findManyTeam { id } }"))[0] == 200
            async with following(app, TEAMS) as client:
                assert client.results()

    run(instance, test, live_queries=2)


@pytest.mark.parametrize("accept", ["application/json", "application/graphql-response+json", "*/*"])
def test_a_live_query_needs_a_client_that_takes_events(instance: Instance, accept: str) -> None:
    async def test(app: Application) -> None:
        for _ in range(4):  # also where it is answered on the event loop
            status, _, body = await send(app, TEAMS, accept=accept)
            assert (status, code(body)) == (406, "NOT_ACCEPTABLE")
            assert b"text/event-stream" in body

    run(instance, test)


@pytest.mark.parametrize(
    "accept",
    ["text/event-stream, application/json", "application/graphql-response+json, text/event-stream;q=0.1"],
)  # fmt: skip
def test_a_client_that_takes_both_gets_events_for_live_queries_only(instance: Instance, accept: str) -> None:
    async def test(app: Application) -> None:
        async with following(app, TEAMS, accept=accept) as client:
            assert client.results()
        for query in ("{ findManyTeam { id } }", "# @live\n{ findManyTeam { id } }"):
            status, kind, body = await send(app, query, accept=accept)
            assert (status, kind.split(";")[0]) != (200, EVENTS)
            assert json.loads(body)["data"]["findManyTeam"]

    run(instance, test)


@pytest.mark.parametrize(
    ("query", "variables", "expected"),
    [
        ("{ findManyTeam(take: 1) { id } }", None, {"data": {"findManyTeam": [{"id": 1}]}}),
        ("query ($on: Boolean!) @live(if: $on) { findManyTeam(take: 1) { id } }", {"on": False},
         {"data": {"findManyTeam": [{"id": 1}]}}),
        ('mutation { createOneTeam(data: { id: 3, name: "@live" }) { id } }', None,
         {"data": {"createOneTeam": {"id": 3}}}),
        ("query @live { nothing }", None, "P2009"),
        ("query @live { findManyTeam { id }", None, "GRAPHQL_PARSE_FAILED"),
        ("mutation @live { deleteManyOther { count } }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription @live { findManyTeam { id } }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("{ findManyTeam @live { id } }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("query @live @live { findManyTeam { id } }", None, "GRAPHQL_VALIDATION_FAILED"),
        ('query @live(throttle: "1") { findManyTeam { id } }', None, "GRAPHQL_VALIDATION_FAILED"),
        ("query @live(throttle: -1) { findManyTeam { id } }", None, "BAD_VARIABLES"),
        ("query ($t: Int) @live(throttle: $t) { findManyTeam { id } }", {"t": 60001}, "BAD_VARIABLES"),
        ("query ($t: String) @live(throttle: $t) { findManyTeam { id } }", {"t": "1"},
         "GRAPHQL_VALIDATION_FAILED"),
    ],
)  # fmt: skip
def test_everything_else_has_one_result(
    instance: Instance, query: str, variables: Json | None, expected: Any
) -> None:
    async def test(app: Application) -> None:
        status, kind, body = await send(app, query, variables)
        assert (status, kind) == (200, EVENTS)
        client = Client(pieces=[body])
        assert [kind for kind, _ in client.events()] == ["next", "complete"]
        (result,) = client.results()
        if isinstance(expected, dict):
            assert result == expected
        else:
            assert result["errors"][0]["extensions"]["code"] == expected
            assert "data" not in result

    run(instance, test)


def test_what_is_no_graphql_request_is_refused_by_its_status(instance: Instance) -> None:
    async def test(app: Application) -> None:
        assert (await send(app, TEAMS, content_type="text/plain"))[0] == 415
        status, _, body = await send(app, TEAMS, x_lamdb_as_of="1")
        assert (status, code(body)) == (400, "MALFORMED_REQUEST")
        assert (await send(app, TEAMS, x_lamdb_txid="1000000"))[0] == 503

    run(instance, test, token_wait=0.1)


def test_a_live_query_by_get(instance: Instance) -> None:
    async def test(app: Application) -> None:
        wire = Client()
        scope = Scope(
            "GET",
            headers={"host": "localhost", "accept": EVENTS},
            query_string="query=query%20@live{findManyTeam{id}}",
        )
        task = asyncio.create_task(app.__rsgi__(scope, wire))
        await until(wire.results)
        await change(instance, "DELETE FROM Team")
        await until(lambda: len(wire.results()) == 2)
        wire.gone.set()
        await task
        mutation = Scope(
            "GET",
            headers={"host": "localhost", "accept": EVENTS},
            query_string="query=mutation{deleteManyTeam{count}}",
        )
        wire = Client()
        await app.__rsgi__(mutation, wire)
        assert wire.answers[0][0] == 405

    run(instance, test)


@pytest.mark.parametrize(
    "body",
    [
        json.dumps({"query": TEAMS}).replace("@live", "@l\\u0069ve"),
        json.dumps({"query": TEAMS.replace("@live", "@ ,# x\n  live")}),
        json.dumps({"query": TEAMS, "extensions": {"x": "y" * 200_000}}),
    ],
    ids=["escaped", "apart", "large"],
)
def test_the_directive_in_any_form(instance: Instance, body: str) -> None:
    async def test(app: Application) -> None:
        scope, client = request(TEAMS)
        client.chunks = [body.encode()]
        scope.headers["content-length"] = str(len(body))
        task = asyncio.create_task(app.__rsgi__(scope, client))
        await until(lambda: client.pieces or task.done())
        assert client.results(), client.answers
        await change(instance, "DELETE FROM Team")
        await until(lambda: len(client.results()) == 2)
        client.gone.set()
        await task

    run(instance, test)


def test_a_live_query_is_named_by_its_hash_once_it_was_sent(instance: Instance) -> None:
    sha256 = hashlib.sha256(TEAMS.encode()).hexdigest()
    named = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": sha256}}}

    async def test(app: Application) -> None:
        for sent, has_results in ((named, False), ({**named, "query": TEAMS}, True), (named, True)):
            scope, client = request(TEAMS)
            body = json.dumps(sent).encode()
            client.chunks = [body]
            scope.headers["content-length"] = str(len(body))
            task = asyncio.create_task(app.__rsgi__(scope, client))
            await until(lambda: client.pieces or task.done())  # noqa: B023 - awaited within the round
            if has_results:
                assert client.results(), client.answers
            else:
                assert code(client.answers[0][2]) == "PERSISTED_QUERY_NOT_FOUND"
            client.gone.set()
            await task

    run(instance, test)


def test_a_stream_keeps_no_result_in_memory(instance: Instance) -> None:
    sql(instance, "INSERT INTO Other (data) VALUES ('" + "x" * 500_000 + "')")

    async def test(app: Application) -> None:
        async with following(app, "query @live { findManyOther { data } }") as client:
            client.pieces.clear()
            await asyncio.sleep(0.1)
            gc.collect()
            held = [each for each in gc.get_objects() if type(each) is Result and each._body is not None]
            assert [len(each.body) for each in held if len(each.body) > 100_000] == []

    run(instance, test)


def test_commits_are_noticed_while_the_store_is_slow(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(app: Application) -> None:
        looks = []

        async def slow(*_: Any) -> None:
            looks.append(time.monotonic())
            await asyncio.sleep(30)

        monkeypatch.setattr(app._freshness, "reach", slow)
        async with following(app, TEAMS, x_lamdb_consistency="eventual") as client:
            await until(lambda: looks)
            await change(instance, "DELETE FROM Team")
            await until(lambda: len(client.results()) == 2)
            assert len(looks) == 1

    run(instance, test, changes_look=0.1)


def test_streams_end_when_the_server_stops(instance: Instance) -> None:
    async def test(app: Application) -> None:
        async with (
            following(app, TEAMS) as client,
            following(app, TEAMS.replace("@live", "@live(throttle: 60000)")),
        ):
            await change(instance, "UPDATE Team SET name = 'x' WHERE id = 1")
            app.commits.stop()
            await until(lambda: client.ended)
            assert "complete" not in [kind for kind, _ in client.events()]  # so that clients connect again
            await app.drain()

    run(instance, test)


def test_a_proxy_sees_signs_of_life(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_CHECK", 0.02)

    async def test(app: Application) -> None:
        async with following(app, TEAMS) as client:
            await until(lambda: client.pieces.count(b":\n\n") >= 3)
            assert len(client.results()) == 1

    run(instance, test)


# Callers


def test_callers_see_what_they_may_read(instance: Instance) -> None:
    ann, bob = key(instance, sub="ann"), key(instance, sub="bob")

    async def test(app: Application) -> None:
        async with following(app, NOTES, **ann) as hers, following(app, NOTES, **bob) as his:
            await change(instance, "INSERT INTO Note VALUES (1, 'a', 'ann', 1)")
            await until(lambda: len(hers.results()) == 2)
            await change(instance, "INSERT INTO Note VALUES (2, 'b', 'bob', 2)")
            await until(lambda: len(his.results()) == 2)
            # The rule reads another table than the query.
            await change(instance, "UPDATE Team SET open = 1 WHERE id = 1")
            await until(lambda: len(his.results()) == 3)
            await change(instance, "UPDATE Team SET open = 0 WHERE id = 1")
            await until(lambda: len(his.results()) == 4)
        texts = [[note["text"] for note in each["data"]["findManyNote"]] for each in his.results()]
        assert texts == [[], ["b"], ["a", "b"], ["b"]]
        assert [len(each["data"]["findManyNote"]) for each in hers.results()] == [0, 1]
        assert (await send(app, NOTES))[0] == 401

    run(instance, test, auth=("keys",))


@pytest.mark.parametrize("active", [False, True])
def test_a_revoked_key_ends_its_stream(
    instance: Instance, monkeypatch: pytest.MonkeyPatch, active: bool
) -> None:
    monkeypatch.setattr(callers, "REMEMBERED", 0.1)
    monkeypatch.setattr(live, "_CHECK", 0.1)
    ann = key(instance, sub="ann")

    async def test(app: Application) -> None:
        async with following(app, NOTES, **ann) as client:
            await change(instance, "DELETE FROM _lamdb_keys")
            await asyncio.sleep(0.11)
            if active:
                await change(instance, "INSERT INTO Note VALUES (1, 'secret', 'ann', 1)")
            await until(lambda: client.ended)
        kinds = [kind for kind, _ in client.events()]
        assert kinds == ["next", "next", "complete"]
        assert client.results()[1]["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"
        assert "secret" not in str(client.events())

    run(instance, test, auth=("keys",))


def test_a_token_that_expires_ends_its_stream(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamdb.access.jwts._LEEWAY", 0)
    monkeypatch.setattr(live, "_CHECK", 0.1)
    secret = "s" * 40
    token = jwt.encode({"sub": "ann", "exp": time.time() + 2}, secret, "HS256")

    async def test(app: Application) -> None:
        async with following(app, NOTES, authorization=f"Bearer {token}") as client:
            await change(instance, "INSERT INTO Note VALUES (1, 'a', 'ann', 1)")
            await until(lambda: len(client.results()) == 2)
            await until(lambda: client.ended)
        assert client.results()[2]["errors"][0]["extensions"]["code"] == "UNAUTHORIZED"

    run(instance, test, auth=("jwt",), jwt_secret=secret)


def test_other_claims_of_a_caller_count_at_once(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "REMEMBERED", 0.05)
    monkeypatch.setattr(live, "_CHECK", 0.05)
    ann = key(instance, sub="ann")
    sql(instance, "INSERT INTO Note VALUES (1, 'a', 'ann', 1), (2, 'b', 'bob', 1)")

    async def test(app: Application) -> None:
        async with following(app, NOTES, **ann) as client:
            await change(instance, """UPDATE _lamdb_keys SET claims = '{"sub": "bob"}'""")
            await until(lambda: len(client.results()) == 2)
        texts = [[note["text"] for note in each["data"]["findManyNote"]] for each in client.results()]
        assert texts == [["a"], ["b"]]

    run(instance, test, auth=("keys",))


# Schemas


def redeploy(instance: Instance, folder: Path, schema: str) -> None:
    (folder / "schema.prisma").write_text(schema)
    deploy.push_project(instance.database, Project.at(str(folder)), is_private=True)


def test_other_rules_count_at_once(instance: Instance, tmp_path: Path) -> None:
    """They are in comments of the schema: no table changes."""
    bob = key(instance, sub="bob")
    sql(instance, "INSERT INTO Note VALUES (1, 'a', 'ann', 1)")

    async def test(app: Application) -> None:
        async with following(app, NOTES, **bob) as client:
            for rule, seen in (("true", 1), ("false", 0)):
                schema = SCHEMA.replace("'read', team.open", f"'read', {rule}")
                await asyncio.to_thread(redeploy, instance, tmp_path, schema)
                await until(lambda seen=seen: len(client.results()[-1]["data"]["findManyNote"]) == seen)
        assert len(client.results()) == 3

    run(instance, test, auth=("keys",))


def test_a_migration_that_keeps_the_query_valid_is_followed(instance: Instance, tmp_path: Path) -> None:
    async def test(app: Application) -> None:
        async with following(app, TEAMS) as client:
            schema = SCHEMA.replace("  name  String\n", "  name  String\n  size  Int @default(5)\n")
            await asyncio.to_thread(redeploy, instance, tmp_path, schema)
            await change(instance, "UPDATE Team SET name = 'x', size = 7 WHERE id = 1")
            await until(lambda: len(client.results()) == 2)
            assert client.results()[1]["data"]["findManyTeam"][0]["name"] == "x"

    run(instance, test)


def test_a_migration_that_makes_the_query_invalid_ends_it(instance: Instance, tmp_path: Path) -> None:
    async def test(app: Application) -> None:
        async with following(app, "query @live { findManyOther { id data } }") as client:
            schema = SCHEMA.replace('  data String @default("")\n', "")
            await asyncio.to_thread(redeploy, instance, tmp_path, schema)
            await until(lambda: client.ended)
        assert [kind for kind, _ in client.events()] == ["next", "next", "complete"]
        assert client.results()[1]["errors"][0]["extensions"]["code"] == "P2009"

    run(instance, test)


def test_introspection_can_be_live(instance: Instance, tmp_path: Path) -> None:
    query = 'query @live { __type(name: "Other") { fields { name } } }'

    async def test(app: Application) -> None:
        async with following(app, query) as client:
            schema = SCHEMA.replace("  data String", "  more Int?\n  data String")
            await asyncio.to_thread(redeploy, instance, tmp_path, schema)
            await until(lambda: "more" in str(client.results()[-1]))

    run(instance, test)


# Failures


def test_a_failure_that_passes_does_not_end_the_stream(
    instance: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lamdb.errors import StoreUnavailable

    monkeypatch.setattr(live, "_FIRST_PAUSE", 0.01)

    async def test(app: Application) -> None:
        async with following(app, TEAMS) as client:
            execute, failures = app._live.execute, iter(range(3))

            def failing(*arguments: Any) -> Any:
                if next(failures, None) is not None:
                    raise StoreUnavailable("gone for a while")
                return execute(*arguments)

            monkeypatch.setattr(app._live, "execute", failing)
            await change(instance, "UPDATE Team SET name = 'x' WHERE id = 1")
            await until(lambda: len(client.results()) == 2)
            assert "errors" not in client.results()[1]

    run(instance, test)


def test_a_failure_that_stays_ends_the_stream(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    from lamdb.errors import StoreUnavailable

    monkeypatch.setattr(live, "_FIRST_PAUSE", 0.001)
    monkeypatch.setattr(live, "_LONGEST_PAUSE", 0.002)

    async def test(app: Application) -> None:
        async with following(app, TEAMS) as client:

            def failing(*arguments: Any) -> Any:
                raise StoreUnavailable("gone")

            monkeypatch.setattr(app._live, "execute", failing)
            await change(instance, "UPDATE Team SET name = 'x' WHERE id = 1")
            await until(lambda: client.ended)
        assert client.results()[-1]["errors"][0]["extensions"]["code"] == "STORE_UNAVAILABLE"

    run(instance, test)


def test_errors_of_fields_are_results(instance: Instance) -> None:
    sql(instance, "INSERT INTO Other VALUES (1, 'x')")
    query = "query @live { findUniqueOtherOrThrow(where: { id: 1 }) { data } }"

    async def test(app: Application) -> None:
        async with following(app, query) as client:
            await change(instance, "DELETE FROM Other")
            await until(lambda: len(client.results()) == 2)
            assert client.results()[1]["errors"]
            await change(instance, "INSERT INTO Other VALUES (1, 'y')")
            await until(lambda: len(client.results()) == 3)
            assert client.results()[2] == {"data": {"findUniqueOtherOrThrow": {"data": "y"}}}

    run(instance, test)


def test_a_query_that_takes_too_long_is_refused(instance: Instance) -> None:
    async def test(app: Application) -> None:
        status, _, body = await send(app, TEAMS, x_lamdb_timeout="0.000001")
        assert status >= 500
        assert code(body) == "TIME_LIMIT"

    run(instance, test)


# Several servers


def test_commits_of_other_servers_are_noticed(tmp_path: Path) -> None:
    store = f"file://{tmp_path}/store"
    with make(tmp_path, store=store) as one, make(tmp_path, store=store) as far:

        async def test(app: Application) -> None:
            async with following(app, TEAMS) as client:
                for number in range(1, 4):
                    await change(far, f"INSERT INTO Team VALUES ({number}, 'n', 0)")
                    await until(
                        lambda number=number: len(client.results()[-1]["data"]["findManyTeam"]) == number
                    )

        run(one, test, changes_look=0.1)
