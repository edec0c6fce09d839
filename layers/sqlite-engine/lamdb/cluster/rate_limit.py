"""A limit on how many mutations the writer begins in a second: a token bucket.

All mutations of clients pass the one writer, so its limit is that of the whole database. Several writers
have one each.
"""

import time
from collections.abc import Callable

from lamdb.errors import Throttled


class Rate:
    """So many a second in the long run, and so many at once. For one thread."""

    def __init__(self, per_second: float, burst: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_second = per_second
        self._burst = burst
        self._clock = clock
        self._left = float(burst)
        self._counted = clock()

    @classmethod
    def of(cls, per_second: float, burst: int) -> "Rate | None":
        """None where nothing is limited: `per_second` is 0."""
        return cls(per_second, burst) if per_second else None

    def take(self) -> None:
        """Counts a mutation. Raises `Throttled` if there were too many."""
        now = self._clock()
        self._left = min(float(self._burst), self._left + (now - self._counted) * self._per_second)
        self._counted = now
        if self._left < 1:
            raise Throttled(
                f"There are more than {self._per_second:g} mutations a second.",
                hint="Nothing was executed: send it again later, and several mutations in one document.",
            )
        self._left -= 1
