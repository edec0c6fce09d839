"""The answer to whoever asks whether a function runs."""

from typing import Any, Final

import orjson

import lamdb
from lamdb.graphql.transport.wire import HttpResponse

HEALTH: Final = frozenset({"/health", "/healthz"})


def health(txid: int | None = None) -> HttpResponse:
    """That the function runs, and how far it knows the database."""
    about: dict[str, Any] = {"status": "ok", "version": lamdb.__version__}
    if txid is not None:
        about["txid"] = txid
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return HttpResponse(200, headers, orjson.dumps(about))
