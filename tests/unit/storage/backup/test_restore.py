"""From files to a database, and back to a past state: each page, the size, and what a failure leaves."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.unit.storage.plain_store import LAYOUT, PAGE, PlainStore, body, page

from lamdb.errors import (
    CorruptFile,
    NotEmpty,
    NotRestorable,
    StoreUnavailable,
    TargetError,
    TransactionTooLarge,
)
from lamdb.storage.backup import restore
from lamdb.storage.backup.restore import chain_to, restore_file, restore_store
from lamdb.storage.cache.pagecache import PageCache
from lamdb.storage.fetch import PageFetcher
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import FileInfo, plan
from lamdb.storage.ltx.replica import FileGone, Replica
from lamdb.storage.pages import PageMap, View
from lamdb.storage.rollforward import difference
from lamdb.storage.stores.objectstore import CREATE_ONLY_PROBE, PUBLISHED

HISTORY: list[tuple[dict[int, bytes], int]] = [
    ({1: page(1), 2: page(1), 3: page(1)}, 3),
    ({1: page(2), 4: page(2), 5: page(2)}, 5),
    ({1: page(3), 2: page(3)}, 4),  # One page less.
    ({1: page(4), 3: page(4), 5: page(4)}, 5),
]
STATES = {
    1: [1, 1, 1],
    2: [2, 1, 1, 2, 2],
    3: [3, 3, 1, 2],
    4: [4, 3, 4, 2, 4],
}


@pytest.fixture
def store() -> PlainStore:
    store = PlainStore()
    for txid, (pages, commit) in enumerate(HISTORY, 1):
        store.put(0, txid, txid, body(txid, txid, pages, commit, timestamp_ms=100 * txid))
    return store


@pytest.fixture
def replica(store: PlainStore) -> Iterator[Replica]:
    replica = Replica(store)
    yield replica
    replica.close()


def content(txid: int) -> bytes:
    return b"".join(page(fill) for fill in STATES[txid])


@pytest.mark.parametrize("at_once", [1, 2, 256])
@pytest.mark.parametrize("txid", STATES)
def test_a_file_has_the_pages_of_its_state(
    txid: int, at_once: int, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "_FAN_IN", at_once)
    target = tmp_path / "a.db"
    header = restore_file(replica, txid, target)
    assert target.read_bytes() == content(txid)
    assert (header.min_txid, header.max_txid, header.timestamp_ms) == (1, txid, 100 * txid)
    assert (header.commit, header.page_size) == (len(STATES[txid]), PAGE)
    assert [*tmp_path.iterdir()] == [target]


@pytest.mark.parametrize("at_once", [1, 3, 256])
@pytest.mark.parametrize("txid", STATES)
def test_a_store_begins_with_the_state(
    txid: int, at_once: int, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by way of a file, if there are more files than are read at once."""
    monkeypatch.setattr(restore, "_FAN_IN", at_once)
    target = PlainStore()
    header = restore_store(replica, txid, target, tmp_path)
    key = LAYOUT.key(9, 1, txid)
    assert [*target.objects] == [key]
    found = ltx.decode(target.objects[key][0])
    assert found.header == header
    assert [*found.pages.values()] == [page(fill) for fill in STATES[txid]]
    assert [*found.pages] == [*range(1, len(STATES[txid]) + 1)]
    assert target.timestamps[key] == 100 * txid
    assert ("require_create_only", "") in target.calls
    assert [*tmp_path.iterdir()] == []


def test_the_chain_of_a_state(store: PlainStore, replica: Replica) -> None:
    store.put(9, 1, 2, b"x")
    assert [(one.level, one.max_txid) for one in chain_to(replica, 3)] == [(9, 2), (0, 3)]
    store.put(9, 1, 4, b"x")
    assert [(one.level, one.max_txid) for one in chain_to(replica, 1)] == [(0, 1)]
    for txid in (0, 5):
        with pytest.raises(NotRestorable):
            chain_to(replica, txid)


def test_an_existing_file_is_kept_unless_it_may_be_replaced(replica: Replica, tmp_path: Path) -> None:
    target = tmp_path / "a.db"
    target.write_bytes(b"mine")
    with pytest.raises(TargetError, match=r"a\.db exists"):
        restore_file(replica, 2, target)
    assert target.read_bytes() == b"mine"
    restore_file(replica, 2, target, overwrite=True)
    assert target.read_bytes() == content(2)
    assert [*tmp_path.iterdir()] == [target]


def test_a_file_that_appears_meanwhile_is_kept(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "a.db"
    monkeypatch.setattr(restore.os, "fsync", lambda _: target.write_bytes(b"theirs"))
    with pytest.raises(TargetError, match=r"cannot write .*a\.db: File exists"):
        restore_file(replica, 2, target)
    assert target.read_bytes() == b"theirs"
    assert [*tmp_path.iterdir()] == [target]


def test_a_file_is_on_disk_before_it_has_its_name(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool]] = []
    target = tmp_path / "a.db"
    size = len(content(4))

    def fsync(descriptor: int) -> None:
        seen.append((restore.os.fstat(descriptor).st_size, target.exists()))

    monkeypatch.setattr(restore.os, "fsync", fsync)
    restore_file(replica, 4, target)
    assert seen == [(size, False)]


def test_a_folder_that_is_not_there(replica: Replica, tmp_path: Path) -> None:
    with pytest.raises(TargetError, match=r"cannot write .*: No such file or directory"):
        restore_file(replica, 2, tmp_path / "none" / "a.db")


def test_damage_leaves_nothing(store: PlainStore, replica: Replica, tmp_path: Path) -> None:
    key = LAYOUT.key(0, 2, 2)
    store.objects[key] = store.objects[key][0][:-1] + b"?", 0
    target = PlainStore()
    with pytest.raises(CorruptFile):
        restore_file(replica, 3, tmp_path / "a.db")
    with pytest.raises(CorruptFile):
        restore_store(replica, 3, target, tmp_path)
    assert ([*tmp_path.iterdir()], target.objects) == ([], {})
    assert target.calls[-1] == ("abort", LAYOUT.key(9, 1, 3))


def test_only_an_empty_store_is_a_target(replica: Replica, tmp_path: Path) -> None:
    target = PlainStore()
    target.objects["notes"] = b"", 0
    with pytest.raises(NotEmpty, match="plain: is not empty: it holds 'notes'") as caught:
        restore_store(replica, 2, target, tmp_path)
    assert caught.value.meta == {"object": "notes"}
    target = PlainStore()
    # The changes of another database were published from there.
    target.objects[PUBLISHED] = b"", 0
    with pytest.raises(NotEmpty):
        restore_store(replica, 2, target, tmp_path)
    target = PlainStore()
    target.objects[CREATE_ONLY_PROBE] = b"", 0
    restore_store(replica, 2, target, tmp_path)


def test_a_target_that_another_process_was_faster_at(replica: Replica, tmp_path: Path) -> None:
    class Taken(PlainStore):
        def require_create_only(self) -> None:
            self.put(9, 1, 2, b"theirs")

    target = Taken()
    with pytest.raises(NotEmpty, match="plain: has just been written to by another process"):
        restore_store(replica, 2, target, tmp_path)
    assert target.objects[LAYOUT.key(9, 1, 2)][0] == b"theirs"


@pytest.mark.parametrize(("failures", "fails"), [(4, False), (5, True)])
@pytest.mark.parametrize("kind", ["file", "store"])
def test_files_that_vanish_are_looked_for_five_times(
    kind: str, failures: int, fails: bool, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [failures]
    real = restore.open_readers

    def open_readers(replica: Replica, files: tuple[FileInfo, ...]) -> object:
        if left[0]:
            left[0] -= 1
            raise FileGone("a file")
        return real(replica, files)

    monkeypatch.setattr(restore, "open_readers", open_readers)

    def run() -> ltx.Header:
        if kind == "file":
            return restore_file(replica, 2, tmp_path / "a.db")
        return restore_store(replica, 2, PlainStore(), tmp_path)

    if fails:
        with pytest.raises(StoreUnavailable, match="the files of transaction 2 keep moving"):
            run()
        assert [*tmp_path.iterdir()] == []
    else:
        assert run().max_txid == 2


@pytest.mark.parametrize("at_once", [1, 256])
def test_progress_counts_the_bytes_of_files(
    at_once: int, store: PlainStore, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restore, "_FAN_IN", at_once)
    monkeypatch.setattr(restore, "_STEP", 2)
    total = sum(len(content) for content, _ in store.objects.values())
    for name in ("file", "store"):
        told: list[tuple[int, int]] = []

        def progress(done: int, of: int, told: list[tuple[int, int]] = told) -> None:
            told.append((done, of))

        if name == "file":
            restore_file(replica, 4, tmp_path / "a.db", progress=progress)
        else:
            restore_store(replica, 4, PlainStore(), tmp_path, progress=progress)
        assert {of for _, of in told} == {total}
        assert [done for done, _ in told] == sorted(done for done, _ in told)
        assert told[-1] == (total, total)
        if at_once == 256:
            # Five pages: after the first, the third and the fifth, and at the end.
            assert len(told) == 4
        assert 0 < told[0][0] < told[-2][0] < total


# Going back in place


def view_of(replica: Replica, txid: int) -> View:
    opened = replica.open_all(plan(replica.files(), txid))
    pages = PageMap()
    for file in opened:
        pages.add(file, 1)
    header = opened[-1].header
    return View(pages, txid, header.page_size, header.commit, header.timestamp_ms)


@pytest.fixture
def fetcher(replica: Replica) -> PageFetcher:
    return PageFetcher(replica, PageCache(10**6))


@pytest.mark.parametrize(
    ("past", "changed"), [(1, [1, 2, 3]), (2, [1, 2, 3, 5]), (3, [1, 3]), (4, [1])]
)  # fmt: skip
def test_only_what_differs_is_brought_back(
    past: int, changed: list[int], replica: Replica, fetcher: PageFetcher
) -> None:
    found = difference(fetcher, view_of(replica, 4), view_of(replica, past), limit=10**6)
    assert [*found] == changed
    assert all(found[number] == page(STATES[past][number - 1]) for number in changed[1:])


def test_pages_that_the_newest_state_does_not_have_are_brought_back(
    replica: Replica, fetcher: PageFetcher
) -> None:
    """The newest state is one page smaller than the past one."""
    found = difference(fetcher, view_of(replica, 3), view_of(replica, 2), limit=10**6)
    assert [*found] == [1, 2, 5]


def test_a_page_in_a_file_that_reaches_past_the_state_is_compared(
    store: PlainStore, replica: Replica, fetcher: PageFetcher
) -> None:
    past = view_of(replica, 2)
    merged = {number: page(fill) for number, fill in enumerate(STATES[4], 1)}
    store.put(9, 1, 4, body(1, 4, merged, 5))
    found = difference(fetcher, view_of(replica, 4), past, limit=10**6)
    assert [*found] == [1, 2, 3, 5]


def test_a_file_that_begins_with_the_past_state_is_compared_as_well(
    store: PlainStore, replica: Replica, fetcher: PageFetcher
) -> None:
    past = view_of(replica, 3)
    store.put(2, 3, 4, body(3, 4, {1: page(4), 2: page(3), 3: page(4), 5: page(4)}, 5))
    assert [*difference(fetcher, view_of(replica, 4), past, limit=10**6)] == [1, 3]


def test_the_lock_page_is_no_difference(
    store: PlainStore, replica: Replica, fetcher: PageFetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ltx, "PENDING_BYTE", 2 * PAGE)
    store.objects.clear()
    for txid, numbers in ((1, (1, 2, 4, 5)), (2, (1, 2, 5))):
        store.put(0, txid, txid, body(txid, txid, {number: page(txid) for number in numbers}, 5))
    found = difference(fetcher, view_of(replica, 2), view_of(replica, 1), limit=10**6)
    assert [*found] == [1, 2, 5]


def test_page_one_has_a_schema_cookie_that_nobody_has_seen(
    store: PlainStore, fetcher: PageFetcher, replica: Replica
) -> None:
    def page_one(cookie: int, fill: int) -> bytes:
        return bytes([fill]) * 40 + cookie.to_bytes(4, "big") + bytes([fill]) * (PAGE - 44)

    for newest, expected in ((7, 8), (0xFFFF_FFFF, 0)):
        store.objects.clear()
        store.put(0, 1, 1, body(1, 1, {1: page_one(3, 1)}, 1))
        store.put(0, 2, 2, body(2, 2, {1: page_one(newest, 2)}, 1))
        fresh = PageFetcher(replica, PageCache(10**6))
        (found,) = difference(fresh, view_of(replica, 2), view_of(replica, 1), limit=PAGE).values()
        assert len(found) == PAGE
        assert int.from_bytes(found[40:44], "big") == expected
        assert found[:18] == b"\1" * 18
        assert found[44:92] == b"\1" * 48
        # The change counter is that of the transaction to come, the size that of the past state.
        assert found[24:32] == bytes([0, 0, 0, 3, 0, 0, 0, 1])


def test_a_difference_may_be_as_large_as_the_limit(replica: Replica, fetcher: PageFetcher) -> None:
    head, past = view_of(replica, 4), view_of(replica, 1)
    assert len(difference(fetcher, head, past, limit=3 * PAGE)) == 3
    with pytest.raises(TransactionTooLarge, match=f"transaction 1 changes more than {3 * PAGE - 1} bytes"):
        difference(fetcher, head, past, limit=3 * PAGE - 1)
