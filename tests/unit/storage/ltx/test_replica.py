"""How files are listed, opened and committed: each decision, with a store that says what was asked of it."""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.storage.plain_store import LAYOUT, PlainStore, body, listed, page

from lamdb.errors import (
    CommitUnknown,
    CorruptFile,
    Fenced,
    NotAStore,
    StoreRefused,
    StoreUnavailable,
    StoreUnsuitable,
)
from lamdb.storage.cache.diskcache import DiskCache, DiskOptions
from lamdb.storage.clock import Moment
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo
from lamdb.storage.ltx.replica import FileGone, Replica, fenced, identified
from lamdb.storage.stores.objectstore import CREATE_ONLY_PROBE, PUBLISHED


@pytest.fixture
def store() -> PlainStore:
    store = PlainStore()
    for txid in range(1, 7):
        store.put(0, txid, txid, transaction(txid))
    return store


@pytest.fixture
def replica(store: PlainStore) -> Iterator[Replica]:
    replica = Replica(store)
    yield replica
    replica.close()


def transaction(txid: int, nonce: int = 0) -> bytes:
    return body(txid, txid, {1: page(txid)}, 1, timestamp_ms=txid, nonce=nonce)


def names(files: list[FileInfo]) -> list[tuple[int, int, int]]:
    return [(one.level, one.min_txid, one.max_txid) for one in files]


# Listing


def test_of_level_0_only_what_follows_the_higher_levels_is_listed(
    store: PlainStore, replica: Replica
) -> None:
    store.put(9, 1, 3)
    store.put(2, 4, 5)
    assert names(replica.files()) == [(2, 4, 5), (9, 1, 3), (0, 6, 6)]
    assert names(replica.files(upto=3)) == [(2, 4, 5), (9, 1, 3), (0, 4, 4), (0, 5, 5), (0, 6, 6)]
    assert names(replica.files(upto=2)) == [(2, 4, 5), (9, 1, 3), *((0, n, n) for n in range(1, 7))]
    assert names(replica.compacted()) == [(2, 4, 5), (9, 1, 3)]
    assert names(replica.every_file()) == [*((0, n, n) for n in range(1, 7)), (2, 4, 5), (9, 1, 3)]


def test_level_0_after_a_transaction(replica: Replica) -> None:
    assert names(replica.level_0_after(4)) == [(0, 5, 5), (0, 6, 6)]
    assert replica.level_0_after(6) == []


@pytest.mark.parametrize(
    ("start", "end", "found"), [(1, 20, [1, 17]), (1, 17, [1, 17]), (1, 16, [1]), (2, 17, [17]), (2, 16, [])]
)
def test_files_of_a_level_by_where_they_begin(
    start: int, end: int, found: list[int], store: PlainStore, replica: Replica
) -> None:
    store.put(2, 1, 16)
    store.put(2, 17, 32)
    store.put(2, 33, 48)
    store.put(3, 1, 256)
    assert [one.min_txid for one in replica.level_from(2, start, end)] == found


def test_old_transactions_and_the_first_that_is_not() -> None:
    store = PlainStore()
    for txid in range(1, 6):
        store.put(0, txid, txid, at_ms=10 * txid)
    store.put(2, 1, 2, at_ms=1)
    store.objects["0000/0000000000000001.note"] = b"", 0
    replica = Replica(store)
    for before, found in ((0, 1), (10, 2), (29, 3), (30, 4), (99, 5)):
        assert [one.max_txid for one in replica.old_transactions(before)] == [*range(1, found + 1)]
    replica.close()


def test_the_newest_transaction(store: PlainStore, replica: Replica) -> None:
    assert replica.newest_txid() == 6
    empty = Replica(PlainStore())
    assert empty.newest_txid() == 0
    empty.close()


def test_a_gap_is_believed_when_three_listings_show_it(store: PlainStore, replica: Replica) -> None:
    del store.objects[LAYOUT.key(0, 4, 4)]
    with pytest.raises(CorruptFile, match="plain:: transaction 4 is missing, though there is 6"):
        replica.newest_txid()
    assert store.calls == [("list", ""), ("list", "0000/")] * 3


@pytest.mark.parametrize(
    ("key", "empty"),
    [
        (CREATE_ONLY_PROBE, True),
        (PUBLISHED, True),
        ("readme.txt", False),
        ("0000/notes", False),
        ("0009/0000000000000001-0000000000000001.ltx.tmp", False),
    ],
)
def test_a_store_of_other_things_is_not_taken_for_an_empty_one(key: str, empty: bool) -> None:
    store = PlainStore()
    store.objects[key] = b"", 0
    replica = Replica(store)
    if empty:
        assert replica.files() == []
    else:
        with pytest.raises(NotAStore, match=r"holds .* but no LTX files") as caught:
            replica.files()
        assert caught.value.meta == {"object": key}
    replica.close()


def test_other_things_beside_files_do_not_matter(store: PlainStore, replica: Replica) -> None:
    store.objects["0000/0000000000000002.note"] = b"", 0
    store.objects["readme.txt"] = b"", 0
    assert len(replica.files()) == 6


# Opening


def file_of(txid: int, content: bytes, level: int = 0) -> FileInfo:
    return listed(level, txid, txid, size=len(content))


def large(pages: int, txid: int = 7) -> tuple[bytes, dict[int, bytes]]:
    """A file of pages that do not compress."""
    source = random.Random(pages)
    content = {number: source.randbytes(512) for number in range(1, pages + 1)}
    return body(txid, txid, content, pages), content


def test_small_files_are_read_whole_in_one_request(store: PlainStore, replica: Replica) -> None:
    (opened,) = replica.open_all([file_of(3, transaction(3))])
    assert opened.pages == {1: page(3)}
    assert (opened.header.timestamp_ms, len(opened.index), opened.info.max_txid) == (3, 1, 3)
    assert store.calls == [("get", LAYOUT.key(0, 3, 3))]


@pytest.mark.parametrize("pages", [125, 130, 2000])
def test_large_files_are_read_at_both_ends(pages: int, store: PlainStore, replica: Replica) -> None:
    content, written = large(pages)
    store.put(0, 7, 7, content)
    (opened,) = replica.open_all([file_of(7, content)])
    assert len(opened.index) == pages
    key = LAYOUT.key(0, 7, 7)
    if len(content) <= 64 * 1024:
        assert opened.pages == written
        assert store.calls == [("get", key)]
        return
    assert sorted(store.calls) == [("get_range", key), ("get_suffix", key)]
    # As many as lie whole in the first 64 KiB: a frame of a page that does not compress has 525 bytes.
    assert [*opened.pages] == [*range(1, 1 + (64 * 1024 - 100) // 525)]
    assert all(written[number] == found for number, found in opened.pages.items())
    place = opened.index.locate(pages)
    assert place is not None
    frame = content[place.offset : place.offset + place.size]
    assert ltx.decode_page(frame, pages, 512, place.crc) == written[pages]


def test_an_index_that_is_larger_than_the_guess_is_read_in_full(store: PlainStore, replica: Replica) -> None:
    """Pages that compress well: the index is a large part of the file."""
    content = body(7, 7, {number: page(1) for number in range(1, 8001)}, 8000)
    store.put(0, 7, 7, content)
    (opened,) = replica.open_all([file_of(7, content)])
    assert len(opened.index) == 8000
    opened.index.require_intact(content[:100])
    assert [call[0] for call in store.calls].count("get_range") == 2


@pytest.mark.parametrize("pages", [1, 300])
def test_a_file_that_is_gone(pages: int, replica: Replica) -> None:
    content, _ = large(pages, 8)
    with pytest.raises(FileGone, match="0000000000000008"):
        replica.open_all([file_of(8, content)])
    with pytest.raises(FileGone, match="0000000000000008"):
        replica.read(file_of(8, content), 0, 1)


@pytest.mark.parametrize("pages", [1, 300])
def test_a_file_must_be_the_one_of_its_name(pages: int, store: PlainStore, replica: Replica) -> None:
    content, _ = large(pages, 9)
    store.put(0, 8, 8, content)
    with pytest.raises(CorruptFile, match=r"0008\.ltx: its name does not agree .* 9-9") as caught:
        replica.open_all([file_of(8, content)])
    assert caught.value.meta == {"object": LAYOUT.key(0, 8, 8)}


@pytest.mark.parametrize("position", [20, 99, 150, -30, -100])
def test_damage_at_either_end_of_a_large_file_is_found(
    position: int, store: PlainStore, replica: Replica
) -> None:
    content = bytearray(large(300)[0])
    content[position] ^= 4
    store.put(0, 7, 7, bytes(content))
    with pytest.raises(CorruptFile, match=r"0007\.ltx"):
        replica.open_all([file_of(7, bytes(content))])


def test_a_read_that_is_cut_off(store: PlainStore, replica: Replica) -> None:
    content = transaction(3)
    file = file_of(3, content)
    assert replica.read(file, 10, len(content) - 10) == content[10:]
    with pytest.raises(CorruptFile, match=rf"0003\.ltx: the file ends after {len(content)} bytes"):
        replica.read(file, 10, len(content) - 9)


def test_the_next_transaction(store: PlainStore, replica: Replica) -> None:
    opened = replica.next_file(5)
    assert opened is not None
    assert (opened.info.min_txid, opened.info.max_txid, opened.info.size) == (6, 6, len(transaction(6)))
    assert store.calls == [("get_range", LAYOUT.key(0, 6, 6))]
    assert replica.next_file(6) is None


# With a cache on disk


@pytest.fixture
def cached(store: PlainStore, tmp_path: Path) -> Iterator[Replica]:
    replica = Replica(store, disk=DiskCache.open(DiskOptions(tmp_path, 10**7), store.url))
    yield replica
    replica.close()


@pytest.mark.parametrize("pages", [1, 125, 300])
def test_what_opening_read_is_not_read_again(pages: int, store: PlainStore, cached: Replica) -> None:
    content, _ = large(pages)
    store.put(0, 7, 7, content)
    file = replace(file_of(7, content), etag="one")
    (first,) = cached.open_all([file])
    assert first.info.content
    store.calls.clear()
    (again,) = cached.open_all([file])
    assert store.calls == []
    assert (again.header, again.pages, again.info.content) == (first.header, first.pages, first.info.content)
    assert [*again.index.items()] == [*first.index.items()]


@pytest.mark.parametrize(
    "other", [{"etag": "two"}, {"etag": ""}, {"modified_ms": 5}, {"size": 1}, {"key": "elsewhere"}]
)
def test_a_file_that_is_listed_otherwise_is_read(
    other: dict[str, object], store: PlainStore, cached: Replica
) -> None:
    content, _ = large(125)
    store.put(0, 7, 7, content)
    store.objects["elsewhere"] = content, 0
    file = replace(file_of(7, content), etag="one")
    cached.open_all([file])
    store.calls.clear()
    cached.open_all([replace(file, **other)])  # type: ignore[arg-type]
    assert len(store.calls) >= 1


def test_without_an_etag_nothing_is_kept(store: PlainStore, cached: Replica) -> None:
    for _ in range(2):
        store.calls.clear()
        cached.open_all([file_of(3, transaction(3))])
        assert store.calls == [("get", LAYOUT.key(0, 3, 3))]


@pytest.mark.parametrize(("pages", "position"), [(125, 150), (300, 150), (300, -30)])
def test_a_cache_that_is_damaged_is_read_past(
    pages: int, position: int, store: PlainStore, cached: Replica
) -> None:
    """If the disk's bytes differ from the file's, the store is read and the disk forgets them."""
    content, written = large(pages)
    damaged = bytearray(content)
    damaged[position] ^= 1
    store.put(0, 7, 7, content)
    file = replace(file_of(7, content), etag="one")
    content_of = identified(file, content, content).content
    cached.disk.put(content_of, 0, bytes(damaged))
    cached.disk.put(cached._listed(file), 0, content_of)
    (opened,) = cached.open_all([file])
    assert opened.pages[1] == written[1]
    assert opened.info.content == content_of
    store.calls.clear()
    (again,) = cached.open_all([file])
    assert (again.pages, store.calls) == (opened.pages, [])


def test_damage_in_the_store_is_not_taken_for_that_of_a_cache(store: PlainStore, cached: Replica) -> None:
    content = bytearray(transaction(3))
    content[-1] ^= 1
    store.put(0, 3, 3, bytes(content))
    with pytest.raises(CorruptFile, match=r"0003\.ltx"):
        cached.open_all([replace(file_of(3, bytes(content)), etag="one")])
    assert store.calls == [("get", LAYOUT.key(0, 3, 3))]


def test_size_header_and_end_tell_contents_apart() -> None:
    file = file_of(1, OURS)
    same = identified(file, OURS, OURS).content
    assert identified(replace(file, key="elsewhere"), OURS[:100], OURS[-16:]).content == same
    others = [
        identified(replace(file, size=file.size + 1), OURS, OURS),
        identified(file, OURS[:99] + b"x", OURS),
        identified(file, OURS, OURS[:-1] + b"x"),
        identified(file, OURS, OURS[:-16] + b"x" + OURS[-15:]),
    ]
    assert len({same, *(other.content for other in others)}) == 5


# Committing


class Answers(PlainStore):
    """Gives `answers` to puts, one after another, then true ones. An answer may write, too."""

    def __init__(self, *answers: BaseException | bool | Callable[["Answers"], bool]) -> None:
        super().__init__()
        self.answers = [*answers]

    def put_new(self, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        if not self.answers:
            return super().put_new(key, body, timestamp_ms=timestamp_ms)
        self.calls.append(("put_new", key))
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer if isinstance(answer, bool) else answer(self)


def other_first(store: Answers) -> bool:
    store.put(0, 1, 1, transaction(1, nonce=99))
    return False


def lost_answer(store: Answers) -> bool:
    store.put(0, 1, 1, OURS)
    raise StoreUnavailable("no answer")


OURS = transaction(1, nonce=7)
KEY = LAYOUT.key(0, 1, 1)


class Ticks:
    """A clock that is moved by sleeping, and by nothing else."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.time = 1000.0
        self.frozen = 0.0
        self.sleeps: list[float] = []
        monkeypatch.setattr(time, "monotonic", lambda: self.time)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.time += seconds

    def now(self) -> Moment:
        return Moment(self.time, self.time + self.frozen)


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    return Ticks(monkeypatch)


def commit(store: PlainStore, ticks: Ticks) -> None:
    replica = Replica(store)
    try:
        replica.commit(1, OURS, timestamp_ms=5, clock=ticks)
    finally:
        replica.close()


def unavailable(refused: bool = False) -> StoreUnavailable:
    return StoreRefused("it failed") if refused else StoreUnavailable("it failed")


def test_a_commit_is_one_put(ticks: Ticks) -> None:
    store = Answers()
    commit(store, ticks)
    assert store.objects[KEY][0] == OURS
    assert store.timestamps[KEY] == 5
    assert store.calls == [("require_create_only", ""), ("put_new", KEY)]
    assert ticks.sleeps == []


def test_an_answer_that_was_lost_is_read_back(ticks: Ticks) -> None:
    store = Answers(lost_answer)
    commit(store, ticks)
    assert store.calls[1:] == [("put_new", KEY), ("get_range", KEY)]


def test_an_outcome_that_cannot_be_read_back_either_is_pursued(ticks: Ticks) -> None:
    class Silent(Answers):
        failures = 3

        def get_range(self, key: str, offset: int, length: int) -> bytes | None:
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("silent")
            return super().get_range(key, offset, length)

    store = Silent(lost_answer, unavailable(), unavailable(), unavailable())
    commit(store, ticks)
    assert ticks.sleeps == [0.05, 0.1, 0.2]


def test_ours_under_a_taken_key_is_a_success(ticks: Ticks) -> None:
    store = Answers(unavailable(), lambda store: store.put(0, 1, 1, OURS) is not None)
    commit(store, ticks)
    assert ticks.sleeps == [0.05]


def test_another_writer_s_file_fences(ticks: Ticks) -> None:
    for answers in ((other_first,), (unavailable(), other_first)):
        with pytest.raises(Fenced, match="another writer committed transaction 1 first") as caught:
            commit(Answers(*answers), ticks)
        assert caught.value.meta == {"txid": 1}
    assert fenced(3).meta == {"txid": 3}


def test_a_refusal_at_once_is_certain(ticks: Ticks) -> None:
    store = Answers(unavailable(refused=True))
    with pytest.raises(StoreUnavailable, match="it failed") as caught:
        commit(store, ticks)
    assert not isinstance(caught.value, CommitUnknown)
    assert store.calls[1:] == [("put_new", KEY)]


def test_a_refusal_after_an_unknown_outcome_is_not(ticks: Ticks) -> None:
    """The first put may yet have an effect, so it is pursued."""
    store = Answers(unavailable(), unavailable(refused=True), unavailable(refused=True))
    commit(store, ticks)
    assert store.objects[KEY][0] == OURS


def test_an_unknown_outcome_is_pursued_for_fifteen_seconds(ticks: Ticks) -> None:
    store = Answers(*(unavailable() for _ in range(100)))
    with pytest.raises(
        CommitUnknown, match=r"transaction 1 may or may not have been .*: it failed"
    ) as caught:
        commit(store, ticks)
    assert caught.value.meta == {"txid": 1}
    assert ticks.sleeps[:6] == [0.05, 0.1, 0.2, 0.4, 0.8, 1.0]
    assert {*ticks.sleeps[5:]} == {1.0}
    assert 14.0 < sum(ticks.sleeps) <= 15.0


def test_a_process_that_was_frozen_past_the_deadline_does_not_try_again(ticks: Ticks) -> None:
    for frozen, tried in ((14.9, True), (15.1, False)):

        def freeze(store: Answers, frozen: float = frozen) -> bool:
            ticks.frozen = frozen
            raise unavailable()

        ticks.frozen = 0.0
        store = Answers(freeze)
        if tried:
            commit(store, ticks)
        else:
            with pytest.raises(CommitUnknown):
                commit(store, ticks)
        assert (KEY in store.objects) == tried


def test_a_key_that_is_taken_but_not_there_is_tried_for_three_seconds(ticks: Ticks) -> None:
    commit(Answers(*itertools.repeat(False, 5)), ticks)
    ticks.sleeps.clear()
    with pytest.raises(StoreUnsuitable, match=r"plain: refuses to create .* but it is not"):
        commit(Answers(*itertools.repeat(False, 100)), ticks)
    assert 3.0 < sum(ticks.sleeps) <= 4.0


def test_a_key_that_is_taken_but_not_there_after_a_failure_is_unknown(ticks: Ticks) -> None:
    with pytest.raises(CommitUnknown, match="exists for PUT, but not for GET"):
        commit(Answers(unavailable(), *itertools.repeat(False, 100)), ticks)
    assert 14.0 < sum(ticks.sleeps) <= 15.0


def test_a_store_that_is_unsuitable_is_so_at_once_or_unknown(ticks: Ticks) -> None:
    with pytest.raises(StoreUnsuitable, match="cannot"):
        commit(Answers(StoreUnsuitable("cannot")), ticks)
    assert ticks.sleeps == []
    with pytest.raises(CommitUnknown, match="cannot"):
        commit(Answers(unavailable(), *(StoreUnsuitable("cannot") for _ in range(50))), ticks)


def test_the_store_is_asked_once_whether_it_creates_only(ticks: Ticks) -> None:
    store = Answers()
    replica = Replica(store)
    replica.prepare_commits()
    replica.prepare_commits()
    for txid in (1, 2):
        replica.commit(txid, transaction(txid), timestamp_ms=0, clock=ticks)
    assert store.calls.count(("require_create_only", "")) == 1
    replica.close()


def test_a_failed_question_is_asked_again(ticks: Ticks) -> None:
    class Failing(Answers):
        failures = 1

        def require_create_only(self) -> None:
            super().require_create_only()
            if self.failures:
                self.failures -= 1
                raise StoreUnavailable("not now")

    store = Failing()
    replica = Replica(store)
    with pytest.raises(StoreUnavailable, match="not now"):
        replica.commit(1, OURS, timestamp_ms=0, clock=ticks)
    assert store.objects == {}
    replica.commit(1, OURS, timestamp_ms=0, clock=ticks)
    assert store.objects[KEY][0] == OURS
    replica.close()
