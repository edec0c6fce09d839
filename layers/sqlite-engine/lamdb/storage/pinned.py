"""A constant clock and repeatable random numbers, so that statements can be run a second time.

    with Pinned(clock=julian_milliseconds(), seed=b"…"):
        ...     # datetime('now') and CURRENT_TIMESTAMP are that time; random() gives the same numbers

The clock applies to connections of `PageVfs`. For `random()` and `randomblob()`, `install` must be called
with the connection; without a `Pinned` they remain random.
"""

import contextvars
import os
import random
import time
from typing import Any, Final, Self

import apsw

_UNIX_EPOCH: Final = 210_866_760_000_000
"""In SQLite's Julian milliseconds."""


class Pinned:
    """A context of one thread, or of what runs in its context variables."""

    __slots__ = ("_token", "clock", "numbers")

    def __init__(self, clock: int, seed: bytes) -> None:
        """`clock`: Julian milliseconds, as of `julian_milliseconds`."""
        self.clock = clock
        self.numbers = random.Random(seed)

    def __enter__(self) -> Self:
        self._token = _pinned.set(self)
        return self

    def __exit__(self, *_: object) -> None:
        _pinned.reset(self._token)


_pinned: contextvars.ContextVar[Pinned | None] = contextvars.ContextVar("lamdb_pinned", default=None)


def clock() -> int | None:
    """Returns the pinned time, in Julian milliseconds; None if no time is pinned."""
    pinned = _pinned.get()
    return None if pinned is None else pinned.clock


def julian_milliseconds() -> int:
    """Returns the present moment in SQLite's unit."""
    return _UNIX_EPOCH + time.time_ns() // 1_000_000


def install(connection: apsw.Connection) -> None:
    """Makes `random()` and `randomblob()` of a connection use the pinned seed."""
    connection.create_scalar_function("random", _random, 0)
    connection.create_scalar_function("randomblob", _randomblob, 1)


def _random(*_: object) -> int:
    return int.from_bytes(_bytes(8), "big", signed=True)


def _randomblob(*size: Any) -> bytes:
    try:
        wanted = int(size[0])
    except (TypeError, ValueError):
        wanted = 1
    return _bytes(max(1, wanted))


def _bytes(size: int) -> bytes:
    pinned = _pinned.get()
    return os.urandom(size) if pinned is None else pinned.numbers.randbytes(size)
