"""An operator API on a database in memory, and one in a process of its own."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lamdb.graphql.from_settings import serving
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.operator import engine
from lamdb.operator.api import OperatorApi, OperatorContext
from lamdb.settings import Settings
from lamdb.storage import Database

type Ask = Callable[..., Any]

HEADERS = {"content-type": "application/json"}


def posted(query: str, variables: Any = None, **more: Any) -> HttpRequest:
    body = json.dumps({"query": query, "variables": variables, **more})
    return HttpRequest("POST", "/admin/graphql", "", HEADERS, body.encode())


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:") as opened:
        yield opened


@pytest.fixture
def settings() -> Settings:
    return Settings(store="memory:", slow_operation=0.0)


class DirectApi(OperatorApi):
    """As commands with `--stack` and `--function` call it."""

    def handle(self, request: HttpRequest, *, direct: bool = True) -> HttpResponse:
        return super().handle(request, direct=direct)


@pytest.fixture(params=["tartiflette", "direct, without tartiflette"])
def api(
    request: pytest.FixtureRequest,
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> OperatorApi:
    context = OperatorContext(database, serving(settings), settings)
    if request.param == "tartiflette":
        pytest.importorskip("tartiflette", reason="the operator API is not compiled: `make setup` says why")
        return OperatorApi(context)
    monkeypatch.setattr(engine, "LIBRARY", "tartiflette_is_not_installed")
    monkeypatch.setattr(engine, "_engine", None)
    return DirectApi(context)


@pytest.fixture
def ask(api: OperatorApi) -> Ask:
    """The answer to a request, whatever it is."""

    def call(query: str, variables: Any = None, **more: Any) -> Any:
        return json.loads(api.handle(posted(query, variables, **more)).body)

    return call


def code(answer: Any) -> str:
    return str(answer["errors"][0]["extensions"]["code"])
