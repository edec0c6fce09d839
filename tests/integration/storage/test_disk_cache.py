"""Databases with a cache on disk: fewer requests, the same answers, whatever happens to the disk."""

import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import StoreUnavailable
from lamdb.graphql.from_settings import open_database
from lamdb.settings import Settings
from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.cache import segments
from lamdb.storage.cache.diskcache import DiskOptions
from lamdb.storage.hydration import Hydration
from lamdb.storage.stores.wrappers import CountingStore, StoreWrapper

from .history import ask, compact, tell

ROWS = 12_000
TOTALS = "SELECT count(*), sum(length(body)), sum(id * unicode(hex(body))) FROM t"
ONE = "SELECT hex(body) FROM t WHERE id = ?"


def fill(store: ObjectStore, *, seed: int = 1, rows: int = ROWS) -> None:
    """A table of some 5 MB in one snapshot, and two transactions after it."""
    source = random.Random(seed)
    with Database(store) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
            connection.executemany(
                "INSERT INTO t(body) VALUES(?)", ((source.randbytes(400),) for _ in range(rows))
            )
        compact(store, 9, [1])
        tell(database, "CREATE TABLE small(a)")
        tell(database, "INSERT INTO small VALUES(1)")


@pytest.fixture
def place(tmp_path: Path) -> str:
    url = (tmp_path / "store").as_uri()
    fill(open_store(url))
    return url


@pytest.fixture
def disk(tmp_path: Path) -> DiskOptions:
    return DiskOptions(tmp_path / "cache", 64 * 1024 * 1024)


def files_of(disk: DiskOptions) -> list[Path]:
    return sorted(path for path in disk.directory.glob("*/*") if path.name != "lock")


def used(disk: DiskOptions) -> int:
    return sum(path.stat().st_size for path in files_of(disk))


def come_to_rest(database: Database) -> None:
    """Waits for what is read ahead in the background, which a statement does not."""
    give_up = time.monotonic() + 30
    while database.pages.fetcher.busy:
        assert time.monotonic() < give_up
        time.sleep(0.001)


def test_a_process_that_starts_again_only_lists(
    make_store: Callable[[], ObjectStore], disk: DiskOptions, request: pytest.FixtureRequest
) -> None:
    fill(make_store(), rows=4_000)
    with Database(make_store(), disk=disk) as database:
        expected = ask(database, TOTALS)
    store = CountingStore(make_store())
    with Database(store, disk=disk) as database:
        if "memory" in request.node.name:  # It does not outlive a process; so what is kept is not told by it.
            assert store.requests == {"list": 2, "get": 2, "get_range": 1, "get_suffix": 1}
        else:
            assert store.requests == {"list": 2}
        store.reset()
        assert ask(database, TOTALS) == expected
        assert store.requests == {}
        assert database.pages.replica.disk.hits > 0


def test_memory_may_be_small(place: str, disk: DiskOptions) -> None:
    store = CountingStore(open_store(place))
    with Database(store, disk=disk, cache_bytes=0, connection_cache_bytes=0) as database:
        expected = ask(database, TOTALS)
        tell(database, "INSERT INTO small VALUES(2)")
        assert ask(database, TOTALS) == expected
        come_to_rest(database)
        store.reset()
        for _ in range(2):
            assert ask(database, TOTALS) == expected
        assert store.requests == {}


def test_pages_are_on_disk_before_others_may_ask_for_them(
    place: str, disk: DiskOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory may be too small to keep them until then."""
    claimed = []
    with Database.open(place, disk=disk, cache_bytes=0) as database:
        cache = database.pages.replica.disk
        put = cache.put

        def watched(identity: bytes, start: int, data: bytes) -> None:
            claimed.append(database.pages.fetcher.busy)
            put(identity, start, data)

        monkeypatch.setattr(cache, "put", watched)
        ask(database, ONE, 5_000)
    assert claimed
    assert all(claimed)


@pytest.mark.parametrize("again", ["directory", "s3"])
def test_another_database_under_the_same_name(
    again: str, tmp_path: Path, disk: DiskOptions, request: pytest.FixtureRequest
) -> None:
    """Same keys, same TXIDs, same sizes, a snapshot without a nonce."""
    url = (tmp_path / "a").as_uri() if again == "directory" else request.getfixturevalue("s3").url
    answers = []
    for seed in (1, 2):
        store = open_store(url)
        for entry in [*store.list()]:
            store.delete(entry.key)
        fill(store, seed=seed, rows=2_000)
        for _ in range(2):
            with Database(open_store(url), disk=disk) as database:
                answers.append(ask(database, TOTALS))
    assert answers[0] == answers[1] != answers[2] == answers[3]


def test_files_whose_times_are_set_back_are_other_files(tmp_path: Path, disk: DiskOptions) -> None:
    """As a backup tool does it that restores a directory."""
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    answers = []
    for seed, folder in enumerate(("one", "two")):
        fill(open_store((tmp_path / folder).as_uri()), seed=seed, rows=2_000)
        for path in (tmp_path / folder).rglob("*.ltx"):
            os.utime(path, (1_000_000, 1_000_000))
        (tmp_path / "store").unlink(missing_ok=True)
        (tmp_path / "store").symlink_to(tmp_path / folder)
        with Database.open((tmp_path / "store").as_uri(), disk=disk) as database:
            answers.append(ask(database, TOTALS))
    assert answers[0] != answers[1]


def test_never_more_requests_than_without(place: str, disk: DiskOptions) -> None:
    """Any part of the pages may be on the disk."""
    source = random.Random(3)

    def requests(options: DiskOptions | None, work: Callable[[Database], object]) -> int:
        store = CountingStore(open_store(place))
        with Database(store, disk=options, connection_cache_bytes=0) as database:
            work(database)
        return store.requests.total()

    for _ in range(6):
        shutil.rmtree(disk.directory, ignore_errors=True)
        with Database.open(place, disk=disk, cache_bytes=1_000_000) as database:
            for _ in range(source.randint(1, 40)):
                ask(database, ONE, source.randint(1, ROWS))
        ids = [source.randint(1, ROWS) for _ in range(20)]
        low, high = sorted(source.sample(range(ROWS), 2))
        for work in (
            lambda database: [ask(database, ONE, id) for id in ids],  # noqa: B023
            lambda database: ask(database, TOTALS + " WHERE id BETWEEN ? AND ?", low, high),  # noqa: B023
        ):
            saved = disk.directory.with_name("saved")
            shutil.copytree(disk.directory, saved)
            assert requests(disk, work) <= requests(None, work)
            shutil.rmtree(disk.directory)
            saved.rename(disk.directory)


@pytest.mark.parametrize("budget", [100_000, 1_000_000])
def test_the_budget_holds(place: str, budget: int, disk: DiskOptions) -> None:
    options = DiskOptions(disk.directory, budget)
    with Database(open_store(place), disk=options, cache_bytes=0, connection_cache_bytes=0) as database:
        expected = ask(database, TOTALS)
        source = random.Random(5)
        for _ in range(200):
            ask(database, ONE, source.randint(1, ROWS))
            come_to_rest(database)
            assert used(disk) <= budget
        assert ask(database, TOTALS) == expected
        come_to_rest(database)
        assert 0 < used(disk) <= budget
    assert used(disk) <= budget


@pytest.mark.parametrize("seed", range(5))
def test_damage_is_never_seen(place: str, disk: DiskOptions, seed: int) -> None:
    source = random.Random(seed)
    with Database.open(place, disk=disk) as database:
        expected = ask(database, TOTALS)
    for path in files_of(disk):
        body = bytearray(path.read_bytes())
        for _ in range(source.randint(1, 30)):
            at = source.randrange(len(body))
            body[at : at + 100] = source.randbytes(min(source.randint(1, 100), len(body) - at))
        path.write_bytes(body[: source.randint(len(body) // 2, len(body))])
    store = CountingStore(open_store(place))
    with Database(store, disk=disk, connection_cache_bytes=0) as database:
        assert ask(database, TOTALS) == expected
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert store.requests.total() > 2
    for _ in range(2):  # A record that held both index and pages may have been found damaged by the latter.
        store.reset()
        with Database(store, disk=disk) as database:
            assert ask(database, TOTALS) == expected
            assert ask(database, "PRAGMA integrity_check") == [("ok",)]
    assert store.requests == {"list": 2}


def test_a_full_disk_fails_no_read(place: str, disk: DiskOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    room = [200_000]
    write = os.pwrite

    def pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if room[0] <= 0:
            raise OSError(28, "No space left on device")
        part = data[: room[0]]
        room[0] -= len(part)
        return write(descriptor, part, offset)

    with Database.open(place) as database:
        expected = ask(database, TOTALS)
    monkeypatch.setattr(segments.os, "pwrite", pwrite)
    with Database.open(place, disk=disk) as database:
        assert ask(database, TOTALS) == expected
        assert not database.pages.replica.disk.on
        tell(database, "INSERT INTO small VALUES(3)")
    assert files_of(disk) == []


READER = """
import random, sys
from pathlib import Path
from lamdb.storage import Database, open_store
from lamdb.storage.cache.diskcache import DiskOptions
url, folder, budget = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
options = {"cache_bytes": 0, "connection_cache_bytes": 0}
with Database(open_store(url), disk=DiskOptions(folder, budget), **options) as database:
    while True:
        with database.reader() as connection:
            low = random.randrange(12_000)
            rows = "SELECT sum(length(body)) FROM t WHERE id BETWEEN ? AND ?"
            connection.execute(rows, (low, low + random.randrange(4_000))).get
        print("read", flush=True)
"""


def start(place: str, disk: DiskOptions, budget: int) -> subprocess.Popen:
    command = [sys.executable, "-c", READER, place, str(disk.directory), str(budget)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "read\n"
    return process


def test_processes_that_share_a_directory_and_are_killed(place: str, disk: DiskOptions) -> None:
    budget, source = 2_000_000, random.Random(7)
    options = DiskOptions(disk.directory, budget)
    with Database.open(place) as database:
        expected = ask(database, TOTALS)
    for _ in range(4):
        readers = [start(place, options, budget) for _ in range(2)]
        time.sleep(source.uniform(0.05, 0.3))
        for reader in readers:
            reader.kill()
            reader.communicate()
        assert 0 < used(disk) <= 2 * budget
        with Database.open(place, disk=options, cache_bytes=0) as database:
            assert database.pages.replica.disk.size > 0
            assert ask(database, TOTALS) == expected
            assert ask(database, "PRAGMA integrity_check") == [("ok",)]
            assert database.pages.replica.disk.on
    assert len({path.parent for path in files_of(disk)}) == 2


def test_the_settings_lead_to_it(place: str, tmp_path: Path) -> None:
    given = {"LAMDB_STORE": place, "LAMDB_DISK_CACHE_DIR": str(tmp_path / "cache")}
    for more, on, filling in [
        ({}, True, False),
        ({"LAMDB_HYDRATE": "true"}, True, True),
        ({"LAMDB_DISK_CACHE_BYTES": "0"}, False, False),
        ({"LAMDB_DISK_CACHE_DIR": ""}, False, False),
    ]:
        with open_database(Settings.load(given | more)) as database:
            assert database.pages.replica.disk.on == on
            assert (database.pages.hydration is not None) == filling
            assert ask(database, "SELECT count(*) FROM t") == [(ROWS,)]


# Filling it beforehand


class Watched(StoreWrapper):
    """Notes what the filling thread reads, and lets others wait at a gate."""

    def __init__(self, inner: ObjectStore) -> None:
        super().__init__(inner)
        self.gate = threading.Event()
        self.gate.set()
        self.filled: list[tuple[str, int, int]] = []

    def get_range(self, key: str, offset: int, length: int) -> bytes | None:
        if threading.current_thread().name == "lamdb-hydration":
            self.filled.append((key, offset, offset + length))
        else:
            self.gate.wait(20)
        return super().get_range(key, offset, length)


def filled(database: Database) -> Hydration:
    """Waits for the end of it."""
    assert database.pages.hydration is not None
    assert database.pages.hydration.wait(30)
    return database.pages.hydration


def reading(database: Database) -> threading.Thread:
    """A reader that is about to wait for the store."""
    thread = threading.Thread(target=ask, args=(database, ONE, 5_000))
    thread.start()
    while not database.pages.fetcher.busy:
        time.sleep(0.001)
    return thread


def test_filling_reads_each_byte_once(place: str, disk: DiskOptions) -> None:
    store = Watched(open_store(place))
    options = DiskOptions(disk.directory, disk.bytes, hydrate=True)
    with Database(store, disk=options) as database:
        found = filled(database)
        for key in {key for key, _, _ in store.filled}:
            read = sorted((start, end) for filled, start, end in store.filled if filled == key)
            assert all(end <= start for (_, end), (start, _) in itertools.pairwise(read))
        assert sum(end - start for _, start, end in store.filled) == found.bytes_read
        ask(database, TOTALS)
        assert database.pages.fetcher.requests == 0
    again = Watched(open_store(place))
    with Database(again, disk=options) as database:
        filled(database)
    assert again.filled == []


@pytest.mark.parametrize("hydrate", [False, True])
def test_filling_makes_no_more_requests_of_others(place: str, disk: DiskOptions, hydrate: bool) -> None:
    with Database(open_store(place), cache_bytes=1_000_000) as database:
        for id in range(1, ROWS, 500):
            ask(database, ONE, id)
        alone = database.pages.fetcher.requests
    options = DiskOptions(disk.directory, disk.bytes, hydrate=hydrate)
    with Database(open_store(place), disk=options, cache_bytes=1_000_000) as database:
        for id in range(1, ROWS, 500):
            ask(database, ONE, id)
        assert database.pages.fetcher.requests <= alone
        if not hydrate:
            assert database.pages.hydration is None


def test_filling_waits_while_others_fetch(place: str, disk: DiskOptions) -> None:
    store = Watched(open_store(place))
    with Database(store, disk=disk) as database:
        store.gate.clear()
        reader = reading(database)
        database.pages.hydrate()
        time.sleep(0.3)
        assert store.filled == []
        store.gate.set()
        reader.join()
        filled(database)
        assert store.filled != []


def test_filling_keeps_to_the_budget(place: str, disk: DiskOptions) -> None:
    """The snapshot does not fit, what came after it does."""
    store = Watched(open_store(place))
    with Database(store, disk=DiskOptions(disk.directory, 2_000_000, hydrate=True)) as database:
        filled(database)
        assert [key for key, _, _ in store.filled if "/9/" in key] == []
    assert used(disk) <= 2_000_000


def test_filling_ends_with_the_database(place: str, disk: DiskOptions) -> None:
    store = Watched(open_store(place))
    database = Database(store, disk=disk)
    store.gate.clear()
    reader = reading(database)
    database.pages.hydrate()
    found = database.pages.hydration
    store.gate.set()
    reader.join()
    database.close()
    assert found is not None
    assert found.wait(0)


def test_filling_ends_when_the_store_fails(place: str, disk: DiskOptions) -> None:
    store = FaultyStore(open_store(place))
    with Database(store, disk=disk) as database:
        store.fail("get_range", times=1000)
        database.pages.hydrate()
        assert filled(database).bytes_read == 0
        assert store.fired == 1
        with pytest.raises(StoreUnavailable):
            ask(database, TOTALS)
        store.heal()
        assert ask(database, "SELECT count(*) FROM t") == [(ROWS,)]
