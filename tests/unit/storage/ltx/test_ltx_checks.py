"""Errors for damaged files, and the pages that a merge takes from its inputs."""

import zlib
from dataclasses import replace

import pytest
from tests.unit.storage.plain_store import PAGE, body, page

from lamdb.errors import CorruptFile
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.stream import Frame, FrameReader, FrameWriter, merged, merged_header


def test_every_field_of_a_header_comes_back() -> None:
    header = ltx.Header(512, 1, 2, 3, 4, 5, 2, 6, 7, 8, 9, 10)
    assert ltx.Header.decode(header.encode() + b"more") == header
    assert len(header.encode()) == 100
    assert header.encode()[40:72].hex() == "000000000000000600000000000000070000000000000008000000090000000a"


@pytest.mark.parametrize(("low", "high", "good"), [(1, 1, True), (0, 1, False), (2, 1, False), (2, 2, True)])
def test_ranges_of_transactions(low: int, high: int, good: bool) -> None:
    data = ltx.Header(512, 1, low, high, 0).encode()
    if good:
        assert ltx.Header.decode(data).max_txid == high
    else:
        with pytest.raises(CorruptFile, match=f"impossible TXID range {low}-{high}"):
            ltx.Header.decode(data)


@pytest.mark.parametrize("size", [511, 512, 513, 514, 768, 65536, 65537, 131072, 256, 1])
def test_page_sizes_are_powers_of_two_between_bounds(size: int) -> None:
    assert ltx.is_page_size(size) == (size in (512, 65536))


def frame_of(number: int) -> bytes:
    return Frame.of(number, page(number)).frame


def test_a_frame_is_that_of_a_whole_file() -> None:
    content = body(1, 1, {1: page(1), 2: page(2)}, 2)
    index = ltx.decode(content).index
    for number in (1, 2):
        made = Frame.of(number, page(number))
        place = index.locate(number)
        assert place is not None
        assert content[place.offset : place.offset + place.size] == made.frame
        assert (made.number, made.page, zlib.crc32(made.frame)) == (number, page(number), place.crc)
        assert ltx.parse_frame_header(b"xx" + made.frame, 2) == (number, len(made.frame) - 10)


def test_a_frame_with_another_checksum() -> None:
    frame = frame_of(3)
    crc = zlib.crc32(frame)
    assert ltx.decode_page(frame, 3, PAGE, crc) == ltx.decode_page(frame, 3, PAGE) == page(3)
    with pytest.raises(CorruptFile, match="the checksum of page 3 is wrong"):
        ltx.decode_page(frame, 3, PAGE, crc ^ 1)
    with pytest.raises(CorruptFile, match="the checksum of page 3 is wrong"):
        ltx.decode_page(frame, 3, PAGE, 0)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (frame_of(3)[:9], "the frame of page 3 is cut off"),
        (frame_of(4), "the frame of page 3 has a wrong header"),
        (frame_of(3)[:4] + b"\0\2" + frame_of(3)[6:], "the frame of page 3 has a wrong header"),
        (frame_of(3)[:10], "the frame of page 3 has a wrong header"),
        (Frame.of(3, bytes(511)).frame, "page 3 has 511 bytes in place of 512"),
        (Frame.of(3, bytes(600)).frame, "page 3 does not decompress"),
    ],
)
def test_a_frame_that_is_not_the_page(frame: bytes, message: str) -> None:
    with pytest.raises(CorruptFile, match=message):
        ltx.decode_page(frame, 3, PAGE)


def test_a_page_is_in_a_file_once() -> None:
    header = ltx.Header(PAGE, 9, 1, 1, 0)
    for numbers in ((1, 2, 2), (1, 3, 2)):
        content = ltx.encode(header, [(number, page(number)) for number in numbers])
        message = f"page 2 follows page {numbers[1]}"
        with pytest.raises(CorruptFile, match=f"a file: {message}"):
            list(FrameReader([content], len(content), "a file"))


@pytest.mark.parametrize("bit", [1, 8])
def test_the_page_whose_checksum_is_wrong_is_named(bit: int) -> None:
    content = bytearray(body(1, 1, {1: bytes(range(256)) * 2, 2: page(2)}, 2))
    content[100 + 10 + 20] ^= bit
    index = ltx.decode(body(1, 1, {1: bytes(range(256)) * 2, 2: page(2)}, 2)).index
    with pytest.raises(CorruptFile, match="the checksum of page 1 is wrong"):
        ltx.decode_start(bytes(content), PAGE, index)


@pytest.mark.parametrize(
    ("ranges", "follows"),
    [
        (((1, 3), (4, 6)), True),
        (((1, 3), (2, 6)), True),
        (((1, 3), (4, 4)), True),
        (((1, 3), (5, 6)), False),
        (((1, 3), (2, 3)), False),
        (((1, 3), (1, 4)), True),
    ],
)
def test_files_of_a_merge_follow_each_other(ranges: tuple[tuple[int, int], ...], follows: bool) -> None:
    headers = [ltx.Header(PAGE, 10 * high, low, high, timestamp_ms=high, nonce=5) for low, high in ranges]
    if not follows:
        low, high = ranges[1]
        with pytest.raises(CorruptFile, match=f"transactions {low}-{high} do not follow those up to 3"):
            merged_header(headers)
        return
    last = ranges[-1][1]
    assert merged_header(headers) == ltx.Header(PAGE, 10 * last, 1, last, timestamp_ms=last, nonce=0)


def test_a_merge_has_the_lowest_transaction_of_its_files() -> None:
    header = ltx.Header(PAGE, 1, 4, 6, 0)
    assert merged_header([header, replace(header, min_txid=2, max_txid=8)]).min_txid == 2


@pytest.mark.parametrize(("low", "complete"), [(1, False), (2, True)])
def test_only_from_the_first_transaction_on_all_pages_must_be_there(low: int, complete: bool) -> None:
    content = body(low, low, {1: page(1), 3: page(3)}, 4)
    reader = FrameReader([content], len(content), "a file")
    if complete:
        assert [frame.number for frame in merged([reader], reader.header)] == [1, 3]
    else:
        with pytest.raises(CorruptFile, match="page 2 is in no file up to transaction 1"):
            list(merged([reader], reader.header))


def test_pages_past_the_end_of_the_last_state_are_left_out() -> None:
    bodies = [body(5, 5, {1: page(1), 7: page(7), 8: page(8)}, 8), body(6, 6, {1: page(9)}, 7)]
    readers = [FrameReader([content], len(content), "a file") for content in bodies]
    header = merged_header([reader.header for reader in readers])
    assert [(frame.number, frame.page[0]) for frame in merged(readers, header)] == [(1, 9), (7, 7)]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_what_is_written_in_pieces_is_the_whole_file(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pages = {number: page(number) for number in range(1, count + 1)}
    header = ltx.Header(PAGE, count, 1, 1, timestamp_ms=3)
    monkeypatch.setattr("lamdb.storage.ltx.stream._FLUSH_BYTES", 200)
    written: list[bytes] = []
    writer = FrameWriter(header, written.append)
    for number, content in pages.items():
        writer.add(Frame.of(number, content))
    writer.finish()
    assert b"".join(written) == ltx.encode(header, pages.items())
    assert all(len(piece) >= 200 for piece in written[:-1])
    assert (len(written) > 3) == (count == 40)
