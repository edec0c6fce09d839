"""The documentation's statements about retry policies, in the model: waiting requests get a turn."""

import random

import pytest
from bench.retries import POLICIES, SCENES, Model

SECONDS = 40.0


def p99(clients: str, policy: str) -> float:
    model = Model(next(scene for scene in SCENES if scene.name == clients), random.Random(7))
    model.run(POLICIES[policy], SECONDS)
    return sorted(model.taken)[len(model.taken) * 99 // 100]


@pytest.mark.parametrize("clients", ["2 clients", "16 clients", "50 clients"])
def test_the_slowest_wait_far_less_than_with_exponential_backoff(clients: str) -> None:
    assert p99(clients, "shorter with age, learning") < 0.75 * p99(clients, "doubling to 0.5 s")
