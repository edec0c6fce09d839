"""Schemas for other databases, converted to SQLite."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lamdb.cli.main import app
from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.conversion import Converted, convert
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.schema_engine import SchemaEngine

POSTGRES = 'datasource db {\n  provider = "postgresql"\n  url = env("DATABASE_URL")\n}\n'
MYSQL = POSTGRES.replace("postgresql", "mysql")
ENUM = "enum Role {\n  USER\n  ADMIN\n}\n"
OTHER = "model Other {\n  id Int @id\n  as A[]\n}\n"


def converted(text: str, *, push: bool = False) -> tuple[str, Converted]:
    """The schema, which is valid; with `push`, its tables can be made."""
    made = convert({"schema.prisma": text})
    schema = PrismaSchema.parse(made.files)
    if push:
        with SchemaEngine() as engine:
            engine.schema_push(schema)
    return made.files["schema.prisma"], made


def field(line: str, *, head: str = POSTGRES, more: str = "") -> str:
    """The line of a field `x` in its new form, with single spaces."""
    text, _ = converted(f"{head}{ENUM}model A {{\n  id Int @id\n  {line}\n{more}}}\n{other_of(more)}")
    return " ".join(next(each for each in text.split("\n") if each.strip().startswith("x ")).split())


def other_of(more: str) -> str:
    return OTHER if "Other" in more else ""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x String @db.VarChar(20)", "x String"),
        ("x String? @unique @db.Uuid // the key", "x String? @unique // the key"),
        ('x String @default("@db.Text") @db.Text', 'x String @default("@db.Text")'),
        ('x DateTime @default(now()) @db.Timestamptz(6) @map("y")', 'x DateTime @default(now()) @map("y")'),
        ("x String[]", 'x Json @default("[]")'),
        ("x String[] @default([])", 'x Json @default("[]")'),
        ('x String[] @default(["a", "b,c"]) @db.Text', 'x Json @default("[\\"a\\",\\"b,c\\"]")'),
        ("x Role[] @default([USER])", 'x Json @default("[\\"USER\\"]")'),
        ("x Int[] @default([1, -2])", 'x Json @default("[1,-2]")'),
        ('x Unsupported("vector(3)")?', "x String?"),
        ('x Unsupported("tsvector") @default(dbgenerated("to_tsvector(\'a\')"))', "x String?"),
        ('x String @default(dbgenerated("gen_random_uuid()")) @db.Uuid', "x String @default(uuid())"),
        ('x String @default(dbgenerated("uuid_generate_v7()"))', "x String @default(uuid(7))"),
        ("x DateTime @default(dbgenerated(\"timezone('utc', now())\"))", "x DateTime @default(now())"),
        ('x DateTime @default(dbgenerated("CURRENT_TIMESTAMP(3)"))', "x DateTime @default(now())"),
        ("x String @default(dbgenerated(\"'it''s'::text\"))", 'x String @default("it\'s")'),
        ("x Json @default(dbgenerated(\"'{}'::jsonb\"))", 'x Json @default("{}")'),
        ('x Role @default(dbgenerated("\'ADMIN\'::\\"Role\\""))', "x Role @default(ADMIN)"),
        ("x Boolean @default(dbgenerated(\"b'1'\"))", "x Boolean @default(true)"),
        ('x Int @default(dbgenerated("(7)::integer"))', "x Int @default(7)"),
        ("x String @default(dbgenerated(\"make_slug('a')\"))", "x String"),
        ("x String @default(dbgenerated(\"lower('A')\"))", "x String @default(dbgenerated(\"lower('A')\"))"),
        ("x Int @unique @default(autoincrement())", "x Int @unique"),
        ('x String @unique(map: "by_x")', 'x String @unique(map: "by_x")'),
    ],
)
def test_fields(line: str, expected: str) -> None:
    assert field(line) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("@@index([x], type: Hash)", "@@index([x])"),
        ('@@index([x], type: BTree, map: "i")', '@@index([x], map: "i")'),
        ("@@index([x(sort: Desc), id])", "@@index([x(sort: Desc), id])"),
        ('@@index([x(ops: raw("gin_trgm_ops"))], type: Gin)', None),
        ('@@index([x(ops: raw("text_pattern_ops"))])', "@@index([x])"),
        ("@@index([x], type: Brin)", "@@index([x])"),
        ('@@index([x], map: "A")', "@@index([x])"),
        ('@@schema("shop")', None),
        ('@@unique(fields: [x, id], map: "u")', '@@unique(fields: [x, id], map: "u")'),
    ],
)
def test_attributes_of_models(line: str, expected: str | None) -> None:
    text, _ = converted(POSTGRES + f"model A {{\n  id Int @id\n  x  String\n\n  {line}\n}}\n")
    assert [each.strip() for each in text.split("\n") if "@@" in each] == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("head", "model"),
    [
        (MYSQL, "model A {\n  id Int @id\n  x String @db.LongText\n  @@index([x(length: 100)])\n}\n"),
        (MYSQL, "model A {\n  id Int @id\n  x String\n  @@fulltext([x])\n  @@index([x])\n}\n"),
        (MYSQL.replace("\n}", '\n  relationMode = "prisma"\n}'), "model A {\n  id Int @id\n}\n"),
        (POSTGRES.replace("\n}", '\n  extensions = [a, b(map: "c")]\n}'), "model A {\n  id Int @id\n}\n"),
        (POSTGRES, 'model A {\n  a Int\n  b Int\n  @@id([a, b], map: "a_pk")\n}\n'),
        (POSTGRES, "model A {\n  a Int @default(autoincrement())\n  b Int\n  @@id([a, b])\n}\n"),
        (POSTGRES, 'model A {\n  id Int @id(map: "pk") @default(autoincrement()) @db.SmallInt\n}\n'),
        (POSTGRES, "model A {\n  id BigInt @id @default(autoincrement())\n}\n"),
        (POSTGRES, "model A {\n  id Int @id\n  x String\n  @@index([x])\n  @@index([x], type: Hash)\n}\n"),
        (
            POSTGRES,
            "model A {\n  id Int @id\n  oId Int\n"
            "  o Other @relation(fields: [oId], references: [id], onDelete: SetNull, "
            f'map: "fk")\n}}\n{OTHER}',
        ),
        (
            POSTGRES.replace("\n}", '\n  schemas = ["a", "b"]\n}'),
            'model A {\n  id Int @id\n  @@schema("a")\n  @@map("users")\n}\n'
            'model B {\n  id Int @id\n  @@map("users")\n  @@schema("b")\n}\n',
        ),
        (
            POSTGRES,
            'model A {\n  id Int @id\n  @@index([id], map: "same")\n}\n'
            'model B {\n  id Int @id\n  @@index([id], map: "same")\n}\n',
        ),
        (
            POSTGRES.replace("postgresql", "sqlserver"),
            'model A {\n  id Int @id(clustered: false) @db.Int\n  x Int @default(1, map: "d")\n}\n',
        ),
        (POSTGRES.replace("postgresql", "cockroachdb"), "model A {\n  id Int @id @default(sequence())\n}\n"),
    ],
)  # fmt: skip
def test_schemas_are_valid_for_sqlite(head: str, model: str) -> None:
    text, made = converted(head + model, push=True)
    assert made.changes
    assert 'provider = "sqlite"' in text
    assert (head + model).count("\n") - text.count("\n") <= 2


def test_changes_name_file_and_line() -> None:
    files = {
        "main.prisma": POSTGRES + ENUM,
        "user.prisma": "model User {\n  id Int @id\n  // a comment\n  roles Role[]\n"
        "  name String @db.Text\n}\n",
    }
    made = convert(files)
    assert [str(each) for each in made.changes] == [
        'main.prisma:2: provider: "postgresql" is now "sqlite"',
        "main.prisma:3: url: left out, the database is named by --store",
        "user.prisma:4: User.roles: Role[] is now Json",
        "user.prisma:5: User.name: @db.Text is left out",
    ]
    assert "// a comment" in made.files["user.prisma"]


def test_a_schema_for_sqlite_stays_as_it_is() -> None:
    text = 'datasource db {\n  provider = "sqlite"\n}\n\nmodel A {\n  id   Int   @id // x\n  as   A[]\n}\n'
    made = convert({"schema.prisma": text})
    assert (made.files["schema.prisma"], made.changes) == (text, ())


def test_documents_are_no_tables() -> None:
    with pytest.raises(SchemaError, match="mongodb"):
        convert({"schema.prisma": POSTGRES.replace("postgresql", "mongodb") + "model A {\n  id Int @id\n}\n"})


def test_the_command_writes_a_project(tmp_path: Path) -> None:
    source = tmp_path / "prisma"
    (source / "schema").mkdir(parents=True)
    (source / "schema/main.prisma").write_text(POSTGRES + ENUM)
    (source / "schema/a.prisma").write_text("model A {\n  id Int @id\n  roles Role[]\n}\n")
    done = CliRunner().invoke(app, ["schema", "convert", str(source), "--output", str(tmp_path / "database")])
    assert done.exit_code == 0, done.output
    assert "A.roles: Role[] is now Json" in done.stderr
    assert "lamdb migrate create init" in done.stderr
    assert PrismaSchema.load(tmp_path / "database").models == ("A",)


def test_the_command_says_what_is_left_to_do(tmp_path: Path) -> None:
    source = tmp_path / "schema.prisma"
    source.write_text(POSTGRES + "model A {\n  id Int @id\n  x Nope\n}\n")
    done = CliRunner().invoke(app, ["schema", "convert", str(source)])
    assert isinstance(done.exception, SchemaError)
    assert "not valid yet" in done.exception.message
    assert 'provider = "sqlite"' in done.stdout


FAULTY = [
    "enum E { X Y }\n",
    "model A {\n  id Int @id\n  x Nope\n}\n",
    "model A { id Int @id }\n",
    "modle A {\n}\n",
]


@pytest.mark.parametrize("faulty", FAULTY)
def test_a_schema_that_prisma_refuses_is_not_written(tmp_path: Path, faulty: str) -> None:
    source, target = tmp_path / "schema.prisma", tmp_path / "database"
    source.write_text(POSTGRES + faulty + "model Sound {\n  id Int @id\n}\n")
    done = CliRunner().invoke(app, ["schema", "convert", str(source), "--output", str(target)])
    assert isinstance(done.exception, SchemaError)
    assert "nothing was written" in done.exception.message
    assert f"schema.prisma:{POSTGRES.count('\n') + 1 + 2 * ('Nope' in faulty)}\n" in done.exception.message
    assert not target.exists()


@pytest.mark.parametrize(
    "left",
    [
        "/// @lamdb.search nope\nmodel A {\n  id Int @id\n}\n",
        "model A {\n  id Int @id\n  x Decimal @default(1234567890123456789012345678901234567890.123)\n}\n",
    ],
)
def test_what_has_to_be_corrected_by_hand_is_written_and_named(tmp_path: Path, left: str) -> None:
    source, target = tmp_path / "schema.prisma", tmp_path / "database"
    source.write_text(POSTGRES + left)
    done = CliRunner().invoke(app, ["schema", "convert", str(source), "--output", str(target)])
    assert isinstance(done.exception, SchemaError)
    assert "not valid yet" in done.exception.message
    assert "It is not valid yet." in done.stdout
    assert (target / "schema.prisma").exists()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('datasource db { provider = "mysql" relationMode = "prisma" }\n', [1, 1]),
        ('\n\ndatasource db { provider = "mysql"\n url = "x" }\n', [3, 4]),
        ('datasource db\n{\n  relationMode = "prisma"\n  provider = "mysql"\n}\n', [3, 4]),
        ('datasource db {\n  provider = "mysql"\n  url = "x"\n}\n', [2, 3]),
    ],
)
def test_changes_of_the_datasource_have_the_lines_of_the_file(text: str, lines: list[int]) -> None:
    made = convert({"schema.prisma": text + "model A {\n  id Int @id @db.Int\n}\n"})
    assert [each.line for each in made.changes] == [*lines, text.count("\n") + 2]
    assert PrismaSchema.parse(made.files).models == ("A",)
