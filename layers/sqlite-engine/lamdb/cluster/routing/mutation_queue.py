"""The proxy's side of mutations through a queue: sends them and waits for their responses.

The writer stores the response to each under its key (`sources.writes`), and the proxy asks a reader for it
(`mutation_results`): the first time after most of the recent response times, then at shorter intervals.
"""

import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol
from urllib.parse import quote

import orjson

from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.aws.lambda_api import Access
from lamdb.cluster.aws.sqs_api import SqsApi
from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.routing.retry import Contention
from lamdb.errors import FunctionError, FunctionUnavailable, RequestError, Throttled, WritePending
from lamdb.graphql.transport import deferred
from lamdb.graphql.transport.wire import (
    JSON,
    REPLAYED_HEADER,
    RETRY_AFTER_SECONDS,
    TXID_HEADER,
    HttpRequest,
    HttpResponse,
    refusal,
    with_charset,
)

_SENDINGS: Final = 3

_FIRST: Final = 0.1
"""Seconds: the shortest pause before an answer is asked for."""
_LONGEST: Final = 1.0
_GROWTH: Final = 1.3
_STALLED: Final = 3.0
"""Seconds without a response after which the writer is also invoked directly, as nobody may have taken the
message. If the writer is busy, the write is sent to the queue once more: a message whose writer died becomes
visible much later, and no other of its group before."""
_AGAIN: Final = 2
"""How often a write is sent to the queue again: a long queue must not get longer by it."""
_FULL_CLOSED: Final = 30.0
_PROBES: Final = 0.1
"""Share of writes that are sent although their turn should not come in time, to check the estimate."""


class Queue(Protocol):
    """Takes writes to the writer."""

    def send(self, write: Write, again: int = 0) -> None:
        """Returns when the write is safe. Raises `FunctionError`.

        `again`: the number of earlier messages with the same attempt; this one does not wait for them.
        """


class SqsQueue:
    """A FIFO queue by its URL. A message that was not taken for certain is sent again: it has an id."""

    def __init__(self, url: str) -> None:
        self._api = SqsApi(url, Access.find())

    def send(self, write: Write, again: int = 0) -> None:
        body, trouble = write.written(), ""
        suffix = f"-{again}" if again else ""
        for _ in range(_SENDINGS):
            try:
                status = self._api.send(body, write.group + suffix, write.attempt + suffix)
            except (AnswerLost, Unreachable) as error:
                trouble = str(error)
                continue
            if status == 200:
                return
            trouble = f"status {status}"
            if status < 500 and status != 429:
                break
        raise FunctionUnavailable(f"The queue did not accept the write: {trouble}.")


class Gate:
    """Whether the writer is asked directly before a write is queued: not for a while after it was busy.

    The while doubles with each refusal in a row, so that environments that meet a busy writer leave it to the
    queue, whose batches make the most of each invocation.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._seconds = 1.0

    @property
    def is_open(self) -> bool:
        return self._clock() >= self._until

    def refused(self) -> None:
        self._until = self._clock() + random.uniform(0.5, 1.0) * self._seconds
        self._seconds = min(2 * self._seconds, _FULL_CLOSED)

    def passed(self) -> None:
        self._seconds = max(self._seconds / 2, 1.0)


class Queueing:
    """Sends writes and waits for their answers. One request at a time, as environments of Lambda have it."""

    def __init__(
        self,
        queue: Queue,
        ask_reader: Callable[[HttpRequest, float], HttpResponse],
        ask_writer: Callable[[Write, float], None],
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`ask_reader`, `ask_writer`: within so many seconds; raise `FunctionError` or `RequestError`."""
        self._queue = queue
        self._ask_reader = ask_reader
        self._ask_writer = ask_writer
        self._clock = clock
        self._sleep = sleep
        self._chance = chance
        self._waits = Contention(clock)
        self.polls = 0
        """How often a reader was asked for an answer."""

    def execute(self, write: Write, media_type: str, seconds: float) -> HttpResponse:
        """The response to a write, or a pending one if it does not arrive within `seconds`.

        Raises `Throttled`, with nothing sent, if its turn cannot come in time, and `FunctionUnavailable` if
        the queue did not take it.
        """
        usual = self._waits.usual
        if usual is not None and usual > seconds and self._chance() >= _PROBES:
            raise Throttled(
                f"The queue of writes takes {usual:.0f} s at present, which is more than the time left.",
                meta={"seconds": round(usual, 1)},
            )
        begun = self._clock()
        self._queue.send(write)
        ends = begun + seconds
        stalled = begun + max(_STALLED, 2 * (usual or 0.0))
        again = 0
        pause = max(_FIRST, 0.7 * (usual or 0.0))
        while True:
            now = self._clock()
            is_last = now + pause >= ends
            self._sleep(max(0.0, min(pause, ends - now)))
            answer = self._poll(write, media_type)
            if answer is None and not is_last and self._clock() >= stalled:
                again += 1
                stalled = self._clock() + _STALLED * 2**again
                if self._push(write, ends, again):
                    answer = self._poll(write, media_type)
            if answer is not None or is_last:
                waited = self._clock() - begun
                # Nobody knows how much longer it would have taken.
                self._waits.learn(waited if answer is not None else 2 * waited)
                return answer or _still_pending(write, media_type)
            pause = max(_FIRST, 0.25 * (usual or 0.0)) if pause > (usual or 0.0) else pause
            pause = min(pause * _GROWTH, _LONGEST)

    def _poll(self, write: Write, media_type: str) -> HttpResponse | None:
        """The answer, if the store has it."""
        query = deferred.told_apart(write.request, write.attempt)
        path = deferred.PREFIX + quote(write.key, safe="")
        request = HttpRequest("GET", path, query, {}, caller=write.request.caller)
        self.polls += 1
        try:
            state = self._ask_reader(request, _LONGEST * 3)
        except (FunctionError, RequestError):
            return None
        if state.status != 200:
            return None
        return _answer(state, media_type)

    def _push(self, write: Write, ends: float, again: int) -> bool:
        """Asks the writer directly; whether it has done the write. A busy one finds it in the queue."""
        try:
            self._ask_writer(write, max(0.0, ends - self._clock()))
        except Throttled:
            if again <= _AGAIN:
                with suppress(FunctionError):
                    self._queue.send(write, again)
            return False
        except (FunctionError, RequestError):
            return False
        return True


def _answer(state: HttpResponse, media_type: str) -> HttpResponse:
    """Builds the response to the client from the state of a write."""
    told = orjson.loads(state.body)
    status = told["httpStatus"]
    if media_type == JSON and status < 500 and not told["refused"]:
        status = 200
    headers = {"content-type": with_charset(media_type), "vary": "accept, accept-encoding"}
    headers |= {name: state.headers[name] for name in (TXID_HEADER, REPLAYED_HEADER) if name in state.headers}
    if status == 503:
        headers["retry-after"] = RETRY_AFTER_SECONDS
    response = told["response"]
    first = {} if "data" in response else response["errors"][0].get("extensions", {})
    body = orjson.dumps(response)
    return HttpResponse(status, headers, body, first.get("code"), first.get("retryable", False))


def _still_pending(write: Write, media_type: str) -> HttpResponse:
    response = refusal(
        WritePending(
            "The write is in the queue; its result did not arrive in time.",
            meta={"key": write.key},
        ),
        media_type,
    )
    response.headers["location"] = deferred.PREFIX + quote(write.key, safe="")
    response.headers["retry-after"] = RETRY_AFTER_SECONDS
    return response
