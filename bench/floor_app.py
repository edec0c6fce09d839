"""The floor behind HTTP: the same hand-written answers as an ASGI application, for uvicorn.

The database is the file that the environment variable `BENCH_FLOOR` names.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any

import apsw

from bench.floor import Floor
from bench.workloads import WORKLOADS

type Receive = Callable[[], Awaitable[dict[str, Any]]]
type Send = Callable[[dict[str, Any]], Awaitable[None]]

_connection = apsw.Connection(os.environ["BENCH_FLOOR"])
_connection.execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536")
_floor = Floor(_connection, {work.document: (work.field, work.handler) for work in WORKLOADS})


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = _floor.answer(body)
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
