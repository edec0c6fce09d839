"""Values and sizes at the edges: what each answers, and that what is refused has a code and changes nothing.

What Prisma's own engine answers differently is told in docs/conformance.md.
"""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

HEAD = 'generator client {\n  provider = "prisma-client"\n}\n\ndatasource db {\n  provider = "sqlite"\n}\n'
MODELS = """
model T {
  id  Int       @id
  s   String?
  i   Int?
  f   Float?
  d   Decimal?
  b   BigInt?
  t   DateTime?
  j   Json?     @default("{\\"a\\": 1}")
  on  Boolean?  @unique
  us  U[]
  ms  M[]
  fs  F[]
}

model U {
  id  Int  @id
  tid Int?
  t   T?   @relation(fields: [tid], references: [id])
}

model M {
  id Int @id
  ts T[]
}

model F {
  a   Int
  b   Int
  tid Int?
  t   T?   @relation(fields: [tid], references: [id])

  @@id([a, b])
}
"""
MANY = 1500
"""More than the depth of an expression that SQLite takes."""

type Ask = Callable[..., Any]


@cache
def _schema(text: str) -> PrismaSchema:
    return PrismaSchema.parse(text)


@cache
def _types(text: str) -> ApiTypes:
    return ApiTypes.from_dmmf(_schema(text).dmmf)


def _ask(text: str) -> Iterator[Ask]:
    schema = _schema(text)
    api = Api(QueryEngine(schema), _types(text))
    database = Database.open("memory:")
    with database.writer() as connection:
        push(connection, schema)

    def ask(query: str, **variables: Any) -> Any:
        answer = json.loads(api.execute(database, GraphQLRequest(query, variables)).body)
        if "errors" in answer:
            return answer["errors"][0]["extensions"]["code"]
        return next(iter(answer["data"].values()))

    yield ask
    database.close()


@pytest.fixture
def ask() -> Iterator[Ask]:
    yield from _ask(HEAD + MODELS)


# --- many conditions and records ------------------------------------------------------------------


def _ids(count: int = MANY, start: int = 0) -> list[dict[str, int]]:
    return [{"id": number} for number in range(start, start + count)]


@pytest.mark.parametrize("count", [999, 1010])
def test_long_lists_of_conditions(ask: Ask, count: int) -> None:
    ask("mutation ($d: [TCreateManyInput!]!) { createManyT(data: $d) { count } }", d=_ids(3))
    find = "query ($w: TWhereInput) { findManyT(where: $w, orderBy: {id: asc}) { id } }"
    assert ask(find, w={"OR": _ids(count, 1)}) == [{"id": 1}, {"id": 2}]
    assert ask(find, w={"NOT": _ids(count, 1)}) == [{"id": 0}]
    assert ask(find, w={"AND": [{"id": {"not": number}} for number in range(1, count)]}) == [{"id": 0}]
    assert ask(find, w={"OR": [{"NOT": {"OR": _ids(count)}}, {"id": 1}]}) == [{"id": 1}]
    assert ask(find, w={"us": {"none": {"OR": _ids(count)}}, "id": 2}) == [{"id": 2}]
    group = "query ($h: TScalarWhereWithAggregatesInput) { groupByT(by: [id], having: $h) { id } }"
    assert ask(group, h={"OR": _ids(count, 2)}) == [{"id": 2}]


def test_long_lists_in_the_text(ask: Ask) -> None:
    ask("mutation { createOneT(data: {id: 1009}) { id } }")
    conditions = ", ".join(f"{{id: {number}}}" for number in range(1010))
    assert ask(f"{{ findManyT(where: {{OR: [{conditions}]}}) {{ id }} }}") == [{"id": 1009}]


@pytest.mark.parametrize("action", ["updateManyT(data: {i: 5}, where: $w)", "deleteManyT(where: $w)"])
def test_long_lists_of_conditions_in_mutations(ask: Ask, action: str) -> None:
    ask("mutation ($d: [TCreateManyInput!]!) { createManyT(data: $d) { count } }", d=_ids(5))
    answer = ask(f"mutation ($w: TWhereInput) {{ {action} {{ count }} }}", w={"OR": _ids(MANY, 2)})
    assert answer == {"count": 3}


@pytest.mark.parametrize(("model", "field"), [("U", "us"), ("M", "ms")])
def test_many_records_of_a_relation(ask: Ask, model: str, field: str) -> None:
    ask(
        f"mutation ($d: [{model}CreateManyInput!]!) {{ createMany{model}(data: $d) {{ count }} }}",
        d=_ids(MANY + 1),
    )
    where = f"[{model}WhereUniqueInput!]"
    count = f"{{ _count {{ {field} }} }}"
    create = f"mutation ($c: {where}) {{ createOneT(data: {{id: 1, {field}: {{connect: $c}}}}) {count} }}"
    assert ask(create, c=_ids()) == {"_count": {field: MANY}}
    for operator, records, left in (
        ("disconnect", _ids(MANY - 1), 1),
        ("set", _ids(MANY, 1), MANY),
        ("connect", _ids(1), MANY + 1),
        ("set", _ids(1200), 1200),
        ("delete", _ids(1100), 100),
    ):
        update = f"data: {{{field}: {{{operator}: $c}}}}"
        answer = ask(
            f"mutation ($c: {where}) {{ updateOneT(where: {{id: 1}}, {update}) {count} }}", c=records
        )
        assert answer == {"_count": {field: left}}, operator


def test_many_records_with_compound_ids(ask: Ask) -> None:
    keys = [{"a": number, "b": -number} for number in range(MANY)]
    ask("mutation ($d: [FCreateManyInput!]!) { createManyF(data: $d) { count } }", d=keys)
    answer = ask(
        "mutation ($c: [FWhereUniqueInput!]) {"
        " createOneT(data: {id: 1, fs: {connect: $c}}) { _count { fs } } }",
        c=[{"a_b": key} for key in keys],
    )
    assert answer == {"_count": {"fs": MANY}}


def test_a_record_that_is_missing_among_many(ask: Ask) -> None:
    ask("mutation ($d: [UCreateManyInput!]!) { createManyU(data: $d) { count } }", d=_ids())
    connect = "mutation ($c: [UWhereUniqueInput!]) { createOneT(data: {id: 1, us: {connect: $c}}) { id } }"
    assert ask(connect, c=_ids(MANY + 1)) == "P2018"
    assert ask("{ findManyT { id } }") == []


@pytest.mark.parametrize(
    "where",
    [
        {"OR": [{"f": 0.5}] * 5_001},
        {"us": {"some": {"NOT": [{"id": 1}] * 20_000}}},
        {"s": {"contains": "x" * 60_000}},
    ],
    ids=["conditions", "nested conditions", "a pattern"],
)
def test_what_is_beyond_a_limit(ask: Ask, where: Any) -> None:
    ask('mutation { createOneT(data: {id: 1, s: "x"}) { id } }')
    assert ask("query ($w: TWhereInput) { findManyT(where: $w) { id } }", w=where) == "P2029"


# --- dates ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ("2016-12-31T23:59:60Z", "P2007"),
        ("2016-12-31T23:59:60.000Z", "P2007"),
        ("2016-12-31T18:59:60.250-05:00", "P2007"),
        ("9999-12-31T23:59:59-01:00", "P2007"),
        ("0000-01-01T00:00:00+00:30", "P2007"),
        ("9999-12-31T23:59:59+01:00", {"t": "9999-12-31T22:59:59.000Z"}),
        ("0001-01-01T00:00:00+01:00", {"t": "0000-12-31T23:00:00.000Z"}),
        ("0000-01-01T00:00:00Z", {"t": "0000-01-01T00:00:00.000Z"}),
    ],
)
def test_dates_at_the_edges(ask: Ask, given: str, answer: Any) -> None:
    create = "mutation ($t: DateTime) { createOneT(data: {id: 1, t: $t}) { t } }"
    assert ask(create, t=given) == answer
    assert ask("mutation { deleteManyT { count } }") == {"count": int(isinstance(answer, dict))}
    assert ask(f'mutation {{ createOneT(data: {{id: 1, t: "{given}"}}) {{ t }} }}') == answer
    found = ask("query ($t: DateTime) { findManyT(where: {t: $t}) { t } }", t=given)
    assert found == ([answer] if isinstance(answer, dict) else answer)


# --- numbers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [123456789012345680000, 2**63, -(2**63) - 1, 10**300])
def test_long_integers_for_floats(ask: Ask, number: int) -> None:
    assert ask(f"mutation {{ createOneT(data: {{id: 1, f: {number}}}) {{ f }} }}") == {"f": float(number)}
    assert ask(f"{{ findManyT(where: {{f: {number}}}) {{ id }} }}") == [{"id": 1}]
    assert ask("mutation ($f: Float) { createOneT(data: {id: 2, f: $f}) { f } }", f=number) == {
        "f": float(number)
    }


@pytest.mark.parametrize("number", [10_000_000_000_000_000_000, 2**63, -(2**70), 10**22])
def test_long_integers_for_decimals(ask: Ask, number: int) -> None:
    create = "mutation ($d: Decimal!) { createOneT(data: {id: 1, d: $d}) { d } }"
    whole = ask(create, d=str(number))
    ask("mutation { deleteManyT { count } }")
    assert ask(create, d=number) == whole
    ask("mutation { deleteManyT { count } }")
    assert ask(f"mutation {{ createOneT(data: {{id: 1, d: {number}}}) {{ d }} }}") == whole


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**30])
def test_integers_beyond_their_type(ask: Ask, number: int) -> None:
    assert ask(f"mutation {{ createOneT(data: {{id: 1, b: {number}}}) {{ id }} }}") == "P2033"
    assert ask(f"mutation {{ createOneT(data: {{id: 1, f: {'9' * 400}}}) {{ id }} }}") == "P2033"
    assert ask("{ findManyT { id } }") == []


@pytest.mark.parametrize(
    ("start", "operation", "end"),
    [
        (7, "divide: 2", 3),
        (-7, "divide: 2", -3),
        (7, "multiply: 3", 21),
        (2147483647, "divide: 2147483647", 1),
        (2147483646, "divide: 4", 536870911),
    ],
)
def test_integers_stay_integers(ask: Ask, start: int, operation: str, end: int) -> None:
    ask("mutation ($i: Int) { createOneT(data: {id: 1, i: $i}) { i } }", i=start)
    update = "mutation {{ updateOneT(where: {{id: 1}}, data: {{i: {{{}}}}}) {{ i }} }}"
    assert ask(update.format(operation)) == {"i": end}
    if abs(end) < 2**30:
        assert ask(update.format("multiply: 2")) == {"i": end * 2}


def test_sums_of_decimals_keep_their_fractions(ask: Ask) -> None:
    ask('mutation { createManyT(data: [{id: 1, d: "1"}, {id: 2, d: "1.5"}, {id: 3, d: "2"}]) { count } }')
    answer = ask("{ groupByT(by: [id], orderBy: {id: asc}) { _sum { d } _min { d } _max { d } } }")
    assert [group["_sum"]["d"] for group in answer] == ["1", "1.5", "2"]
    assert answer == [{"_sum": {"d": d}, "_min": {"d": d}, "_max": {"d": d}} for d in ("1", "1.5", "2")]


# --- text and JSON --------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "\udc00\ud800"])
def test_half_a_surrogate_pair(ask: Ask, text: str) -> None:
    assert ask("mutation ($s: String) { createOneT(data: {id: 1, s: $s}) { s } }", s=text) == "BAD_VARIABLES"
    nested = "mutation ($d: TCreateInput!) { createOneT(data: $d) { s } }"
    assert ask(nested, d={"id": 1, "s": text}) == "BAD_VARIABLES"
    assert (
        ask("query ($s: [String!]) { findManyT(where: {s: {in: $s}}) { id } }", s=["a", text])
        == "BAD_VARIABLES"
    )
    assert ask("{ findManyT { id } }") == []


def test_a_default_of_json(ask: Ask) -> None:
    assert ask("mutation { createOneT(data: {id: 1}) { j } }") == {"j": '{"a":1}'}


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("%", ["50%", "a_b", "abc", ""]),
        ("_", ["50%", "a_b", "abc"]),
        ("a_", ["a_b", "abc"]),
        ("0%", ["50%"]),
    ],
)
def test_wildcards_match_as_in_prisma(ask: Ask, pattern: str, found: list[str]) -> None:
    for number, text in enumerate(("50%", "a_b", "abc", "")):
        ask("mutation ($i: Int!, $s: String) { createOneT(data: {id: $i, s: $s}) { id } }", i=number, s=text)
    answer = ask(
        "query ($s: String) { findManyT(where: {s: {contains: $s}}, orderBy: {id: asc}) { s } }", s=pattern
    )
    assert [record["s"] for record in answer] == found


# --- what Prisma's compiler or client gets wrong --------------------------------------------------


def test_an_empty_having(ask: Ask) -> None:
    ask("mutation { createManyT(data: [{id: 1, i: 3}, {id: 2, i: 3}]) { count } }")
    for having in ("{}", "{i: {}}", "{AND: []}"):
        assert ask(f"{{ groupByT(by: [i], having: {having}) {{ i }} }}") == [{"i": 3}]


def test_a_cursor_at_a_boolean(ask: Ask) -> None:
    ask("mutation { createManyT(data: [{id: 1, on: true}, {id: 2, on: false}, {id: 3}]) { count } }")
    assert ask("{ findManyT(cursor: {on: true}, orderBy: {id: asc}, take: 2) { id } }") == [
        {"id": 1},
        {"id": 2},
    ]
    assert ask("{ findManyT(cursor: {on: false}, orderBy: {id: asc}) { id } }") == [{"id": 2}, {"id": 3}]


def test_nothing_to_update_with_a_relation_to_answer(ask: Ask) -> None:
    """Prisma's plan lacks the relation: an error on both sides, in other words."""
    ask("mutation { createOneU(data: {id: 1, t: {create: {id: 1}}}) { id } }")
    assert ask("mutation { updateManyUAndReturn(data: {}) { id t { id } } }") == "P2023"


TRANSIENT = """
model Aa {
  id   String @id
  size Int    @unique
  r    Int?   @unique
  b    Bb?    @relation(fields: [r], references: [id])
}

model Bb {
  id Int @id
  a  Aa?
}
"""


def test_values_that_pass_through_each_other() -> None:
    """The order in which SQLite updates rows is not fixed. Either all of them change, or none does and P2002
    says that one was in the way.
    """
    emulated = HEAD.replace('"sqlite"', '"sqlite"\n  relationMode = "prisma"')
    for ask in _ask(emulated + TRANSIENT):
        for key, size in (("k4", 1), ("z", -1), ("y", 10), ("k6", 2)):
            ask(
                "mutation ($k: String!, $s: Int!) { createOneAa(data: {id: $k, size: $s}) { id } }",
                k=key,
                s=size,
            )
        before = ask("{ findManyAa(orderBy: {size: asc}) { size } }")
        answer = ask("mutation { updateManyAa(data: {size: {increment: 8}}) { count } }")
        after = ask("{ findManyAa(orderBy: {size: asc}) { size } }")
        assert (answer, after) in (
            ({"count": 4}, [{"size": each["size"] + 8} for each in before]),
            ("P2002", before),
        )


CASCADES = """
model Parent {
  id    Int    @id
  code  String @unique
  note  String @unique
  kids  Kid[]
  pets  Pet[]
  house House?
}

model Kid {
  id   Int     @id
  code String?
  p    Parent? @relation(fields: [code], references: [code], onUpdate: Cascade)
}

model Pet {
  id  Int  @id
  pid Int?
  p   Parent? @relation(fields: [pid], references: [id], onUpdate: Cascade)
}

model House {
  id   Int     @id
  code String? @unique
  p    Parent? @relation(fields: [code], references: [code], onUpdate: SetNull)
}
"""


@pytest.mark.parametrize(
    "update",
    [
        'updateOneParent(where: {id: 1}, data: {code: "b"}) { id }',
        "updateOneParent(where: {id: 1}, data: {id: 2}) { id }",
        'updateOneParent(where: {code: "a"}, data: {code: "c", note: "second"}) { id }',
        'upsertOneParent(where: {id: 1}, update: {code: "b"}, create: {id: 9, code: "x", note: "x"}) { id }',
    ],
)
@pytest.mark.parametrize("mode", ["prisma", "foreignKeys"])
def test_an_update_that_fails_leaves_no_cascade(mode: str, update: str) -> None:
    """Prisma's plan writes related keys first, in part without a transaction."""
    head = HEAD.replace('"sqlite"', f'"sqlite"\n  relationMode = "{mode}"')
    for ask in _ask(head + CASCADES):
        for number, name, note in ((1, "a", "first"), (2, "b", "second")):
            ask(
                f'mutation {{ createOneParent(data: {{id: {number}, code: "{name}", note: "{note}", '
                f"kids: {{create: [{{id: {number}}}]}}, pets: {{create: [{{id: {number}}}]}}, "
                f"house: {{create: {{id: {number}}}}}}}) {{ id }} }}"
            )
        everything = (
            "{ findManyParent(orderBy: {id: asc}) { id code note kids { id } pets { id } house { id } } }"
        )
        rows = ["{ findManyKid { id code } }", "{ findManyPet { id pid } }", "{ findManyHouse { id code } }"]
        before = [ask(each) for each in (everything, *rows)]
        assert ask(f"mutation {{ {update} }}") == "P2002"
        assert [ask(each) for each in (everything, *rows)] == before
