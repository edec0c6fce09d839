"""A server keeps its store in order, and is backed up and restored while it runs."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from .conftest import Server, run

CREATE = "mutation ($name: String!) { createOneTag(data: { name: $name }) { id } }"
COUNT = "{ aggregateTag { _count { _all } } }"

type Serve = Callable[..., Server]


def count(server: Server) -> int:
    return int(server.data(COUNT)["aggregateTag"]["_count"]["_all"])


def test_a_running_server_is_compacted_backed_up_and_restored(serve: Serve, tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    servers = [
        serve("--store", url, LAMDB_MAINTENANCE_INTERVAL="1", LAMDB_MAX_STALENESS="0") for _ in range(2)
    ]
    before = count(servers[0])
    answers = [servers[number % 2].post(CREATE, {"name": f"tag {number}"}) for number in range(40)]
    txids = [int(answer.raise_for_status().headers["x-lamdb-txid"]) for answer in answers]
    merged = tmp_path / "store/ltx/2"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and not (merged.is_dir() and len([*merged.iterdir()]) >= 2):
        time.sleep(0.1)
    assert len([*merged.iterdir()]) >= 2

    done = run("verify", "--store", url, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["txid"] >= txids[-1], "maintenance of searches commits as well"
    done = run("restore", "--store", url, "--txid", str(txids[29]), "--in-place", "--yes")
    assert done.returncode == 0, done.stderr
    assert [count(server) for server in servers] == [before + 30] * 2
    for server in servers:
        server.data(CREATE, {"name": f"after {server.url}"})
    assert [count(server) for server in servers] == [before + 32] * 2
    assert run("verify", "--store", url).returncode == 0
    assert [server.stop() for server in servers] == [0, 0]
    assert not [line for server in servers for line in server.logs if "maintenance failed" in line]
