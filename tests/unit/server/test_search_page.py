"""The search page: made of the schema, reaching nothing but the server, gone if it is switched off."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, Wire, code, with_app

from lamdb.errors import NoSchema, StorageError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.settings import Settings

SHOP = Path(__file__).parents[3] / "examples/product-search/database"


@pytest.fixture(scope="module")
def instance() -> Iterator[Instance]:
    with Instance.open(Settings(store="memory:", database=str(SHOP))) as opened:
        yield opened


def get(
    instance: Instance, path: str, method: str = "GET", **settings: Any
) -> tuple[int, dict[str, str], str]:
    async def test(app: Application) -> tuple[int, dict[str, str], bytes]:
        wire = Wire()
        await app.__rsgi__(Scope(method, path, {"accept": "text/html,*/*;q=0.8"}), wire)
        return wire.answers[0]

    status, headers, body = with_app(instance, test, **settings)
    return status, headers, body.decode()


def test_the_page_knows_what_is_searched(instance: Instance) -> None:
    status, headers, body = get(instance, "/search")
    assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    found = re.search(r'data-models="([^"]*)"', body)
    assert found is not None
    [product] = json.loads(html.unescape(found[1]))
    assert (product["name"], product["title"], product["texts"]) == (
        "Product",
        "title",
        ["brand", "description"],
    )
    assert {"name": "price", "kind": "number"} in product["facets"]
    assert product["orders"] == ["price", "rating", "sold"]


@pytest.mark.parametrize(("name", "kind"), [("page.js", "text/javascript"), ("page.css", "text/css")])
def test_its_files(instance: Instance, name: str, kind: str) -> None:
    status, headers, body = get(instance, f"/search/{name}")
    assert (status, headers["content-type"]) == (200, f"{kind}; charset=utf-8")
    assert headers["etag"]
    assert "http://" not in body
    assert "https://" not in body


@pytest.mark.parametrize(
    "path", ["/search/x.js", "/search/page.html", "/search/../app.py", "/search/..%2fapp.py"]
)
def test_there_is_nothing_else(instance: Instance, path: str) -> None:
    status, _, body = get(instance, path)
    assert (status, code(json.loads(body))) == (404, "NOT_FOUND")


def test_it_can_be_switched_off(instance: Instance) -> None:
    for path, status in (("/search", 401), ("/search/page.js", 404)):
        assert get(instance, path, search_page=False)[0] == status
    assert get(instance, "/search", graphiql=False)[0] == 200
    assert get(instance, "/search/page.js", method="POST")[0] == 405


HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
POST = "model Post {\n  id Int @id\n  title String\n}\n"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """A server whose schema declares neither searches nor changes."""
    directory = tmp_path_factory.mktemp("plain")
    (directory / "schema.prisma").write_text(HEAD + POST)
    with Instance.open(Settings(store="memory:", database=str(directory)), push=True) as opened:
        yield opened


def test_without_searches_it_says_how_to_declare_one(plain: Instance) -> None:
    status, headers, body = get(plain, "/search")
    assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "No model is searchable" in body
    assert "<script" not in body
    [declaration] = re.findall(r"<code>(/// @lamdb.*?)</code>", html.unescape(body), re.DOTALL)
    [definition] = PrismaSchema.parse(f"{HEAD}{declaration}\n").searches
    assert (definition.model, [field.column for field in definition.fields]) == ("Post", ["title", "body"])


def places(instance: Instance, **settings: Any) -> dict[str, str]:
    async def test(app: Application) -> dict[str, str]:
        wire = Wire()
        await app.__rsgi__(Scope("GET", "/", {"accept": "application/json"}), wire)
        status, _, body = wire.answers[0]
        assert status == 200
        found: dict[str, str] = json.loads(body)
        return found

    return with_app(instance, test, **settings)


KEY = "k" * 32


@pytest.mark.parametrize("settings", [{}, {"search_page": False}, {"search_page": False, "search_key": KEY}])
def test_the_paths_list_searches_where_they_are_served(
    instance: Instance, plain: Instance, settings: dict[str, Any]
) -> None:
    is_served = settings.get("search_page", True) or "search_key" in settings
    assert places(instance, **settings).get("search") == ("/search" if is_served else None)
    assert "search" not in places(plain, **settings)


def test_the_paths_list_the_changes_of_a_schema_that_records_them(tmp_path: Path, plain: Instance) -> None:
    assert "changes" not in places(plain)
    (tmp_path / "schema.prisma").write_text(f"{HEAD}/// @lamdb.changes\n{POST}")
    with Instance.open(Settings(store="memory:", database=str(tmp_path)), push=True) as opened:
        found = places(opened)
        assert (found["changes"], "search" in found) == ("/changes", False)


def test_the_paths_list_what_settings_switch_on(plain: Instance) -> None:
    switched = {"sql": True, "metrics": "on", "studio": "on"}
    expected = {"sql": "/v2", "metrics": "/metrics", "studio": "/studio"}
    assert expected.items() <= places(plain, **switched).items()
    off = places(plain, sql=False, metrics="off", studio="off")
    assert expected.keys().isdisjoint(off)
    assert {"graphql", "schema", "health"} <= off.keys()


def test_the_paths_are_listed_without_a_schema_and_without_the_store(
    plain: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (NoSchema("none"), StorageError("the store does not answer")):

        def fails(error: Exception = error) -> None:
            raise error

        monkeypatch.setattr(plain, "renderings", fails)
        assert places(plain)["graphql"] == "/graphql"
