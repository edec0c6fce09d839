"""SQL over HTTP, without a server: a request in, a response out.

    operation = endpoint.receive(request, role=Role.WRITE)
    response = operation if isinstance(operation, HttpResponse) else endpoint.answer(operation)

Headers are those of GraphQL over HTTP: `x-lamdb-txid`, `x-lamdb-consistency`,
`x-lamdb-as-of`, `x-lamdb-timeout`, `idempotency-key`.
"""

from dataclasses import dataclass
from typing import Any, Final

from lamdb.access.identity import Role
from lamdb.errors import Cancelled, Forbidden, LamdbError, MalformedRequest, MethodNotAllowed, TimeLimit
from lamdb.graphql.transport import http
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import (
    AS_OF_HEADER,
    CONSISTENCY_HEADER,
    REPLAYED_HEADER,
    TXID_HEADER,
    Consistency,
    HttpRequest,
    HttpResponse,
    as_of,
    wanted_txid,
)
from lamdb.hrana import responses
from lamdb.hrana.cursor import CursorBody, Send
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.operation import SqlOperation, body_of, digest_of, kind_of, once_of, plan_of
from lamdb.hrana.protocol.error_responses import refusal, version
from lamdb.hrana.statements.errors import StreamError
from lamdb.hrana.streams.in_memory import Streams
from lamdb.hrana.streams.stateless import CarriedStreams
from lamdb.hrana.transaction.as_of import execute_in_the_past
from lamdb.hrana.transaction.connection import NeedsWriter
from lamdb.hrana.transaction.execution import Execution
from lamdb.hrana.transaction.held_writer import HoldingExecution, once_of_stream
from lamdb.hrana.transaction.lookahead import BEGINNING
from lamdb.hrana.transaction.session import StreamSession
from lamdb.storage.budget import NEVER, Budget, Deadline
from lamdb.storage.waiting import about_to_wait, is_quick

NEEDS_WRITER: Final = 421
"""Status of the response to a request that only the writer can answer (RFC 9110: Misdirected Request)."""


class SqlEndpoint:
    """SQL over HTTP on one database. Thread-safe."""

    def __init__(
        self,
        engine: SqlEngine,
        streams: Streams | CarriedStreams,
        options: HttpOptions,
        execution: type[Execution] = HoldingExecution,
        *,
        strong: bool = False,
    ) -> None:
        """`execution` is that of the kind of streams.

        `strong`: what is read outside a transaction, and what a transaction begins with, is the newest
        state of the store, unless the headers ask for less.
        """
        self.engine = engine
        self.streams = streams
        self.options = options
        self._execution = execution
        self._strong = strong

    def receive(self, request: HttpRequest, role: Role, principal: str = "") -> SqlOperation | HttpResponse:
        """Returns what a request asks for, or its refusal. An operation has to be answered or given up."""
        try:
            kind = kind_of(request.path)
            assert kind is not None
            if kind == "version":
                return version(request)
            if request.method != "POST":
                raise MethodNotAllowed(f"{request.path} allows only POST.", allow=["POST"], hint="")
            return self._read(kind, request, role, principal)
        except LamdbError as error:
            return refusal(error)

    def answer(
        self, operation: SqlOperation, budget: Budget | None = None, *, caught_up: bool = False
    ) -> HttpResponse:
        """Returns the response. `budget` is that of `budget_of`, made here if it is missing.

        May raise `WouldWait` for a new stream: nothing was done, and it can be answered again.
        """
        closes = True
        was_open = operation.session.scope.open
        try:
            if is_quick():
                response = self._answer(operation, caught_up)
            else:
                with budget or self.budget_of(operation):
                    response = self._answer(operation, caught_up)
            closes = operation.plan.closes or operation.kind in ("execute", "batch")
            baton = self.streams.leave(operation.session, closes=closes)
        except LamdbError as error:
            self.streams.drop(operation.session)
            return refusal(self._cause(error, operation.session, was_open))
        except NeedsWriter:
            return HttpResponse(NEEDS_WRITER, {}, b"")
        else:
            return responses.response(
                operation.kind,
                response.results,
                baton,
                operation.headers,
                {TXID_HEADER: str(operation.session.txid), **response.headers},
            )

    def stream(self, operation: SqlOperation, budget: Budget, send: Send) -> HttpResponse | None:
        """Answers a cursor of `can_stream`. Returns the response; None if it is so long that it was sent.

        `send` raises `LamdbError` if the client does not take the body. Only for streams kept in memory.
        """
        session, streams = operation.session, self.streams
        was_open = session.scope.open
        assert isinstance(streams, Streams)
        begins = any(step.sql is not None and step.sql.kind in BEGINNING for step in operation.plan.steps)
        body = CursorBody(
            operation, lambda: streams.promise(session, keeps=begins or session.has_state), send
        )
        try:
            with budget:
                execution = self._execution(self.engine, session, operation.plan, None)
                body.outcomes = execution.outcomes
                execution.run(lambda _: b"")
                body.finish()
        except LamdbError as raised:
            error = self._cause(raised, session, was_open)
            streams.drop(session)
            if not body.has_sent:
                return refusal(error)
            if isinstance(raised, Cancelled):
                raise
            # It may be the client that is late: `send` knows for how long it is worth trying.
            body.fail(error)
            body.close()
            return None
        except BaseException:
            streams.drop(session)
            raise
        baton = streams.leave(session, closes=False)
        if body.has_sent:
            body.close()
            return None
        return responses.whole(200, body.whole(baton), operation.headers, {TXID_HEADER: str(session.txid)})

    def _cause(self, error: LamdbError, session: StreamSession, was_open: bool) -> LamdbError:
        """Returns the error to tell: the time of a request may be that of its transaction."""
        expired = None
        if was_open and isinstance(error, TimeLimit) and isinstance(self.streams, Streams):
            expired = self.streams.expired(session)
        return expired or error

    def budget_of(self, operation: SqlOperation, deadline: Deadline = NEVER) -> Budget:
        """Returns the budget of a request, ended by `deadline`. Raises `MalformedRequest`."""
        if operation.session.scope.open:
            deadline = deadline.earlier(Deadline.after(self.streams.seconds_left(operation.session)))
        return http.budget_of(operation.headers, self.options, deadline)

    def give_up(self, operation: SqlOperation) -> None:
        """Closes the stream of an operation that will not be answered."""
        self.streams.drop(operation.session)

    def _read(self, kind: str, request: HttpRequest, role: Role, principal: str) -> SqlOperation:
        body = body_of(request.body)
        once = once_of(request.headers, body, principal, self.options)
        wanted = wanted_txid(request.headers)
        kept: bytes | None = None
        baton = body.get("baton") if kind in ("pipeline", "cursor") else None
        if not isinstance(baton, str | None):
            raise MalformedRequest("`baton` must be a string or null.", hint="")
        if baton is None:
            session = self.streams.new(role, principal)
        else:
            try:
                session = self.streams.take(baton, role, principal)
            except StreamError:
                if (kept := self._kept(baton, body, principal)) is None:
                    raise
                session = self.streams.new(role, principal)
        try:
            plan = plan_of(kind, body, session.stored)
        except BaseException:
            self.streams.drop(session)
            raise
        if session.scope.open:
            plan.digest = digest_of(body)
        session.txid = max(session.txid, wanted)
        writes = role is not Role.READ and (session.transaction is not None or plan.looks_written())
        return SqlOperation(kind, session, plan, request.headers, once, baton is None, writes, kept)

    def _kept(self, baton: str, body: dict[str, Any], principal: str) -> bytes | None:
        """The results of a request that has ended its stream's transaction, if it was sent before.

        Raises `IdempotencyMismatch`, `AnswerNotKept`, and what asking the store raises.
        """
        identity = self.streams.identity(baton)
        if identity is None:
            return None
        about_to_wait()
        with self.engine.database.reader() as connection:
            return once_of_stream(*identity, principal, digest_of(body)).find(connection)

    def _answer(self, operation: SqlOperation, caught_up: bool) -> "_Answer":
        if operation.kept is not None:
            return _Answer(operation.kept, {REPLAYED_HEADER: "true"})
        if AS_OF_HEADER in operation.headers:
            return self._from_the_past(operation)
        if not caught_up and not operation.session.scope.open:
            self._catch_up(operation)
        execution = self._execution(self.engine, operation.session, operation.plan, operation.once)
        execution.run(responses.results)
        if execution.replayed is not None:
            return _Answer(execution.replayed, {REPLAYED_HEADER: "true"})
        return _Answer(responses.results(execution), {})

    def _catch_up(self, operation: SqlOperation) -> None:
        """Raises `MalformedRequest`, `ReplicaLag`, `StoreUnavailable`."""
        headers = operation.headers
        if self._strong and not {TXID_HEADER, CONSISTENCY_HEADER} & headers.keys():
            headers = {CONSISTENCY_HEADER: Consistency.STRONG}
        http.catch_up(self.engine.database, headers, self.options)

    def _from_the_past(self, operation: SqlOperation) -> "_Answer":
        if not self.options.as_of:
            raise Forbidden("Past states cannot be read here.", hint=f"Leave {AS_OF_HEADER} out.")
        if not operation.is_new:
            raise MalformedRequest("An open stream reads one state.", hint=f"Leave {AS_OF_HEADER} out.")
        txid, moment = as_of(operation.headers)
        about_to_wait()
        lease = self.engine.database.as_of(txid=txid, time=moment)
        execution = execute_in_the_past(operation.session, operation.plan, lease)
        operation.plan.closes = True
        operation.session.txid = max(lease.txid, operation.session.txid)
        return _Answer(responses.results(execution), {AS_OF_HEADER: str(lease.txid)})


@dataclass(frozen=True, slots=True)
class _Answer:
    """The results as JSON, and headers that say more of them."""

    results: bytes
    headers: dict[str, str]
