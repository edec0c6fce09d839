"""A thread pool for blocking work: bounded threads, and a bounded queue that is fair to clients.

asyncio's own executor would do for the threads, but costs twice as much per call and serves the first to
arrive: a client with a thousand requests would stay ahead of everyone.

- Clients take turns: each has a queue of its own.
- Work that has been running for `SLOW_SECONDS` does not count as one of the `threads`: other work runs beside
  it, in up to `extra` threads, so that what is slow does not stop what is quick.
- Work that is known to be slow has a queue of its own, too, and at most `threads` of it run at a time, or
  half of `extra` if that is more.
- Where even those are in use and others wait, the longest running of the client that has most is given up:
  `Job.give_up` tells it so.
"""

import asyncio
import collections
import contextvars
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Any, Final

from lamdb.errors import LamdbError, Overloaded

SLOW_SECONDS: Final = 0.05
_GIVEN_UP_AFTER: Final = 2.0
"""Seconds of running before which nothing is given up."""
_LOOK_SECONDS: Final = 0.02


class Job:
    """One call. `give_up` is called in the loop's thread, once, if the call is not to go on."""

    __slots__ = ("arguments", "client", "future", "give_up", "given_up", "is_slow", "started", "work")

    def __init__(
        self,
        future: asyncio.Future[Any],
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        client: str,
        give_up: Callable[[LamdbError], None] | None,
        is_slow: bool,
    ) -> None:
        self.future = future
        self.work = work
        self.arguments = arguments
        self.client = client
        self.give_up = give_up
        self.is_slow = is_slow
        self.given_up = False
        self.started = 0.0


class ThreadPool:
    """Runs blocking functions for one event loop, to whose thread all methods belong."""

    def __init__(
        self,
        threads: int,
        max_pending: int,
        *,
        extra: int = 0,
        name: str = "lamdb",
        gives_up: bool = False,
        keeps_context: bool = False,
    ) -> None:
        """`gives_up`: whether running work may be given up for other clients' sake.

        `keeps_context`: whether work sees the context variables of the caller of `submit`.
        """
        self._loop = asyncio.get_running_loop()
        self._max_threads = threads
        self._extra = extra
        self._max_slow = max(threads, extra // 2)
        self._max_pending = max_pending
        self._name = name
        self._gives_up = gives_up
        self._keeps_context = keeps_context
        self._handed: SimpleQueue[Job | None] = SimpleQueue()
        """To threads that are idle, or about to be started."""
        self._threads: list[threading.Thread] = []
        self._queues: OrderedDict[tuple[str, bool], deque[Job]] = OrderedDict()
        """Waiting calls, by client and whether they are slow; the next client comes first."""
        self._running: dict[Job, None] = {}
        """In the order of their start."""
        self._slow = 0
        self._look: asyncio.TimerHandle | None = None
        self.pending = 0
        """Jobs that are waiting or running."""

    @property
    def limit(self) -> int:
        """How many jobs may run at a time, besides slow ones."""
        return self._max_threads

    @property
    def running(self) -> int:
        """Jobs that threads execute."""
        return len(self._running)

    @property
    def waiting(self) -> int:
        """Jobs that wait for a thread."""
        return self.pending - len(self._running)

    async def run[T](self, work: Callable[..., T], *arguments: Any) -> T:
        """The result of `work(*arguments)`: `submit` for callers without a client."""
        result: T = await self.submit(work, *arguments)
        return result

    def submit(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        client: str = "",
        give_up: Callable[[LamdbError], None] | None = None,
        is_slow: bool = False,
    ) -> asyncio.Future[Any]:
        """The future result of `work(*arguments)`.

        Cancelled before it runs, the work is not done; else it is left to finish. Raises `Overloaded` if too
        much is pending. `client` is on whose behalf the work is done.
        """
        if self.pending >= self._max_pending:
            raise Overloaded(f"{self.pending} requests are waiting.")
        if self._keeps_context:
            work = partial(contextvars.copy_context().run, work)
        future: asyncio.Future[Any] = self._loop.create_future()
        self.pending += 1
        job = Job(future, work, arguments, client, give_up, is_slow)
        if len(self._running) < self._max_threads and not self._queues:
            self._hand_over(job)
        else:
            self._queues.setdefault((client, is_slow), deque()).append(job)
            self._fill()
        return future

    def give_up_all(self, reason: LamdbError) -> None:
        """Gives up what is running, and refuses what is waiting."""
        for job in list(self._running):
            self._give_up(job, reason)
        for queue in self._queues.values():
            for job in queue:
                self.pending -= 1
                if not job.future.done():
                    job.future.set_exception(type(reason)(reason.message))
        self._queues.clear()

    def close(self) -> None:
        """Ends the threads once nothing is left to do; does not wait for them."""
        if self._look is not None:
            self._look.cancel()
        for _ in self._threads:
            self._handed.put(None)

    # Starting what waits

    def _fill(self) -> None:
        """Starts waiting work while there is room; tries again later if there is none."""
        while self._queues and len(self._running) < self._max_threads + min(self._slow, self._extra):
            job = self._next()
            if job is None:
                break
            if job.future.done():  # its client has gone
                self.pending -= 1
                continue
            self._hand_over(job)
        if self._queues and self._look is None:
            self._look = self._loop.call_later(_LOOK_SECONDS, self._look_at_running)

    def _next(self) -> Job | None:
        """The first job of the client whose turn it is, which then is last; None if only slow ones wait, and
        enough of those are running."""
        enough = sum(job.is_slow for job in self._running) >= self._max_slow
        key = next((key for key in self._queues if not (enough and key[1])), None)
        if key is None:
            return None
        queue = self._queues.pop(key)
        job = queue.popleft()
        if queue:
            self._queues[key] = queue
        return job

    def _hand_over(self, job: Job) -> None:
        job.started = time.monotonic()
        self._running[job] = None
        self._handed.put(job)
        if len(self._threads) < len(self._running):
            self._start_thread()

    def _look_at_running(self) -> None:
        """While work waits: lets some run beside what is slow, and gives up what is in everyone's way."""
        self._look = None
        now = time.monotonic()
        self._slow = sum(now - job.started > SLOW_SECONDS for job in self._running)
        if self._gives_up and self._slow >= self._max_threads + self._extra:
            self._make_way(now)
        self._fill()

    def _make_way(self, now: float) -> None:
        """Gives up one job for each client that waits: of the client that runs most, the longest running."""
        wanted = len(self._queues) - sum(job.given_up for job in self._running)
        running: dict[str, list[Job]] = {}
        shares = collections.Counter(job.client for job in self._running if not job.given_up)
        for job in self._running:
            if not job.given_up and job.give_up is not None and now - job.started > _GIVEN_UP_AFTER:
                running.setdefault(job.client, []).append(job)
        while wanted > 0 and running:
            client = max(running, key=lambda each: shares[each])
            job = running[client].pop(0)
            shares[client] -= 1
            if not running[client]:
                del running[client]
            self._give_up(job, Overloaded("The request took long, and others are waiting."))
            wanted -= 1

    def _give_up(self, job: Job, reason: LamdbError) -> None:
        if not job.given_up and job.give_up is not None:
            job.given_up = True
            job.give_up(reason)

    # In the threads

    def _start_thread(self) -> None:
        name = f"{self._name}-{len(self._threads)}"
        self._threads.append(threading.Thread(target=self._work, name=name, daemon=True))
        self._threads[-1].start()

    def _work(self) -> None:
        while (job := self._handed.get()) is not None:
            try:
                result, error = job.work(*job.arguments), None
            except BaseException as raised:  # noqa: BLE001 - it is raised again where the work was asked for
                result, error = None, raised
            try:
                self._loop.call_soon_threadsafe(self._finish, job, result, error)
            except RuntimeError:
                return  # the loop is closed: nobody waits any more
            del job, result, error  # which may be large, and would be kept while the thread is idle

    def _finish(self, job: Job, result: Any, error: BaseException | None) -> None:
        self.pending -= 1
        del self._running[job]
        if self._slow and time.monotonic() - job.started > SLOW_SECONDS:
            self._slow -= 1
        if self._queues:
            self._fill()
        if job.future.done():
            return
        if error is None:
            job.future.set_result(result)
        else:
            job.future.set_exception(error)
