"""The proxy: sends queries to a reader and mutations to the writer, and tries again what was not answered.

Mutations that have no idempotency key get one here, so that trying again is safe even where the answer of one
that was executed got lost.
"""

import os
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final

from lamdb.cluster import events, metrics
from lamdb.cluster.events import REQUEST_ID_HEADER, SCHEMA_PATH, Command, Events, Received
from lamdb.cluster.health import HEALTH, health
from lamdb.cluster.invoke import LONGEST, Invoker, LambdaInvoker
from lamdb.cluster.kinds import is_mutation
from lamdb.cluster.observability import Observer
from lamdb.cluster.retry import Backoff, Contention
from lamdb.cluster.snapstart import after_restore
from lamdb.errors import (
    BodyTooLarge,
    FunctionError,
    FunctionUnavailable,
    LamdbError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    RequestError,
    Throttled,
)
from lamdb.graphql import graphiql
from lamdb.graphql.cors import Cors
from lamdb.graphql.wire import (
    ATTEMPTS_HEADER,
    IDEMPOTENCY_HEADERS,
    Call,
    HttpRequest,
    HttpResponse,
    idempotency_key,
    receive,
    refusal,
)
from lamdb.settings import Settings

GRAPHQL: Final = "/graphql"

_MARGIN: Final = 1.0
"""Seconds before the function's own end at which it answers by itself."""

_PASSED_ON: Final = (
    "accept",
    "accept-encoding",
    "content-type",
    "content-encoding",
    "if-none-match",
    "x-lamdb-txid",
    "x-lamdb-consistency",
    "x-lamdb-as-of",
    "x-lamdb-timeout",
    *IDEMPOTENCY_HEADERS,
)
"""What reader and writer have a use for; the rest, such as credentials, ends here."""

_RETRYABLE: Final = b'"retryable":true'
_LAGGING: Final = b'"REPLICA_LAG"'


class Proxy:
    """One execution environment of the proxy."""

    def __init__(
        self,
        settings: Settings,
        invoke: Invoker,
        observer: Observer,
        *,
        backoff: Callable[[float, Contention], Backoff] = Backoff,
    ) -> None:
        self._settings = settings
        self._invoke = invoke
        self._observer = observer
        self._backoff = backoff
        self._contention: dict[str, Contention] = defaultdict(Contention)
        self._cors = Cors(settings.cors_origins, settings.cors_headers)

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """The handler. Raises `MalformedRequest` for what is no request."""
        ends = time.monotonic() + _seconds_left(context)
        with self._observer.invocation(context):
            received = events.read(event)
            if isinstance(received, Command):
                raise MalformedRequest(f"The proxy knows no operation {received.operation!r}.")
            if isinstance(received, Events):
                raise MalformedRequest("The proxy takes no events.", hint="Send them to the writer.")
            request_id = received.correlation_id or str(uuid.uuid4())
            self._observer.correlate(request_id)
            response = self._answer(received, request_id, ends)
            response.headers[REQUEST_ID_HEADER] = request_id
            self._cors.allow(received.request.headers.get("origin"), response.headers)
            return events.reply(received, response)

    def _answer(self, received: Received, request_id: str, ends: float) -> HttpResponse:
        request = received.request
        try:
            if received.refused is not None:
                raise received.refused
            if request.method == "OPTIONS" and (preflight := self._cors.preflight(request.headers)):
                return preflight
            if request.path in HEALTH:
                return health()
            if self._settings.graphiql and (shown := _graphiql(received)):
                return shown
            if received.is_operators:
                return self._operate(request, request_id, ends)
            if request.path == SCHEMA_PATH:
                return self._show_schema(request, request_id, ends)
            if request.path != GRAPHQL:
                raise NotFound(f"There is nothing at {request.path}.")
            call = receive(request)
            if isinstance(call, HttpResponse):
                return call
            return self._forward(request, call, request_id, ends)
        except LamdbError as error:
            self._observer.failed(error)
            self._observer.count(metrics.OPERATION_ERRORS)
            return refusal(error)

    def _forward(self, request: HttpRequest, call: Call, request_id: str, ends: float) -> HttpResponse:
        """Raises `FunctionError`, `RequestError`."""
        mutates = is_mutation(call.parameters)
        if mutates and request.method == "GET":
            raise MethodNotAllowed("A mutation cannot be sent by GET.", allow=["POST"])
        headers = _passed_on(request, request_id)
        if mutates and idempotency_key(headers) is None:
            headers[ATTEMPTS_HEADER] = str(uuid.uuid4())
        payload = _payload(request, GRAPHQL, headers)
        function = self._settings.writer_function if mutates else self._settings.reader_function
        return self._persist(function, payload, ends)

    def _show_schema(self, request: HttpRequest, request_id: str, ends: float) -> HttpResponse:
        """Raises `FunctionError`, `RequestError`."""
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed("The schema is only read.", allow=["GET", "HEAD"])
        payload = _payload(request, SCHEMA_PATH, _passed_on(request, request_id))
        return self._persist(self._settings.reader_function, payload, ends)

    def _operate(self, request: HttpRequest, request_id: str, ends: float) -> HttpResponse:
        """Sends a request of the operator API on. Raises `FunctionError`, `RequestError`.

        These have no idempotency key: one that changes something is not sent again once it may have begun.
        """
        from lamdb.operator.routing import needs_writer

        if request.method != "POST":
            raise MethodNotAllowed("The operator API is asked by POST.", allow=["POST"])
        call = receive(request)
        if isinstance(call, HttpResponse):
            return call
        writes = needs_writer(call.parameters.query, call.parameters.operation_name)
        payload = _payload(request, request.path, _passed_on(request, request_id))
        function = self._settings.writer_function if writes else self._settings.reader_function
        return self._persist(function, payload, ends, again=not writes)

    def _persist(self, function: str, payload: bytes, ends: float, *, again: bool = True) -> HttpResponse:
        """The answer of a function, asked again for as long as there is time. Raises `FunctionError`.

        Unless `again`, only while the function has not begun.
        """
        seconds = min(self._settings.retry_seconds, ends - time.monotonic())
        backoff = self._backoff(seconds, self._contention[function])
        try:
            while True:
                try:
                    response = self._ask(function, payload, ends - time.monotonic())
                    if not _worth_retrying(response):
                        return response
                    if not again or not backoff.pause():
                        self._observer.count(metrics.REFUSED_REQUESTS)
                        return response
                except (FunctionError, RequestError) as error:
                    throttled = isinstance(error, Throttled)
                    retryable = error.retryable and (again or throttled)
                    if not retryable or not backoff.pause(throttled=throttled):
                        if error.retryable:
                            self._observer.count(metrics.REFUSED_REQUESTS)
                        raise
        finally:
            backoff.end()
            if backoff.retries:
                self._observer.count(metrics.THROTTLED_RETRIES, backoff.retries)

    def _ask(self, function: str, payload: bytes, seconds: float) -> HttpResponse:
        answer = self._invoke(function, payload, max(seconds, 0.0))
        try:
            return events.response_of(answer)
        except ValueError as error:
            raise FunctionUnavailable("The function did not answer as one of lamDB.") from error


def proxy() -> Proxy:
    """The proxy of this execution environment."""
    settings = Settings.load(os.environ)
    observer = Observer("proxy")
    observer.adopt_library_logs()
    after_restore()
    return Proxy(settings, LambdaInvoker(), observer)


def _graphiql(received: Received) -> HttpResponse | None:
    """The page or one of its files; None for any other request. Raises `NotFound`."""
    request = received.request
    if request.method == "GET" and request.path.startswith(graphiql.PREFIX):
        return graphiql.bundled(request)
    if request.path in {"/", GRAPHQL} and graphiql.wants_page(request):
        return graphiql.page(base=received.prefix)
    return None


def _passed_on(request: HttpRequest, request_id: str) -> dict[str, str]:
    """The headers that a function gets."""
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    headers[REQUEST_ID_HEADER] = request_id
    return headers


def _payload(request: HttpRequest, path: str, headers: dict[str, str]) -> bytes:
    """What a function is invoked with. Raises `BodyTooLarge`."""
    payload = events.envelope(HttpRequest(request.method, path, request.query, headers, request.body))
    if len(payload) > events.REQUEST_LIMIT:
        raise BodyTooLarge(
            f"The body has {len(request.body)} bytes, and the request {len(payload)} as a function gets it; "
            f"Lambda takes {events.REQUEST_LIMIT}.",
            hint="Split the request.",
        )
    return payload


def _worth_retrying(response: HttpResponse) -> bool:
    """Whether nothing was answered but a passing failure of the store. Who lags has waited already."""
    return response.status == 503 and _RETRYABLE in response.body and _LAGGING not in response.body


def _seconds_left(context: Any) -> float:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    left = remaining() / 1000 - _MARGIN if remaining is not None else LONGEST
    return min(left, LONGEST)
