"""`python -m bench.writes`: what sharing commits brings, on stores that take 20 ms per request.

Writers that do nothing else, in one process and as HTTP clients of `lamdb serve`; each writes again as soon
as its last write is durable.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import apsw
from rich.console import Console
from rich.table import Table
from tests.support.http_writers import write_concurrently
from tests.support.s3_faults import FaultyS3

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.storage import Database
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

_WRITERS = (1, 4, 16, 64)
_SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Note {
  id   Int    @id @default(autoincrement())
  text String
}
"""
_CREATE = 'mutation { createOneNote(data: { text: "hello" }) { id } }'


class Rate(NamedTuple):
    """`times`: the seconds that each write took."""

    writers: int
    seconds: float
    times: list[float]
    puts: int


def in_process(writers: int, latency: float, seconds: float) -> Rate:
    counting = CountingStore(memory_store())
    store = SlowStore(counting, 0)
    times: list[float] = []
    with Database(store) as database:
        database.write(lambda c: c.execute("CREATE TABLE note(id INTEGER PRIMARY KEY, text)").fetchall())
        store.latency = latency
        counting.reset()
        end = time.monotonic() + seconds

        def insert(connection: apsw.Connection) -> int:
            connection.execute("INSERT INTO note(text) VALUES('hello')")
            return connection.last_insert_rowid()

        def write() -> None:
            while (begun := time.monotonic()) < end:
                database.write(insert)
                times.append(time.monotonic() - begun)

        threads = [threading.Thread(target=write) for _ in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return Rate(writers, seconds, times, counting.requests["put_new"])


def over_http(latency: float, seconds: float, folder: Path) -> list[Rate]:
    (folder / "schema.prisma").write_text(_SCHEMA)
    with FaultyS3() as s3:
        os.environ.update(s3.environment)
        with Database.open(s3.url) as database, database.writer() as connection:
            push(connection, PrismaSchema.parse(_SCHEMA))
        program = Path(sys.executable).with_name("lamdb")
        command = [program, "serve", "--push", "--store", s3.url, "--database", folder, "--port", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                url = next(line for line in process.stdout if "/graphql" in line).split()[-1]
                return [_http_rate(url, s3, writers, latency, seconds) for writers in _WRITERS]
            finally:
                process.terminate()


def _http_rate(url: str, s3: FaultyS3, writers: int, latency: float, seconds: float) -> Rate:
    body = json.dumps({"query": _CREATE}).encode()
    write_concurrently(url, [body] * 50, writers)
    s3.set(latency=latency)
    s3.reset()
    count = round(seconds / latency / 2 * max(2, writers))
    begun = time.monotonic()
    times, wrong = write_concurrently(url, [body] * count, writers)
    taken = time.monotonic() - begun
    assert not wrong, wrong[0]
    puts = s3.counts()["PUT"]
    s3.set()
    return Rate(writers, taken, times, puts)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.writes", description=__doc__)
    parser.add_argument("--latency", type=float, default=0.02, help="seconds per request to the store")
    parser.add_argument("--seconds", type=float, default=3.0, help="per figure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lamdb-bench-") as folder:
        rates = {
            "in process": [in_process(writers, options.latency, options.seconds) for writers in _WRITERS],
            "over HTTP": over_http(options.latency, options.seconds, Path(folder)),
        }
    table = Table(title=f"{options.latency * 1000:g} ms per request to the store")
    for column in ("", "writers", "writes/s", "times one", "writes per PUT", "p50 ms", "p99 ms"):
        table.add_column(column, justify="right")
    for where, measured in rates.items():
        for rate in measured:
            table.add_row(where, *_row(rate, measured[0]))
    Console().print(table)


def _row(rate: Rate, one: Rate) -> list[str]:
    per_second = len(rate.times) / rate.seconds
    times = quantiles(rate.times, n=100)
    return [
        str(rate.writers),
        f"{per_second:,.0f}",
        f"{per_second / (len(one.times) / one.seconds):.1f}",
        f"{len(rate.times) / rate.puts:.1f}",
        f"{times[49] * 1000:.1f}",
        f"{times[98] * 1000:.1f}",
    ]


if __name__ == "__main__":
    main()
