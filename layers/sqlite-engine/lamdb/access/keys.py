"""API keys, which the store keeps as hashes.

A key is `lamdb_key_`, its id, an underscore and a secret of 256 random bits. The table has the SHA-256 of the
secret: a random secret of this length needs no slow hash.
"""

import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import apsw
import orjson

from lamdb.access.identity import Identity, Role
from lamdb.errors import NotFound, Unauthorized
from lamdb.rules.caller import Caller

PREFIX: Final = "lamdb_key_"
_KEY: Final = re.compile(rf"{PREFIX}(?P<id>[a-z0-9]{{10}})_(?P<secret>[A-Za-z0-9_-]{{43}})")
_ID_LETTERS: Final = "abcdefghijkmnpqrstuvwxyz23456789"
_ID_LENGTH: Final = 10

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS _lamdb_keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    role TEXT NOT NULL,
    hash BLOB NOT NULL,
    claims TEXT,
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT, WITHOUT ROWID
"""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret. Times are in seconds since 1970; `expires` None: never.

    `claims` is what `auth()` is in rules; None for a caller without identity.
    """

    id: str
    name: str
    role: str
    claims: Mapping[str, Any] | None
    created: int
    expires: int | None


def create(
    connection: apsw.Connection,
    *,
    name: str,
    role: str,
    claims: Mapping[str, Any] | None = None,
    expires: int | None = None,
) -> tuple[ApiKey, str]:
    """Stores a new key; returns it with its text, which is not kept. The caller's transaction.

    Raises `ValueError` for an unknown role.
    """
    if role not in list(Role):
        raise ValueError(f"the role must be one of {', '.join(Role)}")
    identifier = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    secret = secrets.token_urlsafe(32)
    made = ApiKey(identifier, name, role, claims, int(time.time()), expires)
    connection.execute(_CREATE)
    connection.execute(
        "INSERT INTO _lamdb_keys (id, name, role, hash, claims, created, expires)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            identifier,
            name,
            role,
            _hash(secret),
            None if claims is None else orjson.dumps(claims).decode(),
            made.created,
            expires,
        ),
    )
    return made, f"{PREFIX}{identifier}_{secret}"


def list_keys(connection: apsw.Connection) -> list[ApiKey]:
    """Returns all keys, the oldest first."""
    return [found for found, _ in _rows(connection, "ORDER BY created, id", ())]


def revoke(connection: apsw.Connection, identifier: str) -> ApiKey:
    """Deletes a key; returns what it was. The caller's transaction. Raises `NotFound`."""
    found = _rows(connection, "WHERE id = ?", (identifier,))
    if not found:
        raise NotFound(f"There is no key {identifier}.", hint="lamdb key list shows the ids.")
    connection.execute("DELETE FROM _lamdb_keys WHERE id = ?", (identifier,))
    return found[0][0]


def is_key(token: str) -> bool:
    """Returns True if a token claims to be an API key."""
    return token.startswith(PREFIX)


def exists(connection: apsw.Connection, token: str) -> bool:
    """Returns False if a token has the form of a key, and the state of `connection` has none with its id."""
    parts = _KEY.fullmatch(token)
    return parts is None or bool(_rows(connection, "WHERE id = ?", (parts["id"],)))


def identify(connection: apsw.Connection, token: str) -> tuple[Identity, float | None]:
    """Returns the identity that a key gives, and when it expires. Raises `Unauthorized`."""
    parts = _KEY.fullmatch(token)
    found = _rows(connection, "WHERE id = ?", (parts["id"],)) if parts else []
    if parts is None or not found or not hmac.compare_digest(_hash(parts["secret"]), found[0][1]):
        raise Unauthorized("The API key is unknown.", hint="Make one with lamdb key create.")
    key = found[0][0]
    if key.expires is not None and time.time() >= key.expires:
        raise Unauthorized("The API key has expired.", hint="Make a new one with lamdb key create.")
    return Identity.of(Role(key.role), Caller(key.claims), f"key {key.id}"), key.expires


def _rows(connection: apsw.Connection, rest: str, values: tuple[Any, ...]) -> list[tuple[ApiKey, bytes]]:
    sql = f"SELECT id, name, role, claims, created, expires, hash FROM _lamdb_keys {rest}"
    try:
        rows: Any = connection.execute(sql, values).fetchall()
    except apsw.SQLError as error:
        if "no such table: _lamdb_keys" in str(error):
            return []
        raise
    return [
        (
            ApiKey(
                identifier, name, role, None if claims is None else orjson.loads(claims), created, expires
            ),
            kept,
        )
        for identifier, name, role, claims, created, expires, kept in rows
    ]


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
