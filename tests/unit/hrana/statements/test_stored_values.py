"""Values that SQL clients write and GraphQL reads, and the reverse."""

import json
from functools import cache
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


@cache
def compiled() -> tuple[PrismaSchema, stored_schema.Deployable]:
    schema = PrismaSchema.parse(SCHEMA)
    return schema, stored_schema.compute(schema)


def deploy(database: Database) -> None:
    schema, deployable = compiled()
    with database.writer() as connection:
        push(connection, schema)
        stored_schema.store(connection, deployable)


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


KEYED = """
datasource db {
  provider = "sqlite"
}

model Reading {
  at     DateTime
  until  DateTime
  sensor String
  seen   DateTime?
  is     Boolean?
  json   Json?
  @@id([at, sensor, until])
  @@map("readings")
}

model Plain {
  id Int @id @default(autoincrement())
  at DateTime?
}
"""


def deploy_keyed(database: Database) -> None:
    schema = PrismaSchema.parse(KEYED)
    with database.writer() as connection:
        push(connection, schema)
        sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'readings'").get
        connection.execute(f"DROP TABLE readings; {sql.rstrip().rstrip(';')} WITHOUT ROWID")
        stored_schema.store(connection, stored_schema.compute(schema))


@pytest.fixture(params=["shared", "held", "carried"])
def keyed(request: Any, endpoint: SqlEndpoint, functions: Functions) -> SqlClient:
    """As `client`; one of its tables has no rowid."""
    carried = request.param == "carried"
    deploy_keyed(functions.writer.engine.database if carried else endpoint.engine.database)
    made = SqlClient(functions if carried else endpoint, Role.WRITE)
    run = made.run

    def in_transaction(sql: str, *args: Any, **named: Any) -> Any:
        run("BEGIN")
        result = run(sql, *args, **named)
        assert "code" not in run("COMMIT")
        return result

    if request.param != "shared":
        made.run = in_transaction  # type: ignore[method-assign]
    return made


INSERT = "INSERT INTO readings VALUES (?, ?, ?, ?, ?, ?)"
ROWS = 'SELECT at, until, sensor, seen, "is", json FROM readings ORDER BY at, sensor, until'
SHORT = "2026-01-02 12:00:00"
LATER = "2026-01-03T12:00:00.000+00:00"


@pytest.mark.parametrize("at", [CANONICAL, "2026-01-02 12:00:00", 1_767_355_200_000, NOON])
@pytest.mark.parametrize("until", [LATER, "2026-01-03T14:00:00+02:00"])
def test_rows_without_rowid_are_converted(keyed: SqlClient, at: Any, until: Any) -> None:
    keyed.run(INSERT, at, until, "it's", "2026-01-02 12:00:00", "true", '{"a": 1}')
    assert keyed.rows(ROWS) == [[CANONICAL, LATER, "it's", CANONICAL, 1, '{"a":1}']]
    assert ask(keyed, f'{{ findManyReading(where: {{at: "{NOON}", is: true}}) {{ sensor }} }}') == {
        "findManyReading": [{"sensor": "it's"}]
    }


def test_updates_upserts_and_replacements_of_rows_without_rowid_are_converted(keyed: SqlClient) -> None:
    for sensor in ("a", "b", "c", "d"):
        keyed.run(INSERT, CANONICAL, LATER, sensor, None, 0, None)
    keyed.run("UPDATE readings SET seen = '2026-01-02 12:00:00' WHERE sensor = 'a'")
    keyed.run("UPDATE readings SET at = '2026-01-03 12:00:00' WHERE sensor = 'b'")
    keyed.run(INSERT.replace("INSERT", "REPLACE"), CANONICAL, LATER, "c", 1_767_355_200_000, "false", None)
    keyed.run(
        f"{INSERT} ON CONFLICT DO UPDATE SET seen = excluded.seen", CANONICAL, LATER, "d", NOON, 1, None
    )
    assert keyed.rows(ROWS) == [
        [CANONICAL, LATER, "a", CANONICAL, 0, None],
        [CANONICAL, LATER, "c", CANONICAL, 0, None],
        [CANONICAL, LATER, "d", CANONICAL, 0, None],
        [LATER, LATER, "b", None, 0, None],
    ]


def test_only_written_rows_without_rowid_are_touched(endpoint: SqlEndpoint, database: Database) -> None:
    deploy_keyed(database)
    old = "2026-01-01 00:00:00"
    with database.writer() as connection:
        connection.execute(INSERT, (CANONICAL, LATER, "old", old, 1, None))
        connection.execute(INSERT, (CANONICAL, LATER, "touched", old, 1, None))
    client = SqlClient(endpoint, Role.WRITE)
    client.pipeline(
        execute(
            f"INSERT INTO readings VALUES ('{CANONICAL}', '{LATER}', 'new', '2026-01-02 12:00:00', 1, '[ 1]')"
        ),
        execute("INSERT INTO Plain (at) VALUES ('2026-01-02 12:00:00')"),
        execute("UPDATE readings SET json = '{ }' WHERE sensor = 'touched'"),
        execute("DELETE FROM readings WHERE sensor = 'none'"),
        batch("BEGIN", "UPDATE readings SET json = '{ }' WHERE sensor = 'old'", "ROLLBACK"),
    )
    assert client.rows("SELECT sensor, seen, json FROM readings ORDER BY sensor") == [
        ["new", CANONICAL, "[1]"],
        ["old", old, None],
        ["touched", "2026-01-01T00:00:00.000+00:00", "{}"],
    ]
    assert client.rows("SELECT at FROM Plain") == [[CANONICAL]]


def test_many_rows_without_rowid_and_keys_that_would_collide(keyed: SqlClient) -> None:
    keyed.run(
        "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) "
        f"INSERT INTO readings SELECT '{SHORT}', '{LATER}', i, '{SHORT}', 1, NULL FROM n"
    )
    assert keyed.rows("SELECT count(*), min(at), max(at), min(seen) FROM readings") == [
        [5000, CANONICAL, CANONICAL, CANONICAL]
    ]
    # Its canonical form is taken: the row stays as it was written.
    keyed.run(INSERT, "2026-01-02 12:00:00", LATER, "7", "2026-01-02 12:00:00", 1, None)
    assert keyed.rows("SELECT at, seen FROM readings WHERE sensor = '7' ORDER BY at") == [
        ["2026-01-02 12:00:00", CANONICAL],
        [CANONICAL, CANONICAL],
    ]


def test_a_table_becomes_one_without_rowid_and_back(endpoint: SqlEndpoint, database: Database) -> None:
    deploy_keyed(database)
    client = SqlClient(endpoint, Role.WRITE)
    for number, kind in enumerate(["", " WITHOUT ROWID", ""]):
        with database.writer() as connection:
            sql = connection.execute("SELECT sql FROM sqlite_schema WHERE name = 'readings'").get
            body = sql.removesuffix(" WITHOUT ROWID")
            connection.execute(f"DROP TABLE readings; {body}{kind}")
        client.run(INSERT, "2026-01-02 12:00:00", LATER, str(number), None, "true", None)
        assert client.rows('SELECT at, "is" FROM readings') == [[CANONICAL, 1]], kind
