"""Runs the application behind its listening socket, and stops both in order.

Why HTTP is spoken in this process and thread: docs/decisions.md, "Server".
"""

import asyncio
import contextlib
import errno
import logging
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import uvloop

from lamdb.errors import SettingsError
from lamdb.server.app import Application
from lamdb.server.instance import Instance
from lamdb.server.listener import Listener
from lamdb.settings import Settings

log = logging.getLogger("lamdb.server")

_BACKLOG = 1024
_GIVING_UP_SECONDS = 2.0
"""For the last answers, once what was executing has been given up."""
_SWITCH_SECONDS = 0.001
"""For how long a thread keeps the interpreter's lock: the event loop competes with all others for it."""
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Address(NamedTuple):
    """Where the server listens; `host` is numeric."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """For people and tests on the same machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host and not host.startswith('[') else host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Socket:
    """A listening socket that another process made, and what it serves.

    - `application`: makes the application, inside the event loop.
    - `life`: a descriptor at whose end the process stops, as the one that started it has ended.
    - `idle_seconds`: how long a connection may be idle.
    """

    socket: socket.socket
    application: Callable[[], Application]
    life: int
    idle_seconds: float


def serve(
    instance: Instance,
    settings: Settings,
    address: Address,
    on_ready: Callable[[], None],
    given: Socket | None = None,
) -> None:
    """Serve on `address` until SIGTERM or SIGINT; then finish the requests that are running and return.

    `on_ready` is called once, when clients can connect. `given` replaces the socket and the application.
    """
    _raise_file_limit(settings.max_connections)
    sys.setswitchinterval(_SWITCH_SECONDS)
    uvloop.run(_serve(instance, settings, address, on_ready, given))


def free_address(host: str, port: int) -> Address:
    """The address to listen on; port 0 becomes a free one. Raises `SettingsError`."""
    try:
        family, _, _, _, numeric = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(numeric)
            probe.listen()
            return Address(*probe.getsockname()[:2])
    except OSError as error:
        raise _cannot_listen(host, port, error) from None


def _cannot_listen(host: str, port: int, error: OSError) -> SettingsError:
    match error.errno:
        case errno.EADDRINUSE:
            hint = "Stop what uses the port, or choose another with --port."
        case errno.EACCES:
            hint = "Ports below 1024 need rights that this user does not have: choose another with --port."
        case _:
            hint = "Give an address of this machine with --host: 127.0.0.1, or 0.0.0.0 for all of them."
    return SettingsError(f"cannot listen on {host} port {port}: {error.strerror}", hint=hint)


async def _serve(
    instance: Instance,
    settings: Settings,
    address: Address,
    on_ready: Callable[[], None],
    given: Socket | None,
) -> None:
    app = given.application() if given else Application(instance, settings, address.host)
    listener = Listener(
        instance.tracing.app(app) if instance.tracing is not None else app,
        given.socket if given else listen(address),
        connections=settings.max_connections,
        idle_seconds=given.idle_seconds if given else settings.header_timeout,
    )
    app.count_connections(lambda: listener.open_connections)
    stop = _stop_event()
    if given is not None:
        asyncio.get_running_loop().add_reader(given.life, stop.set)
    on_ready()
    await stop.wait()
    if given is not None:
        asyncio.get_running_loop().remove_reader(given.life)
    log.info("stopping: finishing the requests that are running")
    listener.stop()
    app.commits.stop()
    try:
        async with asyncio.timeout(settings.shutdown_timeout):
            await listener.closed_all()
            await app.drain()
    except TimeoutError:
        log.warning("stopped before all requests were finished")
        if app.is_executing():
            app.give_up()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_GIVING_UP_SECONDS):
                    await app.drain()
            # The interpreter would wait for those threads. What they may yet commit is durable or it is not.
            logging.shutdown()
            os._exit(1)
    app.close()


def _stop_event() -> asyncio.Event:
    """Set by the first signal; a second one ends the process as it would any other."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        for number in _STOP_SIGNALS:
            loop.remove_signal_handler(number)

    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, on_signal)
    return stop


def listen(address: Address, *, shared: bool = False) -> socket.socket:
    """A listening socket; with `shared`, others may listen on the same port. Raises `SettingsError`."""
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise _cannot_listen(address.host, address.port, error) from None
    return sock


def _raise_file_limit(connections: int) -> None:
    """Allow a file descriptor for each connection, and some for the store, as far as the system does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + 256
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
