"""Operations that were slow in this process, by the hash of their documents, without values.

Documents that differ in literals only are one operation: what is hashed is the text without them.
"""

import hashlib
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lamdb.graphql.execution.parameterization import skeleton_of
from lamdb.graphql.request import Kind

KEPT: Final = 200
"""Operations; of more, the one that took the least time goes."""

type _Key = tuple[str, str | None]


@dataclass(slots=True)
class SlowOperation:
    """An operation that took longer than the threshold `count` times; times in milliseconds."""

    name: str | None
    kind: Kind
    hash: str
    count: int
    slowest_ms: float
    total_ms: float
    last_at: datetime


class SlowOperations:
    """The operations that took longer than `threshold` seconds. Thread-safe."""

    def __init__(self, threshold: float, *, kept: int = KEPT) -> None:
        self.threshold = threshold
        self._kept = kept
        self._operations: dict[_Key, SlowOperation] = {}
        self._lock = threading.Lock()

    def note(self, text: str, name: str | None, kind: Kind, seconds: float) -> None:
        """Remember one execution of an operation, which the caller found slow."""
        milliseconds, now = round(seconds * 1000, 3), datetime.fromtimestamp(time.time(), UTC)
        key = (document_hash(text), name)
        with self._lock:
            known = self._operations.get(key)
            if known is None:
                self._operations[key] = SlowOperation(name, kind, key[0], 1, milliseconds, milliseconds, now)
                if len(self._operations) > self._kept:
                    del self._operations[min(self._operations, key=self._total)]
            else:
                known.count += 1
                known.slowest_ms = max(known.slowest_ms, milliseconds)
                known.total_ms = round(known.total_ms + milliseconds, 3)
                known.last_at = now

    def slowest(self, first: int) -> list[SlowOperation]:
        """The `first` of them, slowest first."""
        with self._lock:
            found = sorted(self._operations.values(), key=lambda each: each.slowest_ms, reverse=True)
        return found[:first]

    def _total(self, key: _Key) -> float:
        return self._operations[key].total_ms


def document_hash(text: str) -> str:
    """The sha256 of a document in hexadecimal; what its literals are does not matter."""
    skeleton = skeleton_of(text)
    return hashlib.sha256((skeleton.key if skeleton else text).encode()).hexdigest()
