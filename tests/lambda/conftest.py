"""Each test has a cluster of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from .cluster import Cluster, deploy, running


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    with running(tmp_path) as cluster:
        for name, text in cluster.s3.environment.items():
            monkeypatch.setenv(name, text)
        deploy(cluster.s3.url)
        yield cluster
