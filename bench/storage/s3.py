"""The small S3 as the benchmark uses it: on disk, with a fixed time per request."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.s3_faults import Counts, FaultyS3

__all__ = ["DATA", "SCRATCH", "Counts", "S3Server", "serving"]

DATA = "data"
SCRATCH = "scratch"


class S3Server:
    """The server, with two buckets: DATA, which is kept between runs, and SCRATCH, which is not."""

    def __init__(self, root: Path, s3: FaultyS3) -> None:
        self.root = root
        self.endpoint = s3.endpoint
        self._s3 = s3

    def url(self, prefix: str, bucket: str = SCRATCH) -> str:
        return f"s3://{bucket}/{prefix}"

    def folder(self, prefix: str, bucket: str = SCRATCH) -> Path:
        return self.root / bucket / prefix

    def set_latency(self, milliseconds: float) -> None:
        self._s3.set(latency=milliseconds / 1000)

    def reset(self) -> None:
        self._s3.reset()

    def rescan(self) -> None:
        """Sees files that were put into the buckets by hand."""
        self._s3.rescan()

    def counts(self, *buckets: str) -> Counts:
        """The requests to `buckets` (or to both) since the last `reset`."""
        return self._s3.requests(*buckets)


@contextmanager
def serving(root: Path) -> Iterator[S3Server]:
    """Serves `root`/data and an empty `root`/scratch; the AWS variables point there meanwhile."""
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    for bucket in (DATA, SCRATCH):
        (root / bucket).mkdir(parents=True, exist_ok=True)
    try:
        with FaultyS3(root) as s3, _environment(s3):
            yield S3Server(root, s3)
    finally:
        shutil.rmtree(root / SCRATCH, ignore_errors=True)


@contextmanager
def _environment(s3: FaultyS3) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    ours = {**s3.environment, "AWS_ENDPOINT_URL": s3.endpoint}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)
