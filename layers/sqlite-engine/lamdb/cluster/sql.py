"""SQL over HTTP at reader and writer. The proxy names the caller; streams are carried by their clients."""

from dataclasses import replace

from lamdb.access.identity import Role
from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.sql_callers import PRINCIPAL_HEADER, ROLE_HEADER
from lamdb.cluster.rate_limit import Rate
from lamdb.errors import LamdbError
from lamdb.graphql.digests import digest
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, HttpResponse, accepts_gzip
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.protocol.error_responses import refusal
from lamdb.hrana.streams.log_parts import LogParts
from lamdb.hrana.streams.stateless import CarriedStreams
from lamdb.hrana.transaction.replay import ReplayingExecution
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.budget import Deadline


class LambdaSqlEndpoint:
    """The endpoint of one execution environment."""

    def __init__(
        self, database: Database, settings: Settings, options: HttpOptions, *, read_only: bool
    ) -> None:
        engine = SqlEngine(
            database,
            fenced_retries=settings.fenced_retries,
            can_write=not read_only,
            room=options.room,
        )
        key = digest(f"{settings.sql_key or settings.store}".encode())
        parts = LogParts(
            database.pages.replica, key, can_write=not read_only, most_bytes=settings.sql_log_bytes
        )
        streams = CarriedStreams(key, parts)
        costs = replace(options.costs, max_bytes=min(options.costs.max_bytes, events.BODY_LIMIT))
        self._plain = SqlEndpoint(
            engine, streams, replace(options, costs=costs), ReplayingExecution, strong=True
        )
        self._packed = SqlEndpoint(engine, streams, options, ReplayingExecution, strong=True)

    def answer(self, request: HttpRequest, deadline: Deadline, rate: Rate | None = None) -> HttpResponse:
        """Returns the response to a request that the proxy has sent on, unless `rate` refuses it."""
        try:
            if rate is not None:
                rate.take()
        except LamdbError as error:
            return refusal(error)
        # A write whose answer cannot be sent is better not kept.
        endpoint = self._packed if accepts_gzip(request.headers) else self._plain
        role = Role(request.headers[ROLE_HEADER])
        asked = endpoint.receive(request, role, request.headers[PRINCIPAL_HEADER])
        if isinstance(asked, HttpResponse):
            return asked
        try:
            budget = endpoint.budget_of(asked, deadline)
        except LamdbError as error:
            return refusal(error)
        return endpoint.answer(asked, budget)
