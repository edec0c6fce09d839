"""The thread pool under the event loop: results, errors, bounds, cancelled callers."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from lamdb.errors import Overloaded
from lamdb.server.pool import ThreadPool


def in_loop(
    test: Callable[[ThreadPool], Awaitable[None]], *, threads: int = 2, max_pending: int = 100
) -> None:
    async def main() -> None:
        pool = ThreadPool(threads, max_pending)
        try:
            await test(pool)
        finally:
            pool.close()

    asyncio.run(main())


def test_results_and_errors_come_back() -> None:
    async def test(pool: ThreadPool) -> None:
        assert await pool.run(divmod, 7, 2) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            await pool.run(divmod, 7, 0)
        assert pool.pending == 0

    in_loop(test)


def test_work_runs_beside_the_loop_and_beside_other_work() -> None:
    meeting = threading.Barrier(3, timeout=10)

    async def test(pool: ThreadPool) -> None:
        jobs = [asyncio.create_task(pool.run(meeting.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        meeting.wait()
        assert len(set(await asyncio.gather(*jobs))) == 2

    in_loop(test)


def test_threads_are_started_when_they_are_wanted() -> None:
    async def test(pool: ThreadPool) -> None:
        def mine() -> int:
            return sum(thread.name.startswith("counted") for thread in threading.enumerate())

        pool = ThreadPool(20, 100, name="counted")
        for _ in range(5):
            await pool.run(int)
        assert mine() == 1
        meeting = threading.Barrier(20, timeout=10)
        await asyncio.gather(*(pool.run(meeting.wait) for _ in range(20)))
        assert mine() == 20
        await asyncio.gather(*(pool.run(time.sleep, 0.01) for _ in range(40)))
        assert mine() == 20
        pool.close()

    in_loop(test)


def test_more_work_than_threads_waits_its_turn() -> None:
    async def test(pool: ThreadPool) -> None:
        begun = time.monotonic()
        done = await asyncio.gather(*(pool.run(lambda n: time.sleep(0.02) or n, n) for n in range(10)))
        assert done == list(range(10))
        assert time.monotonic() - begun > 0.09

    in_loop(test)


def test_too_much_work_is_refused_and_then_accepted_again() -> None:
    go = threading.Event()

    async def test(pool: ThreadPool) -> None:
        jobs = [asyncio.create_task(pool.run(go.wait, 10)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await pool.run(go.wait)
        go.set()
        assert await asyncio.gather(*jobs) == [True] * 3
        assert await pool.run(int) == 0

    in_loop(test, max_pending=3)


def test_a_cancelled_caller_leaves_the_work_to_finish() -> None:
    go, finished = threading.Event(), threading.Event()

    async def test(pool: ThreadPool) -> None:
        def work() -> None:
            go.wait(10)
            finished.set()

        job = asyncio.create_task(pool.run(work))
        await asyncio.sleep(0.01)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert pool.pending == 1
        go.set()
        while pool.pending:
            await asyncio.sleep(0.001)
        assert finished.is_set()

    in_loop(test)
