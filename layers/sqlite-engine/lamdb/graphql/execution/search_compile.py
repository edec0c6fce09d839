"""Compiles the root fields of searches to `SearchRoot`s."""

from collections.abc import Callable, Sequence
from typing import Any

from graphql.language import SelectionSetNode

from lamdb.errors import QueryError
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.errors import locations_of
from lamdb.graphql.execution.operation import (
    IDS,
    Binding,
    FollowUp,
    Marked,
    Output,
    Records,
    Request,
    SearchRoot,
)
from lamdb.graphql.schema.search_types import node_field
from lamdb.graphql.schema.types import ApiTypes, RootField
from lamdb.prisma.query.engine import TemplateVariable as OpenValue
from lamdb.prisma.query.plan import Shape
from lamdb.search.definition import SearchDefinition

type Level = tuple[dict[str, Any], Sequence[Shape], Sequence[FollowUp]]
"""A selection in the protocol, the answers that are made of it, and what is read besides."""


class SearchCompiler:
    """Compiles the searches of one operation.

    `arguments` writes a field's arguments in the protocol, `level` compiles the selections of a model's
    records, `opened` leaves the values of variables open, `identity` has the fields that identify a record.
    """

    def __init__(
        self,
        types: ApiTypes,
        collector: Collector,
        *,
        arguments: Callable[[dict[str, Any], Any], dict[str, Any]],
        level: Callable[[list[list[SelectionSetNode]], str, str], Level],
        opened: Callable[[Any, list[Binding]], Any],
        identity: Callable[[str], tuple[str, ...]],
    ) -> None:
        self._types = types
        self._collector = collector
        self._arguments = arguments
        self._level = level
        self._opened = opened
        self._identity = identity
        self._marked: list[Marked] = []
        self._views: dict[str, list[list[SelectionSetNode]]] = {}

    def root(
        self, root: RootField, selected: Selected, definitions: Sequence[SearchDefinition]
    ) -> SearchRoot:
        """Raises `QueryError` where a record cannot be identified."""
        by_model = {definition.model: definition for definition in definitions}
        definition = by_model[root.model] if root.model is not None else None
        self._models = {node_field(model): model for model in by_model} if definition is None else {}
        if definition is not None:
            self._models["node"] = definition.model
        type_name = root.field.type_name
        arguments = self._arguments(selected.arguments, root.field.args)
        outputs = self._outputs(selected.selection_sets(), type_name)
        records = {model: self._records(by_model[model], views) for model, views in self._views.items()}
        return SearchRoot(
            selected.key,
            locations_of(selected.nodes[:1]),
            definition,
            arguments,
            outputs,
            type_name,
            tuple(self._marked),
            records,
        )

    def _outputs(self, sets: Sequence[SelectionSetNode], type_name: str) -> tuple[Output, ...]:
        fields = self._types.output(type_name).fields
        found = []
        for each in self._collector.collect(sets):
            if each.name == "__typename":
                found.append(Output(each.key, each.name, type_name=type_name))
                continue
            output = fields[each.name]
            if each.name in ("highlight", "snippet") and type_name.endswith("SearchHit"):
                found.append(Output(each.key, each.name, number=self._mark(each, output.args)))
            elif output.kind != "object":
                found.append(Output(each.key, each.name))
            elif type_name.endswith("SearchHit"):
                model = self._models[each.name]
                views = self._views.setdefault(model, [])
                views.append(each.selection_sets())
                found.append(Output(each.key, "node", number=len(views) - 1, model=model))
            else:
                below = self._outputs(each.selection_sets(), output.type_name)
                found.append(Output(each.key, each.name, below, type_name=output.type_name))
        return tuple(found)

    def _mark(self, selected: Selected, infos: Any) -> int:
        self._marked.append(Marked(self._arguments(selected.arguments, infos), selected.name == "snippet"))
        return len(self._marked) - 1

    def _records(self, definition: SearchDefinition, views: list[list[SelectionSetNode]]) -> Records:
        model = definition.model
        identity = self._identity(model)
        if not identity:
            raise QueryError(f"The records of {model} have no unique field to find them by.", code="P2009")
        type_name = self._types.root("query", f"findMany{model}")
        assert type_name is not None
        selection, shapes, follow_ups = self._level(views, type_name.field.type_name, model)
        selection = {**selection, **dict.fromkeys(identity, True)}
        bindings: list[Binding] = []
        query: dict[str, Any] = {"selection": self._opened(selection, bindings)}
        if len(identity) == 1:
            query["arguments"] = {"where": {identity[0]: {"in": OpenValue(IDS)}}}
        request: Request = {"action": "findMany", "modelName": model, "query": query}
        return Records(
            model,
            identity,
            tuple(definition.column(name) for name in identity),
            selection,
            request,
            tuple(bindings),
            tuple(shapes),
            tuple(follow_ups),
        )
