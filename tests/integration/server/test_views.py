"""Views of a schema that no migration made: said so, and not in the API."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from lamdb.deployment import apply
from lamdb.graphql import stored_schema
from lamdb.graphql.api import GraphQLRequest
from lamdb.graphql.apis import Apis
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrations import Migration
from lamdb.prisma.migrate.missing_views import without_views
from lamdb.server.instance import serving
from lamdb.settings import Settings
from lamdb.storage import Database

SCHEMA = """
generator client {
  provider        = "prisma-client"
  previewFeatures = ["views"]
}

datasource db {
  provider = "sqlite"
}

model User {
  id      Int      @id
  name    String
  summary Summary? // what is shown
  posts   Post[]
}

model Post {
  id     Int  @id
  userId Int
  user   User @relation(fields: [userId], references: [id])
}

view Summary {
  userId Int  @unique
  count  Int
  user   User @relation(fields: [userId], references: [id])
  @@map("summary_of_users")
}

view Busy {
  id   Int    @unique
  name String
}
"""
TABLES = 'CREATE TABLE "User" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT NOT NULL);\n' + (
    'CREATE TABLE "Post" ("id" INTEGER NOT NULL PRIMARY KEY, "userId" INTEGER NOT NULL,'
    ' CONSTRAINT "Post_userId_fkey" FOREIGN KEY ("userId") REFERENCES "User" ("id")'
    " ON DELETE RESTRICT ON UPDATE CASCADE);\n"
)
SUMMARY = (
    'CREATE VIEW summary_of_users AS SELECT "userId", count(*) AS "count" FROM "Post" GROUP BY "userId";\n'
)
BUSY = 'CREATE VIEW "Busy" AS SELECT "id", "name" FROM "User";\n'
FIELDS = "{ __schema { queryType { fields { name } } } }"


@pytest.fixture
def database() -> Database:
    return Database.open("memory:")


@pytest.fixture
def apis() -> Apis:
    return serving(Settings(store="memory:"))


def ask(apis: Apis, database: Database, query: str) -> dict[str, Any]:
    return orjson.loads(apis.execute(database, GraphQLRequest(query)).body)


def queries(apis: Apis, database: Database) -> set[str]:
    answer = ask(apis, database, FIELDS)
    return {field["name"] for field in answer["data"]["__schema"]["queryType"]["fields"]}


def test_a_push_says_which_views_are_missing(database: Database, apis: Apis) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    pushed, _ = apply.push(database, schema)
    assert pushed.missing_views == ("Busy", "Summary")
    found = queries(apis, database)
    assert "findManyUser" in found
    assert not {"findManySummary", "findManyBusy"} & found
    answer = ask(apis, database, 'mutation { createOneUser(data: {id: 1, name: "a"}) { id posts { id } } }')
    assert answer == {"data": {"createOneUser": {"id": 1, "posts": []}}}
    # The field is not there, which the client is told before anything is run.
    refused = ask(apis, database, "{ findManyUser { summary { count } } }")
    assert [error["extensions"]["code"] for error in refused["errors"]] == ["P2009"]
    with database.reader() as connection:
        files = stored_schema.read_files(connection)
    assert files == {"schema.prisma": SCHEMA}


def test_views_come_with_the_migration_that_makes_them(database: Database, apis: Apis) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    history = [Migration("0_init", TABLES)]
    assert apply.deploy(database, history, schema).schema_changed
    assert "findManyBusy" not in queries(apis, database)
    assert not apply.deploy(database, history, schema).schema_changed
    history.append(Migration("1_busy", BUSY))
    assert apply.deploy(database, history, schema).schema_changed
    found = queries(apis, database)
    assert "findManyBusy" in found
    assert "findManySummary" not in found
    history.append(Migration("2_summary", SUMMARY))
    assert apply.deploy(database, history, schema).schema_changed
    ask(
        apis,
        database,
        'mutation { createOneUser(data: {id: 1, name: "a", posts: {create: {id: 5}}}) { id } }',
    )
    answer = ask(apis, database, "{ findManyUser { summary { count } } findManyBusy { name } }")
    assert answer == {"data": {"findManyUser": [{"summary": {"count": 1}}], "findManyBusy": [{"name": "a"}]}}
    assert not apply.deploy(database, history, schema).schema_changed


def test_another_version_computes_the_same(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    apply.push(database, PrismaSchema.parse(SCHEMA))
    monkeypatch.setattr(stored_schema, "PRODUCER", "another")
    with database.reader() as connection:
        loaded = stored_schema.load(connection)
    assert loaded is not None
    assert "@@ignore" in loaded.schema.text


@pytest.mark.parametrize("names", [("Summary",), ("Busy",), ("Busy", "Summary")])
def test_the_schema_without_views_is_valid(names: tuple[str, ...]) -> None:
    text = without_views(SCHEMA, names)
    schema = PrismaSchema.parse(text)
    served = {name for name in ("Summary", "Busy") if f"findMany{name}" in str(schema.dmmf["schema"])}
    assert served == {"Summary", "Busy"} - set(names)


def test_a_push_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lamdb.cli.migrate import push
    from lamdb.cli.output import CommandOutput

    (tmp_path / "schema.prisma").write_text(SCHEMA)
    settings = Settings(store=f"file://{tmp_path}/data", database=str(tmp_path))
    push(settings, accept=False, force_reset=False, output=CommandOutput(is_json=False))
    assert "warning: there is no view Summary" in capsys.readouterr().out
