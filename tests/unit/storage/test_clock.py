"""A freeze shows on one clock at least."""

import pytest

from lamdb.storage.clock import Moment, SystemClock, seconds_between


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (Moment(110.0, 1010.0), 10.0),
        (Moment(100.0, 4600.0), 3600.0),  # The monotonic clock stood still.
        (Moment(130.0, 500.0), 30.0),  # The wall clock was set back.
    ],
)
def test_the_clock_that_saw_more_time_counts(later: Moment, expected: float) -> None:
    assert seconds_between(Moment(100.0, 1000.0), later) == expected


def test_time_passes() -> None:
    clock = SystemClock()
    assert 0 <= seconds_between(clock.now(), clock.now()) < 1
