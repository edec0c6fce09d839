"""Subsegments of what a function asks of its store: sent to the daemon, or not at all."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lamdb.cluster import writer
from lamdb.cluster.runtime.tracing import XRayStore, _udp_address
from lamdb.cluster.service import Service
from lamdb.errors import StoreUnavailable
from lamdb.settings import Settings
from lamdb.storage.stores.localstore import LocalStore

ROOT = "1-67ac1f2e-0123456789abcdef01234567"
SAMPLED = f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1;Lineage=a:0"


class Daemon:
    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        host, port = self.socket.getsockname()
        self.address = f"{host}:{port}"

    def received(self) -> list[dict[str, Any]]:
        found = []
        while True:
            try:
                header, document = self.socket.recv(65536).split(b"\n")
            except TimeoutError:
                return found
            assert json.loads(header) == {"format": "json", "version": 1}
            found.append(json.loads(document))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    daemon = Daemon()
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.address)
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "false")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", SAMPLED)
    yield daemon
    daemon.socket.close()


def commit(tmp_path: Path) -> Service:
    service = Service(writer.role(), Settings(store=(tmp_path / "store").as_uri()))
    with service.database.writer() as connection:
        connection.execute("CREATE TABLE a (b)")
    return service


def test_a_commit_is_a_subsegment_of_its_invocation(daemon: Daemon, tmp_path: Path) -> None:
    commit(tmp_path).database.close()
    sent = {each["name"]: each for each in daemon.received()}
    assert {"commit", "list of files"} <= sent.keys()
    found = sent["commit"]
    assert (found["type"], found["trace_id"], found["parent_id"]) == ("subsegment", ROOT, "53995c3f42cd8ad8")
    assert found["start_time"] <= found["end_time"]
    assert (len(found["id"]), found["fault"]) == (16, False)


def test_an_invocation_that_is_not_sampled_sends_nothing(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for header in (SAMPLED.replace("Sampled=1", "Sampled=0"), ""):
        monkeypatch.setenv("_X_AMZN_TRACE_ID", header)
        commit(tmp_path / (header or "none")).database.close()
    assert daemon.received() == []


def test_without_tracing_the_store_is_as_it_is(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "true")
    service = commit(tmp_path)
    assert not isinstance(service.database.pages.replica.store, XRayStore)
    service.database.close()
    assert daemon.received() == []


def test_a_request_that_fails_is_a_fault(daemon: Daemon, tmp_path: Path) -> None:
    store = XRayStore(LocalStore(tmp_path))

    def fails() -> None:
        raise StoreUnavailable("x")

    with pytest.raises(StoreUnavailable):
        store.around("get_range", "key", fails)
    store.close()
    (sent,) = daemon.received()
    assert (sent["name"], sent["fault"]) == ("page fetch", True)


def test_a_daemon_that_is_gone_fails_nothing(daemon: Daemon, tmp_path: Path) -> None:
    daemon.socket.close()
    commit(tmp_path).database.close()


def test_addresses() -> None:
    assert _udp_address("169.254.79.129:2000") == ("169.254.79.129", 2000)
    assert _udp_address("tcp:127.0.0.1:2001 udp:127.0.0.2:2000") == ("127.0.0.2", 2000)
