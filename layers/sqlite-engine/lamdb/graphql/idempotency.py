"""Idempotent mutations: their responses are stored in the transaction of their writes.

A client that got no answer does not know whether its mutation was executed. It sends it again under the same
idempotency key, and the writer finds the response of the first time, which was stored in the transaction that
made the change: there is no moment in which the one is durable without the other. What failed has changed
nothing, is not kept, and is executed again.

A table holds digests of the keys and of the requests, not the requests. There is one for each of `KeyOrigin`,
whose rows live equally long: those that have expired leave it in the order in which they came, some with each
new one. A table's size is bounded (`Room`): ids are running totals of bytes, so that the oldest rows beyond
the bound are those whose ids are too small. An answer that is too large leaves an empty one in its place.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

import apsw

from lamdb.errors import AnswerNotKept, IdempotencyMismatch
from lamdb.graphql.digests import digest, digest_of
from lamdb.graphql.request import GraphQLRequest

DEFAULT_SECONDS: Final = 86_400
"""How long a response is kept for a client that may ask again."""

ATTEMPT_SECONDS: Final = 900
"""The same for a proxy, which tries again for half a minute at most."""

EVENT_SECONDS: Final = 15 * 86_400
"""How long it is known that an event was dealt with: queues keep a message for 14 days at most."""

_MIB: Final = 1024 * 1024
_ROW_BYTES: Final = 128
"""Bytes that a row counts besides its answer."""

_LOOKED_AT: Final = 16
"""The oldest rows that may go when one comes."""


class KeyOrigin(StrEnum):
    """Origins of keys, with the table for each."""

    CLIENT = "_lamdb_idempotency"
    PROXY = "_lamdb_attempts"
    EVENT = "_lamdb_events"
    """The responses are never requested, so they are not kept."""
    OUTCOME = "_lamdb_outcomes"
    """Outcomes of failed mutations, for clients that ask later, by attempt. See `outcomes`."""


_CREATE: Final = """
CREATE TABLE IF NOT EXISTS {table} (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    request BLOB NOT NULL,
    response BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT
"""
_FIND: Final = "SELECT request, response FROM {table} WHERE key = ? AND expires > ?"
_KEEP: Final = """
INSERT OR REPLACE INTO {table} (id, key, request, response, expires)
VALUES ((SELECT ifnull(max(id), 0) FROM {table}) + ?, ?, ?, ?, ?)
"""
_FORGET: Final = f"""
DELETE FROM {{table}}
WHERE id IN (SELECT id FROM {{table}} ORDER BY id LIMIT {_LOOKED_AT}) AND expires <= ?
"""
_MAKE_ROOM: Final = """
DELETE FROM {table}
WHERE id IN (
    SELECT id FROM {table}
    WHERE id <= (SELECT max(id) FROM {table}) + :largest - :room
    AND id - :row - length(response) < (SELECT max(id) FROM {table}) - :room
    ORDER BY id LIMIT :most
)
"""


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes for answers under keys: of one, and of a table, in which a key without an answer counts 128."""

    answer: int = 256 * 1024
    table: int = 64 * _MIB


DEFAULT_ROOM: Final = Room()


@dataclass(frozen=True, slots=True)
class Once:
    """Identity of a request that must be executed once: digests of its key and content, and its lifetime in
    seconds."""

    key: bytes
    request: bytes
    seconds: float
    keys: KeyOrigin = KeyOrigin.CLIENT
    room: Room = DEFAULT_ROOM

    @classmethod
    def of(
        cls,
        key: str,
        request: GraphQLRequest,
        seconds: float = DEFAULT_SECONDS,
        keys: KeyOrigin = KeyOrigin.CLIENT,
        room: Room = DEFAULT_ROOM,
    ) -> Self:
        """The same request has the same document, operation name and variables, in whatever order."""
        return cls(digest(key.encode()), digest_of(request), seconds, keys, room)

    @classmethod
    def of_event(cls, key: str, content: bytes) -> Self:
        """The identity of an event that contains no GraphQL request."""
        return cls(digest(key.encode()), digest(content), EVENT_SECONDS, KeyOrigin.EVENT)

    def find(self, connection: apsw.Connection) -> bytes | None:
        """The body of the response that is kept under the key; None if it does not exist.

        Raises `IdempotencyMismatch` if it was given to another request, `AnswerNotKept` if it was too large.
        """
        row = self.row(connection)
        if row is None:
            return None
        request, response = row
        if request != self.request:
            raise IdempotencyMismatch("The idempotency key was used for another request.")
        if not response and self.keys is not KeyOrigin.EVENT:
            raise AnswerNotKept("The mutation was executed before, but its answer was too large to be kept.")
        return response

    def keep(self, connection: apsw.Connection, response: bytes) -> None:
        """Stores the body of a response, unless it is too large, in the transaction of what it answers."""
        now = time.time()
        of_event = self.keys is KeyOrigin.EVENT
        kept = b"" if of_event or len(response) > self.room.answer else response
        connection.execute(_CREATE.format(table=self.keys))
        row = (_ROW_BYTES + len(kept), self.key, self.request, kept, int(now + self.seconds))
        connection.execute(_KEEP.format(table=self.keys), row)
        connection.execute(_FORGET.format(table=self.keys), (int(now),))
        if not of_event:
            largest = _ROW_BYTES + self.room.answer
            bound = {
                "largest": largest,
                "room": self.room.table,
                "row": _ROW_BYTES,
                # As many rows as can make up for the largest one that comes.
                "most": 2 + largest // _ROW_BYTES,
            }
            connection.execute(_MAKE_ROOM.format(table=self.keys), bound)

    def row(self, connection: apsw.Connection) -> tuple[bytes, bytes] | None:
        """The request's digest and the response that are kept under the key; None if there are none."""
        row: tuple[bytes, bytes] | None
        try:
            row = connection.execute(_FIND.format(table=self.keys), (self.key, int(time.time()))).fetchone()
        except apsw.SQLError as error:
            if f"no such table: {self.keys}" in str(error):
                return None
            raise
        return row
