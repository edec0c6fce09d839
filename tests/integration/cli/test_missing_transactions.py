"""A transaction is missing between others: no command hands out an older state that was not named."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.command_line import Run, run

from lamdb.storage import Database, open_store
from lamdb.storage.ltx.files import KeyLayout, plan
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.compaction import Merge, perform

from ..storage.history import tell

__all__ = ["run"]

type Damage = Callable[[str], tuple[int, int]]
"""Takes files out of the store at a URL; the first transaction that is missing, and the newest there is."""


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Transaction 1 makes a table, 2 to 6 add a row each."""
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")
        for number in range(2, 7):
            tell(database, f"INSERT INTO t VALUES({number})")
    return url


def delete(url: str, level: int, low: int, high: int) -> None:
    store = open_store(url)
    key = KeyLayout(store.level_folder).key(level, low, high)
    assert store.head(key) is not None
    store.delete(key)


def merge(url: str, level: int, low: int, high: int) -> None:
    """Puts one file in place of the transactions from `low` to `high`."""
    replica = Replica(open_store(url))
    inputs = plan(replica.files(), high, after=low - 1)
    for _ in perform(replica, Merge(level, tuple(inputs))):
        pass
    for file in inputs:
        replica.store.delete(file.key)
    replica.close()


def in_the_middle(url: str) -> tuple[int, int]:
    delete(url, 0, 3, 3)
    return 3, 6


def the_first(url: str) -> tuple[int, int]:
    delete(url, 0, 1, 1)
    return 1, 6


def several(url: str) -> tuple[int, int]:
    for txid in (3, 5):
        delete(url, 0, txid, txid)
    return 3, 6


def the_last_but_one(url: str) -> tuple[int, int]:
    delete(url, 0, 5, 5)
    return 5, 6


def a_compacted_file(url: str) -> tuple[int, int]:
    merge(url, 2, 3, 4)
    delete(url, 2, 3, 4)
    return 3, 6


def below_a_compacted_file(url: str) -> tuple[int, int]:
    merge(url, 2, 4, 6)
    delete(url, 0, 3, 3)
    return 3, 6


def a_snapshot(url: str) -> tuple[int, int]:
    merge(url, 9, 1, 3)
    delete(url, 9, 1, 3)
    return 1, 6


DAMAGES = [
    in_the_middle,
    the_first,
    several,
    the_last_but_one,
    a_compacted_file,
    below_a_compacted_file,
    a_snapshot,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_no_command_hands_out_an_older_state(run: Run, url: str, tmp_path: Path, damage: Damage) -> None:
    missing, newest = damage(url)
    message = f"transaction {missing} is missing, though there is {newest}"
    file, second = tmp_path / "o.db", (tmp_path / "second").as_uri()
    for arguments in (
        ["restore", "--to", file],
        ["restore", "--to-store", second],
        ["restore", "--at", "2200-01-01T00:00:00Z", "--to", file],
        ["restore", "--at", "2200-01-01T00:00:00Z", "--to-store", second],
        ["restore", "--txid", newest, "--to", file],
        ["restore", "--txid", missing, "--to", file],
        ["restore", "--txid", missing, "--in-place", "--yes"],
        ["export", file],
        ["backups"],
        ["backups", "--json", "--limit", "1"],
        ["status"],
        ["verify"],
        ["verify", "--json"],
        ["compact"],
    ):
        done = run(*arguments, "--store", url)
        assert done.code == 1, arguments
        assert message in done.err, (arguments, done.err)
        assert "CORRUPT_FILE" in done.err
    assert not file.exists()
    assert not (tmp_path / "second").exists() or not [*open_store(second).list()]


@pytest.mark.parametrize("damage", [in_the_middle, several, a_compacted_file, below_a_compacted_file])
def test_a_state_before_the_gap_is_handed_out_if_it_is_named(
    run: Run, url: str, tmp_path: Path, damage: Damage
) -> None:
    damage(url)
    points = run("backups", "--store", url, "--json").json["points"]
    times = {point["txid"]: point["time"] for point in points}
    assert [*times] == [2, 1]
    for name, arguments in enumerate((["--txid", 2], ["--at", times[2]])):
        file = tmp_path / f"{name}.db"
        assert run("restore", *arguments, "--to", file, "--store", url).code == 0
        assert sqlite3.connect(file).execute("SELECT a FROM t").fetchall() == [(2,)]


@pytest.mark.parametrize("content", [b"", b"\0" * 700, None], ids=["empty", "zeros", "cut off"])
@pytest.mark.parametrize("txid", [1, 3, 6])
def test_a_file_that_is_damaged_counts_as_one_that_is_missing(
    run: Run, url: str, tmp_path: Path, txid: int, content: bytes | None
) -> None:
    store = open_store(url)
    key = KeyLayout(store.level_folder).key(0, txid, txid)
    body = (store.get(key) or b"")[:-7] if content is None else content
    store.delete(key)
    store.put_new(key, body, timestamp_ms=0)
    file = tmp_path / "o.db"
    for arguments in (["restore", "--to", file], ["export", file], ["status"], ["verify"]):
        done = run(*arguments, "--store", url)
        assert done.code == 1, arguments
        assert "CORRUPT_FILE" in done.err
        assert key in done.err
    assert not file.exists()


def test_a_gap_in_the_history_below_a_whole_snapshot_is_reported(run: Run, url: str, tmp_path: Path) -> None:
    """The newest state is whole; those from the gap to the snapshot are lost, and none is given instead."""
    replica = Replica(open_store(url))
    for _ in perform(replica, Merge(9, tuple(plan(replica.files())))):
        pass
    replica.close()
    delete(url, 0, 3, 3)
    message = "transaction 3 is missing, though there is 5"
    file = tmp_path / "o.db"
    backups = run("backups", "--store", url)
    assert (backups.code, message in backups.err) == (1, True)
    verified = run("verify", "--store", url)
    assert (verified.code, message in verified.out) == (1, True)
    named = run("restore", "--txid", 4, "--to", file, "--store", url)
    assert (named.code, message in named.err) == (1, True)
    assert run("restore", "--to", file, "--store", url).code == 0
    assert len(sqlite3.connect(file).execute("SELECT a FROM t").fetchall()) == 5


def test_pruning_leaves_what_lies_beyond_a_gap(url: str) -> None:
    from lamdb.errors import CorruptFile
    from lamdb.storage.maintenance.retention import RetentionPolicy, prune

    replica = Replica(open_store(url))
    in_the_middle(url)
    before = [*replica.every_file()]
    with pytest.raises(CorruptFile, match="transaction 3 is missing, though there is 6; nothing is deleted"):
        prune(replica, RetentionPolicy(), 1 << 50, stale_after=10)
    assert replica.every_file() == before
    replica.close()
