"""A server in a thread, on a free port of the loopback."""

import asyncio
import contextlib
import socket
import threading
from typing import Final

import uvloop

from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.server.listener import Listener
from lamdb.settings import Settings

_HOST: Final = "127.0.0.1"
_STOP_SECONDS: Final = 5.0


class Served:
    """Serves an instance until `close`. Clients can connect when the constructor returns."""

    def __init__(self, instance: Instance, settings: Settings) -> None:
        self._instance = instance
        self._settings = settings
        self._socket = socket.create_server((_HOST, 0))
        self.url = f"http://{_HOST}:{self._socket.getsockname()[1]}"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._ready = threading.Event()
        self._failed: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="lamdb-testing", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failed is not None:
            raise self._failed

    def close(self) -> None:
        """Ends connections and waits for requests that are running, for a few seconds."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            uvloop.run(self._serve())
        except BaseException as error:
            if self._ready.is_set():
                raise
            self._failed = error
        finally:
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        settings = self._settings
        app = Application(self._instance, settings, _HOST)
        listener = Listener(
            app, self._socket, connections=settings.max_connections, idle_seconds=settings.header_timeout
        )
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._ready.set()
        await self._stop.wait()
        listener.stop()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_SECONDS):
                await listener.closed_all()
                await app.drain()
        app.close()
