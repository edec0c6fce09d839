"""The applications of a server's processes: workers that read, and the writer.

A worker answers queries, pages and the schema by itself. Everything that writes, or has a state in memory,
goes to the writer: mutations, SQL over HTTP with its streams, states of deferred mutations, and operators.
So mutations of all workers share commits.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Final

from lamdb.errors import BodyTimeout, BodyTooLarge, LamdbError, PersistedQueryNotFound
from lamdb.graphql.transport import deferred, http
from lamdb.graphql.transport.http import HttpRequest, HttpResponse
from lamdb.server.app import Application
from lamdb.server.exchange import Exchange
from lamdb.server.forwarding import CLIENT_HEADER, Forwarder, unless_gone
from lamdb.server.instance import Instance
from lamdb.server.operators import OPERATOR
from lamdb.server.paths import GRAPHQL
from lamdb.server.peer import Peer
from lamdb.server.rsgi import ClientGone, Scope, Wire
from lamdb.settings import Settings

_MUTATION: Final = "mutation"
_MARKS: Final = (_MUTATION.encode(), b"\\u")
"""A body without these holds no mutation: JSON may also write a letter as an escape."""


class ReadingApplication(Application):
    """A worker's application."""

    forwards_mutations: ClassVar[bool] = True

    def __init__(
        self, instance: Instance, settings: Settings, host: str, path: str, is_serving: Callable[[], bool]
    ) -> None:
        """`path`: of the writer's socket. `is_serving`: tells whether the writer serves."""
        super().__init__(instance, settings, host)
        self._forwarder = Forwarder(path, settings.max_pending, is_serving)

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        return False

    def close(self) -> None:
        self._forwarder.close()
        super().close()

    async def _respond(
        self, scope: Scope, wire: Wire, headers: dict[str, str], request_id: str
    ) -> HttpResponse:
        request = HttpRequest(scope.method, scope.path, scope.query_string, headers)
        if not self._is_writers(request):
            return await super()._respond(scope, wire, headers, request_id)
        try:
            if scope.method not in {"GET", "HEAD", "OPTIONS"}:
                body = await self._body(wire, headers)
                request = HttpRequest(scope.method, scope.path, scope.query_string, headers, body)
            return await self._forward(request, wire, scope.client, request_id)
        except LamdbError as error:
            response = http.refusal(error)
            if isinstance(error, BodyTooLarge | BodyTimeout):
                response.headers["connection"] = "close"
            return response

    def _is_writers(self, request: HttpRequest) -> bool:
        """True if only the writer can answer, whatever the body is."""
        path = request.path
        if path == OPERATOR:
            return self._operators.enabled and not self._routes.wants_page(request)
        if self._studio.answers(path):
            return True
        return path.startswith(deferred.PREFIX) or (path != GRAPHQL and self._sql.answers(path))

    async def _graphql(self, request: HttpRequest, wire: Wire, peer: Peer) -> HttpResponse:
        if not any(mark in request.body for mark in _MARKS) and _MUTATION not in request.query:
            response = await super()._graphql(request, wire, peer)
            if response.code != PersistedQueryNotFound.code:
                return response
            # The hash may be that of a mutation: the writer alone keeps those.
        return await self._forward(request, wire, peer.client, peer.request_id)

    async def _forward(self, request: HttpRequest, wire: Wire, client: str, request_id: str) -> HttpResponse:
        def open_body(given: dict[str, str]) -> Wire:
            wire.response_begin(200, list(given.items()))
            return wire

        work = asyncio.create_task(self._forwarder.forward(request, client, request_id, open_body))
        response = await unless_gone(wire, work)
        if response is None:
            raise ClientGone
        return response


class WriterApplication(Application):
    """The writer's application: its clients are the workers, which send the address of each client."""

    async def __rsgi__(self, scope: Scope, wire: Wire) -> None:
        scope.client = scope.headers.get(CLIENT_HEADER, scope.client)
        await super().__rsgi__(scope, wire)

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        exchange.client = exchange.headers.get(CLIENT_HEADER, exchange.client)
        return super().begin(exchange, body)
