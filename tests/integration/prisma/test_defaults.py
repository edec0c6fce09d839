# ruff: noqa: E501 - tables
"""Values of every kind of default: in rows that a migration fills, by SQL and by the API; and that the next
migration has nothing to do."""

from typing import Any

import apsw
import pytest

from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.schema_engine import SchemaEngine
from lamdb.prisma.query.engine import QueryEngine

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n\n'
ENUM = 'enum Colour {\n  RED\n  BLUE @map("bl\'ue")\n}\n\n'
BEFORE = HEAD + ENUM + "model A {\n  id Int @id\n}\n"
ANY = object()

# Each with what the API answers of it.
DEFAULTS: list[tuple[str, Any]] = [
    ('String @default("it\'s")', "it's"),
    (r'String @default("a \"b\" \\ (c")', 'a "b" \\ (c'),
    ('String @default("")', ""),
    ("String @default(dbgenerated(\"(lower('X'))\"))", "x"),
    ("String @default(dbgenerated(\"lower('X')\"))", "x"),
    ("String @default(dbgenerated(\"'it''s (so)'\"))", "it's (so)"),
    (r'String @default(dbgenerated("(lower(hex(randomblob(4))))"))', ANY),
    ('String @default(dbgenerated("CURRENT_TIMESTAMP"))', ANY),
    ('Colour @default(BLUE)', "BLUE"),
    ("Colour @default(dbgenerated(\"'RED'\"))", "RED"),
    ("Int @default(-5)", -5),
    ('Int @default(dbgenerated("(1+1)"))', 2),
    ('Int @default(dbgenerated("7"))', 7),
    ('Int @default(dbgenerated("(unixepoch())"))', ANY),
    ("BigInt @default(9223372036854775807)", "9223372036854775807"),
    ('BigInt @default(dbgenerated("(1 << 40)"))', str(1 << 40)),
    ("Float @default(0.1)", 0.1),
    ('Float @default(dbgenerated("(1.0/4)"))', 0.25),
    ("Decimal @default(2.50)", "2.5"),
    ('Decimal @default(dbgenerated("1.25"))', "1.25"),
    ("Boolean @default(true)", True),
    ("Boolean @default(false)", False),
    ('Boolean @default(dbgenerated("1"))', True),
    ('Boolean @default(dbgenerated("(1 = 2)"))', False),
    ("DateTime @default(now())", ANY),
    ('DateTime @default("1900-01-01T00:00:00Z")', "1900-01-01T00:00:00.000Z"),
    ('DateTime @default("2020-02-03T04:05:06.789+02:00")', "2020-02-03T02:05:06.789Z"),
    ('DateTime @default(dbgenerated("CURRENT_TIMESTAMP"))', ANY),
    ("DateTime @default(dbgenerated(\"(datetime('now', '+1 day'))\"))", ANY),
    ("DateTime @default(dbgenerated(\"'2020-01-01'\"))", "2020-01-01T00:00:00.000Z"),
    ('DateTime @default(dbgenerated("1700000000000"))', "2023-11-14T22:13:20.000Z"),
    ('DateTime @default(dbgenerated("(1700000000 * 1000)"))', "2023-11-14T22:13:20.000Z"),
    ('Json @default("{}")', "{}"),
    (r'Json @default("{\"k\":1}")', '{"k":1}'),
    (r'Json @default("{ \"k\": [1, 2], \"b\": \"c d\" }")', '{"k":[1,2],"b":"c d"}'),
    ('Json @default("[]")', "[]"),
    ('Json @default("[1]")', "[1]"),
    ('Json @default("null")', "null"),
    ('Json @default("true")', "true"),
    ('Json @default("1")', "1"),
    (r'Json @default("\"x\"")', '"x"'),
    (r'Json @default("\"say \\\"x\\\"\"")', '"say \\"x\\""'),
    ("Json @default(dbgenerated(\"(json_array(1, 2))\"))", "[1,2]"),
    ('Bytes @default("aGVsbG8=")', "aGVsbG8="),
    ('Bytes @default("")', ""),
    ("Bytes @default(dbgenerated(\"x'00ff'\"))", "AP8="),
    ('Bytes @default(dbgenerated("(zeroblob(2))"))', "AAA="),
]  # fmt: skip


SINGLE = ["DateTime @default(now())", 'Json @default("[]")', 'Bytes @default("aGVsbG8=")', "Int @default(3)"]


def optional(default: str) -> str:
    type_, _, rest = default.partition(" ")
    return f"{type_}? {rest}"


def schema(*defaults: str) -> PrismaSchema:
    """One model with the fields f, f1, f2, …"""
    fields = "".join(f"  f{number or ''} {default}\n" for number, default in enumerate(defaults))
    return PrismaSchema.parse(f"{HEAD}{ENUM}model A {{\n  id Int @id\n{fields}}}\n")


def run(schema: PrismaSchema, connection: apsw.Connection, action: str, arguments: dict[str, Any]) -> Any:
    names = [field["name"] for field in schema.datamodel["models"][0]["fields"]]
    query = {"arguments": arguments, "selection": dict.fromkeys(names, True)}
    return QueryEngine(schema).run(connection, {"modelName": "A", "action": action, "query": query})


def migrations_to(after: PrismaSchema) -> list[Migration]:
    with SchemaEngine() as engine:
        history = [Migration("1_before", engine.diff(None, PrismaSchema.parse(BEFORE)))]
        migrate.apply_migrations(engine.connection, history)
        script = engine.create_migration("after", history, after)
    assert script is not None
    history.append(Migration("2_after", script))
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, history)
        assert engine.create_migration("again", history, after) is None
    return history


ALL = [default for default, _ in DEFAULTS]


@pytest.mark.parametrize(
    "fields",
    [ALL, list(map(optional, ALL)), *([optional(each)] for each in SINGLE)],
    ids=["required", "optional", *SINGLE],
)
def test_a_default_is_the_same_whoever_fills_it_in(fields: list[str]) -> None:
    after = schema(*fields)
    history = migrations_to(after)
    connection = apsw.Connection(":memory:")
    migrate.apply_migrations(connection, history[:1])
    connection.execute("INSERT INTO A (id) VALUES (1), (2)")
    migrate.apply_migrations(connection, history)
    connection.execute("INSERT INTO A (id) VALUES (3)")
    run(after, connection, "createOne", {"data": {"id": 4}})
    rows = run(after, connection, "findMany", {})
    assert len(rows) == 4
    expected = {optional(each) if "?" in fields[0] else each: answer for each, answer in DEFAULTS}
    for number, field in enumerate(fields):
        name = f"f{number or ''}"
        found = [row[name] for row in rows]
        assert None not in found, field
        assert expected.get(field, ANY) is ANY or found == [expected[field]] * 4, field
        # SQLite compares what it stored, not what is read of it.
        stored = f"SELECT DISTINCT typeof({name}), length({name}) FROM A"
        assert len(connection.execute(stored).fetchall()) == 1, field


def test_a_pushed_schema_is_there() -> None:
    connection = apsw.Connection(":memory:")
    pushed = schema(*ALL)
    assert migrate.push(connection, pushed).executed_steps > 0
    assert migrate.push(connection, pushed).executed_steps == 0
    connection.execute("INSERT INTO A (id) VALUES (1)")
    (row,) = run(pushed, connection, "findMany", {})
    for (field, expected), found in zip(DEFAULTS, list(row.values())[1:], strict=True):
        assert expected is ANY or found == expected, field


# What Prisma's own scripts say, and whether it means the default of the schema.
CLAUSES = [
    ("DateTime @default(now())", "DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP", True),
    ("DateTime @default(now())", "DATETIME NOT NULL DEFAULT '2020-01-01 00:00:00 +00:00'", False),
    ('DateTime @default("2020-01-01T00:00:00Z")', "DATETIME NOT NULL DEFAULT '2020-01-01 00:00:00 +00:00'", True),
    ('DateTime @default("2020-01-01T00:00:00Z")', "DATETIME NOT NULL DEFAULT '2020-01-01 00:00:00 +02:00'", False),
    ('DateTime @default("2020-01-01T00:00:00Z")', "DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP", False),
    ("DateTime @default(dbgenerated(\"(datetime('now', '+1 day'))\"))", "DATETIME NOT NULL DEFAULT (datetime('now', '+1 day'))", True),
    ("DateTime @default(dbgenerated(\"(datetime('now', '+1 day'))\"))", "DATETIME NOT NULL DEFAULT (datetime('now', '+2 day'))", False),
    ('Json @default("[]")', "JSONB NOT NULL DEFAULT []", True),
    ('Json @default("[]")', "JSONB NOT NULL DEFAULT '[]'", True),
    ('Json @default("[]")', "JSONB NOT NULL DEFAULT '{}'", False),
    ('Json @default("[]")', "JSONB NOT NULL", False),
    ('Json @default("null")', "JSONB NOT NULL DEFAULT null", True),
    ("Json", "JSONB NOT NULL DEFAULT []", False),
    ('Bytes @default("aGVsbG8=")', "BLOB NOT NULL DEFAULT '68656c6c6f'", True),
    ('Bytes @default("aGVsbG8=")', "BLOB NOT NULL DEFAULT X'68656C6C6F'", True),
    ('Bytes @default("aGVsbG8=")', "BLOB NOT NULL DEFAULT '68656c6c6e'", False),
    ('Int @default(dbgenerated("(1+1)"))', "INTEGER NOT NULL DEFAULT (1+1)", True),
    ('Int @default(dbgenerated("(1+1)"))', "INTEGER NOT NULL DEFAULT (1+2)", False),
]  # fmt: skip


@pytest.mark.parametrize(("field", "column", "same"), CLAUSES)
def test_columns_that_prisma_made_are_compared_by_what_they_mean(field: str, column: str, same: bool) -> None:
    script = f'CREATE TABLE "A" ("id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "f" {column});'
    with SchemaEngine() as engine:
        found = engine.diff([Migration("1", script)], schema(field), script=False)
    assert found.startswith("No difference") == same
    assert "lamdb_default" not in found


def test_tables_are_alike_whoever_wrote_their_defaults() -> None:
    ours = "CREATE TABLE A (id INTEGER PRIMARY KEY, at DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now')))"
    theirs = "CREATE TABLE A (id INTEGER PRIMARY KEY, at DATETIME DEFAULT CURRENT_TIMESTAMP)"
    other = "CREATE TABLE A (id INTEGER PRIMARY KEY, at DATETIME DEFAULT '2020-01-01')"
    with SchemaEngine() as engine:
        same = engine.diff([Migration("1", ours)], [Migration("1", theirs)], script=False)
        unlike = engine.diff([Migration("1", ours)], [Migration("1", other)], script=False)
    assert same.startswith("No difference")
    assert "A" in unlike
    assert not unlike.startswith("No difference")


@pytest.mark.parametrize(
    ("field", "part"),
    [
        ('Int @default(dbgenerated("(nope())"))', "nope"),
        ('String @default(dbgenerated("(select 1)"))', "syntax error"),
        ('Int @default(dbgenerated("(id + 1)"))', "not constant"),
        ('String @default(dbgenerated("(1"))', "syntax"),
        ("DateTime @default(dbgenerated(\"'soon'\"))", "not a date and time"),
    ],
)
def test_a_default_that_does_not_run_is_named(field: str, part: str) -> None:
    broken = schema(field)
    with pytest.raises(MigrationError, match=r"A\.f") as pushed:
        migrate.push(apsw.Connection(":memory:"), broken)
    assert part in pushed.value.message
    with SchemaEngine() as engine, pytest.raises(MigrationError, match=r"A\.f"):
        engine.create_migration("after", [], broken)


@pytest.mark.parametrize(
    ("line", "made"),
    [
        ("f DateTime // @default(now())", "DATETIME NOT NULL\n"),
        ('f DateTime @default(now()) // not @default(dbgenerated("0"))', "strftime"),
        ('f String @map("@default(now())")', "TEXT NOT NULL\n"),
        ('f   Json   @default( "[]" )   @map("g")', "DEFAULT '[]'"),
        ("f DateTime @default(now())\r", "strftime"),
    ],
)
def test_a_default_is_found_where_it_stands(line: str, made: str) -> None:
    schema = PrismaSchema.parse(f"{HEAD}model A {{\n  id Int @id\n  {line}\n}}\n")
    with SchemaEngine() as engine:
        assert made in engine.diff(None, schema)


def test_enums_of_another_file_are_known() -> None:
    files = {
        "a.prisma": HEAD + "model A {\n  id Int @id\n  f Colour @default(dbgenerated(\"'RED'\"))\n}\n",
        "b.prisma": ENUM,
    }
    connection = apsw.Connection(":memory:")
    schema = PrismaSchema.parse(files)
    migrate.push(connection, schema)
    assert migrate.push(connection, schema).executed_steps == 0
    connection.execute("INSERT INTO A (id) VALUES (1)")
    assert connection.execute("SELECT f FROM A").get == "RED"


BIG = HEAD + (
    "model Car {\n  id BigInt @id @default(autoincrement())\n  name String\n  wheels Wheel[]\n}\n\n"
    "model Wheel {\n  id Int @id @default(autoincrement())\n  carId BigInt\n"
    "  car Car @relation(fields: [carId], references: [id])\n}\n"
)


@pytest.mark.parametrize("renamed", ["id", "number"])
def test_the_database_counts_in_bigints(renamed: str) -> None:
    text = (
        BIG
        if renamed == "id"
        else BIG.replace(
            "@id @default(autoincrement())\n  name", '@id @default(autoincrement()) @map("number")\n  name'
        )
    )
    big = PrismaSchema.parse(text)
    connection = apsw.Connection(":memory:")
    with SchemaEngine() as engine:
        script = engine.create_migration("init", [], big)
        assert script is not None
    history = [Migration("1", script)]
    migrate.apply_migrations(connection, history)
    connection.execute("PRAGMA foreign_keys = ON")
    made = QueryEngine(big).run(
        connection,
        {
            "modelName": "Car",
            "action": "createOne",
            "query": {
                "arguments": {"data": {"name": "x", "wheels": {"create": [{}, {}]}}},
                "selection": {"id": True, "wheels": {"arguments": {}, "selection": {"carId": True}}},
            },
        },
    )
    assert made == {"id": "1", "wheels": [{"carId": "1"}, {"carId": "1"}]}
    connection.execute(f"UPDATE sqlite_sequence SET seq = {1 << 40} WHERE name = 'Car'")
    connection.execute("INSERT INTO Car (name) VALUES ('y')")
    assert connection.execute(f"SELECT max({renamed}) FROM Car").get == (1 << 40) + 1
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, history)
        assert engine.create_migration("again", history, big) is None


def test_a_bigint_id_that_prisma_made_gets_to_count() -> None:
    old = Migration("1", 'CREATE TABLE "Car" ("id" BIGINT NOT NULL PRIMARY KEY, "name" TEXT NOT NULL);')
    model = "model Car {{\n  id BigInt @id {}\n  name String\n}}\n"
    counted = PrismaSchema.parse(HEAD + model.format("@default(autoincrement())"))
    plain = PrismaSchema.parse(HEAD + model.format(""))
    connection = apsw.Connection(":memory:")
    migrate.apply_migrations(connection, [old])
    connection.execute("INSERT INTO Car VALUES (5, 'x')")
    with SchemaEngine() as engine:
        migrate.apply_migrations(engine.connection, [old])
        assert engine.create_migration("no", [old], plain) is None
        script = engine.create_migration("counted", [old], counted)
    assert script is not None
    migrate.apply_migrations(connection, [old, Migration("2", script)])
    connection.execute("INSERT INTO Car (name) VALUES ('y')")
    assert connection.execute("SELECT id, name FROM Car ORDER BY id").fetchall() == [(5, "x"), (6, "y")]
