"""Answers GraphQL requests from the store: the common part of reader and writer."""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Self

from lamdb.access.identity import Role
from lamdb.cluster.invocation import events
from lamdb.cluster.invocation.events import SCHEMA_PATH as SCHEMA
from lamdb.cluster.invocation.events import Events, EventSource, OperatorCommand, Received
from lamdb.cluster.invocation.health import HEALTH, health
from lamdb.cluster.invocation.roles import NO_WRITES, caller_of, role_of
from lamdb.cluster.rate_limit import Rate
from lamdb.cluster.routing.sql_requests import MISDIRECTED
from lamdb.cluster.routing.sql_requests import answers as is_sql
from lamdb.cluster.runtime import metrics
from lamdb.cluster.runtime.observability import Observer, Unit
from lamdb.cluster.runtime.snapstart import after_restore
from lamdb.errors import Forbidden, LamdbError, MalformedRequest, NoSchema, NotFound, StorageError
from lamdb.graphql.apis import Apis
from lamdb.graphql.errors import INTERNAL_MESSAGE
from lamdb.graphql.from_settings import open_database, serving
from lamdb.graphql.search_tokens import require_search_path
from lamdb.graphql.transport import deferred, http
from lamdb.graphql.transport.http import HttpOptions, HttpRequest, HttpResponse
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.budget import NEVER, Deadline
from lamdb.storage.stores.objectstore import ObjectStore

if TYPE_CHECKING:
    from lamdb.cluster.sql import LambdaSqlEndpoint
    from lamdb.operator.api import OperatorApi

_MARGIN_SECONDS: Final = 1.0
"""Seconds kept back from an invocation's time for rolling back and answering; at most a tenth of it."""
_AFTERWARDS_SECONDS: Final = 5.0
"""Time that a request must have left for what is done after it."""
_TRACES_OFF: Final = "POWERTOOLS_TRACE_DISABLED"
_TRACES_DAEMON: Final = "AWS_XRAY_DAEMON_ADDRESS"

type Task = Callable[["Service", OperatorCommand, Deadline], dict[str, Any]]
type Afterwards = Callable[["Service", bool], None]
type Applier = Callable[["Service", Mapping[str, Any], Deadline], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class FunctionRole:
    """The differences between reader and writer: where they answer, whether they write, what else they do."""

    name: str
    path: str
    read_only: bool
    tasks: Mapping[str, Task]
    applies: Applier | None = None
    """Applies events of other services and returns the response to them."""
    afterwards: Afterwards | None = None
    """Called after a request of the proxy: True if the proxy had to wait for this function."""


class Service:
    """One execution environment: the database and its APIs are opened once and serve every invocation."""

    def __init__(self, role: FunctionRole, settings: Settings) -> None:
        self.role = role
        self.settings = settings
        self.observer = Observer(role.name)
        self._paths = frozenset({"/graphql", role.path})
        self.options = HttpOptions.from_settings(settings, read_only=role.read_only)
        self.rate = None if role.read_only else Rate.of(settings.write_rate, settings.write_burst)
        self._database: Database | None = None
        self._apis = serving(settings)
        self._operator: OperatorApi | None = None
        self._sql: LambdaSqlEndpoint | None = None

    @property
    def database(self) -> Database:
        """Opened when it is first asked for. Raises `SettingsError`, `StorageError`."""
        if self._database is None:
            self._database = open_database(self.settings, wrap=self._wrap)
        return self._database

    def _wrap(self, store: ObjectStore) -> ObjectStore:
        after_restore(store.renew)
        traced = _tracing(os.environ)
        return traced(store) if traced else store

    @property
    def apis(self) -> Apis:
        return self._apis

    def warm_up(self) -> None:
        """Does what the first request would have to wait for. What fails here fails again there."""
        self.observer.adopt_library_logs()
        try:
            self._apis.newest(self.database)
        except (NoSchema, StorageError) as error:
            self.observer.logger.warning("not ready yet", extra={"code": error.code, "reason": str(error)})

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """The handler. Raises `MalformedRequest` for what is no event, and what a task raises."""
        with self.observer.invocation(context):
            received = events.read(event)
            if isinstance(received, OperatorCommand):
                return self._run(received, deadline_of(context))
            if isinstance(received, Events):
                return self._apply(received, deadline_of(context))
            self.observer.correlate(received.correlation_id)
            deadline = deadline_of(context)
            if received.deadline is not None:
                deadline = deadline.earlier(Deadline.after(received.deadline - time.time()))
            response = self._answer(received, deadline)
            if (
                self.role.afterwards is not None
                and received.source is EventSource.INTERNAL
                and deadline.remaining() >= _AFTERWARDS_SECONDS
            ):
                self._work_afterwards(self.role.afterwards, received)
            return events.reply(received, response)

    def _work_afterwards(self, work: Afterwards, received: Received) -> None:
        """Does other work in an invocation whose request is answered. An error does not change the answer."""
        before = _Counters.of(self.database)
        try:
            work(self, events.CONTENDED_HEADER in received.request.headers)
        except Exception:
            self.observer.logger.exception("internal error after a request")
            self.observer.count(metrics.OPERATION_ERRORS)
        self._measure_commits(before, _Counters.of(self.database))

    def _run(self, command: OperatorCommand, deadline: Deadline) -> dict[str, Any]:
        task = self.role.tasks.get(command.operation)
        if task is None:
            raise MalformedRequest(
                f"The {self.role.name} knows no operation {command.operation!r}.",
                hint=f"It knows: {', '.join(self.role.tasks)}.",
            )
        done = task(self, command, deadline)
        self.observer.logger.info("ran " + command.operation, extra=done)
        return done

    def _apply(self, received: Events, deadline: Deadline) -> dict[str, Any]:
        if self.role.applies is None:
            raise MalformedRequest(f"The {self.role.name} takes no events.", hint="Send them to the writer.")
        before = _Counters.of(self.database)
        try:
            return self.role.applies(self, received.event, deadline)
        except LamdbError as error:
            self.observer.failed(error)
            self.observer.count(metrics.OPERATION_ERRORS)
            raise
        finally:
            self._measure_commits(before, _Counters.of(self.database))

    def _answer(self, received: Received, deadline: Deadline) -> HttpResponse:
        request = received.request
        try:
            if received.refused is not None:
                raise received.refused
            if request.path in HEALTH:
                return health(self.database.txid)
            require_search_path(request.path, request.headers, *self._paths)
            if received.is_operators:
                return self._operate(request, deadline, direct=received.source is EventSource.DIRECT)
            role = role_of(received.context, self.settings) if received.is_judged else Role.WRITE
            if request.path == SCHEMA:
                return self._schema(request)
            if received.source is EventSource.INTERNAL and self.settings.sql and is_sql(request.path):
                return self._answer_sql(request, deadline)
            if received.is_judged:
                request = replace(request, caller=caller_of(received.context, role))
            if request.path.startswith(deferred.PREFIX):
                return self._state_of_write(request)
            if request.path not in self._paths:
                raise NotFound(f"There is nothing at {request.path}.")
            return self._graphql(request, deadline, role)
        except LamdbError as error:
            self.observer.failed(error)
            self.observer.count(metrics.OPERATION_ERRORS)
            return http.refusal(error)
        except Exception:
            self.observer.logger.exception("internal error while answering a request")
            self.observer.count(metrics.OPERATION_ERRORS)
            return http.refusal(LamdbError(INTERNAL_MESSAGE))

    def _answer_sql(self, request: HttpRequest, deadline: Deadline) -> HttpResponse:
        if self._sql is None:
            from lamdb.cluster.sql import LambdaSqlEndpoint  # few stacks

            self._sql = LambdaSqlEndpoint(
                self.database, self.settings, self.options, read_only=self.role.read_only
            )
        before = _Counters.of(self.database)
        started = time.perf_counter()
        # The proxy sends the writer what is to be committed, and nothing else.
        response = self._sql.answer(request, deadline, self.rate)
        milliseconds = (time.perf_counter() - started) * 1000
        wrote = _Counters.of(self.database).commits > before.commits
        self._measure(before, wrote, len(request.body if wrote else response.body), milliseconds)
        if response.status >= 400 and response.status != MISDIRECTED:
            self.observer.count(metrics.OPERATION_ERRORS)
        return response

    def _schema(self, request: HttpRequest) -> HttpResponse:
        from lamdb.cluster.invocation import schema_text  # few requests

        http.catch_up(self.database, request.headers, self.options)
        return schema_text.answer(self._apis, self.database, request)

    def _state_of_write(self, request: HttpRequest) -> HttpResponse:
        from lamdb.cluster import mutation_results  # few requests

        return mutation_results.answer(self.database, request)

    def _operate(self, request: HttpRequest, deadline: Deadline, *, direct: bool) -> HttpResponse:
        """The operator API, loaded when it is first asked for."""
        if self._operator is None:
            from lamdb.operator.api import OperatorApi, OperatorContext

            context = OperatorContext(self.database, self._apis, self.settings, read_only=self.role.read_only)
            self._operator = OperatorApi(context)
        response = self._operator.handle(request, direct=direct, deadline=deadline)
        if response.failed:
            self.observer.count(metrics.OPERATION_ERRORS)
        return response

    def _graphql(self, request: HttpRequest, deadline: Deadline, role: Role) -> HttpResponse:
        call = http.receive(request, self.options.persisted)
        if isinstance(call, HttpResponse):
            self.observer.count(metrics.OPERATION_ERRORS)
            return call
        if role == Role.READ and http.is_mutation(self._apis, call):
            raise Forbidden(NO_WRITES)
        if self.rate is not None and http.is_mutation(self._apis, call):
            self.rate.take()
        before = _Counters.of(self.database)
        started = time.perf_counter()
        response = self._answered(call, deadline)
        milliseconds = (time.perf_counter() - started) * 1000
        mutates = response.kind == "mutation"
        if response.kind is None:
            mutates = http.is_mutation(self._apis, call)
        self._measure(before, mutates, len(request.body if mutates else response.body), milliseconds)
        if response.failed:
            self.observer.count(metrics.OPERATION_ERRORS)
        return response

    def _answered(self, call: http.Call, deadline: Deadline) -> HttpResponse:
        options = self.options
        if not http.accepts_gzip(call.headers) and options.costs.max_bytes > events.BODY_LIMIT:
            # A mutation whose answer cannot be sent is better not kept.
            options = replace(options, costs=replace(options.costs, max_bytes=events.BODY_LIMIT))
        try:
            budget = http.budget_of(call.headers, options, deadline)
        except LamdbError as error:
            return http.refusal(error, call.media_type)
        return http.answer(self._apis, self.database, call, options, budget)

    def _measure(self, before: "_Counters", mutates: bool, size: int, milliseconds: float) -> None:
        """`size`: bytes that came with a mutation, or that answer a query."""
        count, after = self.observer.count, _Counters.of(self.database)
        count(metrics.WRITE_OPERATIONS if mutates else metrics.READ_OPERATIONS)
        count(metrics.WRITE_THROUGHPUT if mutates else metrics.READ_THROUGHPUT, size, Unit.BYTES)
        count(metrics.WRITE_LATENCY if mutates else metrics.READ_LATENCY, milliseconds, Unit.MILLISECONDS)
        count(metrics.PAGE_FETCHES, after.fetches - before.fetches)
        if not mutates:
            count(metrics.REPLICA_LAG, after.txid - before.txid)
        self._measure_commits(before, after)

    def _measure_commits(self, before: "_Counters", after: "_Counters") -> None:
        count = self.observer.count
        if after.fenced > before.fenced:
            count(metrics.FENCED_COMMITS, after.fenced - before.fenced)
        if after.commits > before.commits:
            seconds = after.commit_seconds - before.commit_seconds
            count(metrics.COMMIT_LATENCY, seconds * 1000, Unit.MILLISECONDS)
            count(metrics.DATABASE_SIZE, after.size, Unit.BYTES)


def deadline_of(context: Any) -> Deadline:
    """When the answer to an invocation must be ready: a while before Lambda ends the environment."""
    if not hasattr(context, "get_remaining_time_in_millis"):
        return NEVER
    remaining = context.get_remaining_time_in_millis() / 1000
    return Deadline.after(max(0.0, remaining - min(_MARGIN_SECONDS, remaining / 10)))


def _tracing(environ: Mapping[str, str]) -> Callable[[ObjectStore], ObjectStore] | None:
    """Returns the store with its requests recorded as subsegments of traces, where Lambda's tracing is on."""
    if environ.get(_TRACES_OFF, "true") != "false" or _TRACES_DAEMON not in environ:
        return None
    from lamdb.cluster.runtime.tracing import XRayStore

    return XRayStore


@dataclass(frozen=True, slots=True)
class _Counters:
    """The work of storage so far in this environment, where one request is answered at a time."""

    txid: int
    size: int
    commits: int
    commit_seconds: float
    fenced: int
    fetches: int

    @classmethod
    def of(cls, database: Database) -> Self:
        pages = database.pages
        head = pages.head
        return cls(
            head.txid,
            head.commit * head.page_size,
            pages.commits,
            pages.commit_seconds,
            pages.fenced,
            pages.fetcher.requests,
        )
