"""The waiting times of throttled requests, and the pauses after failures."""

import random
from dataclasses import dataclass, field

import pytest

from lamdb.cluster.routing.retry import Backoff, Contention


@dataclass
class Time:
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def backoff(self, seconds: float, contention: Contention | None = None) -> Backoff:
        return Backoff(
            seconds,
            contention,
            clock=lambda: self.now,
            sleep=self.sleep,
            uniform=random.Random(1).uniform,
        )

    def contention(self, *waits: float) -> Contention:
        known = Contention(lambda: self.now)
        for wait in waits:
            known.learn(wait)
        return known


@pytest.fixture
def time() -> Time:
    return Time()


def test_pauses_after_failures_double_up_to_the_longest(time: Time) -> None:
    backoff = time.backoff(10)
    while backoff.pause():
        pass
    bounds = [0.05, 0.1, 0.2, 0.4] + [0.5] * len(time.pauses)
    assert all(0 <= pause <= bound for pause, bound in zip(time.pauses, bounds, strict=False))
    assert max(time.pauses) > 0.4
    assert time.now < 10
    assert backoff.retries == len(time.pauses) > 30


def test_no_time_is_no_second_attempt(time: Time) -> None:
    assert not time.backoff(0).pause()
    assert not time.backoff(0).pause(throttled=True)


@pytest.mark.parametrize(("waits", "least", "most"), [([], 20, 60), ([0.1], 200, 400), ([20.0] * 20, 15, 40)])
def test_a_request_that_is_throttled_for_ever_has_a_budget(
    time: Time, waits: list[float], least: int, most: int
) -> None:
    backoff = time.backoff(20, time.contention(*waits))
    while backoff.pause(throttled=True):
        pass
    assert time.now < 20
    assert least < backoff.retries < most


def test_who_has_waited_longer_comes_back_sooner(time: Time) -> None:
    contention = time.contention(*[4.0] * 30)
    bounds = [contention.bound(waited) for waited in (0, 0.5, 2, 2.5, 3, 4, 5)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] == 2.0
    assert bounds[-1] == 0.1


def test_the_first_pause_is_no_longer_than_the_usual_wait(time: Time) -> None:
    assert time.contention().bound(0) == 0.1
    assert time.contention(1.0).bound(0) == pytest.approx(0.37)


def test_the_longer_all_wait_the_longer_the_shortest_pause(time: Time) -> None:
    assert time.contention(*[20.0] * 50).bound(26) == pytest.approx(0.4, rel=0.01)
    # Also where the queue is longer than is known yet, or nothing is known.
    assert time.contention(0.1).bound(20) == pytest.approx(0.28)
    assert time.contention().bound(20) == 2


def test_what_is_usual_is_learned_and_forgotten(time: Time) -> None:
    contention = time.contention()
    backoff = time.backoff(20, contention)
    while time.now < 5:
        assert backoff.pause(throttled=True)
    backoff.end()
    assert contention.usual == pytest.approx(0.1 + 0.3 * (time.now - 0.1))
    taken_at_once = time.backoff(20, contention)
    taken_at_once.end()
    assert contention.usual == pytest.approx(0.7 * (0.1 + 0.3 * (time.now - 0.1)))
    time.now += 31
    assert contention.usual is None
