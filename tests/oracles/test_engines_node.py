"""Prisma's engines answer in Python what they answer in Node: same plans, same errors, same SQL.

Node runs them with the JavaScript glue they came with, we with our host functions and the recorder.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lamdb.errors import QueryError
from lamdb.prisma import PrismaSchema, QueryCompiler, SchemaEngine

from .prisma_node import blog, kitchen, relations, shop

HERE = Path(__file__).parent
NODE_MODULES = HERE.parents[1] / "layers/sqlite-engine/node_modules"
SUITES = {module.__name__.rpartition(".")[2]: module.CASES for module in (blog, kitchen, relations, shop)}


def request(model: str, action: str, arguments: Any, selection: Any) -> dict[str, Any]:
    return {
        "modelName": model,
        "action": action,
        "query": {"arguments": arguments, "selection": selection},
    }


# Refused by the compiler, each with another kind of meta.
BAD = [
    request("User", "findMany", {"wher": 1}, {"id": True}),
    request("User", "findMany", {}, {}),
    request("User", "findMany", {}, {"nope": True}),
    request("User", "createOne", {"data": {}}, {"id": True}),
    request("None", "findMany", {}, {"id": True}),
]

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node"),
]


def text_of(name: str) -> str:
    return (HERE / "prisma_node/schemas" / f"{name}.prisma").read_text()


def requests_of(name: str) -> list[dict[str, Any]]:
    return [*(case.request for case in SUITES[name]), *BAD]


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("node")
    jobs = [{"schema": text_of(name), "requests": requests_of(name)} for name in SUITES]
    (folder / "jobs.json").write_text(json.dumps(jobs))
    script = HERE / "engines_node/engines.mjs"
    files = [folder / "jobs.json", folder / "answers.json"]
    subprocess.run(["node", script, NODE_MODULES, *files], check=True, timeout=120)
    return dict(zip(SUITES, json.loads((folder / "answers.json").read_text()), strict=True))


def normal(value: Any, key: str = "") -> Any:
    """Without what JSON cannot tell apart: nulls in objects go, as undefined does; 1.0 and BigInt 1 are 1.

    Objects named `fields` become lists, because their order is the order of the answer.
    """
    if isinstance(value, dict):
        if value.keys() == {"bigint"}:
            return int(value["bigint"])
        items = [(name, normal(item, name)) for name, item in value.items() if item is not None]
        return items if key == "fields" else dict(items)
    if isinstance(value, list):
        return [normal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def text(value: Any) -> str:
    """For comparison: in Python alone True equals 1."""
    return json.dumps(normal(value), sort_keys=True)


@pytest.mark.parametrize("name", SUITES)
def test_the_plans_and_errors_are_the_same(node: dict[str, Any], name: str) -> None:
    compiler = QueryCompiler(PrismaSchema.parse(text_of(name)))
    kinds = {"plan": 0, "error": 0}
    for wanted, theirs in zip(requests_of(name), node[name]["plans"], strict=True):
        try:
            ours: dict[str, Any] = {"plan": compiler.compile(json.dumps(wanted))}
        except QueryError as error:
            ours = {"error": {"code": error.code, "message": error.message, "meta": error.meta or None}}
            # The compiler names no code where the operation itself is unknown.
            theirs.get("error", {}).setdefault("code", "P2009")
        # lamDB takes the compiler's own wrapping off a message.
        assert text(ours) == text(theirs).replace('AssertionError(\\"', "").replace('\\")"', '"'), wanted
        kinds[next(iter(ours))] += 1
    assert kinds["plan"] > 50
    assert kinds["error"] >= len(BAD)


# lamDB writes defaults in the form in which the API stores values.
DEFAULTS = {
    "(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))": "CURRENT_TIMESTAMP",
    "'2020-02-29T12:34:56.789+00:00'": "'2020-02-29 12:34:56.789 +00:00'",
    "x'010203'": "'010203'",
}


@pytest.mark.parametrize("name", SUITES)
def test_the_sql_of_the_tables_is_the_same(node: dict[str, Any], name: str) -> None:
    with SchemaEngine() as engine:
        ours = engine.diff(None, PrismaSchema.parse(text_of(name)))
    for written, theirs in DEFAULTS.items():
        ours = ours.replace(written, theirs)
    assert ours == node[name]["sql"]
