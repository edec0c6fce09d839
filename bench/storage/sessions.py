"""Reads in an open database: in a session that has the pages, and with a look at the store before each."""

import time
from collections.abc import Iterator

from bench.storage.figures import LAMDB, Figure, middle, on_s3, p99
from bench.storage.laboratory import Laboratory
from bench.storage.s3 import DATA
from lamdb.storage import Database

SCENARIO = "reads in an open database"


def run(laboratory: Laboratory) -> Iterator[Figure]:
    dataset = laboratory.dataset(min(laboratory.scale.sizes))
    sql = f"SELECT body FROM item WHERE id = {dataset.rows // 2}"
    for latency in laboratory.latencies():
        with Database.open(laboratory.server.url(dataset.name, DATA), create=False) as database:
            _read(database, sql)
            for case, strong in (("session, warm", False), ("strong", True)):
                reads = laboratory.scale.warm_reads // (10 if strong else 1)
                laboratory.server.reset()
                times = [_timed(database, sql, strong=strong) for _ in range(reads)]
                requests = laboratory.server.counts().total / reads
                yield Figure(
                    SCENARIO,
                    case,
                    on_s3(latency),
                    LAMDB,
                    ms=middle(times),
                    p99_ms=p99(times),
                    requests=requests,
                    runs=reads,
                )


def _read(database: Database, sql: str) -> None:
    with database.reader() as connection:
        connection.execute(sql).fetchall()


def _timed(database: Database, sql: str, *, strong: bool) -> float:
    """Milliseconds."""
    started = time.perf_counter()
    if strong:
        database.refresh()
    _read(database, sql)
    return 1000 * (time.perf_counter() - started)
