"""The pages of a transaction are the same in memory and in a temporary file, and both have limits."""

import errno
import gc
import os
import random
from pathlib import Path

import pytest

from lamdb.errors import StorageError, TransactionTooLarge
from lamdb.storage import temporary, written
from lamdb.storage.temporary import TemporaryFile, temporary_directory
from lamdb.storage.written import WrittenPages

PAGE = 512


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten pages in memory, and runs of three."""
    monkeypatch.setattr(written, "IN_MEMORY", 10 * PAGE)
    monkeypatch.setattr(written, "_RUN_BYTES", 3 * PAGE)
    monkeypatch.setattr(written, "_WITHOUT_FILES", 20 * PAGE)


def page(content: int) -> bytes:
    return content.to_bytes(8, "big") * (PAGE // 8)


def filled(limit: int, count: int) -> WrittenPages:
    pages = WrittenPages(limit * PAGE)
    for number in range(1, count + 1):
        pages.add(number, page(number))
    return pages


@pytest.mark.parametrize("seed", range(8))
def test_they_are_a_mapping_whatever_is_done_to_them(seed: int) -> None:
    source = random.Random(seed)
    pages, expected = WrittenPages(10**6), dict[int, bytes]()
    for content in range(600):
        number = source.randint(1, source.choice((12, 90)))
        if source.random() < 0.02:
            pages.truncate(number)
            expected = {at: found for at, found in expected.items() if at <= number}
        elif source.random() < 0.005:
            pages.clear()
            expected = {}
        else:
            pages.add(number, page(content))
            expected[number] = page(content)
        assert pages.find(number) == expected.get(number)
        assert (number in pages) == (number in expected)
        assert len(pages) == len(expected)
        assert bool(pages) == bool(expected)
    assert dict(pages) == expected == dict(pages.content())
    assert [*pages] == sorted(expected)
    with pytest.raises(KeyError):
        pages[91]
    assert pages.get(91) is None


@pytest.mark.parametrize(("count", "in_memory"), [(1, True), (10, True), (11, False), (35, False)])
def test_pages_leave_memory_above_the_limit(count: int, in_memory: bool) -> None:
    assert isinstance(filled(100, count).content(), dict) == in_memory


@pytest.mark.parametrize("limit", [3, 10, 11, 20, 33])
def test_the_limit_is_exact(limit: int) -> None:
    pages = filled(limit, limit)
    for number in range(1, limit + 1):
        pages.add(number, page(number + 1000))
    with pytest.raises(TransactionTooLarge, match=f"more than {limit * PAGE} bytes"):
        pages.add(limit + 1, page(0))
    pages.clear()
    for number in range(limit):
        pages.add(number + 50, page(number))
    assert len(pages) == limit


def test_without_a_directory_more_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(written, "temporary_directory", lambda: None)
    monkeypatch.setattr(temporary, "temporary_directory", lambda: None)
    pages = filled(100, 20)
    assert isinstance(pages.content(), dict)
    with pytest.raises(TransactionTooLarge, match="no directory for temporary files") as caught:
        pages.add(21, page(21))
    assert "TMPDIR" in caught.value.hint
    with pytest.raises(TransactionTooLarge, match=f"more than {15 * PAGE} bytes"):
        filled(15, 16)


@pytest.mark.parametrize(
    ("number", "kind", "message"),
    [
        (errno.ENOSPC, TransactionTooLarge, "does not fit on the local disk"),
        (errno.EDQUOT, TransactionTooLarge, "does not fit on the local disk"),
        (errno.EIO, StorageError, "a temporary file in .* failed"),
    ],
)
def test_a_disk_that_fails(
    number: int, kind: type[StorageError], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    pages = filled(100, 10)
    monkeypatch.setattr(os, "pwrite", fail)
    with pytest.raises(StorageError, match=message) as caught:
        pages.add(11, page(11))
    assert type(caught.value) is kind


def test_a_disk_may_take_less_than_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, offset: whole(file, data[:100], offset))
    assert dict(filled(100, 35)) == {number: page(number) for number in range(1, 36)}


def test_the_directory_is_that_of_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQLITE_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert temporary_directory() == str(tmp_path)
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "missing"))
    assert temporary_directory() == str(tmp_path)
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "other"))
    assert temporary_directory() == str(tmp_path / "other")
    monkeypatch.setattr(temporary, "_PLACES", ())
    monkeypatch.delenv("SQLITE_TMPDIR")
    monkeypatch.delenv("TMPDIR")
    assert temporary_directory() is None


def test_a_file_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    file = TemporaryFile()
    file.append(b"abc")
    file.append(b"def")
    content = file.mapped()
    file.close()
    assert content[:] == b"abcdef"
    dropped = filled(100, 35)
    del content, dropped
    gc.collect()
    assert [*tmp_path.iterdir()] == []
    assert len(os.listdir("/proc/self/fd")) == before
