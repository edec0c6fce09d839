"""Attempts that raise instead of waiting for the store.

A server answers a request on its event loop if all pages are in memory, which is the usual case, and
otherwise in a thread. Only the storage knows whether a page is in memory, and only when it needs the page:

    try:
        with NoWaiting():
            answer = read()
    except WouldWait:
        answer = await in_a_thread(read)

In the block, operations that would request the store raise `WouldWait`. The work so far is lost. It has only
read, because writers raise before they begin.

`NoWaiting(quick=True)` is for the event loop, where nothing may take long. SQLite then stops after
`QUICK_SECONDS`. Connections refuse values with which a single step of SQLite could take long, and
`about_to_work` raises `WouldWait`, too.
`about_to_compute` raises `NotKept`, after which the same request may be quick another time.
"""

import threading
import time
from types import TracebackType
from typing import Final, Self

from lamdb.storage.budget import checkpoint


class WouldWait(BaseException):
    """The attempt needs the store. Not an `Exception`: nothing went wrong that anyone should handle or
    log."""


class NotKept(WouldWait):
    """The attempt must be quick, and needs a result that was not kept from earlier."""


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
    """Must be called before an operation that may take as long as a request to the store.

    Raises `WouldWait`, or what `budget.checkpoint` raises.
    """
    if _state.forbidden:
        raise WouldWait
    checkpoint()


def about_to_work() -> None:
    """Called before anything that may keep the processor busy for long. Raises `WouldWait` if it must not."""
    if _state.quick:
        raise WouldWait


def about_to_compute() -> None:
    """Called before a result is computed that would have been quick to answer, had it been kept.

    Raises `NotKept` for an attempt that must be quick.
    """
    if _state.quick:
        raise NotKept


def is_quick() -> bool:
    """True if this thread makes an attempt that must be quick."""
    return _state.quick


def progress() -> bool:
    """SQLite's progress handler; what it raises ends the statement: `WouldWait`, `TimeLimit`, `Cancelled`."""
    if _state.quick and time.perf_counter() > _state.until:
        raise WouldWait
    checkpoint()
    return False
