"""Disturbances of environments while clients are at work: they die, stall, get lost and are replaced."""

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
    """While the block lasts. `lost_answers` is a probability.

    `pause`: mean seconds between two events of single readers and proxies. The writer, and all readers at
    once, have theirs at a third of that pace, because nothing is answered until others have started.
    """

    cluster: Cluster
    pause: float = 1.0
    lost_answers: float = 0.02
    seed: int = 4
    done: Counter[str] = field(default_factory=Counter)

    def __enter__(self) -> "Chaos":
        self._chance = random.Random(self.seed)
        self._stop = threading.Event()
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._frozen: list[Environment] = []
        self._turn = 0
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
        self._after(0, self._trouble_the_store)
        self._after(self.pause, self._trouble_the_crowd)
        self._after(self.pause * 2, self._trouble_those_all_need)
        while not self._stop.wait(0.02):
            for due in [each for each in self._later if each[0] <= time.monotonic()]:
                self._later.remove(due)
                due[1]()
        for environment in self._frozen:
            environment.thaw()

    def _trouble_the_crowd(self) -> None:
        reader, proxy = self.cluster.reader, self.cluster.proxy
        actions: list[tuple[str, Callable[[], bool]]] = [
            ("readers killed", lambda: _kill(reader.environments())),
            ("readers stalled", lambda: self._stall(reader)),
            ("proxies killed", lambda: _kill(proxy.working())),
            ("proxies stalled", lambda: self._stall(proxy)),
        ]
        name, act = self._chance.choice(actions)
        self.done[name] += act()
        self._after(self._chance.uniform(0.3, 1.7) * self.pause, self._trouble_the_crowd)

    def _trouble_those_all_need(self) -> None:
        """In turn, so that even a short run sees the worst: lost in the middle of a write."""
        writer = self.cluster.writer
        actions: list[tuple[str, Callable[[], bool]]] = [
            ("writers lost", lambda: self._lose(writer)),
            ("writers deployed", lambda: self._deploy(writer)),
            ("readers deployed", lambda: self._deploy(self.cluster.reader)),
            ("writers killed", lambda: _kill(writer.working())),
            ("writers stalled", lambda: self._stall(writer)),
        ]
        name, act = actions[self._turn % len(actions)]
        if act():
            self.done[name] += 1
            self._turn += 1
            self._after(self._chance.uniform(0.3, 1.7) * self.pause * 3, self._trouble_those_all_need)
        else:
            self._after(0.005, self._trouble_those_all_need)

    def _stall(self, function: Function) -> bool:
        victims = function.working()[:1]
        for victim in victims:
            victim.freeze()
            self._frozen.append(victim)
            self._after(self._chance.uniform(0.1, 2.5), victim.thaw)
        return bool(victims)

    def _lose(self, function: Function) -> bool:
        """In the middle of an invocation; it wakes up when others have long gone on, and then dies."""
        victims = function.working()[:1]
        for victim in victims:
            victim.lose()
            self._frozen.append(victim)
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
        self._after(self._chance.uniform(1.0, 4.0), self._trouble_the_store)

    def _after(self, seconds: float, do: Callable[[], None]) -> None:
        self._later.append((time.monotonic() + seconds, do))


def _kill(environments: list[Environment]) -> bool:
    for victim in environments[:1]:
        victim.kill()
    return bool(environments)
