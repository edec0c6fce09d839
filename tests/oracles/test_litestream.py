"""Litestream's command line restores what lamDB wrote, at every transaction; lamDB opens what it wrote."""

import os
import random
import signal
import sqlite3
import subprocess
import sysconfig
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest
from tests.support.s3_server import S3, s3, s3_endpoint

from lamdb.storage import Database, ObjectStore, open_store, written
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.maintenance.compaction import Merge, perform

__all__ = ["s3", "s3_endpoint"]

LITESTREAM = Path(sysconfig.get_path("scripts")) / "litestream"

type Dump = dict[str, list[tuple]]


def dump(connection: apsw.Connection) -> Dump:
    schema = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name"
    ).fetchall()
    tables = [name for kind, name, _, sql in schema if kind == "table" and "VIRTUAL" not in sql]
    rows = {name: connection.execute(f'SELECT * FROM "{name}" ORDER BY 1').fetchall() for name in tables}
    return {"schema": schema, **rows}


def litestream(*arguments: object) -> None:
    done = subprocess.run([LITESTREAM, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or done.stdout


def restored(url: str, target: Path, *options: str) -> Dump:
    """The state that the command line restores, which checks its integrity in full."""
    target.unlink(missing_ok=True)
    litestream("restore", "-integrity-check", "full", *options, "-o", target, url)
    connection = apsw.Connection(str(target), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return dump(connection)
    finally:
        connection.close()


@pytest.fixture(params=["directory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store, as lamDB and the command line both understand it."""
    if request.param == "directory":
        return (tmp_path / "store").as_uri()
    bucket: S3 = request.getfixturevalue("s3")
    return bucket.url


def for_litestream(url: str) -> str:
    return f"{url}?endpoint={os.environ['AWS_ENDPOINT_URL_S3']}" if url.startswith("s3:") else url


def history(source: random.Random) -> Iterator[Callable[[apsw.Connection], object]]:
    """Transactions that meet the corners of the format."""
    yield lambda c: c.execute(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, body); CREATE VIRTUAL TABLE notes USING fts5(text)"
    )
    yield lambda c: c.executemany(
        "INSERT INTO t(body) VALUES(?)", [(source.randbytes(700),) for _ in range(500)]
    )
    yield lambda c: c.execute("INSERT INTO notes VALUES('one fox'), ('two foxes')")
    yield lambda c: c.execute("UPDATE t SET body = zeroblob(10) WHERE id % 3 = 0")
    # Pages that are allocated and freed again are never written by SQLite: the file must not have holes.
    yield lambda c: c.execute(
        "CREATE TABLE gone AS SELECT randomblob(900) FROM t; CREATE TABLE stays AS SELECT id FROM t LIMIT 50;"
        "DROP TABLE gone"
    )
    yield lambda c: c.execute("CREATE INDEX i ON t(body)")
    yield lambda c: c.execute("DELETE FROM t WHERE id > 20")
    yield lambda c: c.execute(
        "INSERT INTO t(body) SELECT body FROM t; INSERT INTO notes SELECT 'x' || id FROM t"
    )
    yield lambda c: c.execute("DROP TABLE stays; DROP INDEX i")


def write_history(store: ObjectStore, page_size: int) -> dict[int, Dump]:
    """The state after each transaction."""
    states: dict[int, Dump] = {}
    with Database(store, page_size=page_size) as database:
        for number, change in enumerate(history(random.Random(7))):
            with database.writer() as connection:
                change(connection)
            states[database.txid] = state_of(database)
            if number in (4, 6):
                database.vacuum()
                states[database.txid] = state_of(database)
    assert sorted(states) == list(range(1, 12))
    return states


def state_of(database: Database) -> Dump:
    with database.reader() as connection:
        return dump(connection)


@pytest.mark.parametrize("page_size", [1024, 65536])
def test_every_transaction_can_be_restored(place: str, page_size: int, tmp_path: Path) -> None:
    states = write_history(open_store(place), page_size)
    url, target = for_litestream(place), tmp_path / "restored.db"
    assert restored(url, target) == states[max(states)]
    for txid, state in states.items():
        assert restored(url, target, "-txid", f"{txid:016x}") == state, txid


def test_transactions_from_temporary_files_can_be_restored(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(written, "IN_MEMORY", 8192)
    states = write_history(open_store(place), 4096)
    url, target = for_litestream(place), tmp_path / "restored.db"
    for txid in (2, 6, max(states)):
        assert restored(url, target, "-txid", f"{txid:016x}") == states[txid], txid


def test_every_moment_can_be_restored(place: str, tmp_path: Path) -> None:
    """Stores keep times of whole seconds, by which the command line decides whether there was a database."""
    states: list[tuple[Dump, str]] = []
    with Database.open(place) as database:
        for number in range(3):
            with database.writer() as connection:
                connection.execute(f"CREATE TABLE t{number}(a)")
            time.sleep(0.2)
            moment = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            states.append((state_of(database), moment))
            time.sleep(1.1)
    for state, moment in states[:-1]:
        assert restored(for_litestream(place), tmp_path / "restored.db", "-timestamp", moment) == state


def test_the_command_line_can_verify_each_file(tmp_path: Path) -> None:
    place = (tmp_path / "store").as_uri()
    write_history(open_store(place), page_size=4096)
    litestream("ltx", place)


@pytest.mark.slow
def test_the_page_of_sqlites_lock_byte_is_left_out(tmp_path: Path) -> None:
    """A database beyond 1 GiB: one page there is never written and must not be in the files."""
    place = (tmp_path / "store").as_uri()
    with Database.open(place, page_size=65536) as database:
        with database.writer() as connection:
            connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
        for _ in range(6):
            with database.writer() as connection:
                connection.execute("INSERT INTO t(body) VALUES(zeroblob(190000000))")
        with database.writer() as connection:
            connection.execute("INSERT INTO t(body) VALUES('the end')")
            assert connection.execute("PRAGMA page_count").get > 16385 + 100
    with Database.open(place) as database, database.reader() as connection:
        assert connection.execute("SELECT count(*), sum(length(body)) FROM t").fetchall() == [(7, 1140000007)]
        assert connection.execute("PRAGMA quick_check").get == "ok"
    target = tmp_path / "restored.db"
    for merged in (False, True):
        if merged:
            merge_everything(open_store(place))
            target.unlink()
        litestream("restore", "-o", target, place)
        copy = apsw.Connection(str(target))
        assert copy.execute("SELECT count(*), sum(length(body)) FROM t").fetchall() == [(7, 1140000007)]
        copy.close()
    with Database.open(place) as database, database.reader() as connection:
        assert connection.execute("SELECT count(*), sum(length(body)) FROM t").fetchall() == [(7, 1140000007)]
        assert connection.execute("SELECT body FROM t WHERE id = 7").get == "the end"


def merge_everything(store: ObjectStore) -> None:
    """Leaves one snapshot."""
    replica = Replica(store)
    files = replica.files()
    for _ in perform(replica, Merge(9, tuple(files))):
        pass
    for file in files:
        store.delete(file.key)
    replica.close()


CONFIGURATION = """
levels:
  - interval: 300ms
  - interval: 900ms
snapshot:
  interval: 1500ms
  retention: 24h
dbs:
  - path: {database}
    replica:
      url: {url}
      sync-interval: 50ms
"""


@pytest.fixture
def replicated(tmp_path: Path) -> str:
    """A store that Litestream's daemon wrote from a database in WAL mode: levels 0, 1, 2 and 9."""
    source, place = tmp_path / "source.db", (tmp_path / "store").as_uri()
    configuration = tmp_path / "litestream.yml"
    configuration.write_text(CONFIGURATION.format(database=source, url=place))
    connection = sqlite3.connect(source)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body)")
    connection.commit()
    daemon = subprocess.Popen([LITESTREAM, "replicate", "-config", configuration], stdout=subprocess.DEVNULL)
    try:
        for _ in range(60):
            connection.execute("INSERT INTO t(body) VALUES(randomblob(3000))")
            connection.execute("UPDATE t SET body = randomblob(100) WHERE id % 5 = 0")
            connection.commit()
            time.sleep(0.05)
        time.sleep(0.5)
    finally:
        daemon.send_signal(signal.SIGINT)
        daemon.wait(20)
    connection.close()
    levels = {Path(entry.key).parent.name for entry in open_store(place).list()}
    assert levels >= {"0", "1", "2", "9"}
    return place


def test_lamdb_opens_what_litestream_wrote_and_goes_on(replicated: str, tmp_path: Path) -> None:
    target = tmp_path / "restored.db"
    with Database.open(replicated, create=False) as database:
        with database.reader() as connection:
            assert dump(connection) == restored(replicated, target)
            assert connection.execute("SELECT count(*) FROM t").get == 60
            assert connection.execute("PRAGMA integrity_check").get == "ok"
            assert connection.execute("PRAGMA journal_mode").get == "memory"
        before = database.txid
        states = {}
        for number in range(3):
            with database.writer() as connection:
                connection.execute("DELETE FROM t WHERE id % 7 = ?", (number,))
            states[database.txid] = state_of(database)
        database.vacuum()
        states[database.txid] = state_of(database)
    assert sorted(states) == [before + 1, before + 2, before + 3, before + 4]
    for txid, state in states.items():
        assert restored(replicated, target, "-txid", f"{txid:016x}") == state
    assert restored(replicated, target) == states[before + 4]
    with Database.open(replicated) as database, database.reader() as connection:
        assert dump(connection) == states[before + 4]


def test_lamdb_follows_what_litestream_writes(tmp_path: Path) -> None:
    """In WAL mode SQLite does not move the change counter: readers must see the news all the same."""
    source, place = tmp_path / "source.db", (tmp_path / "store").as_uri()
    connection = sqlite3.connect(source)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE t(a)")
    connection.commit()
    litestream("replicate", "-once", source, place)
    with Database.open(place) as database:
        for number in range(1, 4):
            connection.execute("INSERT INTO t VALUES(?)", (number,))
            connection.commit()
            litestream("replicate", "-once", source, place)
            database.refresh(min_txid=database.txid + 1)
            with database.reader() as reading:
                assert reading.execute("SELECT max(a), count(*) FROM t").fetchall() == [(number, number)]
    connection.close()
