"""The licences of the JavaScript that is shipped: each package of the bundle is listed, with its text."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lamdb.graphql.transport import graphiql
from lamdb.graphql.transport.wire import HttpRequest

SOURCE = Path(__file__).parents[3] / "layers/sqlite-engine/graphiql"
STUDIO = SOURCE.with_name("studio")
NOTICE = Path(__file__).parents[3] / "NOTICE"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    node = shutil.which("node")
    if node is None or not (SOURCE / "node_modules/esbuild").is_dir():
        pytest.skip("the bundle's packages are not installed: make build")
    target = tmp_path_factory.mktemp("vendor")
    subprocess.run([node, "build.mjs", str(target)], cwd=SOURCE, check=True, timeout=300)
    return target


def test_every_package_is_listed_with_version_and_licence(bundle: Path) -> None:
    text = (bundle / "licenses.txt").read_text()
    listed = dict(re.findall(r"^={80}\n(\S+) \S+ \(([^)]+)\)$", text, re.MULTILINE))
    assert {"react", "react-dom", "graphql", "graphiql", "monaco-editor", "monaco-graphql"} <= set(listed)
    wanted = json.loads((SOURCE / "package.json").read_text())["dependencies"]
    assert set(wanted) - {"esbuild"} <= set(listed)
    named = {name for legal in bundle.glob("*.LEGAL.txt") for name in packages_in(legal.read_text())}
    assert named
    assert named <= set(listed)
    assert "Permission is hereby granted, free of charge" in text
    assert "Apache License" in text
    assert str(SOURCE) not in text


def test_those_of_the_studio(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (STUDIO / "node_modules/esbuild").is_dir():
        pytest.skip("the studio's packages are not installed: make build")
    subprocess.run([node, "build.mjs", str(tmp_path)], cwd=STUDIO, check=True, timeout=300)
    text = (tmp_path / "licenses.txt").read_text()
    listed = dict(re.findall(r"^={80}\n(\S+) \S+ \(([^)]+)\)$", text, re.MULTILINE))
    wanted = json.loads((STUDIO / "package.json").read_text())["dependencies"]
    assert set(wanted) - {"esbuild"} <= set(listed)
    assert listed["elkjs"] == "EPL-2.0"
    assert "Prisma branding" in text
    assert {"kysely", "@codemirror/view"} <= set(re.findall(r"[^\s,]+", text.splitlines()[-1]))
    assert str(STUDIO) not in text
    code = b"".join(path.read_bytes() for path in tmp_path.glob("*.js"))
    assert b'CHECKPOINT_DISABLE:"1"' in code, "Prisma would be told of the use"
    assert b"Prisma Studio" in code
    assert "/studio/licenses.txt" in NOTICE.read_text()


def packages_in(legal: str) -> list[str]:
    return re.findall(r"^((?:@[^/\s]+/)?[^/\s@]+)/.*:$", legal, re.MULTILINE)


def test_they_are_shown_beside_the_bundle(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphiql, "VENDOR", bundle)
    graphiql.asset.cache_clear()
    response = graphiql.bundled(HttpRequest("GET", "/graphiql/licenses.txt", "", {}))
    graphiql.asset.cache_clear()
    assert (response.status, response.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert b"monaco-editor" in response.body
    assert "/graphiql/licenses.txt" in NOTICE.read_text()
