"""Schemas: what is accepted, and what Prisma says of what is not."""

import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from lamdb.errors import EngineError, SchemaError
from lamdb.prisma.datamodel.schema import PrismaSchema, SchemaTools, format_schema, lint_schema

DATASOURCE = 'datasource db {\n  provider = "sqlite"\n}\n'
USER = "model User {\n  id Int @id\n  email String @unique\n}\n"
BLOG = (
    DATASOURCE
    + """
enum Role {
  ADMIN
  READER @map("reader")
}

model Author {
  id    Int     @id @default(autoincrement())
  name  String  @map("full_name")
  role  Role    @default(READER)
  posts Post[]

  @@map("authors")
}

model Post {
  id       String @id @default(uuid())
  title    String
  authorId Int
  author   Author @relation(fields: [authorId], references: [id])
}
"""
)


def refused(files: str | dict[str, str]) -> SchemaError:
    with pytest.raises(SchemaError) as caught:
        PrismaSchema.parse(files)
    return caught.value


# What is accepted.


def test_a_schema_has_its_text_models_and_description() -> None:
    schema = PrismaSchema.parse(BLOG)
    assert schema.text == BLOG
    assert schema.models == ("Author", "Post")
    author = schema.dmmf["datamodel"]["models"][0]
    assert (author["name"], author["dbName"]) == ("Author", "authors")
    assert schema.dmmf["datamodel"]["enums"][0]["values"][1] == {"name": "READER", "dbName": "reader"}
    operations = {m["model"]: m for m in schema.dmmf["mappings"]["modelOperations"]}
    assert operations["Post"]["findMany"] == "findManyPost"
    assert schema.config["datasources"][0]["provider"] == "sqlite"


def test_the_cheap_datamodel_is_that_of_the_dmmf() -> None:
    schema = PrismaSchema.parse(BLOG)
    assert schema.datamodel == schema.dmmf["datamodel"]


def test_several_files_make_one_schema() -> None:
    files = {
        "main.prisma": DATASOURCE + "model A {\n  id Int @id\n  bs B[]\n}\n",
        "b.prisma": "model B {\n  id Int @id\n  aId Int\n"
        "  a A @relation(fields: [aId], references: [id])\n}\n",
    }
    schema = PrismaSchema.parse(files)
    assert set(schema.models) == {"A", "B"}
    assert PrismaSchema.parse(schema.text).models == schema.models


def test_a_generator_and_preview_features_do_no_harm() -> None:
    generator = (
        'generator client {\n  provider = "prisma-client"\n  output = "../out"\n'
        '  previewFeatures = ["views"]\n}\n'
    )
    assert PrismaSchema.parse(DATASOURCE + generator + USER).models == ("User",)


def test_windows_line_ends_are_accepted() -> None:
    assert PrismaSchema.parse(BLOG.replace("\n", "\r\n")).models == ("Author", "Post")


def test_a_directory_is_loaded_with_its_subdirectories(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(DATASOURCE + USER)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tag.prisma").write_text("model Tag {\n  id Int @id\n}\n")
    (tmp_path / "notes.txt").write_text("not a schema")
    assert set(PrismaSchema.load(tmp_path).models) == {"User", "Tag"}
    assert PrismaSchema.load(tmp_path / "schema.prisma").models == ("User",)


def test_faults_in_a_directory_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_text(DATASOURCE + USER)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/tag.prisma").write_text("model Tag {\n  id Nope @id\n}\n")
    with pytest.raises(SchemaError, match=r"-->  models/tag\.prisma:2"):
        PrismaSchema.load(tmp_path)


# What is not.


def test_an_unknown_type_is_shown_with_file_line_and_excerpt() -> None:
    error = refused(DATASOURCE + "model A {\n  id Int @id\n  b Foo\n}\n")
    assert error.code == "P1012"
    assert error.message == textwrap.dedent(
        """\
        error: Type "Foo" is neither a built-in type, nor refers to another model, composite type, or enum.
          -->  schema.prisma:6
           |\x20
         5 |   id Int @id
         6 |   b Foo
           |\x20

        Validation Error Count: 1"""
    )


def test_all_faults_are_reported_at_once() -> None:
    error = refused(DATASOURCE + "model A {\n  id Int @id\n  b Foo\n  c Bar\n}\n")
    assert '"Foo"' in error.message
    assert '"Bar"' in error.message
    assert "Validation Error Count: 2" in error.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model A {\n", "This line is invalid"),
        ("model A {\n  name String\n}\n", "Each model must have at least one unique criteria"),
        ("model A {\n  id Int @id\n  id String\n}\n", 'Field "id" is already defined'),
        (
            "model A {\n  id Int @id\n  b B\n}\nmodel B {\n  id Int @id\n}\n",
            "missing an opposite relation field",
        ),
        ("model A {\n  id Int @id\n  tags String[]\n}\n", "does not support lists of primitive types"),
        ("model A {\n  id Int @id @default(autoincrement())\n  x Int @default(nope())\n}\n", "nope"),
    ],
)
def test_faults_carry_prismas_own_message(text: str, said: str) -> None:
    error = refused(DATASOURCE + text)
    assert error.code == "P1012"
    assert said in error.message
    assert "-->  schema.prisma:" in error.message
    assert "\x1b" not in error.message


def test_models_on_one_line_are_refused_rather_than_lost() -> None:
    error = refused(DATASOURCE + "model A { id Int @id }\n")
    assert error.code == "P1012"
    assert "schema.prisma:4" in error.message


def test_a_schema_without_models_is_refused() -> None:
    error = refused(DATASOURCE)
    assert "defines no model" in error.message
    assert "several lines" in error.hint


@pytest.mark.parametrize("provider", ["postgresql", "mysql", "mongodb"])
def test_another_provider_is_refused_where_it_stands(provider: str) -> None:
    model = "model A {\n  id String @id" + (' @map("_id")' if provider == "mongodb" else "") + "\n}\n"
    error = refused(DATASOURCE.replace("sqlite", provider) + model)
    assert error.code == "P1012"
    assert f'provider is "{provider}"' in error.message
    assert f'-->  schema.prisma:2\n   | \n 2 |   provider = "{provider}"' in error.message


def test_a_schema_without_datasource_is_refused() -> None:
    error = refused(USER)
    assert "no datasource" in error.message
    assert 'provider = "sqlite"' in error.hint


def test_a_missing_schema_says_where_it_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match="no Prisma schema at"):
        PrismaSchema.load(tmp_path)
    with pytest.raises(SchemaError, match=r"no Prisma schema at .*gone\.prisma"):
        PrismaSchema.load(tmp_path / "gone.prisma")


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "schema.prisma").write_bytes(b"model \xff {")
    with pytest.raises(SchemaError, match="is not UTF-8"):
        PrismaSchema.load(tmp_path)


# Tools for editors.


def test_formatting_aligns_columns_and_is_stable() -> None:
    formatted = format_schema("model A{\nid Int @id\n   name   String?\n}\n")
    assert formatted == "model A {\n  id   Int     @id\n  name String?\n}\n"
    assert format_schema(formatted) == formatted


def test_lint_gives_places_and_nothing_for_a_good_schema() -> None:
    assert lint_schema(BLOG) == []
    text = DATASOURCE + "model A {\n  id Int @id\n  b Foo\n}\n"
    (found,) = lint_schema(text)
    assert text[found.start : found.end] == "Foo"
    assert not found.is_warning


# The host.


def test_an_engine_that_panicked_is_started_afresh() -> None:
    tools = SchemaTools()
    with pytest.raises(EngineError, match=r"schema tools failed: .*panic") as caught:
        tools._call("debug_panic", (), lambda instance, results: None)
    assert "restarted" in caught.value.hint
    assert "sqlite" in tools.call(
        "get_config", '{"prismaSchema": "datasource db {\\n provider = \\"sqlite\\"\\n}\\n"}'
    )


def test_threads_share_the_tools() -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for i in range(10):
                name = f"M{number}x{i}"
                assert PrismaSchema.parse(DATASOURCE + f"model {name} {{\n  id Int @id\n}}\n").models == (
                    name,
                )
        except BaseException as error:  # noqa: BLE001 - handed to the main thread
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


ALONE = """
import sys

FORBIDDEN = ("subprocess", "os.exec", "os.posix_spawn", "os.fork", "os.system", "socket.connect")


def forbid(event, arguments):
    if event.startswith(FORBIDDEN):
        raise SystemExit(f"used {event} {arguments}")


sys.addaudithook(forbid)
from lamdb.prisma import PrismaSchema, QueryCompiler, SchemaEngine

schema = PrismaSchema.parse(sys.stdin.read())
request = '{"modelName": "Post", "action": "findMany", "query": {"arguments": {}, "selection": {"id": true}}}'
plan = QueryCompiler(schema).compile(request)
with SchemaEngine() as engine:
    pushed = engine.schema_push(schema)
print(plan["type"], pushed.executed_steps)
"""


def test_no_other_program_and_no_network_is_needed() -> None:
    """Every engine in a process that may neither start another nor connect anywhere, and finds no Node."""
    result = subprocess.run(
        [sys.executable, "-c", ALONE], input=BLOG, capture_output=True, text=True, env={"PATH": ""}
    )
    assert result.stdout.split() == ["dataMap", "2"], result.stderr
