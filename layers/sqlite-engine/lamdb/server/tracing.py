"""Traces by OpenTelemetry: a span per request, and one per request to the store on its behalf.

Loaded only if `LAMDB_OTEL` is set: without it, no request passes through this module. The SDK reads the
standard `OTEL_…` variables (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
Names of attributes are those of its conventions for HTTP; lamDB's own begin with `lamdb.`.
"""

import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

import lamdb
from lamdb.server.exchange import Exchange, Head
from lamdb.server.http1 import HttpApplication
from lamdb.server.paths import kind_of
from lamdb.storage.stores.objectstore import ObjectStore
from lamdb.storage.stores.wrappers import ObservingStore

_NAMES: Final = {
    "put_new": "commit",
    "get_range": "page fetch",
    "get_suffix": "file index",
    "get": "file",
    "list": "list of files",
}
_NAMELESS: Final = frozenset({"page", "state"})
"""Kinds whose paths are many: they are not part of a span's name."""


class Tracing:
    """The spans of one server, which a thread of the SDK sends."""

    def __init__(self) -> None:
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("lamdb", lamdb.__version__)

    def store(self, inner: ObjectStore) -> ObjectStore:
        """Returns the store with its requests recorded."""
        return OtelStore(inner, self._tracer)

    def app(self, inner: HttpApplication) -> HttpApplication:
        """Returns the application with its requests recorded."""
        return TracedApplication(inner, self._tracer)

    def close(self) -> None:
        """Sends what is left."""
        self._provider.shutdown()


class TracedApplication:
    """An application with a span around each request."""

    def __init__(self, inner: HttpApplication, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    async def __rsgi__(self, scope: Any, wire: Any) -> None:
        span = self._begin(scope.method, scope.path, scope.headers)
        token = context.attach(trace.set_span_in_context(span))
        observed = _ObservedWire(wire)
        try:
            await self._inner.__rsgi__(scope, observed)
        finally:
            context.detach(token)
            _end(span, observed.status, observed.headers)

    def at_once(self, head: Head, body: bytes, date: str) -> list[bytes] | None:
        started = time.time_ns()
        pieces = self._inner.at_once(head, body, date)
        if pieces is not None:
            _end(self._begin(head.method, head.path, head.headers, started), 200, {})
        return pieces

    def begin(self, exchange: Exchange, body: bytes) -> bool:
        """Leaves mutations to tasks, in whose context the spans of their commits are made."""
        return False

    def _begin(self, method: str, path: str, headers: Mapping[str, str], started: int | None = None) -> Span:
        """`started`: Unix time in nanoseconds; now by default."""
        kind = kind_of(path)
        return self._tracer.start_span(
            method if kind in _NAMELESS else f"{method} {path}",
            context=extract(headers),
            kind=SpanKind.SERVER,
            start_time=started,
            attributes={"http.request.method": method, "url.path": path, "lamdb.kind": kind},
        )


def _end(span: Span, status: int | None, headers: Mapping[str, str]) -> None:
    if status is None:
        span.set_attribute("error.type", "client_gone")
    else:
        span.set_attribute("http.response.status_code", status)
        if status >= 500:
            span.set_status(Status(StatusCode.ERROR))
    for attribute, header in (("lamdb.request_id", "x-request-id"), ("lamdb.txid", "x-lamdb-txid")):
        if header in headers:
            span.set_attribute(attribute, headers[header])
    span.end()


class _ObservedWire:
    """The way to a client. `status` and `headers` are those of the response, once there is one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}

    async def __call__(self) -> bytes:
        body: bytes = await self._inner()
        return body

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = aiter(self._inner)
        return chunks

    async def client_disconnect(self) -> None:
        await self._inner.client_disconnect()

    def response_bytes(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.status, self.headers = status, dict(headers)
        self._inner.response_bytes(status, headers, body)

    def response_begin(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.status, self.headers = status, dict(headers)
        self._inner.response_begin(status, headers)

    async def response_piece(self, piece: bytes) -> None:
        await self._inner.response_piece(piece)

    def response_end(self) -> None:
        self._inner.response_end()


class OtelStore(ObservingStore):
    """A store whose requests are spans below that of the client's request, if there is one.

    Maintenance and read-ahead have no such request, and are not recorded.
    """

    def __init__(self, inner: ObjectStore, tracer: Tracer) -> None:
        super().__init__(inner)
        self._tracer = tracer

    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        if not trace.get_current_span().is_recording():
            return call()
        name = _NAMES.get(operation, operation)
        attributes = {"lamdb.store.operation": operation, "lamdb.store.key": key}
        with self._tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
            return call()


def _resource() -> Resource:
    """The server's name is `lamdb`, unless a variable says otherwise."""
    found = Resource.create()
    if str(found.attributes["service.name"]).startswith("unknown_service"):
        found = found.merge(Resource({"service.name": "lamdb"}))
    return found.merge(Resource({"service.version": lamdb.__version__}))
