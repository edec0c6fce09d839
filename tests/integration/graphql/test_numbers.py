"""Numbers come back as they went in, or are refused: in every position, first and second use of a shape."""

import json
import random
import re
import struct
from base64 import b64encode
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from tests.support.graphql_schemas import parse_schema

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

SCHEMA = """
model Row {
  id    Int       @id
  key   String?   @unique
  int   Int?
  float Float?    @unique
  dec   Decimal?
  big   BigInt?
  at    DateTime?
  bytes Bytes?
  text  String?
  json  Json?
  boxId Int?
  box   Box?      @relation(fields: [boxId], references: [id])
}

model Must {
  id Int   @id
  n  Int
  f  Float
}

model Box {
  id   Int   @id
  rows Row[]
}
"""
AWKWARD = (
    0.30000000000000004,
    0.1,
    1.7976931348623157e308,
    5e-324,
    123456789012345.67,
    9007199254740993.0,
    1e22,
)


@pytest.fixture(scope="module")
def schema() -> PrismaSchema:
    return parse_schema(SCHEMA)


@pytest.fixture(scope="module")
def api(schema: PrismaSchema) -> Api:
    return Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))


class Asker:
    def __init__(self, api: Api, database: Database) -> None:
        self._api = api
        self.database = database

    def __call__(self, text: str, **variables: Any) -> Any:
        """The data. Fails for JSON that is not strict, and for errors."""
        answer = self.whole(text, **variables)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def whole(self, text: str, **variables: Any) -> Any:
        body = self._api.execute(self.database, GraphQLRequest(text, variables)).body

        def refuse(name: str) -> Any:
            raise AssertionError(f"{name} is not JSON: {body!r}")

        def finite(number: str) -> float:
            value = float(number)
            assert abs(value) != float("inf"), body
            return value

        return json.loads(body, parse_constant=refuse, parse_float=finite)

    def code(self, text: str, **variables: Any) -> str:
        answer = self.whole(text, **variables)
        assert "errors" in answer, answer
        return str(answer["errors"][0]["extensions"]["code"])

    def sql(self, statement: str, *values: Any) -> list[Any]:
        with self.database.writer() as connection:
            return connection.execute(statement, values).fetchall()


@pytest.fixture
def ask(api: Api, schema: PrismaSchema) -> Iterator[Asker]:
    with Database.open("memory:") as database:
        with database.writer() as connection:
            push(connection, schema)
        yield Asker(api, database)


# --- every position finds what SQL finds ----------------------------------------------------------


def doubles(numbers: random.Random) -> float:
    while True:
        (made,) = struct.unpack("d", numbers.randbytes(8))
        if made - made == 0.0 and abs(made) > 1e-300:
            return float(made)


def made(kind: str, numbers: random.Random) -> tuple[str, Any, Any]:
    """(the literal, the variable's value, what SQLite is asked for)."""
    if kind == "float":
        value = numbers.choice([doubles(numbers), numbers.choice(AWKWARD), round(numbers.random(), 16)])
        return repr(value), value, value
    if kind == "dec":
        value = numbers.choice([numbers.choice(AWKWARD), round(numbers.random() * 1000, 13)])
        return f'"{value!r}"', repr(value), value
    if kind == "big":
        number = numbers.choice([2**63 - 1, -(2**63), numbers.randrange(2**53, 2**63), 2**53 + 1])
        return f'"{number}"', str(number), number
    if kind == "int":
        number = numbers.choice([2**31 - 1, -(2**31), numbers.randrange(-(2**31), 2**31)])
        return str(number), number, number
    if kind == "at":
        text = f"20{numbers.randrange(10, 99)}-02-03T04:05:06.{numbers.randrange(1000):03}"
        return f'"{text}Z"', f"{text}Z", f"{text}+00:00"
    if kind == "bytes":
        data = numbers.randbytes(6)
        encoded = b64encode(data).decode()
        return f'"{encoded}"', encoded, data
    text = numbers.choice(["0.1", "é😀", "1e5", "", str(numbers.randrange(10**18))])
    return json.dumps(text, ensure_ascii=False), text, text


TYPES = {
    "float": "Float",
    "dec": "Decimal",
    "big": "BigInt",
    "int": "Int",
    "at": "DateTime",
    "bytes": "Bytes",
    "text": "String",
}
FILTERS = {
    "{{{k}: {a}}}": "{k} = ?1",
    "{{{k}: {{equals: {a}}}}}": "{k} = ?1",
    "{{{k}: {{not: {a}}}}}": "{k} <> ?1",
    "{{{k}: {{in: [{a}, {b}]}}}}": "{k} IN (?1, ?2)",
    "{{{k}: {{notIn: [{a}, {b}]}}}}": "{k} NOT IN (?1, ?2)",
    "{{OR: [{{{k}: {a}}}, {{NOT: {{{k}: {{notIn: [{b}]}}}}}}]}}": "{k} = ?1 OR {k} IN (?2)",
    "{{AND: [{{{k}: {{in: [{a}, {a}, {b}]}}}}, {{NOT: {{{k}: {b}}}}}]}}": "{k} IN (?1) AND {k} <> ?2",
}
ORDERED = {
    "{{{k}: {{gte: {a}}}}}": "{k} >= ?1",
    "{{{k}: {{gt: {a}, lte: {b}}}}}": "{k} > ?1 AND {k} <= ?2",
}


@pytest.mark.parametrize("kind", TYPES)
def test_filters_find_what_sql_finds(ask: Asker, kind: str) -> None:
    numbers = random.Random(kind)
    values = [made(kind, numbers) for _ in range(6)]
    for number, (literal, _, stored) in enumerate(values):
        if not ask.sql(f"SELECT 1 FROM Row WHERE {kind} = ?", stored):
            ask(f"mutation {{ createOneRow(data: {{id: {number}, {kind}: {literal}}}) {{ id }} }}")
    for form, condition in (FILTERS if kind == "bytes" else {**FILTERS, **ORDERED}).items():
        for _ in range(3):
            one, other = numbers.choice(values), numbers.choice([*values, made(kind, numbers)])
            bound = (one[2], other[2]) if "?2" in condition else (one[2],)
            found = ask.sql(f"SELECT id FROM Row WHERE {condition.format(k=kind)} ORDER BY id", *bound)
            wanted = [row[0] for row in found]
            for answer in asked(ask, form, kind, one, other):
                assert [row["id"] for row in answer] == wanted, form.format(k=kind, a=one[0], b=other[0])


def asked(ask: Asker, form: str, kind: str, one: Any, other: Any) -> Iterator[Any]:
    """The answers to a filter of literals, of variables, of both, and of one variable for all."""
    name = TYPES[kind]

    def find(parameters: str, where: str, **variables: Any) -> Any:
        text = f"query {parameters} {{ findManyRow(where: {where}, orderBy: {{id: asc}}) {{ id }} }}"
        return ask(text, **variables)["findManyRow"]

    yield find("", form.format(k=kind, a=one[0], b=other[0]))
    second = f", $b: {name}!" if "{b}" in form else ""
    yield find(f"($a: {name}!{second})", form.format(k=kind, a="$a", b="$b"), a=one[1], b=other[1])
    yield find(f"($a: {name}!)", form.format(k=kind, a="$a", b=other[0]), a=one[1])
    yield find("($w: RowWhereInput!)", "$w", w=_as_json(form, kind, one[1], other[1]))


def _as_json(form: str, kind: str, one: Any, other: Any) -> Any:
    text = form.format(k="K", a='"@A"', b='"@B"')
    for word in ("AND", "OR", "NOT", "notIn", "in", "equals", "not", "gte", "gt", "lte", "K"):
        text = re.sub(rf"(?<![\w\"]){word}:", f'"{word}":', text)
    return _filled(json.loads(text), kind, one, other)


def _filled(value: Any, kind: str, one: Any, other: Any) -> Any:
    if isinstance(value, dict):
        return {kind if k == "K" else k: _filled(v, kind, one, other) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(each, kind, one, other) for each in value]
    return one if value == "@A" else other


@pytest.mark.parametrize("values", [(0.1, 0.30000000000000004), (5e-324, 1.7976931348623157e308)])
@pytest.mark.parametrize("first", [(), (0.25, 0.75)], ids=["first of its shape", "second of its shape"])
def test_delete_many_keeps_what_is_in_the_list(ask: Asker, values: Any, first: Any) -> None:
    text = "mutation {{ deleteManyRow(where: {{float: {{notIn: [{!r}, {!r}]}}}}) {{ count }} }}"
    if first:
        ask(text.format(*first))
    for number, value in enumerate((*values, 0.2)):
        ask(f"mutation {{ createOneRow(data: {{id: {number}, float: {value!r}}}) {{ id }} }}")
    assert ask(text.format(*values)) == {"deleteManyRow": {"count": 1}}
    assert [row["float"] for row in ask("{ findManyRow { float } }")["findManyRow"]] == list(values)


@pytest.mark.parametrize("value", AWKWARD)
def test_a_double_in_every_other_position(ask: Asker, value: float) -> None:
    ask(
        f"mutation {{ createManyRow(data: [{{id: 1, float: {value!r}}}, {{id: 2, float: 0.125}}]) "
        "{ count } }"
    )
    for _ in range(2):
        found = f"findManyRow(cursor: {{float: {value!r}}}, orderBy: {{id: asc}}, take: 1) {{ id float }}"
        assert ask(f"{{ {found} }}") == {"findManyRow": [{"id": 1, "float": value}]}
        assert ask(f"{{ findUniqueRow(where: {{float: {value!r}}}) {{ id }} }}") == {
            "findUniqueRow": {"id": 1}
        }
        having = f"groupByRow(by: [id], having: {{float: {{_max: {{in: [{value!r}, 0.5]}}}}}}) {{ id }}"
        assert ask(f"{{ {having} }}") == {"groupByRow": [{"id": 1}]}
        below = f"findManyBox {{ rows(where: {{float: {{notIn: [{value!r}]}}}}) {{ id }} }}"
        assert ask(f"{{ {below} }}") == {"findManyBox": []}
        changed = (
            f"updateManyRow(where: {{float: {{in: [{value!r}]}}}}, data: {{float: {value!r}}}) {{ count }}"
        )
        assert ask(f"mutation {{ {changed} }}") == {"updateManyRow": {"count": 1}}
        create = f"create: {{id: 3, json: {{a: {value!r}}}}}"
        json_ = f"upsertOneRow(where: {{id: 3}}, {create}, update: {{}}) {{ json }}"
        assert json.loads(ask(f"mutation {{ {json_} }}")["upsertOneRow"]["json"]) == {"a": value}
    assert ask.sql("SELECT float FROM Row WHERE id = 1") == [(value,)]


def test_defaults_of_many_digits() -> None:
    schema = parse_schema(
        "model D {\n  id Int @id\n  f Float @default(0.30000000000000004)\n"
        "  d Decimal @default(0.30000000000000004)\n"
        "  b BigInt @default(9223372036854775807)\n}\n"
    )
    api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
    with Database.open("memory:") as database:
        with database.writer() as connection:
            push(connection, schema)
        ask = Asker(api, database)
        answer = ask("mutation { createOneD(data: {id: 1}) { f d b } }")["createOneD"]
        assert answer == {"f": 0.30000000000000004, "d": "0.30000000000000004", "b": "9223372036854775807"}


# --- past their end -------------------------------------------------------------------------------

PAST = [
    ("int", "2147483647", "increment: 1"),
    ("int", "-2147483648", "decrement: 1"),
    ("int", "65536", "multiply: 65536"),
    ("int", "7", "divide: 0"),
    ("big", '"9223372036854775807"', 'increment: "1"'),
    ("big", '"-9223372036854775808"', "decrement: 1"),
    ("big", '"9223372036854775807"', "multiply: 2"),
    ("big", '"5"', "divide: 0"),
    ("float", "1.7e308", "multiply: 10"),
    ("float", "-1.7e308", "decrement: 1.7e308"),
    ("float", "1.5", "divide: 0"),
    ("float", "1e308", "divide: 1e-10"),
    ("dec", '"1.7e308"', 'multiply: "10"'),
    ("dec", '"1.7e308"', 'increment: "1.7e308"'),
    ("dec", '"1.5"', 'divide: "0"'),
]
WAYS = {
    "updateOne": "updateOneRow(where: {{id: 1}}, data: {{{k}: {{{op}}}}}) {{ id }}",
    "updateMany": "updateManyRow(where: {{}}, data: {{{k}: {{{op}}}}}) {{ count }}",
    "updateManyAndReturn": "updateManyRowAndReturn(data: {{{k}: {{{op}}}}}) {{ {k} }}",
    "upsert": "upsertOneRow(where: {{id: 1}}, create: {{id: 1}}, update: {{{k}: {{{op}}}}}) {{ {k} }}",
    "emulated upsert": 'upsertOneRow(where: {{id: 1, key: "k"}}, create: {{id: 9}}, '
    "update: {{{k}: {{{op}}}}}) {{ id }}",
    "nested update": "updateOneBox(where: {{id: 1}}, data: {{rows: {{update: "
    "{{where: {{id: 1}}, data: {{{k}: {{{op}}}}}}}}}}}) {{ id }}",
    "nested updateMany": "updateOneBox(where: {{id: 1}}, data: {{rows: {{updateMany: "
    "{{where: {{}}, data: {{{k}: {{{op}}}}}}}}}}}) {{ id }}",
    "nested upsert": "updateOneBox(where: {{id: 1}}, data: {{rows: {{upsert: "
    "{{where: {{id: 1}}, create: {{id: 9}}, update: {{{k}: {{{op}}}}}}}}}}}) {{ id }}",
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_an_update_that_leaves_the_type_changes_nothing(ask: Asker, way: str) -> None:
    ask('mutation { createOneBox(data: {id: 1, rows: {create: [{id: 1, key: "k"}, {id: 2}]}}) { id } }')
    for kind, start, operation in PAST:
        ask(f"mutation {{ updateOneRow(where: {{id: 1}}, data: {{{kind}: {start}}}) {{ id }} }}")
        before = ask.sql(f"SELECT id, {kind}, typeof({kind}) FROM Row")
        assert ask.code(f"mutation {{ {way.format(k=kind, op=operation)} }}") == "P2033", (kind, operation)
        assert ask.sql(f"SELECT id, {kind}, typeof({kind}) FROM Row") == before


@pytest.mark.parametrize(
    ("kind", "start", "operation", "answer"),
    [
        ("int", "2147483646", "increment: 1", 2147483647),
        ("int", "7", "divide: 2", 3),
        ("int", "null", "increment: 1", None),
        ("big", '"9223372036854775806"', "increment: 1", "9223372036854775807"),
        ("big", '"9007199254740993"', "multiply: 3", "27021597764222979"),
        ("float", "0.1", "increment: 0.2", 0.30000000000000004),
        ("float", "null", "multiply: 2", None),
        ("dec", '"0.1"', 'increment: "0.2"', "0.3"),
        ("dec", '"0.30000000000000004"', 'increment: "0"', "0.30000000000000004"),
        ("dec", '"19.99"', 'multiply: "3"', "59.97"),
        ("dec", '"0.3"', 'decrement: "0.1"', "0.2"),
        ("dec", '"7"', 'divide: "2"', "3.5"),
        ("dec", '"9007199254740993"', 'increment: "2"', "9007199254740995"),
        ("dec", "null", 'increment: "2"', None),
    ],
)
def test_arithmetic_within_the_type(ask: Asker, kind: str, start: str, operation: str, answer: Any) -> None:
    ask(f"mutation {{ createOneRow(data: {{id: 1, {kind}: {start}}}) {{ id }} }}")
    found = ask(
        f"mutation {{ updateOneRow(where: {{id: 1}}, data: {{{kind}: {{{operation}}}}}) {{ {kind} }} }}"
    )
    assert found["updateOneRow"][kind] == answer


def test_aggregates_past_their_end(ask: Asker) -> None:
    ask(
        "mutation { createManyRow(data: ["
        '{id: 1, int: 2147483647, big: "9223372036854775807", float: 1.7e308, dec: "1.7e308"}, '
        '{id: 2, int: 1, big: "1", float: 1.6e308, dec: "1.6e308"}]) { count } }'
    )
    for field in ("int", "big", "float", "dec"):
        assert ask.code(f"{{ aggregateRow {{ _sum {{ {field} }} }} }}") in ("P2033", "P2023")
        assert ask.code(f"{{ groupByRow(by: [text]) {{ _sum {{ {field} }} }} }}") in ("P2033", "P2023")
    assert ask("{ aggregateRow { _max { int big float } _min { int } } }") == {
        "aggregateRow": {
            "_max": {"int": 2147483647, "big": "9223372036854775807", "float": 1.7e308},
            "_min": {"int": 1},
        }
    }
    assert ask("{ aggregateRow(where: {id: 5}) { _sum { int float } _avg { dec } } }") == {
        "aggregateRow": {"_sum": {"int": None, "float": None}, "_avg": {"dec": None}}
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [("n", "2147483648"), ("n", "-1e300"), ("n", "'many'"), ("f", "9e999"), ("f", "-9e999"), ("f", "'x'")],
)
def test_what_others_stored_is_the_same_error_in_every_query(ask: Asker, field: str, value: str) -> None:
    ask.sql(
        "INSERT INTO Must (id, n, f) VALUES (1, 1, 1), (2, 2, 2); "
        f"UPDATE Must SET {field} = {value} WHERE id = 1"
    )
    for query in (
        f"{{ findManyMust {{ {field} }} }}",
        f"{{ findManyMust(where: {{id: {{in: [1, 2]}}}}) {{ id {field} }} }}",
        f"{{ findUniqueMust(where: {{id: 1}}) {{ {field} }} }}",
        f"{{ findFirstMust(orderBy: {{id: asc}}) {{ {field} }} }}",
        f"{{ groupByMust(by: [id, {field}]) {{ id {field} }} }}",
    ):
        for _ in range(4):  # lowering is given up after three failures
            assert ask.code(query) == "P2023", query


def test_the_same_of_optional_fields_and_other_types(ask: Asker) -> None:
    ask.sql("INSERT INTO Row (id, int, float, dec, big) VALUES (1, 3000000000, 9e999, 9e999, 1e300)")
    for field in ("int", "float", "dec", "big"):
        for query in (
            f"{{ findManyRow {{ {field} }} }}",
            f"{{ findUniqueRow(where: {{id: 1}}) {{ {field} }} }}",
        ):
            assert ask.code(query) == "P2023"
        assert ask.code(f"{{ aggregateRow {{ _max {{ {field} }} }} }}") == "P2023"
    ask.sql("UPDATE Row SET int = NULL, float = NULL, dec = NULL, big = NULL")
    assert ask("{ findManyRow { int float dec big } }") == {
        "findManyRow": [dict.fromkeys(("int", "float", "dec", "big"))]
    }


# --- decimals, Json, Int --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["0", "-0.5", "1e22", "9007199254740993", "9223372036854775807", "0.30000000000000004", "123456789.12"],
)
def test_decimals_that_are_kept(ask: Asker, text: str) -> None:
    ask(f'mutation {{ createOneRow(data: {{id: 1, dec: "{text}"}}) {{ id }} }}')
    for query in ("findManyRow", "findFirstRow"):
        found = ask(f'{{ {query}(where: {{dec: "{text}"}}) {{ dec }} }}')[query]
        (row,) = found if isinstance(found, list) else [found]
        assert Decimal(row["dec"]) == Decimal(text)


@pytest.mark.parametrize(
    "text", ["12345678901234567890.12", "0.1234567890123456789", "1e400", "1e-400", "9223372036854775809"]
)
def test_decimals_that_are_refused(ask: Asker, text: str) -> None:
    forms = [
        f'mutation {{ createOneRow(data: {{id: 1, dec: "{text}"}}) {{ id }} }}',
        f'mutation {{ createManyRow(data: [{{id: 1, dec: "{text}"}}]) {{ count }} }}',
        f'mutation {{ updateManyRow(data: {{dec: {{multiply: "{text}"}}}}) {{ count }} }}',
        f'{{ findManyRow(where: {{dec: {{in: ["1", "{text}"]}}}}) {{ id }} }}',
        f'{{ findManyRow(where: {{dec: {{lt: "{text}"}}}}) {{ id }} }}',
    ]
    if "e" not in text and len(text) > 19:
        forms.append(f"mutation {{ createOneRow(data: {{id: 1, dec: {text}}}) {{ id }} }}")
    for form in forms:
        for _ in range(2):
            assert ask.code(form) == "P2033"
    assert (
        ask.code("mutation ($d: Decimal) { createOneRow(data: {id: 1, dec: $d}) { id } }", d=text) == "P2033"
    )
    assert ask.sql("SELECT count(*) FROM Row") == [(0,)]


def test_numbers_in_variables(ask: Asker) -> None:
    made = ask("mutation ($d: Decimal) { createOneRow(data: {id: 1, dec: $d}) { dec } }", d=10**19)
    assert made == {"createOneRow": {"dec": "10000000000000000000"}}
    create = "mutation ($d: RowCreateInput!) { createOneRow(data: $d) { id } }"
    for data in ({"int": 2**31}, {"int": -(2**31) - 1}):
        assert ask.code(create, d={"id": 2, **data}) == "BAD_VARIABLES"
    for data in ({"float": 10**400}, {"float": float("inf")}):
        assert ask.code(create, d={"id": 2, **data}) == "P2033"
    find = "query ($w: RowWhereInput!) { findManyRow(where: $w) { id } }"
    assert ask.code(find, w={"int": {"gt": 2**31}}) == "BAD_VARIABLES"


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ('{"a": 123456789012345678901234567890}', '{"a":123456789012345678901234567890}'),
        ("[0.12345678901234567891, 1e400, -0.1]", "[0.12345678901234567891,1e400,-0.1]"),
        (
            '{"a": "1234567890123456789012", "b": 18446744073709551615}',
            '{"a":"1234567890123456789012","b":18446744073709551615}',
        ),
        ("9007199254740993", "9007199254740993"),
        ("0.30000000000000004", "0.30000000000000004"),
    ],
)
def test_json_keeps_every_digit(ask: Asker, given: str, answer: str) -> None:
    create = "mutation ($j: Json) { createOneRow(data: {id: 1, json: $j}) { json } }"
    assert ask(create, j=given)["createOneRow"]["json"] == answer
    assert ask("query ($j: Json) { findManyRow(where: {json: {equals: $j}}) { json } }", j=given) == {
        "findManyRow": [{"json": answer}]
    }


@pytest.mark.parametrize("given", ["123456789012345678901234567890", "0.12345678901234567891", "1e400"])
def test_a_json_number_by_itself_is_exact_or_refused(ask: Asker, given: str) -> None:
    assert (
        ask.code("mutation ($j: Json) { createOneRow(data: {id: 1, json: $j}) { id } }", j=given) == "P2033"
    )
