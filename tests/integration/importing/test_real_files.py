"""The check of `python -m tests.real_files`: it passes a database that is kept, and sees what is lost."""

import sqlite3
from pathlib import Path

from ... import real_files

SCRIPT = """
CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT NOT NULL COLLATE NOCASE, born INT CHECK (born > 0));
CREATE TABLE book (id INTEGER PRIMARY KEY,
  title TEXT NOT NULL DEFAULT 'none', author_id INT REFERENCES author);
CREATE INDEX by_title ON book (title);
CREATE VIEW titles AS SELECT id, title FROM book;
CREATE TRIGGER named AFTER INSERT ON book BEGIN UPDATE author SET born = born WHERE id = new.author_id; END;
INSERT INTO author VALUES (1, 'Ada', 1815);
INSERT INTO book (author_id) VALUES (1), (NULL);
"""


def test_a_database_is_imported_compared_and_migrated(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    connection = sqlite3.connect(files / "library.db")
    connection.executescript(SCRIPT)
    connection.close()
    (files / "notes.txt").write_text("no database")
    [source] = real_files.files_in(files)
    outcome = real_files.check(source, tmp_path)
    assert not outcome.faults
    assert (outcome.tables, outcome.models, outcome.views, outcome.rows) == (2, 2, 1, 3)
    assert (outcome.rebuilt, outcome.indexed) == (2, 2)


def test_what_is_lost_is_seen(tmp_path: Path) -> None:
    for name, script in (
        ("one.db", SCRIPT),
        ("other.db", SCRIPT.replace("'none'", "'x'").replace("by_", "of_")),
    ):
        connection = sqlite3.connect(tmp_path / name)
        connection.executescript(script.replace("CREATE VIEW titles AS", "CREATE VIEW titles /* */ AS"))
        connection.close()
    lost = real_files.definitions(tmp_path / "one.db") - real_files.definitions(tmp_path / "other.db")
    assert lost == {"index by_title on book", "default of book.title: NONE"}
