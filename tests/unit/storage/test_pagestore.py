"""How the newest view advances, what a commit writes, and when it is said to have been."""

import time
from collections.abc import Iterator

import pytest

from lamdb.errors import (
    CorruptFile,
    Fenced,
    NotAStore,
    NotRestorable,
    ReplicaLag,
    StorageError,
    StoreUnavailable,
)
from lamdb.storage import pagestore
from lamdb.storage.clock import Moment
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.pagestore import LookingFor, PageStore

from .plain_store import LAYOUT, PAGE, PlainStore, body, page


class TurnedClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> Moment:
        return Moment(self.time, self.time)


@pytest.fixture
def clock() -> TurnedClock:
    return TurnedClock()


def add(store: PlainStore, txid: int, *, low: int = 0, level: int = 0, timestamp_ms: int = 0) -> None:
    pages = (
        {number: page(number) for number in range(1, txid + 1)} if low else {1: page(txid), txid: page(txid)}
    )
    store.put(level, low or txid, txid, body(low or txid, txid, pages, txid, timestamp_ms=timestamp_ms))


@pytest.fixture
def store() -> PlainStore:
    """Three transactions; each adds a page."""
    store = PlainStore()
    for txid in (1, 2, 3):
        add(store, txid)
    return store


@pytest.fixture
def pages(store: PlainStore, clock: TurnedClock) -> Iterator[PageStore]:
    """Opened a second ago."""
    clock.time -= 1.0
    pages = opened(store, clock, page_size=4096)
    clock.time += 1.0
    store.calls.clear()
    yield pages
    pages.close()


def opened(store: PlainStore, clock: TurnedClock | None = None, page_size: int = PAGE) -> PageStore:
    clock = clock or TurnedClock()
    return PageStore(Replica(store), clock, page_size=page_size, cache_bytes=10**6, stale_after=10.0)


# Opening


def test_an_empty_store_has_an_empty_view() -> None:
    pages = opened(PlainStore(), page_size=8192)
    head = pages.head
    assert (head.txid, head.page_size, head.commit, head.timestamp_ms) == (0, 8192, 0, 0)
    assert (pages.committed, pages.commits, pages.commit_seconds, pages.fenced) == (0, 0, 0.0, 0)
    with pytest.raises(NotAStore, match="plain: holds no database"):
        pages.require_database()
    pages.close()


def test_the_newest_view(store: PlainStore, pages: PageStore) -> None:
    add(store, 4, timestamp_ms=77)
    pages.catch_up()
    head = pages.head
    assert (head.txid, head.page_size, head.commit, head.timestamp_ms) == (4, PAGE, 4, 77)
    pages.require_database()
    assert pages.fetcher.read(head, 2) == page(2)
    shown = pages.page_one(head)
    assert shown[24:32] == bytes([0, 0, 0, 4, 0, 0, 0, 4])
    assert pages.page_one(head) is shown


@pytest.mark.parametrize(("failures", "fails"), [(4, False), (5, True)])
def test_opening_is_tried_five_times_while_files_vanish(
    failures: int, fails: bool, store: PlainStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [failures]
    real = PlainStore.get

    def get(store: PlainStore, key: str) -> bytes | None:
        if key == LAYOUT.key(0, 3, 3) and left[0]:
            left[0] -= 1
            return None
        return real(store, key)

    monkeypatch.setattr(PlainStore, "get", get)
    if fails:
        with pytest.raises(StoreUnavailable, match=r"plain:: 0000/.*0003\.ltx was listed, but is not there"):
            opened(store)
    else:
        pages = opened(store)
        assert pages.head.txid == 3
        pages.close()


def test_a_gap_is_believed_when_three_listings_show_it(store: PlainStore) -> None:
    del store.objects[LAYOUT.key(0, 2, 2)]
    with pytest.raises(CorruptFile, match="plain:: transaction 2 is missing, though there is 3"):
        opened(store)
    assert store.calls.count(("list", "")) == 3


def test_pages_of_two_sizes_are_refused(store: PlainStore, pages: PageStore) -> None:
    header = ltx.Header(1024, 4, 4, 4, timestamp_ms=0)
    store.put(0, 4, 4, ltx.encode(header, [(1, bytes(1024))]))
    with pytest.raises(CorruptFile, match=r"0004\.ltx: its pages have 1024 bytes, those before it 512"):
        pages.catch_up()
    with pytest.raises(CorruptFile, match=r"0004\.ltx: its pages have 1024 bytes, those before it 512"):
        opened(store)
    assert pages.head.txid == 3


@pytest.mark.parametrize("txid", [1, 2, 3])
def test_past_states(txid: int, pages: PageStore) -> None:
    view = pages.view_at(txid)
    assert (view.txid, view.commit) == (txid, txid)
    assert pages.fetcher.read(view, txid) == page(txid)


@pytest.mark.parametrize("txid", [0, 4])
def test_states_that_there_never_were(txid: int, pages: PageStore) -> None:
    with pytest.raises(NotRestorable):
        pages.view_at(txid)


def test_a_pinned_view_keeps_its_pages(store: PlainStore, pages: PageStore, clock: TurnedClock) -> None:
    """Pinned twice, it is let go of with the second release."""
    first = pages.pin()
    assert pages.pin() is first
    pages.unpin(first)
    for txid in (4, 5, 6):
        add(store, txid)
    pages.catch_up()
    assert first.locate(1).file.max_txid == 3  # type: ignore[union-attr]
    assert pages._pinned == {3: 1}
    pages.unpin(first)
    assert pages._pinned == {}
    for txid in (7, 8, 9):
        add(store, txid)
    clock.time += 1.0
    pages.catch_up()
    assert first.locate(1) is None


# Catching up


@pytest.mark.parametrize("newer", [0, 1, 3, 4])
def test_up_to_four_transactions_are_fetched_one_by_one(
    newer: int, store: PlainStore, pages: PageStore
) -> None:
    for txid in range(4, 4 + newer):
        add(store, txid)
    pages.catch_up()
    assert pages.head.txid == 3 + newer
    asked = [("get_range", LAYOUT.key(0, txid, txid)) for txid in range(4, 8)]
    assert store.calls == (asked[: newer + 1] if newer < 4 else [*asked, ("list", "0000/")])
    assert pages.age() == 0.0


def test_more_transactions_are_listed(store: PlainStore, pages: PageStore) -> None:
    for txid in range(4, 68):
        add(store, txid)
    pages.catch_up()
    assert pages.head.txid == 67
    assert store.calls.count(("list", "0000/")) == 1
    # Up to 64, nobody asks for what was compacted.
    assert ("list", "") not in store.calls


def test_of_many_transactions_those_that_were_compacted_are_taken_together(
    store: PlainStore, pages: PageStore
) -> None:
    for txid in range(4, 4 + 4 + 65):
        add(store, txid)
    add(store, 72, low=8, level=2)
    pages.catch_up()
    assert pages.head.txid == 72
    assert ("list", "") in store.calls
    assert [call[0] for call in store.calls].count("get_range") == 4
    assert [call[0] for call in store.calls].count("get") == 1


def test_what_was_compacted_and_pruned_is_read_anew(store: PlainStore, pages: PageStore) -> None:
    for txid in range(4, 15):
        add(store, txid)
    for txid in range(1, 13):
        if txid > 7:
            del store.objects[LAYOUT.key(0, txid, txid)]
    add(store, 12, low=1, level=9)
    pages.catch_up()
    assert pages.head.txid == 14
    assert pages.fetcher.read(pages.head, 9) == page(9)


def test_a_free_key_proves_nothing_after_ten_minutes(
    store: PlainStore, pages: PageStore, clock: TurnedClock
) -> None:
    add(store, 5, low=1, level=9)
    clock.time += 599.0
    pages.catch_up()
    assert (pages.head.txid, pages.age()) == (3, 0.0)
    clock.time += 600.5
    pages.catch_up()
    assert (pages.head.txid, pages.age()) == (5, 0.0)


def test_a_look_by_listing_finds_what_has_no_next_key(store: PlainStore, pages: PageStore) -> None:
    add(store, 5, low=1, level=9)
    pages.catch_up(by_listing=True)
    assert pages.head.txid == 5


def test_a_look_that_began_after_the_call_is_enough(
    store: PlainStore, pages: PageStore, clock: TurnedClock
) -> None:
    clock.time += 1
    pages.catch_up()
    store.calls.clear()
    pages._looked = Moment(clock.time + 1, clock.time + 1)
    pages.catch_up()
    assert store.calls == []


def test_a_store_that_went_back(store: PlainStore, pages: PageStore) -> None:
    del store.objects[LAYOUT.key(0, 3, 3)]
    with pytest.raises(StorageError, match="the store went back from transaction 3 to 2"):
        pages.catch_up(by_listing=True)
    assert pages.head.txid == 3


# Waiting for a transaction


@pytest.fixture
def monotonic(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which sleeping moves; then how long each sleep was."""
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds
        now.append(seconds)

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)
    return now


def test_looking_for_a_transaction(monotonic: list[float]) -> None:
    search = LookingFor(10, 2.0)
    assert not search.by_listing
    assert search.remaining() == 2.0
    assert not search.is_done(9)
    assert search.by_listing
    monotonic[0] = 1.5
    assert search.remaining() == 0.5
    assert not search.is_done(9)
    assert not search.by_listing
    monotonic[0] = 2.0
    assert search.is_done(10)
    with pytest.raises(ReplicaLag, match=r"transaction 10 did not appear within 2 s \(newest: 9\)") as caught:
        search.is_done(9)
    assert caught.value.meta == {"wanted": 10, "txid": 9}
    monotonic[0] = 3.0
    assert search.remaining() == 0.0


@pytest.mark.parametrize(("wanted", "far"), [(100, False), (101, True)])
def test_a_transaction_that_is_far_from_all_is_not_waited_for(wanted: int, far: bool) -> None:
    search = LookingFor(wanted, 60.0)
    assert not search.is_done(0)
    if not far:
        assert not search.is_done(0)
        return
    with pytest.raises(ReplicaLag, match=r"transaction 101 is not in the store \(newest: 0\)") as caught:
        search.is_done(0)
    assert caught.value.meta == {"wanted": 101, "txid": 0}


def test_refreshing_waits_a_little_longer_each_time(
    pages: PageStore, store: PlainStore, clock: TurnedClock, monotonic: list[float]
) -> None:
    clock.now = lambda: Moment(monotonic[0] + 2000, 0.0)  # type: ignore[method-assign]
    assert pages.refresh() == 3
    assert monotonic[1:] == []
    with pytest.raises(ReplicaLag, match=r"transaction 4 did not appear within 0.5 s \(newest: 3\)"):
        pages.refresh(4, 0.5)
    assert monotonic[1:7] == [0.005, 0.01, 0.02, 0.04, 0.08, 0.1]
    assert sum(monotonic[1:]) == pytest.approx(0.5)
    # The second look lists all files; opening did, before.
    assert store.calls.count(("list", "")) == 2
    add(store, 4)
    assert pages.refresh(4) == 4


# Committing


def test_a_commit_is_the_next_transaction(store: PlainStore, pages: PageStore, clock: TurnedClock) -> None:
    clock.time += 5
    view = pages.commit(pages.head, {2: page(9), 4: page(8)}, 5, PAGE)
    assert (view.txid, view.commit, view.page_size, view.timestamp_ms) == (4, 5, PAGE, 1_005_000)
    assert pages.head is view
    written = ltx.decode(store.objects[LAYOUT.key(0, 4, 4)][0])
    # Page 5 was not written: there are no holes.
    assert written.pages == {2: page(9), 4: page(8), 5: bytes(PAGE)}
    assert (written.header.min_txid, written.header.max_txid, written.header.commit) == (4, 4, 5)
    assert written.header.timestamp_ms == store.timestamps[LAYOUT.key(0, 4, 4)] == 1_005_000
    assert written.header.nonce
    assert pages.fetcher.read(view, 2) == page(9)
    assert (pages.committed, pages.commits, pages.fenced, pages.age()) == (4, 1, 0, 0.0)
    assert [call[0] for call in store.calls] == ["require_create_only", "put_new"]


def test_pages_past_the_end_are_left_out(store: PlainStore, pages: PageStore) -> None:
    pages.commit(pages.head, {1: page(9), 2: page(8), 3: page(7)}, 2, PAGE)
    assert ltx.decode(store.objects[LAYOUT.key(0, 4, 4)][0]).pages == {1: page(9), 2: page(8)}


def test_commits_are_counted_with_their_time(
    store: PlainStore, pages: PageStore, clock: TurnedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = PlainStore.put_new

    def put_new(store: PlainStore, key: str, body: bytes, *, timestamp_ms: int) -> bool:
        clock.time += 2.0
        return real(store, key, body, timestamp_ms=timestamp_ms)

    monkeypatch.setattr(PlainStore, "put_new", put_new)
    pages.commit(pages.head, {1: page(1)}, 3, PAGE)
    # What was put at the start of the commit was the newest then.
    assert (pages.commits, pages.commit_seconds, pages.age()) == (1, 2.0, 2.0)
    pages.commit(pages.head, {1: page(1)}, 3, PAGE)
    assert (pages.commits, pages.commit_seconds, pages.committed) == (2, 4.0, 5)


def test_a_commit_on_an_old_view_is_fenced(store: PlainStore, pages: PageStore) -> None:
    old = pages.head
    pages.commit(old, {1: page(1)}, 3, PAGE)
    with pytest.raises(Fenced, match="another writer committed transaction 4 first"):
        pages.commit(old, {1: page(2)}, 3, PAGE)
    assert (pages.fenced, pages.commits) == (1, 1)


def test_a_commit_that_another_writer_was_before_is_fenced(store: PlainStore, pages: PageStore) -> None:
    add(store, 4)
    with pytest.raises(Fenced):
        pages.commit(pages.head, {1: page(1)}, 3, PAGE)
    assert (pages.fenced, pages.commits, pages.head.txid) == (1, 0, 3)
    with pytest.raises(Fenced):
        pages.commit(pages.head, {1: page(1)}, 3, PAGE)
    assert pages.fenced == 2


@pytest.mark.parametrize(("age", "looks"), [(10.0, False), (10.5, True)])
def test_a_stale_writer_looks_first(
    age: float, looks: bool, store: PlainStore, pages: PageStore, clock: TurnedClock
) -> None:
    clock.time += age - 1.0
    pages.commit(pages.head, {1: page(1)}, 3, PAGE)
    assert (store.calls[0] == ("get_range", LAYOUT.key(0, 4, 4))) == looks


def test_time_does_not_go_back(store: PlainStore, clock: TurnedClock) -> None:
    """A correct clock may be behind another correct clock by a minute."""
    for ahead, expected in ((59_000, 1_059_000), (60_000, 1_060_000)):
        add(store, 3, timestamp_ms=1_000_000 + ahead)
        pages = opened(store, clock)
        store.calls.clear()
        assert pages.commit(pages.head, {1: page(1)}, 3, PAGE).timestamp_ms == expected
        assert ("head", LAYOUT.key(0, 3, 3)) not in store.calls
        del store.objects[LAYOUT.key(0, 4, 4)]
        pages.close()


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (0, 1_200_000),  # No clock but the writers': what the last one said.
        (1_140_000, 1_200_000),  # The store agrees with the last writer: ours is behind.
        (1_139_999, 1_139_999),  # The last writer was ahead: the store's time counts.
        (900_000, 1_000_000),  # And ours, if it is later.
    ],
)
def test_after_a_time_of_the_future_the_store_decides(
    stored: int, expected: int, store: PlainStore, clock: TurnedClock
) -> None:
    content = body(3, 3, {1: page(3), 3: page(3)}, 3, timestamp_ms=1_200_000)
    store.put(0, 3, 3, content, at_ms=stored)
    pages = opened(store, clock)
    assert pages.commit(pages.head, {1: page(1)}, 3, PAGE).timestamp_ms == expected
    pages.close()


def test_after_a_time_of_the_future_whose_file_was_pruned(store: PlainStore, clock: TurnedClock) -> None:
    del store.objects[LAYOUT.key(0, 3, 3)]
    pages_of_all = {number: page(number) for number in (1, 2, 3)}
    store.put(9, 1, 3, body(1, 3, pages_of_all, 3, timestamp_ms=1_200_000), at_ms=5)
    pages = opened(store, clock)
    assert pages.commit(pages.head, {1: page(1)}, 3, PAGE).timestamp_ms == 1_200_000
    pages.close()


def test_the_lock_page_is_never_written() -> None:
    lock = ltx.lock_page(65536)
    pages = opened(PlainStore(), page_size=65536)
    pages.close()
    view = pages.head
    view.commit = lock - 1
    zeros = bytes(65536)
    found = pagestore._pages_of_transaction(view, {1: zeros, lock: zeros, lock + 1: zeros}, lock + 2, 65536)
    assert [*found] == [1, lock + 1, lock + 2]
