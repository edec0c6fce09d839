"""Writers whose clocks are wrong: what is promised stays, and times lead to the states they should."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from lamdb.errors import NotRestorable
from lamdb.storage import Database, ObjectStore
from lamdb.storage.clock import Moment
from lamdb.storage.ltx import restorepoints
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import find_backups, txid_at
from lamdb.storage.maintenance.background import Maintenance
from lamdb.storage.maintenance.retention import RetentionPolicy
from lamdb.storage.stores.localstore import LocalStore

from .history import ask, tell

type Maker = Callable[[], ObjectStore]

DAY = 24 * 3600.0


class ShiftedClock:
    """The right clock, set ahead by so many seconds."""

    def __init__(self, ahead: float) -> None:
        self.ahead = ahead

    def now(self) -> Moment:
        return Moment(time.monotonic(), time.time() + self.ahead)


def filled(store: ObjectStore, count: int) -> None:
    with Database(store, page_size=512, stale_after=1e9) as database:
        tell(database, "CREATE TABLE t(a)")
        for number in range(count - 1):
            tell(database, f"INSERT INTO t VALUES({number})")


def states(store: ObjectStore) -> list[int]:
    replica = Replica(store)
    try:
        return [point.txid for point in reversed(find_backups(replica).points)]
    finally:
        replica.close()


@pytest.mark.parametrize("ahead", [40 * DAY, 3650 * DAY, -40 * DAY, -20_000 * DAY])
def test_upkeep_by_a_wrong_clock_deletes_nothing_that_is_promised(make_store: Maker, ahead: float) -> None:
    filled(make_store(), 50)
    with Database(make_store(), clock=ShiftedClock(ahead)) as database:
        tell(database, "INSERT INTO t VALUES(0)")
        maintenance = Maintenance(database.pages, RetentionPolicy())
        for _ in range(2):
            maintenance.run()
            tell(database, "INSERT INTO t VALUES(1)")
    assert states(make_store()) == [*range(1, 54)]


def test_a_clock_that_jumps_between_runs(make_store: Maker) -> None:
    filled(make_store(), 20)
    for ahead in (400 * DAY, 0.0, -400 * DAY, 800 * DAY, 1.0):
        with Database(make_store(), clock=ShiftedClock(ahead)) as database:
            tell(database, "INSERT INTO t VALUES(0)")
            Maintenance(database.pages, RetentionPolicy.of_days(1, 1)).run()
    assert states(make_store()) == [*range(1, 26)]


def test_a_time_finds_its_state_after_a_clock_that_was_ahead(make_store: Maker) -> None:
    """Stores with a clock of their own, such as S3, and a directory while the machine's clock is right."""
    filled(make_store(), 3)
    with Database(make_store(), clock=ShiftedClock(40 * DAY)) as ahead:
        tell(ahead, "INSERT INTO t VALUES(40)")
    with Database(make_store()) as right:
        tell(right, "INSERT INTO t VALUES(0)")
        # The time of the next transaction does not stay ahead.
        assert abs(right.pages.head.timestamp_ms / 1000 - time.time()) < 3600
    replica = Replica(make_store())
    now = datetime.now(UTC)
    assert txid_at(replica, now + timedelta(minutes=5)) == 5
    assert txid_at(replica, now + timedelta(days=365)) == 5
    with pytest.raises(NotRestorable, match="no state as old as"):
        txid_at(replica, now - timedelta(days=1))
    assert all(abs(point.time - now) < timedelta(hours=1) for point in find_backups(replica).points)
    replica.close()


def test_a_clock_that_is_behind_does_not_go_back(make_store: Maker) -> None:
    filled(make_store(), 3)
    with Database(make_store(), clock=ShiftedClock(-40 * DAY)) as behind:
        tell(behind, "INSERT INTO t VALUES(40)")
        tell(behind, "INSERT INTO t VALUES(41)")
    replica = Replica(make_store())
    times = [point.timestamp_ms for point in reversed(find_backups(replica).points)]
    assert times == sorted(times)
    assert abs(times[-1] / 1000 - time.time()) < 3600
    replica.close()


def test_a_state_whose_time_nobody_knows_is_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock of the machine itself was ahead: the times of writer and directory agree, and are wrong."""
    filled(LocalStore(tmp_path), 4)
    now = datetime.now(UTC)
    replica = Replica(LocalStore(tmp_path))
    # As if all of the above had been written by a machine whose clock was a day ahead.
    monkeypatch.setattr(restorepoints, "time", SimpleNamespace(time=lambda: 0.0))
    with pytest.raises(NotRestorable, match="which is in the future") as caught:
        txid_at(replica, now - timedelta(hours=1))
    assert "--txid" in caught.value.hint
    assert txid_at(replica, now + timedelta(hours=1)) == 4
    replica.close()


def test_reading_is_not_disturbed(tmp_path: Path) -> None:
    filled(LocalStore(tmp_path), 5)
    with Database(LocalStore(tmp_path), clock=ShiftedClock(-400 * DAY)) as database:
        assert ask(database, "SELECT count(*) FROM t") == [(4,)]
