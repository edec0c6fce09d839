"""Prisma's errors for a document that GraphQL's validation refused.

Clients that know Prisma look for its codes and words (P2009, "Field does not exist in enclosing type."), so
the response to an invalid document carries them beside GraphQL's own errors. The operation is translated as
far as it can be, unknown fields and arguments included, and shown to Prisma's compiler.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from graphql.error import GraphQLError
from graphql.language import FieldNode, OperationType

from lamdb.errors import LamdbError, QueryError
from lamdb.graphql.document.document import Document
from lamdb.graphql.document.input_rule import MissingField
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.document.values import bind
from lamdb.graphql.errors import Entry, entry, locations_of
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.schema.changes_types import CHANGES
from lamdb.graphql.schema.names import ROOT_TYPES, Operation
from lamdb.graphql.schema.search_types import SEARCH, SEARCH_ALL
from lamdb.graphql.schema.types import InputInfo
from lamdb.prisma.datamodel.required_relations import null_violation
from lamdb.prisma.query.engine import QueryEngine

_MAX_ROOTS: Final = 10
"""Root fields that are shown to the compiler: each may take it a millisecond."""


def prisma_verdict(
    engine: QueryEngine,
    compiler: OperationCompiler,
    document: Document,
    operation_name: str | None,
    variables: Mapping[str, Any],
    errors: Sequence[GraphQLError],
) -> Entry | None:
    """The first error that Prisma finds in the operation; `None` if it finds none, or cannot tell.

    `errors` are those of validation. A relation that only lamDB requires would be one of the database.
    """
    place: list[FieldNode] = []
    try:
        node = document.operation(operation_name)
        kind: Operation = "mutation" if node.operation is OperationType.MUTATION else "query"
        translator = _Translator(compiler, Collector(document.fragments, variables), variables)
        for selected in translator.collector.collect([node.selection_set])[:_MAX_ROOTS]:
            place = selected.nodes[:1]
            if not selected.name.startswith("__") and not translator.is_search(kind, selected):
                engine.prepare(translator.root(kind, selected))
    except QueryError as error:
        return entry(error, locations=locations_of(place))
    except (LamdbError, LookupError):
        # An unknown fragment or variable, a directive without arguments: GraphQL's errors say it all.
        return None
    for missing in errors:
        if isinstance(missing, MissingField):
            refused = null_violation(engine.schema.datamodel, missing.type_name, missing.field)
            if refused is not None:
                return entry(refused, locations=locations_of(place))
    return None


class _Translator:
    def __init__(
        self, compiler: OperationCompiler, collector: Collector, variables: Mapping[str, Any]
    ) -> None:
        self.collector = collector
        self._compiler = compiler
        self._variables = variables

    def is_search(self, kind: Operation, selected: Selected) -> bool:
        """True if Prisma's compiler does not know the root field."""
        root = self._compiler.types.root(kind, selected.name)
        return root is not None and root.action in (SEARCH, SEARCH_ALL, CHANGES)

    def root(self, kind: Operation, selected: Selected) -> dict[str, Any]:
        root = self._compiler.types.root(kind, selected.name)
        if root is None:
            raise QueryError(
                f"`{ROOT_TYPES[kind]}.{selected.name}`: Field does not exist in enclosing type.", code="P2009"
            )
        below = root.field.type_name if root.field.kind == "object" else None
        query = self._query(selected, root.field.args, below)
        return {"modelName": root.model, "action": root.action, "query": query}

    def _query(
        self, selected: Selected, infos: Mapping[str, InputInfo], type_name: str | None
    ) -> dict[str, Any]:
        arguments = self._compiler.arguments(selected.arguments, infos)
        return {
            "arguments": bind(arguments, self._variables),
            "selection": self._selection(selected, type_name),
        }

    def _selection(self, selected: Selected, type_name: str | None) -> dict[str, Any]:
        fields = self._compiler.types.output(type_name).fields if type_name else {}
        selection: dict[str, Any] = {}
        for below in self.collector.collect(selected.selection_sets()):
            if below.name == "__typename":
                continue
            field = fields.get(below.name)
            nested = field is not None and field.kind == "object"
            if nested or below.arguments or below.selection_sets():
                infos = field.args if field else {}
                selection[below.name] = self._query(
                    below, infos, field.type_name if field and nested else None
                )
            else:
                selection[below.name] = True
        return selection
