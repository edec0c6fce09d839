"""`lamdb restore --in-place` beside a server that goes on writing."""

from pathlib import Path

import pytest
from tests.support.command_line import Run, run

from lamdb.cli import backup
from lamdb.errors import Fenced
from lamdb.storage import Database, fencing, open_store
from lamdb.storage.stores.wrappers import StoreWrapper

from ..storage.history import ask, tell

__all__ = ["run"]


class RacedStore(StoreWrapper):
    """Another writer is first for the next `races` commits."""

    races = 0

    def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        if self.races:
            self.races -= 1
            with Database.open(self.inner.url) as other:
                tell(other, "INSERT INTO t VALUES(0)")
        return super().put_new(key, body, timestamp_ms=timestamp_ms)


@pytest.mark.parametrize("races", [0, 1, 5, 12])
def test_it_begins_anew_when_another_writer_was_first(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, races: int
) -> None:
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")
        tell(database, "INSERT INTO t VALUES(1)")
        tell(database, "INSERT INTO t VALUES(2)")
    store = RacedStore(open_store(url))
    store.races = races
    monkeypatch.setattr(backup, "_database", lambda settings: Database(store, create=False))
    done = run("restore", "--txid", 2, "--in-place", "--yes", "--json", "--store", url)
    assert (done.code, done.err) == (0, "")
    assert done.json == {"txid": 4 + races, "before": 3 + races}
    with Database.open(url) as database:
        assert ask(database, "SELECT a FROM t") == [(1,)]
        with database.as_of(txid=3 + races) as connection:  # What the other wrote is in the history.
            assert connection.execute("SELECT count(*) FROM t").get == 2 + races


def test_it_gives_up_in_the_end(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = (tmp_path / "store").as_uri()
    with Database.open(url) as database:
        tell(database, "CREATE TABLE t(a)")
    monkeypatch.setattr(fencing, "LONGEST_PAUSE", 0.0)
    tries = []

    def fenced(self: Database, **options: object) -> int:
        tries.append(options)
        raise Fenced("another writer was first")

    monkeypatch.setattr(Database, "restore", fenced)
    done = run("restore", "--txid", 1, "--in-place", "--yes", "--store", url)
    assert (done.code, len(tries)) == (1, 51)
    assert "FENCED" in done.err
