"""A process that uses a store itself: `python -m tests.soak.storage_clients URL NAME LOG STALE_AFTER`.

Its writers share commits. Its readers have a second database open on the same store, as in another process,
with little memory and a cache on disk, in a directory that all such processes share.
"""

import sys
import threading
import time
from pathlib import Path
from random import Random

import apsw

from lamdb.errors import CommitUnknown, Fenced, StorageError, StoreUnavailable
from lamdb.storage.cache.diskcache import DiskOptions

from . import model
from .history import Log
from .process import Stop, opened, repeating, run_all

_WRITERS = 6
_READERS = 2


class _Refused(Exception):
    """Raised by a write that changes its mind."""


class Clients:
    def __init__(self, url: str, name: str, log: Log, stale_after: float, cache: Path) -> None:
        self._name = name
        self._log = log
        self._database = opened(url, stale_after=stale_after)
        disk = DiskOptions(cache, 1_000_000, hydrate=True)
        self._other = opened(url, stale_after=stale_after, cache_bytes=100_000, disk=disk)
        self._numbers = dict.fromkeys(map(self._client, range(_WRITERS)), 0)
        self._lock = threading.Lock()
        self._acknowledged = (0, 0)

    def run(self) -> None:
        stop = Stop()
        writers = [
            repeating(stop, self._client(number), lambda source, number=number: self._write(source, number))
            for number in range(_WRITERS)
        ]
        readers = [
            repeating(
                stop, f"{self._name}.r{number}", lambda source, number=number: self._read(source, number)
            )
            for number in range(_READERS)
        ]
        run_all(writers + readers)

    def _client(self, number: int) -> str:
        return f"{self._name}.w{number}"

    def _write(self, source: Random, thread: int) -> None:
        client = self._client(thread)
        number = self._numbers[client] = self._numbers[client] + 1
        refused, alone = source.random() < 0.1, source.random() < 0.1

        def work(connection: apsw.Connection) -> tuple[int, int]:
            txid = self._database.txid + 1
            id = model.append(connection, client, number, txid)
            if refused:
                raise _Refused
            return id, txid

        self._log.invoke(client, number)
        try:
            if alone:
                with self._database.writer() as connection:
                    id, txid = work(connection)
            else:
                id, txid = self._database.write(work)
        except (Fenced, _Refused):
            self._log.complete(client, number, "failed")
            time.sleep(source.uniform(0, 0.02))
        except CommitUnknown:
            self._log.complete(client, number, "unknown")
        except StoreUnavailable:  # Before it came to the commit.
            self._log.complete(client, number, "failed")
        else:
            self._log.complete(client, number, "ok", id, txid)
            with self._lock:
                self._acknowledged = max(self._acknowledged, (id, txid))

    def _read(self, source: Random, thread: int) -> None:
        client = f"{self._name}.r{thread}"
        strong, session = source.random() < 0.3, source.random() < 0.5
        with self._lock:
            token, min_txid = self._acknowledged if session else (0, 0)
        invoked = time.monotonic()
        try:
            if strong:
                self._other.refresh()
            lease = self._other.reader(min_txid)
            with lease as connection:
                seen, wrong = model.look(connection, lease.txid, thoroughly=source.random() < 0.02)
        except StorageError as error:
            if not error.retryable:
                raise
        else:
            self._log.read(client, invoked, seen, lease.txid, strong=strong, token=token, wrong=wrong)
        time.sleep(source.uniform(0, 0.02))


if __name__ == "__main__":
    url, name, log, stale_after = sys.argv[1:]
    Clients(url, name, Log(Path(log)), float(stale_after), Path(log).parent / "cache").run()
