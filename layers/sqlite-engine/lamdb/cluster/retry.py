"""When to try again: exponential backoff with full jitter, up to a deadline.

Each pause is a random part of a bound that doubles, so that those who were refused together do not come back
together (https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/).
"""

import random
import time
from collections.abc import Callable


class Backoff:
    """The attempts of one request."""

    def __init__(
        self,
        seconds: float,
        *,
        first: float = 0.05,
        longest: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`seconds`: from now on, after which no attempt begins. `first`, `longest`: bounds of a pause."""
        self._clock = clock
        self._sleep = sleep
        self._uniform = uniform
        self._deadline = clock() + seconds
        self._bound = first
        self._longest = longest
        self.retries = 0

    def pause(self) -> bool:
        """Waits for the next attempt; False, at once, if that would be after the deadline."""
        pause = self._uniform(0, self._bound)
        if self._clock() + pause >= self._deadline:
            return False
        self._sleep(pause)
        self._bound = min(self._bound * 2, self._longest)
        self.retries += 1
        return True
