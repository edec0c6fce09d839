"""The three functions as `sam local` runs them.

The proxy has reader and writer in its own process, since its container cannot call other functions. Both are
one service with one database, so that each read sees the write before it.
"""

import os
from dataclasses import dataclass, replace
from typing import Final

import orjson

from lamdb.cluster import reader as readers
from lamdb.cluster import writer as writers
from lamdb.cluster.invocation.events import OPERATOR_PATH, Received
from lamdb.cluster.invocation.queued_mutation import Write
from lamdb.cluster.proxy import Proxy
from lamdb.cluster.routing.invoke import LONGEST, Invoker
from lamdb.cluster.routing.mutation_queue import Queue
from lamdb.cluster.runtime.observability import Observer
from lamdb.cluster.service import FunctionRole, Service
from lamdb.errors import Forbidden
from lamdb.graphql.transport import studio
from lamdb.graphql.transport.wire import HttpResponse, refusal
from lamdb.samlocal.store import fill, local_settings
from lamdb.server.hosts import Hosts
from lamdb.settings import Settings

_LOOPBACK: Final = "127.0.0.1"
"""Where `sam local start-api` listens by default."""

_OWN_PAGES_ONLY: Final = studio.NEED_RIGHTS | {OPERATOR_PATH}


class LocalProxy(Proxy):
    """A proxy that lets operators in without a signature, because SAM's API checks none.

    As in the standalone server, their requests and those of the studio must be addressed to a loopback name,
    and may not come from a page of another origin.
    """

    def __init__(
        self, settings: Settings, invoke: Invoker, observer: Observer, later: Queue | None = None
    ) -> None:
        super().__init__(settings, invoke, observer, later=later)
        self._hosts = Hosts(settings, _LOOPBACK)

    def _answer(self, received: Received, request_id: str, ends: float) -> HttpResponse:
        path = received.request.path
        if path in _OWN_PAGES_ONLY and not received.is_operators:
            try:
                self._hosts.check(received.request)
            except Forbidden as error:
                return refusal(error)
            received = replace(received, is_operators=path == OPERATOR_PATH)
        return super()._answer(received, request_id, ends)


@dataclass(frozen=True, slots=True)
class InProcess:
    """Answers in the proxy's own process whatever it would send to another function."""

    service: Service

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        return orjson.dumps(self.service.handle(orjson.loads(payload), _Time(seconds)))


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Executes writes whose clients do not wait. The clients are answered afterwards."""

    service: Service

    def send(self, write: Write, again: int = 0) -> None:
        self.service.handle(orjson.loads(write.written()), _Time(LONGEST))


@dataclass(frozen=True, slots=True)
class _Time:
    """The part of Lambda's context object that a service reads."""

    seconds: float

    def get_remaining_time_in_millis(self) -> int:
        return int(self.seconds * 1000)


def proxy() -> Proxy:
    """The proxy of this container."""
    service = _service(writers.role())
    return LocalProxy(service.settings, InProcess(service), Observer("proxy"), AtOnce(service))


def reader() -> Service:
    """The reader of this container."""
    return _service(readers.ROLE)


def writer() -> Service:
    """The writer of this container."""
    return _service(writers.role())


def _service(role: FunctionRole) -> Service:
    settings = local_settings(os.environ)
    made = Service(role, settings)
    made.observer.adopt_library_logs()
    fill(settings)
    made.warm_up()
    return made
