"""An object store that fails, or ends the process, at a chosen request."""

import threading
from collections.abc import Callable
from dataclasses import dataclass

from lamdb.errors import StoreUnavailable
from lamdb.storage.stores.objectstore import ObjectStore, Upload
from lamdb.storage.stores.wrappers import StoreWrapper


class Crash(BaseException):
    """The process ends at this request: whatever it still does reaches the store no more."""


class FaultyStore(StoreWrapper):
    """Fails where it is told to. `fail` arms one fault for the next requests of an operation:

    - "before": the request never reaches the store;
    - "after": the store does what it was asked, and the answer is lost;
    - "crash before", "crash after": the same, and the process ends with it. Every later request raises
      `Crash`, too, so that neither retries nor clean-ups have an effect.
    """

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.calls = 0
        """How many requests there were."""
        self.fired = 0
        """How many of them have failed as they were told to."""
        self._armed: dict[str, _Fault] = {}
        self._crashed = False
        self._lock = threading.Lock()

    def fail(self, operation: str, when: str = "before", *, times: int = 1, skip: int = 0) -> None:
        """Lets `skip` requests of `operation` (a method, "*" for any) pass and fails the next `times`."""
        self._armed[operation] = _Fault(when, skip, times)

    def heal(self) -> None:
        self._armed.clear()
        self._crashed = False

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        when = self._take(operation)
        if when is None or when.endswith("after"):
            result = call()
        if when is None:
            return result
        if when.startswith("crash"):
            raise Crash(f"injected {when} {operation} {key}")
        raise StoreUnavailable(f"injected fault {when} {operation} {key}")

    def aborting(self, upload: Upload) -> None:
        if not self._crashed:
            upload.abort()

    def _take(self, operation: str) -> str | None:
        with self._lock:
            self.calls += 1
            if self._crashed:
                return "crash before"
            fault = self._armed.get(operation) or self._armed.get("*")
            if fault is None or fault.times == 0:
                return None
            if fault.skip:
                fault.skip -= 1
                return None
            fault.times -= 1
            self.fired += 1
            self._crashed = fault.when.startswith("crash")
            return fault.when


@dataclass(slots=True)
class _Fault:
    when: str
    skip: int
    times: int
