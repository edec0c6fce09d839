"""Functions whose role may list below the prefix only, or nothing: S3 answers 403 to them for a missing key.

`LAMDB_TEST_LISTING=prefix pytest tests/lambda` runs all tests of this folder so.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from .cluster import CREATE, NAMES, Cluster, deploy, running

type Start = Callable[[str], AbstractContextManager[Cluster]]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    @contextmanager
    def started(listing: str) -> Iterator[Cluster]:
        with running(tmp_path, listing=listing) as cluster:
            for name, text in cluster.s3.environment.items():
                monkeypatch.setenv(name, text)
            deploy(cluster.s3.url)
            yield cluster

    for name in [name for name in os.environ if name.startswith(("AWS_", "LAMDB_"))]:
        monkeypatch.delenv(name)
    return started


def test_a_role_that_may_list_below_the_prefix_only_reads_writes_and_maintains(start: Start) -> None:
    with start("prefix") as cluster:
        cluster.reader.variables["LAMDB_MAX_STALENESS"] = "0"
        written = [cluster.post(CREATE, {"name": name}) for name in "abcdefghijklmnop"]
        assert [each.status for each in written] == [200] * len(written)
        assert len(cluster.post(NAMES, x_lamdb_consistency="strong").items) == len(written)
        # A second look: there is nothing newer, and S3 does not say 404.
        assert len(cluster.post(NAMES, x_lamdb_consistency="strong").items) == len(written)
        assert len(cluster.post(NAMES).items) == len(written)
        assert cluster.invoke(cluster.writer, {"lamdb": {"operation": "maintenance"}})["merges"] > 0
        assert cluster.invoke(cluster.reader, {"lamdb": {"operation": "verify"}})["txid"] == len(written) + 1
        assert cluster.post(CREATE, {"name": "last"}).status == 200


def test_a_role_that_may_list_nothing_is_refused_and_its_log_says_why(start: Start) -> None:
    with start("none") as cluster:
        cluster.proxy.variables["LAMDB_RETRY_SECONDS"] = "0"
        refused = cluster.post(NAMES)
        assert (refused.status, refused.code) == (503, "STORE_REFUSED")
        assert "cannot list the objects" in cluster.reader.log()
        assert "403 Forbidden" in cluster.reader.log()
