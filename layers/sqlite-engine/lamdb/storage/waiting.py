"""Attempts that must not wait.

A server answers from its event loop as long as everything it needs is in memory, which is mostly so, and goes
to a thread when it is not. Only the storage knows, and only when it gets there:

    try:
        with NoWaiting():
            answer = read()
    except WouldWait:
        answer = await in_a_thread(read)

In the block, whatever would ask the store raises `WouldWait` in its place. What was read before is lost, and
was only read: writers raise before they begin.
"""

import threading
from types import TracebackType
from typing import Self


class WouldWait(BaseException):
    """The attempt needs the store. Not an `Exception`: nothing went wrong that anyone should handle or
    log."""


class _State(threading.local):
    forbidden = False


_state = _State()


class NoWaiting:
    """`with NoWaiting():` makes this thread raise `WouldWait` where it would wait for the store."""

    __slots__ = ()

    def __enter__(self) -> Self:
        _state.forbidden = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _state.forbidden = False


def about_to_wait() -> None:
    """Called before anything that may take as long as the store does. Raises `WouldWait`."""
    if _state.forbidden:
        raise WouldWait
