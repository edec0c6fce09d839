"""Executing the steps of a request, each where it can be executed.

Queries are executed by a reader. The first statement that writes goes to the writer, with all that follows,
in a commit that is shared with others. `held_writer` and `replay` define a transaction that stays open at
the end of a request.
"""

from abc import abstractmethod
from collections.abc import Callable

from lamdb.access.identity import Role
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.transaction import lookahead
from lamdb.hrana.transaction.connection import NeedsWriter, StreamConnection
from lamdb.hrana.transaction.group_commit import Sharing
from lamdb.hrana.transaction.session import Reading, restore_rowid


class Execution(Sharing):
    """One request on one stream."""

    def run(self, answer: Callable[["Execution"], bytes]) -> None:
        """Executes all steps. `answer` writes the results, to be kept under the request's key.

        Raises `LamdbError`; the transaction in which it was raised is then rolled back.
        """
        self._answer = answer
        at = 0
        self.session.scope.began = -1
        try:
            while at < self.end and self.replayed is None:
                if self.session.doomed is not None:
                    at = self.refuse(at, self.session.doomed)
                else:
                    at = self.advance(at)
        except BaseException:
            self.session.release()
            raise

    @abstractmethod
    def advance(self, at: int) -> int:
        """Executes steps from `at` on. Returns the next step."""

    @abstractmethod
    def escalate(self, reading: Reading, at: int) -> int:
        """Executes steps from `at` on, which writes in a transaction that has only read in other requests."""

    def results(self) -> bytes:
        return self._answer(self)

    # Reading

    def read(self, at: int, end: int) -> int:
        """Executes steps up to one that writes, with which the writer goes on. Returns the next step."""
        session = self.session
        reading = session.transaction if isinstance(session.transaction, Reading) else self._begin_reading()
        session.transaction = reading
        try:
            while at < end:
                try:
                    self.perform(reading.place, at)
                except NeedsWriter:
                    break
                if session.scope.open and (outcome := self.outcomes[at]) is not None:
                    reading.note(self.plan.steps[at], outcome.answer)
                at += 1
        finally:
            if not session.scope.open:
                session.transaction = None
                reading.release()
        if at == end:
            return at
        if not session.scope.open:
            return self.write(self.begin_of_write(at))
        if session.scope.began >= 0:
            # All of it is in this request.
            at = session.scope.began
            session.release()
            return self.write(self.begin_of_write(at))
        return self.escalate(reading, at)

    def begin_of_write(self, at: int) -> int:
        """Returns the step with which the writer begins. What is kept under a key has all in one commit."""
        return self.committed if self.once is not None else at

    def _begin_reading(self) -> Reading:
        session = self.session
        lease = self.engine.readers(session.role).lease(session.txid)
        connection = lease.__enter__()
        guard = connection.authorizer
        assert isinstance(guard, Guard)
        restore_rowid(connection, session.rowid)
        session.txid = lease.txid
        session.began = self.engine.now()
        try:
            return Reading(lease, StreamConnection(connection, guard, session.pragmas, session.scope))
        except BaseException as error:
            lease.__exit__(type(error), error, None)
            raise

    # Writing

    def writes(self, at: int) -> bool:
        """True if the request should go to the writer at once: a reader would only refuse it."""
        return self.session.role is not Role.READ and lookahead.writes_at(self.plan, at)

    def write(self, at: int) -> int:
        """Executes steps that write, from `at` on, outside a transaction. Returns the next step."""
        open_at = lookahead.opens_at(self.plan, at)
        if open_at == at:
            return self.stay_open(at)
        return self.share(at, self.end if open_at is None else open_at)
