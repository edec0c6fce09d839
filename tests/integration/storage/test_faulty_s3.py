"""Commits over HTTP that goes wrong: every kind of fault, each transaction once."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.command_line import Run, run
from tests.support.s3_faults import FaultyS3

from lamdb.storage import Database

from .history import ask, tell

__all__ = ["run"]


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


@pytest.mark.parametrize(
    "fault",
    [
        "slow_down",
        "internal_error",
        "conflict",
        "lose_request",
        "lose_answer",
        "answer_error",
        "cut",
        "trickle",
    ],
)
def test_a_fault_in_every_third_request(faulty: FaultyS3, fault: str) -> None:
    url = f"{faulty.url}/{fault}"
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)")
        faulty.set(**{fault: 0.35, "trickle_seconds": 0.05})
        for number in range(12):
            tell(database, f"INSERT INTO t VALUES({number}, randomblob(3000))")
        assert database.txid == 13
    assert faulty.counts()[fault] >= 2
    faulty.set()
    with Database.open(url) as database:
        assert ask(database, "SELECT count(*), sum(a), sum(length(b)) FROM t") == [(12, 66, 36_000)]
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_an_outage_of_seconds_is_waited_out_by_reads_and_commands(
    faulty: FaultyS3, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seven repetitions with growing pauses would be over after five seconds."""
    for name, value in faulty.environment.items():
        monkeypatch.setenv(name, value)
    url = f"{faulty.url}/outage"
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)", "INSERT INTO t SELECT randomblob(300000)")
    with Database.open(url, cache_bytes=0) as database:
        faulty.set(slow_down=1.0)
        healing = threading.Timer(6.5, faulty.set)
        healing.start()
        with ThreadPoolExecutor() as pool:
            reading = pool.submit(ask, database, "SELECT length(a) FROM t")
            opening = pool.submit(Database.open, url)
            done = run("backups", "--store", url, "--json")
            assert reading.result() == [(300_000,)]
            opening.result().close()
        healing.join()
    assert (done.code, done.json["total"]) == (0, 1)
    assert faulty.counts()["slow_down"] > 3 * 8
