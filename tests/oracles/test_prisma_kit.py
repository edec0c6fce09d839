"""Prisma's own engine tests, replayed through lamDB's GraphQL API.

The data is a harvest of prisma-engines' connector test kit: schemas, documents and the answers that Prisma's
engine gives on SQLite. It lies beside the checkout, or where `LAMDB_CONFORMANCE` says; without it these tests
are skipped. Cases that cannot pass are listed with their reasons in docs/conformance.md.
"""

import json
import math
import os
import time
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

ROOT = Path(__file__).parents[2]
DEFAULT_PLACE = ROOT.parent / "shared/conformance/prisma-kit.json"
PLACE = Path(os.environ.get("LAMDB_CONFORMANCE", DEFAULT_PLACE))

CLOCK_PAUSE = 0.002
"""Seconds between the steps of a case that compares times."""


def read_kit() -> dict[str, Any]:
    place = PLACE / "prisma-kit.json" if PLACE.is_dir() else PLACE
    return json.loads(place.read_text()) if place.exists() else {"schemas": {}, "cases": []}


KIT = read_kit()

if not KIT["cases"]:
    pytest.skip("Prisma's conformance data is not here (set LAMDB_CONFORMANCE)", allow_module_level=True)


@cache
def api_of(schema: str) -> tuple[PrismaSchema, Api]:
    parsed = PrismaSchema.parse(KIT["schemas"][schema])
    return parsed, Api(QueryEngine(parsed), ApiTypes.from_dmmf(parsed.dmmf))


def same(actual: Any, expected: Any) -> bool:
    """Equal as JSON: key order does not matter, the order of lists does, 1 is 1.0, floats to 1e-9."""
    if isinstance(expected, dict):
        return (
            isinstance(actual, dict)
            and actual.keys() == expected.keys()
            and all(same(actual[key], expected[key]) for key in expected)
        )
    if isinstance(expected, list):
        return (
            isinstance(actual, list)
            and len(actual) == len(expected)
            and all(same(one, other) for one, other in zip(actual, expected, strict=True))
        )
    if isinstance(expected, bool) or isinstance(actual, bool):
        return actual is expected
    if isinstance(expected, int | float) and isinstance(actual, int | float):
        return math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-9)
    return type(actual) is type(expected) and actual == expected


def at(value: Any, path: list[str | int]) -> Any:
    for key in path:
        value = value[key]
    return value


def complaint(step: dict[str, Any], response: dict[str, Any]) -> str | None:
    """The fault of a response, or None."""
    if error := step.get("error"):
        return error_complaint(error, response.get("errors", []))
    if step.get("expect") is not None:
        return None if same(response, step["expect"]) else f"expected {json.dumps(step['expect'])}"
    if step.get("expect_any"):
        if any(same(response, expected) for expected in step["expect_any"]):
            return None
        return f"expected one of {json.dumps(step['expect_any'])}"
    if "errors" in response:
        return "expected no error"
    for check in step.get("checks", ()):
        found = at(response, check["path"])
        if "length" in check and len(found) != check["length"]:
            return f"expected length {check['length']} at {check['path']}"
        if "equals" in check and not same(found, check["equals"]):
            return f"expected {check['equals']!r} at {check['path']}"
    return None


def error_complaint(wanted: dict[str, Any], errors: list[dict[str, Any]]) -> str | None:
    for error in errors:
        code_fits = (
            wanted.get("any") or wanted["code"] is None or error["extensions"]["code"] == wanted["code"]
        )
        if code_fits and (wanted["contains"] is None or wanted["contains"] in error["message"]):
            return None
    return f"expected the error {json.dumps(wanted)}"


# Deliberate differences (docs/conformance.md), by the end of the case's name and the step.
DIFFERENT: dict[tuple[str, int], dict[str, Any]] = {
    # Prisma's former GraphQL parser refused integers beyond 64 bits in a Float; Prisma Client takes them.
    ("int_range_overlap_fails", 0): {"expect": {"data": {"createOneTest": {"id": 1, "float": 1e20}}}},
}


@pytest.mark.parametrize("case", KIT["cases"], ids=lambda case: case["id"])
def test_case(case: dict[str, Any]) -> None:
    schema, api = api_of(case["schema"])
    with Database.open("memory:") as database:
        with database.writer() as connection:
            push(connection, schema)
        for number, step in enumerate(case["steps"]):
            time.sleep(step.get("wait_ms", 0) / 1000 + (CLOCK_PAUSE if "clock" in case["features"] else 0))
            body = api.execute(database, GraphQLRequest(step["query"])).body
            step = DIFFERENT.get((case["id"].split("::")[-1], number), step)
            wrong = complaint(step, json.loads(body))
            assert wrong is None, (
                f"step {number}: {case['steps'][number]['query']}\nanswered {body.decode()}\n{wrong}"
            )
