"""The schema engine: what it creates, compares, describes and refuses; its adapter; its event loop."""

import gc
import weakref
from pathlib import Path
from typing import Any

import apsw
import pytest

from lamdb.errors import EngineError, MigrationError, SchemaError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import sqlite_adapter
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.migrate.sqlite_adapter import ColumnType
from lamdb.prisma.wasm.instance import WasmInstance
from lamdb.prisma.wasm.js_values import UNDEFINED, EventLoop, JSError, Promise, Thrown, Uint8Array

DATASOURCE = 'datasource db {\n  provider = "sqlite"\n}\n'
AUTHOR = "model Author {\n  id Int @id\n  name String\n}\n"
FIRST = Migration(
    "20260101000000_first",
    'CREATE TABLE "Author" (\n    "id" INTEGER NOT NULL PRIMARY KEY,\n    "name" TEXT NOT NULL\n);\n',
)
ALL_TYPES = """
enum Color {
  RED
  BLUE @map("bl")
}

model Everything {
  id      Int       @id @default(autoincrement())
  int     Int       @default(7)
  big     BigInt
  float   Float
  decimal Decimal
  bool    Boolean   @default(true)
  string  String    @default("a'b")
  time    DateTime  @default(now())
  json    Json?
  bytes   Bytes?
  color   Color     @default(BLUE)
  other   String    @map("else")

  @@unique([int, string], name: "pair")
  @@index([color])
  @@map("all_things")
}
"""


def parse(models: str) -> PrismaSchema:
    return PrismaSchema.parse(DATASOURCE + models)


@pytest.fixture
def connection() -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


def columns(connection: apsw.Connection, table: str) -> dict[str, str]:
    return {name: kind for _, name, kind, *_ in connection.execute(f'PRAGMA table_info("{table}")')}


# Pushing and comparing.


def test_every_type_gets_prismas_column_type(connection: apsw.Connection) -> None:
    with SchemaEngine(connection) as engine:
        assert engine.schema_push(parse(ALL_TYPES)).executed_steps == 3
    assert columns(connection, "all_things") == {
        "id": "INTEGER",
        "int": "INTEGER",
        "big": "BIGINT",
        "float": "REAL",
        "decimal": "DECIMAL",
        "bool": "BOOLEAN",
        "string": "TEXT",
        "time": "DATETIME",
        "json": "JSONB",
        "bytes": "BLOB",
        "color": "TEXT",
        "else": "TEXT",
    }
    connection.execute('INSERT INTO all_things (big, float, decimal, "else") VALUES (1, 2, 3, 4)')
    row = connection.execute("SELECT int, bool, string, color, time IS NOT NULL FROM all_things").fetchall()
    assert row == [(7, 1, "a'b", "bl", 1)]


TREE = """
model T {
  id       String  @id
  up       String?
  parent   T?      @relation("tree", fields: [up], references: [id], onDelete: Cascade)
  children T[]     @relation("tree")
}
"""


@pytest.mark.parametrize(
    ("models", "wanted"),
    [
        (AUTHOR, '"id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,\n    "name" TEXT NOT NULL\n)'),
        ("model P {\n  a Int\n  b String\n  @@id([a, b])\n}\n", 'PRIMARY KEY ("a", "b")'),
        (TREE, 'FOREIGN KEY ("up") REFERENCES "T" ("id") ON DELETE CASCADE ON UPDATE CASCADE'),
        (
            "model A {\n  id Int @id\n  bs B[]\n}\nmodel B {\n  id Int @id\n  as A[]\n}\n",
            'CREATE UNIQUE INDEX "_AToB_AB_unique" ON "_AToB"("A", "B")',
        ),
    ],
    ids=["autoincrement", "composite id", "self relation", "many to many"],
)
def test_the_sql_of_a_schema(models: str, wanted: str) -> None:
    with SchemaEngine() as engine:
        sql = engine.diff(None, parse(models))
        assert wanted in sql
        engine.connection.execute(sql)
        assert (
            engine.diff(parse(models), [Migration("1_all", sql)]).strip() == "-- This is an empty migration."
        )


def test_pushing_twice_does_nothing(connection: apsw.Connection) -> None:
    with SchemaEngine(connection) as engine:
        engine.schema_push(parse(ALL_TYPES))
        again = engine.schema_push(parse(ALL_TYPES))
    assert (again.executed_steps, again.warnings, again.unexecutable) == (0, (), ())


def test_losing_data_is_warned_of_and_needs_force(connection: apsw.Connection) -> None:
    with SchemaEngine(connection) as engine:
        engine.schema_push(parse(AUTHOR))
        connection.execute("INSERT INTO Author VALUES (1, 'Ada')")
        smaller = parse("model Author {\n  id Int @id\n}\n")
        refused = engine.schema_push(smaller)
        assert refused.executed_steps == 0
        assert "drop the column `name`" in refused.warnings[0]
        assert "name" in columns(connection, "Author")
        assert engine.schema_push(smaller, force=True).executed_steps == 1
    assert columns(connection, "Author") == {"id": "INTEGER"}


def test_a_column_that_existing_rows_cannot_have_is_not_added(connection: apsw.Connection) -> None:
    with SchemaEngine(connection) as engine:
        engine.schema_push(parse(AUTHOR))
        connection.execute("INSERT INTO Author VALUES (1, 'Ada')")
        larger = parse(AUTHOR.replace("name String", "name String\n  born Int"))
        (reason,) = engine.schema_push(larger, force=True).unexecutable
    assert "required column `born`" in reason
    assert "born" not in columns(connection, "Author")


def test_lamdbs_own_tables_are_left_alone(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE _lamdb_schema (text TEXT); INSERT INTO _lamdb_schema VALUES ('kept')")
    with SchemaEngine(connection) as engine:
        engine.schema_push(parse(AUTHOR), force=True)
        assert engine.schema_push(parse(AUTHOR), force=True).executed_steps == 0
    assert connection.execute("SELECT text FROM _lamdb_schema").get == "kept"


def test_the_engine_works_inside_the_callers_transaction(connection: apsw.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    with SchemaEngine(connection) as engine:
        engine.schema_push(parse(AUTHOR))
    assert connection.in_transaction
    connection.execute("ROLLBACK")
    assert columns(connection, "Author") == {}


def test_a_summary_for_people() -> None:
    with SchemaEngine() as engine:
        summary = engine.diff([FIRST], parse(AUTHOR.replace("name", "born Int?\n  name")), script=False)
    assert "[*] Changed the `Author` table" in summary
    assert "[+] Added column `born`" in summary


def test_a_path_may_be_given(tmp_path: Path) -> None:
    path = tmp_path / "data.db"
    with SchemaEngine(path) as engine:
        engine.schema_push(parse(AUTHOR))
    assert columns(apsw.Connection(str(path)), "Author") == {"id": "INTEGER", "name": "TEXT"}


# Describing.


def test_a_database_is_described_as_a_schema(connection: apsw.Connection) -> None:
    connection.execute(
        "CREATE TABLE country (code TEXT PRIMARY KEY NOT NULL, name TEXT);"
        "CREATE TABLE city (id INTEGER PRIMARY KEY, country TEXT NOT NULL REFERENCES country (code));"
        "CREATE TABLE heap (x TEXT)"
    )
    with SchemaEngine(connection) as engine:
        found = engine.introspect()
    assert "model country {" in found.text
    assert "fields: [country], references: [code]" in found.text
    assert found.warnings is not None
    assert '"heap"' in found.warnings
    assert set(PrismaSchema.parse(found.text).models) >= {"city", "country"}


def test_introspection_keeps_the_names_of_a_known_schema(connection: apsw.Connection) -> None:
    known = parse('/// Who wrote it\nmodel Writer {\n  id Int @id\n  name String\n\n  @@map("Author")\n}\n')
    with SchemaEngine(connection) as engine:
        engine.schema_push(known)
        assert "model Writer {" in engine.introspect(known).text
        assert "model Author {" in engine.introspect(known, force=True).text


def test_an_empty_database_cannot_be_described() -> None:
    with (
        SchemaEngine() as engine,
        pytest.raises(MigrationError, match="introspected database was empty") as caught,
    ):
        engine.introspect()
    assert caught.value.code == "P4001"


# Migrations.


def test_a_history_is_followed_from_nothing_to_in_sync(connection: apsw.Connection) -> None:
    second = Migration("20260102000000_second", 'ALTER TABLE "Author" ADD COLUMN "born" INTEGER;\n')
    with SchemaEngine(connection) as engine:
        fresh = engine.diagnose([FIRST, second])
        assert not fresh.has_migrations_table
        assert fresh.unapplied == (FIRST.name, second.name)
        assert engine.apply_migrations([second, FIRST]) == [FIRST.name, second.name]
        after = engine.diagnose([FIRST, second])
        assert after.has_migrations_table
        assert after.in_sync
        assert engine.dev_diagnostic([FIRST, second]) is None
        assert engine.apply_migrations([FIRST, second]) == []


def test_a_migration_is_created_with_its_warnings(connection: apsw.Connection) -> None:
    target = parse("model Author {\n  id Int @id\n  born Int\n}\n")
    with SchemaEngine(connection) as engine:
        engine.apply_migrations([FIRST])
        script = engine.create_migration("swap", [FIRST], target)
        assert script is not None
        assert script.startswith("/*\n  Warnings:\n\n  - You are about to drop the column `name`")
        assert 'ALTER TABLE "new_Author" RENAME TO "Author";' in script
        connection.execute("INSERT INTO Author VALUES (1, 'Ada')")
        loss = engine.evaluate_data_loss([FIRST], target)
    assert loss.steps == 1
    assert "still contains 1 non-null values" in loss.warnings[0]
    assert "required column `born`" in loss.unexecutable[0]


def test_edited_missing_and_drifted_histories_are_told(connection: apsw.Connection) -> None:
    second = Migration("20260102000000_second", 'ALTER TABLE "Author" ADD COLUMN "born" INTEGER;\n')
    with SchemaEngine(connection) as engine:
        engine.apply_migrations([FIRST, second])
        edited = Migration(FIRST.name, FIRST.sql + "-- changed\n")
        assert engine.diagnose([edited, second]).edited == (FIRST.name,)
        assert engine.diagnose([FIRST]).missing == (second.name,)
        connection.execute("CREATE TABLE surprise (id INTEGER PRIMARY KEY)")
        reason = engine.dev_diagnostic([FIRST, second])
    assert reason is not None
    assert "Drift detected" in reason
    assert "surprise" in reason


def test_migrations_can_be_marked(connection: apsw.Connection) -> None:
    broken = Migration("20260102000000_broken", "CREATE TABLE half (a); CREATE nonsense;")
    with SchemaEngine(connection) as engine:
        engine.mark_applied(FIRST.name, [FIRST])
        assert engine.diagnose([FIRST]).in_sync
        with pytest.raises(MigrationError, match="syntax error") as failed:
            engine.apply_migrations([FIRST, broken])
        assert failed.value.code == "P3018"
        with pytest.raises(MigrationError) as blocked:
            engine.apply_migrations([FIRST, broken])
        assert blocked.value.code == "P3009"
        engine.mark_rolled_back(broken.name)
        assert engine.apply_migrations([FIRST]) == []


@pytest.mark.parametrize(
    ("method", "arguments", "code", "said"),
    [
        ("mark_applied", ("nope", [FIRST]), "P3017", "The migration nope could not be found"),
        ("mark_rolled_back", (FIRST.name,), "P3011", "was never applied to the database"),
        ("dev_diagnostic", ([Migration("1_bad", "CREATE nonsense")],), "P3006", "failed to apply cleanly"),
    ],
)
def test_refusals_carry_prismas_codes(method: str, arguments: Any, code: str, said: str) -> None:
    with SchemaEngine() as engine:
        engine.apply_migrations([])
        with pytest.raises(MigrationError, match=said) as caught:
            getattr(engine, method)(*arguments)
    assert caught.value.code == code
    assert "schema-engine/" not in caught.value.message


def test_an_existing_database_must_be_baselined(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE stray (id INTEGER PRIMARY KEY)")
    with SchemaEngine(connection) as engine, pytest.raises(MigrationError, match="not empty") as caught:
        engine.apply_migrations([FIRST])
    assert caught.value.code == "P3005"


def test_a_fault_in_a_schema_is_a_schema_error() -> None:
    files = {"files": [{"path": "a.prisma", "content": "model A {\n"}]}
    filters = {"externalTables": [], "externalEnums": []}
    with SchemaEngine() as engine, pytest.raises(SchemaError, match=r"-->  a\.prisma:1"):
        engine.call("schemaPush", {"force": False, "schema": files, "filters": filters})


# The host.


def test_an_engine_that_panicked_is_started_afresh(connection: apsw.Connection) -> None:
    with SchemaEngine(connection) as engine:
        engine.schema_push(parse(AUTHOR))
        with pytest.raises(EngineError, match=r"schema engine failed: .*missing field"):
            engine.call("schemaPush", {})
        assert engine.schema_push(parse(AUTHOR)).executed_steps == 0


def test_engines_are_freed() -> None:
    engine = SchemaEngine()
    engine.schema_push(parse(AUTHOR))
    instance: weakref.ref[WasmInstance | None] = weakref.ref(engine._wasm)
    assert instance() is not None
    del engine
    gc.collect()
    assert instance() is None


# The adapter.


def test_shadow_databases_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[apsw.Connection] = []

    class Watched(apsw.Connection):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            opened.append(self)

    with SchemaEngine() as engine:
        monkeypatch.setattr(sqlite_adapter.apsw, "Connection", Watched)
        engine.diff(None, [FIRST])
    assert len(opened) == 1
    with pytest.raises(apsw.ConnectionClosedError):
        opened[0].execute("SELECT 1")


@pytest.mark.parametrize(
    ("sql", "kind", "extra"),
    [
        ("INSERT INTO t VALUES (1, 1)", "UniqueConstraintViolation", {"constraint": {"fields": ["id"]}}),
        ("INSERT INTO t VALUES (2, NULL)", "NullConstraintViolation", {"constraint": {"fields": ["n"]}}),
        ("INSERT INTO c VALUES (9)", "ForeignKeyConstraintViolation", {"constraint": {"foreignKey": {}}}),
        ("SELECT * FROM nope", "TableDoesNotExist", {"table": "nope"}),
        ("SELECT nope FROM t", "ColumnNotFound", {"column": "nope"}),
        ("SELEC", "sqlite", {"extendedCode": 1, "message": 'near "SELEC": syntax error'}),
    ],
)
def test_sqlites_errors_are_told_in_the_adapters_terms(
    connection: apsw.Connection, sql: str, kind: str, extra: dict[str, Any]
) -> None:
    connection.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, n NOT NULL); INSERT INTO t VALUES (1, 1)")
    connection.execute("CREATE TABLE c (t REFERENCES t (id))")
    with pytest.raises(apsw.Error) as caught:
        connection.execute(sql).fetchall()
    told = sqlite_adapter.driver_error(caught.value)
    assert told["kind"] == kind
    assert told["originalMessage"] == str(caught.value)
    assert extra.items() <= told.items()


def test_a_busy_database_is_a_timeout(tmp_path: Path) -> None:
    one, two = (apsw.Connection(str(tmp_path / "x.db")) for _ in range(2))
    one.execute("BEGIN EXCLUSIVE")
    with pytest.raises(apsw.BusyError) as caught:
        two.execute("BEGIN IMMEDIATE")
    assert sqlite_adapter.driver_error(caught.value)["kind"] == "SocketTimeout"


@pytest.mark.parametrize(
    ("value", "scalar", "stored"),
    [
        (None, "int", None),
        (UNDEFINED, "string", None),
        (True, "boolean", 1),
        ("42", "bigint", 42),
        (42.0, "int", 42),
        ("1.5", "decimal", 1.5),
        ("AAH/", "bytes", b"\x00\x01\xff"),
        ("2026-01-02T03:04:05.678Z", "datetime", 1767323045678),
        ("2026-01-02T04:04:05.678+01:00", "datetime", 1767323045678),
        ("text", "string", "text"),
        (Uint8Array.of(b"\x07"), "bytes", b"\x07"),
    ],
)
def test_arguments_are_stored_as_sqlite_has_them(value: Any, scalar: str, stored: Any) -> None:
    assert sqlite_adapter.to_sqlite(value, {"scalarType": scalar, "arity": "scalar"}) == stored


@pytest.mark.parametrize(
    ("value", "type_", "told"),
    [
        (1767323045678, ColumnType.DATETIME, "2026-01-02T03:04:05.678Z"),
        (2.9, ColumnType.INT32, 2),
        (2**53, ColumnType.INT64, "9007199254740992"),
        (2**53 - 1, ColumnType.INT64, 2**53 - 1),
        (b"\x01\x02", ColumnType.BYTES, [1, 2]),
        ("x", ColumnType.TEXT, "x"),
        (None, ColumnType.TEXT, None),
    ],
)
def test_values_are_told_as_the_adapter_has_them(value: Any, type_: ColumnType, told: Any) -> None:
    assert sqlite_adapter.from_sqlite(value, type_) == told


def test_columns_without_a_declared_type_are_told_by_their_values(connection: apsw.Connection) -> None:
    adapter = sqlite_adapter.SqliteAdapter(EventLoop(), connection, lambda: None, [])
    sql = "SELECT 1 AS i, 'x' AS t, 1.5 AS f, x'00' AS b, NULL AS n"
    answer = adapter.queryRaw({"sql": sql, "args": [], "argTypes": []}).value["value"]
    assert answer["columnNames"] == ["i", "t", "f", "b", "n"]
    assert answer["columnTypes"] == [1, 7, 128, 13, 0]
    assert answer["rows"] == [[1, "x", 1.5, [0], None]]


def test_the_engines_transactions_nest_in_the_callers(connection: apsw.Connection) -> None:
    adapter = sqlite_adapter.SqliteAdapter(EventLoop(), connection, lambda: None, [])
    connection.execute("CREATE TABLE t (a); BEGIN; INSERT INTO t VALUES ('caller')")
    for end, value in (("commit", "kept"), ("rollback", "dropped")):
        transaction = adapter.startTransaction("SERIALIZABLE").value["value"]
        transaction.executeRaw({"sql": f"INSERT INTO t VALUES ('{value}')", "args": [], "argTypes": []})
        assert getattr(transaction, end)().value == {"ok": True, "value": UNDEFINED}
    connection.execute("COMMIT")
    assert connection.execute("SELECT a FROM t").fetchall() == [("caller",), ("kept",)]


# Promises.


def test_reactions_run_in_order_and_never_at_once() -> None:
    loop, seen = EventLoop(), []
    promise = Promise(loop)
    done = promise.then(lambda v: seen.append(v) or "two").then(seen.append)
    promise.resolve("one")
    promise.resolve("ignored")
    assert seen == []
    loop.run_until_settled(done)
    assert seen == ["one", "two"]


def test_a_promise_adopts_another() -> None:
    loop = EventLoop()
    inner, outer = Promise(loop), Promise(loop)
    outer.resolve(inner)
    outer.reject("too late")
    inner.resolve(5)
    loop.run_until_settled(outer)
    assert (outer.settled, outer.rejected, outer.value) == (True, False, 5)
    assert Promise.resolved(loop, inner) is inner


@pytest.mark.parametrize(("thrown", "reason"), [(Thrown("why"), "why"), (JSError("bad"), None)])
def test_what_a_reaction_throws_rejects(thrown: Exception, reason: str | None) -> None:
    loop = EventLoop()

    def fail(_: Any) -> Any:
        raise thrown

    caught = Promise.resolved(loop, 1).then(fail).then(lambda v: "not reached", lambda r: ("caught", r))
    loop.run_until_settled(caught)
    assert caught.value == ("caught", reason if reason else thrown)


def test_timers_run_while_someone_waits() -> None:
    loop, promise = EventLoop(), None
    promise = Promise(loop)
    loop.call_later(0.001, lambda: promise.resolve("rang"))
    loop.run_until_settled(promise)
    assert promise.value == "rang"


def test_waiting_for_what_never_comes_ends() -> None:
    loop = EventLoop()
    promise = Promise(loop)
    loop.run_until_settled(promise)
    assert not promise.settled
