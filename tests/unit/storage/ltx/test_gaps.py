"""Finds the states that can be restored, and the transactions that are missing between them."""

from tests.unit.storage.plain_store import LAYOUT, listed

from lamdb.storage.ltx.files import FileInfo, Gap, gap_before_head, gaps, plan, restorable
from lamdb.storage.stores.objectstore import ObjectInfo


def transactions(*txids: int) -> list[FileInfo]:
    return [listed(0, txid, txid) for txid in txids]


def states(files: list[FileInfo]) -> list[tuple[int, int]]:
    return [(one.max_txid, one.level) for one in restorable(files)]


def test_each_state_once_by_the_file_of_the_lowest_level() -> None:
    files = [listed(9, 1, 2), listed(2, 1, 2), *transactions(1, 2, 3), listed(9, 1, 3)]
    assert states(files) == [(1, 0), (2, 0), (3, 0)]
    assert states(files[:2]) == [(2, 2)]


def test_a_state_needs_all_before_it() -> None:
    assert states(transactions(1, 3)) == [(1, 0)]
    assert states(transactions(2, 3)) == []
    assert states([*transactions(1, 4), listed(2, 2, 3)]) == [(1, 0), (3, 2), (4, 0)]
    assert states([*transactions(1), listed(2, 3, 4), listed(9, 1, 5)]) == [(1, 0), (5, 9)]
    assert states([*transactions(1, 2), listed(2, 1, 4)]) == [(1, 0), (2, 0), (4, 2)]


def test_a_store_without_files_has_no_gap() -> None:
    assert gap_before_head([], []) is None
    assert gaps([]) == []


def test_the_gap_before_the_newest_transaction() -> None:
    files = transactions(1, 2, 5)
    assert gap_before_head(files, plan(files)) == Gap(3, 5)
    assert gap_before_head(files[:2], plan(files[:2])) is None
    assert gap_before_head(transactions(4), []) == Gap(1, 4)
    assert gaps(files) == [Gap(3, 5)]
    assert str(Gap(3, 5)) == "transaction 3 is missing, though there is 5"


def test_all_gaps_are_found_oldest_first() -> None:
    files = [*transactions(2, 3, 5, 8, 9, 12), listed(9, 1, 4), listed(9, 1, 7)]
    # 2 and 3 need 1, and lie below the snapshot: they are lost, as 1 is.
    assert gaps(files) == [Gap(1, 3), Gap(10, 12)]
    assert gaps([*files, listed(9, 1, 12)]) == [Gap(1, 3)]


def test_a_gap_under_a_snapshot_is_one_only_if_transactions_follow_it() -> None:
    assert gaps([*transactions(1, 3, 4), listed(9, 1, 4), *transactions(5)]) == [Gap(2, 3)]
    assert gaps([*transactions(1), listed(9, 1, 4), *transactions(5)]) == []
    assert gaps([listed(2, 3, 4), listed(9, 1, 5)]) == []


def test_litestreams_own_retention_is_not_taken_for_a_loss() -> None:
    files = [*transactions(2, 3), listed(9, 1, 4), listed(1, 1, 4)]
    assert gaps(files) == []
    assert gaps([*files, *transactions(6)]) == [Gap(5, 6)]
    assert gaps([*transactions(2, 3), listed(9, 1, 4), listed(2, 1, 4)]) == [Gap(1, 3)]


def test_a_plan_that_goes_on_after_a_state() -> None:
    files = [*transactions(4, 5, 6, 7), listed(2, 4, 6), listed(2, 3, 7), listed(9, 1, 7)]
    assert [(one.level, one.min_txid) for one in plan(files, after=3)] == [(2, 4), (0, 7)]
    assert [(one.level, one.min_txid) for one in plan(files, 5, after=3)] == [(0, 4), (0, 5)]
    assert plan(files, after=7) == []
    assert plan(transactions(5), after=3) == []


def test_nothing_after_the_last_level_is_a_file() -> None:
    last, end = LAYOUT.key(9, 2**64 - 1, 2**64 - 1), LAYOUT.after(9)
    assert LAYOUT.may_precede_files(ObjectInfo(last, 1, 0))
    assert not LAYOUT.may_precede_files(ObjectInfo(end, 1, 0))


def test_a_file_has_the_times_of_its_object() -> None:
    found = LAYOUT.parse(ObjectInfo(LAYOUT.key(3, 17, 32), 123, 456, "an etag", 789))
    assert found is not None
    assert (found.level, found.min_txid, found.max_txid, found.size) == (3, 17, 32, 123)
    assert (found.modified_ms, found.etag, found.changed_ms, found.content) == (456, "an etag", 789, b"")
    assert found.stored_ms == 789
    assert listed(0, 1, 1, at_ms=5).stored_ms == 5
