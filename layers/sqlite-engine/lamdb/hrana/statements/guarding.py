"""Connections of others, put under guard for as long as statements of clients run on them."""

from typing import Final

import apsw

from lamdb.access.identity import Role
from lamdb.errors import Forbidden
from lamdb.graphql.stored_schema import has_rules
from lamdb.hrana.statements.authorizer import Guard
from lamdb.rules.enforcement import release

LONGEST_VALUE: Final = 64 * 1024 * 1024
"""Bytes of a text or BLOB that a statement of a client may make on the writer's connection."""


def require_no_rules(connection: apsw.Connection, guard: Guard) -> None:
    """Raises `Forbidden` if the schema has rules of rows, which SQL does not keep to, unless for `admin`."""
    if guard.role is Role.ADMIN:
        return
    before, guard.is_off = guard.is_off, True
    try:
        ruled = has_rules(connection)
    finally:
        guard.is_off = before
    if ruled:
        raise Forbidden(
            "The schema has row rules, so SQL requires the role admin.",
            hint="Use the GraphQL API, which applies the rules.",
        )


def arm(connection: apsw.Connection, guard: Guard) -> int:
    """Puts a connection of others under guard. Returns what `disarm` takes it back with."""
    # Tables that temporary views name cannot be altered.
    release(connection)
    connection.authorizer = guard
    before = connection.limit(apsw.SQLITE_LIMIT_LENGTH)
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, min(before, LONGEST_VALUE))
    return before


def disarm(connection: apsw.Connection, before: int) -> None:
    """Takes back what `arm` has done."""
    connection.authorizer = None
    connection.limit(apsw.SQLITE_LIMIT_LENGTH, before)
