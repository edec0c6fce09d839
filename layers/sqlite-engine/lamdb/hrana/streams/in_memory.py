"""The streams that a server keeps in memory, by their batons.

A baton is `PROCESS.STREAM.SEQUENCE.STATE.TXID.SIGNATURE`. `STATE` is `0` for a stream that has nothing which
a new one has not: such streams are not kept, and their batons never expire, also at another server.
"""

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Final

from lamdb.access.identity import Role
from lamdb.hrana.statements.errors import StreamExpired, StreamLost, StreamNotFound
from lamdb.hrana.transaction.session import StreamSession

IDLE_SECONDS: Final = 10.0
"""For which a stream in a transaction may send no request."""
TRANSACTION_SECONDS: Final = 30.0
"""For which a transaction may be open."""
STREAM_SECONDS: Final = 600.0
"""For which a stream that is in no transaction is kept."""
MOST_STREAMS: Final = 10_000

_LOOK_SECONDS: Final = 1.0
_SHORTEST_PAUSE: Final = 0.05
"""Seconds between looks for streams whose time is over, at most and at least."""
_ROLLED_BACK: Final = "it was rolled back, and none of its statements took effect."
_PARTS: Final = 6
_LONGEST: Final = 200


class Streams:
    """The streams of one process. Thread-safe."""

    def __init__(
        self,
        *,
        idle_seconds: float = IDLE_SECONDS,
        transaction_seconds: float = TRANSACTION_SECONDS,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.idle_seconds = idle_seconds
        self.transaction_seconds = transaction_seconds
        self._now = now
        self._process = secrets.token_hex(4)
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, StreamSession] = OrderedDict()
        self._expired: OrderedDict[str, str] = OrderedDict()
        """The streams that were closed, with the reason."""
        self._lock = threading.Lock()
        self._wakes = threading.Condition(self._lock)
        self._reaper: threading.Thread | None = None
        self._closed = False

    def new(self, role: Role, principal: str) -> StreamSession:
        """Returns a new stream, in use by the caller: see `leave`."""
        session = StreamSession(secrets.token_hex(8), role, principal)
        session.busy.acquire()
        return session

    def take(self, baton: str, role: Role, principal: str) -> StreamSession:
        """Returns the stream of a baton, in use by the caller: see `leave`.

        Raises `StreamExpired`, `StreamLost`, `StreamNotFound`.
        """
        parts = _parts(baton)
        if parts is None:
            raise StreamNotFound("The baton was not issued by lamDB.")
        process, name, sequence, state, txid, signature = parts
        is_ours = hmac.compare_digest(signature, self._signature(*parts[:-1]))
        if state == "0":
            return self._without_state(name, sequence, txid, role, principal)
        if process != self._process:
            raise StreamLost(
                "The server process of the stream is gone; an open transaction was rolled back, and none of "
                "its statements took effect."
            )
        if not is_ours:
            raise StreamNotFound("The baton was not issued by this server.")
        with self._lock:
            session = self._sessions.get(name)
            if session is None and name in self._expired:
                raise StreamExpired(self._expired[name])
            if session is None or str(session.sequence) != sequence or session.principal != principal:
                raise StreamNotFound("There is no such stream, or the baton is not its newest.")
            if session.role is not role or not session.busy.acquire(blocking=False):
                raise StreamNotFound("The stream is executing another request.")
            if session.transaction is None or self._left(session, self._now()) > 0:
                return session
            reason = self._reason(session)
            self._forget(session, reason)
        session.release()
        session.busy.release()
        raise StreamExpired(reason)

    def identity(self, baton: str) -> tuple[str, int] | None:
        """Returns the stream of a baton, however old, and the number of its next request."""
        parts = _parts(baton)
        is_number = parts is not None and parts[2].isdigit() and len(parts[2]) < 10
        return (parts[1], int(parts[2])) if parts is not None and is_number else None

    def leave(self, session: StreamSession, *, closes: bool) -> str | None:
        """Returns the baton for the next request; None if the stream is closed."""
        if closes:
            session.release()
            session.stored.clear()
        session.used = self._now()
        session.sequence += 1
        with self._lock:
            if closes or self._closed:
                self._sessions.pop(session.id, None)
                session.release()
                session.busy.release()
                return None
            keeps = session.has_state if session.promised is None else session.promised
            session.promised = None
            if keeps:
                self._sessions[session.id] = session
                self._sessions.move_to_end(session.id)
                self._make_room()
                self._start_reaper()
            else:
                self._sessions.pop(session.id, None)
            session.busy.release()
        return self._baton(session, keeps)

    def promise(self, session: StreamSession, *, keeps: bool) -> str:
        """Returns the baton for the next request before the present one is over, which `leave` ends.

        `keeps`: whether the stream may have some state then.
        """
        session.promised = keeps
        session.sequence += 1
        try:
            return self._baton(session, keeps)
        finally:
            session.sequence -= 1

    def drop(self, session: StreamSession) -> None:
        """Closes a stream of which a request failed as a whole."""
        self.leave(session, closes=True)

    def close(self) -> None:
        """Rolls back all open transactions."""
        with self._lock:
            self._closed = True
            self._wakes.notify_all()
            sessions = list(self._sessions.values())
            self._sessions.clear()
        for session in sessions:
            if session.busy.acquire(timeout=self.idle_seconds):
                session.release()
                session.busy.release()

    def counts(self) -> tuple[int, int]:
        """Returns the number of streams that are kept, and of those in a transaction."""
        with self._lock:
            sessions = list(self._sessions.values())
        return len(sessions), sum(session.transaction is not None for session in sessions)

    def seconds_left(self, session: StreamSession) -> float:
        """Returns the seconds for which the open transaction of a stream may stay open."""
        if session.transaction is None:
            return self.transaction_seconds
        return session.began + self.transaction_seconds - self._now()

    def expired(self, session: StreamSession) -> StreamExpired | None:
        """Returns the error of a transaction that was open for too long while it executed a request."""
        if session.began + self.transaction_seconds > self._now():
            return None
        return StreamExpired(self._too_long())

    def reap(self) -> None:
        """Closes the streams whose time is over."""
        now = self._now()
        over: list[StreamSession] = []
        with self._lock:
            for session in list(self._sessions.values()):
                if self._left(session, now) <= 0 and session.busy.acquire(blocking=False):
                    self._forget(session, self._reason(session))
                    over.append(session)
        for session in over:
            session.release()
            session.busy.release()

    def _reason(self, session: StreamSession) -> str:
        if session.transaction is None:
            return f"The stream sent no request for {STREAM_SECONDS:g} s, and was closed."
        if self.seconds_left(session) <= 0:
            return self._too_long()
        return (
            f"The transaction sent no request for {self.idle_seconds:g} s (LAMDB_SQL_IDLE_SECONDS); "
            f"{_ROLLED_BACK}"
        )

    def _too_long(self) -> str:
        return (
            f"The transaction was open for {self.transaction_seconds:g} s (LAMDB_SQL_TRANSACTION_SECONDS); "
            f"{_ROLLED_BACK}"
        )

    def _left(self, session: StreamSession, now: float) -> float:
        if session.transaction is None:
            return session.used + STREAM_SECONDS - now
        return min(session.used + self.idle_seconds - now, self.seconds_left(session))

    def _without_state(
        self, name: str, sequence: str, txid: str, role: Role, principal: str
    ) -> StreamSession:
        if not (sequence.isdigit() and txid.isdigit()) or len(txid) > 18 or len(sequence) > 9:
            raise StreamNotFound("The baton was not issued by lamDB.")
        session = StreamSession(name[:32], role, principal, sequence=int(sequence), txid=int(txid))
        session.busy.acquire()
        return session

    def _forget(self, session: StreamSession, reason: str) -> None:
        self._sessions.pop(session.id, None)
        self._expired[session.id] = reason
        while len(self._expired) > MOST_STREAMS:
            self._expired.popitem(last=False)

    def _make_room(self) -> None:
        """Forgets the longest unused streams beyond the limit that are in no transaction."""
        if len(self._sessions) <= MOST_STREAMS:
            return
        for session in list(self._sessions.values()):
            if session.transaction is None and session.busy.acquire(blocking=False):
                self._forget(session, f"The server keeps {MOST_STREAMS} streams; this one was closed.")
                session.busy.release()
                return

    def _start_reaper(self) -> None:
        if self._reaper is None:
            self._reaper = threading.Thread(target=self._reap_always, name="lamdb-streams", daemon=True)
            self._reaper.start()
        elif len(self._sessions) == 1:
            self._wakes.notify_all()

    def _reap_always(self) -> None:
        while not self._closed:
            self.reap()
            with self._lock:
                self._wakes.wait(self._pause() if self._sessions else None)

    def _pause(self) -> float:
        """Returns the seconds until the next look, which is soon if the time of a transaction is short."""
        shortest = min(self.idle_seconds, self.transaction_seconds)
        return min(_LOOK_SECONDS, max(_SHORTEST_PAUSE, shortest / 10))

    def _baton(self, session: StreamSession, keeps: bool) -> str:
        parts = (self._process, session.id, str(session.sequence), str(int(keeps)), str(session.txid))
        return ".".join((*parts, self._signature(*parts)))

    def _signature(self, *parts: str) -> str:
        return blake2b(".".join(parts).encode(), key=self._key, digest_size=12).hexdigest()


def _parts(baton: str) -> list[str] | None:
    parts = baton.split(".") if len(baton) <= _LONGEST else []
    well_formed = len(parts) == _PARTS and all(part.isascii() and part.isalnum() for part in parts)
    return parts if well_formed else None
