"""Streams without a process: each request repeats the earlier statements of its transaction.

A transaction that outlasts a request sees the state of `Log.base` in every one. Its statements are run on a
scratch copy of that state, which is thrown away; the log goes to the client, in the baton. COMMIT goes to the
writer, which runs the log on the newest state. If every answer is the same, the transaction counts as
executed now, and is committed; otherwise the client gets SQLITE_BUSY and begins again. Nothing is locked
meanwhile, and nothing is lost with a process.

The clock and random numbers are pinned, so that the answers depend on nothing but the state.
"""

import apsw

from lamdb.access.identity import Role
from lamdb.errors import NotRestorable
from lamdb.graphql.digests import digest
from lamdb.graphql.idempotency import ATTEMPT_SECONDS, KeyOrigin, Once
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import busy
from lamdb.hrana.transaction import lookahead
from lamdb.hrana.transaction.connection import NeedsWriter
from lamdb.hrana.transaction.execution import Execution
from lamdb.hrana.transaction.replay_log import is_same
from lamdb.hrana.transaction.scratch_connection import ScratchConnection
from lamdb.hrana.transaction.session import Log, Reading, restore_rowid
from lamdb.hrana.transaction.writer_connection import GroupConnection, TransactionLost
from lamdb.storage.pages import View
from lamdb.storage.pinned import Pinned, install, julian_milliseconds
from lamdb.storage.sessions import Scratch


class _Moved(Exception):
    """On the newest state, the transaction's statements have other answers."""


class ReplayingExecution(Execution):
    """One request on a stream that its client keeps."""

    _committing: Log | None = None
    _has_tried = False

    def advance(self, at: int) -> int:
        if self.session.log is not None:
            return self._continue(self.session.log, at)
        open_at = lookahead.opens_at(self.plan, at)
        if open_at == at:
            return self.stay_open(at)
        if self.writes(at):
            return self.write(self.begin_of_write(at))
        at = self.read(at, self.end if open_at is None else open_at)
        if isinstance(self.session.transaction, Reading):
            # It was to end, and did not: it is begun anew.
            return self.stay_open(self.session.scope.began)
        return at

    def write(self, at: int) -> int:
        if not self.engine.can_write:
            raise NeedsWriter
        return super().write(at)

    def stay_open(self, at: int) -> int:
        session = self.session
        if self._committing is not None:
            # The commit was refused, or skipped.
            session.log = self._committing
            session.scope.begin(-1)
            self._has_tried = True
            return at
        session.release()
        session.transactions += 1
        session.log = Log(self.engine.database.txid, julian_milliseconds(), session.rowid)
        return self._try_out(session.log, at)

    def escalate(self, reading: Reading, at: int) -> int:
        """Begins a transaction anew that was begun in this request, and turned out to write."""
        return self.stay_open(self.session.scope.began)

    # A transaction that outlasts the request

    def _continue(self, log: Log, at: int) -> int:
        writes = log.changed or any(step.sql is not None and step.sql.writes for step in self.plan.steps[at:])
        if writes and self.engine.can_write and not self._has_tried and lookahead.may_commit(self.plan, at):
            return self._commit(log, at)
        return self._try_out(log, at)

    def _try_out(self, log: Log, at: int) -> int:
        """Executes steps on a copy of the state that the transaction sees. Returns the next step.

        If others have written since, and all answers so far are the same on the newest state, it may just as
        well see that: putting a state of before together takes a while.
        """
        views = self.engine.views
        try:
            if log.base < self.engine.database.txid and not views.has(log.base):
                newest = views.newest()
                if (after := self._try_out_on(newest, log, at)) is not None:
                    return after
            after = self._try_out_on(views.get(log.base), log, at)
        except NotRestorable:
            self.doom(busy("SQLite error: the state that the transaction sees is no longer kept"))
            return at
        if after is None:
            self.doom(busy("SQLite error: database is locked", "SQLITE_BUSY_SNAPSHOT"))
            return at
        return after

    def _try_out_on(self, view: View, log: Log, at: int) -> int | None:
        """Returns the next step; None if the transaction's statements have other answers in this state."""
        session = self.session
        # An admin may leave settings behind (`guard`).
        idle = None if session.role is Role.ADMIN else self.engine.scratches
        with Scratch(self.engine.database, view, idle) as connection, self._pinned():
            place = ScratchConnection(
                connection, Guard(session.role), session.pragmas, session.scope, log.rowid
            )
            if not is_same(place, log):
                return None
            log.base = view.txid
            return self._go_on(place, log, at)

    def _go_on(self, place: ScratchConnection, log: Log, at: int) -> int:
        session = self.session
        begun = at
        while at < self.end:
            try:
                self.perform(place, at)
            except NeedsWriter:
                if not self.engine.can_write:
                    raise
                if not self._has_tried:
                    return self._commit(log, begun)
                self.doom(busy("SQLite error: database is locked", "SQLITE_BUSY_SNAPSHOT"))
                return at
            self._log(log, at)
            log.changed = log.changed or (self._may_change(at) and place.has_changed)
            at += 1
            if not session.scope.open:
                self.committed = at
                session.log = None
                session.rowid = place.connection.last_insert_rowid()
                break
        return at

    def _may_change(self, at: int) -> bool:
        sql = self.plan.steps[at].sql
        return sql is not None and sql.word not in ("SELECT", "VALUES", "BEGIN")

    def _log(self, log: Log, at: int) -> None:
        step, outcome = self.plan.steps[at], self.outcomes[at]
        if step.sql is not None and not step.asks and step.failure is None and outcome and outcome.answer:
            log.note(step, outcome.answer)

    def _pinned(self) -> Pinned:
        log = self.session.log or self._committing
        assert log is not None
        seed = f"{self.session.id} {self.session.transactions}"
        return Pinned(log.clock, digest(seed.encode()))

    # Its commit

    def _commit(self, log: Log, at: int) -> int:
        """Runs the transaction and the rest of the request in the writer's. Returns the next step."""
        session, once = self.session, self.once
        name = f"stream {session.id} {session.transactions}"
        self._committing, session.log = log, None
        self.once = Once(
            digest(name.encode()), self.plan.digest, ATTEMPT_SECONDS, KeyOrigin.PROXY, self.engine.room
        )
        try:
            return self.share(at, self.end)
        except _Moved:
            self.doom(busy("SQLite error: database is locked", "SQLITE_BUSY_SNAPSHOT"))
            return at
        finally:
            self._committing, self.once = None, once

    def work(self, connection: apsw.Connection, at: int, end: int) -> bytes | None:
        if self._committing is None:
            return super().work(connection, at, end)
        install(connection)
        with self._pinned():
            return super().work(connection, at, end)

    def prepare(self, place: GroupConnection) -> None:
        if (log := self._committing) is not None:
            restore_rowid(place.connection, log.rowid)
            if not is_same(place, log):
                raise _Moved

    def without(self, lost: TransactionLost, at: int) -> int:
        index = self._at
        if self._committing is None or self.session.scope.began >= 0 or not self.session.scope.open:
            return super().without(lost, at)
        # The transaction of earlier requests is gone, and nothing else.
        self.session.scope.end()
        self.outcomes.fail(index, lost.cause)
        self.session.rowid = lost.rowid
        return index + 1
