"""The proxy's part in SQL over HTTP: routes a request to a function and names its caller."""

import uuid
from collections.abc import Callable
from typing import Final

from lamdb.cluster.invocation.events import Received
from lamdb.cluster.invocation.sql_callers import PRINCIPAL_HEADER, ROLE_HEADER, identify
from lamdb.errors import LamdbError, MethodNotAllowed
from lamdb.graphql.transport.wire import ATTEMPTS_HEADER, HttpResponse, idempotency_key
from lamdb.hrana.protocol.error_responses import refusal, version
from lamdb.hrana.routing import PATHS, PROBES, needs_writer
from lamdb.settings import Settings

MISDIRECTED: Final = 421
"""Status by which a reader says that only the writer can answer."""

type Send = Callable[[str, dict[str, str]], HttpResponse]
"""Sends the request to a function, with these headers."""


def answers(path: str) -> bool:
    """True if a path is one of SQL over HTTP."""
    return PATHS.fullmatch(path) is not None


def answer(received: Received, settings: Settings, headers: dict[str, str], send: Send) -> HttpResponse:
    """Returns the response; failures have the protocol's form."""
    try:
        return _answer(received, settings, headers, send)
    except LamdbError as error:
        return refusal(error)


def _answer(received: Received, settings: Settings, headers: dict[str, str], send: Send) -> HttpResponse:
    request = received.request
    if PROBES.fullmatch(request.path):
        return version(request)
    if request.method != "POST":
        raise MethodNotAllowed(f"{request.path} allows only POST.", allow=["POST"], hint="")
    headers[ROLE_HEADER], headers[PRINCIPAL_HEADER] = identify(received.context, settings)
    if headers[ROLE_HEADER] == "read" or not needs_writer(request.body):
        response = send(settings.reader_function, headers)
        if response.status != MISDIRECTED:
            return response
    if idempotency_key(headers) is None:
        # What is sent again by the proxy is executed once.
        headers[ATTEMPTS_HEADER] = str(uuid.uuid4())
    return send(settings.writer_function, headers)
