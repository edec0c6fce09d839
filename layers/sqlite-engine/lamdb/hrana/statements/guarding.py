"""Connections of others, put under guard for as long as statements of clients run on them."""

from typing import Final

import apsw

from lamdb.hrana.statements.authorizer import Guard

LONGEST_VALUE: Final = 64 * 1024 * 1024
"""Bytes of a text or BLOB that a statement of a client may make on the writer's connection."""


def arm(connection: apsw.Connection, guard: Guard) -> int:
    """Puts a connection of others under guard. Returns what `disarm` takes it back with."""
    connection.authorizer = guard
    before = connection.limit(apsw.SQLITE_LIMIT_LENGTH)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, min(before, LONGEST_VALUE))
    return before


def disarm(connection: apsw.Connection, before: int) -> None:
    """Takes back what `arm` has done."""
    connection.authorizer = None
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, before)
