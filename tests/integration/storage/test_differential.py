"""The same random statements here and in plain SQLite: the same answers, the same database."""

import random
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from lamdb.storage import Database
from lamdb.storage.cache.diskcache import DiskOptions
from lamdb.storage.stores.obstores import memory_store

from .history import compact

TABLES = ("a", "b", "c")


def statement(source: random.Random) -> str:
    table, other = source.sample(TABLES, 2)
    key, limit = source.randint(1, 400), source.randint(1, 60)
    return source.choice(
        [
            f"INSERT INTO {table}(n, s) VALUES({key}, printf('%.*c', {limit * 40}, 'x'))",
            f"INSERT INTO {table}(n, s) SELECT n + 1, s || 'y' FROM {other} ORDER BY id LIMIT {limit}",
            f"INSERT OR REPLACE INTO {table}(id, n, s) VALUES({key}, {limit}, zeroblob({key * 30}))",
            f"UPDATE {table} SET s = substr(s, 1, {limit}) WHERE id % 7 = {key % 7}",
            f"UPDATE {table} SET n = n * 31 % 1009 WHERE n < {key}",
            f"DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY n, id LIMIT {limit})",
            f"DELETE FROM {table}" if source.random() < 0.2 else f"DELETE FROM {table} WHERE id = {key}",
            f"SELECT count(*), sum(n), sum(length(s)) FROM {table}",
            f"SELECT x.id, y.n FROM {table} x JOIN {other} y ON x.n = y.n ORDER BY x.id, y.id LIMIT {limit}",
            f"CREATE TABLE IF NOT EXISTS extra{key % 3} AS SELECT * FROM {table} ORDER BY id",
            f"DROP TABLE IF EXISTS extra{key % 3}",
            f"CREATE INDEX IF NOT EXISTS i{key % 4} ON {table}(s)",
            f"DROP INDEX IF EXISTS i{key % 4}",
            "SAVEPOINT s",
            "ROLLBACK TO s",
            "RELEASE s",
        ]
    )


def answer(connection: apsw.Connection, sql: str) -> object:
    try:
        return connection.execute(sql).fetchall()
    except apsw.Error as error:
        return type(error).__name__


def dump(connection: apsw.Connection) -> object:
    tables = sorted(
        name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    )
    return {name: connection.execute(f"SELECT * FROM {name} ORDER BY rowid").fetchall() for name in tables}


class _ChangedMind(Exception):
    """Leaves the writer's block so that it rolls back."""


@pytest.mark.usefixtures("on_disk")
@pytest.mark.parametrize("seed", range(6, 10))
def test_random_statements_in_temporary_files(seed: int, tmp_path: Path) -> None:
    test_random_statements(seed, tmp_path)


@pytest.mark.parametrize("seed", range(6))
def test_random_statements(seed: int, tmp_path: Path) -> None:
    source = random.Random(seed)
    store = memory_store()
    options = {
        "page_size": source.choice([512, 1024, 4096]),
        "cache_bytes": source.choice([0, 50_000, 10**8]),
        "disk": source.choice([None, DiskOptions(tmp_path, 20_000), DiskOptions(tmp_path, 10**8)]),
    }
    database = Database(store, connection_cache_bytes=source.choice([0, 10**7]), **options)
    plain = apsw.Connection(":memory:")
    plain.execute("PRAGMA foreign_keys = ON")
    setup = [f"CREATE TABLE {name}(id INTEGER PRIMARY KEY, n INTEGER, s)" for name in TABLES]
    with database.writer() as connection:
        for sql in setup:
            connection.execute(sql)
            plain.execute(sql)
    for round_ in range(40):
        statements = [statement(source) for _ in range(source.randint(1, 12))]
        keep = source.random() < 0.75
        plain.execute("BEGIN")
        with suppress(_ChangedMind), database.writer() as connection:
            for sql in statements:
                assert answer(connection, sql) == answer(plain, sql), sql
            if not keep:
                raise _ChangedMind
        plain.execute("COMMIT" if keep else "ROLLBACK")
        if source.random() < 0.1:
            database.vacuum()
        if source.random() < 0.1 and database.txid > 2:
            compact(store, 9, range(1, database.txid + 1))
        if source.random() < 0.2:
            database.close()
            database = Database(store, **options)
        with database.reader() as connection:
            assert dump(connection) == dump(plain), round_
            assert connection.execute("PRAGMA integrity_check").get == "ok"
