"""Transactions that are kept in temporary files: the same commits, in bounded memory."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from lamdb.errors import Fenced, TransactionTooLarge
from lamdb.storage import Database, ObjectStore, open_store
from lamdb.storage.backup.restore import restore_file
from lamdb.storage.backup.verification import verify
from lamdb.storage.ltx import replica
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.compaction import Compactor
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.obstores import memory_store
from lamdb.storage.stores.wrappers import CountingStore

from .every_call import FAULTS, Run, contents, every_call, every_chunk
from .history import ask, tell
from .states import Dump, dump, dump_file, state_of

pytestmark = pytest.mark.usefixtures("on_disk")

FILL = (
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    "INSERT INTO t(body) SELECT randomblob({size}) FROM n"
)


def fill(count: int, size: int = 400) -> str:
    return FILL.format(count=count, size=size)


def large_history(database: Database) -> dict[int, Dump]:
    """Transactions that grow, overwrite, shrink and rebuild; the state after each."""
    states: dict[int, Dump] = {}
    for statements in (
        ("CREATE TABLE t(id INTEGER PRIMARY KEY, body)", fill(300)),
        ("UPDATE t SET body = randomblob(500)", "CREATE INDEX i ON t(body)"),
        (fill(200, 3000), "DELETE FROM t WHERE id % 3 = 0"),
        ("DROP INDEX i", "DELETE FROM t WHERE id > 50"),
    ):
        tell(database, *statements)
        states[database.txid] = state_of(database)
    database.vacuum()
    states[database.txid] = state_of(database)
    return states


def test_all_that_reads_a_store_reads_them(store: ObjectStore, tmp_path: Path) -> None:
    with Database(store, page_size=1024) as database, Database(store) as other:
        states = large_history(database)
        head = database.txid
        assert other.refresh() == head
        assert state_of(other) == states[head]
        for txid, state in states.items():
            with database.as_of(txid=txid) as past:
                assert dump(past) == state
            restore_file(database.pages.replica, txid, tmp_path / f"{txid}.db")
            assert dump_file(tmp_path / f"{txid}.db") == state
        assert database.restore(txid=2) == head + 1
        assert state_of(database) == states[2]
    files = Replica(store)
    try:
        assert Compactor(files).run().finished
    finally:
        files.close()
    with Database(store) as database:
        assert verify(database.pages, scratch=tmp_path).ok
        assert state_of(database) == states[2]


def test_one_put_that_is_create_only(tmp_path: Path) -> None:
    counting = CountingStore(LocalStore(tmp_path / "store"))
    with Database(counting) as database, Database(LocalStore(tmp_path / "store")) as other:
        tell(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
        other.refresh()
        assert ask(database, "SELECT count(*) FROM t") == [(0,)]
        counting.reset()
        tell(database, fill(2000))
        assert counting.requests == {"put_new": 1}
        with pytest.raises(Fenced):
            tell(other, fill(1000))
        assert other.refresh() == 2
        tell(other, fill(1000))
        assert ask(other, "SELECT count(*) FROM t") == [(3000,)]


def test_a_rollback_leaves_the_former_state() -> None:
    with Database(memory_store(), connection_cache_bytes=0) as database:
        tell(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body UNIQUE)", fill(500))
        before = state_of(database)
        with suppress(ZeroDivisionError), database.writer() as connection:
            connection.execute("UPDATE t SET body = randomblob(300)")
            connection.execute("DELETE FROM t WHERE id > 100")
            raise ZeroDivisionError
        with database.writer() as connection:
            connection.execute("SAVEPOINT s")
            connection.execute("UPDATE t SET body = randomblob(300)")
            with pytest.raises(apsw.ConstraintError):
                connection.execute("UPDATE t SET body = CASE WHEN id < 400 THEN id ELSE 1 END")
            connection.execute("ROLLBACK TO s")
        assert state_of(database) == before
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_call_that_is_too_large_fails_alone() -> None:
    with Database(memory_store(), max_transaction_bytes=400_000, connection_cache_bytes=0) as database:
        tell(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
        with pytest.raises(TransactionTooLarge, match="400000 bytes"):
            database.write(lambda connection: connection.execute(fill(2000)).get)
        database.write(lambda connection: connection.execute(fill(500)).get)
        assert ask(database, "SELECT count(*) FROM t") == [(500,)]


def test_others_read_a_large_transaction_page_by_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "_CHUNK", 4096)
    monkeypatch.setattr(replica, "_LARGE_TRANSACTION", 50_000)
    store = memory_store()
    with Database(store) as database:
        counting = CountingStore(store)
        with Database(counting) as other:
            tell(database, "CREATE TABLE t(id INTEGER PRIMARY KEY, body)", fill(5000))
            size = len(store.get("0000/0000000000000001-0000000000000001.ltx") or b"")
            assert size > 10 * 50_000
            counting.reset()
            assert other.refresh() == 1
            assert counting.requests == {"get_range": 3, "head": 1, "get_suffix": 1}
            assert counting.bytes_read < 3 * 50_000
            assert state_of(other) == state_of(database)


# Faults


def commit(run: Run) -> None:
    with run.opened(stale_after=1000.0, connection_cache_bytes=0) as database:
        run.do("grow", lambda: tell(database, fill(80, 900), "INSERT INTO n VALUES('grow')"))
        run.do(
            "group",
            lambda: database.write(
                lambda c: c.execute("UPDATE t SET body = randomblob(700); INSERT INTO n VALUES('group')").get
            ),
        )
        run.do("shrink", lambda: tell(database, "DELETE FROM t", "INSERT INTO n VALUES('shrink')"))
        database.vacuum()
        run.do("last", lambda: tell(database, fill(50, 900), "INSERT INTO n VALUES('last')"))


@every_chunk
@pytest.mark.parametrize("fault", FAULTS)
def test_whichever_call_fails(fault: str, chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "_COMMIT_DEADLINE", 0.01)
    monkeypatch.setattr(replica, "_FIRST_PAUSE", 0.001)
    prepared = memory_store()
    with Database(prepared, page_size=512) as database:
        tell(database, "CREATE TABLE n(name)", "CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
    for run in every_call(contents(prepared), fault, commit, chunk=chunk):
        with Database(run.inner, create=False) as database:
            found = [name for (name,) in ask(database, "SELECT name FROM n ORDER BY rowid")]
            assert found in (run.acknowledged, run.attempted)
            assert ask(database, "PRAGMA integrity_check") == [("ok",)]
            tell(database, "INSERT INTO n VALUES('afterwards')")


# Memory

_MEASURE = """
import sys, threading
from lamdb.storage import Database, connections, open_store, written

MIB = 1024 * 1024
written.IN_MEMORY = 2 * MIB
connections._JOURNAL_IN_MEMORY = 0

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

peak, over = 0, threading.Event()

def watch():
    global peak
    while not over.wait(0.005):
        peak = max(peak, anonymous())

with Database(open_store(sys.argv[1]), cache_bytes=MIB, connection_cache_bytes=MIB) as database:
    with database.writer() as connection:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
    before = anonymous()
    thread = threading.Thread(target=watch)
    thread.start()
    for statement in sys.argv[2:]:
        with database.writer() as connection:
            connection.execute(statement)
    over.set()
    thread.join()
    print((max(peak, anonymous()) - before) // MIB)
"""


@pytest.fixture
def growth(tmp_path: Path) -> Callable[..., int]:
    """The growth of a process that executes statements, each in a transaction, in MiB of its own memory."""

    def measure(*statements: str) -> int:
        command = [sys.executable, "-c", _MEASURE, (tmp_path / "store").as_uri(), *statements]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(done.stdout)

    return measure


def test_memory_does_not_grow_with_the_transaction(growth: Callable[..., int], tmp_path: Path) -> None:
    assert growth(fill(1500, 60_000), "UPDATE t SET body = randomblob(60000)") < 40
    sizes = [file.stat().st_size for file in (tmp_path / "store").rglob("*.ltx")]
    assert sorted(sizes)[-2] > 85 * 1024 * 1024
    with Database(open_store((tmp_path / "store").as_uri())) as database:
        assert ask(database, "SELECT count(*), sum(length(body)) FROM t") == [(1500, 1500 * 60_000)]
