"""SQL over HTTP on a server: threads and limits of its requests."""

import time
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import orjson

from lamdb.access.identity import Identity, Role
from lamdb.errors import LamdbError
from lamdb.graphql.transport import http
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import AS_OF_HEADER, HttpRequest, HttpResponse, wanted_txid
from lamdb.hrana import fast_path
from lamdb.hrana.cursor import can_stream
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.operation import SqlOperation, kind_of
from lamdb.hrana.protocol.error_responses import refusal
from lamdb.hrana.streams.in_memory import Streams
from lamdb.server.cursors import Open, StreamedBody, StreamedResponse
from lamdb.server.fast_path import FastLane
from lamdb.server.freshness import Freshness
from lamdb.server.instance import Instance
from lamdb.server.pool import ThreadPool
from lamdb.server.sqlusers import SqlUsers
from lamdb.settings import Settings
from lamdb.storage import NoWaiting, WouldWait
from lamdb.storage.budget import Budget

_QUICK_BODY: Final = 8 * 1024
"""Bytes of a request that may be answered on the event loop."""

type Watched = Callable[[Budget, Awaitable[HttpResponse]], Awaitable[HttpResponse]]


class Pools(NamedTuple):
    """Threads for reads that need not wait for the store, for those that may, for writes, and for cursors,
    which wait for their clients.
    """

    readers: ThreadPool
    waiters: ThreadPool
    writers: ThreadPool
    cursors: ThreadPool


class SqlService:
    """Made inside the event loop that calls it."""

    def __init__(
        self,
        instance: Instance,
        settings: Settings,
        host: str,
        options: HttpOptions,
        freshness: Freshness,
        pools: "Pools",
    ) -> None:
        self.enabled = settings.sql
        self._database = instance.database
        engine = SqlEngine(instance.database, fenced_retries=settings.fenced_retries)
        self._engine = engine
        self._streams = Streams(
            idle_seconds=settings.sql_idle_seconds, transaction_seconds=settings.sql_transaction_seconds
        )
        self._endpoint = SqlEndpoint(engine, self._streams, options)
        self._options = options
        self._users = SqlUsers(settings, host)
        self._freshness = freshness
        self._lane = FastLane()
        self._readers = pools.readers
        self._waiters = pools.waiters
        self._writers = pools.writers
        self._cursors = pools.cursors

    def answers(self, path: str) -> bool:
        """True if a path is one of SQL over HTTP."""
        return self.enabled and kind_of(path) is not None

    def role_of(self, request: HttpRequest, identity: Identity | None) -> Role:
        """Returns the role of a request. Raises `Unauthorized`, `Forbidden`."""
        return self._users.identify(request, identity)[0]

    async def answer(
        self,
        request: HttpRequest,
        client: str,
        watched: Watched,
        open_body: Open,
        identity: Identity | None = None,
    ) -> HttpResponse:
        """Returns the response, which is a `StreamedResponse` if its body was sent.

        `identity`: of the caller, if the server knows it. Raises `LamdbError`.
        """
        try:
            role, principal = self._users.identify(request, identity)
        except LamdbError as error:
            return refusal(error)
        if request.method == "POST" and len(request.body) <= _QUICK_BODY:
            response = self._quickly(request, role)
            if response is not None:
                return response
        operation = self._endpoint.receive(request, role, principal)
        if isinstance(operation, HttpResponse):
            return operation
        try:
            return await self._answer(operation, len(request.body), client, watched, open_body)
        except LamdbError as error:
            self._endpoint.give_up(operation)
            return refusal(error)

    def stream_counts(self) -> tuple[int, int]:
        """The number of streams that are kept, and of those in a transaction."""
        return self._streams.counts()

    def close(self) -> None:
        """Rolls back open transactions."""
        self._streams.close()
        self._engine.close()

    def _quickly(self, request: HttpRequest, role: Role) -> HttpResponse | None:
        """The response to a query that has proved to be quick; None for all others."""
        if kind_of(request.path) != "pipeline" or http.is_behind(self._database, {}, self._options):
            return None
        try:
            stmt = fast_path.query_of(orjson.loads(request.body))
        except orjson.JSONDecodeError:
            return None
        if stmt is None or not self._lane.allows(stmt["sql"]):
            return None
        try:
            begun = time.thread_time()
            with NoWaiting(quick=True):
                response = fast_path.answer(self._engine, role, stmt, request.headers)
            if response is not None:
                self._lane.executed(stmt["sql"], time.thread_time() - begun)
            return response
        except WouldWait:
            self._lane.waited(stmt["sql"])
            return None

    async def _answer(
        self, operation: SqlOperation, size: int, client: str, watched: Watched, open_body: Open
    ) -> HttpResponse:
        text = operation.plan.key()
        is_behind = operation.session.transaction is None and http.is_behind(
            self._database, operation.headers, self._options
        )
        if (
            operation.is_new
            and not operation.writes
            and not is_behind
            and size <= _QUICK_BODY
            and self._lane.allows(text)
        ):
            try:
                with NoWaiting(quick=True):
                    return self._run(operation, text)
            except WouldWait:
                self._lane.waited(text)
        budget = self._endpoint.budget_of(operation)
        if can_stream(operation):
            return await watched(budget, self._stream(operation, text, client, budget, is_behind, open_body))
        return await watched(budget, self._off_loop(operation, text, client, budget, is_behind))

    async def _off_loop(
        self, operation: SqlOperation, text: str, client: str, budget: Budget, is_behind: bool
    ) -> HttpResponse:
        if AS_OF_HEADER not in operation.headers:
            await self._reach(operation, budget, is_behind)
        if operation.writes or not operation.is_new:
            pool = self._writers if operation.writes else self._waiters
            response: HttpResponse = await pool.submit(
                self._run, operation, text, budget, client=client, give_up=budget.cancel
            )
            return response
        run = self._run if self._database.is_local else self._run_without_waiting
        found: HttpResponse | None = await self._readers.submit(
            run, operation, text, budget, client=client, give_up=budget.cancel
        )
        if found is None:
            found = await self._waiters.submit(
                self._run, operation, text, budget, client=client, give_up=budget.cancel
            )
        assert found is not None
        return found

    async def _reach(self, operation: SqlOperation, budget: Budget, is_behind: bool) -> None:
        if is_behind:
            await self._freshness.reach(wanted_txid(operation.headers), self._options.token_wait, budget)

    async def _stream(
        self,
        operation: SqlOperation,
        text: str,
        client: str,
        budget: Budget,
        is_behind: bool,
        open_body: Open,
    ) -> HttpResponse:
        await self._reach(operation, budget, is_behind)
        body = StreamedBody(open_body, budget)

        def run() -> HttpResponse | None:
            begun = time.thread_time()
            response = self._endpoint.stream(operation, budget, body.send)
            self._lane.executed(text, time.thread_time() - begun)
            return response

        try:
            response: HttpResponse | None = await self._cursors.submit(
                run, client=client, give_up=budget.cancel
            )
        except LamdbError as error:
            if not body.has_begun:
                raise
            # The body is not complete: the connection is closed.
            return StreamedResponse(200, code=error.code, failed=True)
        body.end()
        return StreamedResponse(200) if response is None else response

    def _run_without_waiting(self, operation: SqlOperation, text: str, budget: Budget) -> HttpResponse | None:
        try:
            with NoWaiting():
                return self._run(operation, text, budget)
        except WouldWait:
            return None

    def _run(self, operation: SqlOperation, text: str, budget: Budget | None = None) -> HttpResponse:
        begun = time.thread_time()
        response = self._endpoint.answer(operation, budget, caught_up=True)
        self._lane.executed(text, time.thread_time() - begun)
        return response
