"""The index of kept bytes, against a plain set of offsets."""

from hypothesis import given
from hypothesis import strategies as st

from lamdb.storage.cache.ranges import Kept, RangeIndex
from lamdb.storage.cache.segments import Entry

ranges = st.tuples(st.integers(0, 40), st.integers(1, 15))


def kept(start: int, length: int, position: int = 0) -> Kept:
    return Kept(Entry(b"a", start, length, position), None)  # type: ignore[arg-type]


@given(st.lists(ranges), ranges)
def test_what_was_added_is_found(added: list[tuple[int, int]], asked: tuple[int, int]) -> None:
    index = RangeIndex()
    here: set[int] = set()
    for number, (start, length) in enumerate(added):
        index.add(kept(start, length, number))
        here |= set(range(start, start + length))
    start, end = asked[0], asked[0] + asked[1]
    wanted = set(range(start, end))
    missing = {offset for low, high in index.gaps(b"a", start, end) for offset in range(low, high)}
    assert missing == wanted - here
    assert index.reach(b"a", start, end) == min(wanted - here, default=end)
    found = index.cover(b"a", start, end)
    assert (found is not None) == (wanted <= here)
    if found is not None:
        assert wanted <= {offset for each in found for offset in range(each.entry.start, each.entry.end)}
    assert index.gaps(b"another", start, end) == [(start, end)]


@given(st.lists(ranges, unique=True), st.data())
def test_what_was_removed_is_not_found(added: list[tuple[int, int]], data: st.DataObject) -> None:
    index = RangeIndex()
    for start, length in added:
        index.add(kept(start, length))
    for start, length in data.draw(st.permutations(added)):
        index.remove(kept(start, length))
        index.remove(kept(start, length, 7))
    assert index.gaps(b"a", 0, 100) == [(0, 100)]


def test_a_range_within_another_is_superfluous() -> None:
    index = RangeIndex()
    index.add(kept(10, 10))
    index.add(kept(12, 3))
    assert index.cover(b"a", 12, 15) == [kept(10, 10)]
    index.add(kept(0, 30))
    assert index.cover(b"a", 12, 15) == [kept(0, 30)]
    index.remove(kept(10, 10))
    assert index.reach(b"a", 0, 30) == 30


def test_dropping_an_object() -> None:
    index = RangeIndex()
    index.add(kept(0, 10))
    index.drop(b"another")
    assert index.reach(b"a", 0, 10) == 10
    index.drop(b"a")
    assert index.reach(b"a", 0, 10) == 0
