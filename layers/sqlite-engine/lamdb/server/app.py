"""The server's application: one RSGI callable for all requests.

RSGI is granian's interface (docs/spec/RSGI.md in its repository), which `exchange` has too. Reads that have
proved to be quick run on the event loop (`fast_path`), where nothing may take long or wait. All others run in
thread pools:

- one for reads that need nothing but memory, local files and processor, which share its few threads fairly
  (`pool`);
- one for reads that turned out to need a store over the network, so that it stops no others;
- one for mutations, which mostly wait for a commit that they share;
- one for cursors of SQL, which wait for their clients to take rows;
- one, of few threads, for requests with huge bodies.

Waiting for the transactions of other servers takes no thread (`freshness`).
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar, Final

from lamdb.access.callers import Callers
from lamdb.access.identity import Identity, Role
from lamdb.errors import (
    BodyTimeout,
    BodyTooLarge,
    Cancelled,
    Forbidden,
    LamdbError,
    MethodNotAllowed,
)
from lamdb.graphql.search_tokens import SEARCH_PATH, bearer, require_search_path
from lamdb.graphql.transport import deferred, http, studio
from lamdb.graphql.transport.cors import Cors
from lamdb.graphql.transport.http import Call, HttpOptions, HttpRequest, HttpResponse
from lamdb.graphql.transport.wire import AS_OF_HEADER, EVENTS, GRAPHQL_RESPONSE, wanted_txid
from lamdb.server import logs, operators
from lamdb.server.body import read_body
from lamdb.server.changes import ChangeFeeds
from lamdb.server.commits import Commits
from lamdb.server.cursors import StreamedResponse
from lamdb.server.deferred import Deferred
from lamdb.server.exchange import Exchange, Head
from lamdb.server.fast_path import FastLane
from lamdb.server.freshness import Freshness
from lamdb.server.hosts import Hosts
from lamdb.server.instance import Instance
from lamdb.server.live import LiveQueries
from lamdb.server.live_requests import LiveRequests, StreamClient
from lamdb.server.metrics import Metrics, Sources, serves_metrics
from lamdb.server.operators import OPERATOR, Operators, announces_operators
from lamdb.server.paths import CHANGES, GRAPHQL, HEALTHS, METRICS, SDL, kind_of
from lamdb.server.peer import Peer
from lamdb.server.pool import ThreadPool
from lamdb.server.quick_mutations import QuickMutations
from lamdb.server.quick_queries import QUICK_BODY, QuickQueries, RequestIds, lane_key
from lamdb.server.request_counts import CLIENT_GONE, RequestCounts
from lamdb.server.routes import Routes
from lamdb.server.rsgi import ClientGone, Scope, Wire
from lamdb.server.sql import Pools, SqlService
from lamdb.server.studio import Studio, serves_studio
from lamdb.settings import Settings
from lamdb.storage import NoWaiting, WouldWait
from lamdb.storage.budget import Budget, client_gone, stopping

_LARGE_BODY: Final = 64 * 1024
_HUGE_BODY: Final = 1024 * 1024
_HUGE_AT_ONCE: Final = 2
"""Requests with bodies that long: reading one takes the interpreter's lock for long, and memory."""

_WATCHED_AFTER: Final = 0.1
"""Seconds after which a request is given up if its client closes the connection."""

_WAITING_THREADS: Final = 64
"""Reads that may wait for the store at a time."""

_SLOW_READS: Final = 16
"""Slow reads that run beside others, where `LAMDB_THREADS` is less."""

_CURSORS: Final = 32
"""Cursors whose rows are sent at a time: each waits for its client."""

_SCRAPES: Final = 8
"""Requests for metrics that may wait for each other."""

_NO_WRITES: Final = "The caller's role allows reading only."

_MUTATION: Final = "mutation"
"""A document without this word holds no mutation. One with it may be a query: either pool can answer it."""

log = logging.getLogger("lamdb.server")


class Application:
    """Made inside the event loop that will call it."""

    forwards_mutations: ClassVar[bool] = False
    """Whether another process executes mutations."""

    def __init__(self, instance: Instance, settings: Settings, host: str | None = None) -> None:
        """`host`: the address that is listened on, if it is known better than from the settings."""
        host = host or settings.host
        self._instance = instance
        self._settings = settings
        self._options = HttpOptions.from_settings(settings, forwards_mutations=self.forwards_mutations)
        self._operators = Operators(instance, settings, host)
        self._routes = Routes(
            instance,
            graphiql=settings.graphiql,
            search_page=settings.search_page,
            search_tokens=bool(settings.search_key),
            operators=announces_operators(settings, host),
            studio=serves_studio(settings, host),
            sql=settings.sql,
            metrics=serves_metrics(settings, host),
        )
        self._studio = Studio(instance, settings, host, self._operators)
        self._hosts = Hosts(settings, host)
        self._callers = Callers(settings, instance.database)
        self._cors = Cors(settings.cors_origins, settings.cors_headers)
        self._lane = FastLane()
        new_pool = partial(ThreadPool, keeps_context=settings.otel)
        threads, pending = settings.threads, settings.max_pending
        extra = max(threads, _SLOW_READS)
        self._readers = new_pool(threads, pending, extra=extra, name="lamdb-read", gives_up=True)
        self._waiters = new_pool(_WAITING_THREADS, pending, name="lamdb-wait")
        self._huge = new_pool(_HUGE_AT_ONCE, pending, name="lamdb-huge")
        self._freshness = Freshness(instance.database, pending)
        self._writers = new_pool(settings.write_threads, settings.max_pending, name="lamdb-write")
        self._operating = new_pool(operators.THREADS, operators.MAX_PENDING, name="lamdb-operator")
        self._deferred = Deferred(instance, self._options)
        self._cursors = new_pool(_CURSORS, pending, name="lamdb-cursor", gives_up=True)
        pools = Pools(self._readers, self._waiters, self._writers, self._cursors)
        self._sql = SqlService(instance, settings, host, self._options, self._freshness, pools)
        counts = RequestCounts()
        self._counts = counts if serves_metrics(settings, host) else None
        named = {
            "read": self._readers,
            "wait": self._waiters,
            "write": self._writers,
            "huge": self._huge,
            "cursor": self._cursors,
            "operator": self._operating,
        }
        self._sources = Sources(
            instance.database,
            counts,
            instance.store_counts,
            named,
            self._sql.stream_counts,
            lambda: self._mutations.pending,
            lambda: self._live.queries.open,
        )
        self._metrics = Metrics(self._sources)
        self._scrapes = ThreadPool(1, _SCRAPES, name="lamdb-metrics")
        self._ids = RequestIds(secrets.token_hex(4))
        self._log = logs.RequestLog(settings.slow_request, logs_all=settings.log_requests)
        self._quick = QuickQueries(
            instance.api,
            instance.database,
            self._options,
            self._lane,
            self._hosts,
            self._cors,
            self._ids,
            self._callers,
            lambda status, size, seconds: self._log.note("POST", GRAPHQL, status, size, None, seconds),
            0.0 if settings.log_requests else settings.slow_request,
            counts.quick if self._counts is not None else None,
        )
        self._mutations = QuickMutations(
            instance.api,
            instance.database,
            self._options,
            settings.max_pending,
            settings.write_threads,
            self._respond_later,
            self._run_later,
        )
        self.commits = Commits(instance.database, self._freshness, settings.changes_look)
        self._feeds = ChangeFeeds(self.commits, most=settings.changes_clients)
        self._live = LiveRequests(
            instance,
            self._options,
            self._lane,
            self._freshness,
            (self._readers, self._waiters),
            LiveQueries(self.commits, most=settings.live_queries, at_once=threads),
        )
        self._idle = asyncio.Event()
        self._idle.set()
        self._running = 0

    async def __rsgi__(self, scope: Scope, wire: Wire) -> None:
        started = time.perf_counter()
        self._running += 1
        self._idle.clear()
        headers: dict[str, str] = dict(scope.headers.items())
        request_id = self._ids.given(headers) or self._ids.new()
        logs.request_id.set(request_id)
        try:
            response = await self._respond(scope, wire, headers, request_id)
            if not isinstance(response, StreamedResponse):
                self._complete(scope, headers, response.headers, request_id)
                wire.response_bytes(response.status, list(response.headers.items()), response.body)
            seconds = time.perf_counter() - started
            self._count(scope.path, response.status, seconds, response.code, response.kind)
            follows = scope.path == CHANGES or response.kind == "live"
            size = len(response.body)
            self._log.note(
                scope.method, scope.path, response.status, size, response.code, seconds, follows=follows
            )
        except ClientGone:
            self._count(scope.path, CLIENT_GONE, time.perf_counter() - started)
            log.debug("the client went away", extra=logs.where(scope))
        except asyncio.CancelledError:
            log.warning("gave up a request at shutdown", extra=logs.where(scope))
        finally:
            self._ended()

    def at_once(self, head: Head, body: bytes, date: str) -> list[bytes] | None:
        """The whole response to a query that has proved to be quick, its head included; None for all else."""
        return self._quick.answer(head, body, date)

    def _complete(
        self, scope: Scope, asked: dict[str, str], headers: dict[str, str], request_id: str
    ) -> None:
        """Adds the headers that all responses have."""
        headers["x-request-id"] = request_id
        if scope.path != OPERATOR:
            self._cors.allow(asked.get("origin"), headers)

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        """Takes a mutation that is answered when it is durable; False for all else."""
        if self._writers.pending:
            return False  # both together would be more at a time than the settings allow
        found = self._quick.mutation(exchange.head, body)
        if found is None or not self._mutations.begin(exchange, *found):
            return False
        self._running += 1
        self._idle.clear()
        return True

    def _respond_later(
        self, exchange: Exchange, response: HttpResponse | None, request_id: str, seconds: float
    ) -> None:
        """Sends the response to a mutation that `begin` took; None if its client has gone."""
        if response is None:
            self._count(GRAPHQL, CLIENT_GONE, seconds, operation="mutation")
            self._ended()
            return
        self._count(GRAPHQL, response.status, seconds, response.code, "mutation")
        logs.request_id.set(request_id)
        response.headers["x-request-id"] = request_id
        self._cors.allow(exchange.headers.get("origin"), response.headers)
        exchange.response_bytes(response.status, list(response.headers.items()), response.body)
        self._log.note("POST", GRAPHQL, response.status, len(response.body), response.code, seconds)
        self._ended()

    def _run_later(self, exchange: Exchange) -> None:
        exchange.run()
        self._ended()

    def _ended(self) -> None:
        self._running -= 1
        if not self._running:
            self._idle.set()

    def _count(
        self, path: str, status: int, seconds: float, code: str | None = None, operation: str | None = None
    ) -> None:
        if self._counts is not None:
            self._counts.note(kind_of(path, operation), status, code, seconds)

    def count_connections(self, count: Callable[[], int]) -> None:
        """Sets the source of the number of open connections."""
        self._sources.connections = count

    def is_executing(self) -> bool:
        """True if a thread of the pools has work."""
        pools = (*self._graphql_pools(), self._operating)
        return bool(self._mutations.pending) or any(pool.pending for pool in pools)

    def give_up(self) -> None:
        """Ends what is executing as soon as it can be ended, and refuses what waits for its turn."""
        self._mutations.give_up()
        for pool in self._graphql_pools():
            pool.give_up_all(stopping())

    async def drain(self) -> None:
        """Returns once no request is being answered and nothing is left to execute."""
        while self._running or self.is_executing():
            await self._idle.wait()
            await asyncio.sleep(0.005)

    def close(self) -> None:
        for pool in self._graphql_pools():
            pool.close()
        self._freshness.close()
        self._operating.close()
        self._scrapes.close()
        self._sql.close()

    def _graphql_pools(self) -> tuple[ThreadPool, ...]:
        return self._readers, self._waiters, self._writers, self._huge, self._cursors

    async def _respond(
        self, scope: Scope, wire: Wire, headers: dict[str, str], request_id: str
    ) -> HttpResponse:
        """The response to any request; every failure becomes one."""
        request = HttpRequest(scope.method, scope.path, scope.query_string, headers)
        try:
            if scope.path == SEARCH_PATH or "authorization" in headers:
                self._check_search_token(request)
            if scope.path == OPERATOR and self._operators.enabled:
                return await self._operator(request, wire, request_id)
            self._hosts.check(request, is_health=scope.path in HEALTHS)
            asks_first = scope.method == "OPTIONS" and scope.path != OPERATOR
            if asks_first and (preflight := self._cors.preflight(headers)):
                return preflight
            if asks_first and (refused := self._cors.refusal(headers)) is not None:
                raise refused
            if scope.path == METRICS and self._counts is not None:
                await self._identify(headers)
                return await self._show_metrics(request)
            if scope.path.startswith(deferred.PREFIX):
                caller_of_state = (await self._identify(headers)).caller
                return await self._state_of_write(replace(request, caller=caller_of_state))

            def open_body(given: dict[str, str]) -> Wire:
                self._complete(scope, headers, given, request_id)
                wire.response_begin(200, list(given.items()))
                return wire

            peer = Peer(request_id, scope.client)
            if scope.path == CHANGES:
                ask = partial(self._page, request, wire, peer)
                return await self._feeds.answer(request, ask, wire.client_disconnect, open_body)
            is_studio = self._studio.answers(scope.path)
            if is_studio and not self._studio.needs_rights(request):
                return studio.show(request)
            if scope.path != GRAPHQL and (is_studio or self._sql.answers(scope.path)):
                identity = await self._identify(headers) if self._callers.enabled else None
                if is_studio:
                    self._studio.admit(role := self._sql.role_of(request, identity))
                    if scope.path == studio.SESSION:
                        return await self._waiters.run(self._studio.session, request, role)
                if scope.method == "POST":
                    request = replace(request, body=await self._body(wire, headers))
                watched = partial(self._watched, wire, peer)
                return await self._sql.answer(request, peer.address, watched, open_body, identity)
            shown = self._routes.wants_search_page(request) or self._routes.wants_page(request)
            if shown or scope.path not in (GRAPHQL, SEARCH_PATH):
                if scope.path == SDL:
                    await self._identify(headers)
                return await self._show(request)
            is_reader = False
            if bearer(headers) is None:
                identity = await self._identify(headers)
                request = replace(request, caller=identity.caller)
                is_reader = identity.role is Role.READ
            if scope.method == "POST":
                request = replace(request, body=await self._body(wire, headers))
            asks = Peer(request_id, scope.client, is_reader)
            if scope.path == GRAPHQL and EVENTS in headers.get("accept", "") and bearer(headers) is None:
                identify = partial(self._identify, headers)
                graphql = partial(self._graphql, wire=wire, peer=asks)
                watched = partial(self._watched, wire, asks)
                ways = identify, graphql, watched, wire.client_disconnect, open_body
                return await self._live.answer(request, StreamClient(request_id, asks.address, *ways))
            return await self._graphql(request, wire, asks)
        except LamdbError as error:
            response = http.refusal(error)
            if isinstance(error, BodyTooLarge | BodyTimeout):
                response.headers["connection"] = "close"
            return response
        except ClientGone:
            raise
        except Exception:
            log.exception("internal error while answering a request", extra=logs.where(scope))
            return http.refusal(LamdbError("Internal error; the server's log has the details."))

    async def _identify(self, headers: dict[str, str]) -> Identity:
        """Raises `Unauthorized`, `Forbidden`, and what reading keys raises."""
        found = self._callers.known(headers)
        if found is None:
            found = await self._waiters.run(self._callers.identify, headers)
        return found

    def _check_search_token(self, request: HttpRequest) -> None:
        """Raises `Unauthorized`, `Forbidden`."""
        is_page = bearer(request.headers) is None and self._routes.wants_search_page(request)
        if request.method != "OPTIONS" and not is_page:
            require_search_path(request.path, request.headers, GRAPHQL)

    async def _show_metrics(self, request: HttpRequest) -> HttpResponse:
        """Raises `MethodNotAllowed`, `Overloaded`."""
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed("Metrics can only be read, by GET.", allow=["GET", "HEAD"])
        return await self._scrapes.run(self._metrics.answer, request.headers.get("accept", ""))

    async def _show(self, request: HttpRequest) -> HttpResponse:
        """The response to anything but GraphQL; from a thread, if it has to wait for the store."""
        try:
            with NoWaiting():
                return self._routes.answer(request)
        except WouldWait:
            return await self._waiters.run(self._routes.answer, request)

    async def _state_of_write(self, request: HttpRequest) -> HttpResponse:
        """Raises `LamdbError`."""
        if self._deferred.is_pending(request):
            return deferred.pending()
        return await self._waiters.run(self._deferred.state, request)

    def _defer(self, call: Call, peer: Peer) -> HttpResponse:
        """Lets a mutation be executed after the answer. Raises `Overloaded`, `MalformedRequest`."""
        key, call, query = self._deferred.prepared(call)
        budget = http.budget_of(call.headers, self._options)

        def execute() -> HttpResponse:
            response = self._answer_off_loop(call, peer, budget, True)
            assert response is not None
            self._deferred.run(key, response, call.parameters.caller)
            return response

        running = self._writers.submit(execute, client=peer.address, give_up=budget.cancel)
        return self._deferred.accept(key, query, running)

    async def _operator(self, request: HttpRequest, wire: Wire, request_id: str) -> HttpResponse:
        """Raises `Unauthorized` and `Forbidden` before anything of the body is read."""
        if self._routes.wants_page(request):
            self._hosts.check(request)
            return self._routes.operators_page()
        if self._callers.enabled:
            identity = await self._identify(dict(request.headers))
            if identity.role is not Role.ADMIN:
                raise Forbidden("The operator API requires the role admin.")
        else:
            self._operators.check(request)
        if request.method == "POST":
            request = replace(request, body=await self._body(wire, dict(request.headers)))

        def answer() -> HttpResponse:
            logs.request_id.set(request_id)
            return self._operators.answer(request)

        return await self._operating.run(answer)

    async def _page(self, request: HttpRequest, wire: Wire, peer: Peer, body: bytes) -> HttpResponse:
        """A page of the change feed. Raises `Unauthorized`, `Forbidden`, and what reading keys raises."""
        headers = {name: text for name, text in request.headers.items() if not name.startswith("accept")}
        identity = await self._identify(headers)
        named = {**headers, "content-type": http.JSON, "accept": GRAPHQL_RESPONSE}
        asked = HttpRequest("POST", GRAPHQL, "", named, body, identity.caller)
        return await self._graphql(asked, wire, peer)

    async def _graphql(self, request: HttpRequest, wire: Wire, peer: Peer) -> HttpResponse:
        if len(request.body) > _LARGE_BODY:
            # Reading it takes its time, too, and is left to a thread.
            media_type = http.response_type(request.headers.get("accept")) or http.JSON
            mutates = _MUTATION.encode() in request.body
            return await self._off_loop(request, media_type, wire, peer, mutates=mutates)
        call = http.receive(request, self._options.persisted)
        if isinstance(call, HttpResponse):
            return call
        document = call.parameters.query
        mutates = _MUTATION in document
        if peer.is_reader and mutates and http.is_mutation(self._instance.api, call):
            return http.refusal(Forbidden(_NO_WRITES), call.media_type)
        is_deferred = mutates and deferred.PREFER in call.headers and bearer(call.headers) is None
        if is_deferred and self._deferred.wants(call):
            return self._defer(call, peer)
        is_small = len(request.body) + len(request.query) <= QUICK_BODY
        key = lane_key(document)
        if not mutates and is_small and self._lane.allows(key):
            try:
                if not http.is_behind(self._instance.database, call.headers, self._options):
                    with NoWaiting(quick=True):
                        return self._answer(call)
            except WouldWait:
                self._lane.waited(key)
            except LamdbError as error:
                return http.refusal(error, call.media_type)
        return await self._off_loop(call, call.media_type, wire, peer, mutates=mutates)

    async def _off_loop(
        self, asked: HttpRequest | Call, media_type: str, wire: Wire, peer: Peer, *, mutates: bool
    ) -> HttpResponse:
        """The response from a thread; the request is given up when its client has gone."""
        try:
            budget = http.budget_of(asked.headers, self._options)
            execution = self._execute(asked, peer, budget, mutates=mutates)
            return await self._watched(wire, peer, budget, execution)
        except LamdbError as error:
            return http.refusal(error, media_type)

    async def _watched[T](self, wire: Wire, peer: Peer, budget: Budget, execution: Awaitable[T]) -> T:
        """Awaits an execution, which is given up when the client has gone. Raises `LamdbError`."""
        watch = asyncio.get_running_loop().call_later(_WATCHED_AFTER, self._watch, wire, budget, peer)
        try:
            return await execution
        except Cancelled:
            if peer.is_gone:
                raise ClientGone from None
            raise
        finally:
            watch.cancel()
            if peer.watcher is not None:
                peer.watcher.cancel()

    async def _execute(
        self, asked: HttpRequest | Call, peer: Peer, budget: Budget, *, mutates: bool
    ) -> HttpResponse:
        if AS_OF_HEADER not in asked.headers and http.is_behind(
            self._instance.database, asked.headers, self._options
        ):
            await self._freshness.reach(wanted_txid(asked.headers), self._options.token_wait, budget)

        def submit(pool: ThreadPool, *, waits: bool) -> Awaitable[HttpResponse | None]:
            work = (self._answer_off_loop, asked, peer, budget, waits)
            key = lane_key(asked.parameters.query) if isinstance(asked, Call) else ""
            # What is known to be light does not stand behind what may turn out to be heavy.
            client = f"{peer.address} {self._lane.is_light(key)}"
            is_heavy = self._lane.is_heavy(key)
            return pool.submit(*work, client=client, give_up=budget.cancel, is_slow=is_heavy)

        answer = None
        if isinstance(asked, HttpRequest) and len(asked.body) > _HUGE_BODY:
            answer = await submit(self._huge, waits=True)
        elif not mutates:
            answer = await submit(self._readers, waits=self._instance.database.is_local)
        if answer is None:
            answer = await submit(self._writers if mutates else self._waiters, waits=True)
        assert answer is not None
        return answer

    def _answer_off_loop(
        self, asked: HttpRequest | Call, peer: Peer, budget: Budget, waits: bool
    ) -> HttpResponse | None:
        """Runs in a thread. None if the request needs the store, and must not wait for it here."""
        logs.request_id.set(peer.request_id)
        call = http.receive(asked, self._options.persisted) if isinstance(asked, HttpRequest) else asked
        if isinstance(call, HttpResponse):
            return call
        if peer.is_reader and http.is_mutation(self._instance.api, call):
            return http.refusal(Forbidden(_NO_WRITES), call.media_type)
        if waits:
            return self._answer(call, budget)
        try:
            with NoWaiting():
                return self._answer(call, budget)
        except WouldWait:
            return None

    def _answer(self, call: Call, budget: Budget | None = None) -> HttpResponse:
        """Runs in a thread, or (without a budget) as an attempt on the event loop."""
        begun = time.thread_time()
        response = http.answer(
            self._instance.api, self._instance.database, call, self._options, budget, caught_up=True
        )
        self._lane.executed(lane_key(call.parameters.query), time.thread_time() - begun)
        return response

    def _watch(self, wire: Wire, budget: Budget, peer: Peer) -> None:
        async def cancel_when_gone() -> None:
            await wire.client_disconnect()
            peer.is_gone = True
            budget.cancel(client_gone())

        peer.watcher = asyncio.get_running_loop().create_task(cancel_when_gone())

    async def _body(self, wire: Wire, headers: dict[str, str]) -> bytes:
        """Raises what `read_body` raises."""
        return await read_body(wire, headers, self._settings.max_body_bytes, self._settings.body_timeout)
