"""Access to a server: roles and rules on every path, by API keys, by tokens and without."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import jwt
import pytest
from tests.unit.server.test_app import Scope, Wire, post, send

from lamdb.access import keys
from lamdb.server.app import Application
from lamdb.server.exchange import Head
from lamdb.server.instance import Instance
from lamdb.settings import Settings

SECRET = "a secret that is long enough: 32 bytes"
OPERATOR = "o" * 20
QUERY = "{ findManyNote(orderBy: {id: asc}) { text } }"
CREATE = 'mutation { createOneNote(data: {text: "x", owner: "ann"}) { id } }'
SCHEMA = """datasource db {
  provider = "sqlite"
}
RULES
model Note {
  id    Int    @id @default(autoincrement())
  text  String
  owner String
}
"""
RULES = "/// @@allow('all', owner == auth().sub)"


@pytest.fixture(scope="module", params=["", RULES], ids=["open", "ruled"])
def instance(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Instance, dict[str, str]]]:
    folder = tmp_path_factory.mktemp("database")
    (folder / "schema.prisma").write_text(SCHEMA.replace("RULES", request.param))
    with Instance.open(Settings(store="memory:", database=str(folder)), push=True) as opened:
        with opened.database.writer() as connection:
            connection.execute("INSERT INTO Note (text, owner) VALUES ('a1', 'ann'), ('b1', 'bob')")
            made = {
                role: keys.create(connection, name=role, role=role, claims={"sub": "ann"})[1]
                for role in ("read", "write", "admin")
            }
        made["ruled"] = request.param
        yield opened, made


def with_app(instance: Instance, test: Callable[[Application], Awaitable[Any]], **settings: Any) -> Any:
    async def main() -> Any:
        app = Application(instance, Settings(operator_token=OPERATOR, jwt_secret=SECRET, **settings))
        try:
            return await test(app)
        finally:
            app.close()

    return asyncio.run(main())


def token(sub: str, **claims: Any) -> str:
    return jwt.encode({"sub": sub, "exp": time.time() + 60, **claims}, SECRET, "HS256")


async def ask(app: Application, document: str, bearer: str | None, **headers: str) -> Any:
    """The data or the code of an error, the same by the quick way if that has an answer."""
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    for _ in range(4):  # until the document has proved to be quick
        scope, wire = post({"query": document}, host="localhost", **headers)
        _, _, answer = await send(app, scope, wire)
        if "mutation" in document:
            break
    body = json.dumps({"query": document}).encode()
    named = {"host": "localhost", "content-type": "application/json", "content-length": str(len(body))}
    head = Head("POST", "/graphql", "", {**named, **headers}, len(body), keep_alive=True)
    pieces = app.at_once(head, body, "Sun, 29 Nov 2026 01:00:00 GMT")
    if pieces is not None:
        assert json.loads(b"".join(pieces).partition(b"\r\n\r\n")[2]) == answer
    if "errors" in answer:
        return answer["errors"][0]["extensions"]["code"]
    (value,) = answer["data"].values()
    return [each["text"] for each in value] if isinstance(value, list) else "done"


def test_without_authentication_everybody_may_write(instance: tuple[Instance, dict[str, str]]) -> None:
    opened, made = instance

    async def test(app: Application) -> None:
        seen = [] if made["ruled"] else ["a1", "b1"]
        assert await ask(app, QUERY, None) == seen
        assert await ask(app, QUERY, "some gateway's") == seen
        assert await ask(app, QUERY, OPERATOR) == ["a1", "b1"]
        assert await ask(app, CREATE, None) == ("RULE_VIOLATION" if made["ruled"] else "done")

    with_app(opened, test)


def test_keys_and_tokens(instance: tuple[Instance, dict[str, str]]) -> None:
    opened, made = instance
    with opened.database.writer() as connection:
        connection.execute("DELETE FROM Note WHERE text = 'x'")

    async def test(app: Application) -> None:
        mine = ["a1"] if made["ruled"] else ["a1", "b1"]
        assert await ask(app, QUERY, None) == "UNAUTHORIZED"
        assert await ask(app, QUERY, "wrong") == "UNAUTHORIZED"
        assert await ask(app, QUERY, made["read"][:-1] + "-") == "UNAUTHORIZED"
        assert await ask(app, QUERY, made["read"]) == mine
        assert await ask(app, QUERY, None, **{"x-api-key": made["write"]}) == mine
        assert await ask(app, QUERY, made["admin"]) == ["a1", "b1"]
        assert await ask(app, QUERY, OPERATOR) == ["a1", "b1"]
        assert await ask(app, QUERY, token("ann")) == mine
        assert await ask(app, QUERY, token("bob")) == (["b1"] if made["ruled"] else ["a1", "b1"])
        assert await ask(app, QUERY, token("ann", exp=time.time() - 60)) == "UNAUTHORIZED"
        assert await ask(app, CREATE, made["read"]) == "FORBIDDEN"
        assert await ask(app, CREATE, token("bob", lamdb_role="read")) == "FORBIDDEN"
        assert await ask(app, CREATE, token("bob")) == ("RULE_VIOLATION" if made["ruled"] else "done")
        assert await ask(app, CREATE, made["write"]) == "done"

    with_app(opened, test, auth=("keys", "jwt"))


def test_anonymous_callers_may_have_a_role(instance: tuple[Instance, dict[str, str]]) -> None:
    opened, made = instance

    async def test(app: Application) -> None:
        assert ("a1" in await ask(app, QUERY, None)) == (not made["ruled"])
        assert await ask(app, CREATE, None) == "FORBIDDEN"
        assert await ask(app, QUERY, "wrong") == "UNAUTHORIZED"

    with_app(opened, test, auth=("keys",), anonymous_role="read")


@pytest.mark.parametrize("fails", [False, True])
def test_the_response_of_a_deferred_mutation_is_its_callers(
    instance: tuple[Instance, dict[str, str]], fails: bool
) -> None:
    opened, made = instance
    document = CREATE if not fails else "mutation { deleteOneNote(where: {id: 77}) { text } }"

    async def test(app: Application) -> None:
        headers = {"prefer": "respond-async", "idempotency_key": f"order-{fails}", "host": "localhost"}
        scope, wire = post({"query": document}, authorization=f"Bearer {token('ann')}", **headers)
        accepted, shown, _ = await send(app, scope, wire)
        assert accepted == 202
        path, _, query = shown["location"].partition("?")

        async def state(bearer: str | None, query: str = query) -> int:
            given = {} if bearer is None else {"authorization": f"Bearer {bearer}"}
            while True:
                scope = Scope("GET", path, {"host": "localhost", **given}, query_string=query)
                found, _, _ = await send_raw(app, scope, Wire([b""]))
                if found != 202:
                    return found
                await asyncio.sleep(0.01)

        assert await state(token("ann")) == await state(token("ann"), "") == 200
        for other in (None, token("bob"), token("ann", iss="another")):
            assert await state(other) == await state(other, "") == 404
        assert await state(made["admin"]) == await state(OPERATOR) == 200

    with_app(opened, test, auth=("keys", "jwt"), anonymous_role="read")


async def status(app: Application, path: str, bearer: str | None, body: Any = None, **headers: str) -> int:
    if bearer is not None:
        headers["authorization"] = f"Bearer {bearer}"
    headers["host"] = "localhost"
    if body is None:
        found, _, _ = await send_raw(app, Scope("GET", path, headers), Wire([b""]))
        return found
    scope, wire = post(body, **headers)
    scope.path = path
    found, _, answer = await send_raw(app, scope, wire)
    if b"SQLITE_AUTH" in answer:
        return 403
    return found


async def send_raw(app: Application, scope: Scope, wire: Wire) -> tuple[int, dict[str, str], bytes]:
    await app.__rsgi__(scope, wire)
    return wire.answers[0]


def test_other_paths(instance: tuple[Instance, dict[str, str]]) -> None:
    opened, made = instance
    select = {"requests": [{"type": "execute", "stmt": {"sql": "SELECT 1"}}, {"type": "close"}]}
    delete = {"requests": [{"type": "execute", "stmt": {"sql": "DELETE FROM Note WHERE 0"}}]}
    operators = {"query": "{ database { txid } }"}

    async def test(app: Application) -> None:
        assert await status(app, "/healthz", None) == 200
        assert await status(app, "/schema.graphql", None) == 401
        assert await status(app, "/schema.graphql", made["read"]) == 200
        assert await status(app, "/writes/abc", None) == 401
        assert await status(app, "/v2/pipeline", None, select) == 401
        assert await status(app, "/v2/pipeline", made["admin"], select) == 200
        assert await status(app, "/v2/pipeline", made["read"], delete) == 403
        assert await status(app, "/v2/pipeline", made["write"], select) == (403 if made["ruled"] else 200)
        assert await status(app, "/admin/graphql", None, operators) == 401
        assert await status(app, "/admin/graphql", made["write"], operators) == 403
        assert await status(app, "/admin/graphql", made["admin"], operators) in (200, 501)
        page = Scope("GET", "/", {"host": "localhost", "accept": "text/html"})
        assert (await send_raw(app, page, Wire([b""])))[0] == 200

    with_app(opened, test, auth=("keys",))


def test_large_bodies_and_deferred_writes_keep_to_the_role(instance: tuple[Instance, dict[str, str]]) -> None:
    opened, made = instance
    padded = CREATE + " " * 70_000

    async def test(app: Application) -> None:
        assert await ask(app, padded, made["read"]) == "FORBIDDEN"
        assert await ask(app, CREATE, made["read"], prefer="respond-async") == "FORBIDDEN"
        assert await ask(app, padded, made["admin"]) == "done"

    with_app(opened, test, auth=("keys",))


def test_a_server_for_operators_everywhere(instance: tuple[Instance, dict[str, str]]) -> None:
    opened, made = instance

    async def test() -> int:
        app = Application(opened, Settings(auth=("keys",)), "0.0.0.0")
        try:
            return await status(app, "/admin/graphql", made["write"], {"query": "{ database { txid } }"})
        finally:
            app.close()

    assert asyncio.run(test()) == 403
