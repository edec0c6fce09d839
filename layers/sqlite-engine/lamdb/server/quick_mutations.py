"""Mutations that wait for their commit without a thread.

The event loop prepares them, the thread that commits runs them, many in one commit, and the loop sends the
responses of all that are durable. Only a mutation that is acknowledged is answered here. One of which nothing
was kept is executed again by `app`, which knows what to say of it; one that may have been kept never is.
"""

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import apsw

from lamdb.errors import Cancelled, Fenced, LamdbError, TimeLimit, TransactionTooLarge
from lamdb.graphql.apis import Apis
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.transport import http
from lamdb.graphql.transport.http import HttpOptions, HttpResponse
from lamdb.server import logs
from lamdb.server.exchange import Exchange
from lamdb.storage import Database, NoWaiting, WouldWait
from lamdb.storage.budget import Budget, client_gone, stopping

log = logging.getLogger("lamdb.server")

_KNOWN: Final = (TimeLimit, Cancelled)
"""Failures of the work that are told as they are: to try again would take as long again."""


class _NotKept(Exception):
    """The work itself failed: it was undone, whatever became of the others in its commit."""


_NOTHING_KEPT: Final = (_NotKept, Fenced, TransactionTooLarge, apsw.ConstraintError)
"""Outcomes after which the mutation may be executed again."""

type Respond = Callable[[Exchange, HttpResponse | None, str, float], None]
"""Sends a response (None: nobody waits for it): its exchange, itself, the request's id, seconds it took."""
type Fallback = Callable[[Exchange], None]
"""Executes a request from the beginning."""


class _Pending:
    """A mutation that is being executed."""

    __slots__ = ("budget", "exchange", "is_gone", "media_type", "outcome", "request", "request_id", "started")

    def __init__(
        self, exchange: Exchange, request: GraphQLRequest, media_type: str, request_id: str, budget: Budget
    ) -> None:
        self.exchange = exchange
        self.request = request
        self.media_type = media_type
        self.request_id = request_id
        self.budget = budget
        self.is_gone = False
        self.started = time.perf_counter()
        self.outcome: Callable[[], bytes]

    def lose(self) -> None:
        """Notes that the client has gone."""
        self.is_gone = True
        self.budget.cancel(client_gone())


class QuickMutations:
    """Used in the event loop's thread."""

    def __init__(
        self,
        api: Apis,
        database: Database,
        options: HttpOptions,
        max_pending: int,
        at_once: int,
        respond: Respond,
        fallback: Fallback,
    ) -> None:
        """`at_once`: how many may be executed, or wait for their commit, at a time."""
        self._api = api
        self._at_once = at_once
        self._submitted = 0
        self._waiting: deque[Callable[[], None]] = deque()
        self._database = database
        self._options = options
        self._max_pending = max_pending
        self._respond = respond
        self._fallback = fallback
        self._loop = asyncio.get_running_loop()
        self._pending: set[_Pending] = set()
        self._done: deque[_Pending] = deque()
        self._is_woken = False

    @property
    def pending(self) -> int:
        return len(self._pending)

    def begin(self, exchange: Exchange, request: GraphQLRequest, media_type: str, request_id: str) -> bool:
        """Begins to execute a mutation, which is then answered later; False if that is left to the caller."""
        if self._options.read_only or len(self._pending) >= self._max_pending:
            return False
        budget = Budget(self._options.costs)
        try:
            with NoWaiting(quick=True):
                work = self._api.mutation(request, budget)
        except (WouldWait, LamdbError):
            return False
        if work is None:
            return False
        context = contextvars.copy_context()
        context.run(budget.__enter__)
        context.run(logs.request_id.set, request_id)
        pending = _Pending(exchange, request, media_type, request_id, budget)

        def done(outcome: Callable[[], bytes]) -> None:
            pending.outcome = outcome
            self._done.append(pending)
            if not self._is_woken:  # one call for all that are done by the time it comes
                self._is_woken = True
                self._wake()

        def tried(connection: apsw.Connection) -> bytes:
            try:
                return work(connection)
            except _KNOWN:
                raise
            except Exception as error:
                raise _NotKept from error

        self._pending.add(pending)
        exchange.on_lost = pending.lose
        self._waiting.append(lambda: self._database.submit(tried, context, done))
        self._submit()
        return True

    def _submit(self) -> None:
        while self._waiting and self._submitted < self._at_once:
            self._submitted += 1
            self._waiting.popleft()()

    def give_up(self) -> None:
        """Ends what is executing as soon as it can be ended."""
        for pending in self._pending:
            pending.budget.cancel(stopping())

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    def _deliver(self) -> None:
        self._is_woken = False
        while self._done:
            pending = self._done.popleft()
            self._pending.discard(pending)
            self._submitted -= 1
            self._answer(pending)
        self._submit()

    def _answer(self, pending: _Pending) -> None:
        exchange = pending.exchange
        exchange.on_lost = None
        if pending.is_gone:
            self._respond(exchange, None, pending.request_id, time.perf_counter() - pending.started)
            return
        try:
            body = pending.outcome()
        except _NOTHING_KEPT:
            self._fallback(exchange)
            return
        except LamdbError as error:
            response = http.refusal(error, pending.media_type)
        except Exception:
            log.exception("internal error while committing a mutation")
            internal = LamdbError("Internal error; the server's log has the details.")
            response = http.refusal(internal, pending.media_type)
        else:
            headers: dict[str, str] = {}
            http.describe(headers, pending.media_type)
            headers[http.TXID_HEADER] = str(self._database.txid)
            response = HttpResponse(200, headers, body, kind="mutation")
        seconds = time.perf_counter() - pending.started
        self._api.note(pending.request, "mutation", seconds)
        self._respond(exchange, response, pending.request_id, seconds)
