# ruff: noqa: E501 - tables
"""One form in every column: the values that are converted, those that are not, and SQLite's behaviour
meanwhile."""

from typing import Any

import apsw
import pytest

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.datamodel.stored_forms import find_deviations
from lamdb.prisma.migrate.settling import SettledColumn, needs_settling, settle, settle_times
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.sqlite.default_text import with_defaults

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
ENUM = 'enum Colour {\n  RED\n  BLUE @map("bl\'ue")\n}\n\n'
TYPES = {
    "DateTime": "DATETIME", "Boolean": "BOOLEAN", "Int": "INTEGER", "BigInt": "BIGINT", "Float": "REAL",
    "Decimal": "DECIMAL", "String": "TEXT", "Json": "JSONB", "Bytes": "BLOB", "Colour": "TEXT",
}  # fmt: skip

# (type, what SQL writes, what is stored behind it; None if it cannot be converted)
VALUES = [
    ("DateTime", "1700000000000", "2023-11-14T22:13:20.000+00:00"),
    ("DateTime", "0", "1970-01-01T00:00:00.000+00:00"),
    ("DateTime", "-86400000", "1969-12-31T00:00:00.000+00:00"),
    ("DateTime", "1700000000123.0", "2023-11-14T22:13:20.123+00:00"),
    ("DateTime", "'2025-06-15 12:00:00'", "2025-06-15T12:00:00.000+00:00"),
    ("DateTime", "'2025-06-15 12:00:00.5'", "2025-06-15T12:00:00.500+00:00"),
    ("DateTime", "'2025-06-15 12:00'", "2025-06-15T12:00:00.000+00:00"),
    ("DateTime", "'2025-06-15 12:00:00 +02:00'", "2025-06-15T10:00:00.000+00:00"),
    ("DateTime", "'2025-06-15T12:00:00.123456Z'", "2025-06-15T12:00:00.123+00:00"),
    ("DateTime", "'2025-06-15T12:00:00-0530'", "2025-06-15T17:30:00.000+00:00"),
    ("DateTime", "'2025-06-15'", "2025-06-15T00:00:00.000+00:00"),
    ("DateTime", "'2025-06-15T12:00:00.000+00:00'", "2025-06-15T12:00:00.000+00:00"),
    ("DateTime", "'soon'", None),
    ("DateTime", "''", None),
    ("DateTime", "2460000.5", None),
    ("DateTime", "9223372036854775807", None),
    ("DateTime", "x'00'", None),
    ("Boolean", "'true'", 1),
    ("Boolean", "'f'", 0),
    ("Boolean", "'No'", 0),
    ("Boolean", "2", None),
    ("Boolean", "'maybe'", None),
    ("Int", "'12'", 12),
    ("Int", "2147483648", None),
    ("Int", "1.5", None),
    ("Int", "'twelve'", None),
    ("BigInt", "1.5", None),
    ("BigInt", "9007199254740993", 9007199254740993),
    ("Float", "9e999", None),
    ("Float", "'a half'", None),
    ("Decimal", "'1.50'", 1.5),
    ("Decimal", "x'31'", None),
    ("String", "x'616263'", "abc"),
    ("String", "x'ff'", None),
    ("Json", "' { \"a\" : [1, 2] }'", '{"a":[1,2]}'),
    ("Json", "'[1]'", "[1]"),
    ("Json", "1.5", 1.5),
    ("Json", "'{bad'", None),
    ("Json", "x'5b315d'", "[1]"),
    ("Json", "jsonb('[1,2]')", "[1,2]"),
    ("Bytes", "'abc'", b"abc"),
    ("Bytes", "12", b"12"),
    ("Bytes", "x'00'", b"\0"),
    ("Colour", "'RED'", "RED"),
    ("Colour", "'bl''ue'", "bl'ue"),
    ("Colour", "'BLUE'", None),
]


def files(*fields: str) -> tuple[tuple[str, str], ...]:
    body = "".join(f"  {field}\n" for field in ("id Int @id", *fields))
    return (("schema.prisma", f"{HEAD}{ENUM}model A {{\n{body}}}\n"),)


def table(definition: str) -> apsw.Connection:
    connection = apsw.Connection(":memory:")
    connection.execute(f"CREATE TABLE A (id INTEGER PRIMARY KEY, {definition})")
    return connection


@pytest.mark.parametrize("type_", TYPES)
def test_what_reads_as_a_value_of_the_type_is_stored_in_its_form(type_: str) -> None:
    connection = table(f"f {TYPES[type_]}")
    cases = [(written, stored) for kind, written, stored in VALUES if kind == type_]
    before: list[Any] = []
    for number, (written, _) in enumerate(cases):
        connection.execute(f"INSERT INTO A VALUES ({number}, {written})")
    connection.execute("INSERT INTO A VALUES (1000, NULL)")
    before = [value for (value,) in connection.execute("SELECT f FROM A ORDER BY id").fetchall()]
    schema = files(f"f {type_}?")
    settled = settle(connection, schema)
    after = [value for (value,) in connection.execute("SELECT f FROM A ORDER BY id").fetchall()]
    expected = [
        old if new is None else new for old, (_, new) in zip(before, [*cases, ("", None)], strict=True)
    ]
    assert list(map(repr, after)) == list(map(repr, expected))
    left = sum(stored is None for _, stored in cases)
    changed = sum(repr(old) != repr(new) for old, new in zip(before, after, strict=True))
    assert (sum(each.left for each in settled), sum(each.converted for each in settled)) == (left, changed)
    assert sum(each.values for each in find_deviations(connection, schema)) == left
    # What cannot be converted is only reported again.
    assert [each.converted for each in settle(connection, schema)] == [0] * bool(left)


@pytest.mark.parametrize("written", [written for kind, written, new in VALUES if kind == "DateTime" and new])
def test_a_time_is_found_by_filters_afterwards_and_reads_as_before(written: str) -> None:
    connection = table("f DATETIME")
    connection.execute(f"INSERT INTO A VALUES (1, {written}), (2, '2100-01-01T00:00:00.000+00:00')")
    schema = files("f DateTime?")
    engine = QueryEngine(PrismaSchema.parse(dict(schema)))

    def ask(**arguments: Any) -> list[Any]:
        query = {"arguments": arguments, "selection": {"id": True, "f": True}}
        return engine.run(connection, {"modelName": "A", "action": "findMany", "query": query})  # type: ignore[no-any-return]

    read = ask(orderBy=[{"id": "asc"}])
    settle(connection, schema)
    assert ask(orderBy=[{"id": "asc"}]) == read
    assert ask(where={"f": {"equals": read[0]["f"]}}) == read[:1]
    assert ask(where={"f": {"lt": "2099-01-01T00:00:00Z"}}) == read[:1]
    assert ask(orderBy=[{"f": "desc"}]) == read[::-1]


def test_two_forms_of_one_time_stay_where_they_must_be_unique() -> None:
    connection = table("f DATETIME UNIQUE, g DATETIME")
    connection.execute("INSERT INTO A VALUES (1, 0, 0), (2, '1970-01-01 00:00:00', 1)")
    schema = files("f DateTime? @unique", "g DateTime?")
    f, g = settle(connection, schema)
    assert (f.column, f.converted, f.left) == ("f", 0, 2)
    assert f.reason is not None
    assert "UNIQUE" in f.reason
    assert (g.column, g.converted, g.left) == ("g", 2, 0)
    assert "UNIQUE" in str(f)


def test_columns_that_refer_to_one_another_are_converted_together() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(
        "PRAGMA foreign_keys = ON; CREATE TABLE P (at DATETIME PRIMARY KEY);"
        "CREATE TABLE C (id INTEGER PRIMARY KEY, at DATETIME REFERENCES P (at));"
        "INSERT INTO P VALUES (0), (1000); INSERT INTO C VALUES (1, 0), (2, 1000)"
    )
    text = (
        "model P {\n  at DateTime @id\n  cs C[]\n}\nmodel C {\n  id Int @id\n  at DateTime?\n"
        "  p P? @relation(fields: [at], references: [at])\n}\n"
    )
    settled = settle(connection, (("s", HEAD + text),))
    assert [(each.table, each.converted, each.left) for each in settled] == [("P", 2, 0), ("C", 2, 0)]
    assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
    assert connection.execute("PRAGMA foreign_keys").get == 1


def test_triggers_do_not_run_and_go_on_running() -> None:
    connection = table("f DATETIME, changed INTEGER DEFAULT 0")
    connection.execute(
        "CREATE TRIGGER t AFTER UPDATE ON A BEGIN UPDATE A SET changed = changed + 1 WHERE id = new.id; END;"
        "INSERT INTO A (id, f) VALUES (1, 0)"
    )
    settle(connection, files("f DateTime?", "changed Int"))
    assert connection.execute("SELECT changed FROM A").get == 0
    connection.execute("UPDATE A SET f = NULL")
    assert connection.execute("SELECT changed FROM A").get == 1


def test_only_the_tables_named_are_looked_at() -> None:
    connection = table("f DATETIME")
    connection.execute("INSERT INTO A VALUES (1, 0)")
    assert settle(connection, files("f DateTime?"), {"b"}) == ()
    assert len(settle(connection, files("f DateTime?"), {"a"})) == 1


def test_views_and_what_is_not_there_are_left_alone() -> None:
    connection = table("f DATETIME")
    connection.execute("CREATE VIEW V AS SELECT id, f FROM A")
    text = "model V {\n  id Int @id\n  f DateTime\n}\nmodel Gone {\n  id Int @id\n  f DateTime\n}\n"
    assert settle(connection, (("s", HEAD + text),)) == ()


def test_generated_columns_are_left_alone() -> None:
    connection = table("f TEXT, g DATETIME GENERATED ALWAYS AS (date(f)) STORED")
    connection.execute("INSERT INTO A (id, f) VALUES (1, '2025-01-01')")
    assert settle(connection, files("f String", "g DateTime?")) == ()


DEFAULTS = [
    ("DateTime @default(now())", "DATETIME DEFAULT CURRENT_TIMESTAMP"),
    ('DateTime @default("1900-01-01T00:00:00Z")', "DATETIME DEFAULT '1900-01-01 00:00:00 +00:00'"),
    ('Json @default("[]")', "JSONB NOT NULL DEFAULT []"),
    ('Json @default("[1]")', "JSONB DEFAULT [1]"),
    (r'Json @default("\"it\"")', 'JSONB DEFAULT "it"'),
    ('Json @default("true")', "JSONB DEFAULT true"),
    ('Bytes @default("aGVsbG8=")', "BLOB DEFAULT '68656c6c6f'"),
]


@pytest.mark.parametrize(("field", "column"), DEFAULTS)
def test_what_prismas_clauses_filled_in_is_what_was_meant(field: str, column: str) -> None:
    connection = table(f"{'f'} {column}, name TEXT DEFAULT 'f DEFAULT x' /* f DEFAULT y, */")
    connection.execute("INSERT INTO A (id) VALUES (1), (2); CREATE INDEX i ON A (f)")
    schema = files(f"f {field}", 'name String @default("f DEFAULT x")')
    assert needs_settling(connection, schema)
    connection.execute("BEGIN")
    settled = settle(connection, schema)
    connection.execute("COMMIT")
    assert [(each.column, each.converted, each.left) for each in settled] == [("f", 2, 0)]
    assert not needs_settling(connection, schema)
    # SQLite itself writes the right form from now on, and the API the same.
    connection.execute("INSERT INTO A (id) VALUES (3)")
    engine = QueryEngine(PrismaSchema.parse(dict(schema)))
    for action, arguments in (("createOne", {"data": {"id": 4}}), ("findMany", {})):
        query = {"arguments": arguments, "selection": {"id": True, "f": True, "name": True}}
        answer = engine.run(connection, {"modelName": "A", "action": action, "query": query})
    if "now()" not in field:
        assert len({str(row["f"]) for row in answer}) == 1
    assert {row["name"] for row in answer} == {"f DEFAULT x"}
    assert len(connection.execute("SELECT DISTINCT typeof(f), length(f) FROM A").fetchall()) == 1
    assert connection.execute("PRAGMA integrity_check").get == "ok"


def test_nothing_is_left_of_it_if_the_transaction_is_rolled_back() -> None:
    connection = table("f DATETIME DEFAULT CURRENT_TIMESTAMP")
    connection.execute("INSERT INTO A (id) VALUES (1)")
    tables = connection.execute("SELECT sql FROM sqlite_schema").fetchall()
    rows = connection.execute("SELECT * FROM A").fetchall()
    connection.execute("BEGIN")
    assert settle(connection, files("f DateTime @default(now())"))
    connection.execute("ROLLBACK")
    assert connection.execute("SELECT sql FROM sqlite_schema").fetchall() == tables
    assert connection.execute("SELECT * FROM A").fetchall() == rows
    connection.execute("INSERT INTO A (id) VALUES (2)")
    assert connection.execute("SELECT length(f) FROM A WHERE id = 2").get == 19


def test_another_connection_sees_the_default(tmp_path: Any) -> None:
    one, two = apsw.Connection(str(tmp_path / "a.db")), apsw.Connection(str(tmp_path / "a.db"))
    one.execute("CREATE TABLE A (id INTEGER PRIMARY KEY, f DATETIME DEFAULT CURRENT_TIMESTAMP)")
    two.execute("INSERT INTO A (id) VALUES (1)")
    settle(one, files("f DateTime @default(now())"))
    two.execute("INSERT INTO A (id) VALUES (2)")
    assert [len(f) for (f,) in two.execute("SELECT f FROM A").fetchall()] == [29, 29]


@pytest.mark.parametrize(
    ("sql", "changed"),
    [
        ("CREATE TABLE t (a DEFAULT 1, b DEFAULT 2)", "CREATE TABLE t (a DEFAULT NEW, b DEFAULT 2)"),
        (
            "CREATE TABLE t (b DEFAULT 2, a TEXT DEFAULT -1.5 NOT NULL)",
            "CREATE TABLE t (b DEFAULT 2, a TEXT DEFAULT NEW NOT NULL)",
        ),
        (
            'CREATE TABLE "a" ("A" DEFAULT (f(1, (2))) CHECK (a > 1))',
            'CREATE TABLE "a" ("A" DEFAULT NEW CHECK (a > 1))',
        ),
        (
            "CREATE TABLE t ([a] NUMERIC(1, 2) DEFAULT\n/* x */ 'it''s, DEFAULT' , b)",
            "CREATE TABLE t ([a] NUMERIC(1, 2) DEFAULT\n/* x */ NEW , b)",
        ),
        (
            "CREATE TABLE t (`a` DEFAULT x'00', b CHECK (b <> 'a DEFAULT 1'))",
            "CREATE TABLE t (`a` DEFAULT NEW, b CHECK (b <> 'a DEFAULT 1'))",
        ),
        (
            "CREATE TABLE t (x DEFAULT [a], a DEFAULT [] NOT NULL, -- DEFAULT 1\n c)",
            "CREATE TABLE t (x DEFAULT [a], a DEFAULT NEW NOT NULL, -- DEFAULT 1\n c)",
        ),
        ("CREATE TABLE t (b DEFAULT 1, a)", "CREATE TABLE t (b DEFAULT 1, a)"),
    ],
)
def test_the_clause_of_one_column_is_replaced(sql: str, changed: str) -> None:
    assert with_defaults(sql, {"a": "NEW"}) == changed


PRISMA_6 = 'CREATE TABLE "Visit" (\n    "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,\n    "at" DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP,\n    "seen" DATETIME\n)'


def test_times_of_a_file_that_prisma_made_are_converted_without_a_schema() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(PRISMA_6)
    connection.execute(
        "INSERT INTO Visit VALUES (1, 1700000000000, NULL), (2, '2025-06-15 12:00:00', 'soon')"
    )
    assert settle_times(connection) == (SettledColumn("Visit", "at", "DateTime", 2, 0, "1700000000000"),)
    assert connection.execute("SELECT at, seen FROM Visit").fetchall() == [
        ("2023-11-14T22:13:20.000+00:00", None),
        ("2025-06-15T12:00:00.000+00:00", "soon"),
    ]


def test_times_of_other_programs_keep_their_form() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute(f"{PRISMA_6}; CREATE TABLE other (id integer primary key, at DATETIME)")
    connection.execute("INSERT INTO Visit VALUES (1, 1700000000, NULL)")
    assert settle_times(connection) == ()


@pytest.mark.parametrize("type_", ["DateTime", "Json", "Bytes", "Boolean", "Colour"])
def test_text_that_is_not_utf_8_stays_and_is_told(type_: str) -> None:
    connection = table(f"f {TYPES[type_]}, g DATETIME")
    connection.execute("INSERT INTO A VALUES (1, CAST(x'ff' AS TEXT), 0)")
    settled = settle(connection, files(f"f {type_}?", "g DateTime?"))
    found = {each.column: (each.converted, each.left) for each in settled}
    assert found == {"f": (0, 1), "g": (1, 0)}
    assert connection.execute("SELECT hex(CAST(f AS BLOB)) FROM A").get == "FF"


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ("f DATETIME CHECK (typeof(f) = 'integer')) --", "CHECK"),
        ("f INTEGER) STRICT --", "cannot store TEXT"),
    ],
)
def test_what_a_constraint_forbids_stays(definition: str, reason: str) -> None:
    connection = table(definition)
    connection.execute("INSERT INTO A VALUES (1, 0)")
    (found,) = settle(connection, files("f DateTime?"))
    assert (found.converted, found.left) == (0, 1)
    assert reason in (found.reason or "")
    assert connection.execute("SELECT f FROM A").get == 0


def test_tables_without_rowids_are_converted_too() -> None:
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE A (at DATETIME, n INTEGER, PRIMARY KEY (at, n)) WITHOUT ROWID")
    connection.execute("INSERT INTO A VALUES (0, 1), (0, 2), (1000, 1)")
    text = "model A {\n  at DateTime\n  n Int\n  @@id([at, n])\n}\n"
    (found,) = settle(connection, (("s", HEAD + text),))
    assert (found.converted, found.left) == (3, 0)
    assert connection.execute("PRAGMA integrity_check").get == "ok"
