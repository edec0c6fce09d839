"""Estimate of an operation's cost before it runs: the records of its answer if every list is long.

A list counts as the records that its `take` asks for, but as `LIST` at most, and each record has all that is
nested below it: `{ findManyUser { posts { comments { id } } } }` counts 10 + 100 + 1000. That is not how many
records there are. It tells documents that may grow beyond all bounds from those that cannot.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql.language import OperationDefinitionNode, OperationType, SelectionSetNode

from lamdb.errors import QueryTooCostly
from lamdb.graphql.document.selection import Collector
from lamdb.graphql.document.values import Variable
from lamdb.graphql.schema.names import ROOT_TYPES, Operation
from lamdb.graphql.schema.types import ApiTypes

LIST: Final = 10
DEFAULT_MAX_COST: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class Node:
    """An object field: how many records it is for each of its parents, and the object fields below it."""

    records: int | str
    """A number, or the name of the variable that `take` is."""
    below: tuple["Node", ...]

    def cost(self, variables: Mapping[str, Any]) -> int:
        records = self.records
        if isinstance(records, str):
            records = _taken(variables.get(records))
        return records * (1 + sum(node.cost(variables) for node in self.below))


class CostLimit:
    """Estimates the cost of operations of one schema."""

    def __init__(self, types: ApiTypes, limit: int = DEFAULT_MAX_COST) -> None:
        self._types = types
        self._limit = limit

    def estimate(self, operation: OperationDefinitionNode, collector: Collector) -> tuple[Node, ...]:
        """Returns what to `check` on each run; empty if no variables can make the operation too costly."""
        kind: Operation = "mutation" if operation.operation is OperationType.MUTATION else "query"
        nodes = self._nodes([operation.selection_set], ROOT_TYPES[kind], collector)
        # A variable that is not given counts most.
        return nodes if sum(node.cost({}) for node in nodes) > self._limit else ()

    def check(self, nodes: Sequence[Node], variables: Mapping[str, Any]) -> None:
        """Raises `QueryTooCostly`."""
        cost = sum(node.cost(variables) for node in nodes)
        if cost > self._limit:
            raise QueryTooCostly(
                f"The operation nests lists so that it may answer {cost} records, if each list has {LIST} "
                f"or as many as its `take` allows; the limit is {self._limit}.",
                meta={"cost": cost, "limit": self._limit},
            )

    def _nodes(
        self, sets: Sequence[SelectionSetNode], type_name: str, collector: Collector
    ) -> tuple[Node, ...]:
        fields = self._types.output(type_name).fields
        nodes = []
        for selected in collector.collect(sets):
            output = fields.get(selected.name)
            if output is None or output.kind != "object":
                continue  # `__typename`, introspection, scalars
            below = self._nodes(selected.selection_sets(), output.type_name, collector)
            nodes.append(Node(_records(selected.arguments) if output.is_list else 1, below))
        return tuple(nodes)


def _records(arguments: Mapping[str, Any]) -> int | str:
    take = arguments.get("take")
    return take.name if isinstance(take, Variable) else _taken(take)


def _taken(take: Any) -> int:
    return min(abs(take), LIST) if isinstance(take, int) else LIST
