"""A process that reads through Litestream's own VFS, which brings a Go runtime into the process.

Each line of standard input is a query: `{"sql": …, "until": …}`. It is run until its first value is `until`,
once if there is none; the answer is `{"seconds": …, "value": …}`. The first query also opens the database.
"""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import apsw

_PAUSE: Final = 0.002


def main(extension: str) -> None:
    with closing(apsw.Connection(":memory:")) as loader:
        loader.enable_load_extension(True)
        loader.load_extension(extension)
        for answer in _answers():
            print(json.dumps(answer), flush=True)


def _answers() -> Iterator[dict[str, Any]]:
    connection: apsw.Connection | None = None
    for line in sys.stdin:
        query = json.loads(line)
        started = time.perf_counter()
        if connection is None:
            flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
            connection = apsw.Connection("file:bench.db?vfs=litestream", flags=flags)
        value = _first_value(connection, query["sql"])
        while "until" in query and value != query["until"]:
            time.sleep(_PAUSE)
            value = _first_value(connection, query["sql"])
        yield {"seconds": time.perf_counter() - started, "value": value}


def _first_value(connection: apsw.Connection, sql: str) -> Any:
    return connection.execute(sql).get


if __name__ == "__main__":
    main(sys.argv[1])
