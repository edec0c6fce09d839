"""The server as judged by others: the GraphQL over HTTP audit, and GraphiQL in a browser."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import Server

NODE = Path(__file__).parent / "node"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(not (NODE / "node_modules").is_dir(), reason="run `make e2e` to install the tools"),
]


def node(script: str, *arguments: str) -> Any:
    """The output of a script in `node/`."""
    done = subprocess.run(
        ["node", str(NODE / script), *arguments], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_audit_of_graphql_over_http_finds_nothing(demo: Server) -> None:
    results = node("audit.mjs", f"{demo.url}/graphql")
    assert len(results) >= 60
    assert [result for result in results if result["status"] != "ok"] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the Debian package `chromium`")
def test_graphiql_works_with_nothing_but_the_server(demo: Server, tmp_path: Path) -> None:
    screenshot = tmp_path / "graphiql.png"
    seen = node("graphiql.mjs", f"{demo.url}/", str(CHROMIUM), str(tmp_path / "profile"), str(screenshot))
    assert "ada@example.com" in seen["response"]
    assert "Query" in seen["documentation"]
    assert any("findUniqueArticle" in completion for completion in seen["completions"])
    assert seen["console"] == []
    assert seen["failures"] == []
    assert [url for url in seen["requests"] if not url.startswith(f"{demo.url}/")] == []
    assert any("graphql.worker.js" in url for url in seen["requests"])
    assert screenshot.stat().st_size > 10_000


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install the Debian package `chromium`")
def test_graphiql_works_for_operators(demo: Server, tmp_path: Path) -> None:
    pytest.importorskip("tartiflette", reason="the operator API is not compiled: `make setup` says why")
    page = (f"{demo.url}/admin/graphql", str(CHROMIUM), str(tmp_path / "profile"), str(tmp_path / "shot.png"))
    seen = node("graphiql.mjs", *page, "database", "{ restoreP")
    assert "restorePoints" in seen["response"]
    assert "Mutation" in seen["documentation"]
    assert any("restorePoints" in completion for completion in seen["completions"])
    assert seen["console"] == []
    assert seen["failures"] == []
    assert f"{demo.url}/graphql" not in seen["requests"], "the page asks the operator API only"
