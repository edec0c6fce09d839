"""A clock that notices when the process was frozen.

No single clock measures the time for which a process was frozen: the monotonic clock may stop with the
machine, and the wall clock may be set. An age is therefore the larger difference of the two clocks.
"""

import time
from typing import Final, NamedTuple, Protocol


class Moment(NamedTuple):
    monotonic: float
    wall: float


class Clock(Protocol):
    """The source of time, in seconds; tests pass one that they control."""

    def now(self) -> Moment: ...


class SystemClock:
    def now(self) -> Moment:
        return Moment(time.monotonic(), time.time())


CLOCK_SKEW_MS: Final = 60_000
"""Largest difference between correct clocks of machines (milliseconds)."""


def seconds_between(earlier: Moment, later: Moment) -> float:
    """Returns the time from `earlier` to `later`, by the clock with the larger difference."""
    return max(later.monotonic - earlier.monotonic, later.wall - earlier.wall)
