"""The memory that SQLite takes in this process, kept under a budget.

SQLite allows each connection a page cache of its own (`PRAGMA cache_size`), so many connections could take
many times one cache. Two measures bound their sum:

- SQLite's soft heap limit. Above it, a page cache reuses its own least recently used page for the next one
  instead of growing. The limit is never exceeded by pages that could be read again.
- Idle connections would keep what they hold, and those in use would have to make do with the rest. So above
  `_TRIM_AT` of the budget, idle connections give back their pages, the least recently used first.

The statements of a connection are no pages. If idle connections together exceed the budget without their
pages, the least recently used are closed.
"""

from collections import deque
from typing import Final, Protocol

import apsw

_TRIM_AT: Final = 0.875
_KEPT_OPEN: Final = 2
"""Idle connections that are not closed, however little the budget is: opening one parses the schema."""
_BYTES_PER_CONNECTION: Final = 1024 * 1024
"""Memory of an idle connection without its pages, with some statements."""


class Idle(Protocol):
    """A connection that nobody uses at present."""

    apsw: apsw.Connection

    def close(self) -> None: ...


class SqliteMemory:
    """A budget in bytes for SQLite in this process; the last one that was made is in force."""

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._trim_above = int(budget * _TRIM_AT)
        apsw.soft_heap_limit(budget)

    def connections(self, most: int) -> int:
        """How many idle connections are worth keeping, at most `most`."""
        return max(_KEPT_OPEN, min(most, self.budget // _BYTES_PER_CONNECTION))

    def trim[C: Idle](self, idle: deque[C]) -> None:
        """Makes idle connections give back memory if the budget is nearly used up. `idle` has the last used
        one at the right; other threads may take from and add to it meanwhile."""
        if apsw.memory_used() <= self._trim_above:
            return
        trimmed: list[C] = []
        for _ in range(len(idle) - 1):
            try:
                connection = idle.popleft()
            except IndexError:  # Others have taken them.
                break
            connection.apsw.release_memory()
            trimmed.append(connection)
            if apsw.memory_used() <= self._trim_above:
                break
        while len(trimmed) + len(idle) > _KEPT_OPEN and trimmed and apsw.memory_used() > self.budget:
            trimmed.pop(0).close()
        idle.extendleft(reversed(trimmed))
