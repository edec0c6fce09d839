"""Comparison of page sizes on an object store."""

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from bench.storage.datasets import Dataset
from bench.storage.figures import LAMDB, Figure, on_s3
from bench.storage.laboratory import Laboratory, of_samples
from bench.storage.opening import first_answer
from bench.storage.s3 import DATA
from bench.storage.scans import SQL as SCAN
from lamdb.storage import Database, open_store

SCENARIO = "page sizes"


type Question = tuple[str, Callable[[str, Dataset], Any], int]
"""What is asked, how (of a store URL), and how often."""


def run(laboratory: Laboratory) -> Iterator[Figure]:
    scale = laboratory.scale
    datasets = [laboratory.dataset(scale.page_size_megabytes, size) for size in scale.page_sizes]
    questions: list[Question] = [
        ("open and first lookup", _first_lookup, scale.runs),
        (f"open and {scale.lookups} random lookups", partial(_random_lookups, scale.lookups), 3),
        ("full scan", _scan, 3),
    ]
    for dataset in datasets:
        yield _commit(laboratory, dataset.page_size)
    for question in questions:
        for latency in laboratory.latencies():
            for dataset in datasets:
                yield _asked(laboratory, dataset, question, on_s3(latency))


def _asked(laboratory: Laboratory, dataset: Dataset, question: Question, store: str) -> Figure:
    name, ask, runs = question
    url = laboratory.server.url(dataset.name, DATA)
    samples = [laboratory.sample(partial(ask, url, dataset)) for _ in range(min(runs, laboratory.scale.runs))]
    laboratory.agree(f"{dataset.megabytes} MiB", name, samples[0].value)
    return of_samples(Figure(SCENARIO, f"{name}, {_kib(dataset.page_size)}", store, LAMDB), samples)


def _kib(page_size: int) -> str:
    return f"{page_size // 1024} KiB"


def _first_lookup(url: str, dataset: Dataset) -> Any:
    return first_answer(url, f"SELECT body FROM item WHERE id = {dataset.rows // 3}")


def _scan(url: str, dataset: Dataset) -> Any:
    return first_answer(url, SCAN)


def _random_lookups(lookups: int, url: str, dataset: Dataset) -> Any:
    random = Random(3)
    with Database.open(url, create=False) as database, database.reader() as connection:
        return [
            connection.execute(
                "SELECT body FROM item WHERE name = ?",
                (dataset.row_name(random.randint(1, dataset.rows)),),
            ).get
            for _ in range(lookups)
        ]


def _commit(laboratory: Laboratory, page_size: int) -> Figure:
    """How many bytes a commit uploads that changes one row of a table with an index."""
    url = laboratory.server.url(laboratory.scratch())
    with Database.open(url, page_size=page_size) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT, body TEXT)")
            connection.execute("CREATE INDEX item_name ON item(name)")
            words = [(f"{number * 7919 % 10007}", "some words of text " * 20) for number in range(2000)]
            connection.executemany("INSERT INTO item(name, body) VALUES(?, ?)", words)
        with database.writer() as connection:
            connection.execute("UPDATE item SET name = 'another', body = 'another text' WHERE id = 777")
    uploaded = max(open_store(url).list(), key=lambda entry: entry.key).size
    return Figure(SCENARIO, f"bytes of a small commit, {_kib(page_size)}", "any", LAMDB, bytes_read=uploaded)
