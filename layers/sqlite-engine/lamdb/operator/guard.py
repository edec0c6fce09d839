"""The validation of an operator's document before tartiflette's parser sees it.

That parser is in C++ and trusts what it is given: it cuts `\\uXXXX` in strings down to one byte, it ends the
process where a document nests too deeply, it stops at a NUL, and the validation that follows it lacks rules.
So it never sees what a client wrote:

1. The document is measured and parsed by lamDB and graphql-core, as those of the data API are.
2. graphql-core validates it, by all the rules of the specification, on the same SDL.
3. graphql-core coerces the variables and each field's arguments.
4. A new document is written: the fields that are selected, with fragments expanded and directives applied,
   each argument a variable. It consists of names, braces and types: no string, no number, no comment.

Introspection is answered by graphql-core, too: tartiflette's dates from 2018, and tools ask for more.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from graphql import GraphQLError, GraphQLObjectType, get_named_type, validate
from graphql.execution.execute import get_field_def
from graphql.execution.values import get_argument_values, get_variable_values
from graphql.language import OperationDefinitionNode
from graphql.validation import specified_rules
from graphql.validation.specified_rules import recommended_rules

from lamdb.errors import DocumentInvalid, DocumentTooDeep, DocumentTooLarge, VariablesInvalid
from lamdb.graphql.document import document as documents
from lamdb.graphql.document.document import Document
from lamdb.graphql.document.selection import Collector, Selected, condition_names
from lamdb.graphql.errors import graphql_entry, invalid, locations_of, validation_errors
from lamdb.graphql.request import GraphQLRequest, Kind
from lamdb.operator.kind import LIMITS, kind_of
from lamdb.operator.schema import operator_schema

type Place = tuple[str, ...]
"""Response names from the root down."""

_RULES: Final = tuple(dict.fromkeys((*specified_rules, *recommended_rules)))
_ASKS_THE_SCHEMA: Final = "__"


@dataclass(frozen=True, slots=True)
class Safe:
    """A document that was written here, and the values of its variables."""

    text: str
    variables: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that passed: what it asks of the types (`introspection`) and what of the API itself (`safe`).

    `keys` are the response names of the root fields, in order; `fields` the names of those root fields that
    are the operator API's own.
    """

    kind: Kind
    keys: tuple[str, ...]
    fields: tuple[str, ...]
    introspection: Safe | None
    safe: Safe | None
    _collector: Collector
    _roots: tuple[Selected, ...]

    def locations(self, path: Iterable[str | int]) -> list[dict[str, int]]:
        """Where in the client's document the field at `path` of the response stands."""
        below: Sequence[Selected] = self._roots
        found: Selected | None = None
        for key in path:
            if isinstance(key, str):
                found = next((each for each in below if each.key == key), None)
                below = self._collector.collect(found.selection_sets()) if found else ()
        return locations_of(found.nodes[:1]) if found else []


def admit(request: GraphQLRequest) -> Admitted:
    """Raises `DocumentTooLarge`, `DocumentTooDeep`, `DocumentInvalid`, `VariablesInvalid`."""
    document = documents.load(request.query, LIMITS)
    try:
        errors = validate(operator_schema(), document.ast, _RULES)
        if errors:
            raise validation_errors(errors)
        operation = document.operation(request.operation_name)
        return _admit(document, operation, request.variables or {})
    except RecursionError:
        raise DocumentTooDeep("The document or its variables nest too deeply.") from None


def _admit(document: Document, operation: OperationDefinitionNode, given: Mapping[str, Any]) -> Admitted:
    kind = kind_of(operation)
    variables = _variables(operation, given)
    for name in condition_names(operation.selection_set, document.fragments):
        if variables.get(name) is None:
            raise VariablesInvalid(f'Variable "${name}" is used in @skip or @include and must not be null.')
    collector = Collector(document.fragments, variables)
    roots = collector.collect([operation.selection_set])
    of_schema = [root for root in roots if root.name.startswith(_ASKS_THE_SCHEMA)]
    own = [root for root in roots if not root.name.startswith(_ASKS_THE_SCHEMA)]
    if kind == "mutation" and len(own) > 1:
        raise invalid(
            "A request may hold one mutation: of two, one could be done and the other not.",
            nodes=[root.nodes[0] for root in own],
        )
    writer = _Writer(collector, variables)
    return Admitted(
        kind,
        tuple(root.key for root in roots),
        tuple(root.name for root in own),
        writer.document(kind, of_schema),
        writer.document(kind, own),
        collector,
        tuple(roots),
    )


def _variables(operation: OperationDefinitionNode, given: Mapping[str, Any]) -> dict[str, Any]:
    """Raises `DocumentInvalid`, an entry for each variable that is wrong."""
    coerced = get_variable_values(operator_schema(), operation.variable_definitions, dict(given))
    if isinstance(coerced, list):
        code = VariablesInvalid.code
        entries = [graphql_entry(error, code) for error in coerced]
        raise DocumentInvalid(coerced[0].message, code=code, entries=entries)
    return coerced


class _Writer:
    """Writes documents of nothing but names, braces, types and variables."""

    def __init__(self, collector: Collector, variables: dict[str, Any]) -> None:
        self._collector = collector
        self._variables = variables
        self._values: dict[str, Any] = {}
        self._types: list[str] = []
        self._fields = 0

    def document(self, kind: Kind, roots: Sequence[Selected]) -> Safe | None:
        """None if there are no roots. Raises `DocumentInvalid`, `DocumentTooLarge`."""
        if not roots:
            return None
        self._values, self._types, self._fields = {}, [], 0
        schema = operator_schema()
        parent = schema.mutation_type if kind == "mutation" else schema.query_type
        assert parent is not None
        body = self._selection(parent, roots)
        definitions = f"({', '.join(self._types)})" if self._types else ""
        return Safe(f"{kind}{definitions} {body}", self._values)

    def _selection(self, parent: GraphQLObjectType, fields: Sequence[Selected]) -> str:
        return "{ " + " ".join(self._field(parent, field) for field in fields) + " }"

    def _field(self, parent: GraphQLObjectType, field: Selected) -> str:
        # Merged fields are counted by the document's limits; this holds however they were merged.
        self._fields += 1
        if self._fields > LIMITS.fields:
            raise DocumentTooLarge(f"The document selects more than {LIMITS.fields} fields.")
        definition = get_field_def(operator_schema(), parent, field.nodes[0])
        assert definition is not None
        try:
            given = get_argument_values(definition, field.nodes[0], self._variables)
        except GraphQLError as error:
            entries = [graphql_entry(error, VariablesInvalid.code)]
            raise DocumentInvalid(error.message, code=VariablesInvalid.code, entries=entries) from None
        arguments = [
            f"{name}: {self._variable(str(definition.args[name].type), value)}"
            for name, value in given.items()
        ]
        written = field.name if field.key == field.name else f"{field.key}: {field.name}"
        if arguments:
            written += f"({', '.join(arguments)})"
        below = get_named_type(definition.type)
        if isinstance(below, GraphQLObjectType):
            written += " " + self._selection(below, self._collector.collect(field.selection_sets()))
        return written

    def _variable(self, type_name: str, value: Any) -> str:
        name = f"$v{len(self._values)}"
        self._values[name[1:]] = value
        self._types.append(f"{name}: {type_name}")
        return name
