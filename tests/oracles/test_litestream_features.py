"""SQLite's features at every page size: the same here, in plain SQLite, and in Litestream's restored files.

Before compaction and after it, at the head and before.
"""

import random
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from lamdb.storage import Database, open_store
from lamdb.storage.ltx.replica import Replica
from lamdb.storage.ltx.restorepoints import find_backups
from lamdb.storage.maintenance import compaction
from lamdb.storage.maintenance.compaction import Compactor

from .test_litestream import Dump, dump, restored

SETUP = """
CREATE TABLE author(id INTEGER PRIMARY KEY, name TEXT UNIQUE COLLATE NOCASE);
CREATE TABLE post(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  author INTEGER REFERENCES author(id) ON DELETE CASCADE,
  body TEXT,
  length INTEGER GENERATED ALWAYS AS (length(body)) STORED
);
CREATE INDEX long_posts ON post(length) WHERE length > 100;
CREATE TABLE tag(name TEXT PRIMARY KEY, uses INTEGER) WITHOUT ROWID;
CREATE TABLE log(what TEXT);
CREATE VIRTUAL TABLE words USING fts5(body, content=post, content_rowid=id);
CREATE TRIGGER post_added AFTER INSERT ON post BEGIN
  INSERT INTO words(rowid, body) VALUES(new.id, new.body);
  INSERT INTO log VALUES('added ' || new.id);
END;
CREATE TRIGGER post_removed AFTER DELETE ON post BEGIN
  INSERT INTO words(words, rowid, body) VALUES('delete', old.id, old.body);
  INSERT INTO log VALUES('removed ' || old.id);
END;
"""

WORDS = ["fox", "dog", "quick", "lazy", "brown", "über", "東京", "jumps"]


def transactions(source: random.Random) -> Iterator[list[str]]:
    """Statements of one transaction each; "VACUUM" stands alone."""

    def posts(count: int, author: int) -> str:
        bodies = [" ".join(source.choices(WORDS, k=source.choice([3, 40, 900]))) for _ in range(count)]
        return f"INSERT INTO post(author, body) VALUES {', '.join(f"({author}, '{b}')" for b in bodies)}"

    yield [SETUP, "INSERT INTO author VALUES(1, 'Ann'), (2, 'Ben'), (3, 'Cleo')"]
    for number in range(9):
        yield [posts(12, 1 + number % 3), f"INSERT INTO tag VALUES('t{number}', {number})"]
    yield [
        "SAVEPOINT outer",
        posts(30, 1),
        "SAVEPOINT inner",
        "DELETE FROM post",
        "DROP TABLE tag",
        "ROLLBACK TO inner",
        "RELEASE inner",
        "UPDATE tag SET uses = uses + 100 WHERE name > 't5'",
        "RELEASE outer",
    ]
    yield ["DELETE FROM author WHERE id = 1", "PRAGMA incremental_vacuum"]
    yield ["VACUUM"]
    yield ["INSERT INTO words(words) VALUES('optimize')", posts(5, 2)]
    yield ["ALTER TABLE post ADD COLUMN extra DEFAULT 7", "CREATE TABLE big AS SELECT zeroblob(300000) AS b"]
    yield ["DROP TABLE big", "PRAGMA incremental_vacuum(3)"]
    for number in range(5):
        yield [posts(3, 3), f"UPDATE author SET name = 'Cleo {number}' WHERE id = 3"]


def answers(connection: apsw.Connection) -> tuple[Dump, list, list]:
    """The content, what full-text search finds in it, and what SQLite and FTS5 say of its integrity."""
    found = connection.execute(
        "SELECT rowid, snippet(words, 0, '[', ']', '…', 4) FROM words "
        "WHERE words MATCH 'fox NEAR quick' ORDER BY 1"
    ).fetchall()
    checks = [
        connection.execute("PRAGMA integrity_check").fetchall(),
        connection.execute("PRAGMA foreign_key_check").fetchall(),
    ]
    return dump(connection), found, checks


@pytest.mark.parametrize("auto_vacuum", ["none", "full", "incremental"])
@pytest.mark.parametrize("page_size", [4096, 8192, 16384, 32768, 65536])
def test_everything_is_as_in_sqlite(
    page_size: int, auto_vacuum: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(compaction, "FAN_OUT", 4)
    url = (tmp_path / "store").as_uri()
    plain = apsw.Connection(":memory:")
    plain.execute(
        f"PRAGMA page_size = {page_size}; PRAGMA auto_vacuum = {auto_vacuum}; PRAGMA foreign_keys = ON"
    )
    expected: dict[int, tuple] = {}
    with Database.open(url, page_size=page_size) as database:
        if auto_vacuum != "none":
            with database.writer() as connection:
                connection.execute(f"PRAGMA auto_vacuum = {auto_vacuum}").fetchall()
            database.vacuum()
        for statements in transactions(random.Random(page_size)):
            if statements == ["VACUUM"]:
                database.vacuum()
                plain.execute("VACUUM")
            else:
                plain.execute("BEGIN")
                with database.writer() as connection:
                    for sql in statements:
                        assert connection.execute(sql).fetchall() == plain.execute(sql).fetchall(), sql
                plain.execute("COMMIT")
            with database.reader() as connection:
                expected[database.txid] = answers(connection)
                assert expected[database.txid] == answers(plain)
                found = (
                    connection.execute("PRAGMA auto_vacuum").get,
                    connection.execute("PRAGMA page_size").get,
                )
                assert found == ({"none": 0, "full": 1, "incremental": 2}[auto_vacuum], page_size)
                pages = connection.execute("PRAGMA page_count").get
                assert pages == plain.execute("PRAGMA page_count").get
    head = max(expected)
    check(url, [head // 2, head - 6, head], expected, tmp_path)
    replica = Replica(open_store(url))
    assert Compactor(replica).run().merges >= 2
    merged = max(file.max_txid for file in replica.files() if file.level)
    for file in replica.level_from(0, 1, merged):
        replica.store.delete(file.key)
    left = [point.txid for point in find_backups(replica).points if point.txid > 2]
    replica.close()
    assert {16, merged, head} <= set(left)
    check(url, left, expected, tmp_path)


def check(url: str, txids: list[int], expected: dict[int, tuple], folder: Path) -> None:
    with Database.open(url, create=False) as database:
        for txid in txids:
            with database.as_of(txid=txid) as connection:
                assert answers(connection) == expected[txid]
            target = folder / "restored.db"
            assert restored(url, target, "-txid", f"{txid:016x}") == expected[txid][0]
            copy = apsw.Connection(str(target))
            assert answers(copy) == expected[txid]
            copy.execute("INSERT INTO words(words, rank) VALUES('integrity-check', 1)")
            copy.close()
