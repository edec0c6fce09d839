"""Chooses the GraphQL documents that are answered on the event loop itself.

Handing a request to a thread and back costs more than most requests do: two threads that take turns with the
interpreter lock, on two processor cores. So a document that has proved quick is answered where it arrived. It
loses that right when an execution takes long or has to wait for the store. Then it is executed in the thread
pool, until it has been quick there many times.

A search is quick if its result was kept from an equal one. So that is tried first, whatever the document's
record is.
"""

from typing import Final

QUICK_SECONDS: Final = 0.002
"""Processor time up to which an execution is quick: for so long may it hold up all other requests."""

HEAVY_SECONDS: Final = 0.1
"""Processor time from which on an execution is heavy: it must not block others."""

_PROOFS: Final = 2
_AFTER_SLOW: Final = -100
_AFTER_WAIT: Final = -20
_DOCUMENTS: Final = 10_000


class FastLane:
    """The record of each document. Threads may share it: a lost update only delays a decision."""

    def __init__(self) -> None:
        # Quick executions in a row, or, below zero, how many more are wanted. By hash: texts can be long.
        self._records: dict[int, int] = {}
        self._heavy: set[int] = set()
        # Below zero: how often an answer from kept results is not tried.
        self._kept: dict[int, int] = {}

    def is_heavy(self, document: str) -> bool:
        """True if the last execution of `document` kept a processor busy for long."""
        return hash(document) in self._heavy

    def is_light(self, document: str) -> bool:
        """True if the last execution of `document` was not heavy; False if there was none."""
        key = hash(document)
        return key in self._records and key not in self._heavy

    def allows(self, document: str) -> bool:
        """True if `document` should be answered on the event loop."""
        return self._records.get(hash(document), 0) >= _PROOFS

    def executed(self, document: str, seconds: float) -> None:
        """Note the processor time of an execution. A document's first does not count: it compiles it."""
        key = hash(document)
        if seconds > HEAVY_SECONDS:
            if len(self._heavy) >= _DOCUMENTS:
                self._heavy.clear()
            self._heavy.add(key)
        elif self._heavy:
            self._heavy.discard(key)
        record = self._records.get(key)
        if record is None:
            self._set(key, 0)
        elif seconds > QUICK_SECONDS:
            self._set(key, _AFTER_SLOW)
        elif record < _PROOFS:
            self._set(key, record + 1)

    def waited(self, document: str) -> None:
        """Note that an attempt on the event loop was given up because it would have waited for the store."""
        self._set(hash(document), _AFTER_WAIT)

    def doubt(self, document: str) -> None:
        """Note that an execution on the event loop took long by the clock. The next runs in a thread."""
        self._set(hash(document), _PROOFS - 1)

    def may_be_kept(self, document: str) -> bool:
        """True if the event loop should try to answer `document`, although it is not quick, from results that
        are kept. Not the first time: it has to be compiled."""
        key = hash(document)
        if key not in self._records:
            return False
        record = self._kept.get(key, 0)
        if record < 0:
            self._kept[key] = record + 1
        return record >= 0

    def was_not_kept(self, document: str) -> None:
        """Note that such an attempt took long, or would have waited for the store."""
        if len(self._kept) >= _DOCUMENTS:
            self._kept.clear()
        self._kept[hash(document)] = _AFTER_WAIT

    def _set(self, key: int, record: int) -> None:
        if len(self._records) >= _DOCUMENTS:
            self._records.clear()
        self._records[key] = record
