"""With a cache on disk: the first time, when it is filled on the way, and when the process starts again."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, Final

from bench.storage.datasets import MIB, Dataset
from bench.storage.figures import LAMDB, Figure, on_s3
from bench.storage.laboratory import Laboratory, Sample, of_samples
from bench.storage.s3 import DATA, SCRATCH
from bench.storage.scans import SQL as SCAN
from lamdb.storage import Database
from lamdb.storage.cache.diskcache import DiskOptions

SCENARIO = "with a cache on disk"

_BUDGET: Final = 4 * 1024 * MIB

type _Work = Callable[[Database], Any]


def run(laboratory: Laboratory) -> Iterator[Figure]:
    dataset = laboratory.dataset(max(laboratory.scale.scanned))
    row = dataset.rows // 3
    first = f"SELECT body FROM item WHERE id = {row}"
    by_index = f"SELECT body FROM item WHERE name = '{dataset.row_name(row)}'"
    runs = laboratory.scale.runs
    for latency in laboratory.latencies():
        store = on_s3(latency)
        yield from _of(laboratory, dataset, store, "open and first lookup, by id", _asking(first), runs)
        yield from _of(laboratory, dataset, store, "open and first lookup, by index", _asking(by_index), runs)
        lookups = _lookups(dataset, laboratory.scale.lookups)
        yield from _of(laboratory, dataset, store, f"open and {laboratory.scale.lookups} lookups", lookups, 1)
        yield from _of(laboratory, dataset, store, "full scan", _asking(SCAN), 1)


def _of(
    laboratory: Laboratory, dataset: Dataset, store: str, what: str, work: _Work, runs: int
) -> Iterator[Figure]:
    """Without it; with an empty one; with what that left."""
    folder = laboratory.server.root / SCRATCH / laboratory.scratch()
    url = laboratory.server.url(dataset.name, DATA)

    def measured(disk: DiskOptions | None) -> Sample:
        sample = laboratory.sample(lambda: _once(url, disk, work))
        laboratory.agree(dataset.name, what, sample.value)
        return sample

    def emptied() -> Sample:
        shutil.rmtree(folder, ignore_errors=True)
        return measured(options)

    options = DiskOptions(Path(folder), _BUDGET)
    ways = {"no disk": lambda: measured(None), "disk empty": emptied, "disk warm": lambda: measured(options)}
    for way, sample in ways.items():
        figure = Figure(SCENARIO, f"{dataset.megabytes} MiB, {what}: {way}", store, LAMDB)
        yield of_samples(figure, [sample() for _ in range(runs)])
    shutil.rmtree(folder, ignore_errors=True)


def _once(url: str, disk: DiskOptions | None, work: _Work) -> Any:
    with Database.open(url, create=False, disk=disk) as database:
        return work(database)


def _asking(sql: str) -> _Work:
    def work(database: Database) -> Any:
        with database.reader() as connection:
            return connection.execute(sql).get

    return work


def _lookups(dataset: Dataset, count: int) -> _Work:
    source = Random(11)
    rows = [source.randrange(1, dataset.rows) for _ in range(count)]

    def work(database: Database) -> Any:
        with database.reader() as connection:
            sql = "SELECT length(body) FROM item WHERE id = ?"
            return sum(connection.execute(sql, (row,)).get for row in rows)

    return work
