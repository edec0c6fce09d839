"""Writes that are repeated when another writer committed first."""

import random
import time
from collections.abc import Callable
from typing import Final

from lamdb.errors import Fenced

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 1.0
"""Seconds. Pauses are random, up to a bound that doubles with each attempt."""


def retry_fenced[T](write: Callable[[], T], retries: int, *, pause: float = FIRST_PAUSE) -> T:
    """Returns the result of `write`, repeated up to `retries` times after random, growing pauses.

    The pauses are random because two writers that repeat at the same time would fence each other again.
    `pause` is the longest first one, in seconds; 0: repeat at once, which wins against steady traffic.
    Raises `Fenced` if the last attempt is fenced, too.
    """
    for attempt in range(retries):
        try:
            return write()
        except Fenced:
            time.sleep(random.uniform(0, min(pause * 2**attempt, LONGEST_PAUSE)))
    return write()
