"""The thread pool under the event loop: results, errors, bounds, cancelled callers."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from lamdb.errors import Cancelled, Overloaded
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


def test_clients_take_turns() -> None:
    order: list[str] = []

    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(1, 100)
        gate = threading.Event()
        first = pool.submit(gate.wait, 10)
        greedy = [pool.submit(order.append, f"greedy {n}", client="greedy") for n in range(5)]
        modest = [pool.submit(order.append, f"modest {n}", client="modest") for n in range(2)]
        gate.set()
        await asyncio.gather(first, *greedy, *modest)
        pool.close()

    in_loop(test)
    assert order == [
        "greedy 0",
        "modest 0",
        "greedy 1",
        "modest 1",
        "greedy 2",
        "greedy 3",
        "greedy 4",
    ]


def test_quick_work_runs_beside_slow_work() -> None:
    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(2, 100, extra=1)
        gate = threading.Event()
        slow = [pool.submit(gate.wait, 60) for _ in range(2)]
        assert await pool.run(int) == 0
        gate.set()
        await asyncio.gather(*slow)
        pool.close()

    in_loop(test)


def test_what_is_in_the_way_of_others_is_given_up() -> None:
    """The longest running of the client that has most; nothing while nobody waits."""

    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(2, 100, extra=1, gives_up=True)
        gates = [threading.Event() for _ in range(3)]
        given_up: list[int] = []

        def give_up(number: int) -> Callable[[Exception], None]:
            def tell(_: Exception) -> None:
                given_up.append(number)
                gates[number].set()

            return tell

        clients = ["modest", "greedy", "greedy"]
        slow = [
            pool.submit(gate.wait, 60, client=client, give_up=give_up(number))
            for number, (gate, client) in enumerate(zip(gates, clients, strict=True))
        ]
        assert await pool.submit(int, client="other") == 0
        assert given_up == [1]
        pool.give_up_all(Cancelled("stop"))
        assert given_up == [1, 0, 2]
        await asyncio.gather(*slow)
        pool.close()

    in_loop(test)


def test_what_waits_is_refused_when_all_is_given_up() -> None:
    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(1, 100)
        gate = threading.Event()
        running = pool.submit(gate.wait, 10)
        waiting = pool.submit(int)
        pool.give_up_all(Cancelled("stop"))
        with pytest.raises(Cancelled):
            await waiting
        gate.set()
        assert await running
        assert pool.pending == 0
        pool.close()

    in_loop(test)


def test_work_whose_caller_has_gone_is_not_begun() -> None:
    begun: list[int] = []

    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(1, 100)
        gate = threading.Event()
        running = pool.submit(gate.wait, 10)
        waiting = pool.submit(begun.append, 1)
        waiting.cancel()
        gate.set()
        await running
        await pool.run(int)
        assert pool.pending == 0
        pool.close()

    in_loop(test)
    assert begun == []


def test_half_of_the_extra_threads_are_for_slow_work() -> None:
    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(1, 100, extra=6)
        gate = threading.Event()
        slow = [pool.submit(gate.wait, 60, is_slow=True) for _ in range(10)]
        async with asyncio.timeout(20):
            while pool.running < 3:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        assert pool.running == 3
        gate.set()
        assert await asyncio.gather(*slow) == [True] * 10
        pool.close()

    in_loop(test)


@pytest.mark.parametrize(("threads", "extra"), [(2, 2), (1, 16)])
def test_slow_work_leaves_room_for_other_work(threads: int, extra: int) -> None:
    async def test(_: ThreadPool) -> None:
        pool = ThreadPool(threads, 100, extra=extra)
        gate = threading.Event()
        slow = [pool.submit(gate.wait, 60, is_slow=True) for _ in range(10)]
        assert await pool.run(int) == 0
        assert await pool.run(int) == 0
        gate.set()
        assert await asyncio.gather(*slow) == [True] * 10
        pool.close()

    in_loop(test)
