"""Executes the steps of one request and records their outcomes."""

from typing import Any

from lamdb.hrana.protocol.outcomes import SKIPPED, Outcomes, StepOutcome
from lamdb.hrana.protocol.requests import ParsedPipeline
from lamdb.hrana.statements.errors import error_object, is_failure
from lamdb.hrana.statements.text import Kind
from lamdb.hrana.transaction.connection import EMPTY, StreamConnection
from lamdb.hrana.transaction.session import StreamSession

type Json = dict[str, Any]


class Steps:
    """Those of a plan, for a stream."""

    def __init__(self, session: StreamSession, plan: ParsedPipeline) -> None:
        self.session = session
        self.plan = plan
        self.outcomes = Outcomes(plan)

    def perform(self, place: StreamConnection, at: int) -> None:
        """Executes one step. Raises `NeedsWriter`, `TransactionLost`, and what is no failure of it."""
        step = self.plan.steps[at]
        if self.outcomes.is_skipped(step, at, in_transaction=place.scope.open):
            self.outcomes[at] = SKIPPED
            return
        if self.session.was_lost and step.sql is not None:
            self.session.was_lost = False
            if step.sql.kind is Kind.ROLLBACK and not place.scope.open:
                self.outcomes[at] = StepOutcome(EMPTY)
                return
        try:
            self.outcomes[at] = StepOutcome(place.do(step, at))
        except Exception as error:
            if not is_failure(error):
                raise
            self.outcomes.fail(at, error)

    # A transaction that was given up

    def doom(self, failure: Exception) -> None:
        """Gives up the open transaction: until it is ended, `failure` is the answer to all statements."""
        self.session.release()
        self.session.scope.begin(-1)
        self.session.doomed = error_object(failure)

    def refuse(self, at: int, error: Json) -> int:
        """Refuses a step of such a transaction, unless it ends it. Returns the next step."""
        step = self.plan.steps[at]
        session = self.session
        kind = step.sql.kind if step.sql is not None else None
        if self.outcomes.is_skipped(step, at, in_transaction=True):
            self.outcomes[at] = SKIPPED
        elif step.asks == "get_autocommit":
            self.outcomes[at] = StepOutcome({"is_autocommit": False})
        elif kind is Kind.ROLLBACK:
            self.outcomes[at] = StepOutcome(EMPTY)
            session.release()
        else:
            self.outcomes[at] = StepOutcome(error=error)
            if kind is Kind.COMMIT:
                session.release()
                session.was_lost = True
        return at + 1
