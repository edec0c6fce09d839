"""Prisma's query plans, compiled once and run many times."""

from collections.abc import Mapping
from typing import Any

import apsw

from lamdb.errors import QueryError
from lamdb.prisma.plan.closures import compile_closures
from lamdb.prisma.plan.runtime import Run
from lamdb.prisma.plan.shape import Constant, Field, Nested, Part, Shape

__all__ = ["Constant", "Field", "Nested", "Part", "Plan", "Shape"]


class Plan:
    """A compiled query plan. Immutable as far as callers see; threads may run one plan at the same time."""

    def __init__(
        self, tree: Mapping[str, Any], *, model: str | None = None, shape: Shape | None = None
    ) -> None:
        self.tree = tree
        self.model = model
        self.shape = shape
        self._evaluate, self._slots = compile_closures(tree, shape)
        self._shaped: dict[Shape, Plan] = {}

    def shaped(self, shape: Shape) -> "Plan":
        """The same plan with another output; raises `KeyError` for a source the plan does not return."""
        plan = self._shaped.get(shape)
        if plan is None:
            plan = self._shaped[shape] = Plan(self.tree, model=self.model, shape=shape)
        return plan

    def run(self, connection: apsw.Connection, values: Mapping[str, Any]) -> Any:
        """Evaluate the plan on the connection with the request's values; the result is JSON-ready.

        Raises `QueryError`. Inside the caller's transaction nothing is rolled back here: the caller must.
        """
        try:
            return self._evaluate(Run(connection, values, self._slots))
        except QueryError as error:
            if self.model is not None:
                error.meta.setdefault("modelName", self.model)
            raise
