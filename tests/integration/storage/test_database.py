"""A database on every kind of store: what SQLite can do, what readers see, what writers leave."""

import itertools
from collections.abc import Callable, Iterator

import apsw
import pytest

from lamdb.errors import NotAStore, ReadOnly, SettingsError, StorageError, TransactionTooLarge
from lamdb.storage import Database, ObjectStore
from lamdb.storage.stores.obstores import memory_store

type Maker = Callable[[], ObjectStore]


@pytest.fixture
def db(store: ObjectStore) -> Iterator[Database]:
    with Database(store) as database:
        yield database


@pytest.fixture
def memory() -> Iterator[Database]:
    with Database(memory_store()) as database:
        yield database


def ask(database: Database, sql: str, *values: object) -> list[tuple]:
    with database.reader() as connection:
        return connection.execute(sql, values).fetchall()


def tell(database: Database, *statements: str) -> None:
    with database.writer() as connection:
        for statement in statements:
            connection.execute(statement).fetchall()


def fill(connection: apsw.Connection, rows: int, size: int = 500) -> None:
    connection.execute("CREATE TABLE IF NOT EXISTS big(id INTEGER PRIMARY KEY, body BLOB)")
    connection.executemany("INSERT INTO big(body) VALUES(randomblob(?))", itertools.repeat((size,), rows))


def test_an_empty_database_can_be_read(db: Database) -> None:
    assert ask(db, "SELECT count(*) FROM sqlite_schema") == [(0,)]
    assert db.txid == 0


def test_what_was_committed_is_there_after_reopening(make_store: Maker) -> None:
    with Database(make_store()) as database:
        tell(database, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (2)")
        tell(database, "INSERT INTO t VALUES(3)")
        assert database.txid == 2
        assert ask(database, "SELECT sum(a) FROM t") == [(6,)]
    with Database(make_store(), create=False) as database:
        assert database.txid == 2
        assert ask(database, "SELECT sum(a) FROM t") == [(6,)]
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_leases_say_which_transaction_they_see(memory: Database) -> None:
    writing = memory.writer()
    with writing as connection:
        assert writing.txid == 0
        connection.execute("CREATE TABLE t(a)")
    assert writing.txid == 1
    reading = memory.reader()
    with reading:
        tell(memory, "INSERT INTO t VALUES(1)")
        assert reading.txid == 1
    assert memory.txid == 2


def test_an_exception_rolls_back(db: Database) -> None:
    tell(db, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    with pytest.raises(ZeroDivisionError), db.writer() as connection:
        connection.execute("DELETE FROM t").fetchall() or 1 / 0
    assert db.txid == 1
    assert ask(db, "SELECT a FROM t") == [(1,)]
    with db.writer() as connection:
        assert connection.execute("SELECT a FROM t").fetchall() == [(1,)]


def test_a_failed_statement_costs_only_its_transaction(db: Database) -> None:
    tell(db, "CREATE TABLE t(a UNIQUE)", "INSERT INTO t VALUES(1)")
    with pytest.raises(apsw.ConstraintError):
        tell(db, "INSERT INTO t VALUES(2)", "INSERT INTO t VALUES(1)")
    tell(db, "INSERT INTO t VALUES(3)")
    assert ask(db, "SELECT a FROM t ORDER BY a") == [(1,), (3,)]


def test_a_transaction_that_changes_nothing_makes_no_txid(db: Database) -> None:
    tell(db, "CREATE TABLE t(a)")
    with db.writer() as connection:
        connection.execute("SELECT * FROM t")
    tell(db, "DELETE FROM t WHERE a = 5")
    assert db.txid == 1


def test_a_reader_stays_where_it_began(db: Database) -> None:
    tell(db, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    with db.reader() as early:
        for number in range(2, 8):
            tell(db, f"INSERT INTO t VALUES({number})", f"CREATE TABLE t{number}(x)")
            assert early.execute("SELECT count(*) FROM t").get == 1
            assert ask(db, "SELECT count(*) FROM t") == [(number,)]
        assert early.execute("SELECT count(*) FROM sqlite_schema").get == 1
    assert ask(db, "SELECT count(*) FROM t") == [(7,)]


def test_a_reader_that_began_before_its_first_statement_does_too(db: Database) -> None:
    tell(db, "CREATE TABLE t(a)")
    with db.reader() as early:
        tell(db, "INSERT INTO t VALUES(1)")
        assert early.execute("SELECT count(*) FROM t").get == 0


def test_readers_at_many_states_at_once(memory: Database) -> None:
    with memory.writer() as connection:
        fill(connection, 200)
        connection.execute("CREATE TABLE n(a)")
        connection.execute("INSERT INTO n VALUES(0)")
    leases = []
    for number in range(1, 12):
        lease = memory.reader()
        leases.append((number - 1, lease, lease.__enter__()))
        with memory.writer() as connection:
            connection.execute("UPDATE n SET a = ?", (number,))
            connection.execute("DELETE FROM big WHERE id % 13 = ?", (number,))
    for number, _, connection in leases:
        assert connection.execute("SELECT a FROM n").get == number
        gone = connection.execute("SELECT count(*) FROM big WHERE id % 13 BETWEEN 1 AND ?", (number,)).get
        assert gone == 0
        assert connection.execute("PRAGMA integrity_check").get == "ok"
    for _, lease, _ in leases:
        lease.__exit__(None, None, None)


@pytest.mark.parametrize(
    "sql",
    ["INSERT INTO t VALUES(2)", "UPDATE t SET a = 3", "DELETE FROM t", "CREATE TABLE u(x)", "DROP TABLE t",
     "PRAGMA user_version = 5", "BEGIN IMMEDIATE", "VACUUM"],
)  # fmt: skip
def test_a_reader_cannot_write(memory: Database, sql: str) -> None:
    tell(memory, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    with memory.reader() as connection:
        with pytest.raises((ReadOnly, apsw.SQLError)) as caught:
            connection.execute(sql)
        if sql not in {"BEGIN IMMEDIATE", "VACUUM"}:  # SQLite itself refuses these inside a transaction.
            assert caught.type is ReadOnly
        assert connection.execute("SELECT a FROM t").get == 1
    assert memory.txid == 1
    assert ask(memory, "SELECT a FROM t") == [(1,)]


def test_a_reader_may_use_temporary_tables(memory: Database) -> None:
    tell(memory, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    with memory.reader() as connection:
        connection.execute("CREATE TEMP TABLE mine AS SELECT a + 1 AS b FROM t")
        assert connection.execute("SELECT b FROM mine").get == 2


def test_foreign_keys_are_enforced(memory: Database) -> None:
    tell(memory, "CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE c(p REFERENCES p ON DELETE CASCADE)")
    with pytest.raises(apsw.ConstraintError):
        tell(memory, "INSERT INTO c VALUES(1)")
    tell(memory, "INSERT INTO p VALUES(1)", "INSERT INTO c VALUES(1)")
    tell(memory, "DELETE FROM p")
    assert ask(memory, "SELECT count(*) FROM c") == [(0,)]


def test_a_table_can_be_rebuilt_with_foreign_keys_off(memory: Database) -> None:
    tell(memory, "CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE c(p REFERENCES p ON DELETE CASCADE)")
    tell(memory, "INSERT INTO p VALUES(1)", "INSERT INTO c VALUES(1)")
    with memory.writer(foreign_keys=False) as connection:
        connection.execute("CREATE TABLE p2(id INTEGER PRIMARY KEY, extra)")
        connection.execute("INSERT INTO p2(id) SELECT id FROM p")
        connection.execute("DROP TABLE p")
        connection.execute("ALTER TABLE p2 RENAME TO p")
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert ask(memory, "SELECT p FROM c") == [(1,)]
    with pytest.raises(apsw.ConstraintError):
        tell(memory, "INSERT INTO c VALUES(9)")
    assert ask(memory, "PRAGMA foreign_keys") == [(1,)]


def test_savepoints_triggers_and_full_text(db: Database) -> None:
    with db.writer() as connection:
        connection.execute("CREATE TABLE log(what)")
        connection.execute("CREATE VIRTUAL TABLE notes USING fts5(body)")
        connection.execute("CREATE TABLE t(a)")
        connection.execute("CREATE TRIGGER tr AFTER INSERT ON t BEGIN INSERT INTO log VALUES(new.a); END")
        connection.execute("INSERT INTO notes VALUES('the quick brown fox'), ('a lazy dog')")
        connection.execute("INSERT INTO t VALUES(1)")
        connection.execute("SAVEPOINT s")
        connection.execute("INSERT INTO t VALUES(2)")
        connection.execute("ROLLBACK TO s")
        connection.execute("RELEASE s")
        connection.execute("INSERT INTO t VALUES(3)")
    assert db.txid == 1
    assert ask(db, "SELECT what FROM log") == [(1,), (3,)]
    assert ask(db, "SELECT body FROM notes WHERE notes MATCH 'lazy'") == [("a lazy dog",)]
    tell(db, "INSERT INTO notes VALUES('a quick cat')")
    assert ask(db, "SELECT count(*) FROM notes WHERE notes MATCH 'quick'") == [(2,)]
    assert ask(db, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("page_size", [512, 4096, 16384, 65536])
def test_every_page_size(page_size: int) -> None:
    store = memory_store()
    with Database(store, page_size=page_size) as database:
        with database.writer() as connection:
            fill(connection, 300)
        tell(database, "DELETE FROM big WHERE id % 3 = 0")
    with Database(store) as database:
        assert ask(database, "PRAGMA page_size") == [(page_size,)]
        assert ask(database, "SELECT count(*), sum(length(body)) FROM big") == [(200, 100_000)]
        database.vacuum()
        assert ask(database, "PRAGMA page_size") == [(page_size,)]
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_an_impossible_page_size() -> None:
    with pytest.raises(SettingsError, match="1000"):
        Database(memory_store(), page_size=1000)


def test_vacuum_shrinks_the_database(db: Database) -> None:
    with db.writer() as connection:
        fill(connection, 1000)
    tell(db, "DELETE FROM big WHERE id > 10")
    [(before,)] = ask(db, "PRAGMA page_count")
    kept = ask(db, "SELECT * FROM big")
    with db.reader() as early:
        db.vacuum()
        assert early.execute("SELECT * FROM big").fetchall() == kept
    assert db.txid == 3
    [(after,)] = ask(db, "PRAGMA page_count")
    assert after < before / 10
    assert ask(db, "SELECT * FROM big") == kept
    assert ask(db, "PRAGMA integrity_check") == [("ok",)]
    with db.writer() as connection:  # Growing again must not bring old pages back.
        fill(connection, 500)
    assert ask(db, "SELECT count(*) FROM big") == [(510,)]
    assert ask(db, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize("mode", ["full", "incremental"])
def test_auto_vacuum(mode: str) -> None:
    store = memory_store()
    with Database(store) as database:
        tell(database, f"PRAGMA auto_vacuum = {mode}")
        database.vacuum()
        with database.writer() as connection:
            fill(connection, 1000)
        [(before,)] = ask(database, "PRAGMA page_count")
        tell(database, "DELETE FROM big WHERE id > 10")
        if mode == "incremental":
            tell(database, "PRAGMA incremental_vacuum")
        [(after,)] = ask(database, "PRAGMA page_count")
        assert after < before / 10
    with Database(store) as database:
        assert ask(database, "PRAGMA page_count") == [(after,)]
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_the_page_size_cannot_change_later(memory: Database) -> None:
    tell(memory, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    with memory.writer() as connection:
        connection.execute("PRAGMA page_size = 4096")
    with pytest.raises(StorageError, match="8192 bytes"):
        memory.vacuum()
    tell(memory, "INSERT INTO t VALUES(2)")
    memory.vacuum()
    assert ask(memory, "SELECT sum(a) FROM t") == [(3,)]


@pytest.mark.parametrize("end", ["commit", "roll back"])
def test_a_transaction_larger_than_sqlites_cache(end: str) -> None:
    """SQLite then writes pages before it commits, and reads them back."""
    store = memory_store()
    with Database(store, connection_cache_bytes=64 * 1024, cache_bytes=64 * 1024) as database:
        with database.writer() as connection:
            fill(connection, 1000)
        expected = ask(database, "SELECT id, body FROM big")
        try:
            with database.writer() as connection:
                connection.execute("UPDATE big SET body = randomblob(600)")
                fill(connection, 3000)
                connection.execute("CREATE INDEX i ON big(body)")
                changed = connection.execute("SELECT id, body FROM big").fetchall()
                if end == "roll back":
                    raise ZeroDivisionError
                expected = changed
        except ZeroDivisionError:
            pass
        assert ask(database, "SELECT id, body FROM big") == expected
        with database.writer() as connection:
            assert connection.execute("SELECT id, body FROM big").fetchall() == expected
            connection.execute("CREATE TABLE another(x)")
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]
    with Database(store) as database:
        assert ask(database, "SELECT id, body FROM big") == expected
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


def test_a_transaction_beyond_the_limit_fails_before_anything_is_stored() -> None:
    with Database(memory_store(), max_transaction_bytes=1_000_000) as database:
        tell(database, "CREATE TABLE t(a)")
        with pytest.raises(TransactionTooLarge, match="1000000 bytes"), database.writer() as connection:
            fill(connection, 3000)
        assert database.txid == 1
        tell(database, "INSERT INTO t VALUES(1)")
        assert ask(database, "SELECT count(*) FROM sqlite_schema") == [(1,)]
        assert ask(database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.parametrize(
    ("pragma", "answer"),
    [("journal_mode = DELETE", "memory"), ("journal_mode = WAL", "memory"), ("journal_mode", "memory"),
     ("locking_mode = EXCLUSIVE", "normal"), ("synchronous = OFF", "2")],
)  # fmt: skip
def test_pragmas_that_would_break_commits_change_nothing(memory: Database, pragma: str, answer: str) -> None:
    with memory.writer() as connection:
        assert connection.execute(f"PRAGMA {pragma}").get == answer
        connection.execute("CREATE TABLE t(a)")
    tell(memory, "INSERT INTO t VALUES(1)")
    assert memory.txid == 2


def test_a_thread_cannot_take_the_writer_twice(memory: Database) -> None:
    with memory.writer(), pytest.raises(StorageError, match="already holds"), memory.writer():
        pass
    tell(memory, "CREATE TABLE t(a)")


def test_the_block_ends_the_transaction_nobody_else(memory: Database) -> None:
    with pytest.raises(StorageError, match="ended inside"):
        tell(memory, "CREATE TABLE t(a)", "ROLLBACK")
    tell(memory, "CREATE TABLE t(a)")
    assert memory.txid == 1


def test_unfinished_statements_do_not_hold_anything_up(memory: Database) -> None:
    tell(memory, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (2), (3)")
    with memory.reader() as connection:
        left_open = connection.execute("SELECT a FROM t")
        assert next(left_open) == (1,)
    with memory.writer() as connection:
        also_open = connection.execute("SELECT a FROM t")
        assert next(also_open) == (1,)
        connection.execute("INSERT INTO t VALUES(4)")
    for number in (5, 6):
        tell(memory, f"INSERT INTO t VALUES({number})")
        assert ask(memory, "SELECT max(a) FROM t") == [(number,)]


def test_a_connection_that_its_user_closed_is_replaced(memory: Database) -> None:
    tell(memory, "CREATE TABLE t(a)")
    with memory.reader() as connection:
        connection.close()
    assert ask(memory, "SELECT count(*) FROM t") == [(0,)]


def test_a_user_who_ends_the_readers_transaction_harms_nobody(memory: Database) -> None:
    tell(memory, "CREATE TABLE t(a)")
    with memory.reader() as connection:
        connection.execute("COMMIT")
    tell(memory, "INSERT INTO t VALUES(1)")
    assert ask(memory, "SELECT count(*) FROM t") == [(1,)]


def test_connections_are_prepared_as_asked() -> None:
    def prepare(connection: apsw.Connection) -> None:
        connection.create_scalar_function("twice", lambda value: 2 * value, 1)

    with Database(memory_store(), on_connect=prepare) as database:
        with database.writer() as connection:
            assert connection.execute("SELECT twice(4)").get == 8
        assert ask(database, "SELECT twice(21)") == [(42,)]


def test_copying_out_with_vacuum_into(db: Database, tmp_path: object) -> None:
    tell(db, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    target = f"{tmp_path}/copy.db"
    with db.reader() as connection:
        connection.execute("COMMIT")
        connection.execute("VACUUM INTO ?", (target,))
    assert apsw.Connection(target).execute("SELECT a FROM t").get == 1


def test_a_closed_database_says_so(memory: Database) -> None:
    tell(memory, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)")
    lease = memory.reader()
    connection = lease.__enter__()
    memory.close()
    memory.close()
    assert connection.execute("SELECT a FROM t").get == 1  # Who was reading may finish.
    lease.__exit__(None, None, None)
    for use in (memory.reader().__enter__, memory.writer().__enter__, memory.refresh):
        with pytest.raises(StorageError, match="closed"):
            use()


def test_opening_what_is_not_there(make_store: Maker) -> None:
    with pytest.raises(NotAStore, match="holds no database"):
        Database(make_store(), create=False)


def test_opening_by_url(tmp_path: object) -> None:
    with Database.open(f"file://{tmp_path}/db", page_size=16384) as database:
        tell(database, "CREATE TABLE t(a)")
        assert ask(database, "PRAGMA page_size") == [(16384,)]
        assert database.url == f"file://{tmp_path}/db"
