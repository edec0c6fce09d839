"""Rounds of a schema each: operations are made, run on both sides and compared."""

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from tests.oracles.fuzz.documents import STYLES, Document, document, request
from tests.oracles.fuzz.node import Node
from tests.oracles.fuzz.operations import Operation, Operations
from tests.oracles.fuzz.rules import INTEGERS, known, may_cascade_by_halves, uses_operator
from tests.oracles.fuzz.schemas import random_schema
from tests.oracles.fuzz.sides import (
    Answer,
    Ours,
    Tables,
    answer_differences,
    table_differences,
    tables_in,
)

from lamdb.errors import LamdbError
from lamdb.prisma.datamodel.schema import PrismaSchema

ROUNDS = 1_000_003
"""Seeds of rounds between those of two campaigns."""
BATCH = 24
"""Operations between two comparisons of the tables."""


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as both sides get it."""

    operation: Operation
    style: str

    @property
    def document(self) -> Document:
        return document(self.operation, self.style)


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that the two sides do not agree on."""

    seed: int
    schema: str
    before: Tables
    """The rows that were there when `steps` began."""
    steps: tuple[Step, ...]
    """The operations up to the one that differs."""
    node: Answer
    ours: Answer
    found: tuple[str, ...]
    rule: str | None
    failed: bool = False
    """Whether the tables differ after a last operation that was an error here."""


@dataclass(slots=True)
class Report:
    """The outcome of a campaign."""

    operations: int = 0
    schemas: int = 0
    refused_schemas: int = 0
    data: int = 0
    """Operations that both sides answered with data."""
    actions: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    unexplained: list[Difference] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        return {
            "operations": self.operations,
            "schemas": self.schemas,
            "schemas refused by both": self.refused_schemas,
            "answered with data": self.data,
            "actions": dict(self.actions.most_common()),
            "errors": dict(self.codes.most_common()),
            "known differences": dict(self.known.most_common()),
            "unexplained": len(self.unexplained),
        }


class Round:
    """One schema, and the operations on it."""

    def __init__(self, node: Node, folder: Path, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.schema = random_schema(self.random)
        self.ours = Ours(PrismaSchema.parse(self.schema))
        self._operations = Operations(self.random, PrismaSchema.parse(self.schema).dmmf)
        self._node = node
        self._file = folder / "node.db"
        self._files = 0
        self.ours.save(self._file)
        node.open(self.schema, self._file)

    def run(self, count: int, report: Report) -> None:
        """About `count` operations, differences noted in `report`."""
        pending = [Step(made, STYLES[0]) for made in self._operations.seeding()]
        done = 0
        while done < count:
            while len(pending) < BATCH:
                pending += self._steps()
            batch = list(self._until_drift(pending[:BATCH]))
            pending = pending[len(batch) :]
            done += self._batch(batch, report)

    def _steps(self) -> Iterator[Step]:
        """A random operation, and some of the same shape: plans that are kept must serve other values."""
        operation = self._operations.one()
        style = self.random.choice(STYLES)
        yield Step(operation, style)
        for _ in range(self.random.choice((0, 2, 4, 8))):
            yield Step(self._operations.varied(operation), style)

    def _until_drift(self, steps: list[Step]) -> Iterator[Step]:
        """Steps up to one that is known to leave other rows on Node, which later ones would come upon."""
        for step in steps:
            yield step
            if uses_operator(step.operation.arguments, "divide", INTEGERS) or may_cascade_by_halves(
                self.schema, step.operation
            ):
                return

    def _batch(self, steps: list[Step], report: Report) -> int:
        before = self.ours.tables()
        self._node.send({"requests": [request(step.operation) for step in steps]})
        ours = [self.ours.run(step.document) for step in steps]
        node = self._node.receive()
        for index, (step, theirs, mine) in enumerate(zip(steps, node, ours, strict=True)):
            report.operations += 1
            report.actions[step.operation.action] += 1
            if "error" in mine:
                report.codes[str(mine["error"]["code"])] += 1
            elif "data" in theirs:
                report.data += 1
            if found := answer_differences(theirs, mine):
                self._note(report, before, steps[: index + 1], found, theirs, mine)
                if step.operation.kind == "Mutation":
                    self._agree()
                    return index + 1
        if found := list(table_differences(tables_in(self._file), self.ours.tables())):
            self._note(report, before, steps, found, {}, {}, failed="error" in ours[-1])
            self._agree()
        return len(steps)

    def _note(
        self, report: Report, before: Tables, steps: list[Step], found: list[str], node: Answer, ours: Answer,
        *, failed: bool = False,
    ) -> None:  # fmt: skip
        made = (self.seed, self.schema, before, tuple(steps), node, ours, tuple(found), None, failed)
        difference = Difference(*made)
        rule = known(difference)
        if rule is None:
            report.unexplained.append(difference)
        else:
            report.known[rule] += 1

    def _agree(self) -> None:
        """Gives Node the state that is here."""
        self._files += 1
        self.ours.save(self._file.with_suffix(".new"))
        self._file = self._file.with_suffix(".new").rename(self._file.with_name(f"node{self._files}.db"))
        self._node.reopen(self._file)


def run(
    seed: int,
    operations: int,
    *,
    seconds: float | None = None,
    per_schema: int = 600,
    stop_at: int = 50,
    first_round: int = 1,
    progress: Callable[[Report], None] | None = None,
) -> Report:
    """Rounds until there were `operations`, `seconds` are over or `stop_at` differences are unexplained.

    The operations of a round depend on `seed` and its number alone.
    """
    report = Report()
    end = None if seconds is None else time.monotonic() + seconds
    number = first_round - 1
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        while report.operations < operations and len(report.unexplained) < stop_at:
            if end is not None and time.monotonic() > end:
                break
            number += 1
            round_seed = seed * ROUNDS + number
            try:
                each = Round(node, Path(folder), round_seed)
            except LamdbError:
                report.refused_schemas += 1
                continue
            report.schemas += 1
            each.run(min(per_schema, operations - report.operations), report)
            each.ours.close()
            for file in Path(folder).iterdir():
                file.unlink()
            if progress is not None:
                progress(report)
    return report
