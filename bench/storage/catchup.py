"""A reader that is some commits behind, until it sees the last of them."""

import time
from collections.abc import Iterator

from bench.storage import litestream
from bench.storage.datasets import Dataset, link_copy
from bench.storage.figures import LAMDB, VFS, Figure, on_s3
from bench.storage.laboratory import Laboratory, Sample, noted, of_samples
from bench.storage.s3 import DATA, SCRATCH
from lamdb.storage import Database
from lamdb.storage.maintenance.background import Maintenance

SCENARIO = "catch up"

_COUNT = "SELECT count(*) FROM change"
_POLLING_NOTE = "it looks once a second"


def run(laboratory: Laboratory) -> Iterator[Figure]:
    dataset = laboratory.dataset(laboratory.scale.scanned[0])
    for commits in laboratory.scale.behind:
        for latency in laboratory.scale.latencies:
            figure = Figure(SCENARIO, _case(commits), on_s3(latency), LAMDB)
            yield from _behind(laboratory, dataset, figure, commits, latency)
    most = laboratory.scale.behind[-1]
    for latency in laboratory.scale.latencies:
        figure = Figure(SCENARIO, f"{_case(most)}, maintained", on_s3(latency), LAMDB)
        yield from _behind(laboratory, dataset, figure, most, latency, maintained=True)


def _case(commits: int) -> str:
    return f"{commits} commit{'s' if commits > 1 else ''} behind"


def _behind(
    laboratory: Laboratory,
    dataset: Dataset,
    figure: Figure,
    commits: int,
    latency: float,
    *,
    maintained: bool = False,
) -> Iterator[Figure]:
    name = _new_store(laboratory, dataset)
    with Database.open(laboratory.server.url(name), create=False) as reader:
        _read(reader)
        _commit(laboratory, name, commits, maintained=maintained)
        laboratory.server.set_latency(latency)
        sample = laboratory.sample(lambda: _caught_up(reader))
        laboratory.agree(name, _COUNT, sample.value)
        laboratory.agree(name, _COUNT, commits)
        yield of_samples(figure, [sample])
    yield laboratory.by_restoring(figure, name, _COUNT, SCRATCH)
    laboratory.server.set_latency(0)
    if not maintained:
        yield _vfs(laboratory, dataset, figure, commits, latency)
        laboratory.server.set_latency(0)


def _vfs(laboratory: Laboratory, dataset: Dataset, base: Figure, commits: int, latency: float) -> Figure:
    figure = Figure(base.scenario, base.case, base.store, VFS)
    if laboratory.extension is None:
        return noted(figure, litestream.MISSING_VFS)
    name = _new_store(laboratory, dataset)
    with laboratory.vfs_reader(name, SCRATCH) as reader:
        try:
            reader.ask(_COUNT)
            # With the latency set before: what it would have polled meanwhile is not given to it for nothing.
            laboratory.server.set_latency(latency)
            started = _commit(laboratory, name, commits)
            laboratory.server.reset()
            reader.wait_for(_COUNT, commits, seconds=laboratory.scale.patience)
        except litestream.Failed as failure:
            return noted(figure, str(failure))
        sample = Sample(time.perf_counter() - started, laboratory.server.counts())
    return of_samples(figure, [sample], _POLLING_NOTE)


def _new_store(laboratory: Laboratory, dataset: Dataset) -> str:
    """A copy of the data set, with a table that counts commits."""
    name = laboratory.scratch()
    link_copy(laboratory.server.folder(dataset.name, DATA), laboratory.server.folder(name))
    laboratory.server.rescan()
    with (
        Database.open(laboratory.server.url(name), create=False) as database,
        database.writer() as connection,
    ):
        connection.execute("CREATE TABLE change(id INTEGER PRIMARY KEY, at TEXT)")
    return name


def _commit(laboratory: Laboratory, name: str, commits: int, *, maintained: bool = False) -> float:
    """Commits, and returns when the last one was made."""
    with Database.open(laboratory.server.url(name), create=False) as writer:
        maintenance = Maintenance(writer.pages)
        for _ in range(commits):
            with writer.writer() as connection:
                connection.execute("INSERT INTO change(at) VALUES('now')")
            if maintained:
                maintenance.merge_own_commits()
    return time.perf_counter()


def _caught_up(reader: Database) -> object:
    reader.refresh()
    return _read(reader)


def _read(database: Database) -> object:
    with database.reader() as connection:
        return connection.execute(_COUNT).get
