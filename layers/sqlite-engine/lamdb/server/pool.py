"""Blocking work off the event loop: as many threads as are wanted up to a limit, a bounded queue.

A request reads pages from the store and may wait for each, so it must not run on the event loop. asyncio's
own executor would do, but costs twice as much per call: it makes two futures, and takes a lock for each.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

from lamdb.errors import Overloaded


class _Job(NamedTuple):
    future: asyncio.Future[Any]
    work: Callable[..., Any]
    arguments: tuple[Any, ...]


class ThreadPool:
    """Runs blocking functions for one event loop. `run` and `pending` belong to the loop's thread."""

    def __init__(self, threads: int, max_pending: int, *, name: str = "lamdb") -> None:
        self._loop = asyncio.get_running_loop()
        self._max_threads = threads
        self._max_pending = max_pending
        self._name = name
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.pending = 0
        """Jobs that are waiting or running."""

    async def run[**P, T](self, work: Callable[P, T], *arguments: P.args, **_: P.kwargs) -> T:
        """The result of `work(*arguments)`. A caller that is cancelled leaves the work to finish.

        Raises `Overloaded` if too much is pending, and what the work raises.
        """
        if self.pending >= self._max_pending:
            raise Overloaded(f"{self.pending} requests are waiting.")
        future: asyncio.Future[T] = self._loop.create_future()
        self.pending += 1
        self._jobs.put(_Job(future, work, arguments))
        if len(self._threads) < min(self.pending, self._max_threads):
            self._start_thread()
        return await future

    def close(self) -> None:
        """Ends the threads once the queue is empty; does not wait for them."""
        for _ in self._threads:
            self._jobs.put(None)

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                result, error = job.work(*job.arguments), None
            except BaseException as raised:  # noqa: BLE001 - it is raised again where the work was asked for
                result, error = None, raised
            try:
                self._loop.call_soon_threadsafe(self._finish, job.future, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more

    def _finish(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self.pending -= 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
