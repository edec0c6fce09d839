"""Mutations of clients in messages: executed once; errors are stored under the key for the client.

An error of GraphQL or of the data is the client's response and not a failure of the message: no queue
delivers it again.
"""

import time
from dataclasses import dataclass

import apsw

from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.rate_limit import Rate
from lamdb.cluster.sources.requests import InTransaction
from lamdb.errors import AnswerNotKept, IdempotencyMismatch, LamdbError, LimitError, Throttled
from lamdb.graphql.api import Api
from lamdb.graphql.idempotency import ATTEMPT_SECONDS, DEFAULT_ROOM, DEFAULT_SECONDS, KeyOrigin, Once, Room
from lamdb.graphql.transport import outcomes
from lamdb.graphql.transport.outcomes import MutationOutcome
from lamdb.storage.budget import Budget, Costs, Deadline


@dataclass(frozen=True, slots=True)
class Terms:
    """Limits of one write, and of the responses that are kept: seconds and room."""

    costs: Costs = Costs()  # noqa: RUF009 - it is frozen
    seconds: float = DEFAULT_SECONDS
    room: Room = DEFAULT_ROOM
    rate: Rate | None = None


def execute(api: Api, connection: apsw.Connection, write: Write, terms: Terms) -> bool:
    """Executes a write; False if it changed nothing: it was done before, failed, or came too late.

    Raises `StorageError`, which fails the whole transaction.
    """
    if outcomes.was_made(connection, write.key, write.attempt):
        return False
    keys = KeyOrigin.PROXY if write.proxys else KeyOrigin.CLIENT
    once = Once.of(write.key, write.request, _seconds(write, terms), keys, terms.room)
    here = InTransaction(connection)
    if terms.rate is not None and once.row(connection) is None:
        try:
            terms.rate.take()
        except Throttled as error:
            keep_failure(connection, write, error, terms)
            return False
    late = Deadline() if write.deadline is None else Deadline.after(write.deadline - time.time())
    try:
        with Budget(terms.costs, late):
            result = api.execute(here, write.request, once=once)
    except (IdempotencyMismatch, AnswerNotKept, LimitError) as error:
        keep_failure(connection, write, error, terms)
        return False
    if here.failure is not None:
        raise here.failure
    if result.replayed:
        if not write.proxys:
            outcomes.note(connection, _sending(write, terms), replayed=True)
        return False
    if once.row(connection) is None:
        status = 200 if result.executed else result.status
        outcome = MutationOutcome(status, result.body)
        outcomes.keep(connection, _sending(write, terms), outcome)
        return False
    if not write.proxys:
        # So that the same message is told from another one with the key.
        outcomes.note(connection, _sending(write, terms))
    return True


def keep_failure(connection: apsw.Connection, write: Write, error: LamdbError, terms: Terms) -> None:
    """Stores that a write came to nothing because of `error`."""
    outcomes.keep(connection, _sending(write, terms), MutationOutcome.of(error))


def _sending(write: Write, terms: Terms) -> outcomes.Sending:
    return outcomes.Sending(write.key, write.attempt, write.request.caller, _seconds(write, terms))


def _seconds(write: Write, terms: Terms) -> float:
    return ATTEMPT_SECONDS if write.proxys else terms.seconds
