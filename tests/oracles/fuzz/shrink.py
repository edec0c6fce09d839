"""A difference made small: operations, arguments, selections and rows are left out while it stays."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.oracles.fuzz.campaign import Difference, Step
from tests.oracles.fuzz.documents import request
from tests.oracles.fuzz.node import Node
from tests.oracles.fuzz.rules import known
from tests.oracles.fuzz.sides import Ours, Tables, answer_differences, table_differences, tables_in

from lamdb.prisma.datamodel.schema import PrismaSchema


class Shrinker:
    """Runs variations of one difference."""

    def __init__(self, node: Node, folder: Path, difference: Difference, *, attempts: int) -> None:
        self._node = node
        self._folder = folder
        self._attempts = attempts
        self._files = 0
        self._ours = Ours(PrismaSchema.parse(difference.schema))
        self._ours.save(folder / "empty.db")
        node.open(difference.schema, folder / "empty.db")
        self.best = difference

    def run(self) -> Difference:
        if not self._try(self.best.steps, self.best.before):
            return self.best  # it hangs on what was asked before, so that everything is kept
        self._fewer_steps()
        changed = True
        while changed and self._attempts > 0:
            changed = self._smaller_operation() or self._fewer_rows()
        return self.best

    def _try(self, steps: tuple[Step, ...], before: Tables) -> bool:
        """True if these steps show a difference without a rule; they are the best known then."""
        self._attempts -= 1
        self._ours.load(before)
        self._ours.forget_plans()
        self._files += 1
        file = self._folder / f"{self._files}.db"
        self._ours.save(file)
        self._node.reopen(file)
        try:
            ours = [self._ours.run(step.document) for step in steps]
        except (AssertionError, KeyError):  # a document that means nothing any more
            return False
        node = self._node.run([request(step.operation) for step in steps])
        found = answer_differences(node[-1], ours[-1])
        answers = (node[-1], ours[-1]) if found else ({}, {})
        if not found:
            found = list(table_differences(tables_in(file), self._ours.tables()))
            if found and steps[-1].operation.kind != "Mutation" and len(steps) > 1:
                return self._try(steps[:-1], before)
        made = replace(
            self.best, before=before, steps=steps, node=answers[0], ours=answers[1], found=tuple(found),
            rule=None, failed="error" in ours[-1],
        )  # fmt: skip
        file.unlink()
        if not found or known(made) is not None or _kind(made) != _kind(self.best) != "":
            return False
        self.best = made
        return True

    def _fewer_steps(self) -> None:
        *earlier, last = self.best.steps
        if self._try((last,), self.best.before):
            return
        for step in reversed(earlier):
            kept = tuple(each for each in self.best.steps if each is not step)
            if self._attempts > 0:
                self._try(kept, self.best.before)

    def _smaller_operation(self) -> bool:
        *earlier, last = self.best.steps
        operation = last.operation
        for arguments in _smaller(operation.arguments):
            step = replace(last, operation=replace(operation, arguments=arguments))
            if self._attempts > 0 and self._try((*earlier, step), self.best.before):
                return True
        for selection in _smaller_selection(operation.selection):
            step = replace(last, operation=replace(operation, selection=selection))
            if self._attempts > 0 and self._try((*earlier, step), self.best.before):
                return True
        return False

    def _fewer_rows(self) -> bool:
        before = self.best.before
        for table, rows in before.items():
            parts = (rows[: len(rows) // 2], rows[len(rows) // 2 :]) if len(rows) > 3 else ()
            singly = [[row for row in rows if row is not each] for each in rows] if len(rows) < 8 else []
            for fewer in ([], *parts, *singly):
                if len(fewer) < len(rows) and self._attempts > 0:
                    try:
                        if self._try(self.best.steps, {**before, table: fewer}):
                            return True
                    except Exception as error:
                        if "FOREIGN KEY" not in str(error):
                            raise
        return False


def _kind(difference: Difference) -> str:
    """Returns what must stay the same: which members fail, and with which code."""
    if not difference.node:
        return ""
    sides = (difference.node, difference.ours)
    return repr([side["error"]["code"] if "error" in side else "data" for side in sides])


def _smaller(tree: Any) -> Iterator[Any]:
    """The tree without one of its parts, larger parts first."""
    if isinstance(tree, dict):
        for name in tree:
            yield {each: below for each, below in tree.items() if each != name}
        for name, below in tree.items():
            for smaller in _smaller(below):
                yield {**tree, name: smaller}
    elif isinstance(tree, list):
        for index in range(len(tree)):
            yield tree[:index] + tree[index + 1 :]
        for index, below in enumerate(tree):
            for smaller in _smaller(below):
                yield [*tree[:index], smaller, *tree[index + 1 :]]


def _smaller_selection(selection: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name in selection:
        if len(selection) > 1:
            yield {each: below for each, below in selection.items() if each != name}
    for name, below in selection.items():
        if below is not True:
            arguments, nested = below
            for smaller in _smaller(arguments):
                yield {**selection, name: (smaller, nested)}
            for inner in _smaller_selection(nested):
                yield {**selection, name: (arguments, inner)}


def shrink(difference: Difference, *, attempts: int = 200) -> Difference:
    """A smaller difference of the same kind, or the same one."""
    with tempfile.TemporaryDirectory() as folder, Node() as node:
        return Shrinker(node, Path(folder), difference, attempts=attempts).run()


def described(difference: Difference) -> dict[str, Any]:
    """A difference as JSON: what to do to see it again."""
    return {
        "seed": difference.seed,
        "schema": difference.schema,
        "rows": {table: [repr(row) for row in rows] for table, rows in difference.before.items() if rows},
        "steps": [
            {"style": step.style, "query": step.document.query, "variables": step.document.variables,
             "request": request(step.operation)}
            for step in difference.steps
        ],
        "node": difference.node,
        "ours": difference.ours,
        "differences": list(difference.found),
    }  # fmt: skip
