"""Compaction and pruning: what they leave, what they cost, and that nothing can make them lose anything."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import SettingsError, StoreUnavailable
from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.backup.restore import restore_file
from lamdb.storage.backup.verification import verify
from lamdb.storage.ltx.files import FileInfo, KeyLayout
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance import compaction, retention
from lamdb.storage.maintenance.background import BackgroundMaintenance, Maintenance
from lamdb.storage.maintenance.compaction import Compactor, Merge, perform, plan_merges
from lamdb.storage.maintenance.retention import RetentionPolicy, prune
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore, SlowStore

from .every_call import contents
from .history import AgedStore, TurnedClock, ask, tell
from .states import dump_file, state_of, write

type StoreMaker = Callable[[], ObjectStore]


def compact(store: ObjectStore) -> None:
    replica = Replica(store)
    assert Compactor(replica).run().finished
    replica.close()


def copy_of(store: ObjectStore) -> ObjectStore:
    """The same files in a store in memory."""
    copied = memory_store()
    found, layout = KeyLayout(store.level_folder), KeyLayout(copied.level_folder)
    for entry in store.list():
        file = found.parse(entry)
        if file is None:
            continue
        key = layout.key(file.level, file.min_txid, file.max_txid)
        copied.put_new(key, store.get(entry.key) or b"", timestamp_ms=0)
    return copied


def small_commits(database: Database, count: int) -> None:
    if not database.txid:
        tell(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
    for _ in range(count):
        with database.writer() as connection:
            connection.execute("INSERT INTO t(body) VALUES('some text')")


@pytest.mark.parametrize(
    ("commits", "merged"), [(15, []), (16, [(1, 16)]), (17, [(1, 16)]), (32, [(1, 16), (17, 32)])]
)
def test_a_window_is_merged_from_the_transaction_that_completes_it(
    commits: int, merged: list[tuple[int, int]]
) -> None:
    with Database(memory_store()) as database:
        small_commits(database, commits - 1)
        assert database.txid == commits
        Maintenance(database.pages).run(prune=False)
        files = database.pages.replica.every_file()
        assert [(file.min_txid, file.max_txid) for file in files if file.level == 2] == merged


def test_two_runs_write_the_same_bytes(store: ObjectStore) -> None:
    with Database(store, page_size=1024) as database:
        states = write(database, 70)
        other = copy_of(store)
        compact(store)
        compact(other)
        merged = contents(copy_of(store))
        assert merged == contents(other)
        assert {key[:4] for key in merged} == {"0000", "0002"}
        assert plan_merges(database.pages.replica.files()) == []
    with Database(store, create=False) as database:
        assert state_of(database) == states[database.txid]


def test_merging_in_steps_gives_the_same_bytes_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compaction, "FAN_OUT", 4)
    store = memory_store()
    with Database(store, page_size=512) as database:
        write(database, 240)
    replica = Replica(store)
    at_once = {}
    for level in (2, 3, 4):
        for end in range(compaction.span(level), 244, compaction.span(level)):
            inputs = replica.level_from(0, end - compaction.span(level) + 1, end)
            target = memory_store()
            writing = Replica(CopyOnPut(store, target))
            for _ in perform(writing, Merge(level, tuple(inputs))):
                pass
            writing.close()
            at_once |= contents(target)
    assert len(at_once) == 60 + 15 + 3
    for level in (2, 3, 4):
        monkeypatch.setattr(compaction, "LAST_LEVEL", level)
        for merge in plan_merges(replica.every_file()):
            for _ in perform(replica, merge):
                pass
    in_steps = contents(store)
    assert {key: in_steps[key] for key in at_once} == at_once
    replica.close()


class CopyOnPut:
    """Reads from one store, writes to another."""

    def __init__(self, source: ObjectStore, target: ObjectStore) -> None:
        self.source, self.target = source, target
        self.level_folder = source.level_folder

    def __getattr__(self, name: str) -> object:
        return getattr(self.target if name in ("put_new", "upload") else self.source, name)


def test_pages_beyond_a_shrunken_end_are_left_out() -> None:
    store = memory_store()
    with Database(store, page_size=512) as database:
        maintenance = Maintenance(database.pages)
        tell(database, "CREATE TABLE t(body)", "CREATE TABLE u(a)")
        tell(database, "INSERT INTO t VALUES(zeroblob(60000))")
        tell(database, "DROP TABLE t")
        database.vacuum()
        for number in range(12):
            tell(database, f"INSERT INTO u VALUES({number})")
        assert database.txid == 16
        assert maintenance.merge_own_commits() == 1
        (merged,) = database.pages.replica.level_from(2, 1, 16)
        assert merged.size < 3000
        tell(database, "CREATE TABLE t AS SELECT zeroblob(60000) AS body")
    for txid in range(1, 17):
        store.delete(f"0000/{txid:016x}-{txid:016x}.ltx")
    with Database(store) as database:
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert ask(database, "SELECT length(body) FROM t") == [(60000,)]


def test_opening_after_ten_thousand_commits_needs_few_requests() -> None:
    counting = CountingStore(memory_store())
    with Database(counting) as database:
        maintenance = Maintenance(database.pages)
        for _ in range(10_000 // 100):
            small_commits(database, 100)
            maintenance.merge_own_commits()
        last = database.txid
        merging = counting.requests["list"], counting.requests["get_range"]
    # A listing for each merge, and each file read once on each level.
    assert merging[0] < 700
    assert merging[1] < 10_000 * 1.1
    counting.reset()
    with Database(counting, create=False) as database:
        assert database.txid == last
        assert ask(database, "SELECT count(*) FROM t") == [(10_000,)]
    assert sum(counting.requests.values()) < 50
    assert counting.requests["list"] == 2


def test_a_commit_is_never_held_up() -> None:
    """Maintenance takes long where the store is slow; it does so beside the writer, not before it."""
    inner = memory_store()
    with Database(inner) as database:
        small_commits(database, 40)
        slow = SlowStore(inner, 0.1)
        replica = Replica(slow)
        finished = threading.Event()

        def work() -> None:
            Compactor(replica).run()
            finished.set()

        thread = threading.Thread(target=work)
        thread.start()
        small_commits(database, 200)
        assert not finished.is_set()
        thread.join()
        replica.close()
        assert ask(database, "SELECT count(*) FROM t") == [(240,)]


def test_work_is_done_in_slices() -> None:
    store = memory_store()
    with Database(store, page_size=512) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
            connection.executemany("INSERT INTO t(body) VALUES(?)", [(bytes(400),) for _ in range(20_000)])
        small_commits(database, 20)
        maintenance = Maintenance(database.pages)
        slices = 1
        while not maintenance.run(budget=0.005).work.finished:
            slices += 1
            small_commits(database, 1)
        assert slices > 3
        expected = state_of(database)
    with Database(store) as database:
        assert state_of(database) == expected


def test_the_server_s_thread_does_all_of_it() -> None:
    clock, store = TurnedClock(), memory_store()
    with Database(store, page_size=512, clock=clock) as database:
        maintenance = Maintenance(database.pages)
        with BackgroundMaintenance(maintenance, interval=1.0, slice_seconds=0.5):
            deadline = threading.Event()
            small_commits(database, 600)
            for _ in range(100):
                if plan_merges(database.pages.replica.files()) == []:
                    break
                deadline.wait(0.1)
        assert plan_merges(database.pages.replica.files()) == []
        assert ask(database, "SELECT count(*) FROM t") == [(600,)]


def test_the_thread_survives_a_store_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    store = FaultyStore(memory_store())
    with Database(store) as database:
        small_commits(database, 40)
        maintenance = Maintenance(database.pages)
        store.fail("list", times=1000)
        with BackgroundMaintenance(maintenance, interval=1.0):
            threading.Event().wait(2.5)
        assert "maintenance failed" in caplog.text
        store.heal()
        maintenance.run()
        assert ask(database, "SELECT count(*) FROM t") == [(40,)]


AGED = RetentionPolicy(transactions=timedelta(days=7), days=timedelta(days=30), grace=timedelta(0))


def prune_aged(store: ObjectStore, deadline: float | None = None) -> list[FileInfo]:
    replica = Replica(AgedStore(store, hours=2))
    try:
        return prune(replica, AGED, 10**13, stale_after=10.0, deadline=deadline)
    finally:
        replica.close()


@pytest.fixture(scope="module")
def history() -> tuple[ObjectStore, dict]:
    """Some 300 transactions, merged now and then, the last ones not."""
    store = memory_store()
    states: dict = {}
    with Database(store, page_size=512) as database:
        for seed in range(7):
            states |= write(database, 42, seed)
            if seed < 5:
                compact(store)
    return store, states


def check(store: ObjectStore, states: dict, tmp_path: Path) -> None:
    """The newest state, and the states of the last seven days, two hours apart."""
    with Database(store, create=False) as database:
        head = database.txid
        assert head == max(states)
        assert state_of(database) == states[head]
        assert verify(database.pages, tmp_path).ok
        for txid in (head - 1, head - 40, head - 83):
            with database.as_of(txid=txid) as connection:
                assert connection.execute("PRAGMA integrity_check").get == "ok"


def test_pruning_keeps_what_is_promised(history: tuple[ObjectStore, dict], tmp_path: Path) -> None:
    store, states = copy_of(history[0]), history[1]
    compact(store)
    assert len(prune_aged(store)) > 60
    assert prune_aged(store) == []
    check(store, states, tmp_path)
    replica = Replica(store)
    for txid in range(max(states) - 83, max(states) + 1):
        restore_file(replica, txid, tmp_path / "x.db", overwrite=True)
        assert dump_file(tmp_path / "x.db") == states[txid], txid
    replica.close()


def test_pruning_keeps_its_time(
    history: tuple[ObjectStore, dict], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(retention, "_DELETES_AT_ONCE", 16)
    store, states = copy_of(history[0]), history[1]
    compact(store)
    doomed, left = len(prune_aged(copy_of(store))), [len(contents(store))]
    budget = 0.05
    while left[-1] > left[0] - doomed:
        gone = prune_aged(SlowDeletes(store, 0.03), deadline=time.monotonic() + budget)
        left.append(left[-1] - len(gone))
        assert left[-1] == len(contents(store))
        check(store, states, tmp_path)
        budget *= 1 if gone else 2
    assert len(set(left)) > 2
    assert prune_aged(store) == []


class SlowDeletes(SlowStore):
    def around[T](self, operation: str, key: str, call: Callable[[], T]) -> T:
        return super().around(operation, key, call) if operation == "delete" else call()


BUDGET = 0.4


def test_a_slice_takes_no_longer_than_it_may_and_holds_up_no_commit() -> None:
    """On a slow store, with much to do; so the time of any commit is that of its own request."""
    latency = 0.02
    slow = SlowStore(memory_store(), 0.0)
    with Database(slow) as database:
        small_commits(database, 1500)
        maintenance = Maintenance(database.pages)
        slow.latency = latency
        slices: list[float] = []

        def maintain() -> None:
            finished = False
            while not finished:
                started = time.monotonic()
                finished = maintenance.run(BUDGET).work.finished
                slices.append(time.monotonic() - started)

        thread = threading.Thread(target=maintain)
        thread.start()
        commits: list[float] = []
        while thread.is_alive():
            started = time.monotonic()
            small_commits(database, 1)
            commits.append(time.monotonic() - started)
        thread.join()
        assert len(slices) > 3
        # One step more than the budget: at most the first pieces of 256 files, 16 at once. The rest is for
        # machines that have other things to do.
        assert max(slices) < BUDGET + 256 / 16 * latency + 2
        assert len(commits) > 10
        assert sorted(commits)[len(commits) // 2] < 10 * latency
        assert max(commits) < 2
        assert ask(database, "SELECT count(*) FROM t") == [(1500 + len(commits),)]


ROWS = 60
WRITER = f"""
import sys
from lamdb.storage import Database
from lamdb.errors import Fenced
name, url = sys.argv[1:]
with Database.open(url) as database:
    for number in range({ROWS}):
        while True:
            try:
                with database.writer() as connection:
                    connection.execute("INSERT INTO log VALUES(?, ?)", (name, number))
                print(number, flush=True)
                break
            except Fenced:
                continue
"""
COMPACTOR = """
import sys
import time
from pathlib import Path
from lamdb.storage import open_store
from lamdb.storage.maintenance.compaction import Compactor
from lamdb.storage.ltx.replica import Replica
url, stop = sys.argv[1:]
compactor = Compactor(Replica(open_store(url)))
while not Path(stop).exists():
    compactor.run()
    time.sleep(0.01)
"""


def test_writers_and_two_compactors_in_processes_of_their_own(tmp_path: Path) -> None:
    url, stop = (tmp_path / "store").as_uri(), tmp_path / "stop"
    with Database.open(url, page_size=1024) as database:
        tell(database, "CREATE TABLE log(name, number)")

    def start(program: str, *arguments: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", program, *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    compactors = [start(COMPACTOR, url, stop) for _ in range(2)]
    writers = [start(WRITER, name, url) for name in ("a", "b", "c")]
    try:
        for writer in writers:
            assert writer.communicate()[0].split() == [str(number) for number in range(ROWS)]
    finally:
        stop.touch()
    assert [compactor.wait() for compactor in compactors] == [0, 0]
    assert len([*(tmp_path / "store/ltx/2").iterdir()]) >= 3 * ROWS // 16 - 2
    with Database.open(url, create=False) as database:
        rows = ask(database, "SELECT name, number FROM log ORDER BY 1, 2")
        assert rows == [(name, number) for name in "abc" for number in range(ROWS)]
        assert database.txid == 3 * ROWS + 1
        for txid in (17, 100, 3 * ROWS):
            with database.as_of(txid=txid) as connection:
                assert connection.execute("SELECT count(*) FROM log").get == txid - 1
        assert verify(database.pages, tmp_path).ok
        compact(open_store(url))
        assert verify(database.pages, tmp_path).ok


def test_an_unsafe_policy_is_refused_at_once() -> None:
    with Database(memory_store(), stale_after=7 * 86400.0) as database, pytest.raises(SettingsError):
        Maintenance(database.pages)


def test_large_outputs_go_up_in_parts(make_store: StoreMaker, tmp_path: Path) -> None:
    """More than one part: streamed, and whole under its key or not there at all."""
    store = make_store()
    upload = store.upload("0009/large", timestamp_ms=1_700_000_000_000)
    pieces = [bytes([number]) * 3_000_000 for number in range(7)]
    for piece in pieces:
        upload.write(piece)
        assert store.head("0009/large") is None
    assert upload.finish()
    assert store.get("0009/large") == b"".join(pieces)
    dropped = store.upload("0009/dropped", timestamp_ms=0)
    dropped.write(pieces[1])
    dropped.abort()
    small = store.upload("0009/small", timestamp_ms=0)
    small.write(b"one")
    assert small.finish()
    again = store.upload("0009/small", timestamp_ms=0)
    again.write(b"one")
    assert not again.finish()
    assert [entry.key for entry in store.list()] == ["0009/large", "0009/small"]


def test_an_upload_that_fails_leaves_nothing(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = LocalStore(root)
    upload = store.upload("ltx/9/x", timestamp_ms=0)
    upload.write(b"some")
    upload.abort()
    assert [path for path in root.rglob("*") if path.is_file()] == []
    root.joinpath("ltx/3").write_bytes(b"a file where a folder should be")
    with pytest.raises(StoreUnavailable):
        store.upload("ltx/3/x", timestamp_ms=0).write(b"some")


def test_an_upload_to_a_bucket_that_is_not_there(request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("s3")
    upload = open_store("s3://no-such-bucket/x").upload("0009/x", timestamp_ms=0)

    def send() -> None:
        for _ in range(10):
            upload.write(bytes(1_000_000))
        upload.finish()

    with pytest.raises(StoreUnavailable):
        send()
