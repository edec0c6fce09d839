"""Refused statements of migrations, and that no script leaves anything behind in the process."""

from pathlib import Path

import apsw
import pytest

from lamdb.errors import MigrationError
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine

REFUSED = {
    "ATTACH '{path}' AS other": "ATTACH is not allowed",
    "ATTACH ':memory:' AS other; CREATE TABLE other.t (a)": "ATTACH is not allowed",
    "aTtAcH/**/DATABASE '{path}' AS other": "ATTACH is not allowed",
    "DETACH main": "DETACH is not allowed",
    "VACUUM": "VACUUM is not allowed",
    "VACUUM INTO '{path}'": "VACUUM is not allowed",
    "-- all in one file\nVACUUM main INTO '{path}'": "VACUUM is not allowed",
    "PRAGMA writable_schema=ON": "PRAGMA writable_schema is not allowed",
    "PRAGMA main.writable_schema(1)": "PRAGMA writable_schema is not allowed",
    "PRAGMA recursive_triggers=ON": "PRAGMA recursive_triggers is not allowed",
    "PRAGMA case_sensitive_like=ON": "PRAGMA case_sensitive_like is not allowed",
    "PRAGMA ignore_check_constraints=ON": "PRAGMA ignore_check_constraints is not allowed",
    "PRAGMA journal_mode=OFF": "PRAGMA journal_mode is not allowed",
    "PRAGMA synchronous=OFF": "PRAGMA synchronous is not allowed",
    "PRAGMA temp_store_directory='{path}'": "PRAGMA temp_store_directory is not allowed",
    "PRAGMA cache_size=1": "PRAGMA cache_size is not allowed",
    "PRAGMA query_only=ON": "PRAGMA query_only is not allowed",
    "PRAGMA wal_checkpoint": "PRAGMA wal_checkpoint is not allowed",
    "SELECT load_extension('{path}')": "load_extension is not allowed",
    "CREATE TABLE t AS SELECT load_extension('{path}') AS a": "load_extension is not allowed",
    "BEGIN": "BEGIN, COMMIT and ROLLBACK are not allowed",
    "COMMIT": "BEGIN, COMMIT and ROLLBACK are not allowed",
    "RELEASE lamdb_schema": "the savepoint lamdb_schema is not the script's own",
    "DROP TABLE _prisma_migrations": "_prisma_migrations is the history of migrations",
    'drop table if exists main."_Prisma_Migrations"': "_prisma_migrations is the history of migrations",
    "ALTER TABLE _prisma_migrations RENAME TO old": "_prisma_migrations is the history of migrations",
    "ALTER TABLE _prisma_migrations DROP COLUMN logs": "_prisma_migrations is the history of migrations",
}
ALLOWED = (
    "PRAGMA foreign_keys=OFF; PRAGMA foreign_keys=ON",
    "PRAGMA defer_foreign_keys=ON",
    "PRAGMA user_version=7",
    "PRAGMA foreign_key_check",
    "PRAGMA table_info('t')",
    "PRAGMA journal_mode",
    "SAVEPOINT mine; CREATE TABLE t (a); RELEASE mine",
    "CREATE TEMP TABLE scratch AS SELECT 1 AS a; CREATE TABLE t AS SELECT a FROM scratch",
    "CREATE TRIGGER x AFTER INSERT ON base BEGIN SELECT 1; END;",
    "; ;; -- nothing\n",
)
SETTINGS = (
    "recursive_triggers", "ignore_check_constraints", "synchronous", "cache_size", "query_only",
    "legacy_alter_table", "writable_schema", "foreign_keys", "defer_foreign_keys", "temp_store",
)  # fmt: skip


def state_of(connection: apsw.Connection) -> list[object]:
    """All of a connection that a script could change besides the database."""
    pragmas: list[object] = [connection.execute(f"PRAGMA {name}").fetchall() for name in SETTINGS]
    return [
        *pragmas,
        connection.execute("SELECT name, file FROM pragma_database_list WHERE name <> 'temp'").fetchall(),
        connection.execute("SELECT type, name FROM temp.sqlite_schema").fetchall(),
        connection.execute("SELECT 'a' LIKE 'A'").get,
        connection.authorizer,
    ]


@pytest.fixture
def connection() -> apsw.Connection:
    made = apsw.Connection(":memory:")
    made.execute("CREATE TABLE base (a)")
    return made


@pytest.mark.parametrize("sql", REFUSED)
def test_scripts_stay_inside_their_database(sql: str, connection: apsw.Connection, tmp_path: Path) -> None:
    before = state_of(connection)
    script = f"CREATE TABLE first (a);\n{sql.format(path=tmp_path / 'file')};\n"
    with pytest.raises(MigrationError) as caught:
        migrate.apply_one(connection, Migration("1_bad", script))
    assert caught.value.code == "P3018"
    assert REFUSED[sql] in caught.value.message
    first = next(
        line for line in sql.format(path=tmp_path / "file").split(";")[0].splitlines() if line[:2] != "--"
    )
    assert first in caught.value.meta["statement"]
    assert state_of(connection) == before
    assert not list(tmp_path.iterdir())
    assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("base",)]


@pytest.mark.parametrize("sql", ["ATTACH '{path}' AS other", "VACUUM INTO '{path}'"])
def test_comparing_histories_runs_scripts_no_more_freely(sql: str, tmp_path: Path) -> None:
    history = [Migration("1_bad", sql.format(path=tmp_path / "file"))]
    with SchemaEngine() as engine, pytest.raises(MigrationError):
        engine.dev_diagnostic(history)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("sql", ALLOWED)
def test_what_scripts_may_do_leaves_nothing_in_the_process(sql: str, connection: apsw.Connection) -> None:
    before = state_of(connection)
    migrate.apply_one(connection, Migration("1_good", sql))
    assert state_of(connection) == before


def test_the_place_of_a_failure_behind_a_trigger(connection: apsw.Connection) -> None:
    script = (
        "CREATE TABLE t (a);\n\n-- a trigger; with a semicolon\nCREATE TRIGGER x AFTER INSERT ON t BEGIN\n"
        "  SELECT CASE WHEN 1 THEN ';' END;\nEND;\n/* two\nlines */ INSERT INTO nope VALUES ('a;b');\n"
    )
    with pytest.raises(MigrationError) as caught:
        migrate.apply_one(connection, Migration("1_bad", script))
    assert (caught.value.meta["line"], caught.value.meta["statement"]) == (
        8,
        "INSERT INTO nope VALUES ('a;b');",
    )
