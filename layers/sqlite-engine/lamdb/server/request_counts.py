"""Counts of the requests of a server, and of the time that their responses took.

All methods belong to the event loop's thread, so the counts are plain integers without a lock: counting must
cost next to nothing for a query that is answered in some 20 µs.
"""

from bisect import bisect_left
from typing import Final

BOUNDS: Final = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Upper bounds of the histogram's buckets, in seconds. A last bucket takes what is longer."""

CLIENT_GONE: Final = 499
"""Status of requests whose client closed the connection before the response, as in nginx's log."""


class Durations:
    """A histogram: responses by bucket, each counted once, and the sum of their seconds."""

    __slots__ = ("buckets", "seconds")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        self.buckets[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds


class RequestCounts:
    """The responses of one server.

    - `statuses`: number by (kind, status). `codes`: number of refused requests by (kind, error code).
    - `durations`: by kind.
    - `quick`: queries with status 200 that were answered inside `data_received`.
    """

    __slots__ = ("codes", "durations", "quick", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[tuple[str, int], int] = {}
        self.codes: dict[tuple[str, str], int] = {}
        self.durations: dict[str, Durations] = {}
        self.quick = Durations()

    def note(self, kind: str, status: int, code: str | None, seconds: float) -> None:
        """Counts a response. `kind` must be one of few: each has metrics of its own."""
        key = (kind, status)
        self.statuses[key] = self.statuses.get(key, 0) + 1
        if code is not None:
            refused = (kind, code)
            self.codes[refused] = self.codes.get(refused, 0) + 1
        found = self.durations.get(kind)
        if found is None:
            found = self.durations[kind] = Durations()
        found.note(seconds)
