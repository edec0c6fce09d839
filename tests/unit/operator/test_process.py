"""The process survives any input and answers the next request: tried in a process that may die.

The same documents, given to tartiflette without the guard, show what the guard is for.
"""

import ast
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.operator_documents import DEEP, LARGE, MISSED, REFUSED

pytest.importorskip("tartiflette", reason="the operator API is not compiled: `make setup` says why")

SERVE = """
import json, sys
from lamdb.graphql.from_settings import serving
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.operator.api import OperatorApi, OperatorContext
from lamdb.settings import Settings
from lamdb.storage import Database

settings = Settings(store="memory:")
with Database.open("memory:") as database:
    api = OperatorApi(OperatorContext(database, serving(settings), settings))
    for line in sys.stdin.buffer:
        headers = {"content-type": "application/json"}
        response = api.handle(HttpRequest("POST", "/admin/graphql", "", headers, line))
        print(json.dumps([response.status, json.loads(response.body)]), flush=True)
"""


class Child:
    """An operator API in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, query: str, variables: Any = None) -> tuple[int, Any]:
        return self.send(json.dumps({"query": query, "variables": variables}))

    def send(self, body: str) -> tuple[int, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(body + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, f"the process died: {self._process.wait()}"
        status, answer = json.loads(line)
        return status, answer

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(10) == 0


@pytest.fixture(scope="module")
def child() -> Iterator[Child]:
    made = Child()
    # tartiflette is loaded now, so that it is there to be crashed.
    assert made.ask("{ database { txid } }") == (200, {"data": {"database": {"txid": 0}}})
    yield made
    made.close()


def alive(child: Child) -> bool:
    return child.ask("{ database { txid } }") == (200, {"data": {"database": {"txid": 0}}})


def refused_with(child: Child, query: str, variables: Any = None) -> str:
    started = time.monotonic()
    status, answer = child.ask(query, variables)
    assert time.monotonic() - started < 60
    assert "data" not in answer
    assert status in (200, 400, 413)
    assert alive(child)
    return str(answer["errors"][0]["extensions"]["code"])


@pytest.mark.parametrize("what", DEEP)
def test_deep_documents(child: Child, what: str) -> None:
    codes = {"DOCUMENT_TOO_DEEP", "DOCUMENT_TOO_LARGE", "GRAPHQL_PARSE_FAILED"}
    assert refused_with(child, DEEP[what]) in codes


@pytest.mark.parametrize("what", LARGE)
def test_megabyte_documents(child: Child, what: str) -> None:
    assert refused_with(child, LARGE[what]) == "DOCUMENT_TOO_LARGE"


@pytest.mark.parametrize("rule", REFUSED)
def test_invalid_documents(child: Child, rule: str) -> None:
    for query in REFUSED[rule]:
        code = refused_with(child, query)
        assert code in {"GRAPHQL_VALIDATION_FAILED", "OPERATION_RESOLUTION_FAILURE"}


@pytest.mark.parametrize("depth", [100, 5000, 100_000])
def test_deep_variables(child: Child, depth: int) -> None:
    query = "mutation ($m: [MigrationInput!]!) { migrate(migrations: $m) { txid } }"
    for opening, closing in (("[", "]"), ('{"name":', "}")):
        body = json.dumps({"query": query, "variables": {"m": 0}})
        body = body.replace('"m": 0', '"m": ' + opening * depth + "1" + closing * depth)
        status, answer = child.send(body)
        assert status in (200, 400)
        assert answer["errors"][0]["extensions"]["code"] in {
            "BAD_VARIABLES",
            "DOCUMENT_TOO_DEEP",
            "MALFORMED_REQUEST",
        }
        assert alive(child)


def test_large_variables_arrive(child: Child) -> None:
    """Migrations come in variables: what is refused here is refused for what it says, not for its size."""
    query = "mutation ($m: [MigrationInput!]!, $s: String) { migrate(migrations: $m, schema: $s) { txid } }"
    script = "-- " + "é😀\t" * 500_000
    variables = {"m": [{"name": "1_x", "sql": script}], "s": "model"}
    _, answer = child.ask(query, variables)
    assert answer["errors"][0]["extensions"]["code"] == "P1012"
    assert alive(child)


@pytest.mark.parametrize(
    ("written", "meant"),
    [(r"\u00e9", "é"), (r"\u4e2d", "中"), (r"\ud83d\ude00", "😀"), (r"a\u0000b", "a\0b"), ("a\0b", "a\0b")],
)
def test_strings_in_documents_arrive(child: Child, written: str, meant: str) -> None:
    status, answer = child.ask(f'mutation {{ resolve(migration: "{written}", as: ROLLED_BACK) {{ name }} }}')
    assert status == 200
    assert f"`{meant}`" in answer["errors"][0]["message"]
    status, answer = child.ask(f'mutation {{ reset(confirm: "memory:{written}") {{ txid }} }}')
    assert answer["errors"][0]["extensions"]["code"] == "BAD_VARIABLES"
    assert alive(child)


@pytest.mark.parametrize("text", ["", " ", "{", "}", '"', "\0", "\ufeff", "…", "#", "null", "{}", "query"])
def test_nonsense(child: Child, text: str) -> None:
    assert refused_with(child, text) in {"GRAPHQL_PARSE_FAILED", "OPERATION_RESOLUTION_FAILURE"}


# Without the guard

RAW = """
import asyncio, sys
import tartiflette
from lamdb.operator.engine import RESOLVERS, SDL, _Unchanged

reached = []

def resolving(name):
    async def resolve(parent, arguments, context, info):
        reached.append((name, arguments))
        return [] if name == "Query.restorePoints" else None
    return resolve

for name in ("Long", "DateTime"):
    tartiflette.Scalar(name, schema_name="raw")(_Unchanged)
for name in RESOLVERS:
    tartiflette.Resolver(name, schema_name="raw")(resolving(name))

async def main(query):
    engine = tartiflette.Engine(SDL.read_text(), schema_name="raw")
    await engine.cook()
    return await engine.execute(query)

answer = asyncio.run(main(sys.stdin.read()))
print(ascii((reached, bool(answer.get("errors")))))
"""


def raw(query: str) -> tuple[int, Any]:
    done = subprocess.run(
        [sys.executable, "-c", RAW], input=query, capture_output=True, text=True, check=False
    )
    return done.returncode, ast.literal_eval(done.stdout) if done.stdout else None


def test_tartiflette_alone_dies_of_a_deep_document() -> None:
    assert raw(DEEP["selection sets"])[0] < 0, "ended by a signal"


@pytest.mark.parametrize(("written", "arrives"), [(r"a\u0000b", "a"), (r"\u0141", "A")])
def test_tartiflette_alone_corrupts_strings(written: str, arrives: str) -> None:
    _, answer = raw(f'mutation {{ restore(to: "{written}") {{ txid }} }}')
    ((_, arguments),) = answer[0]
    assert arguments["to"] == arrives


@pytest.mark.parametrize("rule", sorted(MISSED))
def test_tartiflette_alone_misses_rules(rule: str) -> None:
    code, (reached, failed) = raw(REFUSED[rule][0])
    assert code == 0
    assert reached or not failed
