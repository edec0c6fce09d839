"""Every arithmetic operation in the SQL that Prisma's compiler writes is found and checked."""

from collections.abc import Iterator
from functools import cache
from typing import Any

import orjson
import pytest
from tests.unit.prisma.query.plan.plan_nodes import INT, param, template

from lamdb.errors import EngineError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query.arithmetic import OPERAND_MARK, OPERATORS, guard_arithmetic
from lamdb.prisma.query.compiler import QueryCompiler
from lamdb.prisma.query.inputs import InputGraph
from lamdb.prisma.query.parameters import parameterise

SCHEMA = """
datasource db {
  provider = "sqlite"
}

model Row {
  id        Int      @id
  i         Int?     @map("it's a column")
  big       BigInt?  @map("x (y + 1")
  f         Float?   @map("= (z")
  dec       Decimal?
  increment Int?
  boxId     Int?
  box       Box?     @relation(fields: [boxId], references: [id])
  @@map("odd table")
}

model Box {
  id   Int   @id
  n    Int?
  rows Row[]
}
"""
FIELDS = {
    "i": 5,
    "big": {"$type": "BigInt", "value": "5"},
    "f": 0.5,
    "dec": {"$type": "Decimal", "value": "0.5"},
}


@cache
def schema() -> PrismaSchema:
    return PrismaSchema.parse(SCHEMA)


@cache
def compiler() -> QueryCompiler:
    return QueryCompiler(schema())


@cache
def graph() -> InputGraph:
    return InputGraph.from_dmmf(schema().dmmf)


def statements(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, list):
        for item in node:
            yield from statements(item)
    elif isinstance(node, dict):
        if node.get("type") == "templateSql":
            yield node
        else:
            for item in node.values():
                yield from statements(item)


def marked(query: dict[str, Any]) -> int:
    return sum(
        isinstance(each, dict) and OPERAND_MARK in each.get("prisma__value", {}).get("name", "")
        for each in query["args"]
    )


def sql_of(query: dict[str, Any]) -> str:
    return "".join(each.get("chunk", "?") for each in query["fragments"])


def writes(data: dict[str, Any]) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Every kind of write that may have the update `data` of a row."""
    one = {"where": {"id": 1}}
    nested = {
        "update": [{**one, "data": data}],
        "updateMany": [{"where": {}, "data": data}],
        "upsert": [{**one, "create": {"id": 2}, "update": data}],
    }
    return {
        "one": ("Row", "updateOne", {**one, "data": data}),
        "many": ("Row", "updateMany", {"data": data}),
        "many and return": ("Row", "updateManyAndReturn", {"data": data}),
        "upsert": ("Row", "upsertOne", {**one, "create": {"id": 1}, "update": data}),
        "emulated upsert": (
            "Row",
            "upsertOne",
            {"where": {"id": 1, "i": 2}, "create": {"id": 1}, "update": data},
        ),
        **{
            f"nested {name}": ("Box", "updateOne", {**one, "data": {"rows": {name: each}}})
            for name, each in nested.items()
        },
    }


@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_each_operation_of_each_write_is_checked(operator: str) -> None:
    data = {name: {operator: value} for name, value in FIELDS.items()}
    for way, (model, action, arguments) in writes(data).items():
        selection = {"count": True} if action == "updateMany" else {"id": True}
        request = {
            "modelName": model,
            "action": action,
            "query": {"arguments": arguments, "selection": selection},
        }
        plan = compiler().compile(orjson.dumps(parameterise(graph(), request).shape))
        found = [each for each in statements(plan) if marked(each)]
        assert sum(map(marked, found)) >= len(FIELDS), way
        for query in found:
            checked = sql_of(guard_arithmetic(query))
            # Each of the four is either checked by CASE or computed as a decimal.
            assert checked.count("lamdb-out-of-range:") == 3, (way, checked)
            assert checked.count("lamdb_decimal(") == 1, (way, checked)


def test_a_field_with_the_name_of_an_operator_is_no_operation() -> None:
    for arguments in ({"data": {"id": 1, "increment": 5}}, {"data": {"id": 1, "increment": 5, "i": 7}}):
        query = {"arguments": arguments, "selection": {"id": True}}
        request = {"modelName": "Row", "action": "createOne", "query": query}
        plan = compiler().compile(orjson.dumps(parameterise(graph(), request).shape))
        found = [each for each in statements(plan) if marked(each)]
        assert found
        assert [guard_arithmetic(each) for each in found] == found


OPERAND = (param("%1!Int"), INT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("UPDATE `t` SET `a` = `a` + ", " WHERE 1=1"),
        ("UPDATE `t` SET `a` = (`a` + ", " + 0)"),
        ("UPDATE `t` SET `a` = (coalesce(`a`, 0) * ", ")"),
        ('UPDATE "t" SET "a" = ("a" - ', ")"),
        ("UPDATE `t` SET `a` = CAST(`a` / ", " AS INTEGER)"),
    ],
)
def test_arithmetic_that_is_written_otherwise_does_not_run_unchecked(before: str, after: str) -> None:
    with pytest.raises(EngineError, match="arithmetic in an unknown way"):
        guard_arithmetic(template(before, OPERAND, after))
