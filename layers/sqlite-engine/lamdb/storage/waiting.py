"""Attempts that must not wait: they raise instead.

A server answers from its event loop as long as everything it needs is in memory, which is mostly so, and goes
to a thread when it is not. Only the storage knows, and only when it gets there:

    try:
        with NoWaiting():
            answer = read()
    except WouldWait:
        answer = await in_a_thread(read)

In the block, whatever would ask the store raises `WouldWait` in its place. What was read before is lost, and
was only read: writers raise before they begin.

`NoWaiting(quick=True)` is for the event loop, where nothing may take long either. SQLite then stops after
`QUICK_SECONDS`, connections refuse what a single step of SQLite could make long, and so does `about_to_work`.
"""

import threading
import time
from types import TracebackType
from typing import Final, Self

from lamdb.storage.budget import checkpoint


class WouldWait(BaseException):
    """The attempt needs the store. Not an `Exception`: nothing went wrong that anyone should handle or
    log."""


QUICK_SECONDS: Final = 0.005
"""How long SQLite may work for an attempt that must be quick."""


QUICK_BYTES: Final = 192 * 1024
"""The size of a response that is still made quickly."""


class _State(threading.local):
    forbidden = False
    quick = False
    until = 0.0


_state = _State()


class NoWaiting:
    """`with NoWaiting():` makes this thread raise `WouldWait` where it would wait for the store."""

    __slots__ = ("_quick",)

    def __init__(self, *, quick: bool = False) -> None:
        """`quick`: also where it would work for long."""
        self._quick = quick

    def __enter__(self) -> Self:
        _state.forbidden = True
        if self._quick:
            _state.quick = True
            _state.until = time.perf_counter() + QUICK_SECONDS
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _state.forbidden = _state.quick = False


def about_to_wait() -> None:
    """Called before anything that may take as long as the store does.

    Raises `WouldWait`, or what `budget.checkpoint` raises.
    """
    if _state.forbidden:
        raise WouldWait
    checkpoint()


def about_to_work() -> None:
    """Called before anything that may keep the processor busy for long. Raises `WouldWait` if it must not."""
    if _state.quick:
        raise WouldWait


def is_quick() -> bool:
    """True if this thread makes an attempt that must be quick."""
    return _state.quick


def progress() -> bool:
    """SQLite's progress handler; what it raises ends the statement: `WouldWait`, `TimeLimit`, `Cancelled`."""
    if _state.quick and time.perf_counter() > _state.until:
        raise WouldWait
    checkpoint()
    return False
