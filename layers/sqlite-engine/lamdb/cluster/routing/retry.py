"""Retries with random pauses, up to a deadline.

Failures are retried after pauses whose bound doubles, so that requests that failed together do not return
together, and an overloaded function gets fewer requests
(https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).

Throttled requests form an implicit queue: the function takes one request at a time, and the next attempt that
finds it free is served. With growing pauses the newest requests retry most often and starve the oldest. So
pauses become shorter the longer a request has waited, in proportion to how long requests wait at present,
which each environment knows from those that it has sent. They stay random in full, and the longer the usual
wait the longer all of them are, so that long queues do not ask much more often than short ones.
"""

import random
import time
from collections.abc import Callable
from typing import Final

_FIRST: Final = 0.1
"""Seconds: the shortest bound of the pause of a throttled request, and the shortest usual wait."""

_LONGEST: Final = 2.0
"""Seconds: the longest such bound. A function that has become free is found so soon."""

_LEARNING: Final = 0.3
"""The weight of the last wait in the usual one."""

_FORGETTING: Final = 30.0
"""Seconds after which the last wait does not predict the next."""


class Contention:
    """The recent waiting times of requests to a function, as far as this environment knows them."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._usual: float | None = None
        self._learned = clock()

    @property
    def usual(self) -> float | None:
        """Seconds; None if nothing is known."""
        if self._clock() - self._learned > _FORGETTING:
            self._usual = None
        return self._usual

    def learn(self, waited: float) -> None:
        """A request was taken, or given up, after so many seconds."""
        usual = _FIRST if self.usual is None else self.usual
        self._usual = max(_FIRST, usual + _LEARNING * (waited - usual))
        self._learned = self._clock()

    def bound(self, waited: float) -> float:
        """The longest pause of a request that has waited so many seconds.

        It falls with the fourth power of the wait, so that the oldest requests retry most often: a request
        that has waited half as long retries sixteen times as seldom. A wait that exceeds the usual one
        becomes the usual one. While nothing is known, pauses grow as after failures, because suddenly
        there may be hundreds. The shape and the numbers did best of those that were tried in the model of
        `python -m bench.retries`.
        """
        known = self.usual
        if known is None:
            return max(_FIRST, min(waited / 4, _LONGEST))
        usual = max(known, 0.7 * waited)
        young = usual / 20 * (usual / waited) ** 4 if waited > 0 else usual
        return max(_FIRST, usual / 50, min(young, usual, _LONGEST))


class Backoff:
    """The attempts of one request."""

    def __init__(
        self,
        seconds: float,
        contention: Contention | None = None,
        *,
        first: float = 0.05,
        longest: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`seconds`: from now on; then no attempt begins any more. `first`, `longest`: bounds of pauses."""
        self._contention = contention or Contention(clock)
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._begun = clock()
        self._seconds = seconds
        self._bound = first
        self._longest = longest
        self._waited = 0.0
        self._left = False
        self.retries = 0

    def pause(self, *, throttled: bool = False) -> bool:
        """Waits for the next attempt; False, at once, if that would be after the deadline."""
        self._waited = self._clock() - self._begun
        pause = self._uniform(0, self._contention.bound(self._waited) if throttled else self._bound)
        if self._waited + pause >= self._seconds:
            return False
        self._sleep(pause)
        self._waited += pause
        if not throttled:
            self._bound = min(self._bound * 2, self._longest)
        self.retries += 1
        return True

    def leave(self) -> None:
        """The request ends early, so its wait is not recorded."""
        self._left = True

    def end(self) -> None:
        """No attempt follows: what this request waited tells how long the next one may have to."""
        if not self._left:
            self._contention.learn(self._waited)
