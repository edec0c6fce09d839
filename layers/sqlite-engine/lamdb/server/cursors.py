"""Bodies that threads write while their clients read."""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from lamdb.errors import LamdbError
from lamdb.graphql.transport.wire import HttpResponse
from lamdb.storage.budget import Budget, client_gone

_LOOK_SECONDS: Final = 0.2
"""Seconds between looks at the budget of a request whose client does not read."""
_GRACE_SECONDS: Final = 5.0
"""For which a client may take the end of a body that took too long."""


class BodyWriter(Protocol):
    """The way of a response to the client, once it has begun."""

    async def response_piece(self, piece: bytes) -> None:
        """Returns once there is room for more. Raises `RuntimeError` if the client has gone."""

    def response_end(self) -> None: ...


type Open = Callable[[dict[str, str]], BodyWriter]
"""Begins a response with these headers, in the event loop."""


class StreamedResponse(HttpResponse):
    """A response whose body was sent already."""


class StreamedBody:
    """The body of one response. `send` is for one thread, all else for that of the event loop."""

    def __init__(self, open_body: Open, budget: Budget) -> None:
        self._open = open_body
        self._budget = budget
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._way: BodyWriter | None = None
        self._given_up: float | None = None

    @property
    def has_begun(self) -> bool:
        """True if the response has begun: it cannot be another one any more."""
        return self._way is not None

    def send(self, headers: dict[str, str], piece: bytes) -> None:
        """Returns once there is room for the next piece. Raises `Cancelled`, `TimeLimit`.

        After `TimeLimit`, one more piece can be sent, which tells of the error.
        """
        sending = asyncio.run_coroutine_threadsafe(self._send(headers, piece), self._loop)
        while True:
            try:
                return sending.result(_LOOK_SECONDS)
            except TimeoutError:
                self._look()
            except RuntimeError as error:
                raise client_gone() from error

    def end(self) -> None:
        """Ends the response, if it has begun."""
        if self._way is not None:
            self._way.response_end()

    async def _send(self, headers: dict[str, str], piece: bytes) -> None:
        # A piece whose sender has given up goes first.
        async with self._turn:
            if self._way is None:
                self._way = self._open(headers)
            await self._way.response_piece(piece)

    def _look(self) -> None:
        if self._given_up is None:
            try:
                self._budget.check()
            except LamdbError:
                self._given_up = time.monotonic()
                raise
        elif time.monotonic() > self._given_up + _GRACE_SECONDS:
            raise client_gone()
