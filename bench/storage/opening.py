"""Opening a database of each size, and the first lookup: by primary key, and through an index."""

from collections.abc import Iterator
from typing import Any

from bench.storage.datasets import Dataset
from bench.storage.figures import DIRECTORY, LAMDB, Figure, on_s3
from bench.storage.laboratory import Laboratory, of_samples
from bench.storage.s3 import DATA
from lamdb.storage import Database

SCENARIO = "open and first lookup"


def run(laboratory: Laboratory) -> Iterator[Figure]:
    _import_everything(laboratory)
    for megabytes in laboratory.scale.sizes:
        dataset = laboratory.dataset(megabytes)
        yield from _in_directory(laboratory, dataset)
        for latency in laboratory.latencies():
            yield from _on_s3(laboratory, dataset, on_s3(latency))


def _import_everything(laboratory: Laboratory) -> None:
    """So that no run pays for it. What imports cost at start is another matter."""
    dataset = laboratory.dataset(min(laboratory.scale.sizes))
    for url in (laboratory.server.url(dataset.name, DATA), laboratory.directory_store(dataset.name)):
        first_answer(url, "SELECT 1")


def first_answer(url: str, sql: str) -> Any:
    """Opens the database, asks, closes it."""
    with Database.open(url, create=False) as database, database.reader() as connection:
        return connection.execute(sql).get


def _in_directory(laboratory: Laboratory, dataset: Dataset) -> Iterator[Figure]:
    url = laboratory.directory_store(dataset.name)
    for kind, sql in _queries(dataset):
        figure = Figure(SCENARIO, _case(dataset, kind), DIRECTORY, LAMDB)
        samples = [
            laboratory.sample(lambda: first_answer(url, sql))  # noqa: B023
            for _ in range(laboratory.scale.runs)
        ]
        laboratory.agree(dataset.name, sql, samples[0].value)
        measured = of_samples(figure, samples)
        yield Figure(SCENARIO, figure.case, DIRECTORY, LAMDB, ms=measured.ms, runs=measured.runs)


def _on_s3(laboratory: Laboratory, dataset: Dataset, store: str) -> Iterator[Figure]:
    url = laboratory.server.url(dataset.name, DATA)
    for kind, sql in _queries(dataset):
        figure = Figure(SCENARIO, _case(dataset, kind), store, LAMDB)
        samples = [
            laboratory.sample(lambda: first_answer(url, sql))  # noqa: B023
            for _ in range(laboratory.scale.runs)
        ]
        laboratory.agree(dataset.name, sql, samples[0].value)
        yield of_samples(figure, samples)
        yield laboratory.by_vfs(figure, dataset.name, sql, runs=laboratory.scale.vfs_runs)
        if kind == "id":
            yield laboratory.by_restoring(figure, dataset.name, sql)


def _queries(dataset: Dataset) -> list[tuple[str, str]]:
    row = dataset.rows // 3
    return [
        ("id", f"SELECT body FROM item WHERE id = {row}"),
        ("index", f"SELECT body FROM item WHERE name = '{dataset.row_name(row)}'"),
    ]


def _case(dataset: Dataset, kind: str) -> str:
    return f"{dataset.megabytes} MiB, by {kind}"
