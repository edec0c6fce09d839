"""States by number and by time: the bounds, the gaps between, and clocks that were ahead."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.unit.storage.plain_store import LAYOUT, PAGE, PlainStore, body, page

from lamdb.errors import CorruptFile, NotAStore, NotRestorable
from lamdb.storage.ltx import restorepoints
from lamdb.storage.ltx.files import FileInfo, Gap
from lamdb.storage.ltx.replica import FileGone, Replica
from lamdb.storage.ltx.restorepoints import (
    RestorePoint,
    find_backups,
    newest_snapshot,
    not_restorable,
    restore_range,
    txid_at,
)

BEGIN = 1_700_000_000_000
MINUTE = 60_000


def when(txid: int) -> int:
    """Transactions are a minute apart."""
    return BEGIN + txid * MINUTE


def add(store: PlainStore, txid: int, *, low: int = 0, level: int = 0, at: int = 0, stored: int = 0) -> None:
    content = body(low or txid, txid, {1: page(txid)}, 1 + txid, timestamp_ms=at or when(txid))
    store.put(level, low or txid, txid, content, at_ms=stored)


@pytest.fixture
def store() -> PlainStore:
    store = PlainStore()
    for txid in range(1, 10):
        add(store, txid)
    return store


@pytest.fixture
def replica(store: PlainStore) -> Iterator[Replica]:
    replica = Replica(store)
    yield replica
    replica.close()


def at(ms: float) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


@pytest.mark.parametrize("txid", [1, 2, 5, 8, 9])
def test_a_time_names_the_last_transaction_that_was_committed_by_then(replica: Replica, txid: int) -> None:
    assert txid_at(replica, at(when(txid))) == txid
    assert txid_at(replica, at(when(txid) + MINUTE - 1)) == txid


def test_a_time_after_all_names_the_newest(replica: Replica) -> None:
    assert txid_at(replica, at(when(1000))) == 9


def test_a_time_before_all_names_the_oldest_that_is_kept(replica: Replica) -> None:
    with pytest.raises(NotRestorable, match=r"as old as .* the oldest is transaction 1 of") as caught:
        txid_at(replica, at(when(1) - 1))
    assert caught.value.meta == {"oldest": 1}


def test_a_time_without_a_zone_is_utc(replica: Replica) -> None:
    assert txid_at(replica, at(when(5)).replace(tzinfo=None)) == 5
    assert txid_at(replica, at(when(5)).astimezone(timezone(timedelta(hours=5)))) == 5


def test_an_empty_store_has_no_time() -> None:
    replica = Replica(PlainStore())
    with pytest.raises(NotRestorable, match="no transactions"):
        txid_at(replica, at(BEGIN))
    assert restore_range(replica) is None
    assert find_backups(replica).total == 0
    assert str(not_restorable(replica, 3)) == "the store holds no transactions"
    with pytest.raises(NotAStore, match="plain: holds no snapshot"):
        newest_snapshot(replica)
    replica.close()


@pytest.mark.parametrize(("late", "known"), [(MINUTE, True), (MINUTE + 5_000, False)])
def test_what_follows_must_not_be_of_the_future(
    late: int, known: bool, store: PlainStore, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = when(20)
    monkeypatch.setattr(time, "time", lambda: now / 1000)
    add(store, 10, at=now + late)
    if known:
        assert txid_at(replica, at(when(9))) == 9
    else:
        with pytest.raises(NotRestorable, match=r"transaction 10 has the time .* in the future") as caught:
            txid_at(replica, at(when(9)))
        assert caught.value.meta == {"before": 9, "after": 10}
    # Earlier times do not depend on it.
    assert txid_at(replica, at(when(8))) == 8


def test_if_all_is_of_the_future_nothing_is_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: when(1) / 1000)
    store = PlainStore()
    add(store, 1, at=when(100))
    replica = Replica(store)
    with pytest.raises(NotRestorable, match="in the future") as caught:
        txid_at(replica, at(when(2)))
    assert caught.value.meta == {"before": 0, "after": 1}
    replica.close()


@pytest.mark.parametrize(("ahead", "found"), [(MINUTE, 100 * MINUTE + MINUTE), (MINUTE + 1, 100 * MINUTE)])
def test_nothing_is_older_in_the_store_than_it_is(ahead: int, found: int) -> None:
    """A minute is what right clocks may differ by; beyond that the store's time counts."""
    store = PlainStore()
    add(store, 1, at=when(100) + ahead, stored=when(100))
    replica = Replica(store)
    assert find_backups(replica).points[0].timestamp_ms == BEGIN + found
    replica.close()


def test_a_time_beside_a_gap(store: PlainStore, replica: Replica) -> None:
    """Exactly at a transaction the next one does not matter. After it, the one that is missing might."""
    del store.objects[LAYOUT.key(0, 6, 6)]
    add(store, 8, low=1, level=9)
    assert txid_at(replica, at(when(5))) == 5
    assert txid_at(replica, at(when(4) + 1)) == 4
    assert txid_at(replica, at(when(8))) == 8
    with pytest.raises(CorruptFile, match="plain:: transaction 6 is missing, though there is 7") as caught:
        txid_at(replica, at(when(5) + 1))
    assert caught.value.meta == {"missing": [6]}


def test_a_time_before_a_gap_at_the_beginning(store: PlainStore, replica: Replica) -> None:
    del store.objects[LAYOUT.key(0, 1, 1)]
    add(store, 3, low=1, level=9)
    with pytest.raises(CorruptFile, match="transaction 1 is missing"):
        txid_at(replica, at(when(2)))
    assert txid_at(replica, at(when(3))) == 3


@pytest.mark.parametrize(("lost", "earlier"), [((1,), False), ((1, 6), False), ((2,), True), ((3, 7), True)])
def test_an_earlier_state_is_named_only_if_there_may_be_one(
    lost: tuple[int, ...], earlier: bool, store: PlainStore, replica: Replica
) -> None:
    for txid in lost:
        del store.objects[LAYOUT.key(0, txid, txid)]
    ways = (
        replica.newest_txid,
        lambda: txid_at(replica, at(when(9))),
        lambda: find_backups(replica).require_whole("plain:"),
    )
    for way in ways:
        with pytest.raises(CorruptFile) as caught:
            way()
        assert caught.value.hint.startswith("Bring the missing object back")
        assert ("name an earlier state" in caught.value.hint) == earlier
    assert ("name an earlier state" in not_restorable(replica, 9).hint) == earlier


def test_backups_are_listed_newest_first(store: PlainStore, replica: Replica) -> None:
    found = find_backups(replica)
    assert [point.txid for point in found.points] == [*range(9, 0, -1)]
    assert (found.total, found.gaps) == (9, [])
    assert found.points[0] == RestorePoint(9, when(9), 10 * PAGE, 0)
    assert found.points[0].time == at(when(9))
    found.require_whole("plain:")


@pytest.mark.parametrize(
    ("limit", "txids"),
    [(0, []), (1, [9]), (3, [9, 8, 7]), (9, [*range(9, 0, -1)]), (99, [*range(9, 0, -1)])],
)
def test_as_many_backups_as_are_asked_for(limit: int, txids: list[int], replica: Replica) -> None:
    found = find_backups(replica, limit)
    assert ([point.txid for point in found.points], found.total) == (txids, 9)


def test_what_is_missing_between_backups_is_said(store: PlainStore, replica: Replica) -> None:
    for txid in (3, 6):
        del store.objects[LAYOUT.key(0, txid, txid)]
    add(store, 5, low=1, level=9)
    add(store, 8, low=1, level=9)
    found = find_backups(replica)
    assert [(point.txid, point.level) for point in found.points] == [(9, 0), (8, 9), (5, 9), (2, 0), (1, 0)]
    assert found.gaps == [Gap(3, 4), Gap(6, 7)]
    with pytest.raises(CorruptFile, match="plain:: transaction") as caught:
        found.require_whole("plain:")
    assert caught.value.meta == {"missing": [3, 6]}
    with pytest.raises(CorruptFile, match="transaction 3 is missing, though there is 4; transaction 6 is"):
        restore_range(replica)


def test_the_range_is_from_the_oldest_to_the_newest(replica: Replica) -> None:
    found = restore_range(replica)
    assert found is not None
    assert (found.total, found.oldest.txid, found.newest.txid) == (9, 1, 9)
    assert (found.oldest.size, found.newest.size) == (2 * PAGE, 10 * PAGE)


def test_the_newest_snapshot_of_several(store: PlainStore, replica: Replica) -> None:
    for level, txid in ((9, 4), (9, 8), (9, 6), (8, 9)):
        add(store, txid, low=1, level=level)
    assert newest_snapshot(replica) == RestorePoint(8, when(8), 9 * PAGE, 9)


def test_a_state_that_is_not_kept_has_neighbours(store: PlainStore, replica: Replica) -> None:
    for txid in (1, 2, 3, 5, 6):
        del store.objects[LAYOUT.key(0, txid, txid)]
    del store.objects[LAYOUT.key(0, 4, 4)]
    add(store, 3, low=1, level=9)
    add(store, 6, low=1, level=9)
    error = not_restorable(replica, 5)
    assert isinstance(error, NotRestorable)
    assert str(error).endswith("the nearest that are restorable are 3 and 6")
    assert error.meta == {"txid": 5, "before": 3, "after": 6}
    error = not_restorable(replica, 2)
    assert str(error).endswith("the nearest that are restorable are 3")
    assert error.meta == {"txid": 2, "before": None, "after": 3}
    assert str(not_restorable(replica, 10)) == "there is no transaction 10 yet: the newest is 9"


@pytest.mark.parametrize(("txid", "missing"), [(5, False), (6, True), (7, True), (8, False)])
def test_a_state_that_is_lost_is_not_said_to_be_no_longer_kept(
    txid: int, missing: bool, store: PlainStore, replica: Replica
) -> None:
    del store.objects[LAYOUT.key(0, 6, 6)]
    add(store, 8, low=1, level=9)
    error = not_restorable(replica, txid)
    assert isinstance(error, CorruptFile) == missing
    if missing:
        assert error.meta == {"missing": [6]}


def test_a_file_must_end_with_the_transaction_of_its_name(store: PlainStore, replica: Replica) -> None:
    store.put(0, 10, 10, body(11, 11, {1: page(1)}, 1))
    with pytest.raises(CorruptFile, match=r"000a\.ltx: its name does not agree with its header, 11"):
        find_backups(replica, 1)


@pytest.mark.parametrize(("failures", "fails"), [(4, False), (5, True)])
def test_files_that_vanish_are_listed_anew_five_times(
    failures: int, fails: bool, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = restorepoints._read_point
    for look in (
        lambda: find_backups(replica, 1).points[0].txid,
        lambda: restore_range(replica).newest.txid,  # type: ignore[union-attr]
        lambda: txid_at(replica, at(when(9))),
    ):
        left = [failures]

        def read_point(replica: Replica, file: FileInfo, left: list[int] = left) -> RestorePoint:
            if file.max_txid == 9 and left[0]:
                left[0] -= 1
                raise FileGone(file.key)
            return real(replica, file)

        monkeypatch.setattr(restorepoints, "_read_point", read_point)
        if fails:
            with pytest.raises(NotRestorable, match="files keep disappearing"):
                look()
        else:
            assert look() == 9
