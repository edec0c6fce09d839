"""A real `lamdb serve` process for each test that wants one, and what its clients need."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.s3_server import s3, s3_endpoint

__all__ = ["s3", "s3_endpoint"]

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "database"
LAMDB = Path(sys.executable).with_name("lamdb")
START_SECONDS = 60


class Server:
    """One process. `output` is what it printed, `logs` what it logged, line by line."""

    def __init__(self, *options: str, database: Path = DEMO, **settings: str) -> None:
        environ = {name: text for name, text in os.environ.items() if not name.startswith("LAMDB_")}
        command = [str(LAMDB), "serve", "--database", str(database), "--port", "0", *options]
        self.process = subprocess.Popen(
            command,
            env={**environ, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.output: list[str] = []
        self.logs: list[str] = []
        self._ready = threading.Event()
        self._readers = [
            threading.Thread(target=self._read, args=(self.process.stdout, self.output)),
            threading.Thread(target=self._read, args=(self.process.stderr, self.logs)),
        ]
        for reader in self._readers:
            reader.start()
        self._ready.wait(START_SECONDS)
        found = re.search(r"GraphQL +(http://\S+)/graphql", "".join(self.output))
        if found is None:
            self.close()
            raise AssertionError("the server did not start:\n" + "".join(self.logs))
        self.url = found[1]
        self.client = httpx.Client(base_url=self.url, timeout=60)

    def _read(self, stream: Any, lines: list[str]) -> None:
        for line in stream:
            lines.append(line)
            if stream is self.process.stdout and line.startswith("  curl "):
                self._ready.set()
        self._ready.set()

    def post(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.client.post("/graphql", json={"query": query, "variables": variables}, headers=named)

    def data(self, query: str, variables: dict[str, Any] | None = None, **headers: str) -> Any:
        """The response's `data`, which must have no errors beside it."""
        answer = self.post(query, variables, **headers).json()
        assert "errors" not in answer, answer
        return answer["data"]

    def wait_for_log(self, part: str) -> str:
        """The first log line with `part` in it."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            for line in self.logs:
                if part in line:
                    return line
            time.sleep(0.02)
        raise AssertionError(f"{part!r} is not in the log: {self.logs}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask the process to end, and wait: its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        code = self.process.wait(60)
        for reader in self._readers:
            reader.join(10)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.wait()
        if hasattr(self, "client"):
            self.client.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """`serve("--store", url)` starts a server, which ends with the test."""
    started: list[Server] = []

    def start(*options: str, **settings: Any) -> Server:
        started.append(Server(*options, **settings))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(scope="module")
def demo() -> Iterator[Server]:
    """A server with the demo in memory, shared by the tests of a module."""
    server = Server("--store", "memory:")
    yield server
    server.close()


@pytest.fixture(params=["file", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that outlives a process."""
    if request.param == "file":
        return f"file://{tmp_path}/store"
    url: str = request.getfixturevalue("s3").url
    return url


def run(*arguments: str, input: str | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """The `lamdb` command, run to its end."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("LAMDB_")}
    return subprocess.run(
        [str(LAMDB), *arguments],
        env={**environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        input=input,
        check=False,
    )
