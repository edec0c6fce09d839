"""Requests whose clients take events: which of them are live, and their execution in threads."""

import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from lamdb.access.identity import Identity
from lamdb.errors import MalformedRequest
from lamdb.graphql.api import Result
from lamdb.graphql.document.live import mentions
from lamdb.graphql.transport import http
from lamdb.graphql.transport.http import Call, HttpOptions, HttpRequest, HttpResponse
from lamdb.graphql.transport.wire import AS_OF_HEADER, GRAPHQL_RESPONSE, wanted_txid
from lamdb.server import logs
from lamdb.server.cursors import Open
from lamdb.server.fast_path import FastLane
from lamdb.server.freshness import Freshness
from lamdb.server.instance import Instance
from lamdb.server.live import Execute, LiveExecution, LiveQueries, single
from lamdb.server.pool import ThreadPool
from lamdb.server.quick_queries import lane_key
from lamdb.storage import NoWaiting, WouldWait
from lamdb.storage.budget import Budget
from lamdb.storage.watched_reads import Watch

_MARKS: Final = (b"live", b"\\u", b"persistedQuery")
"""A body without these asks for no live query: JSON may escape letters, and a hash may name a document."""
_LARGE_BODY: Final = 64 * 1024
"""Bytes of a body that is read in a thread."""

type Followed = tuple[Result, Watch]
type Watched = Callable[[Budget, Awaitable[Followed]], Awaitable[Followed]]
"""Awaits an execution, which is given up if the client goes away meanwhile."""


@dataclass(frozen=True, slots=True)
class StreamClient:
    """The client of a request that takes events.

    - `address`: its IP address, or that of its proxy.
    - `identify`: its identity as of now.
    - `graphql`: answers a request of it by one response.
    - `watched`: see `Watched`.
    - `gone`: returns once it has closed the connection.
    - `open_body`: begins the stream.
    """

    request_id: str
    address: str
    identify: Callable[[], Awaitable[Identity]]
    graphql: Callable[[HttpRequest], Awaitable[HttpResponse]]
    watched: Watched
    gone: Callable[[], Awaitable[None]]
    open_body: Open


class LiveRequests:
    """Answers requests whose clients take events. Made inside the event loop, whose thread all calls come
    from."""

    def __init__(
        self,
        instance: Instance,
        options: HttpOptions,
        lane: FastLane,
        freshness: Freshness,
        pools: tuple[ThreadPool, ThreadPool],
        queries: LiveQueries,
    ) -> None:
        """`pools`: threads for what needs no store over the network, and for what turns out to."""
        self._instance = instance
        self._options = options
        self._lane = lane
        self._freshness = freshness
        self._readers, self._waiters = pools
        self.queries = queries

    async def answer(self, request: HttpRequest, client: StreamClient) -> HttpResponse:
        """Follows a live query. All else has one result: as JSON if the client takes that, too.

        Raises `LamdbError`.
        """
        headers = {name: text for name, text in request.headers.items() if not name.startswith("accept")}
        plain = replace(request, headers={**headers, "accept": GRAPHQL_RESPONSE})
        call = await self._live_call(plain, client)
        if call is not None:
            execute = self._executing(call, client)
            followed = await self.queries.answer(client.identify, execute, client.gone, client.open_body)
            if followed is not None:
                return followed
        if http.response_type(request.headers["accept"]) is not None:
            return await client.graphql(request)
        response = await client.graphql(plain)
        return response if response.early or response.status >= 500 else single(response)

    async def _live_call(self, request: HttpRequest, client: StreamClient) -> Call | None:
        """The GraphQL request, if it may be a live query. Raises `Overloaded`."""
        if request.method == "POST" and not any(mark in request.body for mark in _MARKS):
            return None
        if len(request.body) > _LARGE_BODY:
            call = await self._readers.submit(self._receive, request, client=client.address)
        else:
            call = self._receive(request)
        if not isinstance(call, Call) or not mentions(call.parameters.query):
            return None
        return None if http.is_mutation(self._instance.api, call) else call

    def _receive(self, request: HttpRequest) -> Call | HttpResponse:
        return http.receive(request, self._options.persisted)

    def _executing(self, call: Call, client: StreamClient) -> Execute:
        """Returns what executes a request, as often as it is called. Raises `MalformedRequest`."""
        if AS_OF_HEADER in call.headers:
            raise MalformedRequest("A past state does not change: it has no live queries.", hint="")
        database = self._instance.database
        key = lane_key(call.parameters.query)

        async def execute(identity: Identity) -> LiveExecution:
            asked = replace(call, parameters=replace(call.parameters, caller=identity.caller))
            budget = http.budget_of(call.headers, self._options)
            if http.is_behind(database, call.headers, self._options):
                await self._freshness.reach(wanted_txid(call.headers), self._options.token_wait, budget)

            def submit(pool: ThreadPool, *, waits: bool) -> Awaitable[Followed | None]:
                return pool.submit(
                    *(self.execute, asked, key, client.request_id, budget, waits),
                    client=f"{client.address} live",
                    give_up=budget.cancel,
                    is_slow=self._lane.is_heavy(key),
                )

            async def run() -> Followed:
                found = await submit(self._readers, waits=database.is_local)
                if found is None:
                    found = await submit(self._waiters, waits=True)
                assert found is not None
                return found

            result, watch = await client.watched(budget, run())
            return LiveExecution(result, identity, watch)

        return execute

    def execute(self, call: Call, key: str, request_id: str, budget: Budget, waits: bool) -> Followed | None:
        """Runs in a thread. None if the query needs the store, and must not wait for it here."""
        logs.request_id.set(request_id)
        begun = time.thread_time()
        try:
            with contextlib.nullcontext() if waits else NoWaiting():
                return http.follow(self._instance.api, self._instance.database, call, self._options, budget)
        except WouldWait:
            return None
        finally:
            self._lane.executed(key, time.thread_time() - begun)
