"""Answers without `orderBy` come in the order in which SQLite answers the query itself, lowered or not."""

import random
from collections.abc import Iterator
from typing import Any

import apsw
import orjson
import pytest

from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.query.plan import Plan

SCHEMA = """
datasource db {{
  provider = "sqlite"
}}

model A {{
  id {key} @id
  s  String @unique
  n  Int
  f  Float?
  bs B[]
  ts T[]

{a}
}}

model B {{
  id  {key} @id
  s   String
  n   Int
  aId {key}?
  a   A?     @relation(fields: [aId], references: [id])

{b}
}}

model T {{
  id {key} @id
  w  String @unique
  as A[]
}}
"""
INDEXES = {
    "A": ("[n]", "[s, n]", "[n, s]", "[f]", "[n, f]", "[s, id]"),
    "B": ("[s]", "[n]", "[aId]", "[aId, s]", "[aId, n]", "[n, aId]", "[aId, s, n]", "[s, id]"),
}
FIELDS = {"A": ("id", "s", "n", "f"), "B": ("id", "s", "n", "aId"), "T": ("id", "w")}
BELOW = {"A": {"bs": "B", "ts": "T"}, "B": {"a": "A"}, "T": {"as": "A"}}
ROWS = 24


class World:
    """A random schema with rows, and random requests to it."""

    def __init__(self, seed: int) -> None:
        self.numbers = numbers = random.Random(seed)
        self.key = numbers.choice(["Int", "String", "String", "BigInt"])
        drawn = {name: numbers.sample(found, numbers.randint(0, 4)) for name, found in INDEXES.items()}
        lines = {name: "\n".join(f"  @@index({index})" for index in found) for name, found in drawn.items()}
        schema = PrismaSchema.parse(SCHEMA.format(key=self.key, a=lines["A"], b=lines["B"]))
        self.engine = QueryEngine(schema)
        self.db = apsw.Connection(":memory:")
        push(self.db, schema)
        self._fill()

    def _fill(self) -> None:
        numbers = self.numbers
        ids = {name: self._keys() for name in "ABT"}
        texts = [f"s{number:02}" for number in range(100)]
        for name, table in ids.items():
            for key, text in zip(table, numbers.sample(texts, ROWS), strict=True):
                if name == "T":
                    self.db.execute("INSERT INTO T (id, w) VALUES (?, ?)", (key, text))
                    continue
                last = "f" if name == "A" else "aId"
                choices = [None, 0.5, 1.5, 2.25] if name == "A" else [*ids["A"][:6], None]
                row = (key, text, numbers.randint(0, 5), numbers.choice(choices))
                self.db.execute(f"INSERT INTO {name} (id, s, n, {last}) VALUES (?, ?, ?, ?)", row)
        for key in ids["A"][:8]:
            for other in numbers.sample(ids["T"], 4):
                self.db.execute("INSERT INTO _AToT (A, B) VALUES (?, ?)", (key, other))

    def _keys(self) -> list[Any]:
        drawn = self.numbers.sample(range(100), ROWS)
        return [f"k{number:02}" for number in drawn] if self.key == "String" else drawn

    def request(self) -> dict[str, Any]:
        model = self.numbers.choice("ABT")
        query = {"arguments": self._arguments(model), "selection": self._selection(model, 0)}
        return {"modelName": model, "action": "findMany", "query": query}

    def _selection(self, model: str, depth: int) -> dict[str, Any]:
        numbers = self.numbers
        selection: dict[str, Any] = dict.fromkeys(numbers.sample(FIELDS[model], numbers.randint(1, 2)), True)
        if depth < 2 and numbers.random() < 0.6:
            field, below = numbers.choice(list(BELOW[model].items()))
            arguments = {} if field == "a" else self._arguments(below)
            selection[field] = {"arguments": arguments, "selection": self._selection(below, depth + 1)}
        return selection

    def _arguments(self, model: str) -> dict[str, Any]:
        numbers = self.numbers
        text = "w" if model == "T" else "s"
        filters: list[dict[str, Any]] = [{}, {text: {"contains": "s"}}, {text: {"gt": "s30"}}]
        if model != "T":
            filters += [{"n": 3}, {"n": {"gt": 1}}, {"OR": [{"n": 1}, {"s": {"lt": "s50"}}]}]
        if model == "A":
            filters += [{"f": None}, {"f": {"gte": 1.5}, "n": {"lt": 4}}]
        arguments: dict[str, Any] = {"where": numbers.choice(filters)}
        if numbers.random() < 0.25:
            arguments["orderBy"] = [{numbers.choice(FIELDS[model][1:3]): numbers.choice(["asc", "desc"])}]
        if numbers.random() < 0.25:
            arguments |= {"take": numbers.randint(1, 9), "skip": numbers.randint(0, 2)}
        if numbers.random() < 0.15 and model != "T":
            arguments["distinct"] = ["n"]
        return arguments


@pytest.fixture(params=range(6))
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    made = World(request.param)
    yield made
    made.db.close()


def test_the_lowered_order_is_that_of_the_plan(world: World) -> None:
    lowered = 0
    for _ in range(20):
        request = world.request()
        plan, values = world.engine.prepare(request)
        expected = plan.run(world.db, values)
        answer = Plan(plan.tree, model=request["modelName"]).run_json(world.db, values)
        lowered += isinstance(answer, orjson.Fragment)
        assert orjson.loads(orjson.dumps(answer)) == expected, request
    assert lowered > 5


@pytest.mark.parametrize("where", ["", '(where: {s: {contains: "x"}})'])
@pytest.mark.parametrize("key", ["String", "BigInt"])
def test_a_covering_index_does_not_decide(key: str, where: str) -> None:
    schema = PrismaSchema.parse(SCHEMA.format(key=key, a="  @@index([n, s])", b=""))
    engine, db = QueryEngine(schema), apsw.Connection(":memory:")
    push(db, schema)
    for number, text in enumerate(("zx", "mx", "ax")):
        db.execute("INSERT INTO A (id, s, n) VALUES (?, ?, ?)", (str(9 - number), text, 9 - number))
    condition = {"s": {"contains": "x"}} if where else {}
    for field, expected in (("s", ["zx", "mx", "ax"]), ("n", [9, 8, 7])):
        query = {"arguments": {"where": condition}, "selection": {field: True}}
        plan, values = engine.prepare({"modelName": "A", "action": "findMany", "query": query})
        answer = plan.run_json(db, values)
        assert isinstance(answer, orjson.Fragment)
        assert [row[field] for row in orjson.loads(orjson.dumps(answer))] == expected
    db.close()
