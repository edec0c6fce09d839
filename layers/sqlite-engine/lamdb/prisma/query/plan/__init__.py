"""Prisma's query plans, compiled once and run many times."""

from collections.abc import Mapping
from typing import Any

import apsw
import orjson

from lamdb.errors import QueryError
from lamdb.prisma.query.plan.arguments import Evaluate
from lamdb.prisma.query.plan.choice import Choice
from lamdb.prisma.query.plan.closures import compile_closures
from lamdb.prisma.query.plan.fetching import require_fit
from lamdb.prisma.query.plan.json_sql import JsonStatement, lower
from lamdb.prisma.query.plan.mapping import check_shape
from lamdb.prisma.query.plan.nodes import NotPositional
from lamdb.prisma.query.plan.polish import has_partial_indexes, polish
from lamdb.prisma.query.plan.rewriting import TableLookup, alternative, rewrite
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.shape import Constant, Nested, Part, ScalarOutput, Shape, multiplies
from lamdb.prisma.query.plan.tables import compile_tables

# Lowering is not worthwhile for this data.
_MAX_JSON_FAILURES = 3
# Of one plan. Clients choose the shapes, and may choose ever new ones.
_MAX_SHAPES = 50

__all__ = ["Constant", "Nested", "Part", "Plan", "ScalarOutput", "Shape"]


class Plan:
    """A compiled query plan. Immutable for callers; several threads may run one plan at the same time.

    It is compiled at the first run, because SQLite determines the result columns of its queries.
    """

    def __init__(
        self, tree: Mapping[str, Any], *, model: str | None = None, shape: Shape | None = None
    ) -> None:
        self.tree = tree
        self.model = model
        self.shape = shape
        self._polished: Mapping[str, Any] | None = None
        self._choice: tuple[Choice, Plan] | None = None
        """Another plan, and the condition on which it is quicker."""
        self._compiled: tuple[Evaluate, int] | None = None
        self._json: JsonStatement | None = None
        self._json_known = False
        self._json_failures = 0
        self._multiplies: bool | None = None
        """True if the answer may contain a value of one row several times."""
        self._shaped: dict[Shape, Plan] = {}

    def shaped(self, shape: Shape) -> "Plan":
        """The same plan with another output; raises `KeyError` for a source the plan does not return."""
        plan = self._shaped.get(shape)
        if plan is None:
            check_shape(self.tree, shape)
            if len(self._shaped) >= _MAX_SHAPES:
                self._shaped.pop(next(iter(self._shaped)), None)
            plan = self._shaped[shape] = Plan(self.tree, model=self.model, shape=shape)
        return plan

    def run(self, connection: apsw.Connection, values: Mapping[str, Any]) -> Any:
        """Evaluates the plan on the connection with the request's values. Returns JSON-ready data.

        Raises `QueryError`. A transaction of the caller is not rolled back here; the caller must do so.
        """
        try:
            evaluate, slots = self._compiled or self._compile(connection)
            if self._choice is not None and self._choice[0].pays(connection, values):
                return self._choice[1].run(connection, values)
            return evaluate(Run(connection, values, slots))
        except QueryError as error:
            if self.model is not None:
                error.meta.setdefault("modelName", self.model)
            raise

    def run_json(self, connection: apsw.Connection, values: Mapping[str, Any]) -> Any:
        """Returns the answer in a form that `orjson.dumps` accepts: JSON text from SQLite if the plan allows
        it
        (an `orjson.Fragment`), else the result of `run`. Both give the same JSON.
        """
        if not self._json_known:
            self._lower(connection)
        if self._choice is not None and self._choice[0].pays(connection, values):
            return self._choice[1].run_json(connection, values)
        statement = self._json
        if statement is not None:
            text = statement.run(connection, values)
            if text is not None:
                return orjson.Fragment(text)
            self._json_failures += 1
            if self._json_failures >= _MAX_JSON_FAILURES:
                self._json = None
        result = self.run(connection, values)
        if self._multiplies is None:
            self._multiplies = self.shape is not None and multiplies(self.shape)
        if self._multiplies:
            require_fit(result)
        return result

    def _lower(self, connection: apsw.Connection) -> None:
        try:
            self._json = lower(self._tree(connection), connection, self.shape)
        except QueryError:
            return  # what the database lacks, the plan will say when it is run
        self._json_known = True

    def _compile(self, connection: apsw.Connection) -> tuple[Evaluate, int]:
        tree = self._tree(connection)
        try:
            compiled = compile_tables(tree, connection, self.shape)
        except NotPositional:
            compiled = compile_closures(tree, self.shape)
        self._compiled = compiled
        return compiled

    def _tree(self, connection: apsw.Connection) -> Mapping[str, Any]:
        """The plan as it is compiled."""
        tree = self._polished
        if tree is None:
            polished = polish(self.tree, hide_equalities=not has_partial_indexes(connection))
            catalog = TableLookup(connection)
            tree = rewrite(polished, catalog)
            other = alternative(tree, catalog)
            if other is not None:
                plan = Plan(self.tree, model=self.model, shape=self.shape)
                plan._polished = other.tree
                self._choice = (Choice(other), plan)
            self._polished = tree
        return tree
