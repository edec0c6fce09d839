"""Prisma's errors for a document that GraphQL's validation refused.

Clients that know Prisma look for its codes and words (P2009, "Field does not exist in enclosing type."). So
the operation is translated as far as it can be, unknown fields and arguments included, and shown to Prisma's
compiler. What it says is added to the error of GraphQL's that is about the same mistake, so that each mistake
has one error.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from graphql.error import GraphQLError
from graphql.language import FieldNode, FloatValueNode, IntValueNode, OperationType

from lamdb.errors import DocumentInvalid, LamdbError, QueryError
from lamdb.graphql.document.document import Document
from lamdb.graphql.document.input_rule import MissingField
from lamdb.graphql.document.selection import Collector, Selected
from lamdb.graphql.document.values import bind
from lamdb.graphql.errors import Entry, entry, locations_of, validation_errors, with_prismas_words
from lamdb.graphql.execution.blame import named_in_error, named_in_verdict, names_at
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.schema.changes_types import CHANGES
from lamdb.graphql.schema.names import ROOT_TYPES, Operation
from lamdb.graphql.schema.search_types import SEARCH, SEARCH_ALL
from lamdb.graphql.schema.types import InputInfo
from lamdb.prisma.datamodel.required_relations import null_violation
from lamdb.prisma.query.engine import QueryEngine

_MAX_ROOTS: Final = 10
"""Root fields that are shown to the compiler: each may take it a millisecond."""

_NUMBERS: Final = (IntValueNode, FloatValueNode)
_EMPTY_SELECTION: Final = "EmptySelection"


class Verdict(NamedTuple):
    """Prisma's error, and the validation error that it is the same as, if that is known."""

    entry: Entry
    same: GraphQLError | None = None


def refused(
    engine: QueryEngine,
    compiler: OperationCompiler,
    document: Document,
    operation_name: str | None,
    variables: Mapping[str, Any],
    errors: Sequence[GraphQLError],
) -> DocumentInvalid:
    """The errors of a document: those of validation, with what Prisma says."""
    invalid = validation_errors(errors)
    names = names_at(document.ast)
    if not all(error.nodes and id(error.nodes[0]) in names for error in errors):
        # Something is wrong that Prisma does not know, such as a variable, and what it says may follow of it.
        return invalid
    verdict = _verdict(engine, compiler, document, operation_name, variables, errors)
    if verdict is None:
        return invalid
    same = verdict.same
    if same is None:
        exact, loose = named_in_verdict(verdict.entry)
        found = [(error, named_in_error(error, names)) for error in errors]
        matching = [error for error, said in found if said & exact] or [
            error for error, said in found if said & loose
        ]
        same = next(iter(matching), None)
        if same is None and not exact:
            same = _about_number(errors)
    if same is not None:
        made = invalid.entries[[error is same for error in errors].index(True)]
        made["message"] = with_prismas_words(made["message"], verdict.entry)
        made["extensions"] = verdict.entry["extensions"]
    elif verdict.entry["extensions"].get("meta", {}).get("kind") != _EMPTY_SELECTION:
        invalid.entries.append(verdict.entry)  # another mistake, which validation does not see
    return invalid


def _about_number(errors: Sequence[GraphQLError]) -> GraphQLError | None:
    """The first error that is about a number; the only one, if there is no other."""
    numbers = [error for error in errors if error.nodes and isinstance(error.nodes[0], _NUMBERS)]
    return next(iter(numbers), errors[0] if len(errors) == 1 else None)


def _verdict(
    engine: QueryEngine,
    compiler: OperationCompiler,
    document: Document,
    operation_name: str | None,
    variables: Mapping[str, Any],
    errors: Sequence[GraphQLError],
) -> Verdict | None:
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
        return Verdict(entry(error, locations=locations_of(place)))
    except (LamdbError, LookupError):
        # An unknown fragment or variable, a directive without arguments: GraphQL's errors say it all.
        return None
    for missing in errors:
        if isinstance(missing, MissingField):
            refused = null_violation(engine.schema.datamodel, missing.type_name, missing.field)
            if refused is not None:
                return Verdict(entry(refused, locations=locations_of(place)), missing)
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
