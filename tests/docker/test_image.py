"""The Dockerfile's image and compose.yaml, in a real engine, on base images of this machine."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from tests.support.sam_build import NEEDS_LINUX, ROOT

import lamdb

from . import standin
from .engine import Engine

pytestmark = [pytest.mark.slow, NEEDS_LINUX, pytest.mark.timeout(900)]

DEMO = ("--volume", f"{ROOT}/database:/database:ro")
START_SECONDS = 120


class Client:
    """Asks a server, once it answers."""

    def __init__(self, address: str) -> None:
        self._http = httpx.Client(base_url=f"http://{address}", timeout=30)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                if self._http.get("/healthz").status_code == 200:
                    return
            time.sleep(0.02)
        raise AssertionError(f"nothing answers at {address}")

    def data(self, query: str) -> Any:
        answer = self._http.post("/graphql", json={"query": query}).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def page(self, path: str, accept: str = "text/html", accept_encoding: str = "gzip") -> str:
        headers = {"accept": accept, "accept-encoding": accept_encoding}
        answer = self._http.get(path, headers=headers)
        assert answer.status_code == 200, (path, answer.text[:500])
        return answer.text

    def tags(self) -> list[str]:
        return [tag["name"] for tag in self.data("{ findManyTag { name } }")["findManyTag"]]

    def create(self, name: str) -> None:
        self.data(f'mutation {{ createOneTag(data: {{ name: "{name}" }}) {{ id }} }}')


class Container:
    def __init__(self, engine: Engine, image: str, *options: str) -> None:
        self.engine = engine
        self.id = engine.run("run", "--detach", "--publish", "127.0.0.1::8000", *options, image)

    def client(self) -> Client:
        """Raises `AssertionError`, with the container's log."""
        try:
            return Client(self.engine.run("port", self.id, "8000").splitlines()[0])
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.engine.run('logs', self.id)}") from None

    def state(self) -> Any:
        return json.loads(self.engine.run("inspect", "--format", "{{json .State}}", self.id))

    def wait_until_healthy(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while (status := self.state()["Health"]["Status"]) != "healthy":
            assert time.monotonic() < deadline, status
            time.sleep(0.1)

    def remove(self) -> None:
        self.engine.run("rm", "--force", "--volumes", self.id)


def test_the_image_adds_no_more_than_is_documented(engine: Engine, image: str) -> None:
    def size(name: str) -> int:
        return int(engine.run("image", "inspect", "--format", "{{.Size}}", name))

    added = size(image) - size(standin.PYTHON)
    print(f"lamDB adds {added / 1e6:.1f} MB to its base")
    documented = re.search(r"lamDB adds (\d+) MB to its base image", (ROOT / "docs/docker.md").read_text())
    assert documented is not None
    assert added < 1e6 * (int(documented[1]) + 3), "parts differ by processor and versions"


@pytest.fixture
def run(engine: Engine, image: str) -> Iterator[Callable[..., Container]]:
    """`run("--env", …)` starts a container, which ends with the test."""
    started: list[Container] = []

    def start(*options: str) -> Container:
        started.append(Container(engine, image, *options))
        return started[-1]

    yield start
    for container in started:
        container.remove()


def test_a_container_serves_is_healthy_and_keeps_its_data(run: Callable[..., Container]) -> None:
    container = run(*DEMO)
    client = container.client()
    assert "history" in client.tags(), "the demo's seed"
    container.wait_until_healthy()
    client.create("kept")
    asked = container.engine.run("exec", container.id, "lamdb", "query", "{ findManyTag { name } }")
    assert '"kept"' in asked, "the command has the server's settings"
    container.engine.run("stop", "--time", "10", container.id)
    assert container.state()["ExitCode"] == 0, "who does not end within 10 s is killed"
    container.engine.run("start", container.id)
    assert "kept" in container.client().tags()
    container.engine.run("kill", container.id)
    container.engine.run("start", container.id)
    assert "kept" in container.client().tags()


def test_a_volume_outlives_its_container(engine: Engine, run: Callable[..., Container]) -> None:
    volume = engine.run("volume", "create")
    first = run(*DEMO, "--volume", f"{volume}:/data")
    first.client().create("kept")
    first.remove()
    second = run(*DEMO, "--volume", f"{volume}:/data")
    assert "kept" in second.client().tags()
    second.remove()
    engine.run("volume", "rm", volume)


def test_memory_is_new_each_time_and_nothing_else_is_needed(run: Callable[..., Container]) -> None:
    confined = ("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
    container = run(*DEMO, *confined, "--env", "LAMDB_STORE=memory:")
    client = container.client()
    client.create("forgotten")
    assert container.engine.run("exec", container.id, "id", "-u") == "10001"
    container.engine.run("restart", container.id)
    assert "forgotten" not in container.client().tags()


def test_the_image_has_its_pages(run: Callable[..., Container]) -> None:
    """They are packed in the image, and each names a script that is served, to clients without gzip too."""
    client = run(*DEMO, "--env", "LAMDB_STORE=memory:", "--env", "LAMDB_STUDIO=on").client()
    for path in ("/graphql", "/studio"):
        page = client.page(path)
        assert "not built" not in page
        (script,) = re.findall(r'<script[^>]* src="([^"]+app\.js[^"]*)"', page)
        assert len(client.page(urljoin(path, script), accept="*/*", accept_encoding="identity")) > 10_000
    assert 'type="search"' in client.page("/search")


def test_other_commands_run_in_the_image(engine: Engine, image: str) -> None:
    assert lamdb.__version__ in engine.run("run", "--rm", image, "--version")
    checked = engine.run("run", "--rm", *DEMO, image, "schema", "validate", "--database", "/database")
    assert "valid" in checked


def test_the_image_is_small_and_has_no_tools_in_it(engine: Engine, image: str) -> None:
    """The content of its base is not counted."""
    about = json.loads(engine.run("inspect", image))[0]
    base = json.loads(engine.run("inspect", standin.PYTHON))[0]
    assert about["Size"] - base["Size"] < 150_000_000
    inside = engine.run("run", "--rm", "--entrypoint", "ls", image, "/opt/lamdb/lib/python3.13/site-packages")
    packages = set(inside.split())
    assert {"apsw", "graphql", "httptools", "lamdb", "obstore", "wasmtime"} <= packages
    assert not packages & {"boto3", "moto", "pip", "pytest", "setuptools"}


class Compose:
    """compose.yaml under a name of its own, on free ports."""

    def __init__(self, engine: Engine, command: list[str], **variables: str) -> None:
        self._command = [*command, "--project-name", f"lamdb{os.getpid()}", "--profile", "s3"]
        self._environment = {**os.environ, **engine.environment, **variables}

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def client(self, service: str) -> Client:
        return Client(self.run("port", service, "8000"))


@pytest.fixture
def compose(engine: Engine, image: str) -> Iterator[Compose]:
    command = ["docker", "compose"]
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode != 0:
        command = ["docker-compose"]
        if shutil.which("docker-compose") is None:
            message = "NOT TESTED: compose.yaml. There is no `docker compose` (Debian: docker-compose)"
            (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    images = {"LAMDB_IMAGE": image, "S3_IMAGE": standin.s3_image(engine)}
    made = Compose(engine, command, LAMDB_PORT="0", LAMDB_S3_PORT="0", **images)
    yield made
    made.run("down", "--volumes", "--timeout", "5")


def test_compose_starts_servers_on_a_volume_and_on_s3(compose: Compose) -> None:
    compose.run("up", "--detach", "--no-build")
    for service in ("lamdb", "lamdb-s3"):
        client = compose.client(service)
        assert "history" in client.tags()
        client.create(service)
        compose.run("restart", service)
        assert service in compose.client(service).tags()
