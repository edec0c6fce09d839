"""Load on one writer, calm and with dying environments: nothing is lost, nothing happens twice."""

import os
from collections import Counter

import pytest

from .conftest import NAMES, Cluster
from .load import Chaos, Load

SECONDS = float(os.environ.get("LAMDB_TEST_LOAD_SECONDS", "8"))
CLIENTS = int(os.environ.get("LAMDB_TEST_LOAD_CLIENTS", "5"))


def check(cluster: Cluster, load: Load) -> None:
    print(load.report())
    assert load.faults == []
    assert set(load.statuses) <= {200, 503}
    stored = Counter(item["name"] for item in cluster.post(NAMES, x_lamdb_consistency="strong").items)
    assert [name for name, times in stored.items() if times != 1] == []
    assert [name for name in load.acknowledged if name not in stored] == []


@pytest.mark.slow
def test_many_clients_share_one_writer(cluster: Cluster) -> None:
    cluster.s3.set(latency=0.02)
    load = Load(cluster, SECONDS, CLIENTS)
    load.run()
    check(cluster, load)
    assert load.statuses[503] == 0
    assert len(load.acknowledged) > CLIENTS
    assert cluster.writer.throttles > 0


@pytest.mark.slow
def test_environments_that_die_lose_nothing_and_repeat_nothing(cluster: Cluster) -> None:
    cluster.s3.set(latency=0.02)
    load = Load(cluster, SECONDS, CLIENTS)
    with Chaos(cluster) as chaos:
        load.run()
    check(cluster, load)
    assert chaos.done.total() > 0
    assert len(load.acknowledged) > CLIENTS
