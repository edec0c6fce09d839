"""Stores that replace objects, or refuse to create them: the first write finds out and keeps nothing."""

import os
from pathlib import Path

import pytest
from tests.support.s3_faults import FaultyS3
from tests.support.s3_server import S3

from lamdb.errors import Fenced, StoreUnsuitable
from lamdb.storage import Database, open_store
from lamdb.storage.backup.restore import restore_store
from lamdb.storage.backup.verification import verify
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.objectstore import CREATE_ONLY_PROBE
from lamdb.storage.stores.obstores import memory_store

from .history import ask, tell


@pytest.fixture(scope="module")
def server():
    with FaultyS3() as s3:
        yield s3


@pytest.fixture
def faulty(server: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> FaultyS3:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.set()
    server.reset()
    return server


def keys(url: str) -> list[str]:
    return [entry.key for entry in open_store(url).list()]


@pytest.mark.parametrize(
    ("mode", "message"),
    [
        ("ignore_condition", "replaces objects although it is asked not to"),
        ("not_implemented", "not implemented"),
        ("taken", "as if it were there"),
    ],
)
def test_the_first_write_to_a_new_store_is_refused(faulty: FaultyS3, mode: str, message: str) -> None:
    url = f"{faulty.url}/new-{mode}"
    faulty.set(**{mode: 1.0})
    with Database.open(url) as database:
        with pytest.raises(StoreUnsuitable, match=message):
            tell(database, "CREATE TABLE t(a)")
        assert database.txid == 0
    assert set(keys(url)) <= {CREATE_ONLY_PROBE}
    # What is left is no store, and no other thing: a better server can make one of it.
    faulty.set()
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")


@pytest.mark.parametrize("mode", ["ignore_condition", "not_implemented"])
def test_each_way_to_write_finds_out(faulty: FaultyS3, mode: str, tmp_path: Path) -> None:
    """After the store was moved behind a server that is no good, say."""
    url = f"{faulty.url}/moved-{mode}"
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")
        tell(database, "INSERT INTO t VALUES(1)")
    before = {key: open_store(url).get(key) for key in keys(url)}
    faulty.set(**{mode: 1.0})
    with Database.open(url) as database:
        for write in (
            lambda: database.write(lambda connection: connection.execute("INSERT INTO t VALUES(2)").get),
            lambda: database.restore(txid=1),
            database.vacuum,
        ):
            with pytest.raises(StoreUnsuitable) as caught:
                write()
            assert (caught.value.code, caught.value.retryable) == ("STORE_UNSUITABLE", False)
        assert ask(database, "SELECT a FROM t") == [(1,)]
        assert any("If-None-Match" in fault for fault in verify(database.pages, tmp_path).faults)
        with pytest.raises(StoreUnsuitable):
            restore_store(database.pages.replica, 2, open_store(f"{url}-restored"), tmp_path)
    assert {key: open_store(url).get(key) for key in keys(url)} == before


def test_304_means_that_the_key_is_taken(faulty: FaultyS3) -> None:
    faulty.set(not_modified=1.0)
    url = f"{faulty.url}/304"
    first, second = Database.open(url), Database.open(url)
    tell(first, "CREATE TABLE t(a)")
    with pytest.raises(Fenced):
        tell(second, "CREATE TABLE u(a)")
    tell(second, "INSERT INTO t VALUES(1)")
    with pytest.raises(Fenced):
        tell(first, "INSERT INTO t VALUES(2)")
    assert ask(second, "SELECT a FROM t") == [(1,)]
    assert faulty.counts()["not_modified"] >= 3


def test_a_process_asks_once_and_only_if_it_writes(faulty: FaultyS3) -> None:
    url = f"{faulty.url}/once"
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")
        assert faulty.counts()["PUT"] == 3  # A new store: the probe, twice, and the transaction.
        faulty.reset()
        tell(database, "INSERT INTO t VALUES(1)")
        assert faulty.counts()["PUT"] == 1
    faulty.reset()
    with Database.open(url) as database:
        assert ask(database, "SELECT a FROM t") == [(1,)]
        assert faulty.counts()["PUT"] == 0
        for number in range(3):
            tell(database, f"INSERT INTO t VALUES({number})")
        assert faulty.counts()["PUT"] == 4


@pytest.mark.parametrize("fault", ["slow_down", "conflict", "lose_answer", "internal_error"])
def test_a_good_store_that_fails_now_and_then_is_not_refused(faulty: FaultyS3, fault: str) -> None:
    faulty.set(**{fault: 0.4})
    for number in range(4):
        with Database.open(f"{faulty.url}/{fault}-{number}") as database:
            tell(database, "CREATE TABLE t(a)")
            assert database.txid == 1


def test_a_real_protocol_is_accepted(s3: S3) -> None:
    with Database.open(s3.url) as database:
        tell(database, "CREATE TABLE t(a)")
    assert CREATE_ONLY_PROBE in keys(s3.url)


def test_other_stores_need_no_proof(tmp_path: Path) -> None:
    for store in (memory_store(), LocalStore(tmp_path)):
        with Database(store) as database:
            tell(database, "CREATE TABLE t(a)")
        assert len([*store.list()]) == 1
