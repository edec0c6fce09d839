"""Commits of one row each, beside bare puts of as many bytes; and many writers at once."""

import threading
import time
from collections.abc import Callable, Iterator

import apsw

from bench.storage.figures import BARE_PUT, DIRECTORY, LAMDB, RESTORE, VFS, Figure, middle, on_s3, p99
from bench.storage.laboratory import Laboratory, noted
from bench.storage.s3 import SCRATCH
from lamdb.storage import Database, ObjectStore, open_store

SCENARIO = "commit"
COMMIT = "one row"

_CANNOT = {
    RESTORE: "cannot: it only reads",
    VFS: "cannot: it reads; its write mode uploads at intervals",
}


def run(laboratory: Laboratory) -> Iterator[Figure]:
    yield from _alone(
        laboratory, (laboratory.server.root / SCRATCH / laboratory.scratch()).as_uri(), DIRECTORY
    )
    for latency in laboratory.latencies():
        yield from _alone(laboratory, laboratory.server.url(laboratory.scratch()), on_s3(latency))
        yield from _together(laboratory, on_s3(latency))
    for contender, reason in _CANNOT.items():
        yield noted(Figure(SCENARIO, COMMIT, "any", contender), reason)


def _alone(laboratory: Laboratory, url: str, store: str) -> Iterator[Figure]:
    """Commits and bare puts take turns, so that whatever disturbs the machine disturbs both."""
    with Database.open(url) as database:
        body = bytes(_create(database, open_store(url)))
        bare = open_store(_beside(url))
        commits, puts, requests = [], [], 0
        for number in range(laboratory.scale.commits):
            laboratory.server.reset()
            commits.append(_milliseconds(lambda: _insert(database)))
            requests += laboratory.server.counts().total
            puts.append(_milliseconds(lambda: bare.put_new(str(number), body, timestamp_ms=0)))  # noqa: B023
        for contender, times, asked in ((LAMDB, commits, requests), (BARE_PUT, puts, len(puts))):
            yield Figure(
                SCENARIO,
                COMMIT,
                store,
                contender,
                ms=middle(times),
                p99_ms=p99(times),
                requests=None if store == DIRECTORY else asked / len(times),
                runs=len(times),
            )


def _beside(url: str) -> str:
    return f"{url}-bare"


def _create(database: Database, store: ObjectStore) -> int:
    """Makes the table; how many bytes a commit of one row puts then."""
    with database.writer() as connection:
        connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, body TEXT)")
    for _ in range(2):
        _insert(database)
    return max(entry.size for entry in store.list())


def _insert(database: Database) -> None:
    with database.writer() as connection:
        _add_row(connection)


def _add_row(connection: apsw.Connection) -> None:
    connection.execute("INSERT INTO item(body) VALUES('one row of a few dozen bytes, as they come')")


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - started)


def _together(laboratory: Laboratory, store: str) -> Iterator[Figure]:
    """Threads that write as fast as they can, each waiting for its own commits."""
    for writers in (1, laboratory.scale.writers):
        with Database.open(laboratory.server.url(laboratory.scratch())) as database:
            _create_table(database)
            laboratory.server.reset()
            times, seconds = _write_together(database, writers, laboratory.scale.writing_seconds)
            yield Figure(
                SCENARIO,
                f"{writers} writer{'s' if writers > 1 else ''} at once",
                store,
                LAMDB,
                ms=middle(times),
                p99_ms=p99(times),
                requests=laboratory.server.counts().total / len(times),
                runs=len(times),
                note=f"{len(times) / seconds:,.0f} commits/s",
            )


def _create_table(database: Database) -> None:
    with database.writer() as connection:
        connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, body TEXT)")


def _write_together(database: Database, writers: int, seconds: float) -> tuple[list[float], float]:
    """Milliseconds of every write, and the seconds that all took."""
    times: list[float] = []
    started = time.monotonic()
    end = started + seconds

    def write() -> None:
        while time.monotonic() < end:
            times.append(_milliseconds(lambda: database.write(_add_row)))

    threads = [threading.Thread(target=write) for _ in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times, time.monotonic() - started
