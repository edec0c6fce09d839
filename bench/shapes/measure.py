"""Answers, compared before anything is timed, and times: the least of several batches."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import graphql
import orjson
from graphql.language import OperationDefinitionNode

from bench.measure import WrongAnswer
from bench.shapes.data import SCHEMA
from bench.shapes.shapes import Shape
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.operation import DataRoot
from lamdb.graphql.schema.types import ApiTypes
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

_BATCHES = 5
ROOT = Path(__file__).parents[2]
PRISMA = ROOT / "tests/oracles/prisma_node"


@dataclass(frozen=True)
class Figure:
    """Milliseconds per request; `prisma` is None where it was not measured."""

    shape: Shape
    hand: float
    api: float
    prisma: float | None

    @property
    def ratio(self) -> float:
        return self.api / self.hand


class Lamdb:
    """The API over a database, in this process."""

    def __init__(self, database: Database) -> None:
        schema = PrismaSchema.parse(SCHEMA)
        self._types = ApiTypes.from_dmmf(schema.dmmf)
        self._api = Api(QueryEngine(schema), self._types)
        self._database = database

    def answer(self, shape: Shape) -> bytes:
        return self._api.execute(self._database, GraphQLRequest(shape.document)).body

    def request(self, shape: Shape) -> dict[str, Any]:
        """The request in Prisma's JSON protocol that the document comes to."""
        definition = graphql.parse(shape.document).definitions[0]
        assert isinstance(definition, OperationDefinitionNode)
        root = OperationCompiler(self._types).operation(definition, {}, {}, {})[0]
        assert isinstance(root, DataRoot)
        return root.request


class Prisma:
    """Prisma Client's engine, in a Node process that measures itself."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def prisma(path: Path) -> Iterator[Prisma | None]:
    """None if Node or its packages are not installed (`make oracle`)."""
    if not (PRISMA / "node_modules").exists():
        yield None
        return
    command = ["node", "measure.mjs"]
    with subprocess.Popen(
        command, cwd=PRISMA, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            client = Prisma(process)
            client.ask(schema=SCHEMA, database=str(path))
            yield client
        finally:
            process.kill()


def measure(shape: Shape, db: apsw.Connection, api: Lamdb, node: Prisma | None, seconds: float) -> Figure:
    """Raises `WrongAnswer` unless all answer the same."""
    wanted = orjson.loads(orjson.dumps(shape.hand(db)))
    require_same(shape, "lamDB", _only(orjson.loads(api.answer(shape)).get("data")), wanted)
    theirs = None
    if node is not None:
        measured = node.ask(request=api.request(shape), seconds=seconds)
        require_same(shape, "Prisma", measured["answer"].get("data"), wanted)
        theirs = measured["milliseconds"]
    hand, ours = least(lambda: orjson.dumps(shape.hand(db)), lambda: api.answer(shape), seconds)
    return Figure(shape, hand, ours, theirs)


def _only(data: Any) -> Any:
    return next(iter(data.values())) if data else data


def require_same(shape: Shape, name: str, found: Any, wanted: Any) -> None:
    if _plain(found) != wanted:
        raise WrongAnswer(f"{shape.name}: {shape.document}\n{name}: {found!r:.400}\nSQL: {wanted!r:.400}")


def _plain(value: Any) -> Any:
    """Prisma's JSON protocol without its tags."""
    match value:
        case {"$type": _, "value": inner}:
            return inner
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
    return value


def least(one: Callable[[], Any], other: Callable[[], Any], seconds: float) -> tuple[float, float]:
    """Milliseconds of a call of each: the least of batches of both in turns."""
    both = (one, other)
    found = [_time(call, 1) for call in both]
    times = [max(1, int(seconds * 1000 / 2 / _BATCHES / each)) for each in found]
    for _ in range(_BATCHES if max(found) < seconds * 1000 else 2):
        found = [min(best, _time(call, count)) for best, call, count in zip(found, both, times, strict=True)]
    return found[0], found[1]


def _time(call: Callable[[], Any], times: int) -> float:
    clock = time.perf_counter
    start = clock()
    for _ in range(times):
        call()
    return (clock() - start) * 1000 / times
