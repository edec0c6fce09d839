"""Clients that write and read through the proxy for a while, and what they were told."""

import random
import statistics
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

from .conftest import COUNT, CREATE, Cluster


@dataclass
class Load:
    """`seconds`: how long the clients begin new requests."""

    cluster: Cluster
    seconds: float
    clients: int
    acknowledged: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    write_seconds: list[float] = field(default_factory=list)
    read_seconds: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    replayed: int = 0

    def run(self) -> None:
        self._ends = time.monotonic() + self.seconds
        threads = [threading.Thread(target=self._client, args=(n,)) for n in range(self.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def report(self) -> dict[str, float]:
        writes = self.write_seconds
        return {
            "writes": len(self.acknowledged),
            "writes_per_second": round(len(self.acknowledged) / self.seconds, 1),
            "write_p50_ms": round(statistics.median(writes) * 1000, 1),
            "write_p99_ms": round(statistics.quantiles(writes, n=100)[98] * 1000, 1),
            "reads": len(self.read_seconds),
            "read_p50_ms": round(statistics.median(self.read_seconds) * 1000, 1),
            "refused": self.statuses[503],
            "replayed": self.replayed,
            "retries": sum(self.cluster.proxy.metrics("ThrottledRetries")),
            "throttles": self.cluster.writer.throttles,
            "fenced": sum(self.cluster.writer.metrics("FencedCommits")),
        }

    def _client(self, number: int) -> None:
        try:
            while time.monotonic() < self._ends:
                self._turn(f"{number}-{uuid.uuid4()}")
        except Exception as error:  # noqa: BLE001 - The test fails on it, in its own thread.
            self.faults.append(f"client {number}: {error!r}")

    def _turn(self, name: str) -> None:
        begun = time.monotonic()
        written = self.cluster.post(CREATE, {"name": name})
        took = time.monotonic() - begun
        self.statuses[written.status] += 1
        if took > 29:
            self.faults.append(f"{name}: answered after {took:.1f} s")
        if written.status != 200:
            return
        self.write_seconds.append(took)
        self.replayed += "x-lamdb-replayed" in written.headers
        if "errors" in written.body:
            self.faults.append(f"{name}: {written.body['errors'][0]['message']}")
            return
        self.acknowledged.append(name)
        begun = time.monotonic()
        seen = self.cluster.post(COUNT, {"name": name}, x_lamdb_txid=str(written.txid))
        self.read_seconds.append(time.monotonic() - begun)
        if seen.status == 200 and seen.items != [written.body["data"]["createOneItem"]]:
            self.faults.append(f"{name}: its writer saw {seen.items}")


@dataclass
class Chaos:
    """Kills and redeploys writers, kills readers and loses answers while the block lasts."""

    cluster: Cluster
    chance: random.Random = field(default_factory=lambda: random.Random(4))
    done: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Chaos":
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.cluster.writer.loses_answer = lambda: self.chance.random() < 0.05
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self.cluster.writer.loses_answer = lambda: False

    def _work(self) -> None:
        while not self._stop.wait(self.chance.uniform(0.3, 1.2)):
            action = self.chance.choice(["kill writer", "kill reader", "redeploy"])
            self.done[action] += 1
            match action:
                case "kill writer":
                    self.cluster.writer.kill_any()
                case "kill reader":
                    self.cluster.reader.kill_any()
                case _:
                    self._redeploy()

    def _redeploy(self) -> None:
        """A new environment takes over while the old one may still be writing."""
        stale = self.cluster.writer.retire()
        self._stop.wait(0.3)
        for environment in stale:
            environment.kill()
