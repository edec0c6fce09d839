"""Places that are no stores, and files that are damaged: clear errors, and the process goes on."""

import errno
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.faulty_store import FaultyStore

from lamdb.errors import CommitUnknown, CorruptFile, NotAStore, StorageError, StoreUnavailable
from lamdb.storage import Database, ObjectStore
from lamdb.storage.ltx import replica
from lamdb.storage.ltx.files import KeyLayout
from lamdb.storage.stores import localstore
from lamdb.storage.stores.localstore import LocalStore
from lamdb.storage.stores.obstores import memory_store

from .history import ask, compact, tell

type Maker = Callable[[], ObjectStore]


def replace(store: ObjectStore, key: str, change: Callable[[bytearray], bytes | bytearray | None]) -> None:
    body = bytearray(store.get(key) or b"")
    changed = change(body) or body
    store.delete(key)
    store.put_new(key, bytes(changed), timestamp_ms=0)


def small(make_store: Maker) -> str:
    """Three transactions; the key of the second."""
    with Database(make_store()) as database:
        tell(database, "CREATE TABLE t(a)")
        tell(database, "INSERT INTO t VALUES(1)")
        tell(database, "INSERT INTO t VALUES(2)")
    return KeyLayout(make_store().level_folder).key(0, 2, 2)


def large(store: ObjectStore, rows: int = 20_000) -> str:
    """A table of several megabytes in a snapshot; the snapshot's key."""
    with Database(store) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
            connection.executemany("INSERT INTO t(body) VALUES(randomblob(?))", [(400,)] * rows)
        compact(store, 9, [1])
    return KeyLayout(store.level_folder).key(9, 1, 1)


@pytest.mark.parametrize(
    "names", [["notes.txt"], ["generations/abcd/snapshots/00.snapshot.lz4"], ["0000/readme"]]
)
def test_a_place_that_holds_something_else(make_store: Maker, names: list[str]) -> None:
    for name in names:
        make_store().put_new(name, b"hello", timestamp_ms=0)
    with pytest.raises(NotAStore, match=names[0]):
        Database(make_store())
    assert [entry.key for entry in make_store().list()] == names


def test_a_file_in_place_of_a_directory(tmp_path: Path) -> None:
    (tmp_path / "db.sqlite").write_bytes(b"SQLite format 3\0")
    with pytest.raises(NotAStore):
        Database.open((tmp_path / "db.sqlite").as_uri())


def test_other_objects_beside_a_store_do_no_harm(make_store: Maker) -> None:
    small(make_store)
    make_store().put_new("readme.txt", b"hello", timestamp_ms=0)
    assert ask(Database(make_store()), "SELECT a FROM t") == [(1,), (2,)]


def test_a_store_that_does_not_answer() -> None:
    store = FaultyStore(memory_store())
    store.fail("*", times=1000)
    with pytest.raises(StoreUnavailable):
        Database(store)
    store.heal()
    tell(Database(store), "CREATE TABLE t(a)")


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.__setitem__(150, body[150] ^ 1),
        lambda body: body.__setitem__(-1, body[-1] ^ 1),
        lambda body: body[:-10],
        lambda body: body[:50],
        lambda body: b"\0" * len(body),
        lambda body: b"hello",
        lambda body: body.__setitem__(slice(16, 24), bytes(7) + b"\1"),
    ],
    ids=["page", "checksum", "cut off", "cut short", "zeros", "text", "range"],
)
def test_a_damaged_transaction_is_named(
    make_store: Maker, change: Callable[[bytearray], bytes | None]
) -> None:
    key = small(make_store)
    running = Database(make_store())
    replace(make_store(), key, change)
    with pytest.raises(CorruptFile, match=key) as caught:
        Database(make_store())
    assert caught.value.meta == {"object": key}
    assert ask(running, "SELECT a FROM t") == [(1,), (2,)]


def test_damage_that_arrives_by_refresh(make_store: Maker) -> None:
    small(make_store)
    reader, writer = Database(make_store()), Database(make_store())
    tell(writer, "INSERT INTO t VALUES(3)")
    key = KeyLayout(make_store().level_folder).key(0, 4, 4)
    replace(make_store(), key, lambda body: body[:-1])
    for _ in range(2):
        with pytest.raises(CorruptFile, match=key):
            reader.refresh()
        assert ask(reader, "SELECT a FROM t") == [(1,), (2,)]
    with pytest.raises(StorageError):  # It cannot see what it would build on.
        tell(reader, "INSERT INTO t VALUES(4)")


def test_a_missing_transaction_is_named(make_store: Maker) -> None:
    make_store().delete(small(make_store))
    with pytest.raises(CorruptFile, match="transaction 2 is missing, though there is 3"):
        Database(make_store())


@pytest.mark.parametrize("where", [0.3, 0.6])
def test_a_damaged_page_of_a_large_file(where: float) -> None:
    """Found when the page is read: the statement fails, others and the process go on."""
    store = memory_store()
    key = large(store)
    database = Database(store, connection_cache_bytes=0)
    tell(database, "CREATE TABLE other(a)")
    size = store.head(key).size  # type: ignore[union-attr]

    def zero(body: bytearray) -> None:
        start = int(where * size)
        body[start : start + 5000] = bytes(5000)

    replace(store, key, zero)
    for _ in range(2):
        with pytest.raises(CorruptFile, match=key), database.reader() as connection:
            connection.execute("SELECT sum(length(body)) FROM t").fetchall()
    with pytest.raises(CorruptFile, match=key), database.writer() as connection:
        connection.execute("UPDATE t SET body = zeroblob(10)")
    tell(database, "INSERT INTO other VALUES(1)")
    assert ask(database, "SELECT a FROM other") == [(1,)]
    assert ask(database, "SELECT length(body) FROM t WHERE id = 1") == [(400,)]


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body[:-10],
        lambda body: body[: len(body) // 2],
        lambda body: body.__setitem__(slice(-24, -16), b"\xff" * 8),
        lambda body: body.__setitem__(slice(0, 4), b"JUNK"),
        lambda body: body.__setitem__(110, body[110] ^ 0xFF),
    ],
    ids=["cut off", "cut in half", "index size", "magic", "first page"],
)
def test_a_large_file_damaged_at_its_ends(change: Callable[[bytearray], bytes | None]) -> None:
    store = memory_store()
    key = large(store, rows=2_000)
    replace(store, key, change)
    with pytest.raises(CorruptFile, match=key):
        ask(Database(store), "SELECT count(*) FROM t")


def test_a_damaged_index_of_a_large_file() -> None:
    store = memory_store()
    key = large(store)

    def damage(body: bytearray) -> None:
        index = int.from_bytes(body[-24:-16], "big")
        middle = len(body) - 24 - index // 2
        body[middle : middle + 30] = b"\1" * 30

    replace(store, key, damage)
    with pytest.raises(CorruptFile, match=key):
        ask(Database(store), "SELECT sum(length(body)) FROM t")


def test_a_store_that_fails_while_pages_are_read() -> None:
    store = FaultyStore(memory_store())
    large(store)
    database = Database(store, cache_bytes=0, connection_cache_bytes=0)
    with database.reader() as connection:
        assert connection.execute("SELECT count(*) FROM sqlite_schema").get == 1
        store.fail("get_range", times=1000)
        with pytest.raises(StoreUnavailable, match="injected"):
            connection.execute("SELECT sum(length(body)) FROM t").fetchall()
        store.heal()
        assert connection.execute("SELECT sum(length(body)) FROM t").get == 8_000_000


def test_a_store_that_fails_while_a_writer_reads() -> None:
    store = FaultyStore(memory_store())
    large(store)
    database = Database(store, cache_bytes=0, connection_cache_bytes=0)
    store.fail("get_range", times=1000)
    with pytest.raises(StoreUnavailable), database.writer() as connection:
        connection.execute("UPDATE t SET body = zeroblob(10)")
    store.heal()
    assert database.txid == 1
    tell(database, "DELETE FROM t WHERE id > 10")
    assert ask(database, "SELECT count(*), sum(length(body)) FROM t") == [(10, 4000)]
    assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_disk_that_cannot_sync(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file is there to be read, but perhaps not after a power cut: that is no success."""
    monkeypatch.setattr(replica, "_COMMIT_DEADLINE", 0.05)
    works = localstore._sync_folder

    def fails(folder: Path) -> None:
        monkeypatch.setattr(localstore, "_sync_folder", works)
        raise OSError(errno.EIO, "Input/output error")

    with Database(LocalStore(tmp_path)) as database:
        tell(database, "CREATE TABLE t(a)")
        monkeypatch.setattr(localstore, "_sync_folder", fails)
        with pytest.raises(CommitUnknown):
            tell(database, "INSERT INTO t VALUES(1)")
        with pytest.raises(StoreUnavailable, match="an earlier sync failed"):
            tell(database, "INSERT INTO t VALUES(2)")
    with Database(LocalStore(tmp_path)) as database:
        assert ask(database, "SELECT a FROM t") == [(1,)]
        tell(database, "INSERT INTO t VALUES(3)")
