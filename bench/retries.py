"""`python -m bench.retries`: retry policies for a function that takes one request at a time.

A model of discrete events: clients whose writes go through a proxy each, which tries again for 20 s while the
writer is taken. A write takes the writer 0.8 to 1.3 times `service`; a refusal arrives after 4 ms. After an
answer a client thinks; after a refusal, a second longer.
"""

import argparse
import heapq
import random
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

from rich.console import Console
from rich.table import Table

from lamdb.cluster.routing.retry import Contention

RETRY_SECONDS = 20.0
ROUND_TRIP = 0.004


class Policy(Protocol):
    """The retry policy of one proxy."""

    def bound(self, waited: float, attempts: int) -> float:
        """The longest pause of a request that was refused, in seconds."""

    def learn(self, waited: float) -> None:
        """A request was taken, or given up."""


@dataclass
class Doubling:
    """Exponential backoff with full jitter."""

    first: float = 0.05
    longest: float = 0.5

    def bound(self, waited: float, attempts: int) -> float:
        return min(self.first * 2**attempts, self.longest)

    def learn(self, waited: float) -> None:
        pass


class Constant(Doubling):
    """Full jitter, without backoff."""

    def bound(self, waited: float, attempts: int) -> float:
        return 0.1


class Aging(Doubling):
    """Pauses get shorter with age, whatever others wait."""

    def bound(self, waited: float, attempts: int) -> float:
        return min(self.first * 2**attempts, max(0.05, (2 / (2 + waited)) ** 2))


class Learning:
    """lamDB's: pauses get shorter with age in proportion to what is usual."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._contention = Contention(clock)

    def bound(self, waited: float, attempts: int) -> float:
        return self._contention.bound(waited)

    def learn(self, waited: float) -> None:
        self._contention.learn(waited)


POLICIES: dict[str, Callable[[Callable[[], float]], Policy]] = {
    "doubling to 0.5 s": lambda _: Doubling(),
    "doubling to 2 s": lambda _: Doubling(longest=2.0),
    "constant 0.1 s": lambda _: Constant(),
    "shorter with age": lambda _: Aging(),
    "shorter with age, learning": Learning,
}


@dataclass(frozen=True)
class Scene:
    """`rate`: how many writes may begin in a second. `stalls`: from then on the writer stands still, 2 s."""

    name: str
    clients: int
    service: float = 0.028
    think: float = 0.1
    rate: int | None = None
    stalls: tuple[float, ...] = ()


SCENES = [
    Scene("2 clients", 2, think=0.05),
    Scene("16 clients", 16, think=0.02),
    Scene("16 clients, the writer stands still for 2 s of 10", 16, stalls=tuple(range(10, 120, 10))),
    Scene("50 clients", 50),
    Scene("150 clients", 150),
    Scene("20 clients, 10 writes a second", 20, rate=10),
    Scene("100 clients, 10 writes a second", 100, rate=10),
]


@dataclass
class Request:
    proxy: Policy
    born: float
    attempts: int = 0


@dataclass
class Model:
    scene: Scene
    chance: random.Random
    now: float = 0.0
    busy_until: float = 0.0
    taken: list[float] = field(default_factory=list)
    refused: int = 0
    attempts: Counter[int] = field(default_factory=Counter)

    def run(self, policy: Callable[[Callable[[], float]], Policy], seconds: float) -> None:
        self._events: list[tuple[float, int, Request]] = []
        self._numbers = count()
        self._begun: deque[float] = deque()
        for _ in range(self.scene.clients):
            self._later(self.chance.uniform(0, self.scene.think), Request(policy(lambda: self.now), -1))
        while self._events and self.now < seconds:
            self.now, _, request = heapq.heappop(self._events)
            if request.born < 0:
                request.born = self.now
            self._attempt(request)

    def _attempt(self, request: Request) -> None:
        self.attempts[int(self.now)] += 1
        waited = self.now - request.born
        if self._is_free():
            self.busy_until = self.now + self._service()
            self.taken.append(self.busy_until - request.born)
            request.proxy.learn(waited)
            self._think(request.proxy, self.busy_until)
            return
        pause = self.chance.uniform(0, request.proxy.bound(waited, request.attempts))
        request.attempts += 1
        if waited + pause < RETRY_SECONDS:
            self._later(self.now + pause + ROUND_TRIP, request)
            return
        self.refused += 1
        request.proxy.learn(waited)
        self._think(request.proxy, self.now + 1)

    def _is_free(self) -> bool:
        while self._begun and self._begun[0] <= self.now - 1:
            self._begun.popleft()
        if self.now < self.busy_until or len(self._begun) == self.scene.rate:
            return False
        self._begun.append(self.now)
        return True

    def _service(self) -> float:
        stall = sum(begun + 2 - self.now for begun in self.scene.stalls if begun <= self.now < begun + 2)
        return self.chance.uniform(0.8, 1.3) * self.scene.service + stall

    def _think(self, proxy: Policy, since: float) -> None:
        self._later(since + self.chance.expovariate(1 / self.scene.think), Request(proxy, -1))

    def _later(self, when: float, request: Request) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), request))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.retries", description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    columns = ["writes/s", "p50 s", "p99 s", "refused", "attempts a write", "most in a second"]
    for scene in SCENES:
        table = Table(title=scene.name, title_justify="left")
        table.add_column("")
        for column in columns:
            table.add_column(column, justify="right")
        for name, policy in POLICIES.items():
            model = Model(scene, random.Random(options.seed))
            model.run(policy, options.seconds)
            table.add_row(name, *_figures(model, options.seconds))
        Console().print(table)


def _figures(model: Model, seconds: float) -> list[str]:
    taken = sorted(model.taken)
    return [
        f"{len(taken) / seconds:.1f}",
        f"{taken[len(taken) // 2]:.2f}",
        f"{taken[len(taken) * 99 // 100]:.2f}",
        str(model.refused),
        f"{model.attempts.total() / len(taken):.1f}",
        str(max(model.attempts.values())),
    ]


if __name__ == "__main__":
    main()
