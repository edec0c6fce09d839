"""Reads that are remembered: none counts as unchanged whose result is another, and most others do."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from lamdb.storage import Database, NoWaiting, WouldWait
from lamdb.storage import changed_pages as pages_module
from lamdb.storage import watched_reads as reads_module
from lamdb.storage.changed_pages import ChangedPages
from lamdb.storage.watched_reads import Watch

TABLES = """
CREATE TABLE author (id INTEGER PRIMARY KEY, name TEXT, age INT);
CREATE TABLE post (id INTEGER PRIMARY KEY, author INT, title TEXT, body TEXT, likes INT);
CREATE INDEX post_author ON post(author);
CREATE TABLE tag (post INT, name TEXT, PRIMARY KEY (post, name)) WITHOUT ROWID;
CREATE TABLE log (id INTEGER PRIMARY KEY, line TEXT);
CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT);
CREATE VIEW liked AS SELECT p.title, a.name FROM post p JOIN author a ON a.id = p.author WHERE p.likes > 5;
CREATE VIRTUAL TABLE words USING fts5(title, body, content='post', content_rowid='id');
CREATE TRIGGER added AFTER INSERT ON post BEGIN
  INSERT INTO words(rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
CREATE TRIGGER removed AFTER DELETE ON post BEGIN
  INSERT INTO words(words, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body); END;
CREATE TRIGGER changed AFTER UPDATE OF title, body ON post BEGIN
  INSERT INTO words(words, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
  INSERT INTO words(rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
"""
READS = [
    "SELECT * FROM author WHERE id = 7",
    "SELECT * FROM author WHERE id = 4000",
    "SELECT count(*), sum(likes) FROM post",
    "SELECT title FROM post WHERE author = 3 ORDER BY id",
    "SELECT name FROM tag WHERE post = 11",
    "SELECT * FROM liked ORDER BY 1, 2",
    "SELECT rowid, title FROM words WHERE words MATCH 'w3 OR w4' ORDER BY rank, rowid LIMIT 5",
    "SELECT count(*) FROM words WHERE words MATCH 'w5'",
    "SELECT value FROM settings WHERE name = 'mode'",
    "SELECT max(id) FROM log",
    "SELECT (SELECT value FROM settings WHERE name = 'mode'), count(*) FROM author WHERE age > 30",
    "SELECT length(body) FROM post WHERE id = 2",
    "SELECT name FROM sqlite_schema ORDER BY name",
    "SELECT count(*) FROM sqlite_schema JOIN settings",
]


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:", page_size=512) as opened:
        with opened.writer() as connection:
            connection.execute(TABLES)
            for number in range(1, 120):
                connection.execute("INSERT INTO author VALUES (?, ?, ?)", (number, f"a{number}", number % 60))
                row = (number, number % 9, f"w{number % 7} title", text(random.Random(number)), number % 9)
                connection.execute("INSERT INTO post VALUES (?, ?, ?, ?, ?)", row)
                connection.execute("INSERT INTO tag VALUES (?, ?)", (number % 40, f"t{number}"))
                connection.execute("INSERT INTO log (line) VALUES (?)", ("x" * 50,))
            connection.execute("INSERT INTO settings VALUES ('mode', 'day')")
        yield opened


def text(chance: random.Random) -> str:
    return " ".join(f"w{chance.randrange(30)}" for _ in range(chance.choice([3, 20, 300])))


def read(database: Database, sql: str) -> tuple[list[Any], Watch]:
    with database.watched.lease() as lease:
        return lease.connection.execute(sql).fetchall(), database.watched.watch(lease.reads())


def change(connection: apsw.Connection, chance: random.Random) -> None:
    """One change of data, rarely of the schema."""
    number = chance.randrange(1, 140)
    match chance.randrange(14):
        case 0:
            connection.execute("UPDATE author SET name = name || '!' WHERE id = ?", (number,))
        case 1:
            connection.execute("INSERT INTO post (author, title, body, likes) VALUES (?, 'w4', ?, 7)",
                               (number % 9, text(chance)))  # fmt: skip
        case 2:
            connection.execute("UPDATE post SET likes = ? WHERE id = ?", (chance.randrange(9), number))
        case 3:
            connection.execute("DELETE FROM post WHERE id = ?", (number,))
        case 4:
            connection.execute("INSERT OR IGNORE INTO tag VALUES (?, ?)", (number % 40, f"n{number}"))
        case 5:
            connection.execute("UPDATE settings SET value = ?", (chance.choice(["day", "night"]),))
        case 6:
            connection.execute("UPDATE post SET body = ? WHERE id = ?", (text(chance), number % 5))
        case 7:
            connection.execute("INSERT INTO words(words) VALUES ('optimize')")
        case 8:
            connection.execute("DELETE FROM log WHERE id % 7 = ?", (number % 7,))
        case 9 if chance.random() < 0.3:
            connection.execute(f"CREATE TABLE IF NOT EXISTS extra{number} (a)")
        case 10 if chance.random() < 0.3:
            connection.execute("CREATE INDEX IF NOT EXISTS post_likes ON post(likes)")
        case 11 if chance.random() < 0.3:
            connection.execute("DROP INDEX IF EXISTS post_likes")
        case _:
            connection.execute("INSERT INTO log (line) VALUES (?)", ("y" * chance.choice([10, 2000]),))


@pytest.mark.parametrize("seed", range(6))
def test_what_counts_as_unchanged_is(database: Database, seed: int) -> None:
    chance = random.Random(seed)
    known = {sql: read(database, sql) for sql in READS}
    verdicts = {False: 0, True: 0}
    for step in range(120):
        with database.writer() as connection:
            for _ in range(chance.choice([1, 1, 1, 4])):
                change(connection, chance)
        if step % 40 == 39:
            database.vacuum()
        if step == 60:
            database.restore(txid=database.txid - 7)
        if chance.random() < 0.3:
            continue  # several commits count together
        for sql, (rows, watch) in known.items():
            changed = watch.has_changed()
            verdicts[changed] += 1
            with database.reader() as connection:
                now = connection.execute(sql).fetchall()
            if changed:
                known[sql] = read(database, sql)
                assert known[sql][0] == now
            else:
                assert rows == now, sql
    assert verdicts[False] > verdicts[True]


def test_a_read_is_remembered_whole_however_often_it_was_made(database: Database) -> None:
    """SQLite has the pages in its cache, FTS5 the structure of its index."""
    with database.reader() as connection:
        name = "SELECT rootpage FROM sqlite_schema WHERE name = 'words_config'"
        configuration = connection.execute(name).get
    for sql in READS:
        first, second = [read(database, sql)[1]._reads for _ in range(2)]
        assert first.pages
        assert second.pages
        # FTS5 reads its configuration again when the version of it has changed, which it reads.
        assert set(first.pages) - set(second.pages) <= {configuration}
        assert set(second.pages) <= set(first.pages)
        assert first.first == second.first


def test_the_configuration_of_a_full_text_index_matters(database: Database) -> None:
    sql = "SELECT rowid FROM words WHERE words MATCH 'w3' ORDER BY rank"
    read(database, sql)
    rows, watch = read(database, sql)
    database.write(
        lambda each: each.execute("INSERT INTO words(words, rank) VALUES ('rank', 'bm25(90.0, 0.1)')")
    )
    assert watch.has_changed()
    assert read(database, sql)[0] != rows


def test_other_tables_do_not_matter(database: Database) -> None:
    watches = {sql: read(database, sql)[1] for sql in READS}
    database.write(lambda each: each.execute("INSERT INTO log (line) VALUES ('one more')"))
    changed = [sql for sql, watch in watches.items() if watch.has_changed()]
    assert changed == ["SELECT max(id) FROM log"]
    database.write(lambda each: each.execute("UPDATE settings SET value = 'night'"))
    changed = [sql for sql, watch in watches.items() if watch.has_changed()]
    assert len(changed) == 3
    assert all("settings" in sql or "log" in sql for sql in changed)


def test_commits_of_other_processes_count(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Database.open(url) as one, Database.open(url) as other:
        other.write(lambda each: each.execute("CREATE TABLE t (a); CREATE TABLE u (a)"))
        one.refresh()
        watch = read(one, "SELECT * FROM t")[1]
        for _ in range(12):
            other.write(lambda each: each.execute("INSERT INTO u VALUES (1)"))
        one.refresh()
        assert not watch.has_changed()
        other.write(lambda each: each.execute("INSERT INTO t VALUES (1)"))
        assert not watch.has_changed()
        one.refresh()
        assert watch.has_changed()


def test_a_state_that_was_reached_by_another_way_counts_as_changed(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Database.open(url) as one, Database.open(url) as other:
        other.write(lambda each: each.execute("CREATE TABLE t (a); CREATE TABLE u (a)"))
        one.refresh()
        watch = read(one, "SELECT * FROM t")[1]
        other.write(lambda each: each.execute("INSERT INTO u VALUES (1)"))
        one.pages.catch_up(by_listing=True)
        assert one.txid == other.txid
        assert watch.has_changed()


def test_the_connection_shows_the_file_as_it_is(database: Database) -> None:
    before = database.reader()
    with before as connection:
        expected = (
            connection.execute("PRAGMA page_count").get,
            connection.execute("PRAGMA schema_version").get,
        )
    with database.watched.lease() as lease:
        found = [lease.connection.execute(f"PRAGMA {name}").get for name in ("page_count", "schema_version")]
        assert tuple(found) == expected
        with pytest.raises(Exception, match=r"only reads|readonly"):
            lease.connection.execute("DELETE FROM log")


def test_a_read_of_too_much_depends_on_everything(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reads_module, "MOST_PAGES", 3)
    watch = read(database, "SELECT sum(likes) FROM post")[1]
    assert watch._reads.pages is None
    assert not watch.has_changed()
    database.write(lambda each: each.execute("INSERT INTO log (line) VALUES ('x')"))
    assert watch.has_changed()


def test_a_large_transaction_counts_as_changing_everything(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages_module, "_MOST_PAGES_OF_ONE", 5)
    watch = read(database, "SELECT * FROM author WHERE id = 7")[1]
    database.write(lambda each: each.execute("INSERT INTO log (line) VALUES ('x')"))
    assert not watch.has_changed()
    database.write(lambda each: each.execute("INSERT INTO log (line) VALUES (?)", ("x" * 9000,)))
    assert watch.has_changed()


def test_nothing_is_remembered_before_somebody_reads(database: Database) -> None:
    database.write(lambda each: each.execute("INSERT INTO log (line) VALUES ('x')"))
    assert not database.pages.changed._steps
    read(database, "SELECT 1")
    database.write(lambda each: each.execute("INSERT INTO log (line) VALUES ('x')"))
    assert len(database.pages.changed._steps) == 1


def test_steps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "_MOST_TRANSACTIONS", 4)
    changed = ChangedPages()
    changed.watch()
    for number in range(1, 11):
        changed.note(number - 1, number, frozenset({number}))
    assert changed.between(6, 10) == {7, 8, 9, 10}
    assert changed.between(8, 9) == {9}
    assert changed.between(10, 10) == frozenset()
    assert changed.between(5, 10) is None
    changed.note(12, 13, frozenset({1}))
    assert changed.between(9, 13) is None
    assert changed.between(12, 13) == {1}
    changed.note(13, 14, None)
    assert changed.between(12, 14) is None


def test_the_pages_of_steps_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages_module, "_MOST_PAGES", 10)
    changed = ChangedPages()
    changed.watch()
    for number in range(1, 6):
        changed.note(number - 1, number, frozenset(range(number, number + 4)))
    assert changed._pages <= 10
    assert changed.between(3, 5) == {4, 5, 6, 7, 8}
    assert changed.between(2, 5) is None


def test_attempts_that_must_not_wait_raise(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/store"
    with Database.open(url) as made, made.writer() as connection:
        connection.execute("CREATE TABLE t (a)")
        connection.execute(
            "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s LIMIT 5000)"
            " INSERT INTO t SELECT hex(randomblob(100)) FROM s"
        )
    with Database.open(url) as opened:
        with pytest.raises(WouldWait), NoWaiting():
            read(opened, "SELECT max(a) FROM t")
        assert read(opened, "SELECT count(a) FROM t")[0] == [(5000,)]


def test_as_of_is_not_followed(database: Database) -> None:
    watch = read(database, "SELECT count(*) FROM log")[1]
    with database.as_of(time=datetime.now(UTC)) as connection:
        assert connection.execute("SELECT count(*) FROM log").get
    assert not watch.has_changed()
