"""Creates without a relation that their own columns make: what the input types allow can be executed."""

import re
from functools import cache
from typing import Any

import apsw
import orjson
import pytest

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate import migrate
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

HEAD = 'datasource db {\n  provider = "sqlite"\n}\n'
OPTIONAL = {
    "alone": (
        "id String @id @default(uuid())\n u U? @relation(fields: [id], references: [a])",
        "a String @id",
    ),
    "beside an optional column": (
        "id String @id @default(cuid())\n ref Int?\n u U? @relation(fields: [id, ref], references: [a, b])\n"
        " @@unique([id, ref])",
        "a String\n b Int\n @@id([a, b])",
    ),
    "beside a column with a default": (
        "id String @id @default(nanoid(7))\n ref Int @default(5)\n"
        " u U? @relation(fields: [id, ref], references: [a, b])\n @@unique([id, ref])",
        "a String\n b Int\n @@id([a, b])",
    ),
    "two that are made": (
        "id String @id @default(ulid())\n ref String @default(uuid(7))\n"
        " u U? @relation(fields: [id, ref], references: [a, b])\n @@unique([id, ref])",
        "a String\n b String\n @@id([a, b])",
    ),
    "a number that counts": (
        "id Int @id @default(autoincrement())\n u U? @relation(fields: [id], references: [a])",
        "a Int @id",
    ),
}
REQUIRED = {
    "one column": ("id Int @id\n uid Int\n u U? @relation(fields: [uid], references: [a])", "a Int @id"),
    "one of two": (
        "id Int @id\n uid Int\n org Int?\n u U? @relation(fields: [uid, org], references: [a, b])",
        "a Int\n b Int\n @@id([a, b])",
    ),
}


@cache
def api_of(fields: str, other: str) -> Api:
    many = "T[]" if "uid" in fields else "T?"
    schema = PrismaSchema.parse(
        f"{HEAD}model T {{\n {fields}\n name String\n p P? @relation(fields: [pid], references: [id])\n"
        f" pid Int?\n}}\nmodel P {{\n id Int @id\n ts T[]\n}}\nmodel U {{\n {other}\n t {many}\n}}\n"
    )
    return Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))


def database_of(api: Api) -> Database:
    """Without foreign keys, because the generated ids lead nowhere."""
    scratch = apsw.Connection(":memory:")
    migrate.push(scratch, api.engine.schema)
    tables = scratch.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
    database = Database.open("memory:")
    with database.writer() as connection:
        for (sql,) in tables:
            if not str(sql).startswith("CREATE TABLE sqlite_"):
                connection.execute(re.sub(r",\s*CONSTRAINT [^\n]*?(?=,?\n)", "", str(sql)))
    return database


def ask(api: Api, database: Database, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any]:
    return orjson.loads(api.execute(database, GraphQLRequest(query, variables)).body)


@pytest.mark.parametrize("case", OPTIONAL)
def test_an_id_with_a_default_in_an_optional_relation(case: str) -> None:
    api = api_of(*OPTIONAL[case])
    database = database_of(api)
    made = [ask(api, database, 'mutation { createOneT(data: {name: "a"}) { id name } }') for _ in range(2)]
    ids = {str(each["data"]["createOneT"]["id"]) for each in made}
    assert len(ids) == 2
    again = "mutation ($d: TCreateInput!) { createOneT(data: $d) { id name } }"
    by_variable = [ask(api, database, again, {"d": {"name": name}})["data"]["createOneT"] for name in "bc"]
    assert [each["name"] for each in by_variable] == ["b", "c"]
    nested = ask(
        api,
        database,
        'mutation { createOneP(data: {id: 1, ts: {create: [{name: "d"}, {name: "e"}]}}) { ts { id name } } }',
    )
    assert sorted(each["name"] for each in nested["data"]["createOneP"]["ts"]) == ["d", "e"]
    upserted = ask(
        api,
        database,
        'mutation { upsertOneP(where: {id: 1}, create: {id: 1}, update: {ts: {create: {name: "f"}}})'
        " { ts { name } } }",
    )
    assert len(upserted["data"]["upsertOneP"]["ts"]) == 3
    found = ask(api, database, "{ findManyT { id } }")["data"]["findManyT"]
    assert len({str(each["id"]) for each in found}) == len(found) == 7
    if "nanoid" in OPTIONAL[case][0]:
        assert all(re.fullmatch("[A-Za-z0-9_-]{7}", each["id"]) for each in found)


@pytest.mark.parametrize("case", REQUIRED)
def test_an_optional_relation_over_required_columns(case: str) -> None:
    api = api_of(*REQUIRED[case])
    database = database_of(api)
    refused = ask(api, database, 'mutation { createOneT(data: {id: 1, name: "a"}) { id } }')
    (missing,) = refused["errors"]
    assert missing["message"].startswith("Field 'TCreateInput.")
    # What Prisma says, as to a variable, of which only the database sees the lack.
    again = "mutation ($d: TCreateInput!) { createOneT(data: $d) { id uid } }"
    (by_variable,) = ask(api, database, again, {"d": {"id": 1, "name": "a"}})["errors"]
    violation = "Null constraint violation on the fields: (`uid`)"
    assert missing["message"].endswith(f" (Prisma: {violation})")
    assert by_variable["message"] == violation
    for each in (missing, by_variable):
        assert each["extensions"] == {
            "code": "P2011",
            "meta": {"target": ["uid"], "table": "T", "modelName": "T"},
        }
    elsewhere = (
        'mutation { createOneP(data: {id: 7, ts: {create: {id: 1, name: "a"}}}) { id } }',
        'mutation { upsertOneT(where: {id: 1}, create: {id: 1, name: "a"}, update: {}) { id } }',
    )
    for query in elsewhere:
        codes = [each["extensions"]["code"] for each in ask(api, database, query)["errors"]]
        assert codes == ["P2011"]
    # Where Prisma refuses the document itself, it says that.
    wrong = ask(api, database, "mutation { createOneT(data: {id: 1, name: 5}) { id } }")
    assert [each["extensions"]["code"] for each in wrong["errors"]][-1] == "P2009"
    field = ask(api, database, '{ __type(name: "TCreateInput") { inputFields { name type { kind } } } }')
    kinds = {each["name"]: each["type"]["kind"] for each in field["data"]["__type"]["inputFields"]}
    assert (kinds["u"], kinds["p"]) == ("NON_NULL", "INPUT_OBJECT")
    parent = "{a: 5}" if "b Int" not in REQUIRED[case][1] else "{a: 5, b: 6}"
    made = ask(
        api,
        database,
        f'mutation {{ createOneT(data: {{id: 2, name: "b", u: {{create: {parent}}}}}) {{ id uid }} }}',
    )
    assert made == {"data": {"createOneT": {"id": 2, "uid": 5}}}
    # By the column instead of the relation, as a literal and in a variable.
    literal = ask(api, database, 'mutation { createOneT(data: {id: 3, name: "c", uid: 5}) { id uid } }')
    assert literal == {"data": {"createOneT": {"id": 3, "uid": 5}}}
    variable = ask(api, database, again, {"d": {"id": 4, "name": "d", "uid": 5}})
    assert variable == {"data": {"createOneT": {"id": 4, "uid": 5}}}


def test_a_column_of_two_relations_is_given_by_either() -> None:
    schema = PrismaSchema.parse(
        f"{HEAD}model T {{\n id Int @id\n uid Int\n org Int?\n"
        " u U? @relation(fields: [uid, org], references: [a, b])\n"
        " v V @relation(fields: [uid], references: [id])\n}\n"
        "model U {\n a Int\n b Int\n t T[]\n @@id([a, b])\n}\nmodel V {\n id Int @id\n ts T[]\n}\n"
    )
    types = {each["name"]: each for each in schema.dmmf["schema"]["inputObjectTypes"]["prisma"]}
    required = {each["name"]: each["isRequired"] for each in types["TCreateInput"]["fields"]}
    assert (required["u"], required["v"]) == (False, True)
