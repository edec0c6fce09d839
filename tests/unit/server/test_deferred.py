"""Mutations with `Prefer: respond-async`: answered at once, executed once, and asked for by their key."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.transport import deferred
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.settings import Settings

from .test_app import QUERY, Scope, Wire, code, post, send, with_app

DEMO = Path(__file__).parents[3] / "database"
CREATE = "mutation ($name: String!) { createOneTag(data: {name: $name}) { name } }"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


async def state(app: Application, location: str) -> tuple[int, Any]:
    """The outcome of a write."""
    while True:
        path, _, query = location.partition("?")
        status, _, body = await send(app, Scope("GET", path, query_string=query), Wire())
        if status != 202:
            return status, body
        assert body == {"status": "pending"}
        await asyncio.sleep(0.01)


def defer(name: str, **headers: str) -> tuple[Scope, Wire]:
    return post({"query": CREATE, "variables": {"name": name}}, prefer="respond-async", **headers)


@pytest.mark.parametrize(
    ("preferred", "is_async"),
    [
        ("respond-async", True),
        ("respond-async, wait=10", True),
        ("return=minimal, Respond-Async", True),
        ("respond-async;x=1", True),
        ("wait=10", False),
        ("respond-asynchronously", False),
        ("x-respond-async", False),
        ("", False),
    ],
)
def test_the_preference_is_read_as_the_rfc_has_it(preferred: str, is_async: bool) -> None:
    assert deferred.prefers_async({"prefer": preferred}) is is_async


@pytest.mark.parametrize("key", ["k1", None, "a/b c?&#%", "x" * 255])
def test_a_deferred_mutation_is_executed_and_its_response_is_told(
    instance: Instance, key: str | None
) -> None:
    async def test(app: Application) -> None:
        given = {} if key is None else {"idempotency_key": key}
        status, headers, body = await send(app, *defer(f"later-{key}", **given))
        assert (status, body["status"]) == (202, "pending")
        assert headers["preference-applied"] == "respond-async"
        assert headers["location"].startswith("/writes/")
        told = await state(app, headers["location"])
        response = {"data": {"createOneTag": {"name": f"later-{key}"}}}
        assert told == (200, {"status": "done", "httpStatus": 200, "refused": False, "response": response})
        if key is not None:
            # The same request, sent as any other, is answered from then.
            plain = post({"query": CREATE, "variables": {"name": f"later-{key}"}}, **given)
            status, headers, body = await send(app, *plain)
            assert (status, headers.get("x-lamdb-replayed"), body) == (200, "true", response)

    with_app(instance, test)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ('mutation { createOneTag(data: {name: "history"}) { name } }', "P2002"),
        ('mutation { deleteOneTag(where: {name: "nobody"}) { name } }', "P2025"),
        ("mutation { nothing { name } }", "P2009"),
    ],
)
def test_a_failure_is_told_and_the_key_can_be_used_again(
    instance: Instance, query: str, expected: str
) -> None:
    async def test(app: Application) -> None:
        for _ in range(2):
            sent = post({"query": query}, prefer="respond-async", idempotency_key=f"fails-{expected}")
            status, headers, _ = await send(app, *sent)
            assert status == 202
            status, body = await state(app, headers["location"])
            assert (status, body["status"]) == (200, "done")
            assert code(body["response"]) == expected
        txid = instance.database.txid
        await send(app, *post({"query": QUERY}))
        assert instance.database.txid == txid
        ok = defer(f"after-{expected}", idempotency_key=f"fails-{expected}")
        _, headers, _ = await send(app, *ok)
        assert (await state(app, headers["location"]))[1]["response"]["data"]

    with_app(instance, test)


def test_a_key_of_another_request_is_told_as_mismatch(instance: Instance) -> None:
    async def test(app: Application) -> None:
        locations = []
        for name in ("one", "two", "one"):
            _, headers, _ = await send(app, *defer(f"mismatch-{name}", idempotency_key="same"))
            locations.append(headers["location"])
            await state(app, headers["location"])
        told = [(await state(app, location))[1] for location in (*locations, "/writes/same")]
        first = {"data": {"createOneTag": {"name": "mismatch-one"}}}
        assert [told[0]["response"], told[2]["response"]] == [first, first]
        assert (told[1]["httpStatus"], told[1]["refused"]) == (422, True)
        assert code(told[1]["response"]) == "IDEMPOTENCY_MISMATCH"
        # Without the request that it is asked for, the key stands for the one that was executed.
        assert told[3]["response"] == first
        status, _, body = await send(app, Scope("GET", "/writes/same", query_string="request=no"), Wire())
        assert (status, code(body)) == (400, "MALFORMED_REQUEST")

    with_app(instance, test)


def test_queries_are_answered_as_ever(instance: Instance) -> None:
    async def test(app: Application) -> None:
        status, headers, body = await send(app, *post({"query": QUERY}, prefer="respond-async"))
        assert status == 200
        assert "preference-applied" not in headers
        assert "data" in body

    with_app(instance, test)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/writes/never-sent", 404),
        ("GET", "/writes/", 404),
        ("GET", "/writes/%ff", 400),
        ("GET", "/writes/" + "x" * 256, 400),
        ("POST", "/writes/k", 405),
    ],
)
def test_what_is_no_state_is_refused(instance: Instance, method: str, path: str, expected: int) -> None:
    async def test(app: Application) -> None:
        status, _, body = await send(app, Scope(method, path), Wire([b""]))
        assert (status, "errors" in body) == (expected, True)

    with_app(instance, test)


def test_it_is_pending_while_the_writer_is_busy(instance: Instance) -> None:
    async def test(app: Application) -> None:
        held, free = threading.Event(), threading.Event()
        holder = threading.Thread(target=hold, args=(instance, held, free))
        holder.start()
        held.wait(10)
        try:
            _, headers, _ = await send(app, *defer("waits"))
            status, _, body = await send(app, Scope("GET", headers["location"]), Wire())
            assert (status, body) == (202, {"status": "pending"})
        finally:
            free.set()
        assert (await state(app, headers["location"]))[0] == 200
        holder.join()

    with_app(instance, test)


def hold(instance: Instance, held: threading.Event, free: threading.Event) -> None:
    with instance.database.writer():
        held.set()
        free.wait(10)
