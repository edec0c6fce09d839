"""The bounds of a page index: sizes that are possible, entries that follow each other, checksums."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.errors import CorruptFile
from lamdb.storage.ltx import pageindex
from lamdb.storage.ltx.pageindex import Extent, IndexWriter, PageIndex, append_varint


def index(*entries: int, start: int = 1000) -> PageIndex:
    raw = bytearray()
    for value in entries:
        append_varint(raw, value)
    return PageIndex(bytes(raw), start)


def tail(size: int) -> bytes:
    return size.to_bytes(8, "big") + bytes(16)


@pytest.mark.parametrize(("size", "possible"), [(0, False), (1, True), (870, True), (871, False)])
def test_an_index_lies_between_the_header_and_its_own_size(size: int, possible: bool) -> None:
    """In a file of 1000 bytes: 100 of header, 6 that end the pages, 24 after the index."""
    if possible:
        assert PageIndex.size_from_tail(b"more" + tail(size), 1000) == size + 24
    else:
        with pytest.raises(CorruptFile, match="the size of the page index is impossible"):
            PageIndex.size_from_tail(tail(size), 1000)


def test_a_tail_that_is_too_short() -> None:
    with pytest.raises(CorruptFile, match="the file ends after 23 bytes, inside its trailer"):
        PageIndex.size_from_tail(tail(1)[1:], 1000)


def test_an_index_is_read_from_all_of_its_bytes() -> None:
    raw = bytes([1, 100, 20, 0]) + tail(4)
    for before in (b"", b"pages"):
        found = PageIndex.from_tail(before + raw, 1000)
        assert (found.start, found.locate(1), len(found)) == (972, Extent(100, 20), 1)
    with pytest.raises(CorruptFile, match="the page index is cut off"):
        PageIndex.from_tail(raw[1:], 1000)
    with pytest.raises(CorruptFile, match="the page index does not end where it should"):
        PageIndex.from_tail(bytes([1, 100, 20, 1]) + tail(4), 1000)


@pytest.mark.parametrize(
    ("entries", "damaged"),
    [
        ((1, 100, 20, 2, 120, 20), 0),
        ((1, 100, 20, 2, 130, 20), 0),
        ((1, 100, 20, 2, 119, 20), 2),
        ((2, 100, 20, 2, 120, 20), 2),
        ((2, 100, 20, 1, 120, 20), 1),
        ((0, 100, 20), 0),
        ((1, 99, 20), 1),
        ((1, 100, 10), 0),
        ((1, 100, 9), 1),
        ((1, 100, 900), 0),
        ((1, 100, 901), 1),
    ],
)
def test_entries_follow_each_other(entries: tuple[int, ...], damaged: int) -> None:
    found = index(*entries)
    if damaged or entries[0] == 0:
        with pytest.raises(CorruptFile, match=f"the page index is damaged at page {damaged}"):
            found.items()
    else:
        assert [number for number, _ in found.items()] == [*entries[::3]]


def checked(*numbers: int) -> tuple[bytes, PageIndex]:
    """The bytes of an index with checksums, and what is read of them; frames of 20 bytes."""
    writer = IndexWriter(bytes(100))
    for position, number in enumerate(numbers):
        writer.add(number, Extent(100 + 20 * position, 20, 7 * number))
    raw = writer.finish()
    assert int.from_bytes(raw[-8:], "big") == len(raw) - 8
    assert raw[-9] == 0
    return raw[:-9], PageIndex(raw[:-9], 100 + 20 * len(numbers) + 6)


def test_an_index_has_the_checksums_of_its_pages() -> None:
    _, found = checked(3, 5, 900)
    assert (found.checked, len(found)) == (True, 3)
    assert [*found.items()] == [
        (3, Extent(100, 20, 21)),
        (5, Extent(120, 20, 35)),
        (900, Extent(140, 20, 6300)),
    ]
    assert found.locate(5) == Extent(120, 20, 35)
    assert found.locate(4) is found.locate(1) is found.locate(901) is None
    found.require_intact(bytes(100))
    with pytest.raises(CorruptFile, match="the checksum of the header and the page index is wrong"):
        found.require_intact(bytes(99) + b"x")


def test_an_index_without_pages() -> None:
    raw, found = checked()
    assert (raw, len(found), found.checked, [*found.items()]) == (b"", 0, False, [])
    found.require_intact(bytes(100))
    assert found.locate(1) is None


@pytest.mark.parametrize("start", [1005, 1007])
def test_an_index_begins_where_the_pages_end(start: int) -> None:
    index(1, 100, 900, start=1006).require_intact(bytes(100))
    with pytest.raises(CorruptFile, match="the page index does not begin where the pages end"):
        index(1, 100, 900, start=start).require_intact(bytes(100))


def test_an_entry_must_have_the_number_of_its_checksum() -> None:
    raw, _ = checked(3, 5)
    damaged = raw[:-3] + bytes([6]) + raw[-2:]
    with pytest.raises(CorruptFile, match="the page index is damaged at page 5"):
        PageIndex(damaged, 1000).items()


@given(
    st.dictionaries(
        st.integers(1, 2**32 - 1),
        st.tuples(st.integers(10, 70_000), st.one_of(st.just(0), st.integers(0, 2**32 - 1))),
        max_size=400,
    ),
    st.integers(20, 300),
    st.integers(100, 2**40),
)
@settings(max_examples=60)
def test_entries_are_recognized_wherever_blocks_end(
    pages: dict[int, tuple[int, int]], block: int, offset: int
) -> None:
    writer, expected = IndexWriter(bytes(100)), dict[int, Extent]()
    for number, (size, crc) in sorted(pages.items()):
        expected[number] = Extent(offset, size, crc)
        writer.add(number, expected[number])
        offset += size
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pageindex, "_BLOCK_BYTES", block)
        patch.setattr(pageindex, "_DECODED_BLOCKS", 3)
        found = PageIndex(writer.finish()[:-9], offset + 6)
        found.require_intact(bytes(100))
        assert {number: found.locate(number) for number in expected} == expected
        assert all(found.locate(number + 1) == expected.get(number + 1) for number in expected)
        assert found.locate(0) is None
        assert (len(found), dict(found.items())) == (len(expected), expected)


def test_a_number_as_checksum_does_not_mislead() -> None:
    """Entries whose checksum is zero, their number, or the next one's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pageindex, "_BLOCK_BYTES", 17)
        for crc in (lambda number: 0, lambda number: number, lambda number: number + 1):
            writer = IndexWriter(bytes(100))
            for number in range(1, 400):
                writer.add(number, Extent(90 + 10 * number, 10, crc(number)))
            found = PageIndex(writer.finish()[:-9], 100 + 10 * 399 + 6)
            assert [found.locate(number) for number in range(1, 401)] == [
                *(Extent(90 + 10 * number, 10, crc(number)) for number in range(1, 400)),
                None,
            ]


@pytest.mark.parametrize("pages", [1, 40, 100, 2000])
def test_pages_are_counted_only_if_their_bytes_do_not_tell(pages: int) -> None:
    for found in (checked(*range(1, pages + 1))[1], index(*_plain(pages), start=10**6)):
        for limit in (0, pages // 10, pages - 1, pages, pages + 1, 10 * pages, 100 * pages):
            assert found.has_more_than(limit) == (pages > limit)


def _plain(pages: int) -> list[int]:
    return [value for number in range(pages) for value in (number + 1, 100 + 20 * number, 20)]


@pytest.mark.parametrize("noise", [b"\x00", b"\x7f", b"\x80", b"\xff", b"\x01\x00"])
def test_an_index_without_entries_is_refused(noise: bytes) -> None:
    raw, _ = checked(1, 2)
    raw += noise * 3000
    with pytest.raises(CorruptFile):
        PageIndex(raw, 10**6).locate(2000)


def test_a_lookup_reads_little_of_a_large_index(monkeypatch: pytest.MonkeyPatch) -> None:
    read, counts = pageindex.read_varint, []

    def counting(data: bytes, position: int) -> tuple[int, int]:
        counts[-1] += 1
        return read(data, position)

    for pages in (1_000, 64_000):
        raw, _ = checked(*range(1, pages + 1))
        with monkeypatch.context() as patch:
            patch.setattr(pageindex, "read_varint", counting)
            counts.append(0)
            found = PageIndex(raw, 100 + 20 * pages + 6)
            found.require_intact(bytes(100))
            assert found.has_more_than(100)
            assert found.locate(pages // 3) is not None
    assert counts[1] < 1.5 * counts[0] < 2500
