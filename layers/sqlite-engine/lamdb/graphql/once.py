"""Mutations that happen once, however often they are sent: their responses are kept with what they wrote.

A client that got no answer does not know whether its mutation was executed. It sends it again under the same
idempotency key, and the writer finds the response of the first time, which was stored in the transaction that
made the change: there is no moment in which the one is durable without the other. What failed has changed
nothing, is not kept, and is executed again.

A table holds digests of the keys and of the requests, not the requests. There is one for each of `Keys`,
whose rows live equally long: those that have expired leave it in the order in which they came, some with each
new one.
"""

import hashlib
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

import apsw
import orjson

from lamdb.errors import IdempotencyMismatch
from lamdb.graphql.request import GraphQLRequest

DEFAULT_SECONDS: Final = 86_400
"""How long a response is kept for a client that may ask again."""

ATTEMPT_SECONDS: Final = 900
"""The same for a proxy, which tries again for half a minute at most."""

EVENT_SECONDS: Final = 15 * 86_400
"""How long it is known that an event was dealt with: queues keep a message for 14 days at most."""

_DIGEST_BYTES: Final = 16
_LOOKED_AT: Final = 16
"""The oldest rows that may go when one comes."""


class Keys(StrEnum):
    """Who made the keys; by the table that has them."""

    CLIENT = "_lamdb_idempotency"
    PROXY = "_lamdb_attempts"
    EVENT = "_lamdb_events"
    """Nobody asks for the responses, so they are not kept."""


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
_KEEP: Final = "INSERT OR REPLACE INTO {table} (key, request, response, expires) VALUES (?, ?, ?, ?)"
_FORGET: Final = f"""
DELETE FROM {{table}}
WHERE id < (SELECT min(id) + {_LOOKED_AT} FROM {{table}}) AND expires <= ?
"""


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a request happen once: digests of its key and of all it says; for how long (seconds)."""

    key: bytes
    request: bytes
    seconds: float
    keys: Keys = Keys.CLIENT

    @classmethod
    def of(
        cls,
        key: str,
        request: GraphQLRequest,
        seconds: float = DEFAULT_SECONDS,
        keys: Keys = Keys.CLIENT,
    ) -> Self:
        """The same request has the same document, operation name and variables, in whatever order."""
        said = [request.query, request.operation_name, request.variables or {}]
        content = orjson.dumps(said, option=orjson.OPT_SORT_KEYS)
        return cls(_digest(key.encode()), _digest(content), seconds, keys)

    @classmethod
    def of_event(cls, key: str, content: bytes) -> Self:
        """What makes an event happen once that holds no request."""
        return cls(_digest(key.encode()), _digest(content), EVENT_SECONDS, Keys.EVENT)

    def find(self, connection: apsw.Connection) -> bytes | None:
        """The body of the response that is kept under the key; None if there is none.

        Raises `IdempotencyMismatch` if it was given to another request.
        """
        row = self._row(connection)
        if row is None:
            return None
        request, response = row
        if request != self.request:
            raise IdempotencyMismatch("The idempotency key was used for another request.")
        return response

    def keep(self, connection: apsw.Connection, response: bytes) -> None:
        """Stores the body of a response, in the transaction of what it answers."""
        now = time.time()
        kept = b"" if self.keys is Keys.EVENT else response
        connection.execute(_CREATE.format(table=self.keys))
        row = (self.key, self.request, kept, int(now + self.seconds))
        connection.execute(_KEEP.format(table=self.keys), row)
        connection.execute(_FORGET.format(table=self.keys), (int(now),))

    def _row(self, connection: apsw.Connection) -> tuple[bytes, bytes] | None:
        row: tuple[bytes, bytes] | None
        try:
            row = connection.execute(_FIND.format(table=self.keys), (self.key, int(time.time()))).fetchone()
        except apsw.SQLError as error:
            if f"no such table: {self.keys}" in str(error):
                return None
            raise
        return row


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
