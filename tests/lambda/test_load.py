"""Many clients of one writer by HTTP, calm and in chaos: nothing is lost, nothing happens twice.

A short form of `make soak-lambda`.
"""

import os
from pathlib import Path

import pytest

from .chaos import Chaos
from .cluster import Cluster
from .load import load, provision

SECONDS = float(os.environ.get("LAMDB_TEST_LOAD_SECONDS", "8"))
CLIENTS = int(os.environ.get("LAMDB_TEST_LOAD_CLIENTS", "20"))
THINK = 0.3


@pytest.mark.slow
def test_many_clients_share_one_writer(cluster: Cluster, tmp_path: Path) -> None:
    provision(cluster, proxies=CLIENTS, readers=2)
    report = load(cluster, tmp_path, number=CLIENTS, seconds=SECONDS, think=THINK)
    print(report.figures)
    assert report.problems == []
    assert report.figures["writes acknowledged"] > CLIENTS / 2
    assert report.figures["own writes read"] > 0
    assert report.figures["strong reads"] > 0
    assert report.figures["answered from the first time"] > 0
    assert cluster.writer.throttles > 0


@pytest.mark.slow
def test_environments_that_die_lose_nothing_and_repeat_nothing(cluster: Cluster, tmp_path: Path) -> None:
    provision(cluster, proxies=CLIENTS, readers=2)
    chaos = Chaos(cluster, pause=1.0)
    report = load(cluster, tmp_path, number=CLIENTS, seconds=SECONDS, think=THINK, chaos=chaos)
    print(report.figures)
    assert report.problems == []
    assert chaos.done.total() > 3
    assert report.figures["writes acknowledged"] > 0
