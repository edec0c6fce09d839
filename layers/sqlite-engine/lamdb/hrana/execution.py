"""Executing the steps of a request, each where it can be executed.

    Execution(engine, session, plan).run()

Queries are executed by a reader. The first statement that writes goes to the writer, with all that follows:
mostly in a commit that is shared with others; if a transaction stays open at the end of the request, on a
writer that the stream holds from its first write on. A transaction of which all is in one request is begun
anew by the writer. One that has read in earlier requests may write if nobody wrote in between, or if what it
has read is the same for all that: see `_upgrade`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw

from lamdb.errors import Fenced, LamdbError
from lamdb.graphql.idempotency import Once
from lamdb.hrana.failures import SqlFailure, busy, error_object, in_band, is_failure
from lamdb.hrana.guard import Guard, Role
from lamdb.hrana.places import EMPTY, NeedsWriter, Place, Scope
from lamdb.hrana.requests import Plan, Step
from lamdb.hrana.sessions import Reading, Session, digest, restore_rowid
from lamdb.hrana.sql import Kind
from lamdb.hrana.writing import GroupPlace, HeldPlace, TransactionLost
from lamdb.storage.budget import current
from lamdb.storage.sessions import SessionWriter

if TYPE_CHECKING:
    from lamdb.hrana.engine import SqlEngine

type Json = dict[str, Any]

_ENDING = (Kind.COMMIT, Kind.ROLLBACK)
_BEGINNING = (Kind.BEGIN, Kind.BEGIN_IMMEDIATE, Kind.BEGIN_READ_ONLY)


@dataclass(slots=True)
class Outcome:
    """What became of a step: a result, or an error object. A step that was skipped has neither."""

    result: Json | None = None
    error: Json | None = None

    @property
    def is_ok(self) -> bool:
        return self.result is not None


SKIPPED = Outcome()


class _StaysOpen(Exception):
    """The transaction that begins with a step is not ended by the request."""

    def __init__(self, at: int) -> None:
        self.at = at


class Execution:
    """One request on one stream."""

    def __init__(self, engine: "SqlEngine", session: Session, plan: Plan, once: Once | None = None) -> None:
        self.engine = engine
        self.session = session
        self.plan = plan
        self.outcomes: list[Outcome | None] = [None] * len(plan.steps)
        self.replayed: bytes | None = None
        """The results, if the request was executed before."""
        self._once = once

    def run(self, answer: Callable[["Execution"], bytes]) -> None:
        """Executes all steps. `answer` writes the results, to be kept under the request's key.

        Raises `LamdbError`: then nothing of the transaction in which it was raised is kept.
        """
        self._answer = answer
        at, steps = 0, len(self.plan.steps)
        self.session.scope.began = -1
        try:
            while at < steps and self.replayed is None:
                if self.session.doomed is not None:
                    at = self._refuse(at, self.session.doomed)
                elif isinstance(self.session.transaction, HeldPlace):
                    at = self._hold(at)
                elif self.session.transaction is None and self._writes(at):
                    at = self._write(0 if self._once is not None else at)
                else:
                    at = self._read(at)
        except BaseException:
            self.session.release()
            raise

    # Reading

    def _read(self, at: int) -> int:
        """Executes steps up to one that writes, with which the writer goes on. Returns the next step."""
        session = self.session
        reading = session.transaction if isinstance(session.transaction, Reading) else self._begin_reading()
        session.transaction = reading
        steps = len(self.plan.steps)
        try:
            while at < steps:
                try:
                    self.perform(reading.place, at)
                except NeedsWriter:
                    break
                if session.scope.open:
                    reading.note(self.plan.steps[at], _answer_of(self.outcomes[at]))
                at += 1
        finally:
            if not session.scope.open:
                session.transaction = None
                reading.release()
        if at == steps:
            return at
        if not session.scope.open:
            return self._write(0 if self._once is not None else at)
        if session.scope.began >= 0:
            # All of it is in this request.
            at = session.scope.began
            session.release()
            return self._write(0 if self._once is not None else at)
        try:
            self._upgrade(reading)
        except (apsw.BusyError, SqlFailure) as error:
            session.scope.begin(-1)
            session.doomed = error_object(error)
        return at

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

    def _upgrade(self, reading: Reading) -> None:
        """Makes a transaction that has only read one that may write; where it cannot, it is lost.

        Unless others wrote in between, or what was read is no longer so.
        """
        session = self.session
        scope = session.scope
        session.transaction = None
        base = reading.lease.txid
        reading.release()
        held = self._held(Scope())
        session.transaction = held
        held.scope = scope
        names, scope.names = scope.names, []
        try:
            is_same = held.txid == base or (reading.is_logged and self._is_same(held, reading))
        except BaseException:
            session.release()
            raise
        if not is_same:
            session.release()
            raise busy("SQLite error: database is locked", "SQLITE_BUSY_SNAPSHOT")
        if held.txid == base:
            for name in names:
                held.connection.execute(f'SAVEPOINT "{name.replace(chr(34), chr(34) * 2)}"')
            scope.names = names

    def _is_same(self, held: HeldPlace, reading: Reading) -> bool:
        for step, expected in reading.log:
            if step.sql is not None and step.sql.kind in (*_BEGINNING, Kind.COMMIT):
                continue
            try:
                answer: Json = held.do(step, -1)
            except Exception as error:
                if not is_failure(error):
                    raise
                answer = error_object(error)
            if digest(answer) != expected:
                return False
        return True

    # Writing

    def _write(self, at: int) -> int:
        """Executes steps that write, from `at` on, outside a transaction. Returns the next step."""
        open_at = self._stays_open(at)
        if open_at is None:
            return self._share(at, len(self.plan.steps))
        if open_at > at:
            return self._share(at, open_at)
        return self._hold_from(at)

    def _share(self, at: int, end: int) -> int:
        """Executes steps in a commit that is shared with others. Returns the next step."""
        tries = self.engine.fenced_retries
        while True:
            try:
                self.replayed = self.engine.database.write(lambda connection: self._work(connection, at, end))
            except _StaysOpen as open_:
                return self._share(at, open_.at) if open_.at > at else self._hold_from(at)
            except TransactionLost as lost:
                return self._without(lost, at)
            except Fenced as error:
                if tries == 0:
                    self._fail(at, end, error)
                    return end
                tries -= 1
                continue
            except LamdbError as error:
                if in_band(error) is None:  # type: ignore[arg-type]
                    raise
                self._fail(at, end, error)
                return end
            self.session.txid = self.engine.database.txid
            return end

    def _work(self, connection: apsw.Connection, at: int, end: int) -> bytes | None:
        """Runs in the writer's transaction, and again if that was undone.

        Returns the results if the request was executed before.
        """
        session = self.session
        session.scope.end()
        session.was_lost = False
        if (budget := current()) is not None:
            budget.begin_mutation()
        if self._once is not None and (kept := self._once.find(connection)) is not None:
            return kept
        guard = Guard(session.role)
        place = GroupPlace(connection, guard, session.pragmas, session.scope)
        restore_rowid(connection, session.rowid)
        connection.authorizer = guard
        self._enforce(connection, session.pragmas.foreign_keys)
        self._lost_at = at
        try:
            for index in range(at, end):
                self._lost_at = index
                self.perform(place, index)
        finally:
            connection.authorizer = None
            self._enforce(connection, True)
        if session.scope.open:
            began = session.scope.began
            session.scope.end()
            raise _StaysOpen(began)
        session.rowid = connection.last_insert_rowid()
        if self._once is not None and end == len(self.plan.steps):
            self._once.keep(connection, self._answer(self))
        return None

    def _without(self, lost: TransactionLost, at: int) -> int:
        """Goes on after a statement that rolled its transaction back, and all that shared the commit."""
        index = self._lost_at
        began = self.session.scope.began if self.session.scope.open else index
        self.session.scope.end()
        kept = self.outcomes[began:index]
        if began > at:
            self._share(at, began)
        self.outcomes[began:index] = kept
        self.outcomes[index] = Outcome(error=error_object(lost.cause))
        return index + 1

    def _fail(self, at: int, end: int, error: Exception) -> None:
        """Makes the failure of a commit that of all that it would have kept."""
        found = error_object(error)
        self.session.scope.end()
        self.session.was_lost = True
        for index in range(at, end):
            outcome = self.outcomes[index]
            if outcome is not None and outcome.is_ok:
                self.outcomes[index] = Outcome(error=found)

    # A writer that is held

    def _hold_from(self, at: int) -> int:
        try:
            self.session.transaction = self._held(self.session.scope)
            self.session.began = self.engine.now()
        except apsw.BusyError as error:
            self.outcomes[at] = Outcome(error=error_object(error))
            return at + 1
        return self._hold(at)

    def _held(self, scope: Scope) -> HeldPlace:
        session = self.session
        lease = SessionWriter(
            self.engine.database, wait=self.engine.busy_seconds, foreign_keys=session.pragmas.foreign_keys
        )
        held = HeldPlace(lease, Guard(session.role), session.pragmas, scope)
        restore_rowid(held.connection, session.rowid)
        return held

    def _hold(self, at: int) -> int:
        """Executes steps of a transaction up to its end. Returns the next step."""
        session = self.session
        held = session.transaction
        assert isinstance(held, HeldPlace)
        steps = len(self.plan.steps)
        while at < steps:
            self.perform(held, at)
            at += 1
            if not session.scope.open:
                session.transaction = None
                session.txid = self.engine.database.txid
                session.rowid = held.rowid
                held.release()
                break
        return at

    # One step

    def perform(self, place: Place, at: int) -> None:
        """Raises `NeedsWriter`, `TransactionLost`, and what is no failure of the statement."""
        step = self.plan.steps[at]
        if self._is_skipped(step, at):
            self.outcomes[at] = SKIPPED
            return
        if self.session.was_lost and step.sql is not None:
            self.session.was_lost = False
            if step.sql.kind is Kind.ROLLBACK and not place.scope.open:
                self.outcomes[at] = Outcome(place.nothing())
                return
        try:
            self.outcomes[at] = Outcome(place.do(step, at))
        except Exception as error:
            if not is_failure(error):
                raise
            self.outcomes[at] = Outcome(error=error_object(error))

    def fail(self, at: int, failure: Exception) -> None:
        """Makes a failure the outcome of a step."""
        self.outcomes[at] = Outcome(error=error_object(failure))

    def _is_skipped(self, step: Step, at: int) -> bool:
        if step.is_script and step.number:
            before = self.outcomes[at - 1]
            return before is None or not before.is_ok
        return step.condition is not None and not self._holds(step.condition, at - step.number)

    def _holds(self, condition: Json, first: int) -> bool:
        match condition["type"]:
            case "ok":
                return self._ok(first + condition["step"])
            case "error":
                return not self._ok(first + condition["step"])
            case "not":
                return not self._holds(condition["cond"], first)
            case "and":
                return all(self._holds(each, first) for each in condition["conds"])
            case "or":
                return any(self._holds(each, first) for each in condition["conds"])
        return not self.session.scope.open

    def _ok(self, at: int) -> bool:
        outcome = self.outcomes[at]
        return outcome is not None and outcome.is_ok

    def _stays_open(self, at: int) -> int | None:
        """The step from `at` on that opens a transaction which the request does not end, if all goes well."""
        open_at: int | None = None
        savepoints = 0
        for index in range(at, len(self.plan.steps)):
            sql = self.plan.steps[index].sql
            if sql is None or self.plan.steps[index].asks:
                continue
            if sql.kind in _BEGINNING and open_at is None:
                open_at, savepoints = index, -1
            elif sql.kind in _ENDING:
                open_at = None
            elif sql.kind is Kind.SAVEPOINT and savepoints >= 0:
                open_at = index if open_at is None else open_at
                savepoints += 1
            elif sql.kind is Kind.RELEASE and savepoints > 0:
                savepoints -= 1
                open_at = None if savepoints == 0 else open_at
            if open_at is None:
                savepoints = 0
        return None if self.plan.closes else open_at

    def _writes(self, at: int) -> bool:
        """Whether to go to the writer at once: a reader would only find that out."""
        sql = self.plan.steps[at].sql
        if sql is None or self.session.role is Role.READ or self.plan.steps[at].asks:
            return False
        if sql.kind is Kind.BEGIN_IMMEDIATE or sql.writes:
            return True
        if sql.kind not in (Kind.BEGIN, Kind.SAVEPOINT):
            return False
        for step in self.plan.steps[at + 1 :]:
            if step.sql is not None and step.sql.writes:
                return True
            if step.sql is not None and step.sql.kind in _ENDING:
                return False
        return False

    def _refuse(self, at: int, error: Json) -> int:
        """Refuses a step of a transaction that was given up, unless it ends it. Returns the next step."""
        step = self.plan.steps[at]
        session = self.session
        kind = step.sql.kind if step.sql is not None else None
        if self._is_skipped(step, at):
            self.outcomes[at] = SKIPPED
        elif step.asks == "get_autocommit":
            self.outcomes[at] = Outcome({"is_autocommit": False})
        elif kind is Kind.ROLLBACK:
            self.outcomes[at] = Outcome(EMPTY)
            session.release()
        else:
            self.outcomes[at] = Outcome(error=error)
            if kind is Kind.COMMIT:
                session.release()
                session.was_lost = True
        return at + 1

    def _enforce(self, connection: apsw.Connection, enforce: bool) -> None:
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_FKEY, int(enforce))


def _answer_of(outcome: Outcome | None) -> Json:
    return {} if outcome is None else outcome.result or outcome.error or {}
