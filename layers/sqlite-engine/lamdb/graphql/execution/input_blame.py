"""Says of an operation that Prisma refused which value of the client's own is at fault.

GraphQL's validation and coercion take any text for a DateTime, and any object for an input type. Prisma's
compiler judges them, by types that a client did not write. Only once it has refused an operation is each
value looked at again. A variable that is at fault is an error of the request, as GraphQL has it; so is one
whose value does not fit where it is used. A literal is an error of its field, in GraphQL's words and at its
place, with Prisma's code.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, Final, cast

from graphql.error import GraphQLError
from graphql.language import (
    BooleanValueNode,
    FloatValueNode,
    IntValueNode,
    OperationDefinitionNode,
    StringValueNode,
    ValueNode,
)
from graphql.validation import ASTValidationRule
from graphql.validation import validate as graphql_validate

from lamdb.graphql.document.document import Document
from lamdb.graphql.document.input_position import InputPosition
from lamdb.graphql.document.input_rule import InputRule, Usage
from lamdb.graphql.document.value_faults import Fault, custom_scalar_fault, faults
from lamdb.graphql.document.values import literal
from lamdb.graphql.document.variables import refusal
from lamdb.graphql.errors import Entry, with_prismas_words
from lamdb.graphql.execution.blame import named_in_error, named_in_verdict, names_at
from lamdb.graphql.schema.lazy import LazySchema
from lamdb.graphql.schema.names import CUSTOM_SCALARS
from lamdb.graphql.schema.types import Member

CODES: Final = frozenset({"P2009", "P2012", "P2013", "P2033"})
"""The codes by which Prisma refuses input."""

_MAX_FAULTS: Final = 100


class _StrictRule(InputRule):
    """Also refuses literals that are no value of a custom scalar."""

    def complaint(self, value: ValueNode, member: Member) -> str | None:
        texts = StringValueNode | IntValueNode | FloatValueNode | BooleanValueNode
        if member.name in CUSTOM_SCALARS and isinstance(value, texts):
            return custom_scalar_fault(member.name, literal(value))
        return super().complaint(value, member)


def explain(
    schema: LazySchema,
    document: Document,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    errors: Sequence[Entry],
) -> None:
    """Rewrites the errors of an operation's fields that a literal caused.

    `document` is valid. Raises `VariablesInvalid` if a variable is at fault.
    """
    refused = [error for error in errors if error["extensions"]["code"] in CODES]
    if not refused:
        return
    usages: list[Usage] = []

    class Collecting(_StrictRule):
        def leave_document(self, *_args: Any) -> None:
            usages.extend(self.usages(operation))

    strict = cast("type[ASTValidationRule]", Collecting)
    found = graphql_validate(schema, document.ast, [strict])
    for error in refused:
        exact, _ = named_in_verdict(error)
        _blame_variable(schema, operation, usages, variables, exact)
        _blame_literal(document, found, error, exact)


def _blame_variable(
    schema: LazySchema,
    operation: OperationDefinitionNode,
    usages: Sequence[Usage],
    variables: Mapping[str, Any],
    names: set[str],
) -> None:
    """Raises `VariablesInvalid` if one has a value that does not fit, best one at these names."""
    # An input object is judged where it is used, which may take other types than the declared one.
    declared = {
        made.variable.name.value: position
        for made in operation.variable_definitions
        if (position := InputPosition.declared(made.type, schema.api)) and not position.takes_objects
    }
    found: list[tuple[str, Fault]] = []
    for usage in usages:
        name = usage.node.name.value
        if name not in variables:
            continue
        made = faults(schema.api, variables[name], declared.get(name) or usage.position)
        found += [(name, fault) for fault in islice(made, _MAX_FAULTS)]
    if not found:
        return
    name, fault = next((each for each in found if each[1].name in names), found[0])
    raise refusal(name, fault.message, fault.value, fault.path)


def _blame_literal(document: Document, found: Sequence[GraphQLError], error: Entry, names: set[str]) -> None:
    places = names_at(document.ast)
    fault = next((each for each in found if named_in_error(each, places) & names), None)
    if fault is None and len(found) == 1 and not names:
        fault = found[0]
    if fault is not None:
        error["message"] = with_prismas_words(fault.message, error)
        error["locations"] = [{"line": place.line, "column": place.column} for place in fault.locations or ()]
