"""Statements on a past state, which can only be read."""

from lamdb.hrana.protocol.requests import ParsedPipeline
from lamdb.hrana.statements.authorizer import Guard
from lamdb.hrana.statements.errors import SqlFailure
from lamdb.hrana.transaction.connection import NeedsWriter, StreamConnection
from lamdb.hrana.transaction.session import StreamSession
from lamdb.hrana.transaction.steps import Steps
from lamdb.storage.as_of import PastLease


def execute_in_the_past(session: StreamSession, plan: ParsedPipeline, lease: PastLease) -> Steps:
    """Executes a request of a new stream on a past state. Raises `LamdbError`."""
    execution = Steps(session, plan)
    with lease as connection:
        guard = Guard(session.role)
        connection.authorizer = guard
        place = StreamConnection(connection, guard, session.pragmas, session.scope)
        for at in range(len(plan.steps)):
            try:
                execution.perform(place, at)
            except NeedsWriter:
                failure = SqlFailure("SQLite error: attempt to write a readonly database", "SQLITE_READONLY")
                execution.outcomes.fail(at, failure)
    return execution
