"""Reading a whole table, none of it cached."""

from collections.abc import Iterator

from bench.storage.figures import DIRECTORY, LAMDB, Figure, on_s3
from bench.storage.laboratory import Laboratory, of_samples
from bench.storage.opening import first_answer
from bench.storage.s3 import DATA

SCENARIO = "full scan, cold"

SQL = "SELECT count(*) || ' ' || sum(length(body)) FROM item"


def run(laboratory: Laboratory) -> Iterator[Figure]:
    for megabytes in laboratory.scale.scanned:
        dataset = laboratory.dataset(megabytes)
        case = f"{megabytes} MiB"
        url = laboratory.directory_store(dataset.name)
        sample = laboratory.sample(lambda: first_answer(url, SQL))  # noqa: B023
        laboratory.agree(dataset.name, SQL, sample.value)
        yield Figure(SCENARIO, case, DIRECTORY, LAMDB, ms=1000 * sample.seconds)
        for latency in laboratory.latencies():
            figure = Figure(SCENARIO, case, on_s3(latency), LAMDB)
            url = laboratory.server.url(dataset.name, DATA)
            sample = laboratory.sample(lambda: first_answer(url, SQL))  # noqa: B023
            laboratory.agree(dataset.name, SQL, sample.value)
            yield of_samples(figure, [sample])
            yield laboratory.by_restoring(figure, dataset.name, SQL)
            if megabytes == laboratory.scale.scanned[0]:
                yield laboratory.by_vfs(figure, dataset.name, SQL)
