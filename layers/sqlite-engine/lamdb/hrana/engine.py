"""SQL on one database: connections for each role, and the limits that all streams share."""

import time
from collections.abc import Callable

import apsw

from lamdb.access.identity import Role
from lamdb.graphql.idempotency import DEFAULT_ROOM, Room
from lamdb.hrana.statements.authorizer import Guard
from lamdb.storage import Database
from lamdb.storage.sessions import IdleScratches, RecentViews, SessionReaders

BUSY_SECONDS = 5.0
"""How long a transaction that writes waits for the writer before SQLITE_BUSY."""


class SqlEngine:
    """The engine that streams execute their statements with. Thread-safe."""

    def __init__(
        self,
        database: Database,
        *,
        fenced_retries: int = 3,
        busy_seconds: float = BUSY_SECONDS,
        can_write: bool = True,
        room: Room = DEFAULT_ROOM,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`fenced_retries`: how often a write is tried again when another server's writer was first.

        `can_write`: whether this process writes. `room`: for answers that are kept under keys.
        """
        self.database = database
        self.fenced_retries = fenced_retries
        self.busy_seconds = busy_seconds
        self.can_write = can_write
        self.room = room
        self.now = now
        self.views = RecentViews(database)
        self.scratches = IdleScratches()
        self._readers: dict[Role, SessionReaders] = {}

    def readers(self, role: Role) -> SessionReaders:
        """The read-only connections of a role."""
        found = self._readers.get(role)
        if found is None:
            found = self._readers.setdefault(role, SessionReaders(self.database, _guarded(role)))
        return found

    def close(self) -> None:
        self.scratches.close()
        for readers in self._readers.values():
            readers.close()


def _guarded(role: Role) -> Callable[[apsw.Connection], None]:
    def prepare(connection: apsw.Connection) -> None:
        connection.authorizer = Guard(role)

    return prepare
