"""Counts of a server's requests to its store."""

import threading
import time
from collections.abc import Callable
from typing import Final

from lamdb.storage.stores.objectstore import ObjectStore
from lamdb.storage.stores.wrappers import ObservingStore

OPERATIONS: Final = (
    "get",
    "get_range",
    "get_suffix",
    "put_new",
    "upload",
    "finish",
    "head",
    "list",
    "delete",
)


class StoreCounts:
    """Requests, failures and seconds by operation. Thread-safe."""

    def __init__(self) -> None:
        self.requests = dict.fromkeys(OPERATIONS, 0)
        self.failures = dict.fromkeys(OPERATIONS, 0)
        self.seconds = dict.fromkeys(OPERATIONS, 0.0)
        self._lock = threading.Lock()

    def note(self, operation: str, seconds: float, *, failed: bool) -> None:
        with self._lock:
            self.requests[operation] += 1
            self.failures[operation] += failed
            self.seconds[operation] += seconds


class CountedStore(ObservingStore):
    """A store whose requests are counted."""

    def __init__(self, inner: ObjectStore, counts: StoreCounts) -> None:
        super().__init__(inner)
        self._counts = counts

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        started, failed = time.perf_counter(), True
        try:
            result = call()
            failed = False
            return result
        finally:
            self._counts.note(operation, time.perf_counter() - started, failed=failed)
