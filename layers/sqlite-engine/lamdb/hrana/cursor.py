"""The body of a cursor's response, made while its statements run: one JSON value a line.

Of a result of any size, only a piece is in memory. The sink of the pieces blocks while the client takes them,
and raises if it does not.
"""

import zlib
from collections.abc import Callable
from typing import Any, Final

import orjson

from lamdb.errors import LamdbError
from lamdb.graphql.transport.wire import AS_OF_HEADER, TXID_HEADER, accepts_gzip
from lamdb.hrana.operation import SqlOperation
from lamdb.hrana.protocol.error_responses import JSON
from lamdb.hrana.protocol.outcomes import Outcomes
from lamdb.hrana.responses import GZIP_WINDOW, entries_of
from lamdb.hrana.statements.rows import RowSink
from lamdb.hrana.statements.text import Kind
from lamdb.hrana.transaction.writer_connection import HeldConnection

type Json = dict[str, Any]

type Send = Callable[[dict[str, str], bytes], None]
"""Sends a piece of a body, whose response has these headers: those of the first piece count."""

_PIECE: Final = 64 * 1024
"""Bytes of a body that are sent at a time."""
_WHOLE: Final = 256 * 1024
"""Bytes up to which a body is sent at once."""
_GZIP_LEVEL: Final = 1

_QUERIES: Final = frozenset({"SELECT", "VALUES", "WITH"})
_READING: Final = frozenset({Kind.BEGIN, Kind.BEGIN_READ_ONLY, Kind.COMMIT, Kind.ROLLBACK})


def can_stream(operation: SqlOperation) -> bool:
    """True if rows can be sent before all statements are executed: none of them writes.

    What writes may be executed again, and is answered when it is committed.
    """
    if operation.kind != "cursor" or operation.once is not None or operation.kept is not None:
        return False
    if AS_OF_HEADER in operation.headers or operation.plan.failures:
        return False
    controls = frozenset[Kind]() if isinstance(operation.session.transaction, HeldConnection) else _READING
    return all(
        step.sql is None
        or (step.sql.kind is Kind.READ and step.sql.word in _QUERIES)
        or step.sql.kind in controls
        for step in operation.plan.steps
    )


class CursorBody:
    """Writes the entries of a batch as its statements are executed."""

    def __init__(self, operation: SqlOperation, baton: Callable[[], str], send: Send) -> None:
        """`baton` gives that of the next request, before the first piece is sent."""
        self.has_sent = False
        self.outcomes: Outcomes | None = None
        """Those of the batch, once its execution begins."""
        self._baton = baton
        self._send = send
        self._buffer = bytearray()
        self._limit = _WHOLE
        self._next = 0
        self._begun: set[int] = set()
        self._operation = operation
        self._gzip = (
            zlib.compressobj(_GZIP_LEVEL, wbits=GZIP_WINDOW) if accepts_gzip(operation.headers) else None
        )
        digests = operation.session.scope.open or any(
            step.sql is not None and step.sql.kind in _READING for step in operation.plan.steps
        )
        for at, step in enumerate(operation.plan.steps):
            if step.want_rows and step.sql is not None and step.sql.kind is Kind.READ:
                step.sink = _StepRows(self, at, digests=digests)

    def begin(self, at: int, columns: orjson.Fragment) -> None:
        """Begins the result of a step."""
        self.reach(at)
        self._begun.add(at)
        self.add({"type": "step_begin", "step": at, "cols": columns})

    def add(self, entry: Json) -> None:
        """Adds a line."""
        self._buffer += orjson.dumps(entry)
        self._buffer += b"\n"
        if len(self._buffer) >= self._limit:
            self._flush()

    def reach(self, at: int) -> None:
        """Adds the ends of all steps before one."""
        outcomes = self.outcomes
        assert outcomes is not None
        while self._next < at:
            number, outcome = self._next, outcomes[self._next]
            self._next += 1
            if outcome is not None:
                for entry in entries_of(number, outcome.result, outcome.error):
                    if entry["type"] != "step_begin" or number not in self._begun:
                        self.add(entry)

    def finish(self) -> None:
        """Adds the ends of the remaining steps."""
        self.reach(0 if self.outcomes is None else len(self.outcomes))
        self.add({"type": "replication_index", "replication_index": None})

    def fail(self, error: LamdbError) -> None:
        """Adds the failure of the request as a whole: nothing follows."""
        self.add({"type": "error", "error": {"message": error.message, "code": error.code}})

    def close(self) -> None:
        """Sends what is left of a body of which a part was sent."""
        self._flush(is_last=True)

    def whole(self, baton: str | None) -> bytes:
        """Returns the body if no part of it was sent."""
        return _line({"baton": baton, "base_url": None}) + bytes(self._buffer)

    def _flush(self, *, is_last: bool = False) -> None:
        piece = bytes(self._buffer)
        self._buffer.clear()
        if not self.has_sent:
            piece = _line({"baton": self._baton(), "base_url": None}) + piece
            self.has_sent, self._limit = True, _PIECE
        if self._gzip is not None:
            piece = self._gzip.compress(piece) + (self._gzip.flush() if is_last else b"")
        if piece:
            self._send(self._headers(), piece)

    def _headers(self) -> dict[str, str]:
        headers = {"content-type": JSON, "cache-control": "no-store"}
        headers[TXID_HEADER] = str(self._operation.session.txid)
        if self._gzip is not None:
            headers["content-encoding"] = "gzip"
        return headers


class _StepRows(RowSink):
    def __init__(self, body: CursorBody, at: int, *, digests: bool) -> None:
        super().__init__(digests=digests)
        self._body = body
        self._at = at

    def begin(self, columns: orjson.Fragment) -> None:
        self._body.begin(self._at, columns)

    def add(self, row: list[Json]) -> None:
        super().add(row)
        self._body.add({"type": "row", "row": row})


def _line(value: Json) -> bytes:
    return orjson.dumps(value) + b"\n"
