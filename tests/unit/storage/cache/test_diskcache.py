"""The cache on disk: it gives out what was put in or nothing, keeps to its budget, and survives anything."""

import errno
import logging
import os
import random
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lamdb.storage.cache import segments
from lamdb.storage.cache.diskcache import DiskCache, DiskOptions, identity_of
from lamdb.storage.cache.segments import Segment

SIZE = 200_000
OBJECTS = {identity_of(name): random.Random(name).randbytes(SIZE) for name in ("a", "b", "c")}
A, B, _ = OBJECTS
BUDGET = 300_000


def opened(root: Path, budget: int = BUDGET, url: str = "s3://bucket/a") -> DiskCache:
    return DiskCache.open(DiskOptions(root, budget), url)


def on_disk(root: Path) -> list[Path]:
    return sorted(path for path in root.glob("*/*") if path.name.isdecimal())


class Caching(RuleBasedStateMachine):
    """Everything that can happen to a cache, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._temporary = tempfile.TemporaryDirectory()
        self.root = Path(self._temporary.name)
        self.cache = opened(self.root)

    def teardown(self) -> None:
        self.cache.close()
        self._temporary.cleanup()

    @rule(identity=st.sampled_from([*OBJECTS]), start=st.integers(0, SIZE - 1), length=st.integers(1, 70_000))
    def put(self, identity: bytes, start: int, length: int) -> None:
        self.cache.put(identity, start, OBJECTS[identity][start : start + length])

    @rule(identity=st.sampled_from([*OBJECTS]), start=st.integers(0, SIZE - 1), length=st.integers(1, 70_000))
    def get(self, identity: bytes, start: int, length: int) -> None:
        end = min(SIZE, start + length)
        complete = not self.cache.gaps(identity, start, end)
        found = self.cache.get(identity, start, end)
        assert found is None or found == OBJECTS[identity][start:end]
        assert complete or found is None
        if complete and found is None:  # Damaged: it is dropped.
            assert self.cache.gaps(identity, start, end)

    @rule(identity=st.sampled_from([*OBJECTS]))
    def forget(self, identity: bytes) -> None:
        self.cache.forget(identity)
        assert self.cache.reach(identity, 0, SIZE) == 0

    @rule()
    def close_and_open(self) -> None:
        known = [self.cache.gaps(identity, 0, SIZE) for identity in OBJECTS]
        self.cache.close()
        self.cache = opened(self.root)
        again = [self.cache.gaps(identity, 0, SIZE) for identity in OBJECTS]
        assert all(len(a) <= len(k) or a != k for a, k in zip(again, known, strict=True))

    @rule(keep=st.floats(0, 1))
    def crash(self, keep: float) -> None:
        """The process ends; of what it wrote last a part has reached the disk."""
        self.cache._folder.release()
        self.cache._folder = None
        if files := on_disk(self.root):
            os.truncate(files[-1], int(keep * files[-1].stat().st_size))
        self.cache = opened(self.root)

    @precondition(lambda self: on_disk(self.root))
    @rule(data=st.data(), what=st.binary(min_size=1, max_size=20))
    def damage(self, data: st.DataObject, what: bytes) -> None:
        path = data.draw(st.sampled_from(on_disk(self.root)))
        with path.open("r+b") as file:
            file.seek(data.draw(st.integers(0, path.stat().st_size)))
            file.write(what)

    @invariant()
    def within_budget(self) -> None:
        assert self.cache.on
        assert self.cache.size <= BUDGET
        # Damage at the very end of a file may have made it a little longer.
        assert sum(path.stat().st_size for path in on_disk(self.root)) <= BUDGET + 1000


TestCaching = Caching.TestCase
TestCaching.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_not_one_changed_byte_is_given_out(data: st.DataObject) -> None:
    content = OBJECTS[A][:50_000]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1")
        segment = Segment.create(path)
        entry = segment.append(A, 1000, content)
        segment.complete()
        place = data.draw(st.integers(0, path.stat().st_size - 1))
        body = bytearray(path.read_bytes())
        body[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(body)
        start = data.draw(st.integers(1000, 50_999))
        end = data.draw(st.integers(start + 1, 51_000))
        assert segment.read(entry, start, end) in {None, content[start - 1000 : end - 1000]}
        for found in Segment.load(path).entries:
            assert segment.read(found, start, end) in {None, content[start - 1000 : end - 1000]}


def test_a_process_finds_what_the_last_one_left(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(A, 0, OBJECTS[A][:50_000])
    cache.put(B, 500, OBJECTS[B][500:1500])
    cache.close()
    cache = opened(tmp_path)
    assert cache.get(A, 10, 49_000) == OBJECTS[A][10:49_000]
    assert cache.get(B, 500, 1500) == OBJECTS[B][500:1500]
    assert cache.get(B, 499, 1500) is None
    assert cache.hits == 2


def test_what_is_damaged_is_not_found_again(tmp_path: Path) -> None:
    cache = opened(tmp_path, 10**6)
    for start in range(0, SIZE, 10_000):
        cache.put(A, start, OBJECTS[A][start : start + 10_000])
    cache.close()
    first = on_disk(tmp_path)[0]
    first.write_bytes(first.read_bytes().replace(OBJECTS[A][10_000:10_010], bytes(10)))
    cache = opened(tmp_path, 10**6)
    assert cache.get(A, 0, SIZE) is None
    cache.forget(B)
    cache.put(A, 10_000, OBJECTS[A][10_000:20_000])
    cache.close()
    cache = opened(tmp_path, 10**6)
    assert cache.get(A, 0, SIZE) == OBJECTS[A]
    cache.forget(A)
    cache.close()
    assert opened(tmp_path, 10**6).reach(A, 0, SIZE) == 0


def test_after_closing_nothing_is_kept(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(A, 0, b"hello")
    cache.close()
    cache.put(A, 0, b"hello")
    assert (cache.on, cache.get(A, 0, 5), cache.reach(A, 0, 5)) == (False, None, 0)
    cache.close()


def test_a_smaller_budget_than_last_time(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    for start in range(0, SIZE, 10_000):
        cache.put(A, start, OBJECTS[A][start : start + 10_000])
    cache.close()
    cache = opened(tmp_path, 50_000)
    assert 0 < cache.size <= 50_000
    assert sum(path.stat().st_size for path in on_disk(tmp_path)) <= 50_000
    assert cache.get(A, SIZE - 5_000, SIZE) == OBJECTS[A][-5_000:]


def test_what_would_flush_the_cache_is_not_kept(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(A, 0, OBJECTS[A][: cache.largest + 1])
    assert cache.size == 0
    cache.put(b"", 0, b"of no known object")
    assert cache.size == 0


def test_without_options_there_is_none(tmp_path: Path) -> None:
    for options in (None, DiskOptions(tmp_path / "cache", 0)):
        cache = DiskCache.open(options, "s3://bucket/a")
        cache.put(A, 0, b"hello")
        assert (cache.on, cache.get(A, 0, 5)) == (False, None)
    assert not (tmp_path / "cache").exists()


def test_each_that_is_open_has_its_own_folder(tmp_path: Path) -> None:
    caches = [opened(tmp_path), opened(tmp_path), opened(tmp_path, url="s3://bucket/b")]
    for cache in caches:
        cache.put(A, 0, b"hello")
    assert len(on_disk(tmp_path)) == 3
    caches[0].close()
    assert opened(tmp_path).get(A, 0, 5) == b"hello"
    assert len(on_disk(tmp_path)) == 3


def test_folders_out_of_use_are_deleted(tmp_path: Path) -> None:
    one, two, three = (opened(tmp_path, url=f"s3://{name}") for name in "abc")
    for cache in (one, two, three):
        cache.put(A, 0, b"hello")
    (tmp_path / "another's").mkdir()
    one.close()
    old = time.time() - 2 * 86400
    for path in [*tmp_path.glob("*/*"), *tmp_path.iterdir()]:
        os.utime(path, (old, old))
    three.close()
    opened(tmp_path, url="s3://c").close()
    assert (tmp_path / "another's").exists()
    assert len(on_disk(tmp_path)) == 2
    assert two.get(A, 0, 5) == b"hello"
    assert opened(tmp_path, url="s3://c").get(A, 0, 5) == b"hello"
    assert opened(tmp_path, url="s3://a").get(A, 0, 5) is None


def test_strange_files_are_left_alone(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.put(A, 0, b"hello")
    cache.close()
    folder = on_disk(tmp_path)[0].parent
    (folder / "notes.txt").write_text("mine")
    (folder / "000000000007").write_bytes(b"no segment at all" * 100)
    cache = opened(tmp_path)
    assert cache.get(A, 0, 5) == b"hello"
    cache.put(B, 0, b"world")
    assert cache.get(B, 0, 5) == b"world"
    assert (folder / "notes.txt").read_text() == "mine"


def failing(*_: object) -> int:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("function", ["pwrite", "pread"])
def test_a_failing_disk_is_given_up_once(
    tmp_path: Path, function: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cache = opened(tmp_path)
    cache.put(A, 0, OBJECTS[A][:50_000])
    monkeypatch.setattr(segments.os, function, failing)
    with caplog.at_level(logging.INFO, "lamdb.storage"):
        cache.put(B, 0, OBJECTS[B][:50_000])
        assert cache.get(A, 0, 10) is None
        cache.put(B, 0, OBJECTS[B][:50_000])
        cache.close()
    assert not cache.on
    assert on_disk(tmp_path) == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text


def test_a_place_that_is_no_directory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = opened(tmp_path / "file")
    cache.put(A, 0, b"hello")
    assert cache.get(A, 0, 5) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_folder_that_is_deleted_under_it(tmp_path: Path) -> None:
    cache = opened(tmp_path, 64_000)
    cache.put(A, 0, OBJECTS[A][:10_000])
    for path in [*on_disk(tmp_path), *tmp_path.glob("*/lock")]:
        path.unlink()
    next(tmp_path.iterdir()).rmdir()
    assert cache.get(A, 0, 10_000) == OBJECTS[A][:10_000]
    for start in range(0, SIZE, 10_000):
        cache.put(B, start, OBJECTS[B][start : start + 10_000])
    assert not cache.on
    assert cache.get(A, 0, 10_000) is None


def test_opening_a_large_cache_reads_little(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = opened(tmp_path, 10**7)
    for start in range(0, SIZE, 1000):
        for identity, content in OBJECTS.items():
            cache.put(identity, start, content[start : start + 1000])
    cache.close()
    reads = []
    real = os.pread
    monkeypatch.setattr(segments.os, "pread", lambda *call: reads.append(call) or real(*call))
    cache = opened(tmp_path, 10**7)
    assert len(reads) <= 2 * 16
    assert cache.get(A, 0, SIZE) == OBJECTS[A]
