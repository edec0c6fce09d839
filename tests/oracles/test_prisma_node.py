"""lamDB answers Prisma's requests as Prisma Client does on Node, and leaves the same database behind.

`prisma_node/runner.mjs` sends each request through the client's own parameterisation, query compiler, plan
interpreter and better-sqlite3 adapter; we send it through `QueryEngine`. Both start from copies of one empty
database, so that a write that differs shows in every later answer and in the final dump.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson
import pytest

from lamdb.errors import LamdbError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine

from .prisma_node import blog, kitchen, relations, shop
from .prisma_node.compare import database_differences, differences, error_differences, raw_differences
from .prisma_node.protocol import Case

FOLDER = Path(__file__).parent / "prisma_node"
SUITES: dict[str, list[Case]] = {
    module.__name__.rpartition(".")[2]: module.CASES for module in (blog, kitchen, relations, shop)
}

pytestmark = [
    pytest.mark.node,
    pytest.mark.skipif(shutil.which("node") is None, reason="needs Node"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / ".installed").exists(), reason="needs `make oracle` (npm packages)"
    ),
]

# Where lamDB means to differ. Every entry must still differ, and docs/conformance.md says the same to users.
DELIBERATE = {
    "User.findMany: many values in": "Node's client stops at 999 values (P2029); lamDB has no such limit",
    "Required.createOne: too large for BigInt": "refused by both; Node says so when SQLite binds the value",
    "Optional.aggregate: extremes of bytes": "Node's adapter cannot tell the type of a BLOB without a column",
    "Optional.updateOne: decimal increment": "Node adds doubles; lamDB adds decimals",
    "Optional.updateOne: divide by nothing": "null on Node; lamDB refuses it (P2033)",
    "Optional.aggregate: sum beyond 64 bits": "refused by both; SQLite's words on Node, P2033 here",
    "User.findMany: negative skip": "Node's message has the wrapping of a Rust assertion",
    "queryRaw: undeclared types": "Node's adapter cannot tell the type of a BLOB without a column",
}


@dataclass(frozen=True)
class Outcome:
    """The responses of both sides to one suite, and the files they left."""

    node: list[dict[str, Any]]
    ours: list[dict[str, Any]]
    node_file: Path
    our_file: Path


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    folder = tmp_path_factory.mktemp("prisma_node")
    files = {name: (folder / f"{name}.node.db", folder / f"{name}.db") for name in SUITES}
    for name, (node_file, our_file) in files.items():
        _create(our_file, _schema(name))
        shutil.copy(our_file, node_file)
    jobs = [
        {"schema": _text(name), "database": str(files[name][0]), "requests": [case.request for case in cases]}
        for name, cases in SUITES.items()
    ]
    node = _run_on_node(folder, jobs)
    ours = [_run_here(files[name][1], _schema(name), cases) for name, cases in SUITES.items()]
    return {name: Outcome(*pair, *files[name]) for name, *pair in zip(SUITES, node, ours, strict=True)}


def _text(suite: str) -> str:
    return (FOLDER / "schemas" / f"{suite}.prisma").read_text()


def _schema(suite: str) -> PrismaSchema:
    return PrismaSchema.parse(_text(suite))


def _create(file: Path, schema: PrismaSchema) -> None:
    connection = apsw.Connection(str(file))
    push(connection, schema)
    connection.close()


def _run_on_node(folder: Path, jobs: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    (folder / "jobs.json").write_text(json.dumps(jobs))
    command = ["node", "runner.mjs", str(folder / "jobs.json"), str(folder / "answers.json")]
    subprocess.run(command, cwd=FOLDER, check=True, timeout=240)
    answers: list[list[dict[str, Any]]] = json.loads((folder / "answers.json").read_text())
    return answers


def _run_here(file: Path, schema: PrismaSchema, cases: list[Case]) -> list[dict[str, Any]]:
    engine = QueryEngine(schema)
    connection = apsw.Connection(str(file))
    connection.execute("PRAGMA foreign_keys = ON; PRAGMA synchronous = OFF")
    answers = [_answer(engine, connection, case.request) for case in cases]
    connection.close()
    return answers


def _answer(engine: QueryEngine, connection: apsw.Connection, request: dict[str, Any]) -> dict[str, Any]:
    """`data` or `error`; for a read also `json`, the answer as SQLite writes it where that is possible."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        plan, values = engine.prepare(request)
        answer = {"data": plan.run(connection, values)}
        if request["action"].startswith("find"):
            made = plan.run_json(connection, values)
            answer |= {
                "json": orjson.loads(orjson.dumps(made)),
                "by_sqlite": isinstance(made, orjson.Fragment),
            }
    except LamdbError as error:
        connection.execute("ROLLBACK")
        return {"error": {"code": error.code, "message": error.message, "meta": error.meta}}
    connection.execute("COMMIT")
    return answer


def _compare(case: Case, node: dict[str, Any], ours: dict[str, Any]) -> list[str]:
    if "error" in node and "error" in ours:
        return list(error_differences(node["error"], ours["error"]))
    if "error" in node or "error" in ours:
        return [f"{node} on Node, {ours} here"]
    if case.request["action"] == "queryRaw":
        return list(raw_differences(node["data"], ours["data"]))
    return list(differences(node["data"], ours["data"]))


@pytest.mark.parametrize("suite", SUITES)
def test_same_answers(outcomes: dict[str, Outcome], suite: str) -> None:
    outcome = outcomes[suite]
    assert len(outcome.node) == len(outcome.ours) == len(SUITES[suite])
    compared = {
        case.name: _compare(case, node, ours)
        for case, node, ours in zip(SUITES[suite], outcome.node, outcome.ours, strict=True)
    }
    wrong = {name: found[:3] for name, found in compared.items() if found and name not in DELIBERATE}
    stale = [name for name in DELIBERATE if name in compared and not compared[name]]
    report = "\n".join(f"{name}\n    " + "\n    ".join(found) for name, found in wrong.items())
    assert not wrong, f"{len(wrong)} of {len(compared)} answers differ:\n{report}"
    assert not stale, "these no longer differ"


@pytest.mark.parametrize("suite", SUITES)
def test_json_made_by_sqlite_says_the_same(outcomes: dict[str, Outcome], suite: str) -> None:
    read = [
        (case.name, ours)
        for case, ours in zip(SUITES[suite], outcomes[suite].ours, strict=True)
        if "json" in ours
    ]
    assert [(name, ours["data"], ours["json"]) for name, ours in read if ours["data"] != ours["json"]] == []
    assert sum(ours["by_sqlite"] for _, ours in read) > len(read) / 3


@pytest.mark.parametrize("suite", SUITES)
def test_same_database(outcomes: dict[str, Outcome], suite: str) -> None:
    found = list(database_differences(outcomes[suite].node_file, outcomes[suite].our_file))
    assert not found, "\n".join(found)


def test_the_requests_are_many_and_their_names_unique() -> None:
    names = [f"{suite}/{case.name}" for suite, cases in SUITES.items() for case in cases]
    assert len(names) >= 900
    assert len(set(names)) == len(names)
    assert set(DELIBERATE) <= {name.partition("/")[2] for name in names}
