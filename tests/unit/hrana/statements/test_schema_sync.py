"""Changes of the schema by SQL, and the GraphQL API after them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.unit.hrana.conftest import Functions, SqlClient
from tests.unit.hrana.test_protocol import batch, execute

from lamdb.access.identity import Role
from lamdb.graphql import stored_schema
from lamdb.graphql.apis import Apis
from lamdb.graphql.from_settings import serving
from lamdb.graphql.request import GraphQLRequest
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.introspection.introspect import is_schema_of
from lamdb.settings import Settings
from lamdb.storage import Database

PERSON = (
    "CREATE TABLE person (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, name TEXT NOT NULL, "
    "born DATETIME, is_old BOOLEAN NOT NULL DEFAULT 0)"
)
LETTER = (
    "CREATE TABLE letter (id INTEGER PRIMARY KEY NOT NULL, writer INTEGER NOT NULL REFERENCES person(id))"
)


@pytest.fixture
def apis() -> Apis:
    return serving(Settings())


@pytest.fixture
def client(endpoint: SqlEndpoint) -> SqlClient:
    return SqlClient(endpoint)


@pytest.fixture
def ask(apis: Apis, database: Database) -> Callable[[str], Any]:
    def ask(query: str) -> Any:
        answer = json.loads(apis.execute(database, GraphQLRequest(query)).body)
        return answer.get("data") or answer["errors"][0]["message"]

    return ask


@pytest.mark.parametrize("way", ["one by one", "a batch", "a transaction of several requests"])
def test_the_api_follows(client: SqlClient, ask: Callable[[str], Any], way: str) -> None:
    statements = [PERSON, LETTER, "INSERT INTO person (name) VALUES ('Ada')"]
    if way == "one by one":
        for statement in statements:
            assert "code" not in client.run(statement)
    elif way == "a batch":
        (result,) = client.pipeline(batch("BEGIN", *statements, "COMMIT"))
        assert set(result["response"]["result"]["step_errors"]) == {None}
    else:
        for statement in ("BEGIN", *statements, "COMMIT"):
            assert "code" not in client.run(statement)
    assert ask("{ findManyperson { name is_old letter { id } } }") == {
        "findManyperson": [{"name": "Ada", "is_old": False, "letter": []}]
    }
    ask('mutation { createOneperson(data: {name: "Eve", letter: {create: {}}}) { id } }')
    assert client.rows("SELECT name, writer FROM letter JOIN person ON person.id = writer") == [["Eve", 2]]


def test_names_of_the_present_schema_stay(client: SqlClient, ask: Callable[[str], Any]) -> None:
    client.run(PERSON)
    client.run("ALTER TABLE person ADD COLUMN height REAL")
    client.run("CREATE UNIQUE INDEX by_name ON person (name)")
    client.run("INSERT INTO person (name, height) VALUES ('Ada', 1.7)")
    assert ask('{ findUniqueperson(where: {name: "Ada"}) { height } }') == {
        "findUniqueperson": {"height": 1.7}
    }
    client.run("DROP TABLE person")
    assert "schema" in ask("{ findManyperson { name } }")


def test_what_is_rolled_back_is_not_followed(client: SqlClient, database: Database) -> None:
    client.run(PERSON)
    with database.reader() as connection:
        before = stored_schema.read_hash(connection)
    for statement in ("BEGIN", LETTER, "ROLLBACK"):
        client.run(statement)
    client.pipeline(*map(execute, ("BEGIN", LETTER, "ROLLBACK")))
    with database.reader() as connection:
        assert stored_schema.read_hash(connection) == before


def test_what_no_api_can_serve_is_no_reason_to_refuse(client: SqlClient, ask: Callable[[str], Any]) -> None:
    client.run(PERSON)
    assert client.code("CREATE TABLE nameless (a)") is None
    assert ask("{ findManyperson { name } }") == {"findManyperson": []}


def test_a_table_is_rebuilt_as_tools_do_it(client: SqlClient, ask: Callable[[str], Any]) -> None:
    client.run(PERSON)
    client.run(LETTER)
    client.run("INSERT INTO person (id, name) VALUES (1, 'Ada')")
    client.run("INSERT INTO letter VALUES (7, 1)")
    (result,) = client.pipeline(
        batch(
            "PRAGMA foreign_keys=OFF",
            "BEGIN",
            PERSON.replace("person", "__new_person").replace("is_old", "is_young"),
            "INSERT INTO __new_person (id, name) SELECT id, name FROM person",
            "DROP TABLE person",
            "ALTER TABLE __new_person RENAME TO person",
            "COMMIT",
            "PRAGMA foreign_keys=ON",
        )
    )
    assert set(result["response"]["result"]["step_errors"]) == {None}
    assert ask("{ findManyletter { id person { name is_young } } }") == {
        "findManyletter": [{"id": 7, "person": {"name": "Ada", "is_young": False}}]
    }
    assert client.code("INSERT INTO letter VALUES (8, 99)") == "SQLITE_CONSTRAINT"


@pytest.mark.parametrize("role", [Role.READ, Role.WRITE])
def test_only_admins_change_the_schema(endpoint: SqlEndpoint, client: SqlClient, role: Role) -> None:
    client.run("CREATE TABLE t (a INTEGER PRIMARY KEY)")
    other = SqlClient(endpoint, role)
    for statement in (
        PERSON,
        "DROP TABLE t",
        "ALTER TABLE t ADD COLUMN b",
        "CREATE INDEX i ON t (a)",
        "CREATE VIEW v AS SELECT 1 AS a",
        "CREATE TRIGGER x AFTER INSERT ON t BEGIN SELECT 1; END",
        "PRAGMA user_version = 7",
        "PRAGMA foreign_keys = OFF",
        "DELETE FROM sqlite_schema",
    ):
        assert other.code(statement) in ("SQLITE_AUTH", "SQLITE_ERROR"), statement


def test_migrations_keep_their_tables(client: SqlClient, database: Database) -> None:
    from lamdb.deployment.apply import deploy
    from lamdb.prisma.datamodel.schema import PrismaSchema
    from lamdb.prisma.migrate.migrations import Migration

    model = "model Person {\n  id Int @id\n  name String\n}\n"
    schema = PrismaSchema.parse('datasource db {\n  provider = "sqlite"\n}\n' + model)
    script = 'CREATE TABLE "Person" ("id" INTEGER NOT NULL PRIMARY KEY, "name" TEXT NOT NULL);'
    deploy(database, [Migration("1_init", script)], schema)
    for statement in (
        "ALTER TABLE Person ADD COLUMN more",
        "DROP TABLE person",
        "CREATE INDEX i ON Person (name)",
        "CREATE TRIGGER x AFTER INSERT ON Person BEGIN SELECT 1; END",
    ):
        error = client.run(statement)
        assert error["code"] == "SQLITE_AUTH"
        assert "migrations" in error["message"]
    assert client.code("CREATE TABLE mine (a)") is None
    assert client.code("INSERT INTO mine VALUES (1)") is None
    assert client.code("DROP TABLE mine") is None


def test_functions_follow_too(functions: Functions, apis: Apis) -> None:
    client = SqlClient(functions)
    client.run("BEGIN")
    client.run(PERSON)
    client.run("INSERT INTO person (name) VALUES ('Ada')")
    assert client.code("COMMIT") is None
    database = functions.writer.engine.database
    answer = apis.execute(database, GraphQLRequest("{ findManyperson { name } }"))
    assert json.loads(answer.body)["data"] == {"findManyperson": [{"name": "Ada"}]}


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        ("__drizzle_migrations", "id SERIAL PRIMARY KEY, hash text NOT NULL, created_at numeric"),
        (
            "knex_migrations",
            "id integer not null primary key autoincrement, name varchar(255), batch integer",
        ),
        ("kysely_migration", "name varchar(255) not null primary key, timestamp varchar(255) not null"),
        ("alembic_version", "version_num VARCHAR(32) NOT NULL PRIMARY KEY"),
        ("SequelizeMeta", "name VARCHAR(255) NOT NULL UNIQUE PRIMARY KEY"),
    ],
)
def test_tables_of_other_tools_are_in_the_schema_but_not_in_the_api(
    client: SqlClient, ask: Callable[[str], Any], database: Database, table: str, columns: str
) -> None:
    client.run(f'CREATE TABLE "{table}" ({columns})')
    client.run(PERSON)
    with database.reader() as connection:
        (text,) = (stored_schema.read_files(connection) or {}).values()
        assert is_schema_of(connection, PrismaSchema.parse(text))
    assert table in text
    found = ask('{ __type(name: "Query") { fields { name } } }')["__type"]["fields"]
    assert {name["name"] for name in found if table.lower().strip("_") in name["name"].lower()} == set()
    assert ask("{ findManyperson { name } }") == {"findManyperson": []}
    # The next change keeps it so, and one that the schema has shown before stays.
    client.run("ALTER TABLE person ADD COLUMN height REAL")
    assert ask("{ findManyperson { height } }") == {"findManyperson": []}
    with database.reader() as connection:
        (text,) = (stored_schema.read_files(connection) or {}).values()
        assert text.count("@@ignore") == 1
