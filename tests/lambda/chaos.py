"""What happens to environments while clients are at work: they die, stall, get lost and are replaced."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from .cluster import Cluster
from .environment import Environment
from .local import Function

STORE = [
    {"latency": 0.02},
    {"latency": 0.02, "jitter": 0.05},
    {"latency": 0.02, "slow_down": 0.1},
    {"latency": 0.02, "internal_error": 0.05, "lose_request": 0.05},
    {"latency": 0.02, "lose_answer": 0.05, "answer_error": 0.05, "conflict": 0.02},
    {"latency": 0.02, "cut": 0.05, "trickle": 0.05},
]
"""Faults of S3, one after the other; between them it is well."""


@dataclass
class Chaos:
    """While the block lasts. `pause`: mean seconds between two events; `lost_answers`: a probability."""

    cluster: Cluster
    pause: float = 1.0
    lost_answers: float = 0.02
    seed: int = 4
    done: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Chaos":
        self._chance = random.Random(self.seed)
        self._stop = threading.Event()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._thread = threading.Thread(target=self._work)
        for function in (self.cluster.reader, self.cluster.writer):
            function.loses_answer = self._loses_answer
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for function in (self.cluster.reader, self.cluster.writer):
            function.loses_answer = lambda: False
        self.cluster.s3.set(latency=0.02)

    def _loses_answer(self) -> bool:
        lost = random.random() < self.lost_answers
        self.done["answers lost"] += lost
        return lost

    def _work(self) -> None:
        store = action = time.monotonic()
        while not self._stop.wait(0.05):
            now = time.monotonic()
            for due in [each for each in self._later if each[0] <= now]:
                self._later.remove(due)
                due[1]()
            if now >= action:
                self._act()
                action = now + self._chance.uniform(0.3, 1.7) * self.pause
            if now >= store:
                self._trouble_the_store()
                store = now + self._chance.uniform(1.0, 4.0)
        for _, due in self._later:
            due()

    def _act(self) -> None:
        writer, reader, proxy = self.cluster.writer, self.cluster.reader, self.cluster.proxy
        actions: dict[str, Callable[[], bool]] = {
            "writers killed": lambda: _kill(writer.environments()),
            "readers killed": lambda: _kill(reader.environments()),
            "proxies killed": lambda: _kill(proxy.busy()),
            "writers stalled": lambda: self._stall(writer.busy()),
            "readers stalled": lambda: self._stall(reader.busy()),
            "proxies stalled": lambda: self._stall(proxy.busy()),
            "writers lost": lambda: self._lose(writer),
            "writers deployed": lambda: self._deploy(writer),
            "readers deployed": lambda: self._deploy(reader),
        }
        name = self._chance.choice(list(actions))
        self.done[name] += actions[name]()

    def _stall(self, environments: list[Environment]) -> bool:
        for victim in environments[:1]:
            victim.freeze()
            self._after(self._chance.uniform(0.1, 2.5), victim.thaw)
        return bool(environments)

    def _lose(self, function: Function) -> bool:
        """In the middle of an invocation; it wakes up when others have long gone on, and then dies."""
        victims = function.busy()[:1]
        for victim in victims:
            victim.lose()
            wakes = self._chance.uniform(0.2, 5)
            self._after(wakes, victim.thaw)
            self._after(wakes + 1, victim.kill)
        return bool(victims)

    def _deploy(self, function: Function) -> bool:
        """A new version takes over. The old one's environments stay frozen, or end what they are at."""
        old = function.retire()
        for environment in old:
            self._after(self._chance.uniform(3, 6), environment.kill)
        return True

    def _trouble_the_store(self) -> None:
        faults = self._chance.choice([STORE[0], *STORE])
        self.done["troubles of the store"] += faults is not STORE[0]
        self.cluster.s3.set(**faults)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, do))


def _kill(environments: list[Environment]) -> bool:
    for victim in environments[:1]:
        victim.kill()
    return bool(environments)
