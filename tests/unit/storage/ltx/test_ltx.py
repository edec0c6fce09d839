"""LTX files: what is encoded can be decoded, and what is damaged is found out."""

import random
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lamdb.errors import CorruptFile
from lamdb.storage.ltx import ltx, pageindex
from lamdb.storage.ltx.ltx import Header
from lamdb.storage.ltx.pageindex import PageIndex, append_varint, read_varint
from lamdb.storage.ltx.stream import write_mapped

PAGE_SIZES = st.sampled_from([512, 1024, 4096, 65536])


@st.composite
def transactions(draw: st.DrawFn) -> tuple[Header, dict[int, bytes]]:
    page_size = draw(PAGE_SIZES)
    fill = st.binary(min_size=1, max_size=64).map(lambda seed: (seed * page_size)[:page_size])
    pages = draw(st.dictionaries(st.integers(1, 2**32 - 1), fill, max_size=20))
    low = draw(st.integers(1, 2**63))
    header = Header(
        page_size=page_size,
        commit=draw(st.integers(0, 2**32 - 1)),
        min_txid=low,
        max_txid=low + draw(st.integers(0, 1000)),
        timestamp_ms=draw(st.integers(0, 2**63)),
        nonce=draw(st.integers(0, 2**64 - 1)),
    )
    return header, dict(sorted(pages.items()))


@given(transactions())
def test_decodes_what_it_encodes(transaction: tuple[Header, dict[int, bytes]]) -> None:
    header, pages = transaction
    body = ltx.encode(header, pages.items())
    file = ltx.decode(body)
    assert file.header == header
    assert file.pages == pages
    assert len(file.index) == len(pages)
    for number, page in pages.items():
        offset, size, crc = file.index.locate(number) or (0, 0, None)
        assert ltx.decode_page(body[offset : offset + size], number, header.page_size, crc) == page


@settings(max_examples=30)
@given(transactions())
def test_a_file_on_disk_has_the_same_bytes(transaction: tuple[Header, dict[int, bytes]]) -> None:
    header, pages = transaction
    assert write_mapped(header, sorted(pages.items()))[:] == ltx.encode(header, sorted(pages.items()))


def test_only_few_pages_are_kept() -> None:
    header = Header(512, 9, 1, 1, timestamp_ms=0)
    body = ltx.encode(header, [(number, bytes(512)) for number in range(1, 10)])
    assert len(ltx.decode(body, keep=9 * 512).pages) == 9
    few = ltx.decode(body, keep=9 * 512 - 1)
    assert (few.pages, len(few.index)) == ({}, 9)
    with pytest.raises(CorruptFile):
        ltx.decode(body[:200] + bytes([body[200] ^ 1]) + body[201:], keep=0)


def test_the_bytes_are_those_of_the_format() -> None:
    """Checked once against Litestream's own reader; this keeps them from drifting."""
    header = Header(page_size=512, commit=1, min_txid=1, max_txid=1, timestamp_ms=1_700_000_000_000, nonce=7)
    body = ltx.encode(header, [(1, bytes(512))])
    assert body[:4] == b"LTX1"
    assert body[4:16] == bytes.fromhex("00000002 00000200 00000001")
    assert body[16:40] == bytes.fromhex("0000000000000001 0000000000000001 0000018bcfe56800")
    assert body[72:80] == bytes.fromhex("0000000000000007")
    assert body[100:106] == bytes.fromhex("00000001 0001")
    assert body[-16:-8] == bytes(8)
    assert body[-8] & 0x80


def big_file(pages: int = 2000) -> tuple[bytes, dict[int, bytes]]:
    source = random.Random(1)
    content = {number: source.randbytes(64) * 8 for number in range(1, 3 * pages, 3)}
    header = Header(page_size=512, commit=3 * pages, min_txid=4, max_txid=9, timestamp_ms=0)
    return ltx.encode(header, content.items()), content


def test_finds_pages_in_a_large_index_block_by_block() -> None:
    body, content = big_file()
    size = PageIndex.size_from_tail(body[-24:], len(body))
    index = PageIndex.from_tail(body[-size:], len(body))
    assert len(index) == len(content)
    assert index.locate(0) is None
    assert index.locate(3 * 2000 + 1) is None
    for number in random.Random(2).sample(range(1, 6000), 500):
        place = index.locate(number)
        if number not in content:
            assert place is None
        else:
            assert place is not None
            frame = body[place[0] : place[0] + place[1]]
            assert ltx.decode_page(frame, number, 512) == content[number]
    assert [number for number, _ in index.items()] == list(content)


@given(st.dictionaries(st.integers(1, 2**32 - 1), st.integers(10, 60_000), max_size=1500))
@settings(max_examples=30)
def test_the_index_agrees_with_a_plain_decoder(sizes: dict[int, int]) -> None:
    raw, offset, expected = bytearray(), ltx.HEADER_SIZE, {}
    for number, size in sorted(sizes.items()):
        expected[number] = (offset, size, None)
        for value in (number, offset, size):
            append_varint(raw, value)
        offset += size
    index = PageIndex(bytes(raw), offset + 6)
    assert dict(index.items()) == expected
    assert all(index.locate(number) == place for number, place in expected.items())
    assert len(index) == len(expected)
    for missing in (1, 2) if raw else ():
        with pytest.raises(CorruptFile, match="cut off"):
            PageIndex(bytes(raw[:-missing]), offset + 6)


@pytest.mark.parametrize("chapter", [64 * 1024, 3001])
def test_an_index_is_cut_where_entries_begin_wherever_its_blocks_end(
    chapter: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page numbers, offsets and sizes of every length shift the entries against the blocks byte by byte."""
    monkeypatch.setattr(pageindex, "_CHAPTER_BYTES", chapter)
    for shift in range(40):
        raw, expected, offset = bytearray(), {}, ltx.HEADER_SIZE
        for number in range(1 << shift % 30, (1 << shift % 30) + 900):
            size = 10 + (number * 977 << shift % 9) % 40_000
            expected[number] = (offset, size, None)
            for value in (number, offset, size):
                append_varint(raw, value)
            offset += size << shift % 5
        index = PageIndex(bytes(raw), offset + 1)
        assert len(index) == len(expected)
        assert all(index.locate(number) == place for number, place in expected.items())
        assert dict(index.items()) == expected


@given(st.integers(0, 2**64 - 1))
def test_varints_round_trip(value: int) -> None:
    out = bytearray(b"x")
    append_varint(out, value)
    assert read_varint(bytes(out), 1) == (value, len(out))


def test_reads_the_pages_at_the_start_of_a_file() -> None:
    body, content = big_file()
    index = PageIndex.from_tail(body, len(body))
    start = ltx.decode_start(body[:5000], 512, index)
    assert 20 < len(start) < len(content)
    assert start == {number: content[number] for number in start}
    assert ltx.decode_start(body, 512, index) == content


@given(transactions(), st.data())
def test_no_flipped_bit_goes_unnoticed(
    transaction: tuple[Header, dict[int, bytes]], data: st.DataObject
) -> None:
    """But for the reserved bytes of the header, and where LZ4 can say the same page in another way."""
    body = ltx.encode(transaction[0], transaction[1].items())
    position = data.draw(st.integers(0, len(body) - 1).filter(lambda place: not 80 <= place < 100))
    damaged = bytearray(body)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    try:
        file = ltx.decode(bytes(damaged))
    except CorruptFile:
        return
    assert (file.header, file.pages) == transaction


@given(transactions(), st.data())
def test_no_truncation_goes_unnoticed(
    transaction: tuple[Header, dict[int, bytes]], data: st.DataObject
) -> None:
    body = ltx.encode(transaction[0], transaction[1].items())
    with pytest.raises(CorruptFile):
        ltx.decode(body[: data.draw(st.integers(0, len(body) - 1))])


@given(st.binary(max_size=400))
def test_noise_is_refused(noise: bytes) -> None:
    for body in (noise, b"LTX1" + noise):
        with pytest.raises(CorruptFile):
            ltx.decode(body)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("flags", 4, "flags"),
        ("page_size", 1000, "page size"),
        ("page_size", 131072, "page size"),
        ("min_txid", 0, "TXID range"),
        ("max_txid", 1, "TXID range"),
    ],
)
def test_an_impossible_header_is_refused(field: str, value: int, message: str) -> None:
    fields = {"page_size": 512, "commit": 1, "min_txid": 5, "max_txid": 6, "timestamp_ms": 0, field: value}
    with pytest.raises(CorruptFile, match=message):
        Header.decode(Header(**fields).encode())


def test_a_damaged_index_is_refused_where_it_is_read() -> None:
    raw = bytearray()
    for value in (1, 100, 20, 2, 110, 20):  # The second frame begins inside the first.
        append_varint(raw, value)
    with pytest.raises(CorruptFile, match="index is damaged at page 2"):
        PageIndex(bytes(raw), 1000).locate(2)
    with pytest.raises(CorruptFile, match="cut off"):
        PageIndex(b"\x01\x80", 1000).locate(1)
    with pytest.raises(CorruptFile, match="impossible"):
        PageIndex.size_from_tail((2**40).to_bytes(8, "big") + bytes(16), 10_000)


def test_a_frame_must_be_the_page_it_is_taken_for() -> None:
    header = Header(page_size=512, commit=9, min_txid=1, max_txid=1, timestamp_ms=0)
    body = ltx.encode(header, [(1, bytes(512)), (2, b"x" * 512)])
    index = ltx.decode(body).index
    offset, size, _ = index.locate(2) or (0, 0, None)
    frame = body[offset : offset + size]
    for wrong in (
        frame[:5],
        frame[:-1],
        frame + b"x",
        b"\0\0\0\1" + frame[4:],
        frame[:10] + bytes(size - 10),
    ):
        with pytest.raises(CorruptFile):
            ltx.decode_page(wrong, 2, 512)
    with pytest.raises(CorruptFile):
        ltx.decode_page(frame, 2, 1024)


def test_the_lock_page_is_the_one_at_one_gibibyte() -> None:
    assert ltx.lock_page(4096) == 262145
    assert ltx.lock_page(65536) == 16385


def test_encoding_holds_a_large_transaction_in_memory_once() -> None:
    page = random.Random(1).randbytes(65536)
    tracemalloc.start()
    body = ltx.encode(ltx.Header(65536, 200, 1, 1, 1), ((number, page) for number in range(1, 201)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(body) > 200 * 65536
    assert peak < 1.3 * len(body)
