"""SQLite files go in and come out unchanged; what is in the store can be proved to be restorable."""

from pathlib import Path

import apsw
import pytest

from lamdb.errors import NotEmpty, SourceError
from lamdb.storage import Database, ObjectStore
from lamdb.storage.backup import importing as module
from lamdb.storage.backup.importing import import_file
from lamdb.storage.backup.restore import restore_file
from lamdb.storage.backup.verification import verify
from lamdb.storage.stores.obstores import memory_store

from .history import ask, tell
from .states import dump, dump_file, state_of, write


def make_file(path: Path, *, page_size: int = 4096, journal: str = "delete", rows: int = 200) -> Path:
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size = {page_size}; PRAGMA journal_mode = {journal}")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, body); CREATE INDEX i ON t(body)")
    connection.execute("PRAGMA user_version = 77; PRAGMA application_id = 5")
    connection.executemany(
        "INSERT INTO t(body) VALUES(?)", [(f"{number} {'x' * (number % 900)}",) for number in range(rows)]
    )
    connection.close()
    return path


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
def test_what_is_imported_comes_out_again(page_size: int, tmp_path: Path) -> None:
    source = make_file(tmp_path / "source.db", page_size=page_size)
    with Database(memory_store()) as database:
        assert import_file(database, source, tmp_path) == 1
        assert state_of(database) == dump_file(source)
        assert ask(database, "PRAGMA user_version") == [(77,)]
        assert ask(database, "PRAGMA page_size") == [(page_size,)]
        restore_file(database.pages.replica, 1, tmp_path / "export.db")
        tell(database, "INSERT INTO t(body) VALUES('more')")
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
        assert verify(database.pages, tmp_path).ok
    assert dump_file(tmp_path / "export.db") == dump_file(source)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export.db", "source.db"]


def test_into_every_kind_of_store(store: ObjectStore, tmp_path: Path) -> None:
    source = make_file(tmp_path / "source.db")
    with Database(store) as database:
        import_file(database, source, tmp_path)
    with Database(store, create=False) as database:
        assert state_of(database) == dump_file(source)


def test_a_write_ahead_log_is_included(tmp_path: Path) -> None:
    source = make_file(tmp_path / "source.db", journal="wal")
    connection = apsw.Connection(str(source))
    connection.wal_autocheckpoint(0)
    connection.execute("INSERT INTO t VALUES(999, 'only in the log')")
    assert Path(f"{source}-wal").stat().st_size
    with Database(memory_store()) as database:
        import_file(database, source, tmp_path)
        assert ask(database, "SELECT body FROM t WHERE id = 999") == [("only in the log",)]
        assert ask(database, "PRAGMA journal_mode") == [("memory",)]
        restore_file(database.pages.replica, database.txid, tmp_path / "export.db")
        assert state_of(database) == dump(connection)
    connection.close()
    assert dump_file(tmp_path / "export.db")["t"][-1] == (999, "only in the log")


def test_large_files_come_in_slices(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "_SLICE_BYTES", 32 * 1024)
    source = make_file(tmp_path / "source.db", rows=1000)
    seen: list[tuple[int, int]] = []
    with Database(memory_store()) as database:
        txid = import_file(database, source, tmp_path, progress=lambda *step: seen.append(step))
        assert txid == len(seen) > 10
        assert seen[-1] == (source.stat().st_size, source.stat().st_size)
        for earlier in range(1, txid):
            with database.as_of(txid=earlier) as connection:
                assert connection.execute("SELECT count(*) FROM sqlite_schema").get == 0
        assert state_of(database) == dump_file(source)
        assert verify(database.pages, tmp_path).ok


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(b"", "is empty"), (b"not a database" * 100, "not a SQLite database"), (None, "there is no file")],
)
def test_what_is_no_database_is_refused(content: bytes | None, complaint: str, tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    if content is not None:
        source.write_bytes(content)
    with Database(memory_store()) as database:
        with pytest.raises(SourceError, match=complaint):
            import_file(database, source, tmp_path)
        assert database.txid == 0


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    source = make_file(tmp_path / "source.db", rows=2000)
    damaged = bytearray(source.read_bytes())
    damaged[50 * 4096 : 50 * 4096 + 100] = bytes(100)
    source.write_bytes(damaged)
    with Database(memory_store()) as database:
        with pytest.raises(SourceError, match=r"damaged|malformed"):
            import_file(database, source, tmp_path)
        assert database.txid == 0


def test_only_an_empty_database_is_filled(tmp_path: Path) -> None:
    source = make_file(tmp_path / "source.db")
    with Database(memory_store()) as database:
        tell(database, "CREATE TABLE mine(a)")
        with pytest.raises(NotEmpty, match="holds a database with tables"):
            import_file(database, source, tmp_path)
        tell(database, "DROP TABLE mine")
        with pytest.raises(NotEmpty, match="pages of 8192 bytes"):
            import_file(database, source, tmp_path)
        assert ask(database, "SELECT count(*) FROM sqlite_schema") == [(0,)]


def test_an_empty_database_is_imported_as_well(tmp_path: Path) -> None:
    source = tmp_path / "source.db"
    connection = apsw.Connection(str(source))
    connection.execute("PRAGMA page_size = 512; VACUUM; PRAGMA user_version = 3")
    connection.close()
    with Database(memory_store()) as database:
        import_file(database, source, tmp_path)
        assert ask(database, "PRAGMA user_version") == [(3,)]


def test_verification_finds_broken_references_and_what_readers_see_otherwise(tmp_path: Path) -> None:
    with Database(memory_store()) as database:
        write(database, 10)
        assert verify(database.pages, tmp_path) == verify(database.pages, tmp_path, txid=10)
        assert verify(database.pages, tmp_path, txid=4).txid == 4
        with database.writer(foreign_keys=False) as connection:
            connection.execute("CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)")
            connection.execute("INSERT INTO c VALUES(5)")
        found = verify(database.pages, tmp_path)
        assert found.faults == ("row 1 of c refers to a row of p that is not there",)
        place = database.pages.head.locate(3)
        assert place is not None
        key = place.file.max_txid << 32 | 3
        database.pages.fetcher.cache.clear()
        database.pages.fetcher.cache.put(key, bytes(8192))
        found = verify(database.pages, tmp_path)
        assert found.faults[0] == "page 3 is not restored as readers see it"
        assert not found.ok
    assert [*tmp_path.iterdir()] == []
