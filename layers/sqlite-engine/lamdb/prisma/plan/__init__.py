"""Prisma's query plans, compiled once and run many times."""

from collections.abc import Mapping
from typing import Any

import apsw

from lamdb.errors import QueryError
from lamdb.prisma.plan.arguments import Evaluate
from lamdb.prisma.plan.closures import compile_closures
from lamdb.prisma.plan.mapping import check_shape
from lamdb.prisma.plan.runtime import Run
from lamdb.prisma.plan.shape import Constant, Field, Nested, Part, Shape
from lamdb.prisma.plan.tables import NotPositional, compile_tables

__all__ = ["Constant", "Field", "Nested", "Part", "Plan", "Shape"]


class Plan:
    """A compiled query plan. Immutable as far as callers see; threads may run one plan at the same time.

    Compiled at the first run, as the result columns of its queries are asked of SQLite.
    """

    def __init__(
        self, tree: Mapping[str, Any], *, model: str | None = None, shape: Shape | None = None
    ) -> None:
        self.tree = tree
        self.model = model
        self.shape = shape
        self._compiled: tuple[Evaluate, int] | None = None
        self._shaped: dict[Shape, Plan] = {}

    def shaped(self, shape: Shape) -> "Plan":
        """The same plan with another output; raises `KeyError` for a source the plan does not return."""
        plan = self._shaped.get(shape)
        if plan is None:
            check_shape(self.tree, shape)
            plan = self._shaped[shape] = Plan(self.tree, model=self.model, shape=shape)
        return plan

    def run(self, connection: apsw.Connection, values: Mapping[str, Any]) -> Any:
        """Evaluate the plan on the connection with the request's values; the result is JSON-ready.

        Raises `QueryError`. Inside the caller's transaction nothing is rolled back here: the caller must.
        """
        try:
            evaluate, slots = self._compiled or self._compile(connection)
            return evaluate(Run(connection, values, slots))
        except QueryError as error:
            if self.model is not None:
                error.meta.setdefault("modelName", self.model)
            raise

    def _compile(self, connection: apsw.Connection) -> tuple[Evaluate, int]:
        try:
            compiled = compile_tables(self.tree, connection, self.shape)
        except NotPositional:
            compiled = compile_closures(self.tree, self.shape)
        self._compiled = compiled
        return compiled
