"""Dumps: what they make is imported as the database they came from is."""

import sqlite3
from pathlib import Path

import apsw
import pytest

from lamdb.cli.importing import IntrospectionOptions, import_database, introspect_file
from lamdb.cli.output import CommandOutput
from lamdb.errors import SourceError
from lamdb.prisma.datamodel.naming import Style
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.backup.dumps import database_of

SCHEMA = """
CREATE TABLE author (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE);
CREATE TABLE book (id INTEGER PRIMARY KEY, title TEXT, cover BLOB, author INTEGER REFERENCES author (id));
CREATE INDEX by_title ON book (title);
CREATE TRIGGER shout AFTER INSERT ON author BEGIN
  UPDATE author SET name = upper(name) || ';' WHERE id = new.id;
  SELECT 1;
END;
"""


def database(path: Path) -> Path:
    connection = sqlite3.connect(path)
    connection.executescript(SCHEMA)
    connection.execute("INSERT INTO author (name) VALUES ('ada'), ('it''s; \"-- /* quoted\nEND;')")
    values = ("semicolon;\n;\nCOMMIT;\n", bytes(range(256)), 1)
    connection.execute("INSERT INTO book (title, cover, author) VALUES (?, ?, ?)", values)
    connection.execute("INSERT INTO book (title) VALUES (NULL), (?)", ("Ünï\r\n🦆",))
    connection.commit()
    connection.close()
    return path


def dump(path: Path) -> str:
    connection = sqlite3.connect(path)
    try:
        return "\n".join(connection.iterdump()) + "\n"
    finally:
        connection.close()


def content(path: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        tables = "author", "book", "sqlite_sequence"
        rows = [row for table in tables for row in connection.execute(f"SELECT * FROM {table}")]
        objects = connection.execute(
            "SELECT type, name, tbl_name FROM sqlite_schema ORDER BY name"
        ).fetchall()
        return [*rows, *objects]
    finally:
        connection.close()


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


def test_a_dump_of_sqlites_shell_makes_the_same_database(tmp_path: Path) -> None:
    original = database(tmp_path / "a.db")
    source = write(tmp_path / "a.sql", dump(original))
    with database_of(source, tmp_path) as made:
        assert content(made) == content(original)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.db", "a.sql"]


def as_d1_writes(text: str) -> str:
    """`wrangler d1 export`: no transaction, and one statement in front that means nothing here."""
    lines = text.replace("BEGIN TRANSACTION;\n", "").replace("COMMIT;\n", "", text.endswith("COMMIT;\n"))
    return "PRAGMA defer_foreign_keys=TRUE;\n" + lines


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "PRAGMA foreign_keys=OFF;\n" + text,
        lambda text: "\ufeff-- a comment; with a semicolon\n/* and\n; another */\n" + text,
        lambda text: text.replace(";\n", ";\r\n") if "\r" not in text else text,
        lambda text: text.removesuffix("COMMIT;\n"),
        lambda text: text.removesuffix(";\n"),
    ],
    ids=["pragma", "comments", "crlf", "no commit", "no last semicolon"],
)
def test_other_programs_dumps(tmp_path: Path, change: object) -> None:
    original = database(tmp_path / "a.db")
    source = write(tmp_path / "a.sql", change(dump(original)))  # type: ignore[operator]
    with database_of(source, tmp_path) as made:
        assert content(made) == content(original)


def test_a_dump_of_d1(tmp_path: Path) -> None:
    text = (
        'CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT);\nINSERT INTO "t" ("id","x") VALUES(1,\'a;\nb\');\n'
    )
    with database_of(write(tmp_path / "d1.sql", as_d1_writes(text)), tmp_path) as made:
        assert apsw.Connection(str(made)).execute("SELECT * FROM t").fetchall() == [(1, "a;\nb")]


def test_virtual_tables_come_with_what_they_hold(tmp_path: Path) -> None:
    """SQLite's shell writes their definitions into the schema itself."""
    text = """PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
PRAGMA writable_schema=ON;
INSERT INTO sqlite_schema(type,name,tbl_name,rootpage,sql)
  VALUES('table','notes','notes',0,'CREATE VIRTUAL TABLE notes USING fts5(text)');
"""
    original = apsw.Connection(str(tmp_path / "a.db"))
    original.execute("CREATE VIRTUAL TABLE notes USING fts5(text); INSERT INTO notes VALUES ('hello world')")
    for name, sql in original.execute(
        "SELECT name, sql FROM sqlite_schema WHERE name LIKE 'notes\\_%' ESCAPE '\\'"
    ):
        text += f"{sql.replace('CREATE TABLE', 'CREATE TABLE IF NOT EXISTS')};\n"
        for row in original.execute(f"SELECT * FROM {name}"):
            text += f"INSERT INTO {name} VALUES({','.join(apsw.format_sql_value(value) for value in row)});\n"
    text += "PRAGMA writable_schema=OFF;\nCOMMIT;\n"
    with database_of(write(tmp_path / "a.sql", text), tmp_path) as made:
        found = (
            apsw.Connection(str(made)).execute("SELECT text FROM notes WHERE notes MATCH 'world'").fetchall()
        )
    assert found == [("hello world",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("CREATE TABLE t (a);\nINSERT INTO t VALUES (1;\n", "line 2: .*syntax error"),
        ("CREATE TABLE t (a);\n\nINSERT INTO u\nVALUES (1);\n", "line 3: .*no such table: u"),
        ("CREATE TABLE t (a UNIQUE);\nINSERT INTO t VALUES (1), (1);", "line 2: .*UNIQUE constraint failed"),
        ("CREATE TABLE t (a);\nINSERT INTO t VALUES ('open", "line 2: "),
        ("BEGIN;\nCREATE TABLE t (a);\nROLLBACK; -- due to errors\n", "line 3: .*not complete"),
        ("CREATE TABLE t (a);\nATTACH '{other}' AS x;\n", "line 2: .*beyond the database"),
        ("ATTACH '{other}' AS x;", "line 1: .*beyond the database"),
        ("CREATE TABLE t (a);\nSELECT load_extension('x');", "line 2: "),
        ("PRAGMA temp_store_directory = '/tmp';", "line 1: .*beyond the database"),
        ("CREATE TABLE t (a);\nVACUUM INTO '{other}';", "line 2: "),
        (
            "CREATE TABLE t (e F32_BLOB(3));\nCREATE INDEX i ON t (libsql_vector_idx(e));",
            "line 2: .*libsql_vector_idx",
        ),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    other = tmp_path / "other.db"
    source = write(tmp_path / "x.sql", text.replace("{other}", str(other)))
    with pytest.raises(SourceError, match=f"x.sql, {said}"), database_of(source, tmp_path):
        pass
    assert not other.exists()
    assert [each.name for each in tmp_path.iterdir()] == ["x.sql"]


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    source = tmp_path / "x.sql"
    source.write_bytes(
        b"CREATE TABLE t (a);\n" + b"-- long\n" * 1000 + "INSERT INTO t VALUES ('é');".encode("latin-1")
    )
    with pytest.raises(SourceError, match="not UTF-8"), database_of(source, tmp_path):
        pass


def test_a_file_of_sqlite_is_itself(tmp_path: Path) -> None:
    source = database(tmp_path / "a.db")
    with database_of(source, tmp_path) as made:
        assert made == source
    assert source.exists()


def test_a_dump_becomes_a_database_with_a_schema(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.sql", dump(database(tmp_path / "a.db")))
    settings = Settings(store=(tmp_path / "store").as_uri(), database=str(tmp_path / "project"))
    import_database(
        settings,
        source,
        tmp_path,
        IntrospectionOptions(Style.PRISMA, None),
        overwrite=False,
        output=CommandOutput(is_json=False),
    )
    assert "a.sql" in capsys.readouterr().out
    assert "model Author {" in (tmp_path / "project/schema.prisma").read_text()
    with Database.open(settings.store) as opened, opened.reader() as connection:
        assert connection.execute("SELECT count(*) FROM book").get == 3


def test_the_schema_of_a_dump_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(tmp_path / "a.sql", dump(database(tmp_path / "a.db")))
    introspect_file(
        source,
        IntrospectionOptions(Style.PRISMA, None),
        None,
        overwrite=False,
        output=CommandOutput(is_json=False),
    )
    assert "model Book {" in capsys.readouterr().out


def test_many_lines_with_semicolons_in_one_text(tmp_path: Path) -> None:
    """The work grows with the text, not with its square."""
    lines = "x = 1;\n" * 200_000
    source = write(tmp_path / "x.sql", f"CREATE TABLE t (a);\nINSERT INTO t VALUES ('{lines}');\n")
    with database_of(source, tmp_path) as made:
        assert apsw.Connection(str(made)).execute("SELECT length(a) FROM t").get == len(lines)
