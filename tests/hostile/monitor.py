"""Measures the answers to other clients: `python -m tests.hostile.monitor URL`, a process of its own.

Asks for `/healthz` all the time, and as an ordinary client reads and writes one record. It begins before the
attacks, and prints a line once each was answered some times. Beside it runs a tiny server that does nothing,
in a process of its own too. While that one is slow to answer, the machine is, and that time is taken off what
the other took, several times, as the other takes several turns to answer. The results are printed as JSON
once standard input ends.
"""

import json
import multiprocessing
import socket
import sys
import threading
import time
from typing import Any

import httpx

_STALL_SECONDS = 0.25
_STALLS_COUNT = 3
_PAUSE = 0.05
_WARM_CALLS = 10
_READ = "query ($name: String!) { findUniqueUser(where: { name: $name }) { id name } }"
_WRITE = "mutation { updateOnePost(where: { id: 6000 }, data: { likes: { increment: 1 } }) { id } }"


def idle_server(connection: Any) -> None:
    """Answers every connection at once, in one thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        connection.send(listening.getsockname())
        while True:
            client, _ = listening.accept()
            with client:
                client.recv(1000)
                client.sendall(b"x")


class Timings:
    """How long calls took, without the machine's stalls; `stalled` has those with stalls as they were."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.stalled: list[float] = []
        self.failures: list[str] = []

    def summary(self) -> dict[str, Any]:
        return {
            "calls": len(self.seconds),
            "worst": round(max(self.seconds, default=0.0), 3),
            "stalled": len(self.stalled),
            "worst_stalled": round(max(self.stalled, default=0.0), 3),
            "failures": self.failures[:10],
        }


class Monitor:
    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._stalls: list[tuple[float, float]] = []
        """When the idle server was slow: start and end."""
        ours, theirs = multiprocessing.Pipe()
        self._idle = multiprocessing.Process(target=idle_server, args=(theirs,), daemon=True)
        self._idle.start()
        self._address = ours.recv()
        self.timings = {name: Timings() for name in ("health", "read", "write")}

    def run(self) -> dict[str, Any]:
        """Watches until standard input ends."""
        calls = [
            threading.Thread(target=self._control),
            *(threading.Thread(target=self._repeat, args=(name,)) for name in self.timings),
        ]
        for call in calls:
            call.start()
        while not all(len(timings.seconds) >= _WARM_CALLS for timings in self.timings.values()):
            time.sleep(_PAUSE)
        print("ready", flush=True)
        sys.stdin.read()
        self._ended.set()
        for call in calls:
            call.join(60)
        self._idle.terminate()
        return {
            "stalls": [round(end - begun, 3) for begun, end in self._stalls],
            **{name: timings.summary() for name, timings in self.timings.items()},
        }

    def _control(self) -> None:
        while not self._ended.wait(_PAUSE / 2):
            begun = time.monotonic()
            with socket.create_connection(self._address, timeout=60) as connection:
                connection.sendall(b"x")
                connection.recv(1)
            ended = time.monotonic()
            if ended - begun > _STALL_SECONDS:
                self._stalls.append((begun, ended))

    def _repeat(self, name: str) -> None:
        timings = self.timings[name]
        with httpx.Client(base_url=self._url, timeout=60) as client:
            while not self._ended.wait(_PAUSE):
                begun = time.monotonic()
                try:
                    failure = _failure(name, client)
                except httpx.HTTPError as error:
                    failure = repr(error)
                ended = time.monotonic()
                if failure is not None and not self._ended.is_set():
                    timings.failures.append(failure)
                # The control's call ends after this one if both waited for the machine.
                if ended - begun > _STALL_SECONDS:
                    time.sleep(2 * _STALL_SECONDS)
                stalled = sum(
                    max(0.0, min(ended, end) - max(begun, start)) for start, end in list(self._stalls)
                )
                if stalled:
                    timings.stalled.append(ended - begun)
                timings.seconds.append(max(0.0, ended - begun - _STALLS_COUNT * stalled))


def _failure(name: str, client: httpx.Client) -> str | None:
    if name == "health":
        response = client.get("/healthz")
        return None if response.status_code == 200 else response.text
    query = {"query": _READ, "variables": {"name": "u7"}} if name == "read" else {"query": _WRITE}
    response = client.post("/graphql", json=query)
    return None if response.status_code == 200 and "errors" not in response.json() else response.text[:300]


if __name__ == "__main__":
    print(json.dumps(Monitor(sys.argv[1]).run()), flush=True)
