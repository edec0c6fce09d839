"""Starting the small S3 in a process of its own, and what the benchmark asks it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

DATA = "data"
SCRATCH = "scratch"

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}


@dataclass(frozen=True)
class Counts:
    """Requests by kind (GET, LIST, PUT, …), and the bytes that were read."""

    requests: dict[str, int]
    bytes_read: int

    @property
    def total(self) -> int:
        return sum(self.requests.values())


class S3Server:
    """The server, with two buckets: DATA, which is kept between runs, and SCRATCH, which is not."""

    def __init__(self, root: Path, port: int) -> None:
        self.root = root
        self.endpoint = f"http://127.0.0.1:{port}"
        self._client = httpx.Client(base_url=self.endpoint, trust_env=False)

    def url(self, prefix: str, bucket: str = SCRATCH) -> str:
        return f"s3://{bucket}/{prefix}"

    def folder(self, prefix: str, bucket: str = SCRATCH) -> Path:
        return self.root / bucket / prefix

    def set_latency(self, milliseconds: float) -> None:
        self._control("latency", ms=str(milliseconds))

    def reset(self) -> None:
        self._control("reset")

    def rescan(self) -> None:
        """Sees files that were put into the buckets by hand."""
        self._control("rescan")

    def counts(self, *buckets: str) -> Counts:
        """What was asked of `buckets` (or of both) since the last `reset`."""
        answer = self._client.get("/-/counts")
        answer.raise_for_status()
        requests: dict[str, int] = {}
        bytes_read = 0
        for name, count in answer.json().items():
            bucket, kind = name.split(" ")
            if buckets and bucket not in buckets:
                continue
            if kind == "bytes":
                bytes_read += count
            else:
                requests[kind] = requests.get(kind, 0) + count
        return Counts(requests, bytes_read)

    def _control(self, action: str, **query: str) -> None:
        self._client.post(f"/-/{action}", params=query, timeout=60).raise_for_status()

    def close(self) -> None:
        self._client.close()


@contextmanager
def serving(root: Path) -> Iterator[S3Server]:
    """Serves `root`/data and an empty `root`/scratch; the AWS variables point there meanwhile."""
    shutil.rmtree(root / SCRATCH, ignore_errors=True)
    for bucket in (DATA, SCRATCH):
        (root / bucket).mkdir(parents=True, exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.storage.s3server", str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        server = S3Server(root, int(process.stdout.readline()))
        with _environment(server.endpoint):
            yield server
        server.close()
    finally:
        process.stdin.close()
        process.wait(10)
        shutil.rmtree(root / SCRATCH, ignore_errors=True)


@contextmanager
def _environment(endpoint: str) -> Iterator[None]:
    before = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    for name in before:
        del os.environ[name]
    ours = {**_CREDENTIALS, "AWS_ENDPOINT_URL_S3": endpoint, "AWS_ENDPOINT_URL": endpoint}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
        os.environ.update(before)
