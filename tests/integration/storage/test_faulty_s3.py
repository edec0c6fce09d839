"""Commits over HTTP that goes wrong: every kind of fault, each transaction once."""

import os

import pytest

from lamdb.storage import Database

from ...s3_faults import FaultyS3
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
