"""The planned merges; a merge contains the newest version of each page."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.errors import CorruptFile
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo, KeyLayout, plan
from lamdb.storage.ltx.stream import FrameReader, FrameWriter, merged, merged_header
from lamdb.storage.maintenance.compaction import FAN_OUT, FIRST_LEVEL, Merge, plan_merges, span

LAYOUT = KeyLayout("{:04x}/")


def file(level: int, low: int, high: int, size: int = 100) -> FileInfo:
    return FileInfo(level, low, high, size, LAYOUT.key(level, low, high))


def transactions(first: int, last: int, size: int = 100) -> list[FileInfo]:
    return [file(0, txid, txid, size) for txid in range(first, last + 1)]


def ranges(merges: list[Merge]) -> list[tuple[int, int, int]]:
    return [(merge.level, merge.min_txid, merge.max_txid) for merge in merges]


def made(files: Iterable[FileInfo]) -> list[FileInfo]:
    """`files` and all that compaction makes of them."""
    files = [*files]
    while merges := plan_merges(files):
        files += [file(m.level, m.min_txid, m.max_txid, max(f.size for f in m.inputs)) for m in merges]
    return files


def test_a_window_is_merged_when_it_is_complete() -> None:
    assert plan_merges([]) == []
    assert plan_merges(transactions(1, 15)) == []
    assert ranges(plan_merges(transactions(1, 16))) == [(2, 1, 16)]
    assert ranges(plan_merges(transactions(1, 50))) == [(2, 1, 16), (2, 17, 32), (2, 33, 48)]


def test_what_was_merged_is_not_merged_again() -> None:
    files = [*transactions(1, 40), file(2, 1, 16)]
    assert ranges(plan_merges(files)) == [(2, 17, 32)]
    assert plan_merges(made(files)) == []


def test_a_long_backlog_goes_up_at_once_but_not_too_much_of_it() -> None:
    assert ranges(plan_merges(transactions(1, 256)))[0] == (3, 1, 256)
    first = plan_merges(transactions(1, 5000))
    assert [merge[0] for merge in ranges(first)] == [3] * 16 + [3] * 3 + [2] * 8
    assert all(len(merge.inputs) <= 256 for merge in first)
    assert len(plan(made(transactions(1, 5000)))) < 20


def test_a_snapshot_is_due_when_what_follows_the_last_is_half_its_size() -> None:
    base = file(9, 1, 1000, 100_000)
    assert ranges(plan_merges([base, *transactions(1001, 1300, 100)]))[0][0] != 9
    assert ranges(plan_merges([base, *transactions(1001, 1260, 1000)]))[0][0] == 9
    assert ranges(plan_merges([base, *transactions(1001, 1003, 20 * 1024 * 1024)])) == [(9, 1, 1003)]


def test_only_the_rest_of_a_window_above_a_snapshot_counts() -> None:
    files = [file(9, 1, 20, 10**9), *transactions(1, 40)]
    assert ranges(plan_merges(files)) == [(2, 21, 32)]
    assert plan_merges([file(9, 1, 31, 10**9), *transactions(1, 40)]) == []


def test_a_window_with_a_gap_is_left() -> None:
    files = [file(9, 1, 16, 10**9), *transactions(17, 20), *transactions(22, 64)]
    assert plan_merges(files) == []


def test_files_of_level_1_are_merged_and_never_made() -> None:
    files = [file(1, 1, 10), file(1, 11, 16), *transactions(17, 32)]
    found = plan_merges(files)
    assert ranges(found) == [(2, 1, 16), (2, 17, 32)]
    assert [one.level for one in found[0].inputs] == [1, 1]


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 20_000))
def test_few_files_make_up_any_history(count: int) -> None:
    files = made(transactions(1, count))
    chain = plan(files)
    assert chain[-1].max_txid == count
    assert len(chain) <= 1 + 15 * 5
    assert all(one.level != 1 for one in files)
    for level in range(2, 9):
        assert all(one.max_txid % span(level) == 0 for one in files if one.level == level)


BURSTS = st.lists(
    st.tuples(
        st.integers(1, 700),  # transactions
        st.sampled_from([200, 9_000, 400_000, 5_000_000]),  # bytes of each
        st.integers(0, 40),  # merges made then; whoever made them was interrupted
        st.booleans(),  # what has been merged is deleted
    ),
    min_size=1,
    max_size=20,
)


@settings(max_examples=60, deadline=None)
@given(BURSTS)
def test_opening_needs_few_files_after_any_history(bursts: list[tuple[int, int, int, bool]]) -> None:
    files: dict[str, FileInfo] = {}
    head = 0
    for count, size, merges, prune in bursts:
        files |= {one.key: one for one in transactions(head + 1, head + count, size)}
        head += count
        for merge in plan_merges([*files.values()])[:merges]:
            made_file = file(
                merge.level, merge.min_txid, merge.max_txid, max(one.size for one in merge.inputs)
            )
            files.setdefault(made_file.key, made_file)
        if prune:
            files = {one.key: one for one in plan(files.values())}
    chain = plan(made(files.values()))
    assert chain[-1].max_txid == head
    levels = 2 + next(level for level in range(2, 9) if span(level) >= head) - FIRST_LEVEL
    assert len(chain) <= 1 + (FAN_OUT - 1) * levels


PAGE = 512
type Pages = dict[int, bytes]


def encoded(number: int, pages: Pages, commit: int) -> bytes:
    header = ltx.Header(PAGE, commit, number, number, timestamp_ms=1000 + number, nonce=number)
    return ltx.encode(header, sorted(pages.items()))


def pieces(body: bytes, size: int) -> list[bytes]:
    return [body[start : start + size] for start in range(0, len(body), size)]


def merge(bodies: list[bytes], piece: int = 100) -> bytes:
    readers = [FrameReader(pieces(body, piece), len(body), "a file") for body in bodies]
    header = merged_header([reader.header for reader in readers])
    out: list[bytes] = []
    writer = FrameWriter(header, out.append)
    for frame in merged(readers, header):
        writer.add(frame)
    writer.finish()
    return b"".join(out)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[Pages, int]]:
    """Transactions: pages that change, and the size after each. What grows is written."""
    steps: list[tuple[Pages, int]] = []
    size = 0
    for number in range(draw(st.integers(1, 7))):
        new = draw(st.integers(1, 12))
        changed = draw(st.sets(st.integers(1, new))) | {1} | set(range(size + 1, new + 1))
        steps.append(({page: bytes([number + 1, page]) * (PAGE // 2) for page in changed}, new))
        size = new
    return steps


@settings(max_examples=100, deadline=None)
@given(histories(), st.integers(1, 6), st.integers(1, 700))
def test_merging_is_right_and_the_same_in_any_steps(
    steps: list[tuple[Pages, int]], cut: int, piece: int
) -> None:
    bodies = [encoded(number, pages, size) for number, (pages, size) in enumerate(steps, 1)]
    expected: Pages = {}
    for pages, size in steps:
        expected = {page: content for page, content in (expected | pages).items() if page <= size}
    whole = merge(bodies, piece)
    found = ltx.decode(whole)
    assert found.pages == expected
    assert (found.header.min_txid, found.header.max_txid) == (1, len(steps))
    assert (found.header.commit, found.header.timestamp_ms, found.header.nonce) == (
        steps[-1][1],
        1000 + len(steps),
        0,
    )
    cut = min(cut, len(bodies))
    in_steps = [merge(part) for part in (bodies[:cut], bodies[cut:]) if part]
    assert merge(in_steps) == whole


def test_a_snapshot_with_a_hole_is_refused() -> None:
    page = bytes(PAGE)
    with pytest.raises(CorruptFile, match="page 2 is in no file"):
        merge([encoded(1, {1: page, 3: page}, 3)])
    with pytest.raises(CorruptFile, match="page 3 is in no file"):
        merge([encoded(1, {1: page, 2: page}, 3)])


def test_the_page_of_the_lock_byte_is_no_hole() -> None:
    size = 65536
    lock = ltx.lock_page(size)
    header = ltx.Header(size, lock + 1, 1, 1, timestamp_ms=1)
    page = bytes(size)
    body = ltx.encode(header, ((number, page) for number in range(1, lock + 2) if number != lock))
    reader = FrameReader(pieces(body, 1_000_000), len(body), "a file")
    assert sum(1 for _ in merged([reader], header)) == lock


@pytest.mark.parametrize("position", [5, 60, 112, 300, -30, -12, -1])
def test_any_damage_is_found(position: int) -> None:
    body = bytearray(encoded(1, {n: bytes([n]) * PAGE for n in range(1, 20)}, 19))
    body[position] ^= 0x10
    with pytest.raises(CorruptFile, match="a file"):
        merge([bytes(body)])


@pytest.mark.parametrize("length", [0, 50, 100, 150, 400, -1])
def test_a_file_that_is_cut_off_is_found(length: int) -> None:
    body = encoded(1, {n: bytes([n]) * PAGE for n in range(1, 20)}, 19)
    with pytest.raises(CorruptFile, match="a file"):
        merge([body[:length]])


def test_files_that_do_not_follow_each_other_are_refused() -> None:
    one, three = (encoded(number, {1: bytes(PAGE)}, 1) for number in (1, 3))
    with pytest.raises(CorruptFile, match="do not follow"):
        merge([one, three])
    other = ltx.encode(ltx.Header(1024, 1, 2, 2, 1), [(1, bytes(1024))])
    with pytest.raises(CorruptFile, match="its pages have 1024 bytes"):
        merge([one, other])
