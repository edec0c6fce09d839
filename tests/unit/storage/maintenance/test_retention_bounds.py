"""To the millisecond and the transaction: what retention promises begins and ends where it says."""

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.unit.storage.plain_store import PlainStore, listed

from lamdb.errors import CorruptFile, SettingsError
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.ages import WitnessedAges
from lamdb.storage.maintenance.retention import RetentionPolicy, expendable, prune

HOUR = 3_600_000
DAY = 24 * HOUR
NOW = 1000 * DAY + 12 * HOUR
POLICY = RetentionPolicy(timedelta(days=2), timedelta(days=10), timedelta(hours=3))


def doomed(files: list[FileInfo], policy: RetentionPolicy = POLICY) -> list[tuple[int, int, int]]:
    return [(one.level, one.min_txid, one.max_txid) for one in expendable(files, policy, NOW)]


def history(*times: int, snapshot_at: int = 0) -> list[FileInfo]:
    """A transaction at each of `times`, and a snapshot of them all."""
    files = [listed(0, txid, txid, at_ms=at) for txid, at in enumerate(times, 1)]
    return [*files, listed(9, 1, len(files), at_ms=snapshot_at or times[-1])]


def test_the_defaults_are_those_of_the_documentation() -> None:
    policy = RetentionPolicy()
    assert (policy.transactions, policy.days, policy.grace) == (
        timedelta(days=7),
        timedelta(days=30),
        timedelta(hours=1),
    )


def test_a_policy_of_days() -> None:
    assert RetentionPolicy.of_days(2, 9.5) == RetentionPolicy(timedelta(days=2), timedelta(days=9, hours=12))


@pytest.mark.parametrize(
    ("transactions", "stale_after", "safe"),
    [
        (timedelta(hours=1), 0.0, True),
        (timedelta(hours=1), 36.0, True),
        (timedelta(minutes=59, seconds=59), 0.0, False),
        (timedelta(hours=1), 36.1, False),
        (timedelta(seconds=5000), 50.0, True),
        (timedelta(seconds=4999), 50.0, False),
    ],
)
def test_transactions_outlive_a_view_a_hundredfold_and_for_an_hour(
    transactions: timedelta, stale_after: float, safe: bool
) -> None:
    policy = RetentionPolicy(transactions=transactions)
    if safe:
        policy.require_safe(stale_after)
    else:
        with pytest.raises(SettingsError, match="transactions are kept"):
            policy.require_safe(stale_after)


def test_days_may_be_as_long_as_transactions_and_grace_may_be_none() -> None:
    RetentionPolicy(timedelta(days=3), timedelta(days=3), timedelta(0)).require_safe(10)
    with pytest.raises(SettingsError, match="days are kept"):
        RetentionPolicy(timedelta(days=3), timedelta(days=3) - timedelta(milliseconds=1)).require_safe(10)
    with pytest.raises(SettingsError, match="grace"):
        RetentionPolicy(grace=timedelta(milliseconds=-1)).require_safe(10)


@pytest.mark.parametrize(("age", "stays"), [(2 * DAY - 1, True), (2 * DAY, False), (2 * DAY + 1, False)])
def test_a_transaction_stays_while_it_is_younger_than_the_time_of_transactions(age: int, stays: bool) -> None:
    """The fourth is the first of the window, or the last before it, whose state is promised as well."""
    files = history(NOW - 5 * DAY, NOW - 5 * DAY + 1, NOW - age - 1, NOW - age, NOW - HOUR, NOW)
    files += [listed(9, 1, 2, at_ms=NOW - 5 * DAY), listed(9, 1, 3, at_ms=NOW - 3 * DAY)]
    files += [listed(9, 1, 4, at_ms=NOW - 4 * HOUR)]
    assert ((0, 4, 4) not in doomed(files)) == stays
    assert {(0, 5, 5), (0, 6, 6)}.isdisjoint(doomed(files))


@pytest.mark.parametrize(("age", "goes"), [(3 * HOUR - 1, False), (3 * HOUR, True), (3 * HOUR + 1, True)])
def test_what_was_replaced_stays_for_the_time_of_grace(age: int, goes: bool) -> None:
    files = [listed(0, 1, 1, at_ms=NOW - 3 * DAY), listed(0, 2, 2, at_ms=NOW - 3 * DAY)]
    files += [listed(2, 1, 2, at_ms=NOW - age), listed(9, 1, 2, at_ms=NOW - 4 * HOUR)]
    assert ((2, 1, 2) in doomed(files)) == goes


@pytest.mark.parametrize("age", [3 * HOUR - 1, 3 * HOUR])
def test_what_replaces_is_used_once_it_has_settled(age: int) -> None:
    """A reader may still use the merged files until the snapshot has settled."""
    files = [listed(0, 1, 1, at_ms=NOW - 3 * DAY), listed(9, 1, 1, at_ms=NOW - age)]
    assert doomed(files) == ([(0, 1, 1)] if age == 3 * HOUR else [])


def test_the_last_state_before_the_window_stays() -> None:
    """All of one day, so that no other promise holds the second."""
    day = (NOW // DAY - 3) * DAY
    files = history(day + 1, day + 2, NOW - 1, NOW)
    assert doomed(files) == []
    assert doomed([*files, listed(2, 1, 2, at_ms=day + 3)]) == [(0, 2, 2), (0, 1, 1)]


def test_of_each_day_the_last_state_stays() -> None:
    first = (NOW // DAY - 6) * DAY
    times = [first + 1, first + DAY - 1, first + DAY, first + 2 * DAY - 1, first + 3 * DAY]
    files = history(*times, NOW)
    # Each state as a snapshot of its own, so that each file is one state.
    files += [listed(9, 1, txid, at_ms=at) for txid, at in enumerate(times, 1)]
    gone = doomed(files)
    assert (9, 1, 1) in gone
    assert (9, 1, 3) in gone
    assert {(9, 1, 2), (9, 1, 4), (9, 1, 5)}.isdisjoint(gone)
    assert [one for one in gone if not one[0]] == [(0, 5, 5), (0, 4, 4), (0, 3, 3), (0, 2, 2), (0, 1, 1)]


@pytest.mark.parametrize(("age", "stays"), [(10 * DAY - 1, True), (10 * DAY, True), (10 * DAY + 1, False)])
def test_days_are_kept_for_their_time_and_one_state_before(age: int, stays: bool) -> None:
    times = [NOW - 20 * DAY, NOW - age, NOW - 10 * DAY, NOW - 5 * DAY, NOW]
    if age < 10 * DAY:
        times[1:3] = times[2:0:-1]
    files = history(*times) + [listed(9, 1, txid, at_ms=at) for txid, at in enumerate(times[:-1], 1)]
    gone = doomed(files)
    assert (9, 1, 1) in gone
    # Of two states at or before the limit only the younger is the state of the days before.
    assert ((9, 1, 2) not in gone) == (age != 10 * DAY and stays)
    assert (9, 1, 3) not in gone


def test_times_that_go_back_do_not_make_one_day_of_several() -> None:
    """The second was stored by a clock that was ahead by a day: its state is no younger than the third."""
    day = (NOW // DAY - 5) * DAY
    times = [day + HOUR, day + DAY + HOUR, day + 2 * HOUR, day + DAY + 2 * HOUR, NOW]
    files = history(*times) + [listed(9, 1, txid, at_ms=at) for txid, at in enumerate(times[:-1], 1)]
    gone = doomed(files)
    assert {(9, 1, 1), (9, 1, 2)} <= {*gone}
    assert {(9, 1, 3), (9, 1, 4)}.isdisjoint(gone)


def test_the_newest_go_first_and_of_those_the_lowest_level() -> None:
    old = NOW - 20 * DAY
    files = [listed(0, n, n, at_ms=old) for n in range(1, 5)] + [listed(2, 1, 4, at_ms=old)]
    files += [listed(3, 1, 4, at_ms=old), listed(9, 1, 4, at_ms=old), listed(0, 5, 5, at_ms=NOW)]
    assert doomed(files) == [(0, 4, 4), (2, 1, 4), (3, 1, 4), (0, 3, 3), (0, 2, 2), (0, 1, 1)]


@pytest.mark.parametrize(
    ("level", "age", "stays"),
    [
        (3, 2 * DAY - 1, False),
        (4, 2 * DAY - 1, True),
        (4, 2 * DAY, False),
        (5, 4 * HOUR, True),
        (9, 4 * HOUR, True),
    ],
)
def test_large_files_stay_as_long_as_transactions(level: int, age: int, stays: bool) -> None:
    old = NOW - 20 * DAY
    files = [
        *history(old, old + 1, old + 2, NOW),
        listed(9, 1, 3, at_ms=old + 2),
        listed(level, 1, 2, at_ms=NOW - age),
    ]
    assert ((level, 1, 2) not in doomed(files)) == stays


def test_transactions_of_the_window_stay_and_those_before_it_go() -> None:
    old = NOW - 4 * DAY
    files = [*history(old, old + 1, NOW - DAY, NOW - 4 * HOUR), listed(9, 1, 2, at_ms=old + 1)]
    assert doomed(files) == [(0, 2, 2), (0, 1, 1)]


def test_where_all_is_older_than_the_window_no_transaction_stays_for_its_age() -> None:
    old = NOW - 4 * DAY
    assert doomed(history(old, old + 1)) == [(0, 2, 2), (0, 1, 1)]


def test_a_writer_s_clock_is_given_an_hour_more() -> None:
    """By ages that pauses tell, the window is longer by the longest pause that counts."""
    pause = HOUR // 2
    times = [NOW - (200 - n) * pause for n in range(1, 201)]
    files = history(*times) + [listed(9, 1, txid, at_ms=times[txid - 1]) for txid in range(1, 200)]
    gone = {one.min_txid for one in expendable(files, POLICY, NOW, WitnessedAges(files)) if not one.level}
    kept = 2 * (48 + 1)
    assert gone == set(range(1, 200 - kept + 1))
    without = {one.min_txid for one in expendable(files, POLICY, NOW) if not one.level}
    assert without == set(range(1, 200 - 2 * 48 + 1))


@pytest.fixture
def store() -> PlainStore:
    """Twenty transactions of long ago, one of now, all in a snapshot of some hours ago."""
    store = PlainStore()
    for txid in range(1, 21):
        store.put(0, txid, txid, b"x", at_ms=NOW - 20 * DAY + txid)
    store.put(9, 1, 20, b"x", at_ms=NOW - 20 * DAY + 20)
    store.put(0, 21, 21, b"x", at_ms=NOW)
    return store


@pytest.fixture
def replica(store: PlainStore) -> Iterator[Replica]:
    replica = Replica(store)
    yield replica
    replica.close()


OLD = [(0, txid, txid) for txid in range(20, 0, -1)]


def names(files: list[FileInfo]) -> list[tuple[int, int, int]]:
    return [(one.level, one.min_txid, one.max_txid) for one in files]


def test_pruning_deletes_what_is_expendable_and_says_what(replica: Replica, store: PlainStore) -> None:
    assert names(prune(replica, POLICY, NOW, stale_after=10)) == OLD
    assert sorted(names(replica.every_file())) == [(0, 21, 21), (9, 1, 20)]
    assert prune(replica, POLICY, NOW, stale_after=10) == []


def test_a_dry_run_deletes_nothing(replica: Replica, store: PlainStore) -> None:
    before = dict(store.objects)
    assert names(prune(replica, POLICY, NOW, stale_after=10, dry_run=True)) == OLD
    assert store.objects == before


@pytest.mark.parametrize("own_clock", [True, False])
def test_time_is_that_of_the_newest_file(own_clock: bool, store: PlainStore, replica: Replica) -> None:
    """A clock that is a year ahead deletes nothing more, one that is behind less."""
    store.own_clock = own_clock
    del store.objects[sorted(store.objects)[20]]
    year = NOW + 365 * DAY
    assert names(prune(replica, POLICY, year, stale_after=10, dry_run=True)) == []
    assert prune(replica, POLICY, NOW - 365 * DAY, stale_after=10, dry_run=True) == []


def test_an_empty_store_is_left_alone() -> None:
    replica = Replica(PlainStore())
    assert prune(replica, POLICY, NOW, stale_after=10) == []
    replica.close()


def test_no_deletion_begins_at_the_deadline(
    replica: Replica, store: PlainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deletions go in batches of 64, and the deadline is looked at before each."""
    for txid in range(21, 200):
        store.put(0, txid, txid, b"x", at_ms=NOW - 19 * DAY)
    store.put(9, 1, 199, b"x", at_ms=NOW - 19 * DAY)
    store.put(0, 200, 200, b"x", at_ms=NOW)
    times = iter([4.0, 4.9, 5.0, 6.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(times))
    assert len(prune(replica, POLICY, NOW, stale_after=10, deadline=5.0)) == 128


def test_nothing_is_deleted_where_a_transaction_is_missing(replica: Replica, store: PlainStore) -> None:
    store.put(0, 23, 23, b"x", at_ms=NOW)
    before = dict(store.objects)
    with pytest.raises(CorruptFile, match=r"plain:: transaction 22 is missing.*nothing is deleted"):
        prune(replica, POLICY, NOW, stale_after=10)
    assert store.objects == before


def test_an_unsafe_policy_deletes_nothing(replica: Replica, store: PlainStore) -> None:
    with pytest.raises(SettingsError):
        prune(replica, POLICY, NOW, stale_after=10_000)
    assert len(store.objects) == 22


def test_where_only_writers_have_clocks_pauses_count(store: PlainStore, replica: Replica) -> None:
    """Between the old transactions and the last, 20 days passed: of them, an hour counts."""
    assert names(prune(replica, POLICY, NOW, stale_after=10, dry_run=True)) == OLD
    store.own_clock = False
    assert prune(replica, POLICY, NOW, stale_after=10, dry_run=True) == []


def test_a_state_is_as_old_as_its_oldest_file() -> None:
    files = [listed(0, 1, 1, at_ms=NOW - 2 * HOUR), listed(0, 2, 2, at_ms=NOW)]
    compacted = [listed(9, 1, 1, at_ms=NOW - HOUR // 4), listed(2, 1, 1, at_ms=NOW - HOUR // 2)]
    for mixed in ([*files, *compacted], [*compacted, *files]):
        ages = WitnessedAges(mixed)
        assert ages.when(files[0]) == NOW - HOUR
    files[0] = listed(0, 1, 1, at_ms=NOW - HOUR // 3)
    for mixed in ([*files, *compacted[:1]], [*compacted[:1], *files]):
        assert WitnessedAges(mixed).when(files[0]) == NOW - HOUR // 3
    WitnessedAges([])


def test_what_a_promised_state_is_made_of_has_settled() -> None:
    """A snapshot of it that was made just now replaces nothing yet, though the newest state needs neither."""
    old = NOW - 5 * DAY
    files = [
        listed(0, 1, 1, at_ms=old),
        listed(0, 2, 2, at_ms=old + 1),
        listed(0, 3, 3, at_ms=NOW - 4 * HOUR),
    ]
    files += [listed(9, 1, 3, at_ms=NOW - 3 * HOUR), listed(9, 1, 2, at_ms=NOW - HOUR)]
    assert doomed(files) == []


def test_days_are_given_an_hour_more_as_well() -> None:
    """By the writers' clocks: a day that ended an hour before the time of days was over is kept."""
    now = NOW // DAY * DAY + HOUR // 2
    policy = RetentionPolicy(timedelta(days=2), timedelta(days=4), timedelta(hours=3))
    times = [now - number * HOUR // 2 for number in range(300, -1, -1)]
    files = [listed(9, 1, txid, at_ms=at) for txid, at in enumerate(times, 1)]
    gone = {times[one.max_txid - 1] for one in expendable(files, policy, now, WitnessedAges(files))}
    assert now - 4 * DAY - HOUR not in gone
    assert {now - 4 * DAY - HOUR // 2, now - 4 * DAY - HOUR - HOUR // 2} <= gone


@pytest.mark.parametrize("more", [0, 1])
def test_several_times_that_are_ahead_are_those_of_the_next(more: int) -> None:
    day = (NOW // DAY - 5) * DAY
    times = [day + DAY + HOUR, day + DAY + 2 * HOUR, day + 2 * HOUR, *[day + 3 * HOUR] * more, NOW]
    files = history(*times) + [listed(9, 1, txid, at_ms=at) for txid, at in enumerate(times[:-1], 1)]
    gone = {txid for level, _, txid in doomed(files) if level == 9}
    assert gone == {*range(1, len(times) - 1)}
