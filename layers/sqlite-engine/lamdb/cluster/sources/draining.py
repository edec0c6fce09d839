"""Writes that wait in the queue, received by the writer itself.

AWS invokes one writer ten times a second at most, so an invocation should be worth everything that waits.
After a request of the proxy that had to wait for the writer, what is in the queue is committed, too. An
invocation for a message of the queue receives what else is in it, commits all of it together, deletes it, and
goes on until the queue is empty or its time is over. A message is deleted after its commit; one whose writer
died before is delivered again, and found under its key.

The event source mapping brings single messages (`BatchSize: 1`): those that it holds while the writer is busy
cannot be received here.
"""

import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import batched
from typing import Any, Final, Protocol, Self

import apsw

from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.sqs_api import BATCH, Refused, SqsApi
from lamdb.cluster.invocation.queued_mutation import SOURCE
from lamdb.cluster.sources import records
from lamdb.cluster.sources.batches import Batches, BatchReport, Settled
from lamdb.cluster.sources.records import Batch, Record
from lamdb.errors import LamdbError
from lamdb.storage.budget import Deadline

log = logging.getLogger("lamdb.cluster.sources")

MOST_MESSAGES: Final = 100
MOST_BYTES: Final = 4 * 1024 * 1024
"""Limits of what is received for one commit, but for the last request's messages."""

SECONDS: Final = 1.0
"""Seconds for which one invocation goes on. Whatever else the writer has to do comes in between."""

PACE: Final = 0.1
"""Seconds from one commit to the next of an invocation: a PUT costs more than the writer does meanwhile."""

FRESH: Final = 0.2
"""Seconds: the age of a message up to which the queue was probably empty when it came."""

_PARTITIONS: Final = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}
"""Partitions other than `aws` by the beginning of their regions, as botocore lists them (partitions.json)."""

_PASSING: Final = (Refused, AnswerLost, Unreachable)


class WaitingWrites(Protocol):
    """The queue, as the writer needs it. All may raise `Refused`, `AnswerLost`, `Unreachable`."""

    def receive(self) -> list[dict[str, Any]]:
        """Up to ten messages, as SQS returns them."""

    def delete(self, handles: Sequence[str]) -> int:
        """Returns how many of at most ten were not deleted."""

    def release(self, handles: Sequence[str]) -> None:
        """Makes at most ten messages visible again."""


class Draining:
    """Applies events, and what waits in the queue of writes with those that come from it."""

    def __init__(
        self,
        batches: Batches,
        queue: WaitingWrites,
        arn: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`arn`: the queue's. `now`: seconds since 1970."""
        self._batches = batches
        self._queue = queue
        self._arn = arn
        self._clock = clock
        self._now = now
        self._sleep = sleep
        self._crowded_until = clock()

    @classmethod
    def of(cls, batches: Batches, url: str, environ: Mapping[str, str] = os.environ) -> Self:
        """Drains the queue with this URL, which is in the function's own region and partition."""
        access = Access.find(environ)
        return cls(batches, SqsApi(url, access, environ), arn_of(url, access.region))

    def apply(self, event: Mapping[str, Any], deadline: Deadline) -> BatchReport:
        """Raises as `Batches.apply` does, for the event's own records."""
        batch = records.read(event)
        if not self._waits_beside(event, batch):
            return self._batches.report(batch, self._batches.settle(batch.records))
        begun = self._clock()
        taken = self._take()
        report, settled = self._first(batch, taken)
        if event["Records"][0].get("eventSource") == SOURCE:
            return report  # A client waits for this invocation.
        ends = begun + min(SECONDS, deadline.remaining() / 3)
        while taken and settled:
            begun = self._rest(begun)
            if self._clock() >= ends:
                break
            taken = self._take()
            settled = self._round(taken)
            if settled:
                report = report.plus(settled)
        return report

    def drain(self, contended: bool) -> int:
        """Commits what waits once, after another request. Returns the number of writes.

        A queue or a store that fails is logged.

        `contended`: the request had to wait. Otherwise only a crowd of the last second is a reason.
        """
        if not contended and self._clock() >= self._crowded_until:
            return 0
        settled = self._round(self._take())
        return 0 if settled is None else len(settled.outcomes)

    def _waits_beside(self, event: Mapping[str, Any], batch: Batch) -> bool:
        """True if other writes probably wait in the queue, as a request to find out has a price."""
        first: Mapping[str, Any] = next(iter(event.get("Records") or ()), {})
        if first.get("eventSource") == SOURCE:
            return True
        if first.get("eventSource") != "aws:sqs" or first.get("eventSourceARN") != self._arn:
            return False
        if self._clock() < self._crowded_until or len(batch.records) >= BATCH:
            return True
        sent = first.get("attributes", {}).get("SentTimestamp")
        return sent is not None and self._now() - int(sent) / 1000 >= FRESH

    def _take(self) -> list[Record]:
        """Receives what is there, within the limits. Events are applied also if that fails."""
        taken: list[Record] = []
        size = 0
        try:
            while len(taken) < MOST_MESSAGES and size < MOST_BYTES:
                messages = self._queue.receive()
                taken += (records.of_message(as_delivered(each, self._arn)) for each in messages)
                size += sum(len(each["Body"]) for each in messages)
                if len(messages) < BATCH:
                    break
        except _PASSING as error:
            log.warning("the queue of writes could not be asked", extra={"reason": str(error)})
        if taken:
            self._crowded_until = self._clock() + SECONDS
        return taken

    def _first(self, batch: Batch, taken: Sequence[Record]) -> tuple[BatchReport, Settled | None]:
        """Commits a batch, and what was taken. If both fail, the batch is tried without the others."""
        if taken:
            try:
                both = self._batches.settle(batch.records, taken)
            except (LamdbError, apsw.Error) as error:
                log.warning("queued writes failed together", extra={"reason": str(error)})
            else:
                besides = both.of(taken)
                self._finish(besides)
                return self._batches.report(batch, both.of(batch.records)).plus(besides), besides
        return self._batches.report(batch, self._batches.settle(batch.records)), None

    def _round(self, taken: Sequence[Record]) -> Settled | None:
        """Commits what was taken; None if that failed. It is delivered again once it is visible."""
        if not taken:
            return None
        try:
            settled = self._batches.settle((), taken)
        except (LamdbError, apsw.Error) as error:
            log.warning("queued writes failed", extra={"reason": str(error)})
            return None
        self._finish(settled)
        return settled

    def _finish(self, settled: Settled) -> None:
        """Deletes the messages that are done, and gives back those that were only left."""
        failed = {id(each.record) for each in settled.failed}
        left = [each.record for each in settled.outcomes if each.left]
        done = [each.record for each in settled.outcomes if id(each.record) not in failed]
        try:
            kept = sum(map(self._queue.delete, _tens(done)))
            for handles in _tens(left):
                self._queue.release(handles)
        except _PASSING as error:
            log.warning("queued writes are done and were not deleted", extra={"reason": str(error)})
        else:
            if kept:
                log.warning("queued writes are done and were not deleted", extra={"messages": kept})

    def _rest(self, begun: float) -> float:
        """Waits until so long after `begun`; when that was."""
        self._sleep(max(0.0, begun + PACE - self._clock()))
        return self._clock()


def arn_of(url: str, region: str) -> str:
    """The ARN of a queue with this URL, which ends in account and name."""
    account, name = url.rstrip("/").split("/")[-2:]
    partition = next((each for start, each in _PARTITIONS.items() if region.startswith(start)), "aws")
    return f"arn:{partition}:sqs:{region}:{account}:{name}"


def as_delivered(message: Mapping[str, Any], arn: str) -> dict[str, Any]:
    """A received message in the form in which an event source mapping delivers it.

    https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html
    """
    attributes = message.get("MessageAttributes") or {}
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes") or {},
        "messageAttributes": {
            name: {key[0].lower() + key[1:]: value for key, value in given.items()}
            for name, given in attributes.items()
        },
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
    }


def _tens(of: Sequence[Record]) -> Iterator[Sequence[str]]:
    """Receipt handles, in as many requests as there must be."""
    return batched((str(each.event["receiptHandle"]) for each in of), BATCH, strict=False)
