"""Streams of a long-running server: a transaction that writes holds the writer until it ends.

A transaction that has read in earlier requests may write if there were no other writes since, or if what it
has read is still the same.
"""

from dataclasses import replace
from typing import Any

import apsw

from lamdb.graphql.digests import digest as digest_of_key
from lamdb.graphql.idempotency import ATTEMPT_SECONDS, KeyOrigin, Once
from lamdb.hrana.protocol.outcomes import SKIPPED, StepOutcome
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import SqlFailure, busy, error_object, is_failure
from lamdb.hrana.statements.rows import RowSink
from lamdb.hrana.statements.text import Kind
from lamdb.hrana.transaction.connection import EMPTY, StreamTransaction
from lamdb.hrana.transaction.execution import Execution
from lamdb.hrana.transaction.lookahead import BEGINNING
from lamdb.hrana.transaction.session import Reading, digest, restore_rowid
from lamdb.hrana.transaction.writer_connection import HeldConnection
from lamdb.storage.sessions import SessionWriter

type Json = dict[str, Any]


def once_of_stream(stream: str, number: int, principal: str, request: bytes) -> Once:
    """Returns what makes a request that commits the transaction of a stream happen once.

    `number`: of the commit, or of the request, within the stream.
    """
    name = f"stream {principal} {stream} {number}"
    return Once(digest_of_key(name.encode()), request, ATTEMPT_SECONDS, KeyOrigin.PROXY)


class HoldingExecution(Execution):
    """One request on a stream that this process keeps."""

    def advance(self, at: int) -> int:
        if isinstance(self.session.transaction, HeldConnection):
            return self._hold(self.session.transaction, at)
        if self.session.transaction is None and self.writes(at):
            return self.write(self.begin_of_write(at))
        return self.read(at, self.end)

    def stay_open(self, at: int) -> int:
        try:
            self.session.transaction = held = self._held(self.session.scope)
        except apsw.BusyError as error:
            self.outcomes.fail(at, error)
            return at + 1
        self.session.began = self.engine.now()
        return self._hold(held, at)

    def escalate(self, reading: Reading, at: int) -> int:
        try:
            self._upgrade(reading)
        except (apsw.BusyError, SqlFailure) as error:
            self.doom(error)
        return at

    def _upgrade(self, reading: Reading) -> None:
        """Makes a transaction that has only read one that may write.

        Raises `SqlFailure` if others wrote in between and what was read is no longer so.
        """
        session = self.session
        scope = session.scope
        session.transaction = None
        base = reading.lease.txid
        reading.release()
        held = self._held(StreamTransaction())
        session.transaction = held
        names, scope.names = scope.names, []
        try:
            if held.txid == base:
                for name in names:
                    quoted = name.replace('"', '""')
                    held.connection.execute(f'SAVEPOINT "{quoted}"')
                scope.names = names
            elif not reading.is_logged or not self._is_same(held, scope, reading):
                raise busy("SQLite error: database is locked", "SQLITE_BUSY_SNAPSHOT")
        except BaseException:
            session.release()
            raise
        held.scope = scope

    def _is_same(self, held: HeldConnection, scope: StreamTransaction, reading: Reading) -> bool:
        """True if what a transaction has read is still the same. Its savepoints are made again."""
        held.scope = scope
        for step, expected in reading.log:
            if step.sql is not None and step.sql.kind in (*BEGINNING, Kind.COMMIT):
                continue
            try:
                again = step if step.sink is None else replace(step, sink=RowSink())
                answer: Json = held.do(again, -1)
            except Exception as error:
                if not is_failure(error):
                    raise
                answer = error_object(error)
            if digest(answer) != expected:
                return False
        return True

    def _keep(self, connection: apsw.Connection) -> None:
        """Keeps the results of a request that commits, for the client that gets no answer and asks again."""
        session = self.session
        once = once_of_stream(session.id, session.sequence, session.principal, self.plan.digest)
        if self.once is not None:
            self.once.keep(connection, self._foreseen())
        once.keep(connection, self._foreseen())

    def _foreseen(self) -> bytes:
        """The results, if all that follows the COMMIT at hand is known; nothing else."""
        kept = list(self.outcomes)
        try:
            self.outcomes[self._at] = StepOutcome(EMPTY)
            for at in range(self._at + 1, self.end):
                step = self.plan.steps[at]
                if self.outcomes.is_skipped(step, at, in_transaction=False):
                    self.outcomes[at] = SKIPPED
                elif step.asks == "get_autocommit":
                    self.outcomes[at] = StepOutcome({"is_autocommit": True})
                else:
                    return b""
            return self.results()
        finally:
            self.outcomes[:] = kept

    def _held(self, scope: StreamTransaction) -> HeldConnection:
        """Raises `apsw.BusyError`, and what beginning a write raises."""
        session = self.session
        lease = SessionWriter(
            self.engine.database, wait=self.engine.busy_seconds, foreign_keys=session.pragmas.foreign_keys
        )
        held = HeldConnection(lease, Guard(session.role), session.pragmas, scope)
        restore_rowid(held.connection, session.rowid)
        return held

    def _hold(self, held: HeldConnection, at: int) -> int:
        """Executes steps of a transaction up to its end. Returns the next step."""
        session = self.session
        held.before_commit = self._keep
        while at < self.end:
            self._at = at
            self.perform(held, at)
            step, outcome = self.plan.steps[at], self.outcomes[at]
            at += 1
            if not session.scope.open:
                is_commit = step.sql is not None and step.sql.kind is Kind.COMMIT
                session.was_lost = is_commit and outcome is not None and outcome.error is not None
                self.committed = at
                session.transaction = None
                session.txid = self.engine.database.txid
                session.rowid = held.rowid
                held.release()
                break
        return at
