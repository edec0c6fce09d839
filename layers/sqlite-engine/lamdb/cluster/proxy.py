"""The proxy: sends queries to a reader and mutations to the writer, and repeats failed attempts.

Mutations that have no idempotency key get one here, so that trying again is safe even where the answer of one
that was executed got lost. Where there is a queue, they go through it while the writer is busy
(`mutation_queue`).
"""

import os
import random
import time
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from lamdb.access.identity import Role
from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.events import (
    CONTENDED_HEADER,
    REQUEST_ID_HEADER,
    SCHEMA_PATH,
    Events,
    OperatorCommand,
    Received,
)
from lamdb.cluster.invocation.health import HEALTH, health
from lamdb.cluster.invocation.queued_mutation import LIMIT, Write
from lamdb.cluster.invocation.roles import NO_WRITES, caller_of, role_of
from lamdb.cluster.routing import sql_requests
from lamdb.cluster.routing.invoke import LONGEST, Invoker, LambdaInvoker
from lamdb.cluster.routing.mutation_queue import Gate, Queue, Queueing, SqsQueue
from lamdb.cluster.routing.operation_type import is_mutation
from lamdb.cluster.routing.retry import Backoff, Contention
from lamdb.cluster.runtime import metrics
from lamdb.cluster.runtime.observability import Observer
from lamdb.cluster.runtime.snapstart import after_restore
from lamdb.errors import (
    BodyTooLarge,
    Forbidden,
    FunctionError,
    FunctionUnavailable,
    LamdbError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    ReplicaLag,
    RequestError,
    Throttled,
)
from lamdb.graphql.persisted_queries import MEMBER, PersistedQueries
from lamdb.graphql.search_tokens import SEARCH_PATH, SearchToken, bearer, require_search_path
from lamdb.graphql.transport import deferred
from lamdb.graphql.transport.cors import Cors
from lamdb.graphql.transport.wire import (
    ATTEMPTS_HEADER,
    IDEMPOTENCY_HEADERS,
    Call,
    HttpRequest,
    HttpResponse,
    idempotency_key,
    receive,
    refusal,
    timeout,
    with_document,
)
from lamdb.settings import Settings

GRAPHQL: Final = "/graphql"

STUDIO: Final = "/studio"
"""`lamdb.graphql.transport.studio.PATH`, where that is not loaded."""

_GRACE: Final = 0.5
"""Seconds that the answer of a function may take beyond the client's deadline: it says that it has passed."""

_PROBES: Final = 0.25
"""The share of throttled requests that are tried again though their turn should not come in time."""

_HOPELESS: Final = 0.9
"""The share of its time that a request waits at present, from which on its turn should not come in time."""

_DIRECTLY: Final = 0.3
"""Seconds for which a busy writer is asked directly before a write goes through the queue."""

_CONTENDED: Final = 2
"""Throttled attempts after which a write tells the writer that others probably wait in the queue."""

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
"""Headers that reader and writer use. All others, such as credentials, are not forwarded."""

_RATE_SECONDS: Final = 1.0
"""Seconds for which the writer is not asked again after it refused a mutation beyond its rate."""


class Proxy:
    """One execution environment of the proxy."""

    def __init__(
        self,
        settings: Settings,
        invoke: Invoker,
        observer: Observer,
        *,
        backoff: Callable[[float, Contention], Backoff] = Backoff,
        queue: Queue | None = None,
        later: Queue | None = None,
    ) -> None:
        """`queue`: for mutations while the writer is busy. `later`: for those whose clients do not wait."""
        self._settings = settings
        self._invoke = invoke
        self._observer = observer
        self._backoff = backoff
        self._contention: dict[str, Contention] = defaultdict(Contention)
        self._cors = Cors(settings.cors_origins, settings.cors_headers)
        self._persisted = PersistedQueries.of(settings)
        self._has_studio = settings.sql and settings.studio != "off"
        self._later = queue or later
        self._gate = Gate()
        self._writes_from = 0.0
        self._queueing = Queueing(queue, self._ask_reader, self._ask_writer) if queue is not None else None

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """The handler. Raises `MalformedRequest` for what is no request."""
        ends = time.monotonic() + _seconds_left(context)
        with self._observer.invocation(context):
            received = events.read(event)
            if isinstance(received, OperatorCommand):
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
            token = bearer(request.headers)
            if token is not None or request.path == SEARCH_PATH:
                require_search_path(request.path, request.headers, GRAPHQL)
                assert token is not None
                return self._search(request, token, request_id, _earlier(request, ends))
            if self._settings.graphiql and (shown := _graphiql(received)):
                return shown
            if self._has_studio and request.path.startswith(STUDIO) and (shown := self._studio(received)):
                return shown
            if received.is_operators:
                return self._operate(request, request_id, ends)
            role = role_of(received.context, self._settings) if received.is_judged else Role.WRITE
            if request.path == SCHEMA_PATH:
                return self._show(request, request_id, ends)
            if self._settings.sql and sql_requests.answers(request.path):
                return self._sql(received, request_id, _earlier(request, ends))
            if received.is_judged:
                request = replace(request, caller=caller_of(received.context, role))
                received = replace(received, request=request)
            if request.path.startswith(deferred.PREFIX):
                return self._show(request, request_id, ends)
            if request.path != GRAPHQL:
                raise NotFound(f"There is nothing at {request.path}.")
            call = receive(request, self._persisted)
            if isinstance(call, HttpResponse):
                return call
            received = replace(received, request=self._with_document(request, call))
            response = self._forward(received, role, call, request_id, _earlier(request, ends))
            self._keep_document(call, response)
            return response
        except LamdbError as error:
            self._observer.failed(error)
            self._observer.count(metrics.OPERATION_ERRORS)
            return refusal(error)

    def _search(self, request: HttpRequest, token: str, request_id: str, ends: float) -> HttpResponse:
        """Sends a request with a search token to a reader, which enforces the token's limits.

        Raises `FunctionError`, `RequestError`.
        """
        SearchToken.verify(token, self._settings.search_key)
        call = receive(request, self._persisted)
        if isinstance(call, HttpResponse):
            return call
        if is_mutation(call.parameters):
            raise Forbidden("A search token allows no mutations.")
        headers = _passed_on(request, request_id) | {"authorization": f"Bearer {token}"}
        payload = _payload(self._with_document(request, call), GRAPHQL, headers, ends)
        response = self._persist(self._settings.reader_function, payload, ends)
        self._keep_document(call, response)
        return response

    def _with_document(self, request: HttpRequest, call: Call) -> HttpRequest:
        """The request as a function gets it, which need not have the document that a hash names."""
        if self._persisted is None or (call.parameters.extensions or {}).get(MEMBER) is None:
            return request
        return with_document(request, call.parameters)

    def _keep_document(self, call: Call, response: HttpResponse) -> None:
        """Keeps a document that is named by its hash, if a function found it valid."""
        if self._persisted is not None and response.status == 200 and response.code is None:
            self._persisted.keep(call.parameters)

    def _forward(
        self, received: Received, role: Role, call: Call, request_id: str, ends: float
    ) -> HttpResponse:
        """Raises `FunctionError`, `RequestError`."""
        request = received.request
        headers = _passed_on(request, request_id)
        if not is_mutation(call.parameters):
            payload = _payload(request, GRAPHQL, headers, ends)
            return self._persist(self._settings.reader_function, payload, ends)
        if request.method == "GET":
            raise MethodNotAllowed("A mutation cannot be sent by GET.", allow=["POST"])
        if role == Role.READ:
            raise Forbidden(NO_WRITES)
        if time.monotonic() < self._writes_from:
            self._observer.count(metrics.REFUSED_REQUESTS)
            raise Throttled("The rate of mutations is over the limit. Nothing was executed.")
        response = self._mutate(received, call, headers, ends)
        if _is_beyond_rate(response):
            self._writes_from = time.monotonic() + _RATE_SECONDS
        return response

    def _mutate(self, received: Received, call: Call, headers: dict[str, str], ends: float) -> HttpResponse:
        """Raises `FunctionError`, `RequestError`."""
        request = received.request
        given = idempotency_key(headers)
        key = given or str(uuid.uuid4())
        if self._later is not None and deferred.prefers_async(request.headers):
            # Its client may ask for the answer much later, so the key counts as one of its own.
            write = Write(key, str(uuid.uuid4()), call.parameters)
            if _fits(write):
                self._later.send(write)
                query = deferred.told_apart(call.parameters, write.attempt) if given else ""
                return deferred.accepted(key, prefix=received.prefix, query=query)
        if given is None:
            headers[ATTEMPTS_HEADER] = key
        payload = _payload(request, GRAPHQL, headers, ends)
        if self._queueing is None or self._settings.write_mode == "direct":
            return self._persist(self._settings.writer_function, payload, ends)
        seconds = min(self._settings.retry_seconds, ends - time.monotonic())
        write = Write(key, str(uuid.uuid4()), call.parameters, given is None, _moment(seconds))

        def contended() -> bytes:
            return _payload(request, GRAPHQL, {**headers, CONTENDED_HEADER: "true"}, ends)

        return self._queue(write, call, payload, contended, ends, seconds)

    def _queue(
        self,
        write: Write,
        call: Call,
        payload: bytes,
        contended: Callable[[], bytes],
        ends: float,
        seconds: float,
    ) -> HttpResponse:
        """Sends a mutation directly if the writer is free, else through the queue. Raises `FunctionError`."""
        assert self._queueing is not None
        writer = self._settings.writer_function
        if not _fits(write):
            return self._persist(writer, payload, ends, contended=contended)
        if self._settings.write_mode == "auto" and self._gate.is_open:
            try:
                response = self._persist(writer, payload, ends, patience=_DIRECTLY, contended=contended)
                self._gate.passed()
                return response
            except Throttled:
                self._gate.refused()
        self._observer.count(metrics.QUEUED_WRITES)
        try:
            response = self._queueing.execute(write, call.media_type, seconds)
        except FunctionError:
            self._observer.count(metrics.REFUSED_REQUESTS)
            raise
        if response.status == 503:
            self._observer.count(metrics.REFUSED_REQUESTS)
        return response

    def _studio(self, received: Received) -> HttpResponse | None:
        """The response to a request of the studio; None for its SQL, and for any other request."""
        from lamdb.cluster import studio  # where it is on

        return studio.answer(received, self._settings)

    def _sql(self, received: Received, request_id: str, ends: float) -> HttpResponse:
        """Answers a request of SQL over HTTP."""
        request = received.request

        def send(function: str, headers: dict[str, str]) -> HttpResponse:
            return self._persist(function, _payload(request, request.path, headers, ends), ends)

        return sql_requests.answer(received, self._settings, _passed_on(request, request_id), send)

    def _ask_reader(self, request: HttpRequest, seconds: float) -> HttpResponse:
        payload = events.envelope(request, _moment(seconds))
        return self._ask(self._settings.reader_function, payload, seconds)

    def _ask_writer(self, write: Write, seconds: float) -> None:
        self._invoke(self._settings.writer_function, write.written().encode(), seconds)

    def _show(self, request: HttpRequest, request_id: str, ends: float) -> HttpResponse:
        """The schema, or the state of a write. Raises `FunctionError`, `RequestError`."""
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"{request.path} allows only GET.", allow=["GET", "HEAD"])
        payload = _payload(request, request.path, _passed_on(request, request_id), ends)
        return self._persist(self._settings.reader_function, payload, ends)

    def _operate(self, request: HttpRequest, request_id: str, ends: float) -> HttpResponse:
        """Sends a request of the operator API on. Raises `FunctionError`, `RequestError`.

        These have no idempotency key: one that changes something is not sent again once it may have begun.
        """
        from lamdb.operator.routing import needs_writer

        if request.method != "POST":
            raise MethodNotAllowed("The operator API allows only POST.", allow=["POST"])
        call = receive(request)
        if isinstance(call, HttpResponse):
            return call
        writes = needs_writer(call.parameters.query, call.parameters.operation_name)
        payload = _payload(request, request.path, _passed_on(request, request_id), ends)
        function = self._settings.writer_function if writes else self._settings.reader_function
        return self._persist(function, payload, ends, again=not writes)

    def _persist(
        self,
        function: str,
        payload: bytes,
        ends: float,
        *,
        again: bool = True,
        patience: float | None = None,
        contended: Callable[[], bytes] | None = None,
    ) -> HttpResponse:
        """The answer of a function, asked again for as long as there is time. Raises `FunctionError`.

        Unless `again`, only while the function has not begun. If it is throttled, and requests to it wait
        longer at present than there is time, most are refused at once: the others would wait longer still.
        `patience`: seconds for which a throttled function is asked again, if they are less than for failures.
        `contended`: the payload once the function has been throttled `_CONTENDED` times.
        """
        throttles = 0
        seconds = min(self._settings.retry_seconds, ends - time.monotonic())
        contention = self._contention[function]
        usual = contention.usual
        allowed = seconds if patience is None else min(patience, seconds)
        hopeless = usual is not None and usual >= _HOPELESS * allowed > 0 and random.random() >= _PROBES
        impatient = time.monotonic() + allowed
        backoff = self._backoff(seconds, contention)
        try:
            while True:
                try:
                    response = self._ask(function, payload, _patience(ends))
                    if not _worth_retrying(response):
                        if _is_beyond_rate(response):
                            self._observer.count(metrics.REFUSED_REQUESTS)
                        return response
                    if not again or not backoff.pause():
                        self._observer.count(metrics.REFUSED_REQUESTS)
                        return response
                except (FunctionError, RequestError) as error:
                    throttled = isinstance(error, Throttled)
                    throttles += throttled
                    if throttles == _CONTENDED and throttled and contended is not None:
                        payload = contended()
                    if throttled and hopeless:
                        backoff.leave()
                        if patience is None:
                            self._observer.count(metrics.REFUSED_REQUESTS)
                        raise
                    if throttled and patience is not None and time.monotonic() >= impatient:
                        raise  # It goes another way now.
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
            raise FunctionUnavailable("The function's response is not one of lamDB.") from error


class _Invocations:
    """Lambda's own queue of invocations, for writes whose clients do not wait."""

    def __init__(self, invoker: LambdaInvoker, settings: Settings) -> None:
        self._invoker = invoker
        self._settings = settings

    def send(self, write: Write, again: int = 0) -> None:
        """Raises `FunctionError`."""
        self._invoker.post(self._settings.writer_function, write.written().encode())


def proxy() -> Proxy:
    """The proxy of this execution environment."""
    settings = Settings.load(os.environ)
    observer = Observer("proxy")
    observer.adopt_library_logs()
    after_restore()
    invoker = LambdaInvoker()
    queue = SqsQueue(settings.write_queue) if settings.write_queue else None
    return Proxy(settings, invoker, observer, queue=queue, later=_Invocations(invoker, settings))


def _graphiql(received: Received) -> HttpResponse | None:
    """The page or one of its files; None for any other request. Raises `NotFound`."""
    from lamdb.graphql.transport import graphiql  # where it is on

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


def _fits(write: Write) -> bool:
    return len(write.written().encode()) <= LIMIT


def _earlier(request: HttpRequest, ends: float) -> float:
    """When the answer to a request must be ready, on the monotonic clock. Raises `MalformedRequest`."""
    waits = timeout(request.headers)
    return ends if waits is None else min(ends, time.monotonic() + waits)


def _moment(seconds: float) -> float:
    """So many seconds from now, in seconds since 1970, as other machines can read it."""
    return time.time() + seconds


def _patience(ends: float) -> float:
    """Seconds that a function may take for its answer."""
    return min(ends - time.monotonic() + _GRACE, LONGEST)


def _payload(request: HttpRequest, path: str, headers: dict[str, str], ends: float) -> bytes:
    """The event that a function is invoked with. Raises `BodyTooLarge`."""
    sent = HttpRequest(request.method, path, request.query, headers, request.body, request.caller)
    payload = events.envelope(sent, _moment(ends - time.monotonic()))
    if len(payload) > events.REQUEST_LIMIT:
        raise BodyTooLarge(
            f"The body has {len(request.body)} bytes, and the request {len(payload)} as a function gets it; "
            f"Lambda takes {events.REQUEST_LIMIT}.",
            hint="Split the request.",
        )
    return payload


def _worth_retrying(response: HttpResponse) -> bool:
    """True for a transient failure of the store. `REPLICA_LAG` is excluded: the reader has already waited.

    So is a mutation beyond the writer's rate: others would only come later.
    """
    passing = response.status == 503 and response.retryable
    return passing and response.code != ReplicaLag.code and not _is_beyond_rate(response)


def _is_beyond_rate(response: HttpResponse) -> bool:
    """True if the writer itself refused a mutation. What Lambda throttles has no response."""
    return response.code == Throttled.code


def _seconds_left(context: Any) -> float:
    remaining = getattr(context, "get_remaining_time_in_millis", None)
    left = remaining() / 1000 - _MARGIN if remaining is not None else LONGEST
    return min(left, LONGEST)
