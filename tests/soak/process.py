"""Common parts of the processes of a run: they end on a signal, or when no parent is left."""

import faulthandler
import os
import random
import signal
import threading
import time
import traceback
from collections.abc import Callable, Sequence

from lamdb.errors import StorageError
from lamdb.storage import Database
from lamdb.storage.cache.diskcache import DiskOptions


class Stop:
    """True after SIGTERM, and when the parent is gone. Made by the main thread. SIGUSR1 shows all stacks."""

    def __init__(self) -> None:
        self._told = False
        self._parent = os.getppid()
        signal.signal(signal.SIGTERM, self._tell)
        faulthandler.register(signal.SIGUSR1)

    def __bool__(self) -> bool:
        return self._told or os.getppid() != self._parent

    def _tell(self, *_: object) -> None:
        self._told = True


def repeating(stop: Stop, name: str, step: Callable[[random.Random], None]) -> threading.Thread:
    """A thread that takes steps until it is to stop; an error in one ends the whole process."""

    def run() -> None:
        source = random.Random(name)
        try:
            while not stop:
                step(source)
        except BaseException:  # noqa: BLE001 - It is shown, and ends the process.
            traceback.print_exc()
            os._exit(70)

    return threading.Thread(target=run, name=name, daemon=True)


def run_all(threads: Sequence[threading.Thread]) -> None:
    """Returns when all have ended. A main thread in `join` would not hear of signals."""
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.05)


def opened(
    url: str, *, stale_after: float, cache_bytes: int = 16 * 1024 * 1024, disk: DiskOptions | None = None
) -> Database:
    """The database, as soon as the store lets it be opened."""
    while True:
        try:
            return Database.open(
                url, create=False, stale_after=stale_after, cache_bytes=cache_bytes, disk=disk
            )
        except StorageError as error:
            if not error.retryable:
                raise
            time.sleep(0.1)
