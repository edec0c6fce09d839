"""A client of SQL over HTTP, and its errors."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from lamdb.errors import LamdbError, QueryError, RemoteError
from lamdb.graphql.transport.wire import HttpResponse

PIPELINE: Final = "/v3/pipeline"
"""The path of the libSQL protocol to which requests are sent."""

_SHOWN: Final = 200
"""Characters that an error shows of an answer that is not lamDB's."""

_HINTS: Final = {
    401: "Set LAMDB_TOKEN or LAMDB_API_KEY, or sign the request with --sign.",
    403: "Set LAMDB_TOKEN or LAMDB_API_KEY, or sign the request with --sign as someone who may do this.",
    404: "Give the address without a path, and with the stage if it is API Gateway's; SQL over HTTP must be "
    "on there (LAMDB_SQL, on AWS the parameter SqlEndpoint).",
}


class SqlTarget(Protocol):
    """A way to SQL over HTTP."""

    @property
    def name(self) -> str:
        """For people: `the store file:///srv/shop`."""

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Return the answer to a pipeline, whose status is 200.

        Raises `QueryError` if lamDB refused it, `RemoteError` if something else did, `RemoteUnavailable`,
        `StorageError`.
        """

    def close(self) -> None: ...


def refusal(name: str, status: int, body: bytes) -> LamdbError:
    """Returns the error for a response without results: lamDB's own, or that of a proxy in front."""
    try:
        answer: Any = json.loads(body)
    except ValueError:
        answer = None
    said = answer if isinstance(answer, dict) else {}
    message, code = said.get("message"), said.get("code")
    if isinstance(message, str) and isinstance(code, str):
        return QueryError(message, code=code, hint=str(said.get("hint") or _HINTS.get(status, "")))
    text = str(message or body[:_SHOWN].decode(errors="replace")).strip()
    return RemoteError(f"{name} answered {status}{f': {text}' if text else ''}", hint=_HINTS.get(status))
