"""The sockets of a server with several workers, and each process's part of its limits."""

import logging
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, Self

from lamdb.errors import SettingsError
from lamdb.memory import SMALLEST
from lamdb.server.instance import Instance
from lamdb.server.run import Address, Socket, listen
from lamdb.server.workers import ReadingApplication, WriterApplication
from lamdb.settings import Settings

log = logging.getLogger("lamdb.server")

_MIB: Final = 1024 * 1024
_BACKLOG: Final = 4096
_WRITER_IDLE: Final = 600.0
"""Seconds. Workers close idle connections to the writer long before."""


def workers_of(settings: Settings) -> int:
    """The number of processes that read. Raises `SettingsError` for several on a store in memory."""
    count = settings.workers or os.process_cpu_count() or 1
    if count > 1 and not (hasattr(signal, "sigtimedwait") and hasattr(socket, "SO_REUSEPORT")):
        raise SettingsError(
            "several workers need Linux", hint="Use --workers 1.", meta={"setting": "workers"}
        )
    if count > 1 and settings.metrics == "on":
        raise SettingsError(
            "metrics are counted by one process, and several workers would each show their own",
            hint="Use --workers 1, or set LAMDB_METRICS=off.",
            meta={"setting": "metrics"},
        )
    if count == 1 or not settings.require_store().startswith("memory:"):
        return count
    if not settings.workers:
        log.warning("a store in memory belongs to one process: serving with one worker")
        return 1
    raise SettingsError(
        f"{count} workers cannot share a store in memory, which belongs to one process",
        hint="Use --workers 1, or a store in a directory: --store .lamdb/store",
        meta={"setting": "workers"},
    )


def share_of_worker(settings: Settings, count: int) -> Settings:
    """The settings of each process, where `count` workers and a writer share memory, disk and connections."""
    processes = count + 1
    return replace(
        settings,
        memory=max(SMALLEST, settings.memory // processes),
        cache_bytes=max(_MIB, settings.cache_bytes // processes) if settings.cache_bytes else 0,
        disk_cache_bytes=settings.disk_cache_bytes // processes,
        metrics="off",
        max_connections=-(-settings.max_connections // count),
    )


class WorkerSockets:
    """A listening socket for each worker, all on one port, and one in a directory of its own for the writer.

    The system divides connections among the workers. Closed at the end of a `with` block, in the process
    that made it.
    """

    def __init__(self, address: Address, count: int) -> None:
        """Raises `SettingsError` if the address is in use."""
        self._address = address
        self._readers: list[socket.socket] = []
        self._pid = os.getpid()
        self._directory = Path(tempfile.mkdtemp(prefix="lamdb-"))
        self._path = str(self._directory / "writer")
        self._writer = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._bind_writer()
            self._writer.listen(_BACKLOG)
            for _ in range(count):
                self._readers.append(listen(address, shared=True))
        except BaseException:
            self._close()
            raise

    def _bind_writer(self) -> None:
        """Raises `SettingsError`."""
        try:
            self._writer.bind(self._path)
        except OSError as error:
            raise SettingsError(
                f"cannot make the writer's socket {self._path}: {error}",
                hint="Set TMPDIR to a directory with a short path, such as /tmp.",
            ) from None

    def of_writer(self, instance: Instance, settings: Settings, life: int) -> Socket:
        host = self._address.host
        return Socket(
            self._writer, lambda: WriterApplication(instance, settings, host), life, idle_seconds=_WRITER_IDLE
        )

    def of_reader(
        self, number: int, instance: Instance, settings: Settings, life: int, is_serving: Callable[[], bool]
    ) -> Socket:
        """`number`: from 1 on. `is_serving`: tells whether the writer serves."""
        host, path = self._address.host, self._path
        return Socket(
            self._readers[number - 1],
            lambda: ReadingApplication(instance, settings, host, path, is_serving),
            life,
            idle_seconds=settings.header_timeout,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def _close(self) -> None:
        if os.getpid() == self._pid:
            for each in (self._writer, *self._readers):
                each.close()
            shutil.rmtree(self._directory, ignore_errors=True)
