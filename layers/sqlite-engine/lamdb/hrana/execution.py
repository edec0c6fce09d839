"""Executing the steps of a request, each where it can be executed.

Queries are executed by a reader. The first statement that writes goes to the writer, with all that follows,
in a commit that is shared with others. `holding` and `replaying` say what a transaction is that stays open at
the end of a request.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import apsw

from lamdb.errors import Fenced, StorageError
from lamdb.graphql.idempotency import Once
from lamdb.hrana import foresight
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.failures import SqlFailure, in_band
from lamdb.hrana.following import follow, schema_version
from lamdb.hrana.forms import Forms
from lamdb.hrana.guard import Guard, Role, arm, disarm
from lamdb.hrana.places import NeedsWriter, Place
from lamdb.hrana.requests import Plan
from lamdb.hrana.sessions import Reading, Session, restore_rowid
from lamdb.hrana.steps import Steps
from lamdb.hrana.writing import GroupPlace, TransactionLost
from lamdb.storage.budget import current


class StaysOpen(Exception):
    """The transaction that begins with a step is not ended by the request."""

    def __init__(self, at: int) -> None:
        self.at = at


class Execution(Steps, ABC):
    """One request on one stream."""

    def __init__(self, engine: SqlEngine, session: Session, plan: Plan, once: Once | None = None) -> None:
        super().__init__(session, plan)
        self.engine = engine
        self.replayed: bytes | None = None
        """The results, if the request was executed before."""
        self.once = once
        self.end = len(plan.steps)
        self.committed = 0
        """The steps before this one are committed, or rolled back, and are not executed again."""
        self._at = 0

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
    def stay_open(self, at: int) -> int:
        """Executes steps from `at` on, which opens a transaction that outlasts the request, and writes."""

    @abstractmethod
    def escalate(self, reading: Reading, at: int) -> int:
        """Executes steps from `at` on, which writes in a transaction that has only read in other requests."""

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
        return Reading(lease, Place(connection, guard, session.pragmas, session.scope))

    # Writing

    def writes(self, at: int) -> bool:
        """True if the request should go to the writer at once: a reader would only refuse it."""
        return self.session.role is not Role.READ and foresight.writes_at(self.plan, at)

    def write(self, at: int) -> int:
        """Executes steps that write, from `at` on, outside a transaction. Returns the next step."""
        open_at = foresight.opens_at(self.plan, at)
        if open_at == at:
            return self.stay_open(at)
        return self.share(at, self.end if open_at is None else open_at)

    def share(self, at: int, end: int) -> int:
        """Executes steps in a commit that is shared with others. Returns the next step."""
        tries = self.engine.fenced_retries
        while True:
            try:
                self.replayed = self.engine.database.write(lambda connection: self.work(connection, at, end))
            except StaysOpen as open_:
                return self.share(at, open_.at) if open_.at > at else self.stay_open(at)
            except TransactionLost as lost:
                return self.without(lost, at)
            except Fenced as error:
                if tries == 0:
                    self._fail(at, end, error)
                    return end
                tries -= 1
                continue
            except SqlFailure as failure:
                self._fail(at, end, failure)
                return end
            except StorageError as error:
                if in_band(error) is None:
                    raise
                self._fail(at, end, error)
                return end
            self.session.txid = self.engine.database.txid
            self.committed = end
            return end

    def work(self, connection: apsw.Connection, at: int, end: int) -> bytes | None:
        """Runs in the writer's transaction, and again if that was undone.

        Returns the results if the request was executed before.
        """
        session = self.session
        session.scope.end()
        session.was_lost = False
        if (budget := current()) is not None:
            budget.begin_mutation()
        if self.once is not None and not self.committed:
            kept = self.once.find(connection)
            if kept is not None:
                return kept
        guard = Guard(session.role)
        place = GroupPlace(connection, guard, session.pragmas, session.scope)
        restore_rowid(connection, session.rowid)
        forms = Forms(connection)
        before = arm(connection, guard)
        _enforce(connection, session.pragmas.foreign_keys)
        self._at = at
        version = schema_version(connection)
        forms.watch()
        try:
            self.prepare(place)
            for index in range(at, end):
                self._at = index
                self.perform(place, index)
        finally:
            forms.stop()
            disarm(connection, before)
            _enforce(connection, True)
        if session.scope.open:
            began = session.scope.began
            session.scope.end()
            raise StaysOpen(began)
        session.rowid = connection.last_insert_rowid()
        forms.settle()
        if schema_version(connection) != version:
            follow(connection)
        if self.once is not None:
            # What follows in the request is not part of this commit, and cannot be answered again.
            self.once.keep(connection, self.results() if end == self.end else b"")
        return None

    def prepare(self, place: GroupPlace) -> None:
        """Called in the writer's transaction before the first step."""

    def results(self) -> bytes:
        """Returns the results so far, as they are kept under the request's key."""
        return self._answer(self)

    def without(self, lost: TransactionLost, at: int) -> int:
        """Goes on after a statement that rolled its transaction back, and all that shared the commit."""
        index = self._at
        began = self.session.scope.began if self.session.scope.open else index
        self.session.scope.end()
        kept = self.outcomes[began:index]
        if began > at:
            self.share(at, began)
        self.outcomes[began:index] = kept
        self.outcomes.fail(index, lost.cause)
        self.session.rowid = lost.rowid
        return index + 1

    def _fail(self, at: int, end: int, error: Exception) -> None:
        """Makes the failure of a commit that of all that it would have kept."""
        self.session.scope.end()
        self.session.was_lost = True
        for index in range(at, end):
            outcome = self.outcomes[index]
            if outcome is not None and outcome.is_ok:
                self.outcomes.fail(index, error)


def _enforce(connection: apsw.Connection, enforce: bool) -> None:
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))
