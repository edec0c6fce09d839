"""Responses to requests that are not executed."""

from typing import Any, Final

import orjson

from lamdb.errors import LamdbError, MethodNotAllowed
from lamdb.graphql.transport.wire import RETRY_AFTER_SECONDS, HttpRequest, HttpResponse

JSON: Final = "application/json"
_UNAUTHORIZED: Final = 401


def refusal(error: LamdbError) -> HttpResponse:
    """Returns the response to a request that was not executed: `message` and `error` say the same."""
    message = error.public or error.message
    body: dict[str, Any] = {"message": message, "error": message, "code": error.code}
    if error.hint:
        body["hint"] = error.hint
    if error.retryable:
        body["retryable"] = True
    headers = {"content-type": JSON, "cache-control": "no-store"}
    if error.status == _UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    if error.retryable:
        headers["retry-after"] = RETRY_AFTER_SECONDS
    return HttpResponse(error.status, headers, orjson.dumps(body), error.code, error.retryable, failed=True)


def version(request: HttpRequest) -> HttpResponse:
    """Returns the response to a client that asks whether a version of the protocol is known.

    Raises `MethodNotAllowed`.
    """
    if request.method not in ("GET", "HEAD"):
        raise MethodNotAllowed(f"{request.path} allows only GET.", allow=["GET", "HEAD"], hint="")
    return HttpResponse(200, {"content-type": JSON}, b"{}")
