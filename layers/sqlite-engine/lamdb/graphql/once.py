"""Mutations that happen once, however often they are sent: their responses are kept with what they wrote.

A client that got no answer does not know whether its mutation was executed. It sends it again under the same
idempotency key, and the writer finds the response of the first time, which was stored in the transaction that
made the change: there is no moment in which the one is durable without the other. What failed has changed
nothing, is not kept, and is executed again.

The table `_lamdb_idempotency` holds digests of the keys and of the requests, not the requests. Expired rows
leave it in the order in which they came, some with each new one.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Final, Self

import apsw
import orjson

from lamdb.errors import IdempotencyMismatch
from lamdb.graphql.request import GraphQLRequest

DEFAULT_SECONDS: Final = 86_400
"""How long a response is kept."""

_DIGEST_BYTES: Final = 16
_LOOKED_AT: Final = 16
"""The oldest rows that may go when one comes."""

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS _lamdb_idempotency (
    id INTEGER PRIMARY KEY,
    key BLOB NOT NULL UNIQUE,
    request BLOB NOT NULL,
    response BLOB NOT NULL,
    expires INTEGER NOT NULL
) STRICT
"""
_FIND: Final = "SELECT request, response FROM _lamdb_idempotency WHERE key = ? AND expires > ?"
_KEEP: Final = (
    "INSERT OR REPLACE INTO _lamdb_idempotency (key, request, response, expires) VALUES (?, ?, ?, ?)"
)
_FORGET: Final = f"""
DELETE FROM _lamdb_idempotency
WHERE id < (SELECT min(id) + {_LOOKED_AT} FROM _lamdb_idempotency) AND expires <= ?
"""


@dataclass(frozen=True, slots=True)
class Once:
    """What makes a request happen once: digests of its key and of all it says; for how long (seconds)."""

    key: bytes
    request: bytes
    seconds: float

    @classmethod
    def of(cls, key: str, request: GraphQLRequest, seconds: float = DEFAULT_SECONDS) -> Self:
        """The same request has the same document, operation name and variables, in whatever order."""
        said = [request.query, request.operation_name, request.variables or {}]
        return cls(_digest(key.encode()), _digest(orjson.dumps(said, option=orjson.OPT_SORT_KEYS)), seconds)

    def find(self, connection: apsw.Connection) -> bytes | None:
        """The body of the response that is kept under the key; None if there is none.

        Raises `IdempotencyMismatch` if it was given to another request.
        """
        row = _row(connection, self.key)
        if row is None:
            return None
        request, response = row
        if request != self.request:
            raise IdempotencyMismatch("The idempotency key was used for another request.")
        return response

    def keep(self, connection: apsw.Connection, response: bytes) -> None:
        """Stores the body of a response, in the transaction of what it answers."""
        now = time.time()
        connection.execute(_CREATE)
        connection.execute(_KEEP, (self.key, self.request, response, int(now + self.seconds)))
        connection.execute(_FORGET, (int(now),))


def _row(connection: apsw.Connection, key: bytes) -> tuple[bytes, bytes] | None:
    row: tuple[bytes, bytes] | None
    try:
        row = connection.execute(_FIND, (key, int(time.time()))).fetchone()
    except apsw.SQLError as error:
        if "no such table: _lamdb_idempotency" in str(error):
            return None
        raise
    return row


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
