"""Fields, models and columns with odd names: every kind of operation answers as for any other name."""

from collections.abc import Iterable
from functools import cache
from typing import Any

import orjson
import pytest

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

DATASOURCE = 'datasource db {\n  provider = "sqlite"\n}\n'
FIELDS = [
    "equals",
    "in",
    "notIn",
    "lt",
    "contains",
    "mode",
    "is",
    "isNot",
    "some",
    "every",
    "none",
    "has",
    "set",
    "push",
    "increment",
    "connect",
    "create",
    "update",
    "path",
    "count",
    "all",
    "by",
    "having",
    "where",
    "take",
    "data",
    "select",
    "fields",
    "sort",
    "nulls",
    "asc",
    "rowid",
    "on",
    "fragment",
    "query",
    "type",
    "constructor",
    "then",
    "table",
    "group",
    "String",
    "NULL",
    "True",
    "FALSE",
    "undefined",
    "NaN",
    "t0",
    "k",
    "v",
    "json",
    "key",
    "value",
    "or_",
]
COLUMNS = [
    *[
        "a'b",
        "''",
        "1a",
        "a;b",
        "a;--",
        "a/*b",
        "*/",
        "[a]",
        "a]",
        "a.b",
        "a$b",
        "$1",
        "?",
        "?1",
        ":a",
        "@a",
        "%s",
        "{}",
        "${a}",
        "é",
        "日本",
        "😀",
        "\\\\",
        "select",
    ],
    *["true", "False", "null", "or", "not", "oid", "_rowid_", "ß", "a\u200bb"],
    *("a b", "a\\nb", "a\\tb", "a\\\\b", "x" * 300),
]


class Served:
    """A schema over an empty database."""

    def __init__(self, models: str) -> None:
        schema = PrismaSchema.parse(DATASOURCE + models)
        self.api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
        self.database = Database.open("memory://")
        with self.database.writer(foreign_keys=False) as connection:
            push(connection, schema)

    def ask(self, document: str, **variables: Any) -> Any:
        answer = orjson.loads(self.api.execute(self.database, GraphQLRequest(document, variables)).body)
        assert "errors" not in answer, (document, answer)
        return answer["data"]


def fields_of(columns: Iterable[tuple[str, str | None]], type_: str) -> str:
    return "\n".join(
        f"  {name} {type_}" + (f' @map("{column}")' if column else "") for name, column in columns
    )


@pytest.fixture(scope="module", params=["fields", "columns"])
def odd(request: pytest.FixtureRequest) -> tuple[Served, list[str]]:
    """All names in one model, and in its children."""
    named: list[tuple[str, str | None]] = [(name, None) for name in FIELDS]
    if request.param == "columns":
        named = [(f"f{number}", column) for number, column in enumerate(COLUMNS)]
    pairs = "\n".join(f"  @@unique([{name}, id])" for name, _ in named[:20])
    models = f"""
model Thing {{
  id Int @id
{fields_of(named, "Int?")}
  kids Kid[]
{pairs}
}}
model Kid {{
  id Int @id
{fields_of(named, "String?")}
  parent Thing? @relation(fields: [parentId], references: [id])
  parentId Int?
}}
"""
    served = Served(models)
    names = [name for name, _ in named]
    served.ask(
        "mutation($d: [ThingCreateManyInput!]!, $k: [KidCreateManyInput!]!) {"
        " createManyThing(data: $d) { count } createManyKid(data: $k) { count } }",
        d=[{"id": id_, **dict.fromkeys(names, id_ * 10)} for id_ in (1, 2)],
        k=[{"id": 1, "parentId": 1, **dict.fromkeys(names, "a")}],
    )
    return served, names


READS = (
    ("findManyThing(where: {%: 10}) {%}", [{"%": 10}]),
    ("findManyThing(where: {%: {in: [10, 11]}}) {%}", [{"%": 10}]),
    ("findManyThing(where: {%: {not: {gt: 15}}}) {%}", [{"%": 10}]),
    ("findManyThing(where: {NOT: [{%: 10}, {%: null}]}) {%}", [{"%": 20}]),
    ("findManyThing(where: {kids: {some: {%: {contains: \"a\"}}}}) {%}", [{"%": 10}]),
    ("findManyThing(where: {id: {lt: {_ref: \"%\", _container: \"Thing\"}}}, take: 1) {%}", [{"%": 10}]),
    ("findManyKid(where: {parent: {%: {gte: 5}}}, orderBy: {parent: {%: asc}}) {%}", [{"%": "a"}]),
    ("findManyThing(orderBy: {%: {sort: desc, nulls: last}}, distinct: [%]) {%}", [{"%": 20}, {"%": 10}]),
    ("findUniqueThing(where: {id: 1, %: 10}) {% kids(where: {%: \"a\"}) {%}}",
     {"%": 10, "kids": [{"%": "a"}]}),
    ("aggregateThing(where: {%: {gt: 0}}) {_count {% _all} _min {%} _max {%} _sum {%} _avg {%}}",
     {"_count": {"%": 2, "_all": 2}, "_min": {"%": 10}, "_max": {"%": 20}, "_sum": {"%": 30},
      "_avg": {"%": 15}}),
    ("aggregateThing(orderBy: {%: asc}, take: 1) {_sum {%}}", {"_sum": {"%": 10}}),
    ("groupByThing(by: [%], having: {%: {gt: 15}}, orderBy: {_count: {%: asc}}) {% _sum {%}}",
     [{"%": 20, "_sum": {"%": 20}}]),
    ("groupByThing(by: [id], having: {OR: [{%: {_sum: {gt: 15}}}]}) {_max {%}}", [{"_max": {"%": 20}}]),
)  # fmt: skip
WRITES = (
    ("updateOneThing(where: {id: 1}, data: {%: {increment: 2}}) {%}", {"%": 12}),
    ("updateManyThing(where: {%: 12}, data: {%: {set: 11}}) {count}", {"count": 1}),
    ("updateManyThingAndReturn(where: {%: 11}, data: {%: 12}) {%}", [{"%": 12}]),
    ("upsertOneThing(where: {id: 1}, create: {id: 1, %: 0}, update: {%: {multiply: 2}}) {%}", {"%": 24}),
    ("upsertOneThing(where: {id: 3}, create: {id: 3, %: 5}, update: {%: 1}) {%}", {"%": 5}),
    ("deleteManyThing(where: {%: 5}) {count}", {"count": 1}),
    ("updateOneThing(where: {id: 1}, data: {%: 10, kids: {updateMany: {where: {%: \"a\"},"
     " data: {%: \"b\"}}}}) {% kids(orderBy: {%: asc}) {%}}", {"%": 10, "kids": [{"%": "b"}]}),
    ("updateOneThing(where: {id: 2}, data: {kids: {create: {id: 9, %: \"c\"}}}) {kids {%}}",
     {"kids": [{"%": "c"}]}),
    ("deleteManyKid(where: {%: \"c\"}) {count}", {"count": 1}),
    ("updateManyKid(data: {%: \"a\"}) {count}", {"count": 1}),
)  # fmt: skip


def filled(template: Any, name: str) -> Any:
    match template:
        case str():
            return template.replace("%", name)
        case list():
            return [filled(each, name) for each in template]
        case dict():
            return {filled(key, name): filled(value, name) for key, value in template.items()}
    return template


@pytest.mark.parametrize(("operation", "wanted"), READS)
def test_queries(odd: tuple[Served, list[str]], operation: str, wanted: Any) -> None:
    served, names = odd
    for name in names:
        assert served.ask(f"{{ found: {filled(operation, name)} }}") == {"found": filled(wanted, name)}


def test_mutations(odd: tuple[Served, list[str]]) -> None:
    served, names = odd
    for name in names:
        for operation, wanted in WRITES:
            assert served.ask(f"mutation {{ done: {filled(operation, name)} }}") == {
                "done": filled(wanted, name)
            }


MODELS = [
    "Query",
    "Mutation",
    "Subscription",
    "ID",
    "SortOrder",
    "NullsOrder",
    "AffectedRowsOutput",
    "IntFilter",
    "TransactionIsolationLevel",
    "KidWhereInput",
    "AggregateKid",
    "ManyKid",
    "KidCountOutputType",
    "or",
    "not",
    "select",
    "table",
    "values",
    "fragment",
    "on",
    "One",
    "queryRaw",
]


@pytest.mark.parametrize("name", MODELS)
def test_models(name: str) -> None:
    served = Served(
        f"model {name} {{\n  id Int @id\n  v Int?\n  kids Kid[]\n  tags Tag[]\n}}\n"
        "model Kid {\n  id Int @id\n  upId Int?\n"
        f"  up {name}? @relation(fields: [upId], references: [id])\n}}\n"
        f"model Tag {{\n  id Int @id\n  things {name}[]\n}}\n"
    )
    served.ask(
        f"mutation {{ createOne{name}(data: {{id: 1, v: 5, kids: {{create: {{id: 1}}}},"
        f" tags: {{create: {{id: 1}}}}}}) {{ id }} }}"
    )
    where = "{kids: {some: {up: {v: 5}}}, tags: {every: {things: {some: {v: {gt: 4}}}}}}"
    assert served.ask(f"{{ a: findMany{name}(where: {where}) {{ id tags {{ id }} }} }}") == {
        "a": [{"id": 1, "tags": [{"id": 1}]}]
    }
    assert served.ask(f"{{ a: aggregate{name} {{ _sum {{ v }} }} }}") == {"a": {"_sum": {"v": 5}}}
    assert served.ask(f"mutation {{ a: deleteMany{name} {{ count }} }}") == {"a": {"count": 1}}


SHARED_NAMES = """
model One {
  id     BigInt    @id
  equals Decimal
  isNot  BigInt?
  where  String?
  manies Many[]
}

model Two {
  id     Int       @id
  is     DateTime?
  equals Bytes?
  gt     BigInt?
  note   String?
  manies Many[]
}

model Many {
  id    Int     @id
  oneId BigInt?
  one   One?    @relation(fields: [oneId], references: [id])
  twoId Int?
  two   Two?    @relation(fields: [twoId], references: [id])
}
"""


@cache
def api_with_shared_names() -> Api:
    schema = PrismaSchema.parse(DATASOURCE + SHARED_NAMES)
    return Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))


@pytest.mark.parametrize(
    ("where", "found"),
    [
        # `{where: …}` says that it is the model's `isNot`, whose `equals` is a Decimal.
        ({"one": {"isNot": {"equals": "0.5", "where": None}}}, [2, 3]),
        ({"one": {"isNot": {"equals": "12", "where": None}}}, [1, 3]),
        ({"one": {"isNot": {"AND": [{"equals": "12", "where": None}]}}}, [1, 3]),
        ({"one": {"isNot": {"equals": "12", "manies": {"none": {"id": 9}}}}}, [1, 3]),
        ({"one": {"is": {"isNot": {"gt": "7", "not": None}}}}, [2]),
        ({"two": {"is": {"equals": "YWI=", "note": None}}}, [1]),
        ({"two": {"is": {"equals": "YWJj", "gt": "9007199254740993"}}}, [2]),
        ({"two": {"is": {"gt": "5", "note": None}}}, [1]),
        ({"two": {"is": {"gt": "2019-01-01T00:00:00Z", "not": None}}}, [2]),
        ({"two": {"isNot": {"is": {"gt": "2019-01-01T00:00:00Z"}, "note": None}}}, [2, 3]),
    ],
)
def test_a_field_with_the_name_of_a_filter(where: dict[str, Any], found: list[int]) -> None:
    """The other fields of an object decide which type it is of, and so which type a value is of."""
    api = api_with_shared_names()
    with Database.open("memory:") as database:
        with database.writer() as connection:
            push(connection, api.engine.schema)

        def ask(query: str, **variables: Any) -> Any:
            return orjson.loads(api.execute(database, GraphQLRequest(query, variables)).body)

        for row in (
            {"id": 1, "one": {"id": "1", "equals": "0.5", "isNot": "7"}},
            {"id": 2, "one": {"id": "2", "equals": "12", "isNot": "8"}},
        ):
            one = {"create": row["one"]}
            two = {"id": row["id"], "equals": "YWI=", "gt": "5"} if row["id"] == 1 else None
            two = two or {
                "id": 2,
                "is": "2020-01-01T00:00:00Z",
                "equals": "YWJj",
                "gt": 2**53 + 1,
                "note": "x",
            }
            create = "mutation ($d: ManyCreateInput!) { createOneMany(data: $d) { id } }"
            assert "data" in ask(create, d={"id": row["id"], "one": one, "two": {"create": two}})
        ask("mutation { createOneMany(data: {id: 3}) { id } }")
        as_variable = ask("query ($w: ManyWhereInput) { findManyMany(where: $w) { id } }", w=where)
        assert as_variable == {"data": {"findManyMany": [{"id": number} for number in found]}}
        for _ in range(2):  # as a document, and as one of a shape that is known
            assert ask(f"{{ findManyMany(where: {literal(where)}) {{ id }} }}") == as_variable


def literal(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {literal(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(literal, value)) + "]"
    return orjson.dumps(value).decode()
