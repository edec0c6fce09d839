"""The pages that recent transactions changed, for those that ask whether what they read is still the same."""

import threading
from collections import deque
from typing import Final, NamedTuple

from lamdb.storage.ltx.replica import OpenFile

_MOST_TRANSACTIONS: Final = 1024
_MOST_PAGES: Final = 65_536
"""Pages of all transactions that are remembered."""
_MOST_PAGES_OF_ONE: Final = 4096
"""Pages of a transaction from which on it counts as one that may have changed anything."""


class _Step(NamedTuple):
    """The way from the state after TXID `before` to that after `after`; `pages` is None if it is not known
    which ones changed."""

    before: int
    after: int
    pages: frozenset[int] | None


class ChangedPages:
    """Remembers nothing until `watch`. Thread-safe."""

    def __init__(self) -> None:
        self.watching = False
        self._lock = threading.Lock()
        self._steps: deque[_Step] = deque()
        self._pages = 0
        self._asked: tuple[int, int, frozenset[int] | None] = (0, 0, None)

    def watch(self) -> None:
        """Remembers transactions from now on."""
        self.watching = True

    def note_file(self, before: int, file: OpenFile) -> None:
        """Remembers a step from the state after TXID `before` to the one that `file` makes of it."""
        pages = None
        if not file.index.has_more_than(_MOST_PAGES_OF_ONE):
            pages = frozenset(number for number, _ in file.index.items())
        self.note(before, file.info.max_txid, pages)

    def note(self, before: int, after: int, pages: frozenset[int] | None) -> None:
        """Remembers a step; without `pages`, anything may have changed."""
        if not self.watching or after <= before:
            return
        with self._lock:
            self._steps.append(_Step(before, after, pages))
            self._pages += len(pages or ())
            while len(self._steps) > _MOST_TRANSACTIONS or self._pages > _MOST_PAGES:
                self._pages -= len(self._steps.popleft().pages or ())

    def between(self, before: int, after: int) -> frozenset[int] | None:
        """The pages that may differ between the states after two TXIDs; None if that is not known."""
        if before >= after:
            return frozenset()
        with self._lock:
            if self._asked[:2] != (before, after):
                self._asked = before, after, self._union(before, after)
            return self._asked[2]

    def _union(self, before: int, after: int) -> frozenset[int] | None:
        found: set[int] = set()
        reached = after
        for step in reversed(self._steps):
            if step.before >= reached:
                continue
            if step.after < reached or step.pages is None:
                return None
            found |= step.pages
            reached = step.before
            if reached <= before:
                return frozenset(found)
        return None
