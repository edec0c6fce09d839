"""Waiting for transactions of other servers: shared looks, no thread that waits."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lamdb.errors import Cancelled, ReplicaLag, TimeLimit
from lamdb.server.freshness import Freshness
from lamdb.storage import Database
from lamdb.storage.budget import Budget, Costs, Deadline, client_gone


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database.open(f"file://{tmp_path}") as opened:
        with opened.writer() as connection:
            connection.execute("CREATE TABLE t (x)")
        yield opened


def with_freshness(database: Database, test: Callable[[Freshness], Awaitable[None]]) -> None:
    async def main() -> None:
        freshness = Freshness(database, 100)
        try:
            await test(freshness)
        finally:
            freshness.close()

    asyncio.run(main())


def budget(deadline: Deadline | None = None) -> Budget:
    return Budget(Costs(), deadline or Deadline())


def test_a_transaction_of_another_server_is_found(database: Database, tmp_path: Path) -> None:
    with Database.open(f"file://{tmp_path}") as other, other.writer() as connection:
        connection.execute("INSERT INTO t VALUES (1)")

    async def test(freshness: Freshness) -> None:
        await freshness.reach(2, 60, budget())
        assert database.txid == 2

    with_freshness(database, test)


def test_one_that_is_far_away_is_refused_at_once(database: Database) -> None:
    async def test(freshness: Freshness) -> None:
        with pytest.raises(ReplicaLag, match="is not in the store"):
            await freshness.reach(10_000, 3600, budget())

    with_freshness(database, test)
    with pytest.raises(ReplicaLag, match="is not in the store"):
        database.refresh(10_000, 3600)


def test_one_that_is_near_is_waited_for(database: Database) -> None:
    async def test(freshness: Freshness) -> None:
        with pytest.raises(ReplicaLag, match="did not appear"):
            await freshness.reach(3, 0.05, budget())

    with_freshness(database, test)


def test_many_share_a_look(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[bool] = []
    gate = threading.Event()

    def look(*, by_listing: bool = False) -> None:
        looks.append(by_listing)
        gate.wait(10)

    monkeypatch.setattr(database.pages, "catch_up", look)

    async def test(freshness: Freshness) -> None:
        first = asyncio.create_task(freshness.reach(0, 60, budget()))
        while not looks:
            await asyncio.sleep(0.001)
        others = [asyncio.create_task(freshness.reach(0, 60, budget())) for _ in range(50)]
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(first, *others)

    with_freshness(database, test)
    assert looks == [False, False]


def test_nobody_waits_longer_than_the_deadline_or_the_client(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    monkeypatch.setattr(database.pages, "catch_up", lambda **_: gate.wait(10))
    gone = budget()

    async def test(freshness: Freshness) -> None:
        with pytest.raises(TimeLimit):
            await freshness.reach(1, 60, budget(Deadline.after(0.02)))
        gone.cancel(client_gone())
        gate.set()
        with pytest.raises(Cancelled):
            await freshness.reach(1, 60, gone)

    with_freshness(database, test)
