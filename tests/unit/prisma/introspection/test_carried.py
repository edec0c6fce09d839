"""A store's own schema comes back when its tables are introspected, and when its export is imported."""

from pathlib import Path
from typing import Any

import apsw
import pytest
from typer.testing import CliRunner

from lamdb.cli.main import app
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.introspection.introspect import introspect
from lamdb.prisma.migrate import migrate
from lamdb.prisma.migrate.schema_engine import SchemaEngine

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
ENUM = 'enum Role {\n  USER\n  ADMIN @map("an admin\'s")\n  GUEST // a visitor\n}\n'

FIELDS = {
    "an enum": "x Role @default(USER)",
    "an enum's mapped value": "x Role @default(ADMIN)",
    "an enum without a default": "x Role?",
    "an enum in a mapped column": 'x Role @default(GUEST) @map("y")',
    "the time": "x DateTime @default(now())",
    "a time": 'x DateTime @default("2020-01-02T03:04:05.678Z")',
    "JSON": 'x Json @default("{\\"a\\": [1]}")',
    "bytes": 'x Bytes @default("aGVsbG8=")',
    "an expression": "x String @default(dbgenerated(\"lower('A')\"))",
    "a text": 'x String @default("it\'s \\"x\\"")',
    "numbers": "x Decimal @default(1.5)\n  z BigInt @default(7)\n  b Boolean @default(true)",
    "generated ids": "x String @unique @default(uuid())",
}


def datamodel(schema: PrismaSchema) -> Any:
    """The models without the order of their fields."""
    found = schema.datamodel
    for model in found["models"]:
        model["fields"].sort(key=lambda field: field["name"])
    return sorted(found["models"], key=lambda model: model["name"]), found["enums"]


@pytest.mark.parametrize("line", FIELDS)
def test_defaults_stay(line: str) -> None:
    schema = PrismaSchema.parse(
        f"{HEAD}{ENUM}model A {{\n  id Int @id @default(autoincrement())\n  {FIELDS[line]}\n}}\n"
    )
    with SchemaEngine() as engine:
        engine.schema_push(schema)
        again = introspect(engine.connection, carried=schema)
        assert again.schema is not None
        assert datamodel(again.schema) == datamodel(schema), again.text
        assert not again.findings


def test_a_default_that_is_no_value_of_the_enum_is_an_expression() -> None:
    schema = PrismaSchema.parse(f"{HEAD}{ENUM}model A {{\n  id Int @id\n  x Role @default(USER)\n}}\n")
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE A (id INTEGER NOT NULL PRIMARY KEY, x TEXT NOT NULL DEFAULT 'OWNER')")
    again = introspect(connection, carried=schema)
    assert "dbgenerated(\"'OWNER'\")" in again.text


def test_an_export_brings_its_schema(tmp_path: Path) -> None:
    text = (
        f"// The shop.\n{HEAD}{ENUM}/// People.\n"
        "model User {\n  id String @id @default(cuid())\n  role Role @default(ADMIN)\n  tags Tag[]\n"
        '  @@map("people")\n}\n'
        "model Tag {\n  id Int @id\n  users User[]\n  made DateTime @default(now())\n}\n"
    )
    project = tmp_path / "project"
    project.mkdir()
    (project / "schema.prisma").write_text(text)
    migrate.create(project, "init")
    store, copy = f"file://{tmp_path}/store", str(tmp_path / "copy.db")
    made = str(tmp_path / "made")
    for line in (
        ["migrate", "deploy", "--store", store, "--database", str(project)],
        ["export", copy, "--store", store],
        ["import", copy, "--store", f"file://{tmp_path}/other", "--database", made],
    ):
        done = CliRunner().invoke(app, line)
        assert done.exit_code == 0, done.output
    imported = Path(made, "schema.prisma").read_text()
    assert imported == text
    assert datamodel(PrismaSchema.parse(imported)) == datamodel(PrismaSchema.parse(text))
