"""Access to the operator API of a server: only permitted clients get in."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, code, post, send, with_app

from lamdb.graphql.transport.http import HttpRequest, HttpResponse
from lamdb.server.app import Application
from lamdb.server.hosts import is_loopback
from lamdb.server.instance import Instance
from lamdb.server.operators import announces_operators
from lamdb.settings import Settings

DEMO = Path(__file__).parents[3] / "database"
TOKEN = "0123456789abcdef"
STATUS = {"query": "{ __typename }"}
ANSWER = {"data": {"__typename": "Query"}}


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(DEMO))) as opened:
        yield opened


def operate(
    instance: Instance, body: Any = STATUS, *, method: str = "POST", settings: Any = None, **headers: str
) -> tuple[int, dict[str, str], Any]:
    """The answer to an operator's request; `headers` with _ in place of -."""
    scope, wire = post(body, **{"host": "127.0.0.1:8000", **headers})
    scope.path, scope.method = "/admin/graphql", method
    given: tuple[int, dict[str, str], Any] = with_app(
        instance, lambda app: send(app, scope, wire), **(settings or {})
    )
    return given


def test_it_answers_on_a_loopback_address(instance: Instance) -> None:
    status, headers, answer = operate(instance)
    assert (status, answer) == (200, ANSWER)
    assert headers["x-request-id"]
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("settings", "served"),
    [
        ({}, True),
        ({"host": "localhost"}, True),
        ({"host": "::1"}, True),
        ({"host": "127.3.2.1"}, True),
        ({"host": "0.0.0.0"}, False),
        ({"host": "::"}, False),
        ({"host": "192.0.2.1"}, False),
        ({"host": "db.example"}, False),
        ({"host": "0.0.0.0", "operator_token": TOKEN}, True),
        ({"host": "0.0.0.0", "operator": "on"}, True),
        ({"operator": "off"}, False),
        ({"operator": "off", "operator_token": TOKEN}, False),
    ],
)
def test_where_it_is_served(instance: Instance, settings: Any, served: bool) -> None:
    status, _, answer = operate(instance, settings=settings, authorization=f"Bearer {TOKEN}")
    assert status == (200 if served else 404)
    if not served:
        assert code(answer) == "NOT_FOUND"
        for method in ("GET", "OPTIONS", "PUT"):
            assert operate(instance, method=method, settings=settings, accept="text/html")[0] == 404


def test_the_address_that_is_listened_on_decides(instance: Instance) -> None:
    async def main() -> Any:
        app = Application(instance, Settings(host="localhost"), "192.0.2.1")
        try:
            scope, wire = post(STATUS, host="localhost")
            scope.path = "/admin/graphql"
            return await send(app, scope, wire)
        finally:
            app.close()

    assert asyncio.run(main())[0] == 404


@pytest.mark.parametrize(
    ("authorization", "accepted"),
    [
        (f"Bearer {TOKEN}", True),
        (f"bearer {TOKEN}", True),
        (f"Bearer  {TOKEN}", True),
        (f"Bearer {TOKEN}x", False),
        (f"Bearer {TOKEN[:-1]}", False),
        ("Bearer", False),
        ("Bearer ", False),
        ("Bearer \ud800é", False),
        (f"Basic {TOKEN}", False),
        (TOKEN, False),
        ("", False),
        (None, False),
    ],
)
def test_the_token(instance: Instance, authorization: str | None, accepted: bool) -> None:
    headers = {} if authorization is None else {"authorization": authorization}
    for host in ("127.0.0.1", "0.0.0.0"):
        status, answered, answer = operate(
            instance, settings={"operator_token": TOKEN, "host": host}, **headers
        )
        assert status == (200 if accepted else 401)
        if not accepted:
            assert code(answer) == "UNAUTHORIZED"
            assert answered["www-authenticate"] == "Bearer"
            assert TOKEN not in json.dumps(answer)


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"host": "localhost:8000"}, True),
        ({"host": "[::1]:8000"}, True),
        ({"host": "127.0.0.1"}, True),
        ({"host": "localhost:8000", "origin": "http://localhost:8000"}, True),
        # DNS that was made to point here, and pages from elsewhere.
        ({"host": "attacker.example"}, False),
        ({"host": "localhost.attacker.example"}, False),
        ({"host": "127.0.0.1.attacker.example:8000"}, False),
        ({"host": ""}, False),
        ({"host": "[::1"}, False),
        ({"host": "localhost:8000", "origin": "http://localhost:3000"}, False),
        ({"host": "localhost:8000", "origin": "https://attacker.example"}, False),
        ({"host": "localhost:8000", "origin": "null"}, False),
    ],
)
def test_without_a_token_only_this_machines_own_pages(
    instance: Instance, headers: dict[str, str], accepted: bool
) -> None:
    status, _, answer = operate(instance, **headers)
    assert status == (200 if accepted else 403)
    assert accepted or code(answer) == "FORBIDDEN"


@pytest.mark.parametrize("token", ["", TOKEN])
def test_no_page_of_another_origin_ever(instance: Instance, token: str) -> None:
    settings = {"cors_origins": ("*",), "operator_token": token}
    origin = "https://friend.example"
    asked = {"origin": origin, "access_control_request_method": "POST"}
    status, headers, _ = operate(instance, method="OPTIONS", settings=settings, **asked)
    assert status in (401, 403)
    assert not [name for name in headers if name.startswith("access-control")]
    _, headers, _ = operate(instance, settings=settings, origin=origin, authorization=f"Bearer {token}")
    assert not [name for name in headers if name.startswith("access-control")]
    # The data API of the same server allows it.
    scope, wire = post({"query": "{ __typename }"}, origin=origin)
    _, headers, _ = with_app(instance, lambda app: send(app, scope, wire), **settings)
    assert headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_can_send_is_refused(instance: Instance, content_type: str) -> None:
    assert operate(instance, content_type=content_type)[0] == 415


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_it_is_asked_by_post_only(instance: Instance, method: str) -> None:
    assert operate(instance, method=method)[0] == 405


def test_the_body_is_limited(instance: Instance) -> None:
    assert operate(instance, b"x" * 5000, settings={"max_body_bytes": 4096})[0] == 413
    # Who may not ask does not get to send one.
    settings = {"max_body_bytes": 4096, "operator_token": TOKEN}
    assert operate(instance, b"x" * 5000, settings=settings)[0] == 401


def page(instance: Instance, **settings: Any) -> tuple[int, str]:
    async def main() -> tuple[int, str]:
        app = Application(instance, Settings(**settings))
        scope, wire = (
            Scope("GET", "/admin/graphql", {"accept": "text/html", "host": "localhost"}),
            post(b"")[1],
        )
        try:
            await app.__rsgi__(scope, wire)
        finally:
            app.close()
        ((status, _, body),) = wire.answers
        return status, body.decode()

    return asyncio.run(main())


def test_browsers_get_graphiql(instance: Instance) -> None:
    status, shown = page(instance)
    assert status == 200
    if "not built" not in shown:
        assert 'data-endpoint="/admin/graphql"' in shown
        assert "restorePoints" in shown
    # The page shows nothing: it may be had without the token that what it asks needs.
    assert page(instance, operator_token=TOKEN)[0] == 200
    assert page(instance, operator="off")[0] == 404
    assert page(instance, graphiql=False)[0] == 405


def test_the_index_names_it(instance: Instance) -> None:
    for operator, named in (("auto", True), ("off", False)):
        answer = with_app(
            instance, lambda app: send(app, Scope("GET", "/"), post(b"")[1]), operator=operator
        )[2]
        assert ("operator" in answer) is named


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_operators_are_announced_where_they_are_installed(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for found in (object(), None):
        monkeypatch.setattr("lamdb.server.operators.find_spec", lambda _name, found=found: found)
        assert announces_operators(Settings(), host) is (found is not None)
        assert not announces_operators(Settings(operator="off"), host)


def test_operators_hold_nobody_up(instance: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an operator's request takes, everybody else is answered, and the server waits for it."""
    release, began = threading.Event(), threading.Event()

    def slow(_: HttpRequest) -> HttpResponse:
        began.set()
        assert release.wait(10)
        return HttpResponse(200, {}, b"{}")

    async def test(app: Application) -> None:
        monkeypatch.setattr(app._operators, "answer", slow)
        scope, wire = post(STATUS, host="localhost")
        scope.path = "/admin/graphql"
        running = asyncio.create_task(send(app, scope, wire))
        await asyncio.to_thread(began.wait)
        assert app.is_executing()
        for _ in range(40):
            status, _, _ = await send(app, *post({"query": "{ findManyTag(take: 1) { name } }"}))
            assert status == 200
        assert not running.done()
        release.set()
        assert (await running)[0] == 200

    with_app(instance, test)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("LOCALHOST", True),
        ("127.0.0.1", True),
        ("[::1]", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("", False),
        ("example", False),
        ("localhost.example", False),
        ("2130706433", False),
    ],
)
def test_what_a_loopback_name_is(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    "module",
    [
        "lamdb.server.app",
        "lamdb.cli.serve",
        "lamdb.cluster.proxy",
        "lamdb.cluster.reader",
        "lamdb.cluster.writer",
    ],
)
def test_nothing_of_tartiflette_is_loaded_before_it_is_asked_for(module: str) -> None:
    lists = f"import sys, {module}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", lists], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "lamdb.errors" in loaded
    assert not {
        name for name in loaded if name.partition(".")[0] in {"tartiflette", "lark", "cffi", "pycparser"}
    }
    assert not loaded & {"lamdb.operator.engine", "lamdb.operator.guard", "lamdb.operator.api"}
