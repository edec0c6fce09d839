"""Ctrl-C between the steps of a command, so that each step is done or not."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Self


class Interrupts:
    """Delays `KeyboardInterrupt` to the end of a block, for as long as it is open.

    with Interrupts() as interrupts:
        with interrupts.held():
            …  # Ctrl-C is raised after it; a second one at once

    Does nothing outside the main thread, where no signal arrives, or where SIGINT is ignored, as it is for a
    script's commands in the background.
    """

    def __init__(self) -> None:
        self._held = False
        self._came = False
        self._previous: signal._HANDLER = None
        is_main = threading.current_thread() is threading.main_thread()
        self._takes = is_main and signal.getsignal(signal.SIGINT) != signal.SIG_IGN

    def __enter__(self) -> Self:
        if self._takes:
            self._previous = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._takes:
            signal.signal(signal.SIGINT, self._previous)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Raises `KeyboardInterrupt` at its end if Ctrl-C came inside, unless the block raised."""
        self._held, self._came = True, False
        try:
            yield
        finally:
            self._held = False
        if self._came:
            raise KeyboardInterrupt

    def _on_signal(self, _signal: int, _frame: FrameType | None) -> None:
        if self._held and not self._came:
            self._came = True
            return
        raise KeyboardInterrupt
