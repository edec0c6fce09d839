"""Upkeep of searches: what it merges and renews, in which transactions, and that nothing else changes."""

import time
from pathlib import Path

import pytest
from tests.unit.search.test_engine import DEFINITION

from lamdb.errors import Fenced
from lamdb.search import tables, upkeep, vocabulary
from lamdb.search.engine import SearchEngine
from lamdb.search.request import SearchRequest
from lamdb.search.statistics import SearchIndex, indexes, read_segments
from lamdb.search.upkeep import SearchUpkeep
from lamdb.storage import Database
from lamdb.storage.maintenance.background import BackgroundMaintenance, Maintenance

INDEX = SearchIndex.of(DEFINITION)


def segments(database: Database) -> list[int]:
    with database.reader() as connection:
        return read_segments(connection, INDEX)


def insert(database: Database, first: int, count: int) -> None:
    """One commit for each row."""
    for number in range(first, first + count):
        with database.writer() as connection:
            connection.execute(
                "INSERT INTO Product (title, body) VALUES (?, ?)", (f"word{number} common", f"text {number}")
            )


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database.open(f"file://{tmp_path}", page_size=1024)
    with database.writer() as connection:
        connection.execute(
            "CREATE TABLE Product (id INTEGER PRIMARY KEY, title, body, category, price, views)"
        )
        for statement in tables.ddl(DEFINITION):
            connection.execute(statement)
    return database


def test_indexes_are_found_without_a_schema(database: Database) -> None:
    with database.writer() as connection:
        connection.execute("CREATE VIRTUAL TABLE own USING fts5(text)")
        assert indexes(connection) == [INDEX]


def test_segments_are_merged_apart_from_writes(database: Database) -> None:
    insert(database, 0, 30)
    # No write has merged anything.
    assert segments(database) == [30]
    keep = SearchUpkeep(database)
    assert keep(60)
    assert sum(segments(database)) < 8
    with database.writer() as connection:
        connection.execute(f"INSERT INTO {INDEX.name} ({INDEX.name}, rank) VALUES ('integrity-check', 1)")
    with database.reader() as connection:
        assert SearchEngine(DEFINITION).search(connection, SearchRequest("common ", take=50)).total == 30


def test_nothing_is_committed_when_nothing_is_to_be_done(database: Database) -> None:
    insert(database, 0, 3)
    keep = SearchUpkeep(database)
    assert keep(60)
    txid = database.txid
    assert keep(60)
    assert SearchUpkeep(database)(60)
    assert database.txid == txid


def test_large_merges_take_several_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "_PAGES", 2)
    with database.writer() as connection:
        vocabulary.rebuild(connection, INDEX)
    for number in range(9):
        with database.writer() as connection:
            connection.executemany(
                "INSERT INTO Product (title, body) VALUES (?, ?)",
                [(f"w{number}x{n}", f"text{n} {n * 7}") for n in range(150)],
            )
    before = database.txid
    keep = SearchUpkeep(database)
    assert not keep(0)
    assert database.txid == before + 1
    while not keep(5):
        pass
    assert database.txid > before + 3
    assert max(segments(database)) < 4


def test_vocabularies_are_renewed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_SMALL_TABLE", 1)
    insert(database, 0, 2)
    assert SearchUpkeep(database)(60)
    with database.reader() as connection:
        assert not vocabulary.is_outdated(connection, INDEX)
        kept = connection.execute(f"SELECT documents FROM {vocabulary.TABLE}").fetchall()
    assert kept == [(2,)]


def test_a_damaged_index_stops_nothing(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary, "_SMALL_TABLE", 1)
    insert(database, 0, 2)
    with database.writer() as connection:
        connection.execute(f"DROP VIEW {INDEX.rows}")
    assert SearchUpkeep(database)(60)


def test_background_maintenance_does_it(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lamdb.storage.maintenance.background._POLL", 0.01)
    monkeypatch.setattr("lamdb.storage.maintenance.background._CHORES", 0.01)
    insert(database, 0, 10)
    maintenance = Maintenance(database.pages)
    with BackgroundMaintenance(maintenance, interval=3600, chores=[SearchUpkeep(database)]):
        deadline = time.monotonic() + 60
        while max(segments(database)) > 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert max(segments(database)) <= 4


def test_a_chore_that_another_server_overtakes_is_tried_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lamdb.storage.maintenance.background._POLL", 0.01)
    monkeypatch.setattr("lamdb.storage.maintenance.background._CHORES", 0.01)
    calls: list[float] = []

    def chore(budget: float) -> bool:
        calls.append(budget)
        if len(calls) == 1:
            raise Fenced("another writer committed first")
        return True

    with BackgroundMaintenance(Maintenance(database.pages), interval=3600, chores=[chore]):
        deadline = time.monotonic() + 60
        while len(calls) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert len(calls) >= 2
    assert "maintenance failed" not in caplog.text


def test_a_filled_index_is_not_written_anew_for_the_first_changes(database: Database) -> None:
    with database.writer() as connection:
        connection.executemany(
            "INSERT INTO Product (title, body) VALUES (?, ?)",
            [(f"w{number}", f"text{number} {number * 7} {number * 11}") for number in range(3_000)],
        )
        for statement in tables.fill(DEFINITION):
            connection.execute(statement)
        upkeep.settle(connection)
        # FTS5 takes note on the connection that filled the index, too.
        connection.execute("INSERT INTO Product (title) VALUES ('one more')")
    assert segments(database) == [1, 0, 0, 0, 1]
    insert(database, 0, 9)
    before = database.txid
    assert SearchUpkeep(database)(60)
    assert segments(database)[-1] == 1
    assert database.txid - before <= 2
    with database.writer() as connection:
        connection.execute(f"INSERT INTO {INDEX.name} ({INDEX.name}, rank) VALUES ('integrity-check', 1)")
        connection.execute("DELETE FROM Product WHERE id < 1500")
        connection.execute(f"INSERT INTO {INDEX.name} ({INDEX.name}, rank) VALUES ('integrity-check', 1)")
        connection.execute(f"INSERT INTO {INDEX.name} ({INDEX.name}) VALUES ('optimize')")
        connection.execute(f"INSERT INTO {INDEX.name} ({INDEX.name}, rank) VALUES ('integrity-check', 1)")


def test_large_segments_are_lifted_by_maintenance(database: Database) -> None:
    with database.writer() as connection:
        connection.executemany(
            "INSERT INTO Product (title) VALUES (?)",
            [(f"w{number} text{number * 7}",) for number in range(4_000)],
        )
        for statement in tables.fill(DEFINITION):
            connection.execute(statement)
    assert segments(database) == [1]
    assert SearchUpkeep(database)(60)
    assert segments(database) == [0, 0, 0, 0, 1]
    with database.reader() as connection:
        assert SearchEngine(DEFINITION).search(connection, SearchRequest("w77")).total >= 1
