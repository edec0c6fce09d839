"""The version of a page that a state sees."""

from hypothesis import given
from hypothesis import strategies as st

from lamdb.storage import pages
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.pageindex import PageIndex
from lamdb.storage.ltx.replica import OpenFile
from lamdb.storage.pages import PageMap, missing_pages, present_page_one


def open_file(txid: int, numbers: set[int]) -> OpenFile:
    """A file of transaction `txid` that holds the pages `numbers`."""
    header = ltx.Header(page_size=512, commit=100, min_txid=txid, max_txid=txid, timestamp_ms=0)
    body = ltx.encode(header, [(number, bytes(512)) for number in sorted(numbers)])
    index = PageIndex.from_tail(body, len(body))
    return OpenFile(FileInfo(0, txid, txid, len(body), f"file {txid}"), header, index, {})


histories = st.lists(st.sets(st.integers(1, 20), max_size=8), min_size=1, max_size=15)


@given(histories, st.integers(0, 4), st.data())
def test_a_state_sees_the_newest_version_below_it(
    history: list[set[int]], small: int, data: st.DataObject
) -> None:
    """Files with more than `small` pages keep their own index; states before `oldest` are forgotten."""
    map_, oldest = PageMap(), 1
    before, pages._SMALL_INDEX = pages._SMALL_INDEX, small  # type: ignore[misc]
    try:
        for txid, numbers in enumerate(history, 1):
            oldest = data.draw(st.integers(oldest, txid), label="oldest state in use")
            map_.add(open_file(txid, numbers), oldest)
    finally:
        pages._SMALL_INDEX = before  # type: ignore[misc]
    for state in range(oldest, len(history) + 1):
        for number in range(1, 21):
            expected = max((n for n in range(1, state + 1) if number in history[n - 1]), default=None)
            found = map_.locate(number, state)
            assert (found and found.file.max_txid) == expected


def test_versions_that_nobody_can_see_are_dropped() -> None:
    map_ = PageMap()
    for txid in range(1, 101):
        map_.add(open_file(txid, {1}), oldest=txid - 1)
    assert len(map_._versions[1]) <= 3


def test_page_one_is_shown_as_sqlite_needs_it() -> None:
    stored = bytes(range(100)) + b"rest" * 100
    shown = present_page_one(stored, txid=0x1_0000_0007, commit=42)
    assert len(shown) == len(stored)
    assert shown[18:20] == b"\1\1"
    assert shown[24:28] == shown[92:96] == b"\0\0\0\7"
    assert shown[28:32] == (42).to_bytes(4, "big")
    kept = [*range(18), *range(20, 24), *range(32, 92), *range(96, len(stored))]
    assert bytes(stored[place] for place in kept) == bytes(shown[place] for place in kept)


def test_growth_leaves_no_holes() -> None:
    assert missing_pages(2, 6, 4096, {1: b"", 4: b""}) == [3, 5, 6]
    assert missing_pages(6, 2, 4096, {1: b""}) == []
    lock = ltx.lock_page(65536)
    assert missing_pages(lock - 2, lock + 1, 65536, {lock - 1: b""}) == [lock + 1]
