"""Fenced writes are repeated, after pauses that grow up to a bound."""

import random
import time

import pytest

from lamdb.errors import Fenced, StoreUnavailable
from lamdb.storage import fencing
from lamdb.storage.fencing import retry_fenced


class Write:
    """A write that fails so many times, and then gives its number of attempts."""

    def __init__(self, failures: int, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or Fenced("another writer was first")
        self.attempts = 0

    def __call__(self) -> int:
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return self.attempts


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The longest that each pause may be."""
    found: list[float] = []
    monkeypatch.setattr(random, "uniform", lambda low, high: found.append(high) or high)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return found


@pytest.mark.parametrize(("failures", "retries"), [(0, 0), (0, 3), (1, 1), (3, 3), (4, 9)])
def test_it_returns_the_first_result(pauses: list[float], failures: int, retries: int) -> None:
    assert retry_fenced(Write(failures), retries) == failures + 1
    assert len(pauses) == failures


@pytest.mark.parametrize("retries", [0, 1, 4])
def test_it_gives_up_after_its_retries(pauses: list[float], retries: int) -> None:
    write = Write(100)
    with pytest.raises(Fenced):
        retry_fenced(write, retries)
    assert write.attempts == retries + 1
    assert len(pauses) == retries


def test_pauses_double_up_to_a_bound(pauses: list[float]) -> None:
    retry_fenced(Write(8), 8)
    first, longest = fencing.FIRST_PAUSE, fencing.LONGEST_PAUSE
    assert pauses[:3] == [first, first * 2, first * 4]
    assert max(pauses) == pauses[-1] == longest


@pytest.mark.parametrize("error", [StoreUnavailable("x"), ValueError("x")])
def test_other_errors_are_not_repeated(pauses: list[float], error: Exception) -> None:
    write = Write(1, error)
    with pytest.raises(type(error)):
        retry_fenced(write, 5)
    assert (write.attempts, pauses) == (1, [])
