"""Parts shared by all scenarios: the server, the sizes, the contenders, and the measurement of one run."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from bench.storage import litestream
from bench.storage.datasets import Dataset, as_directory_store, make
from bench.storage.figures import RESTORE, VFS, Figure, middle
from bench.storage.s3 import DATA, SCRATCH, Counts, S3Server
from lamdb.storage.database import DEFAULT_PAGE_SIZE


class WrongAnswer(Exception):
    """Two contenders answer the same question differently: their times would mean nothing."""


@dataclass(frozen=True)
class Scale:
    """How much is measured. Sizes are in MiB, `latencies` in milliseconds per request."""

    sizes: tuple[int, ...] = (1, 100, 1024)
    scanned: tuple[int, ...] = (100, 1024)
    page_size_megabytes: int = 100
    page_sizes: tuple[int, ...] = (4096, 8192, 16384, 32768, 65536)
    latencies: tuple[float, ...] = (0, 20)
    runs: int = 7
    vfs_runs: int = 3
    commits: int = 300
    writers: int = 64
    writing_seconds: float = 3
    behind: tuple[int, ...] = (1, 50, 1000)
    history: int = 10_000
    lookups: int = 100
    warm_reads: int = 1000
    patience: float = 60
    """Seconds after which another contender is stopped."""


TOY = Scale(
    sizes=(1, 2),
    scanned=(2,),
    page_size_megabytes=1,
    page_sizes=(4096, 65536),
    latencies=(0, 2),
    runs=1,
    vfs_runs=1,
    commits=10,
    writers=8,
    writing_seconds=0.1,
    behind=(1, 6),
    history=300,
    lookups=5,
    warm_reads=20,
    patience=20,
)


@dataclass(frozen=True)
class Sample:
    """One run: its seconds, what it asked of the server, what it answered."""

    seconds: float
    counts: Counts
    value: Any = None


@dataclass
class Laboratory:
    server: S3Server
    scale: Scale
    extension: str | None
    """The path of Litestream's VFS, if it is installed."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _answers: dict[tuple[str, str], Any] = field(default_factory=dict)

    def dataset(self, megabytes: int, page_size: int = DEFAULT_PAGE_SIZE) -> Dataset:
        """A data set that is in the bucket DATA, under its name."""
        dataset = Dataset(megabytes, page_size)
        self.in_bucket(dataset.name, lambda folder: make(dataset, folder))
        return dataset

    def in_bucket(self, name: str, build: Callable[[Path], object]) -> None:
        """Lets `build` fill the folder of the bucket DATA, unless `name` is there from an earlier run."""
        folder = self.server.folder("", DATA)
        if not (folder / name).exists():
            build(folder)
            self.server.rescan()

    def scratch(self) -> str:
        """An unused prefix in the bucket SCRATCH."""
        return f"scratch-{next(self._numbers)}"

    def directory_store(self, name: str) -> str:
        """The URL of a directory store with what is in the bucket DATA under `name`."""
        return as_directory_store(self.server.folder(name, DATA), self.server.root / SCRATCH / self.scratch())

    def latencies(self) -> Iterator[float]:
        """Each latency, with the server set to it."""
        for latency in self.scale.latencies:
            self.server.set_latency(latency)
            yield latency
        self.server.set_latency(0)

    def sample(self, call: Callable[[], Any]) -> Sample:
        """Runs `call` once; it should leave no requests under way."""
        self.server.reset()
        started = time.perf_counter()
        value = call()
        return Sample(time.perf_counter() - started, self.server.counts(), value)

    def agree(self, name: str, sql: str, value: Any) -> None:
        """Raises `WrongAnswer` if `sql` has been answered otherwise of the database `name`."""
        expected = self._answers.setdefault((name, sql), value)
        if value != expected:
            raise WrongAnswer(f"{name}: {sql}\n{expected}\n{value}")

    # The others, asked one query of a database in the bucket

    def by_restoring(self, base: Figure, name: str, sql: str, bucket: str = DATA) -> Figure:
        """`litestream restore`, and then the query on the restored file."""
        target = self.server.root / SCRATCH / f"{self.scratch()}.db"

        def run() -> Any:
            url = self.server.url(name, bucket)
            litestream.restore(url, self.server.endpoint, target, seconds=self.scale.patience)
            connection = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                return connection.execute(sql).get
            finally:
                connection.close()

        figure = Figure(base.scenario, base.case, base.store, RESTORE)
        try:
            sample = self.sample(run)
        except litestream.Failed as failure:
            return noted(figure, str(failure))
        finally:
            for leftover in target.parent.glob(f"{target.name}*"):
                leftover.unlink()
        self.agree(name, sql, sample.value)
        return of_samples(figure, [sample])

    def by_vfs(self, base: Figure, name: str, sql: str, *, runs: int = 1, bucket: str = DATA) -> Figure:
        """Litestream's VFS in a new process: opening, and the query."""
        figure = Figure(base.scenario, base.case, base.store, VFS)
        if self.extension is None:
            return noted(figure, litestream.MISSING_VFS)
        samples: list[Sample] = []
        for _ in range(runs):
            with self.vfs_reader(name, bucket) as reader:
                self.server.reset()
                try:
                    answer = reader.ask(sql, seconds=self.scale.patience)
                except litestream.Failed as failure:
                    return noted(figure, str(failure))
                samples.append(Sample(answer.seconds, self.server.counts(), answer.value))
                self.agree(name, sql, answer.value)
        return of_samples(figure, samples)

    @contextmanager
    def vfs_reader(self, name: str, bucket: str = DATA) -> Iterator[litestream.VfsReader]:
        assert self.extension is not None
        url = self.server.url(name, bucket)
        with litestream.vfs_reader(self.extension, url, self.server.endpoint) as reader:
            yield reader


def noted(figure: Figure, note: str) -> Figure:
    """A figure without figures, and why."""
    return Figure(figure.scenario, figure.case, figure.store, figure.contender, note=note)


def of_samples(figure: Figure, samples: list[Sample], note: str = "") -> Figure:
    return Figure(
        figure.scenario,
        figure.case,
        figure.store,
        figure.contender,
        ms=1000 * middle([sample.seconds for sample in samples]),
        requests=middle([sample.counts.total for sample in samples]),
        bytes_read=middle([sample.counts.bytes_read for sample in samples]),
        runs=len(samples),
        note=note,
    )
