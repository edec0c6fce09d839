"""Waiting for transactions of other servers, without a thread for each request that waits.

One thread looks in the store, for all requests that came before it began. Who waits for the transaction of a
token awaits one look after the other.
"""

import asyncio
from typing import Final

from lamdb.errors import LamdbError
from lamdb.server.pool import ThreadPool
from lamdb.storage import Database
from lamdb.storage.budget import Budget
from lamdb.storage.pagestore import LookingFor

_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.1


class Freshness:
    """Made inside the event loop, whose thread all calls come from."""

    def __init__(self, database: Database, max_pending: int) -> None:
        self._database = database
        self._loop = asyncio.get_running_loop()
        self._pool = ThreadPool(1, max_pending, name="lamdb-look")
        self._next: dict[bool, asyncio.Future[None]] = {}
        """Looks that have not begun, by whether they list all there is."""
        self._looking: asyncio.Task[None] | None = None

    async def reach(self, wanted: int, seconds: float, budget: Budget) -> None:
        """Returns once the database has been compared with the store and includes transaction `wanted`.

        Raises `ReplicaLag` after `seconds`, or at once if `wanted` is far from all there is; what looking in
        the store raises; `TimeLimit` and `Cancelled` of the budget.
        """
        search = LookingFor(wanted, seconds)
        pause = _FIRST_PAUSE
        while True:
            await self._look(search.by_listing, budget)
            budget.check()
            if search.is_done(self._database.txid):
                return
            await asyncio.sleep(min(pause, search.remaining(), budget.deadline.remaining()))
            pause = min(2 * pause, _LONGEST_PAUSE)

    def close(self) -> None:
        self._pool.close()

    async def _look(self, by_listing: bool, budget: Budget) -> None:
        """Awaits a look that begins from now on."""
        look = self._next.get(by_listing)
        if look is None:
            look = self._next[by_listing] = self._loop.create_future()
            if self._looking is None:
                self._looking = self._loop.create_task(self._work())
        timeout = budget.deadline.remaining()
        done, _ = await asyncio.wait([look], timeout=None if timeout == float("inf") else timeout)
        if done:
            look.result()

    async def _work(self) -> None:
        """Looks for as long as anybody wants it."""
        while self._next:
            by_listing, look = self._next.popitem()
            try:
                await self._pool.run(self._catch_up, by_listing)
            except LamdbError as error:
                look.set_exception(error)
                look.exception()  # whoever waited may have given up
            else:
                look.set_result(None)
        self._looking = None

    def _catch_up(self, by_listing: bool) -> None:
        self._database.pages.catch_up(by_listing=by_listing)
