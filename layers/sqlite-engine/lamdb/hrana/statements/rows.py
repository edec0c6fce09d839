"""Rows of a result that are passed on one by one in place of being kept."""

from hashlib import blake2b
from typing import Any, Final

import orjson

type Json = dict[str, Any]

_BLOCK: Final = 128
"""Rows that are digested together."""


class RowDigest:
    """The digest of a result's rows, which is the same however they come."""

    __slots__ = ("_block", "_hash")

    def __init__(self) -> None:
        self._hash = blake2b(digest_size=16)
        self._block: list[list[Json]] = []

    def add(self, row: list[Json]) -> None:
        """Adds the next row."""
        self._block.append(row)
        if len(self._block) == _BLOCK:
            self._take()

    def digest(self) -> bytes:
        """Returns the digest of the rows so far."""
        if self._block:
            self._take()
        return self._hash.digest()

    def _take(self) -> None:
        self._hash.update(orjson.dumps(self._block))
        self._block.clear()


class RowSink:
    """Takes the rows of one statement. This one only digests them."""

    def __init__(self, *, digests: bool = True) -> None:
        self.rows = RowDigest() if digests else None

    def begin(self, columns: orjson.Fragment) -> None:
        """Called with the columns, before the first row."""

    def add(self, row: list[Json]) -> None:
        """Takes a row."""
        if self.rows is not None:
            self.rows.add(row)


class PassedOn(dict[str, Any]):
    """The result of a statement whose rows went to a sink, and their digest."""

    def __init__(self, result: Json, rows: RowDigest | None) -> None:
        super().__init__(result)
        self.rows_digest = b"" if rows is None else rows.digest()


def digest_of_rows(result: Json) -> bytes:
    """Returns the digest of the rows of a result."""
    if isinstance(result, PassedOn):
        return result.rows_digest
    rows = RowDigest()
    for row in result["rows"]:
        rows.add(row)
    return rows.digest()
