"""SAM's two local servers: Lambda's Invoke API for reader and writer, and the REST API before the proxy."""

import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

START_SECONDS = 60
STOP_SECONDS = 20

FIRST_ANSWER_SECONDS = 1800
"""The first one waits for the runtime's image, which Docker may have to fetch."""


class SamFailed(Exception):
    """SAM ended by itself, or does not answer."""


@dataclass(frozen=True, slots=True)
class Sam:
    """The command, and what its local commands have in common."""

    command: Path
    template: Path
    options: Sequence[str]
    environment: Mapping[str, str]

    def start_lambda(self, address: str, port: int) -> "Server":
        return self._start("start-lambda", address, port, "ReaderFunction", "WriterFunction")

    def start_api(self, address: str, port: int) -> "Server":
        return self._start("start-api", address, port)

    def _start(self, kind: str, address: str, port: int, *functions: str) -> "Server":
        # Without warm containers every request would be a cold start.
        options = ["--host", address, "--port", str(port), "--warm-containers", "LAZY", "--no-watch"]
        template = ["--template", str(self.template)]
        command = [str(self.command), "local", kind, *functions, *template, *options, *self.options]
        return Server(f"sam local {kind}", command, address, port, {**os.environ, **self.environment})


class Server:
    """One process. Its output goes to standard error until it is stopped."""

    def __init__(
        self, name: str, command: Sequence[str], address: str, port: int, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.port = port
        self._where = (address, port)
        self._stopping = threading.Event()
        # In a session of its own, Ctrl-C does not reach it: who started it ends it, in order.
        self._process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._pump = threading.Thread(target=self._forward, args=(self._process.stdout,), daemon=True)
        self._pump.start()

    def _forward(self, output: IO[bytes]) -> None:
        for line in output:
            if not self._stopping.is_set():
                sys.stderr.buffer.write(line)
                sys.stderr.buffer.flush()

    def check(self) -> None:
        """Raises `SamFailed` if the process has ended."""
        if (code := self._process.poll()) is not None:
            raise SamFailed(f"`{self.name}` ended with exit code {code}")

    def wait_until_it_listens(self) -> None:
        """Raises `SamFailed`."""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            self.check()
            try:
                socket.create_connection(self._where, timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SamFailed(f"`{self.name}` does not listen after {START_SECONDS} s")

    def request(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of a response with status 200. Raises `SamFailed`, `OSError`."""
        connection = http.client.HTTPConnection(*self._where, timeout=FIRST_ANSWER_SECONDS)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise SamFailed(f"`{self.name}` answered {path} with {response.status}: {content[:500]!r}")
        return content

    def ask_to_stop(self) -> None:
        """The process will remove its containers and end."""
        self._stopping.set()
        if self._process.poll() is None:
            self._process.terminate()

    def wait_until_stopped(self) -> None:
        """Kills the process if it takes too long."""
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._pump.join(STOP_SECONDS)


def stop(servers: Iterable[Server]) -> None:
    """Ends servers at the same time."""
    for server in servers:
        server.ask_to_stop()
    for server in servers:
        server.wait_until_stopped()
