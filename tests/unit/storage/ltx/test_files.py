"""The files that make up a state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lamdb.storage.ltx.files import FileInfo, KeyLayout, plan
from lamdb.storage.stores.objectstore import ObjectInfo

BUCKET, DIRECTORY = KeyLayout("{:04x}/"), KeyLayout("ltx/{:d}/")


def file(level: int, low: int, high: int) -> FileInfo:
    return FileInfo(level, low, high, 1, BUCKET.key(level, low, high))


def ranges(files: list[FileInfo]) -> list[tuple[int, int, int]]:
    return [(found.level, found.min_txid, found.max_txid) for found in files]


def test_nothing_makes_nothing() -> None:
    assert plan([]) == []


def test_the_snapshot_and_what_follows() -> None:
    files = [file(0, n, n) for n in range(1, 13)] + [file(9, 1, 5), file(9, 1, 8), file(1, 6, 9)]
    assert ranges(plan(files)) == [(9, 1, 8), (1, 6, 9), (0, 10, 10), (0, 11, 11), (0, 12, 12)]


def test_of_equals_the_higher_level() -> None:
    assert ranges(plan([file(0, 1, 1), file(1, 1, 1), file(9, 1, 1)])) == [(9, 1, 1)]


def test_it_stops_at_a_gap() -> None:
    assert ranges(plan([file(0, 1, 1), file(0, 3, 3)])) == [(0, 1, 1)]
    assert plan([file(0, 2, 2)]) == []


def test_an_older_state_uses_no_file_that_goes_beyond_it() -> None:
    files = [file(0, n, n) for n in range(1, 10)] + [file(2, 1, 4), file(9, 1, 8)]
    assert ranges(plan(files, upto=6)) == [(2, 1, 4), (0, 5, 5), (0, 6, 6)]


spans = st.tuples(st.integers(0, 9), st.integers(1, 30), st.integers(0, 10))


@given(st.lists(spans, max_size=40), st.integers(1, 40))
def test_it_reaches_as_far_as_any_chain_does(choices: list[tuple[int, int, int]], upto: int) -> None:
    files = [file(level, low, low + length) for level, low, length in choices]
    chosen = plan(files, upto)
    reached = 0
    for found in chosen:
        assert found.min_txid <= reached + 1
        assert reached < found.max_txid <= upto
        reached = found.max_txid
    possible = 0
    while following := [
        f.max_txid for f in files if f.min_txid <= possible + 1 and possible < f.max_txid <= upto
    ]:
        possible = max(following)
    assert reached == possible


@pytest.mark.parametrize(
    ("layout", "key"),
    [
        (BUCKET, "0009/0000000000000001-00000000000000ff.ltx"),
        (DIRECTORY, "ltx/9/0000000000000001-00000000000000ff.ltx"),
    ],
)
def test_keys_are_litestreams(layout: KeyLayout, key: str) -> None:
    assert layout.key(9, 1, 255) == key
    assert layout.parse(ObjectInfo(key, 12, 0)) == FileInfo(9, 1, 255, 12, key)


@pytest.mark.parametrize("layout", [BUCKET, DIRECTORY])
def test_bounds_sort_where_they_should(layout: KeyLayout) -> None:
    keys = [layout.key(level, n, n) for level in (0, 1, 9) for n in (1, 9, 10, 255, 2**40)]
    assert sorted(keys) == keys
    assert [key for key in keys if key > layout.after(0)] == keys[5:]
    assert [key for key in keys[:5] if key > layout.before(0, 10)] == keys[2:5]
    assert all(layout.may_precede_files(ObjectInfo(key, 1, 0)) for key in keys)
    assert not layout.may_precede_files(ObjectInfo("other/things", 1, 0))


@pytest.mark.parametrize(
    "key",
    ["readme.txt", "0000/a.ltx", "0000/0000000000000001-0000000000000001.ltx.tmp", "000a/1-1.ltx",
     "x/0000/0000000000000001-0000000000000001.ltx", "0000/000000000000000A-000000000000000A.ltx"],
)  # fmt: skip
def test_other_objects_are_not_files(key: str) -> None:
    assert BUCKET.parse(ObjectInfo(key, 1, 0)) is None
