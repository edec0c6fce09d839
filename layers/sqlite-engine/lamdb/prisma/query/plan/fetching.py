"""Fetches rows from SQLite and counts them against the request's budget."""

import marshal
from collections.abc import Iterator
from itertools import islice
from typing import Any, Final

from lamdb.errors import ResponseTooLarge
from lamdb.storage.budget import current, too_many_rows
from lamdb.storage.waiting import QUICK_BYTES, about_to_work, is_quick

type Row = tuple[Any, ...]

_FEW: Final = 16
COUNTED_AT_ONCE: Final = 64
"""Rows that are read before their size is checked: each may be as long as a connection allows."""


def fetch(cursor: Iterator[Row]) -> list[Row]:
    """Returns all rows of a cursor. Raises `TooManyRows`, `TimeLimit`, `Cancelled`."""
    rows = list(islice(cursor, _FEW))
    if len(rows) < 2:
        return rows
    budget = current()
    if budget is None:
        rows += cursor
        return rows
    budget.hold(len(rows), _size(rows))
    while len(rows) >= _FEW:
        chunk = list(islice(cursor, COUNTED_AT_ONCE))
        rows += chunk
        budget.hold(len(rows), len(marshal.dumps(chunk)))
        if len(chunk) < COUNTED_AT_ONCE:
            break
    return rows


def hold(rows: int, latest: list[Any]) -> None:
    """Counts rows that are kept while rows are read one by one: their number, and the latest of them.

    Raises `TooManyRows`, `TimeLimit`, `Cancelled`.
    """
    budget = current()
    if budget is not None:
        budget.hold(rows, len(marshal.dumps(latest)))


def _size(rows: list[Row]) -> int:
    """Returns the approximate bytes of a few rows; faster than a copy of them."""
    return sum(
        len(value) for row in rows for value in row if value.__class__ is str or value.__class__ is bytes
    )


def require_few(records: int) -> None:
    """Raises `TooManyRows` if a list has more records than the request's budget allows."""
    budget = current()
    if budget is not None and records > budget.costs.max_rows:
        raise too_many_rows(records, budget.costs.max_rows)


# The size of an answer


def json_size(value: Any, limit: int) -> int:
    """Returns a lower bound of the bytes of `value` as JSON. Raises `ResponseTooLarge` beyond `limit`.

    Records and texts that several parents share are one object in memory and several in JSON. Each is
    measured once, and counted as often as it is written.
    """
    return _Ruler(limit).measure(value)


class _Ruler:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._known: dict[int, int] = {}

    def measure(self, value: Any) -> int:
        kind = value.__class__
        if kind is str:
            return len(value) + 2
        if kind is not dict and kind is not list:
            return 1
        key = id(value)  # `value` lives as long as this does
        known = self._known.get(key)
        if known is not None:
            return known
        if kind is dict:
            size = 1 + sum(len(name) + 4 + self.measure(item) for name, item in value.items())
        else:
            size = 2 + sum(map(self.measure, value)) + len(value)
        if size > self._limit:
            raise too_large(size, self._limit)
        self._known[key] = size
        return size


def too_large(size: int, limit: int) -> ResponseTooLarge:
    return ResponseTooLarge(
        f"The response would have {size} bytes or more; the limit is {limit}.", meta={"limit": limit}
    )


def require_fit(value: Any) -> None:
    """Raises `ResponseTooLarge` if the JSON of `value` is larger than the request's budget allows."""
    budget = current()
    if budget is not None:
        json_size(value, budget.costs.max_bytes)
    elif is_quick():
        try:
            json_size(value, QUICK_BYTES)
        except ResponseTooLarge:
            about_to_work()
