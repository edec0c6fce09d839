"""Tells the streams of a server that there are newer transactions: one task looks for all of them."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from lamdb.errors import LamdbError
from lamdb.server.freshness import Freshness
from lamdb.storage import Database
from lamdb.storage.budget import Budget, Costs

_TICK: Final = 0.05
"""Seconds between looks at the newest transaction that this process knows."""

log = logging.getLogger("lamdb.server")


class Commits:
    """Made inside the event loop, whose thread all calls come from."""

    def __init__(self, database: Database, freshness: Freshness, look_seconds: float) -> None:
        """`look_seconds`: between looks for other servers' commits, while a stream waits."""
        self._database = database
        self._freshness = freshness
        self._seconds = look_seconds
        self._waiting: dict[asyncio.Future[bool], Callable[[], bool]] = {}
        self._task: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self.stopped = False

    @property
    def txid(self) -> int:
        """The newest transaction that this process knows."""
        return self._database.txid

    def newer_than(self, txid: int) -> Callable[[], bool]:
        """Returns what tells whether there is a transaction after `txid`, for `wait`."""
        return lambda: self._database.txid > txid

    async def wait(
        self, concerns: Callable[[], bool], seconds: float, lost: "asyncio.Future[None] | None" = None
    ) -> bool:
        """Returns True once `concerns()` does; False after `seconds`, when `lost` is done, or after `stop`.

        `concerns` is called for each new transaction, or for several at once. It must neither wait nor raise.
        """
        if self.stopped:
            return False
        loop = asyncio.get_running_loop()
        woken: asyncio.Future[bool] = loop.create_future()
        self._waiting[woken] = concerns
        if self._task is None:
            self._task = loop.create_task(self._watch())
        awaited: set[asyncio.Future[bool] | asyncio.Future[None]] = {woken}
        if lost is not None:
            awaited.add(lost)
        try:
            await asyncio.wait(awaited, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return woken.result() if woken.done() else concerns()
        finally:
            self._waiting.pop(woken, None)

    def stop(self) -> None:
        """Ends all waiting, now and from now on."""
        self.stopped = True
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(False)
        self._waiting.clear()

    async def _watch(self) -> None:
        """Looks for as long as anybody waits."""
        try:
            while self._waiting:
                self._wake()
                is_behind = self._database.is_overtaken or self._database.age() >= self._seconds
                if self._waiting and is_behind and self._looking is None:
                    # Commits of this server are noticed meanwhile, however long the store takes.
                    self._looking = asyncio.get_running_loop().create_task(self._look())
                await asyncio.sleep(_TICK)
        finally:
            self._task = None

    async def _look(self) -> None:
        """Looks for commits of other servers; after a failure, the next look has to wait."""
        try:
            await self._freshness.reach(0, 0.0, Budget(Costs()))
        except LamdbError as error:
            log.warning("could not look for changes of other servers: %s", error.message)
            await asyncio.sleep(self._seconds)
        finally:
            self._looking = None

    def _wake(self) -> None:
        for woken, concerns in list(self._waiting.items()):
            if concerns():
                del self._waiting[woken]
                if not woken.done():
                    woken.set_result(True)
