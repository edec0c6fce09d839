"""The version of each mirrored record, so that no older event replaces a newer one.

One row for each record, under a digest of its key, in the transaction of the change. That of a removed record
stays for as long as an older event may still come.
"""

import hashlib
import time
from dataclasses import dataclass
from typing import Final

import apsw

REMOVED_SECONDS: Final = 15 * 86_400
"""Longer than queues keep a message (14 days) and streams a record (one)."""

_DIGEST_BYTES: Final = 16
_LOOKED_AT: Final = 16

_CREATE: Final = """
CREATE TABLE IF NOT EXISTS _lamdb_mirrored (
    key BLOB PRIMARY KEY,
    version TEXT NOT NULL,
    revision TEXT,
    removed INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS _lamdb_mirrored_removed ON _lamdb_mirrored (removed) WHERE removed NOTNULL;
"""
_FIND: Final = "SELECT version, revision FROM _lamdb_mirrored WHERE key = ?"
_KEEP: Final = "INSERT OR REPLACE INTO _lamdb_mirrored (key, version, revision, removed) VALUES (?, ?, ?, ?)"
_FORGET: Final = f"""
DELETE FROM _lamdb_mirrored WHERE key IN (
    SELECT key FROM _lamdb_mirrored WHERE removed < ? ORDER BY removed LIMIT {_LOOKED_AT}
)
"""


@dataclass(frozen=True, slots=True)
class Known:
    """The known version of a record: its present one, or the one at which it was removed."""

    version: str
    revision: str | None


def digest(model: str, key: bytes) -> bytes:
    """The key in the table of versions for the record of a model with this key, which is canonical JSON."""
    return hashlib.blake2b(key, digest_size=_DIGEST_BYTES, person=_person(model)).digest()


def find(connection: apsw.Connection, key: bytes) -> Known | None:
    try:
        row = connection.execute(_FIND, (key,)).fetchone()
    except apsw.SQLError as error:
        if "no such table: _lamdb_mirrored" in str(error):
            return None
        raise
    return Known(*row) if row else None


def keep(
    connection: apsw.Connection, key: bytes, version: str, revision: str | None, *, removed: bool
) -> None:
    """Notes the version that a record has from now on."""
    now = int(time.time())
    connection.execute(_CREATE)
    connection.execute(_KEEP, (key, version, revision, now if removed else None))
    if removed:
        connection.execute(_FORGET, (now - REMOVED_SECONDS,))


def _person(model: str) -> bytes:
    return hashlib.blake2b(model.encode(), digest_size=_DIGEST_BYTES).digest()
