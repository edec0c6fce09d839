"""The stored responses to asynchronous mutations, found by idempotency key.

The stored response of a mutation is under its key already (`once`). That of one that failed is kept here,
with the attempt that it was, in a table of its own: the same key sent again executes it again.
"""

from dataclasses import dataclass
from typing import Final

import apsw

from lamdb.errors import AnswerNotKept, IdempotencyMismatch, LamdbError
from lamdb.graphql.digests import digest, digest_of_caller, is_of_caller
from lamdb.graphql.idempotency import KeyOrigin, Once
from lamdb.graphql.transport.wire import refusal
from lamdb.rules.caller import Caller

_REFUSED: Final = b"R"
_EXECUTED: Final = b"E"
_MADE: Final = b"M"
_REPLAYED: Final = b"P"
"""Rows without a response: of an attempt that was executed, and of one that found an earlier response."""


@dataclass(frozen=True, slots=True)
class MutationOutcome:
    """The response to a mutation: the status that fits it, and its body.

    - `refused`: it did not get as far as GraphQL, so that the status holds for every media type.
    - `replayed`: an earlier attempt with the same key had executed it.
    """

    status: int
    body: bytes
    refused: bool = False
    replayed: bool = False

    @classmethod
    def of(cls, error: LamdbError) -> "MutationOutcome":
        response = refusal(error)
        return cls(response.status, response.body, refused=True)


def find(
    connection: apsw.Connection,
    key: str,
    caller: Caller | None,
    *,
    attempt: str | None = None,
    request: bytes | None = None,
) -> MutationOutcome | None:
    """The outcome of the mutation with this key; None if none is known, or if another caller sent it.

    `caller`: as in `GraphQLRequest`; a trusted one (None) sees all outcomes. `attempt`: only a failure of
    this attempt counts. `request`: the digest of what was sent under the key; if it was used for something
    else, that is the outcome.
    """
    for keys in (KeyOrigin.CLIENT, KeyOrigin.PROXY):
        row = Once(digest(key.encode()), b"", 0, keys).row(connection)
        if row is None:
            continue
        if request is not None and row[0] != request:
            return MutationOutcome.of(
                IdempotencyMismatch("The idempotency key was used for another request.")
            )
        if not is_of_caller(row[0], caller):
            continue
        if not row[1]:
            return MutationOutcome.of(
                AnswerNotKept("The mutation was executed, but its answer was too large to be kept.")
            )
        return MutationOutcome(
            200, row[1], replayed=attempt is not None and _was_replayed(connection, key, attempt)
        )
    row = _row(connection, key)
    if row is None or (attempt is not None and not _is_of(row, attempt)) or not is_of_caller(row[0], caller):
        return None
    return _read(row[1])


def was_made(connection: apsw.Connection, key: str, attempt: str) -> bool:
    """True if this attempt was recorded before."""
    row = _row(connection, key)
    return row is not None and _is_of(row, attempt)


@dataclass(frozen=True, slots=True)
class Sending:
    """One sending of a mutation: the key and the attempt that it had, its caller, and seconds to keep it."""

    key: str
    attempt: str
    caller: Caller | None
    seconds: float

    def once(self) -> Once:
        made = digest(self.attempt.encode()) + digest_of_caller(self.caller)
        return Once(digest(self.key.encode()), made, self.seconds, KeyOrigin.OUTCOME)


def note(connection: apsw.Connection, sending: Sending, *, replayed: bool = False) -> None:
    """Stores that a sending was executed, or that it found the response of an earlier one."""
    sending.once().keep(connection, _REPLAYED if replayed else _MADE)


def keep(connection: apsw.Connection, sending: Sending, outcome: MutationOutcome) -> None:
    """Stores the outcome of a sending that failed."""
    kind = _REFUSED if outcome.refused else _EXECUTED
    sending.once().keep(connection, b"%b%d %b" % (kind, outcome.status, outcome.body))


def _was_replayed(connection: apsw.Connection, key: str, attempt: str) -> bool:
    row = _row(connection, key)
    return row is not None and _is_of(row, attempt) and row[1] == _REPLAYED


def _row(connection: apsw.Connection, key: str) -> tuple[bytes, bytes] | None:
    return Once(digest(key.encode()), b"", 0, KeyOrigin.OUTCOME).row(connection)


def _is_of(row: tuple[bytes, bytes], attempt: str) -> bool:
    return row[0].startswith(digest(attempt.encode()))


def _read(stored: bytes) -> MutationOutcome | None:
    status, _, body = stored.partition(b" ")
    if not body:
        return None  # It was too large to be kept.
    return MutationOutcome(int(status[1:]), body, refused=status[:1] == _REFUSED)
