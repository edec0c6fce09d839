"""The short form of `make soak-sql`: 12,000 transactions in 16 stores.

Each of the eight seeds alone finds that 1 replay in 100 does not notice another state than was read.
"""

import random

import pytest

from lamdb.hrana.transaction import replay as replaying

from ...soak.sql import Faults, soak


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_no_commit_is_lost_doubled_or_out_of_order(seed: int) -> None:
    done = soak(1500, seed=seed)
    assert done["kept"] > 600
    assert min(done[name] for name in ("lost", "deaths", "zombies", "conflicts", "audits")) > 0


def test_neither_is_one_where_environments_die_all_the_time() -> None:
    done = soak(400, seed=100, faults=Faults(lost=0.1, death=0.05, zombie=0.1, maintenance=0.02))
    assert done["kept"] > 100
    assert min(done[name] for name in ("lost", "deaths", "zombies", "conflicts", "audits")) > 0


def test_a_commit_on_another_state_than_was_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    same = replaying.is_same
    chance = random.Random(1)
    monkeypatch.setattr(replaying, "is_same", lambda *args: same(*args) or chance.random() < 0.02)
    with pytest.raises(AssertionError):
        soak(2000, seed=1)


def test_a_commit_that_is_executed_twice_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replaying.Once, "find", lambda *_: None)
    with pytest.raises(AssertionError):
        soak(2000, seed=1)
