"""Values that SQL clients write and GraphQL reads, and the reverse."""

import json
from typing import Any

import pytest
from tests.unit.hrana.conftest import Functions, SqlClient
from tests.unit.hrana.test_protocol import batch, execute

from lamdb.graphql import stored_schema
from lamdb.graphql.apis import Apis
from lamdb.graphql.from_settings import serving
from lamdb.graphql.request import GraphQLRequest
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.settings import Settings
from lamdb.storage import Database

SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Thing {
  id    Int       @id @default(autoincrement())
  at    DateTime?
  is    Boolean?
  big   BigInt?
  bytes Bytes?
  json  Json?
  real  Float?
  price Decimal?
}
"""
NOON = "2026-01-02T12:00:00.000Z"
CANONICAL = "2026-01-02T12:00:00.000+00:00"


def deploy(database: Database) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    with database.writer() as connection:
        push(connection, schema)
        stored_schema.store(connection, stored_schema.compute(schema))


@pytest.fixture(params=["shared", "held", "carried"])
def client(request: Any, endpoint: SqlEndpoint, functions: Functions) -> SqlClient:
    """A client that writes in each of the ways in which a commit comes about."""
    carried = request.param == "carried"
    deploy(functions.writer.engine.database if carried else endpoint.engine.database)
    made = SqlClient(functions if carried else endpoint)
    if request.param != "shared":
        run = made.run

        def in_transaction(sql: str, *args: Any, **named: Any) -> Any:
            run("BEGIN")
            result = run(sql, *args, **named)
            assert "code" not in run("COMMIT")
            return result

        made.run = in_transaction  # type: ignore[method-assign]
    return made


def ask(client: SqlClient, query: str) -> Any:
    endpoint = client.endpoint.writer if isinstance(client.endpoint, Functions) else client.endpoint
    apis: Apis = serving(Settings())
    answer = json.loads(apis.execute(endpoint.engine.database, GraphQLRequest(query)).body)
    assert "errors" not in answer, answer
    return answer["data"]


@pytest.mark.parametrize(
    "written",
    [
        CANONICAL,
        NOON,
        "2026-01-02 12:00:00",
        "2026-01-02 12:00:00.000000",
        "2026-01-02T14:00:00+02:00",
        1_767_355_200_000,
    ],
)
def test_a_time_in_any_form_is_compared_rightly(client: SqlClient, written: Any) -> None:
    client.run("INSERT INTO Thing (at) VALUES (?)", written)
    assert client.rows("SELECT at FROM Thing") == [[CANONICAL]]
    assert ask(client, f'{{ findManyThing(where: {{at: "{NOON}"}}) {{ at }} }}') == {
        "findManyThing": [{"at": NOON}]
    }
    assert ask(client, '{ findManyThing(where: {at: {lt: "2026-01-02T11:59:59Z"}}) { at } }') == {
        "findManyThing": []
    }


def test_current_timestamp(client: SqlClient) -> None:
    client.run("INSERT INTO Thing (at) VALUES (CURRENT_TIMESTAMP)")
    client.run("UPDATE Thing SET at = CURRENT_TIMESTAMP")
    ((at,),) = client.rows("SELECT at FROM Thing")
    assert at.endswith(".000+00:00")


@pytest.mark.parametrize(("written", "kept"), [("soon", "soon"), (1.5, 1.5), (None, None)])
def test_what_is_no_time_stays(client: SqlClient, written: Any, kept: Any) -> None:
    client.run("INSERT INTO Thing (at) VALUES (?)", written)
    assert client.rows("SELECT at FROM Thing") == [[kept]]


@pytest.mark.parametrize(
    ("column", "written", "field"),
    [
        ("is", 1, True),
        ("is", "false", False),
        ("big", 2**63 - 1, str(2**63 - 1)),
        ("bytes", {"type": "blob", "base64": "AAH/"}, "AAH/"),
        ("json", '{"a": [1,  2]}', '{"a":[1,2]}'),
        ("real", 1.5, 1.5),
        ("price", 1.25, "1.25"),
    ],
)
def test_what_sql_writes_graphql_reads(client: SqlClient, column: str, written: Any, field: Any) -> None:
    client.run(f'INSERT INTO Thing ("{column}") VALUES (?)', written)
    assert ask(client, f"{{ findManyThing {{ {column} }} }}") == {"findManyThing": [{column: field}]}


def test_json_is_found_however_it_was_written(client: SqlClient) -> None:
    client.run("INSERT INTO Thing (json) VALUES (?)", '{ "a" : 1 }')
    assert client.rows("SELECT json FROM Thing") == [['{"a":1}']]


def test_what_graphql_writes_sql_reads(client: SqlClient) -> None:
    ask(
        client,
        f'mutation {{ createOneThing(data: {{at: "{NOON}", is: true, big: "9007199254740993", '
        'bytes: "AAH/", real: 1.5}) { id } }',
    )
    assert client.rows("SELECT at, is, big, bytes, real FROM Thing".replace(" is,", ' "is",')) == [
        [CANONICAL, 1, 9007199254740993, "AAH/", 1.5]
    ]


def test_only_rows_that_were_written_are_touched(endpoint: SqlEndpoint, database: Database) -> None:
    deploy(database)
    with database.writer() as connection:
        connection.execute("INSERT INTO Thing (id, at) VALUES (1, '2026-01-01 00:00:00')")
    client = SqlClient(endpoint)
    client.pipeline(
        execute("INSERT INTO Thing (id, at) VALUES (2, '2026-01-02 12:00:00')"),
        batch("BEGIN", "INSERT INTO Thing (id, at) VALUES (3, '2026-01-02 12:00:00')", "ROLLBACK"),
    )
    assert client.rows("SELECT at FROM Thing ORDER BY id") == [["2026-01-01 00:00:00"], [CANONICAL]]
    assert client.rows("SELECT last_insert_rowid()") == [[3]], "as in SQLite"
