"""`lamdb import` from beginning to end: what it refuses, what a failure leaves, what it replaces."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import apsw
import pytest
from tests.support.imported_databases import differences, imported, in_sync

from lamdb.cli.importing import IntrospectionOptions, import_database, import_pages
from lamdb.cli.output import CommandOutput
from lamdb.deployment import adopt
from lamdb.errors import LamdbError, NotEmpty, SchemaError, SourceError
from lamdb.prisma.datamodel.naming import Style
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.backup.restore import restore_file
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.stores.url import open_store

READING = IntrospectionOptions(Style.PRISMA, None)


def made(path: Path, script: str) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


def settings_in(place: Path) -> Settings:
    return Settings(store=(place / "store").as_uri(), database=str(place / "project"))


def run(source: Path, place: Path) -> None:
    import_database(
        settings_in(place), source, place, READING, overwrite=False, output=CommandOutput(is_json=True)
    )


def nothing_is_left(place: Path, *kept: str) -> bool:
    """True if neither a store's file nor a project's is there."""
    return {each.relative_to(place).as_posix() for each in place.rglob("*") if each.is_file()} == set(kept)


# Failures.


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"CREATE TABLE t (a;\n", "x.db, line 1: .*syntax error"),
        (b"-- MySQL dump\nCREATE TABLE t (a);", "a dump of MySQL"),
        (b"a,b\n1,2\n", "a CSV text"),
        (b"\x1f\x8b\x08\0", "compressed with gzip"),
        (b"SQLite format 3\0" + b"\x10\0\x01\x01\0\x40\x20\x20" + bytes(4072), ""),
    ],
)
def test_a_file_that_is_no_database_leaves_nothing(tmp_path: Path, content: bytes, said: str) -> None:
    source = tmp_path / "x.db"
    source.write_bytes(content)
    for work in (
        run,
        lambda source, place: import_pages(
            settings_in(place), source, place, output=CommandOutput(is_json=True)
        ),
    ):
        with pytest.raises(LamdbError, match=said or ".") as caught:
            work(source, tmp_path)
        assert caught.value.status == 400
        assert nothing_is_left(tmp_path, "x.db")


def test_a_directory_and_a_file_that_is_not_there_are_named(tmp_path: Path) -> None:
    made(tmp_path / "places.sqlite", "CREATE TABLE t (a)")
    with pytest.raises(SourceError, match="is a directory") as caught:
        run(tmp_path, tmp_path)
    assert caught.value.hint == "Name one of the databases in it: places.sqlite"
    with pytest.raises(SourceError, match="there is no file"):
        run(tmp_path / "nope.db", tmp_path)


def test_a_name_that_cannot_be_used_leaves_nothing_and_the_next_run_works(tmp_path: Path) -> None:
    source = made(
        tmp_path / "x.db", 'CREATE TABLE t (id INTEGER PRIMARY KEY, "a`b" TEXT); INSERT INTO t VALUES (1, 2)'
    )
    with pytest.raises(SourceError, match="contains a backtick"):
        run(source, tmp_path)
    assert nothing_is_left(tmp_path, "x.db")
    made(source, 'ALTER TABLE t RENAME COLUMN "a`b" TO b')
    with imported(source, tmp_path) as found:
        assert found.ask("{ findManyT { b } }") == {"findManyT": [{"b": "2"}]}


@pytest.mark.parametrize("step", ["stored_schema.store", "SchemaEngine.mark_applied", "write_migration"])
def test_a_failure_at_any_step_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    source = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")

    def fail(*_: object) -> None:
        raise SchemaError("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(f"{adopt.__name__}.{step}", fail)
        with pytest.raises(SchemaError, match="made to fail"):
            run(source, tmp_path)
    assert nothing_is_left(tmp_path, "x.db")
    with imported(source, tmp_path) as found:
        assert in_sync(found)


def test_a_failure_of_the_store_leaves_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "notes.md").write_text("mine")

    def fail(*_: object) -> None:
        raise NotEmpty("made to fail")

    with monkeypatch.context() as patch:
        patch.setattr(Database, "change_pages", fail)
        with pytest.raises(NotEmpty, match="made to fail"):
            run(source, tmp_path)
    assert nothing_is_left(tmp_path, "x.db", "project/notes.md")
    run(source, tmp_path)
    assert (tmp_path / "project" / "migrations" / "0_init" / "migration.sql").is_file()


def test_what_is_in_the_wal_is_imported(tmp_path: Path) -> None:
    writing = sqlite3.connect(tmp_path / "x.db")
    writing.executescript(
        "PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 0; CREATE TABLE t (id INTEGER PRIMARY KEY)"
    )
    writing.execute("INSERT INTO t VALUES (7)")
    writing.commit()
    assert (tmp_path / "x.db-wal").stat().st_size
    with imported(tmp_path / "x.db", tmp_path) as found:
        assert found.ask("{ findManyT { id } }") == {"findManyT": [{"id": 7}]}
    writing.close()


def test_a_database_that_another_program_keeps_locked_is_named(tmp_path: Path) -> None:
    made(tmp_path / "x.db", "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    lock = (
        "import sqlite3, sys; connection = sqlite3.connect(sys.argv[1], isolation_level=None);"
        "connection.execute('BEGIN EXCLUSIVE'); print('locked', flush=True); input()"
    )
    command = [sys.executable, "-c", lock, str(tmp_path / "x.db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        with pytest.raises(SourceError, match="locked") as caught:
            run(tmp_path / "x.db", tmp_path)
        holder.communicate("\n")
    assert caught.value.hint == "Close the program that has it open."


@pytest.mark.parametrize(
    "definition",
    [
        "CREATE INDEX i ON t (own(a))",
        "ALTER TABLE t ADD COLUMN g AS (own(a)) NOT NULL",
        "CREATE UNIQUE INDEX u ON t (a, OWN(a))",
    ],
)
def test_a_function_that_sqlite_does_not_have_is_named(tmp_path: Path, definition: str) -> None:
    connection = sqlite3.connect(tmp_path / "x.db")
    connection.create_function("own", 1, lambda value: value, deterministic=True)
    connection.executescript(
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a); INSERT INTO t (a) VALUES (1); {definition}"
    )
    connection.close()
    with pytest.raises(SourceError, match=r"(?i)calls own\(\)"):
        run(tmp_path / "x.db", tmp_path)
    assert nothing_is_left(tmp_path, "x.db")


# Collations.


NOTES = """
CREATE TABLE notetypes (id INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL COLLATE unicase);
CREATE UNIQUE INDEX idx_nt ON notetypes (name);
CREATE TABLE contacts (name TEXT COLLATE LOCALIZED PRIMARY KEY, city TEXT COLLATE icu_root) WITHOUT ROWID;
CREATE INDEX by_city ON contacts (city, name);
CREATE VIEW cities AS SELECT DISTINCT city FROM contacts ORDER BY city COLLATE icu_root;
INSERT INTO notetypes (name) VALUES ('Basic'), ('Cloze'), ('äther'), ('Zebra');
INSERT INTO contacts VALUES ('Zoë', 'Ulm'), ('ada', 'Bonn'), ('Bob', 'ulm');
"""


def test_collations_that_sqlite_does_not_have(tmp_path: Path) -> None:
    source = tmp_path / "anki.db"
    writing = apsw.Connection(str(source))
    for name in ("unicase", "LOCALIZED", "icu_root"):
        writing.create_collation(
            name, lambda one, other: (one.casefold() > other.casefold()) - (one.casefold() < other.casefold())
        )
    writing.execute(NOTES)
    writing.close()
    before = source.read_bytes()
    with imported(source, tmp_path) as found:
        assert source.read_bytes() == before
        messages = [each["message"] for each in found.report["findings"] if each["kind"] == "collation"]
        assert messages == [
            "SQLite has no collation unicase: NOCASE takes its place for name",
            "SQLite has no collation LOCALIZED: NOCASE takes its place for name",
            "SQLite has no collation icu_root: BINARY takes its place for city",
            "SQLite has no collation icu_root: BINARY takes its place in an index, a view or a trigger",
        ]
        assert in_sync(found)
        names = [
            row["name"]
            for row in found.ask("{ rows: findManyNotetype(orderBy: {name: asc}) { name } }")["rows"]
        ]
        assert names == ["Basic", "Cloze", "Zebra", "äther"]
        assert found.ask('{ a: findUniqueContact(where: {name: "ZOë"}) { city } }') == {"a": {"city": "Ulm"}}
        assert len(found.ask("{ rows: findManyCity { city } }")["rows"]) == 3
        with pytest.raises(AssertionError, match="P2002"):
            found.ask('mutation { createOneNotetype(data: {name: "BASIC"}) { id } }')
        found.ask('mutation { createOneContact(data: {name: "new", city: "Rom"}) { name } }')
    restored = tmp_path / "restored.db"
    restore_file(Replica(open_store((tmp_path / "store").as_uri())), 2, restored)
    connection = sqlite3.connect(restored)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def test_a_file_of_infinite_numbers_says_so(tmp_path: Path) -> None:
    source = made(
        tmp_path / "x.db",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, f REAL, g REAL, h DOUBLE);"
        "INSERT INTO t VALUES (1, 1.5, -9e999, 9e999), (2, 9e999, 2.5, 1), (3, 0.1, 0, 9e999)",
    )
    with imported(source, tmp_path) as found:
        assert found.findings("type") == {
            "t.f": "declared as REAL, read as String: 3 reals, 1 of them infinite",
            "t.g": "declared as REAL, read as String: 3 reals, 1 of them infinite",
            "t.h": "declared as DOUBLE, read as String: 3 reals, 2 of them infinite",
        }
        assert not list(differences(found))


# Partial indexes.


@pytest.mark.parametrize(
    "condition",
    [
        "a != 0",
        "\n  a\n  != 0",
        "(a > 1)",
        "a = 'x  \ny' /* no */ AND -- no\n a > 'b'",
        "a IS NOT NULL",
        "id > 5 AND a IN (1, 2)",
    ],
)
def test_partial_indexes_are_what_the_schema_says(tmp_path: Path, condition: str) -> None:
    source = made(
        tmp_path / "x.db",
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT); CREATE INDEX i ON t (a)\nWHERE {condition}",
    )
    with imported(source, tmp_path) as found:
        assert not found.findings("difference")
        assert not list(differences(found))
        assert in_sync(found)
