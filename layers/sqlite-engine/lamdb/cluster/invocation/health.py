"""The response to health checks of a function."""

from typing import Any, Final

import orjson

import lamdb
from lamdb.graphql.transport.wire import HttpResponse

HEALTH: Final = frozenset({"/health", "/healthz"})


def health(txid: int | None = None) -> HttpResponse:
    """Reports that the function runs, and the newest transaction that it knows."""
    about: dict[str, Any] = {"status": "ok", "version": lamdb.__version__}
    if txid is not None:
        about["txid"] = txid
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return HttpResponse(200, headers, orjson.dumps(about))
