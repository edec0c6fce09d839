"""A listening socket and its connections: their number, their age, and their end."""

import asyncio
import errno
import logging
import socket
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from lamdb.server.exchange import Exchange
from lamdb.server.http1 import HttpApplication, HttpConnection, KnownHeads

_TICKS: Final = 8
"""Ticks within the time that a connection may be idle, none of them longer than a second."""
_LINGER_SECONDS: Final = 2.0
_STUCK_SECONDS: Final = 60.0
"""Time within which a client must take something of an answer that fills the connection's buffer."""
_ACCEPTED_AT_ONCE: Final = 64
_PAUSE: Final = 0.2
"""Seconds until connections are accepted again after the system was out of descriptors or memory."""
_SCARCE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = logging.getLogger("lamdb.server")


class Listener:
    """Accepts connections for `app`. Made, and used, in the thread of the event loop."""

    def __init__(
        self, app: HttpApplication, sock: socket.socket, *, connections: int, idle_seconds: float
    ) -> None:
        """`connections`: how many may be open; more wait to be accepted."""
        self.app = app
        self.heads = KnownHeads()
        self.date = formatdate(usegmt=True)
        self.tick = 0
        self.is_stopping = False
        self._loop = asyncio.get_running_loop()
        self._socket = sock
        self._limit = connections
        self._open: set[HttpConnection] = set()
        self._opening: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting = False
        self._all_closed = asyncio.Event()
        self._seconds = min(1.0, idle_seconds / _TICKS)
        self._idle = round(idle_seconds / self._seconds)
        self._timer = self._loop.call_later(self._seconds, self._on_tick)
        sock.setblocking(False)
        self._accept_more()

    @property
    def open_connections(self) -> int:
        return len(self._open)

    def stop(self) -> None:
        """Accepts no more, and closes each connection once it is idle."""
        self.is_stopping = True
        self._accept_none()
        self._socket.close()
        for connection in list(self._open):
            connection.stop()
        self._note_closed()

    async def closed_all(self) -> None:
        """Returns once all connections are closed. After `stop`."""
        await self._all_closed.wait()
        self._timer.cancel()

    # What connections share

    def opened(self, connection: HttpConnection) -> None:
        self._open.add(connection)

    def closed(self, connection: HttpConnection) -> None:
        self._open.discard(connection)
        self._accept_more()
        self._note_closed()

    def run(self, exchange: Exchange, done: Callable[[], None]) -> None:
        """Answers a request in a task of its own; `done` is called at its end."""
        task = self._loop.create_task(self.app.__rsgi__(exchange, exchange))
        self._tasks.add(task)

        def finished(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("internal error while answering a request", exc_info=error)
            done()

        task.add_done_callback(finished)

    # Accepting

    def _accept_more(self) -> None:
        if not self._accepting and not self.is_stopping and self._room() > 0:
            self._accepting = True
            self._loop.add_reader(self._socket, self._accept)

    def _accept_none(self) -> None:
        if self._accepting:
            self._accepting = False
            self._loop.remove_reader(self._socket)

    def _room(self) -> int:
        return self._limit - len(self._open) - len(self._opening)

    def _accept(self) -> None:
        for _ in range(min(_ACCEPTED_AT_ONCE, self._room())):
            try:
                client, _ = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                break
            except OSError as error:
                if error.errno not in _SCARCE:
                    raise
                log.warning("cannot accept connections", extra={"reason": error.strerror})
                self._accept_none()
                self._loop.call_later(_PAUSE, self._accept_more)
                return
            client.setblocking(False)
            task = self._loop.create_task(self._connect(client))
            self._opening.add(task)
            task.add_done_callback(self._on_opened)
        if self._room() <= 0:
            self._accept_none()

    def _on_opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._accept_more()

    async def _connect(self, client: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(lambda: HttpConnection(self), client)
        except OSError:
            client.close()  # it went away at once

    # Time

    def _on_tick(self) -> None:
        self.tick += 1
        self.date = formatdate(usegmt=True)
        linger, stuck = round(_LINGER_SECONDS / self._seconds), round(_STUCK_SECONDS / self._seconds)
        for connection in list(self._open):
            age = self.tick - connection.tick
            if age:
                connection.expire(age, idle=self._idle, linger=linger, stuck=stuck)
        self._timer = self._loop.call_later(self._seconds, self._on_tick)

    def _note_closed(self) -> None:
        if self.is_stopping and not self._open:
            self._all_closed.set()
