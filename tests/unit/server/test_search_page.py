"""The search page: made of the schema, reaching nothing but the server, gone if it is switched off."""

import html
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.server.test_app import Scope, Wire, code, with_app

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
