"""The streams of functions: their clients carry them, in batons (`batons`)."""

import secrets
from collections.abc import Callable

from lamdb.access.identity import Role
from lamdb.hrana.statements.errors import SqlFailure, StreamExpired, error_object
from lamdb.hrana.streams.batons import load, seal, unseal
from lamdb.hrana.streams.log_parts import LogParts
from lamdb.hrana.transaction.session import StreamSession
from lamdb.storage.pinned import julian_milliseconds

TRANSACTION_SECONDS = 300.0
"""For which a transaction may be open: it locks nothing, but its state has to be kept."""


class CarriedStreams:
    """Streams of which nothing is kept here."""

    def __init__(
        self, key: bytes, parts: LogParts | None = None, *, now: Callable[[], int] = julian_milliseconds
    ) -> None:
        """`key` signs batons, and is the same in every process. `now`: in milliseconds.

        `parts`: where the statements of long transactions are kept; without it, there are none.
        """
        self._key = key
        self._parts = parts
        self._now = now

    def new(self, role: Role, principal: str) -> StreamSession:
        """Returns a new stream."""
        return StreamSession(secrets.token_hex(8), role, principal)

    def take(self, baton: str, role: Role, principal: str) -> StreamSession:
        """Returns the stream of a baton. Raises `StreamNotFound`, `StreamExpired`, `StoreUnavailable`."""
        session = unseal(baton, self._key, role, principal)
        if self.seconds_left(session) <= 0:
            raise StreamExpired(
                f"The transaction was begun more than {TRANSACTION_SECONDS:g} s ago; none of its statements "
                "took effect."
            )
        if self._parts is not None:
            load(session, self._parts)
        return session

    def identity(self, baton: str) -> tuple[str, int] | None:
        """Returns nothing: a baton of any age can be used, and its commit knows whether it was made."""
        return None

    def leave(self, session: StreamSession, *, closes: bool) -> str | None:
        """Returns the baton for the next request; None if the stream is closed.

        Raises `NeedsWriter` if only the writer can keep its statements.
        """
        if closes:
            return None
        session.sequence += 1
        try:
            return seal(session, self._key, self._parts)
        except SqlFailure as failure:
            session.release()
            session.scope.begin(-1)
            session.doomed = error_object(failure)
            session.stored.clear()
            return seal(session, self._key)

    def drop(self, session: StreamSession) -> None:
        """Nothing is kept of it."""
        session.release()

    def seconds_left(self, session: StreamSession) -> float:
        """Returns the seconds for which the open transaction of a stream may stay open."""
        if session.log is None:
            return TRANSACTION_SECONDS
        return TRANSACTION_SECONDS - (self._now() - session.log.clock) / 1000

    def close(self) -> None:
        """There is nothing to close."""
