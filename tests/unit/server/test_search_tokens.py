"""Search tokens at the door of the server."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, Wire, code, send, with_app

from lamdb.graphql.search_tokens import SearchToken
from lamdb.server.instance import Instance
from lamdb.settings import Settings

SHOP = Path(__file__).parents[3] / "examples/product-search/database"
KEY = "a key that nobody else knows"
TOKEN = f"Bearer {SearchToken(('Product',)).sign(KEY)}"
SEARCH = '{ searchProduct(query: "hedphones") { totalCount } }'
FOUND = {"data": {"searchProduct": {"totalCount": 3}}}
MUTATION = 'mutation { deleteManyProduct(where: { sku: "" }) { count } }'


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(SHOP))) as opened:
        yield opened


def ask(
    instance: Instance, path: str, query: str = SEARCH, method: str = "POST", key: str = KEY, **headers: str
) -> tuple[int, Any]:
    body = json.dumps({"query": query}).encode()
    sent = {"content-type": "application/json", "host": "127.0.0.1"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    scope, wire = Scope(method, path, sent), Wire([body])
    status, _, answer = with_app(instance, lambda app: send(app, scope, wire), search_key=key)
    return status, answer


@pytest.mark.parametrize("path", ["/graphql", "/search"])
def test_it_searches(instance: Instance, path: str) -> None:
    for _ in range(3):  # the last of them on the event loop
        assert ask(instance, path, authorization=TOKEN) == (200, FOUND)
    status, answer = ask(instance, path, "{ findManyProduct { sku } }", authorization=TOKEN)
    assert (status, code(answer)) == (403, "FORBIDDEN")
    long = SEARCH + "#" * 70_000
    assert ask(instance, path, long, authorization=TOKEN) == (200, FOUND)
    status, answer = ask(instance, path, "{ findManyProduct { sku } }#" + long, authorization=TOKEN)
    assert (status, code(answer)) == (403, "FORBIDDEN")


@pytest.mark.parametrize("path", ["/graphql", "/search"])
@pytest.mark.parametrize("prefer", ["", "respond-async"])
def test_it_does_not_write(instance: Instance, path: str, prefer: str) -> None:
    before = instance.database.txid
    for mutation in (MUTATION, MUTATION + "#" * 70_000):
        status, answer = ask(instance, path, mutation, authorization=TOKEN, prefer=prefer)
        assert (status, code(answer)) == (403, "FORBIDDEN")
    assert instance.database.txid == before


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT"])
@pytest.mark.parametrize(
    "path", ["/schema.graphql", "/", "/writes/x", "/v2/pipeline", "/v3/cursor", "/admin/graphql", "/nothing"]
)
def test_it_reaches_no_other_path(instance: Instance, path: str, method: str) -> None:
    for accept in ("*/*", "text/html"):
        assert ask(instance, path, method=method, authorization=TOKEN, accept=accept)[0] == 403


def test_the_search_endpoint_takes_nothing_else(instance: Instance) -> None:
    for authorization in ({}, {"authorization": "Bearer x"}, {"authorization": "Basic eA=="}):
        status, answer = ask(instance, "/search", **authorization)
        assert (status, code(answer)) == (401, "UNAUTHORIZED")
    assert ask(instance, "/search", key="", authorization=TOKEN)[0] == 401
    assert ask(instance, "/graphql", key="", authorization=TOKEN)[0] == 401
    assert ask(instance, "/graphql", authorization="Bearer x") == (200, FOUND)
