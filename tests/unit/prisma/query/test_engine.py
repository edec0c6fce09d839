"""Requests from end to end on a database in memory."""

import re
import threading
from collections.abc import Iterator
from typing import Any

import apsw
import orjson
import pytest

from lamdb.errors import QueryError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine, TemplateVariable
from lamdb.prisma.query.inputs import InputGraph
from lamdb.prisma.query.plan import Constant, Nested, ScalarOutput, Shape

SCHEMA = """
datasource db {
  provider = "sqlite"
}

enum Color {
  RED
  BLUE @map("blue")
}

model Thing {
  id     Int       @id @default(autoincrement()) @map("thing_id")
  text   String?
  int    Int?
  big    BigInt?
  float  Float?
  price  Decimal?
  flag   Boolean?
  at     DateTime?
  json   Json?
  bytes  Bytes?
  color  Color?    @map("colour")

  @@map("things")
}

model Person {
  first    String
  last     String
  email    String    @unique @map("mail")
  boss      Person?  @relation("b", fields: [bossFirst, bossLast], references: [first, last])
  bossFirst String?
  bossLast  String?
  staff     Person[] @relation("b")
  friends   Friend[]
  touched   DateTime @updatedAt

  @@id([first, last])
  @@index([bossFirst, bossLast])
}

model Friend {
  id      String   @id @default(cuid(2))
  nick    String   @default(nanoid(8))
  token   String   @default(uuid(7))
  slug    String   @default(ulid())
  since   DateTime @default(now())
  person  Person   @relation(fields: [first, last], references: [first, last], onDelete: Cascade)
  first   String
  last    String
  others  Friend[] @relation("others")
  others2 Friend[] @relation("others")
}
"""


@pytest.fixture(scope="module")
def engine() -> QueryEngine:
    return QueryEngine(PrismaSchema.parse(SCHEMA))


@pytest.fixture(scope="module")
def ddl(engine: QueryEngine) -> str:
    connection = apsw.Connection(":memory:")
    push(connection, engine.schema)
    sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'"
    return ";".join(row[0] for row in connection.execute(sql))


@pytest.fixture
def db(ddl: str) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(":memory:")
    connection.execute(f"PRAGMA foreign_keys = ON; {ddl}")
    yield connection
    connection.close()


def request(model: str, action: str, selection: Any = None, /, **arguments: Any) -> dict[str, Any]:
    selection = selection or {"$scalars": True}
    return {"modelName": model, "action": action, "query": {"arguments": arguments, "selection": selection}}


def tagged(kind: str, value: str) -> dict[str, str]:
    return {"$type": kind, "value": value}


def error(engine: QueryEngine, db: apsw.Connection, wanted: dict[str, Any]) -> QueryError:
    with pytest.raises(QueryError) as caught:
        engine.run(db, wanted)
    return caught.value


THING = {
    "text": "é😀\u2028\"'",
    "int": -5,
    "big": tagged("BigInt", "9007199254740993"),
    "float": 0.1,
    "price": tagged("Decimal", "12.30"),
    "flag": True,
    "at": tagged("DateTime", "2024-02-03T04:05:06.789+02:00"),
    "json": tagged("Json", '{"a": [1, 2.5, null]}'),
    "bytes": tagged("Bytes", "AAEC/w=="),
    "color": "BLUE",
}
ANSWER = {
    "id": 1,
    "text": "é😀\u2028\"'",
    "int": -5,
    "big": "9007199254740993",
    "float": 0.1,
    "price": "12.3",
    "flag": True,
    "at": "2024-02-03T02:05:06.789Z",
    "json": '{"a":[1,2.5,null]}',
    "bytes": "AAEC/w==",
    "color": "BLUE",
}


def test_every_scalar_there_and_back(engine: QueryEngine, db: apsw.Connection) -> None:
    assert engine.run(db, request("Thing", "createOne", data=THING)) == ANSWER
    assert engine.run(db, request("Thing", "findUnique", where={"id": 1})) == ANSWER
    assert engine.run(db, request("Thing", "findMany")) == [ANSWER]
    nothing = engine.run(db, request("Thing", "createOne", data={}))
    assert nothing == {**dict.fromkeys(ANSWER), "id": 2}


@pytest.mark.parametrize("field", [name for name in THING if name != "json"])
def test_every_scalar_finds_its_record(engine: QueryEngine, db: apsw.Connection, field: str) -> None:
    engine.run(db, request("Thing", "createOne", data=THING))
    engine.run(db, request("Thing", "createOne", data={}))
    lists = [] if field == "flag" else [{"in": [THING[field]]}, {"in": [THING[field]] * 2}]
    for condition in (THING[field], {"equals": THING[field]}, *lists):
        found = engine.run(db, request("Thing", "findMany", {"id": True}, where={field: condition}))
        assert found == [{"id": 1}]
    assert engine.run(db, request("Thing", "findMany", {"id": True}, where={field: None})) == [{"id": 2}]


def test_plain_values_do_for_tagged_ones(engine: QueryEngine, db: apsw.Connection) -> None:
    plain = {name: value["value"] if isinstance(value, dict) else value for name, value in THING.items()}
    plain["json"] = THING["json"]
    assert engine.run(db, request("Thing", "createOne", data=plain)) == ANSWER


def test_composite_keys_self_relations_and_referential_actions(
    engine: QueryEngine, db: apsw.Connection
) -> None:
    boss = {"first": "Ann", "last": "A", "email": "ann@x"}
    worker = {"first": "Bob", "last": "B", "email": "bob@x", "boss": {"create": boss}}
    selection = {
        "email": True,
        "boss": {"selection": {"email": True, "staff": {"selection": {"email": True}}}},
    }
    answer = {"email": "bob@x", "boss": {"email": "ann@x", "staff": [{"email": "bob@x"}]}}
    assert engine.run(db, request("Person", "createOne", selection, data=worker)) == answer
    where = {"first_last": {"first": "Bob", "last": "B"}}
    assert engine.run(db, request("Person", "findUnique", selection, where=where)) == answer
    engine.run(db, request("Person", "deleteOne", where={"email": "ann@x"}))
    assert engine.run(db, request("Person", "findUnique", selection, where=where)) == {
        "email": "bob@x",
        "boss": None,
    }


def test_updated_at_changes_with_the_record(engine: QueryEngine, db: apsw.Connection) -> None:
    made = engine.run(db, request("Person", "createOne", data={"first": "A", "last": "B", "email": "e"}))
    db.execute("UPDATE Person SET touched = '2000-01-01T00:00:00.000+00:00'")
    where = {"email": "e"}
    changed = engine.run(db, request("Person", "updateOne", where=where, data={"email": "f"}))
    assert changed["touched"] >= made["touched"]


def test_generated_values(engine: QueryEngine, db: apsw.Connection) -> None:
    engine.run(db, request("Person", "createOne", data={"first": "A", "last": "B", "email": "e"}))
    rows = [{"first": "A", "last": "B"}, {"first": "A", "last": "B"}]
    made = engine.run(db, request("Friend", "createManyAndReturn", data=rows))
    for friend in made:
        assert re.fullmatch(r"[a-z][0-9a-z]{23}", friend["id"])
        assert re.fullmatch(r"[A-Za-z0-9_-]{8}", friend["nick"])
        assert re.fullmatch(r"[0-9a-f-]{14}7[0-9a-f-]{21}", friend["token"])
        assert re.fullmatch(r"[0-9A-Z]{26}", friend["slug"])
    assert made[0]["since"] == made[1]["since"]
    assert len({friend["id"] for friend in made}) == 2


def test_many_to_many_with_itself(engine: QueryEngine, db: apsw.Connection) -> None:
    engine.run(db, request("Person", "createOne", data={"first": "A", "last": "B", "email": "e"}))
    person = {"connect": {"email": "e"}}
    other = {"create": [{"id": "y", "person": person}, {"id": "z", "person": person}]}
    selection = {
        "id": True,
        "others": {"arguments": {"orderBy": [{"id": "asc"}]}, "selection": {"id": True}},
        "others2": {"selection": {"id": True}},
    }
    data = {"id": "x", "person": person, "others": other}
    answer = {"id": "x", "others": [{"id": "y"}, {"id": "z"}], "others2": []}
    assert engine.run(db, request("Friend", "createOne", selection, data=data)) == answer
    found = engine.run(db, request("Friend", "findMany", selection, where={"id": "y"}))
    assert found == [{"id": "y", "others": [], "others2": [{"id": "x"}]}]


def test_counts_and_groups(engine: QueryEngine, db: apsw.Connection) -> None:
    for number in (1, 2, 3):
        data = {"int": number, "color": "RED" if number < 3 else "BLUE"}
        engine.run(db, request("Thing", "createOne", data=data))
    selection = {"_count": {"selection": {"_all": True}}, "_sum": {"selection": {"int": True}}}
    assert engine.run(db, request("Thing", "aggregate", selection)) == {
        "_count": {"_all": 3},
        "_sum": {"int": 6},
    }
    grouped = request(
        "Thing", "groupBy", {"color": True, **selection}, by=["color"], orderBy=[{"color": "asc"}]
    )
    assert engine.run(db, grouped) == [
        {"color": "RED", "_count": {"_all": 2}, "_sum": {"int": 3}},
        {"color": "BLUE", "_count": {"_all": 1}, "_sum": {"int": 3}},
    ]


def test_raw_requests(engine: QueryEngine, db: apsw.Connection) -> None:
    def raw(action: str, sql: str, parameters: str = "[]") -> Any:
        arguments = {"query": sql, "parameters": parameters}
        return engine.run(db, {"action": action, "query": {"arguments": arguments, "selection": {}}})

    assert raw("executeRaw", "INSERT INTO things (text, int) VALUES (?, ?), ('b', 2)", '["a", 1]') == 2
    answer = raw("queryRaw", "SELECT text, big FROM things WHERE int > ?", "[1]")
    assert answer == {"columns": ["text", "big"], "types": ["string", "bigint"], "rows": [["b", None]]}
    with pytest.raises(QueryError) as caught:
        raw("queryRaw", "SELECT nonsense")
    assert caught.value.code == "P2010"


# --- errors ---------------------------------------------------------------------------------------


def test_errors_name_the_model(engine: QueryEngine, db: apsw.Connection) -> None:
    person = {"first": "A", "last": "B", "email": "e"}
    engine.run(db, request("Person", "createOne", data=person))
    twice = error(engine, db, request("Person", "createOne", data={**person, "first": "C"}))
    assert (twice.code, twice.meta["modelName"], twice.meta["target"]) == ("P2002", "Person", ["mail"])
    missing = error(engine, db, request("Person", "updateOne", where={"email": "z"}, data={"email": "y"}))
    assert (missing.code, missing.meta) == ("P2025", {"operation": "an update", "modelName": "Person"})
    orphan = error(engine, db, request("Friend", "createMany", data=[{"first": "X", "last": "Y"}]))
    assert (orphan.code, orphan.meta["modelName"]) == ("P2003", "Friend")
    unknown = error(engine, db, request("Person", "findMany", where={"age": 3}))
    assert unknown.code == "P2009"
    assert error(engine, db, request("Person", "explode")).code == "P2009"


def test_numbers_beyond_64_bits_are_refused(engine: QueryEngine, db: apsw.Connection) -> None:
    for field in ("int", "big", "text"):
        assert error(engine, db, request("Thing", "createOne", data={field: 2**70})).code == "P2033"
    assert engine.run(db, request("Thing", "createOne", {"float": True}, data={"float": 2**70})) == {
        "float": 2.0**70
    }


def test_a_failed_write_leaves_nothing_behind(engine: QueryEngine, db: apsw.Connection) -> None:
    friends = {"create": [{"id": "same"}, {"id": "same"}]}
    data = {"first": "A", "last": "B", "email": "e", "friends": friends}
    assert error(engine, db, request("Person", "createOne", data=data)).code == "P2002"
    assert db.execute("SELECT (SELECT count(*) FROM Person) + (SELECT count(*) FROM Friend)").get == 0
    assert not db.in_transaction


def test_a_stored_graph_spares_the_dmmf(engine: QueryEngine, db: apsw.Connection) -> None:
    schema = PrismaSchema.parse(SCHEMA)
    lean = QueryEngine(schema, inputs=InputGraph.loads(engine.graph.dumps()))
    assert lean.run(db, request("Thing", "createOne", data=THING)) == ANSWER
    assert "dmmf" not in vars(schema)
    with pytest.raises(TypeError):
        lean.graph.dumps()


# --- plans are kept -------------------------------------------------------------------------------


def test_one_plan_serves_every_request_of_a_shape(engine: QueryEngine) -> None:
    plans = {engine.prepare(request("Thing", "findUnique", where={"id": number}))[0] for number in range(5)}
    assert len(plans) == 1
    lists = {
        engine.prepare(request("Thing", "findMany", where={"int": {"in": list(range(n))}}))[0]
        for n in (1, 2, 9)
    }
    assert len(lists) == 1


def test_the_plan_cache_is_bounded() -> None:
    small = QueryEngine(PrismaSchema.parse(SCHEMA), plan_cache_size=2)
    first = small.prepare(request("Thing", "findMany", take=1))[0]
    for take in (2, 3, 4):
        small.prepare(request("Thing", "findMany", take=take))
    assert small.prepare(request("Thing", "findMany", take=1))[0] is not first


def test_plans_are_bounded_by_the_size_of_their_requests() -> None:
    small = QueryEngine(PrismaSchema.parse(SCHEMA), plan_bytes=1000)
    asked = [request("Thing", "findMany", where={"text": {"contains": "x"}}, take=take) for take in range(30)]
    plans = [small.prepare(each)[0] for each in asked]
    assert 1 <= len(small._plans) < 10
    assert small.prepare(asked[-1])[0] is plans[-1]
    assert small.prepare(asked[0])[0] is not plans[0]


def test_the_plans_of_templates_are_bounded_together() -> None:
    small = QueryEngine(PrismaSchema.parse(SCHEMA), plan_bytes=1000)
    wanted = request("Thing", "findMany", where={"int": TemplateVariable("n")}, take=TemplateVariable("take"))
    templates = [small.prepare_template(wanted) for _ in range(40)]
    for template in templates:
        template.bind({"n": 1, "take": 2})
        template.bind({"n": {"in": [1, 2]}, "take": 2})
    assert len(templates[-1]._variants) >= 1
    assert sum(len(template._variants) for template in templates) < 20
    assert templates[0].bind({"n": 1, "take": 2})[1] == templates[-1].bind({"n": 1, "take": 2})[1]


def test_dropped_plans_are_compiled_anew(engine: QueryEngine, db: apsw.Connection) -> None:
    template = engine.prepare_template(request("Thing", "findMany", where={"int": TemplateVariable("n")}))
    before, values = template.bind({"n": 1})
    engine.clear_plans()
    after, again = template.bind({"n": 1})
    assert (after is not before, values, after.run(db, again)) == (True, again, [])


def test_templates(engine: QueryEngine, db: apsw.Connection) -> None:
    for number in (1, 2, 3):
        engine.run(db, request("Thing", "createOne", data={"int": number}))
    shape = Shape.of(Constant("__typename", "Thing"), ScalarOutput("number", "int"))
    wanted = request("Thing", "findMany", where={"int": TemplateVariable("n")}, take=TemplateVariable("take"))
    template = engine.prepare_template(wanted, shape)

    def run(**variables: Any) -> Any:
        plan, values = template.bind(variables)
        assert orjson.loads(orjson.dumps(plan.run_json(db, values))) == plan.run(db, values)
        return plan.run(db, values)

    assert run(n=2) == [{"__typename": "Thing", "number": 2}]
    assert run(n={"in": [1, 3]}) == [
        {"__typename": "Thing", "number": 1},
        {"__typename": "Thing", "number": 3},
    ]
    assert run(n={"gt": 1}, take=1) == [{"__typename": "Thing", "number": 2}]
    assert run(n=None) == []
    assert len(run()) == 3
    assert template.bind({"n": 5})[0] is template.bind({"n": 6})[0]
    with pytest.raises(QueryError):
        template.bind({"n": "five"})


def test_a_template_keeps_a_bounded_number_of_plans(engine: QueryEngine) -> None:
    template = engine.prepare_template(request("Thing", "findMany", take=TemplateVariable("take")))
    template._MAX_VARIANTS = 3  # type: ignore[misc]
    for take in range(1, 10):
        template.bind({"take": take})
    assert len(template._variants) == 3


def test_shapes_of_answers(engine: QueryEngine, db: apsw.Connection) -> None:
    friends = {"create": [{"id": "a"}, {"id": "b"}]}
    data = {"first": "A", "last": "B", "email": "e", "friends": friends}
    selection = {
        "email": True,
        "friends": {"selection": {"id": True}},
        "_count": {"selection": {"friends": True}},
    }
    plan, values = engine.prepare(request("Person", "createOne", selection, data=data))
    shape = Shape.of(
        Nested("total", "_count", Shape.of(ScalarOutput("friends", "friends"))),
        Nested("ids", "friends", Shape.of(ScalarOutput("id", "id"), Constant("__typename", "Friend"))),
    )
    typed = [{"id": name, "__typename": "Friend"} for name in "ab"]
    assert plan.shaped(shape).run(db, values) == {"total": {"friends": 2}, "ids": typed}
    plan, values = engine.prepare(request("Friend", "deleteMany", {"count": True}))
    assert plan.shaped(Shape.of(ScalarOutput("n", "count"))).run(db, values) == {"n": 2}


MOMENT = "2024-01-01T00:00:01Z"

# --- threads --------------------------------------------------------------------------------------


def test_threads_share_an_engine(ddl: str) -> None:
    shared = QueryEngine(PrismaSchema.parse(SCHEMA), plan_cache_size=3)
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            connection = apsw.Connection(":memory:")
            connection.execute(ddl)
            for number in range(30):
                engine_request = request("Thing", "createOne", data={"int": seed + number})
                assert shared.run(connection, engine_request)["int"] == seed + number
                found = shared.run(
                    connection, request("Thing", "findMany", {"int": True}, take=number % 5 + 1)
                )
                assert found[0] == {"int": seed}
        except BaseException as failure:  # noqa: BLE001 - reported below
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(1000 * seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.parametrize("having", [{}, {"int": {}}, {"int": {"_avg": {}}}])
def test_having_without_a_condition_holds_for_every_group(
    engine: QueryEngine, db: apsw.Connection, having: dict[str, Any]
) -> None:
    def grouped(having: Any) -> dict[str, Any]:
        query = {"arguments": {"by": ["text"], "having": having}, "selection": {"text": True}}
        return {"modelName": "Thing", "action": "groupBy", "query": query}

    engine.run(
        db,
        {
            "modelName": "Thing",
            "action": "createOne",
            "query": {"arguments": {"data": {"text": "a"}}, "selection": {"id": True}},
        },
    )
    assert {"text": "a"} in engine.run(db, grouped(having))
    plan, values = engine.prepare_template(grouped(TemplateVariable("having"))).bind({"having": having})
    assert {"text": "a"} in plan.run(db, values)
