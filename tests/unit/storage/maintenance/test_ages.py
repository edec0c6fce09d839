"""Promises of retention in stores without a clock, however the writers' clocks are set."""

import random
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.storage.ltx.files import FileInfo, KeyLayout, restorable
from lamdb.storage.maintenance.ages import LONGEST_PAUSE_MS, WitnessedAges
from lamdb.storage.maintenance.retention import RetentionPolicy, expendable

LAYOUT = KeyLayout("ltx/{:d}/")
HOUR = 3_600_000
DAY = 24 * HOUR
YEAR = 365 * DAY
NOW = 20_000 * DAY
POLICY = RetentionPolicy()


def transaction(txid: int, modified_ms: int) -> FileInfo:
    key = LAYOUT.key(0, txid, txid)
    return FileInfo(0, txid, txid, 1000, key, modified_ms, changed_ms=modified_ms)


def compacted(level: int, low: int, high: int, modified_ms: int) -> FileInfo:
    key = LAYOUT.key(level, low, high)
    return FileInfo(level, low, high, 1000, key, modified_ms, changed_ms=modified_ms)


def store(times: list[int]) -> list[FileInfo]:
    """A transaction at each of `times`, with all windows of 16 and of everything compacted."""
    files = [transaction(txid, time) for txid, time in enumerate(times, 1)]
    count = len(times) - len(times) % 16
    files += [compacted(2, end - 15, end, times[end - 1]) for end in range(16, count + 1, 16)]
    if count:
        files.append(compacted(9, 1, count, times[count - 1]))
    return files


def left(files: list[FileInfo], now_ms: int | None = None) -> set[int]:
    """The states that can be restored after pruning, at the time of the newest file."""
    newest = max(file.modified_ms for file in files) if now_ms is None else now_ms
    doomed = {file.key for file in expendable(files, POLICY, newest, WitnessedAges(files))}
    return {file.max_txid for file in restorable(file for file in files if file.key not in doomed)}


def minutes(count: int) -> list[int]:
    """A transaction each minute, up to now."""
    return [NOW - (count - number) * 60_000 for number in range(count)]


CLOCKS: dict[str, Callable[[list[int]], list[int]]] = {
    "ahead from now on": lambda times: [*times, NOW + YEAR],
    "ahead for a while": lambda times: [*times, *(NOW + YEAR + n * HOUR for n in range(5))],
    "ahead in between": lambda times: [*times[:150], NOW + YEAR, NOW + YEAR + 1, *times[150:]],
    "ahead by 40 days": lambda times: [*times, NOW + 40 * DAY],
    "behind from now on": lambda times: [*times, 0],
    "behind for a while": lambda times: [*times, *(n * HOUR for n in range(30))],
    "behind in between": lambda times: [*times[:150], 0, 1, 2, *times[150:]],
    "behind, then ahead": lambda times: [*times, 0, NOW + YEAR],
    "ahead, then behind": lambda times: [*times, NOW + YEAR, 0],
    "ahead, then right": lambda times: [*times, NOW + YEAR, NOW + 1, NOW + 2],
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_a_wrong_clock_deletes_nothing_that_is_promised(clock: str) -> None:
    files = store(CLOCKS[clock](minutes(302)))
    assert left(files) == set(range(1, max(file.max_txid for file in files) + 1))


@pytest.mark.parametrize("clock", CLOCKS)
def test_the_days_are_kept_as_well(clock: str) -> None:
    """One transaction at noon of each of 25 days, then today's."""
    days = [NOW - (25 - number) * DAY + 12 * HOUR for number in range(25)]
    files = store(CLOCKS[clock](days + minutes(160)))
    assert set(range(1, 26)) <= left(files)


def test_the_process_that_prunes_may_have_a_wrong_clock() -> None:
    for now in (0, NOW - YEAR, NOW):
        assert left(store(minutes(302)), now) == set(range(1, 303))


def test_a_store_that_was_copied_keeps_its_days() -> None:
    """To the file system all files are of the time of the copy; the writers' times are as they were."""
    times = [NOW - (20 - number) * DAY for number in range(20)]
    files = [transaction(txid, NOW) for txid in range(1, 21)]
    files = [FileInfo(*_fields(file), modified_ms=times[file.max_txid - 1], changed_ms=NOW) for file in files]
    files += [transaction(20 + number, NOW + number * HOUR // 2) for number in range(1, 500)]
    assert set(range(1, 21)) <= left([*files, compacted(9, 1, 20, NOW), compacted(2, 21, 519, NOW)])


def _fields(file: FileInfo) -> tuple[int, int, int, int, str]:
    return file.level, file.min_txid, file.max_txid, file.size, file.key


def test_old_transactions_go_by_and_by() -> None:
    times = [NOW - (2000 - number) * HOUR // 2 for number in range(2000)]
    kept = left(store(times))
    window = (7 * 24 + 1) * 2
    assert set(range(2000 - window, 2001)) <= kept
    assert len(kept) < window + 60 * 16


@given(st.lists(st.integers(0, 3 * HOUR), min_size=2, max_size=60), st.integers(0, 100))
@settings(max_examples=60)
def test_pauses_count_for_an_hour_at_most(pauses: list[int], seed: int) -> None:
    times = [NOW]
    for pause in pauses:
        times.append(times[-1] + pause)
    files = store(times)
    random.Random(seed).shuffle(files)
    ages = WitnessedAges(files)
    when = [ages.when(transaction(txid, 0)) for txid in range(1, len(times) + 1)]
    assert when[-1] == times[-1]
    expected = [min(pause, LONGEST_PAUSE_MS) for pause in pauses]
    assert [after - before for before, after in pairwise(when)] == expected
