"""Single bits and bytes of stored objects that change: a read gives the right rows or `CorruptFile`."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lamdb.errors import CorruptFile
from lamdb.storage import Database, ObjectStore
from lamdb.storage.database import DiskOptions
from lamdb.storage.ltx import ltx
from lamdb.storage.ltx.files import KeyLayout
from lamdb.storage.ltx.pageindex import Extent, IndexWriter, append_varint
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.compaction import perform, snapshot_of
from lamdb.storage.stores.obstores import memory_store

from .history import ask, tell

FLIPS = 60
"""For each kind of store and reader: 360 in all."""


def filled(page_size: int) -> ObjectStore:
    """A snapshot of some 130 KB, whose pages are read by range, and two small transactions above it."""
    store, source = memory_store(), random.Random(page_size)
    with Database(store, page_size=page_size) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body BLOB)")
            rows = [(source.randbytes(100) + bytes(150),) for _ in range(1000)]
            connection.executemany("INSERT INTO t(body) VALUES(?)", rows)
        replica = Replica(store)
        merge = snapshot_of(replica.files())
        assert merge is not None
        assert sum(1 for _ in perform(replica, merge))
        replica.close()
        tell(database, "UPDATE t SET body = x'01' WHERE id % 400 = 1")
        tell(database, "INSERT INTO t(body) VALUES(randomblob(3000))")
    store.delete(KeyLayout(store.level_folder).key(0, 1, 1))
    return store


def rows(database: Database) -> list[tuple]:
    return ask(database, "SELECT id, body FROM t") + ask(database, "SELECT count(*) FROM sqlite_schema")


def rows_or_object(database: Database) -> list[tuple] | str:
    """The rows, or the key of the object that is damaged."""
    try:
        return rows(database)
    except CorruptFile as error:
        return error.meta["object"]


def outcome(store: ObjectStore, options: DiskOptions | None) -> list[tuple] | str:
    """The same, by a database that is opened for it."""
    try:
        database = Database(store, create=False, cache_bytes=0, disk=options)
    except CorruptFile as error:
        return error.meta["object"]
    with database:
        if database.pages.hydration is not None:
            database.pages.hydration.wait(5)
        return rows_or_object(database)


def put(store: ObjectStore, key: str, body: bytes) -> None:
    store.delete(key)
    store.put_new(key, body, timestamp_ms=0)


@contextmanager
def damaged(store: ObjectStore, key: str, position: int, mask: int) -> Iterator[None]:
    """One byte of an object is another for as long as the block lasts."""
    whole = store.get(key) or b""
    body = bytearray(whole)
    body[position] ^= mask
    put(store, key, bytes(body))
    try:
        yield
    finally:
        put(store, key, whole)


def places(store: ObjectStore, count: int, seed: int) -> Iterator[tuple[str, int, int]]:
    """Objects and positions, a third of them in the last part of the object and in its first bytes."""
    source = random.Random(seed)
    entries = [*store.list()]
    for number in range(count):
        entry = max(entries, key=lambda entry: entry.size) if number % 4 else source.choice(entries)
        low, high = [(0, entry.size), (0, 200), (entry.size - 3000, entry.size)][number % 3]
        bit = 1 << source.randrange(8)
        yield entry.key, source.randrange(max(0, low), high), bit if number % 2 else source.randrange(1, 256)


@pytest.mark.parametrize("page_size", [512, 8192, 65536])
@pytest.mark.parametrize("disk", [False, True], ids=["memory", "disk"])
def test_no_change_of_a_byte_is_served(page_size: int, disk: bool, tmp_path: Path) -> None:
    store = filled(page_size)
    with Database(store) as database:
        expected = rows(database)
    refused = 0
    for number, (key, position, mask) in enumerate(places(store, FLIPS, page_size)):
        options = DiskOptions(tmp_path / str(number), 1 << 24, hydrate=number % 2 == 0) if disk else None
        with damaged(store, key, position, mask):
            found = outcome(store, options)
        assert found in (expected, key), (key, position, mask)
        refused += found == key
        if options is not None:  # What the disk kept of the damaged object does not outlive its repair.
            with Database(store, create=False, cache_bytes=0, disk=options) as database:
                assert rows(database) == expected, (key, position, mask)
    assert refused > FLIPS // 2


@pytest.mark.parametrize("page_size", [512, 8192])
def test_a_running_reader_is_not_served_changed_pages_either(page_size: int) -> None:
    """Small files have been read whole at the opening; their pages come by range once memory dropped them."""
    store = filled(page_size)
    refused = 0
    with Database(store, cache_bytes=0, connection_cache_bytes=0, idle_readers=0) as database:
        expected = rows(database)
        for key, position, mask in places(store, FLIPS, page_size + 1):
            with damaged(store, key, position, mask):
                found = rows_or_object(database)
                assert found in (expected, key), (key, position, mask)
                refused += found == key
        assert rows(database) == expected
    assert refused > FLIPS // 6


def legacy(body: bytes) -> bytes:
    """The same file with the index that Litestream writes."""
    file = ltx.decode(body)
    raw = bytearray()
    for number, place in file.index.items():
        for value in (number, place.offset, place.size):
            append_varint(raw, value)
    raw.append(0)
    checksum = ltx.Checksum()
    checksum.add(body[: ltx.HEADER_SIZE])
    for number, place in file.index.items():
        checksum.add(body[place.offset : place.offset + ltx.FRAME_HEADER_SIZE])
        checksum.add(file.pages[number])
    tail = ltx.END_OF_PAGES + raw + len(raw).to_bytes(8, "big") + bytes(8)
    checksum.add(tail)
    return body[: file.index.start - 6] + tail + checksum.value().to_bytes(8, "big")


@pytest.mark.parametrize("page_size", [512, 8192])
def test_a_file_without_checksums_of_pages_is_read_as_before(page_size: int) -> None:
    store = filled(page_size)
    with Database(store) as database:
        expected = rows(database)
    for entry in [*store.list()]:
        put(store, entry.key, legacy(store.get(entry.key) or b""))
    with Database(store, create=False, cache_bytes=0) as database:
        replica = database.pages.replica
        assert not any(file.index.checked for file in replica.open_all(replica.files()))
        assert rows(database) == expected
        tell(database, "DELETE FROM t WHERE id = 5")
        assert len(rows(database)) == len(expected) - 1


def test_the_index_of_a_file_without_checksums_must_end_where_its_pages_do() -> None:
    """A wrong size of the index would leave out pages, and older versions of them would be served."""
    store = filled(512)
    key = max(store.list(), key=lambda entry: entry.size).key
    body = bytearray(legacy(store.get(key) or b""))
    size = int.from_bytes(body[-24:-16], "big")
    for cut in range(1, 40):
        shorter = bytes(body[:-24]) + (size - cut).to_bytes(8, "big") + bytes(body[-16:])
        put(store, key, shorter)
        with pytest.raises(CorruptFile, match=key):
            rows(Database(store, create=False))


def test_what_a_checksum_costs() -> None:
    """Less than 9 bytes per page, which is less than 1 % of pages that do not compress to next to nothing."""
    writer = IndexWriter(bytes(100))
    for number in range(1, 1001):
        writer.add(number, Extent(100 + 3000 * number, 3000, 0xFFFF_FFFF))
    plain = bytearray()
    for number in range(1, 1001):
        for value in (number, 100 + 3000 * number, 3000):
            append_varint(plain, value)
    assert len(writer.finish()) - len(plain) < 9 * 1000 + 20
