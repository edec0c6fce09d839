"""Exactly which merges are planned, and what making one does to the store."""

import itertools
import time

import pytest
from tests.unit.storage.plain_store import LAYOUT, PlainStore, body, listed, page

from lamdb.errors import CorruptFile, StoreUnavailable
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import FileGone, Replica
from lamdb.storage.maintenance import compaction
from lamdb.storage.maintenance.compaction import Compactor, Merge, perform, plan_merges, snapshot_of, span

MIB = 1024 * 1024


def transactions(first: int, last: int, size: int = 100) -> list[FileInfo]:
    return [listed(0, txid, txid, size=size) for txid in range(first, last + 1)]


def ranges(merges: list[Merge]) -> list[tuple[int, int, int]]:
    return [(merge.level, merge.min_txid, merge.max_txid) for merge in merges]


def inputs(merge: Merge) -> list[tuple[int, int, int]]:
    return [(one.level, one.min_txid, one.max_txid) for one in merge.inputs]


def test_windows_of_levels() -> None:
    assert [span(level) for level in range(2, 9)] == [16**n for n in range(1, 8)]


def test_a_merge_reaches_from_the_lowest_to_the_last_transaction() -> None:
    merge = Merge(2, (listed(2, 3, 6, size=7), listed(3, 1, 9, size=11)))
    assert (merge.min_txid, merge.max_txid, merge.size) == (1, 9, 18)


@pytest.mark.parametrize(("head", "due"), [(355, False), (356, True)])
def test_a_snapshot_is_due_after_256_transactions(head: int, due: bool) -> None:
    files = [listed(9, 1, 100, size=1000), *transactions(101, head)]
    assert (plan_merges(files)[0].level == 9) == due


@pytest.mark.parametrize(("volume", "due"), [(16 * MIB - 1, False), (16 * MIB, True)])
def test_a_snapshot_is_due_after_16_mib(volume: int, due: bool) -> None:
    files = [listed(9, 1, 100, size=1000), listed(0, 101, 101, size=volume - 7), listed(0, 102, 102, size=7)]
    assert ranges(plan_merges(files)) == ([(9, 1, 102)] if due else [])


@pytest.mark.parametrize(("volume", "due"), [(50_000, True), (49_999, False)])
def test_a_snapshot_waits_for_half_the_size_of_the_last(volume: int, due: bool) -> None:
    files = [listed(9, 1, 100, size=100_000), listed(2, 101, 400, size=volume)]
    assert ranges(plan_merges(files)) == ([(9, 1, 400)] if due else [])


def test_a_snapshot_ends_with_a_window_if_there_is_one_above_the_last() -> None:
    base = listed(9, 1, 100, size=10)
    assert ranges(plan_merges([base, *transactions(101, 365)])) == [(9, 1, 352)]
    # 112 is the end of a window, 111 is not; and what is large does not wait for one.
    large = transactions(101, 111, 2 * MIB)
    assert ranges(plan_merges([base, *large])) == [(9, 1, 111)]
    assert ranges(plan_merges([base, *transactions(101, 113, 2 * MIB)])) == [(9, 1, 112)]
    assert ranges(plan_merges([base, *transactions(101, 112, 2 * MIB)])) == [(9, 1, 112)]


def test_a_snapshot_ends_elsewhere_if_no_file_ends_with_the_window() -> None:
    base = listed(9, 1, 96, size=10)
    files = [base, listed(1, 97, 110, size=20 * MIB), listed(1, 111, 114)]
    assert ranges(plan_merges(files)) == [(9, 1, 114)]
    assert ranges(plan_merges([*files, listed(1, 111, 112)])) == [(9, 1, 112)]


@pytest.mark.parametrize(("count", "level"), [(255, 9), (256, 3)])
def test_a_snapshot_is_of_256_files_at_most(count: int, level: int) -> None:
    """More are made fewer first."""
    base = listed(9, 1, 256, size=10)
    files = [base, *transactions(257, 256 + count, 1 * MIB)]
    files[-1] = listed(0, 256 + count, 256 + count, size=20 * MIB)
    merges = plan_merges(files)
    if count == 256:
        assert merges[0].level == level
        assert len(merges[0].inputs) == 256
    else:
        assert merges[0].level == level


def test_a_snapshot_that_is_not_due() -> None:
    assert snapshot_of([]) is None
    assert snapshot_of([listed(9, 1, 7)]) is None
    for level in (0, 2, 8):
        merge = snapshot_of([listed(level, 1, 1)])
        assert merge is not None
        assert (ranges([merge]), inputs(merge)) == ([(9, 1, 1)], [(level, 1, 1)])
    merge = snapshot_of([listed(9, 1, 7), *transactions(1, 9)])
    assert merge is not None
    assert inputs(merge) == [(9, 1, 7), (0, 8, 8), (0, 9, 9)]


def test_the_largest_complete_windows_are_taken() -> None:
    base = listed(9, 1, 3, size=10**9)
    assert ranges(plan_merges([base, *transactions(4, 300)])) == [(3, 4, 256), (2, 257, 272), (2, 273, 288)]
    assert ranges(plan_merges([base, *transactions(4, 255)]))[0] == (2, 4, 16)
    assert ranges(plan_merges([base, *transactions(4, 15)])) == []
    # Up to a window's last transaction but one there is nothing to gain from the last alone.
    assert plan_merges([listed(9, 1, 15, size=10**9), *transactions(16, 20)]) == []


def test_a_window_is_merged_of_the_fewest_files() -> None:
    files = [listed(9, 1, 256, size=10**9), *transactions(257, 512), listed(2, 257, 272), listed(2, 289, 304)]
    found = plan_merges(files)
    assert ranges(found) == [(3, 257, 512)]
    assert inputs(found[0])[:2] == [(2, 257, 272), (0, 273, 273)]
    assert len(found[0].inputs) == 256 - 2 * 15


def test_a_window_that_a_larger_file_ends_with_is_left() -> None:
    """It begins before the window, above the snapshot, and is of the level or a higher one."""
    base = listed(9, 1, 20, size=10**9)
    files = [base, *transactions(1, 48)]
    assert ranges(plan_merges(files)) == [(2, 21, 32), (2, 33, 48)]
    assert ranges(plan_merges([*files, listed(2, 17, 32)])) == [(2, 33, 48)]
    assert ranges(plan_merges([*files, listed(2, 21, 32)])) == [(2, 33, 48)]
    assert ranges(plan_merges([*files, listed(3, 1, 32)])) == [(2, 33, 48)]
    assert ranges(plan_merges([*files, listed(1, 22, 32)])) == [(2, 21, 32), (2, 33, 48)]
    assert ranges(plan_merges([*files, listed(2, 22, 32)])) == [(2, 21, 32), (2, 33, 48)]


def test_one_file_of_a_lower_level_is_a_window_already() -> None:
    assert plan_merges([listed(9, 1, 16, size=10**9), listed(1, 17, 32)]) == []


def test_too_many_files_are_made_fewer_by_windows_of_lower_levels() -> None:
    files = [listed(9, 1, 4096, size=10**9), *transactions(4097, 8192)]
    assert ranges(plan_merges(files)) == [(3, start, start + 255) for start in range(4097, 8192, 256)]
    # Above a snapshot that ends inside a window.
    files = [listed(9, 1, 4100, size=10**9), *transactions(4101, 8192)]
    found = ranges(plan_merges(files))
    assert found == [(3, 4101, 4352), *((3, start, start + 255) for start in range(4353, 8192, 256))]


# Making one


@pytest.fixture
def store() -> PlainStore:
    """Sixteen transactions: each writes page 1 and one page more."""
    store = PlainStore()
    for txid in range(1, 17):
        pages = {1: page(txid), txid + 1: page(txid)}
        store.put(0, txid, txid, body(txid, txid, pages, txid + 1, timestamp_ms=1000 * txid, nonce=txid))
    return store


KEY = LAYOUT.key(2, 1, 16)


def sixteen(store: PlainStore) -> Merge:
    return Merge(
        2, tuple(listed(0, n, n, size=len(store.objects[LAYOUT.key(0, n, n)][0])) for n in range(1, 17))
    )


def test_a_merge_is_the_file_of_its_level(store: PlainStore) -> None:
    replica = Replica(store)
    written = [*perform(replica, sixteen(store))]
    replica.close()
    made = store.objects[KEY][0]
    assert sum(written) == len(made)
    assert store.timestamps[KEY] == 16_000
    found = ltx.decode(made)
    assert (found.header.min_txid, found.header.max_txid, found.header.commit) == (1, 16, 17)
    assert found.pages == {1: page(16), **{txid + 1: page(txid) for txid in range(1, 17)}}
    assert ("head", KEY) not in store.calls


def test_a_merge_yields_what_each_step_has_written(
    store: PlainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_FRAMES_PER_STEP", 4)
    replica = Replica(store)
    written = [*perform(replica, sixteen(store))]
    replica.close()
    # 17 pages: four steps, and the end.
    assert len(written) == 5
    assert sum(written) == len(store.objects[KEY][0])


@pytest.mark.parametrize("there", [True, False])
def test_before_a_large_merge_the_store_is_asked_whether_it_is_done(there: bool, store: PlainStore) -> None:
    files = sixteen(store).inputs
    limit = 8 * MIB - sum(one.size for one in files[1:])
    first = [listed(0, 1, 1, size=size) for size in (limit, limit + 1)]
    if there:
        store.put(2, 1, 16, b"done")
    replica = Replica(store)
    generator = perform(replica, Merge(2, (first[1], *files[1:])))
    if there:
        assert [*generator] == []
    else:
        # The file is smaller than it says.
        with pytest.raises(CorruptFile):
            list(generator)
    assert store.calls[0] == ("head", KEY)
    store.calls.clear()
    with pytest.raises(CorruptFile):
        [*perform(replica, Merge(2, (first[0], *files[1:])))]
    assert ("head", KEY) not in store.calls
    replica.close()


def test_a_merge_that_is_left_early_leaves_nothing(
    store: PlainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_FRAMES_PER_STEP", 4)
    replica = Replica(store)
    generator = perform(replica, sixteen(store))
    next(generator)
    generator.close()
    replica.close()
    assert KEY not in store.objects
    assert store.calls[-1] == ("abort", KEY)


def test_what_a_run_did_is_counted(store: PlainStore) -> None:
    told: list[tuple[int, int]] = []
    replica = Replica(store)
    work = Compactor(replica).run(progress=lambda merge, written: told.append((merge.max_txid, written)))
    replica.close()
    size = len(store.objects[KEY][0])
    assert (work.merges, work.bytes_read, work.bytes_written, work.finished) == (
        1,
        sixteen(store).size,
        size,
        True,
    )
    assert told == [(16, size)]


def test_an_interrupted_merge_goes_on_with_the_next_run(
    store: PlainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_FRAMES_PER_STEP", 4)
    now = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    replica = Replica(store)
    compactor = Compactor(replica)
    assert compactor.run(deadline=0.0) == compaction.Work()
    first = compactor.run(deadline=3.0)
    assert (first.merges, first.bytes_read, first.finished) == (0, 0, False)
    listings = store.calls.count(("list", ""))
    rest = compactor.run()
    assert (rest.merges, rest.finished) == (1, True)
    assert first.bytes_written + rest.bytes_written == len(store.objects[KEY][0])
    assert sum(call[0] == "abort" for call in store.calls) == 0
    # One listing more: to see that nothing is left.
    assert store.calls.count(("list", "")) == listings + 1
    replica.close()


def test_what_is_dropped_is_begun_anew(store: PlainStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "_FRAMES_PER_STEP", 4)
    now = itertools.count()
    monkeypatch.setattr(time, "monotonic", lambda: float(next(now)))
    replica = Replica(store)
    compactor = Compactor(replica)
    compactor.drop()
    compactor.run(deadline=2.0)
    compactor.drop()
    assert store.calls[-1] == ("abort", KEY)
    work = compactor.run()
    assert (work.merges, work.bytes_written) == (1, len(store.objects[KEY][0]))
    replica.close()


@pytest.mark.parametrize(("failures", "fails"), [(4, False), (5, True)])
def test_files_that_vanish_are_looked_for_five_times(
    failures: int, fails: bool, store: PlainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [failures]
    real = compaction.open_readers

    def open_readers(replica: Replica, files: tuple[FileInfo, ...]) -> object:
        if left[0]:
            left[0] -= 1
            raise FileGone("a file")
        return real(replica, files)

    monkeypatch.setattr(compaction, "open_readers", open_readers)
    replica = Replica(store)
    compactor = Compactor(replica)
    if fails:
        with pytest.raises(StoreUnavailable, match="a file was listed, but is not there"):
            compactor.run()
    else:
        assert compactor.run().merges == 1
    replica.close()


def test_a_damaged_file_ends_a_run_and_the_next_one_begins_anew(store: PlainStore) -> None:
    key = LAYOUT.key(0, 7, 7)
    good = store.objects[key]
    store.objects[key] = good[0][:-1] + bytes([good[0][-1] ^ 1]), 0
    replica = Replica(store)
    compactor = Compactor(replica)
    with pytest.raises(CorruptFile, match="0000000000000007-0000000000000007"):
        compactor.run()
    assert KEY not in store.objects
    store.objects[key] = good
    assert compactor.run().merges == 1
    replica.close()
