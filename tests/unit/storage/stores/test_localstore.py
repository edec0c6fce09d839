"""Listings of a directory while files are written to it and deleted from it."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamdb.storage.ltx.files import Gap, gaps
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.stores.localstore import LocalStore

type Scan = Callable[[Path], contextmanager[Iterator[os.DirEntry[str]]]]


def written(folder: Path, *txids: int, level: int = 0, first: int | None = None) -> None:
    (folder / "ltx" / str(level)).mkdir(parents=True, exist_ok=True)
    for txid in txids:
        (folder / "ltx" / str(level) / f"{first or txid:016x}-{txid:016x}.ltx").write_bytes(b"LTX1")


def interrupted(monkeypatch: pytest.MonkeyPatch, *changes: Callable[[], None], hidden: str) -> None:
    """Lets each of `changes` happen while a folder of level 0 is read; that reading misses `hidden`."""
    real, left = os.scandir, list(changes)

    @contextmanager
    def scandir(folder: Path) -> Iterator[Iterator[os.DirEntry[str]]]:
        racing = bool(left) and Path(folder).name == "0"
        if racing:
            left.pop(0)()
        with real(folder) as entries:
            yield (entry for entry in entries if not (racing and hidden in entry.name))

    monkeypatch.setattr(os, "scandir", scandir)


@pytest.mark.parametrize("hidden", ["4.ltx", "5.ltx", "6.ltx", "no file"])
@pytest.mark.parametrize("reading", [0, 1], ids=["first", "second"])
def test_a_listing_shows_no_transaction_without_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hidden: str, reading: int
) -> None:
    written(tmp_path, 1, 2, 3)
    commits = [lambda: None] * reading + [lambda: written(tmp_path, 4, 5, 6)]
    interrupted(monkeypatch, *commits, hidden=hidden)
    replica = Replica(LocalStore(tmp_path))
    listed = replica.every_file()
    replica.close()
    assert gaps(listed) == []
    assert [file.max_txid for file in listed][:3] == [1, 2, 3]


def test_a_transaction_that_is_deleted_while_files_are_listed_is_no_gap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, *range(1, 17))
    written(tmp_path, 16, level=2, first=1)
    in_level_0 = tmp_path / "ltx" / "0"
    interrupted(
        monkeypatch,
        # Each listing reads the folder twice. The third no longer sees what was deleted.
        *[lambda: None] * 4,
        lambda: [path.unlink() for path in in_level_0.iterdir()] and None,
        hidden="2.ltx",
    )
    replica = Replica(LocalStore(tmp_path))
    assert gaps(replica.every_file()) == [Gap(2, 15)]
    assert replica.history()[1] == []
    replica.close()


def test_a_lost_transaction_is_a_gap_in_every_listing(tmp_path: Path) -> None:
    written(tmp_path, 1, 2, 4, 5, 8)
    replica = Replica(LocalStore(tmp_path))
    listed, found = replica.history()
    replica.close()
    assert [file.max_txid for file in listed] == [1, 2, 4, 5, 8]
    assert found == [Gap(3, 8)]
