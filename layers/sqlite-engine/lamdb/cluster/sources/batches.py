"""Batches of events, each in one transaction and so one commit, exactly once.

Every record has a savepoint. What cannot succeed, whatever is tried, is undone alone and goes to the dead
letters; the rest is committed, and its record of what was done with it. Nothing is acknowledged before. A
batch that is delivered a second time, whole or in part, finds that record. A failure that may pass fails the
batch: its service delivers it again.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import apsw

from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.sources import records, requests, writes
from lamdb.cluster.sources.deadletters import DeadLetters
from lamdb.cluster.sources.mirroring import Mirroring
from lamdb.cluster.sources.records import Batch, Record, RecordChange, Request
from lamdb.cluster.sources.savepoint import savepoint_of_event
from lamdb.cluster.sources.writes import Terms
from lamdb.errors import (
    EngineError,
    EventError,
    LamdbError,
    NoSchema,
    StorageError,
    TransactionTooLarge,
)
from lamdb.graphql.apis import Apis, ServedSchema
from lamdb.graphql.idempotency import Once
from lamdb.storage import Database
from lamdb.storage.fencing import retry_fenced

log = logging.getLogger("lamdb.cluster.sources")

_LATER: Final = (StorageError, EngineError, NoSchema, apsw.Error)
"""Failures that are not caused by the event: they fail its batch, which is delivered again."""

DEFAULT_TERMS: Final = Terms()

_BESIDES_SECONDS: Final = 2.0
"""Seconds of execution after which records are left that the batch need not contain."""


@dataclass(frozen=True, slots=True)
class RecordOutcome:
    """The outcome of a record: `applied`, or applied before, or failed, or left for later."""

    record: Record
    applied: bool = False
    error: LamdbError | None = None
    left: bool = False


@dataclass(frozen=True, slots=True)
class BatchReport:
    """The outcomes of a batch, counted. `answer` is what the function returns to the service."""

    applied: int
    repeated: int
    set_aside: int
    answer: dict[str, Any]

    def plus(self, settled: "Settled") -> "BatchReport":
        """The same answer, with the records counted that were settled besides."""
        return BatchReport(
            self.applied + settled.applied,
            self.repeated + settled.repeated,
            self.set_aside + len(settled.set_aside),
            self.answer,
        )


@dataclass(frozen=True, slots=True)
class Settled:
    """The outcomes of records that are durable. `set_aside`: those that are dead letters now, by `id()`."""

    outcomes: Sequence[RecordOutcome]
    set_aside: Set[int]

    @property
    def applied(self) -> int:
        return sum(outcome.applied for outcome in self.outcomes)

    @property
    def repeated(self) -> int:
        return sum(not (each.applied or each.left or each.error) for each in self.outcomes)

    @property
    def failed(self) -> list[RecordOutcome]:
        """Those that must be delivered again."""
        return [
            each
            for each in self.outcomes
            if each.left or (each.error and id(each.record) not in self.set_aside)
        ]

    def of(self, chosen: Iterable[Record]) -> "Settled":
        """Those of some records only."""
        ids = {id(each) for each in chosen}
        return Settled([each for each in self.outcomes if id(each.record) in ids], self.set_aside & ids)


class Batches:
    """Does what batches say. `dead_letters`: None where failed events have no place to go."""

    def __init__(
        self,
        database: Database,
        apis: Apis,
        dead_letters: DeadLetters | None,
        *,
        fenced_retries: int = 3,
        terms: Terms = DEFAULT_TERMS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`terms`: those of mutations that came through a queue."""
        self._clock = clock
        self._terms = terms
        self._database = database
        self._apis = apis
        self._dead_letters = dead_letters
        self._fenced_retries = fenced_retries

    def apply(self, event: Mapping[str, Any]) -> BatchReport:
        """Raises what makes the service bring the whole batch again.

        Where a service is not told of single records, that is also an event that can never succeed and has no
        place to go.
        """
        batch = records.read(event)
        return self.report(batch, self.settle(batch.records))

    def report(self, batch: Batch, settled: Settled) -> BatchReport:
        """The answer for the records of a batch. Raises as `apply` does."""
        failed = settled.failed
        if failed and not batch.reports:
            raise failed[0].error or EventError("The event was not processed in this invocation.")
        return BatchReport(settled.applied, settled.repeated, len(settled.set_aside), _answer(batch, failed))

    def settle(self, of: Sequence[Record], besides: Sequence[Record] = ()) -> Settled:
        """Does what records say, in one transaction if they fit into one. Raises a failure that may pass.

        `besides`: records that come after the others, and are left once executing has taken long.
        """
        outcomes = self._commit([*of, *besides], frozenset(map(id, besides)))
        failed = ((each.record, each.error) for each in outcomes if each.error is not None)
        return Settled(outcomes, {id(record) for record, error in failed if self._set_aside(record, error)})

    def _commit(self, of: Sequence[Record], besides: Set[int]) -> list[RecordOutcome]:
        """The outcomes of records. `besides`: those that may be left, by `id()`."""
        try:
            return retry_fenced(
                lambda: self._database.write(lambda connection: self._run(connection, of, besides)),
                self._fenced_retries,
            )
        except TransactionTooLarge as error:
            if len(of) == 1:
                return [self._too_large(of[0], error)]
        middle = len(of) // 2
        first = self._commit(of[:middle], besides)
        stopped = {outcome.record.group for outcome in first if outcome.left or self._stops(outcome)}
        after = [record for record in of[middle:] if record.group is None or record.group not in stopped]
        second = self._commit(after, besides) if after else []
        done = {id(outcome.record): outcome for outcome in second}
        return first + [done.get(id(record)) or RecordOutcome(record, left=True) for record in of[middle:]]

    def _too_large(self, record: Record, error: TransactionTooLarge) -> RecordOutcome:
        """The outcome of a record that fits into no transaction: an answer, if it is a client's write."""
        match record.contents():
            case (Write() as write,):
                self._database.write(lambda to: writes.keep_failure(to, write, error, self._terms))
                return RecordOutcome(record)
        return RecordOutcome(record, error=error)

    def _run(
        self, connection: apsw.Connection, of: Sequence[Record], besides: Set[int]
    ) -> list[RecordOutcome]:
        ends = self._clock() + _BESIDES_SECONDS
        served = self._apis.of(connection)
        mirroring = Mirroring(served.api.engine, served.stored.schema.mirrors)
        outcomes = []
        stopped: set[str] = set()
        for record in of:
            if record.group in stopped or (id(record) in besides and self._clock() >= ends):
                outcomes.append(RecordOutcome(record, left=True))
                continue
            outcome = self._try(connection, record, served, mirroring)
            outcomes.append(outcome)
            if record.group is not None and self._stops(outcome):
                stopped.add(record.group)
        return outcomes

    def _try(
        self, connection: apsw.Connection, record: Record, served: ServedSchema, mirroring: Mirroring
    ) -> RecordOutcome:
        """Does one record, or undoes it. Raises what fails the whole batch."""
        try:
            with savepoint_of_event(connection):
                done = [self._do(connection, each, served, mirroring) for each in record.contents()]
            return RecordOutcome(record, applied=any(done))
        except _LATER:
            raise
        except LamdbError as error:
            return RecordOutcome(record, error=error)
        except Exception as error:
            log.exception("internal error while an event was applied")
            return RecordOutcome(record, error=LamdbError(f"Internal error: {type(error).__name__}."))

    def _do(
        self,
        connection: apsw.Connection,
        content: RecordChange | Request | Write,
        served: ServedSchema,
        mirroring: Mirroring,
    ) -> bool:
        """True if anything was done for the first time."""
        if isinstance(content, Write):
            return writes.execute(served.api, connection, content, self._terms)
        if isinstance(content, Request):
            return requests.execute(served.api, connection, content)
        if content.exact:
            return mirroring.apply(connection, content)
        once = Once.of_event(content.id, b"")
        if once.find(connection) is not None:
            return False
        done = mirroring.apply(connection, content)
        once.keep(connection, b"")
        return done

    def _stops(self, outcome: RecordOutcome) -> bool:
        """True if later records of its group have to wait for the record."""
        return outcome.error is not None and self._dead_letters is None

    def _set_aside(self, record: Record, error: LamdbError) -> bool:
        """True if a record that failed is out of the way."""
        extra = {"code": error.code, "source": record.kind, "record": record.id}
        if self._dead_letters is None:
            log.error("event failed, and there is no queue for dead letters", extra=extra)
            return False
        try:
            self._dead_letters.put(record, error)
        except Exception:
            log.exception("event failed, and could not be set aside", extra=extra)
            return False
        log.warning("event set aside", extra=extra)
        return True


def _answer(batch: Batch, failed: Sequence[RecordOutcome]) -> dict[str, Any]:
    if not batch.reports:
        return {}
    return {"batchItemFailures": [{"itemIdentifier": outcome.record.id} for outcome in failed]}
