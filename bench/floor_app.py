"""The floor behind HTTP: the same hand-written answers as an RSGI application, for granian.

The database is the file that the environment variable `BENCH_FLOOR` names.
"""

import os
from typing import Any

import apsw

from bench.floor import Floor
from bench.workloads import WORKLOADS

_HEADERS = [("content-type", "application/json")]

_connection = apsw.Connection(os.environ["BENCH_FLOOR"])
_connection.execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA cache_size = -65536")
_floor = Floor(_connection, {work.document: (work.field, work.handler) for work in WORKLOADS})


async def app(_scope: Any, wire: Any) -> None:
    wire.response_bytes(200, _HEADERS, _floor.answer(await wire()))
