"""The search client for InstantSearch: its own tests against a server, and Algolia's widgets in a browser."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lamdb.graphql.search_tokens import SearchToken

from .conftest import ROOT, Server
from .test_node_clients import CHROMIUM, NODE, node

SHOP = ROOT / "examples/product-search/database"
PACKAGE = ROOT / "packages/instantsearch"
ORIGIN = "http://shop.test"
KEY = "a-key-that-nobody-else-knows"

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node"),
]


@pytest.fixture(scope="module")
def shop() -> Iterator[Server]:
    """A server with products, which pages of a shop may ask."""
    server = Server("--store", "memory:", database=SHOP, LAMDB_CORS_ORIGINS=ORIGIN, LAMDB_SEARCH_KEY=KEY)
    yield server
    server.close()


def test_the_tests_of_the_package(shop: Server) -> None:
    tests = sorted(map(str, (PACKAGE / "test").glob("*.test.js")))
    done = subprocess.run(
        ["node", "--test", "--test-reporter=tap", *tests],
        env={**os.environ, "LAMDB_URL": shop.url},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "# pass 18\n" in done.stdout
    assert "# skipped 0\n" in done.stdout


@pytest.mark.skipif(not (NODE / "node_modules/instantsearch.js").is_dir(), reason="run `make e2e`")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the Debian package `chromium`")
def test_the_widgets_of_instantsearch(shop: Server, tmp_path: Path) -> None:
    screenshot = tmp_path / "widgets.png"
    token = SearchToken(("Product",)).sign(KEY)
    arguments = (shop.url, token, ORIGIN, str(CHROMIUM), str(tmp_path / "profile"), str(screenshot))
    seen = node("widgets.mjs", *arguments)
    steps = seen["steps"]
    assert seen["console"] == []
    kept = {"cleared", "menu closed", "slider: all"}
    assert {name: step["requests"] for name, step in steps.items()} == {
        name: 0 if name in kept else 1 for name in steps
    }

    start = steps["start"]
    assert start["stats"].startswith("31 results")
    assert len(start["hits"]) == 5
    assert start["menu"] == ["Audio10", "Kitchen9", "Office6", "Photo6"]
    assert not set(start["hits"]) & set(steps["pages"]["hits"])
    assert steps["sorted"]["prices"] == sorted(steps["sorted"]["prices"])

    typed = steps["typed"]
    assert "Wireless keyboard" in typed["hits"]
    assert "Wireless" in typed["marks"]
    assert any("…" in snippet for snippet in typed["snippets"])
    assert steps["cleared"]["stats"] == steps["sorted"]["stats"]

    assert [entry for entry in steps["menu"]["menu"] if "Radios" in entry] == ["Radios3"]
    assert len(steps["submenu"]["hits"]) == 3
    assert "Kitchen9" in steps["submenu"]["menu"], "the other branches keep their counts"
    assert steps["menu closed"]["menu"] == start["menu"]

    first, second = steps["brand"], steps["two brands"]
    assert first["brands"] == start["brands"], "a disjunctive facet keeps its counts"
    assert int(second["stats"].split()[0]) > int(first["stats"].split()[0])
    assert steps["facet values"]["brands"][0] == "Corvus"
    assert all(20 <= price <= 200 for price in steps["range"]["prices"])
    slider = seen["slider"]
    assert len(set(slider["names"])) == 2, "each handle has a name"
    assert slider["start"] == [["2", "2", "5"], ["2", "5", "5"]]
    assert slider["narrow"] == [["2", "3", "4"], ["3", "4", "5"]], "the range of all records stays"
    assert min(steps["range"]["ratings"]) == 2
    assert min(steps["slider: at least"]["ratings"]) >= 3
    assert set(steps["slider: at most"]["ratings"]) <= {3, 4}
    assert steps["slider: all"]["ratings"] == steps["slider: at least"]["ratings"]
    assert steps["slider: back"]["stats"].split()[0] == steps["range"]["stats"].split()[0]
    assert int(steps["toggle"]["stats"].split()[0]) <= int(steps["range"]["stats"].split()[0])

    assert len(steps["infinite"]["hits"]) == 5
    assert len(steps["more"]["hits"]) == 10
    assert steps["more"]["hits"][:5] == steps["infinite"]["hits"]
    assert screenshot.stat().st_size > 10_000


@pytest.mark.skipif(not (NODE / "node_modules/playwright-core").is_dir(), reason="run `make e2e`")
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the Debian package `chromium`")
def test_the_search_page_of_the_server(shop: Server, tmp_path: Path) -> None:
    screenshots = (tmp_path / "light.png", tmp_path / "dark.png")
    arguments = (f"{shop.url}/search", str(CHROMIUM), str(tmp_path / "profile"), *map(str, screenshots))
    seen = node("search_page.mjs", *arguments)
    steps = seen["steps"]
    assert seen["console"] == []
    assert [url for url in seen["requests"] if not url.startswith((f"{shop.url}/", "data:"))] == []
    assert steps["start"]["status"].startswith("31 results")
    assert len(steps["start"]["titles"]) == 20
    assert steps["typo"]["titles"][0] == "Travel headphones"
    assert {"headphones", "wireless"} <= set(steps["typo"]["marks"])
    assert steps["arrows"]["focused"].startswith(steps["typo"]["titles"][1])
    assert steps["slash"]["focused"] == "query"
    assert "Coffee" in steps["replaced"]["marks"]
    assert steps["faceted"]["titles"] == ["Coffee grinder"]
    assert steps["faceted"]["focused"] == "facet-brand-Birke", "the focus stays where it was"
    assert "q=cofee" in steps["faceted"]["address"]
    assert steps["reloaded"]["titles"] == ["Coffee grinder"]
    assert seen["ground"] == "rgb(20, 23, 27)"
    assert all(each.stat().st_size > 10_000 for each in screenshots)
