"""Validation of documents: the rules of the October 2021 specification, with Prisma's input unions.

The rules are graphql-core's own, but for these:

- `InputRule` takes the place of the two rules about the types of values and variables; see `input_rule`.
- An unknown type is looked up in the lazily built schema, and suggestions are sought among few names only.
- `orderBy` may be given twice, as Prisma's engine allowed; the later one counts. So may a scalar's filter be,
  with operators of its own: `{ n: { gte: 1 }, n: { lt: 5 } }`.
- A required argument is not missed beside an unknown one, which most often is the same, misspelt.
- An operation type that the schema lacks is refused here, not when the operation is executed.

graphql-core bounds the work that a document can cause (comparisons of overlapping fields, nesting of
fragments, depth of introspection): what is beyond is refused with an error, not computed.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

from graphql.error import GraphQLError
from graphql.language import (
    ArgumentNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    NamedTypeNode,
    ObjectFieldNode,
    ObjectValueNode,
    OperationDefinitionNode,
    OperationType,
    VisitorAction,
)
from graphql.pyutils import did_you_mean, suggestion_list
from graphql.type import GraphQLInputObjectType, GraphQLSchema, get_named_type
from graphql.validation import (
    ASTValidationRule,
    FragmentsOnCompositeTypesRule,
    KnownDirectivesRule,
    KnownFragmentNamesRule,
    KnownTypeNamesRule,
    MaxIntrospectionDepthRule,
    NoFragmentCyclesRule,
    NoUndefinedVariablesRule,
    NoUnusedFragmentsRule,
    NoUnusedVariablesRule,
    PossibleFragmentSpreadsRule,
    ProvidedRequiredArgumentsRule,
    SingleFieldSubscriptionsRule,
    UniqueArgumentNamesRule,
    UniqueDirectivesPerLocationRule,
    UniqueFragmentNamesRule,
    UniqueInputFieldNamesRule,
    UniqueVariableNamesRule,
    ValidationContext,
    ValidationRule,
    ValuesOfCorrectTypeRule,
    VariablesAreInputTypesRule,
    VariablesInAllowedPositionRule,
    specified_rules,
)
from graphql.validation import validate as graphql_validate

from lamdb.graphql.document.input_rule import InputRule
from lamdb.graphql.schema.lazy import LazySchema

MAX_ERRORS: Final = 25
"""Each error looks for names to suggest, which is wasted for hundreds of errors."""


def validate(schema: LazySchema, document: DocumentNode) -> list[GraphQLError]:
    """The errors of a document, at most `MAX_ERRORS` and one that reports the limit; empty if it is valid."""
    return graphql_validate(schema, document, _rules_for(document), MAX_ERRORS)


class _KnownOperationTypes(ValidationRule):
    """Every operation is of a type that the schema has."""

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        if _root_type(self.context.schema, node.operation) is None:
            self.report_error(GraphQLError(f"The schema has no {node.operation.value} operations.", node))


def _root_type(schema: GraphQLSchema, operation: OperationType) -> object:
    if operation is OperationType.QUERY:
        return schema.query_type
    return schema.mutation_type if operation is OperationType.MUTATION else schema.subscription_type


class _KnownTypeNames(KnownTypeNamesRule):
    """graphql-core's rule lists the names of all types for every document; this one looks up one name."""

    def __init__(self, context: ValidationContext) -> None:
        ASTValidationRule.__init__(self, context)
        self._types = context.schema.type_map
        self._suggestions_left = 3

    def enter_named_type(self, node: NamedTypeNode, *_args: Any) -> None:
        name = node.name.value
        if name not in self._types:
            self.report_error(
                GraphQLError(f"Unknown type '{name}'." + did_you_mean(self._similar(name)), node)
            )

    def _similar(self, name: str) -> list[str]:
        """Type names like `name`: only some of thousands are compared, and for the first errors only."""
        self._suggestions_left -= 1
        if self._suggestions_left < 0:
            return []
        start = name[:2].lower()
        return suggestion_list(name, [known for known in self._types if known.lower().startswith(start)])


class _UniqueArgumentNames(UniqueArgumentNamesRule):
    def check_arg_uniqueness(self, argument_nodes: Collection[ArgumentNode]) -> None:
        super().check_arg_uniqueness([node for node in argument_nodes if node.name.value != "orderBy"])


class _ProvidedRequiredArguments(ProvidedRequiredArgumentsRule):
    def leave_field(self, field_node: FieldNode, *args: Any) -> VisitorAction:
        field = self.context.get_field_def()
        if field is not None and _are_known(field_node.arguments, field.args):
            return super().leave_field(field_node, *args)
        return None

    def leave_directive(self, directive_node: DirectiveNode, *args: Any) -> None:
        directive = self.context.get_directive()
        if directive is not None and _are_known(directive_node.arguments, directive.args):
            super().leave_directive(directive_node, *args)


def _are_known(given: Sequence[ArgumentNode], known: Mapping[str, object]) -> bool:
    return all(argument.name.value in known for argument in given)


class _UniqueInputFieldNames(UniqueInputFieldNamesRule):
    def enter_object_field(
        self, node: ObjectFieldNode, key: int, fields: Sequence[ObjectFieldNode], *_args: Any
    ) -> None:
        name = node.name.value
        if name in self.known_names and self._is_scalar_filter():
            operators = [_operators(field) for field in fields[: key + 1] if field.name.value == name]
            if all(operators) and len(frozenset().union(*operators)) == sum(map(len, operators)):
                return
        super().enter_object_field(node)

    def _is_scalar_filter(self) -> bool:
        made = get_named_type(cast(ValidationContext, self.context).get_input_type())
        return isinstance(made, GraphQLInputObjectType) and "equals" in made.fields


def _operators(field: ObjectFieldNode) -> frozenset[str]:
    """The operators that a filter's literal names; none if it is no object."""
    value = field.value
    return (
        frozenset(each.name.value for each in value.fields)
        if isinstance(value, ObjectValueNode)
        else frozenset()
    )


_REPLACED: Final[dict[type[ASTValidationRule], type[ASTValidationRule] | None]] = {
    ValuesOfCorrectTypeRule: InputRule,
    VariablesInAllowedPositionRule: None,
    KnownTypeNamesRule: _KnownTypeNames,
    ProvidedRequiredArgumentsRule: _ProvidedRequiredArguments,
    UniqueArgumentNamesRule: _UniqueArgumentNames,
    UniqueInputFieldNamesRule: _UniqueInputFieldNames,
}

RULES: Final[tuple[type[ASTValidationRule], ...]] = (
    _KnownOperationTypes,
    *(made for rule in specified_rules if (made := _REPLACED.get(rule, rule)) is not None),
)

# Half of the rules have nothing to say unless the text has one of these marks.
_FRAGMENTS: Final = ("...", "fragment")
_NEEDS: Final[dict[type[ASTValidationRule], tuple[str, ...]]] = {
    _KnownTypeNames: (*_FRAGMENTS, "$"),
    FragmentsOnCompositeTypesRule: _FRAGMENTS,
    KnownFragmentNamesRule: _FRAGMENTS,
    NoFragmentCyclesRule: _FRAGMENTS,
    NoUnusedFragmentsRule: _FRAGMENTS,
    PossibleFragmentSpreadsRule: _FRAGMENTS,
    UniqueFragmentNamesRule: _FRAGMENTS,
    NoUndefinedVariablesRule: ("$",),
    NoUnusedVariablesRule: ("$",),
    UniqueVariableNamesRule: ("$",),
    VariablesAreInputTypesRule: ("$",),
    KnownDirectivesRule: ("@",),
    UniqueDirectivesPerLocationRule: ("@",),
    MaxIntrospectionDepthRule: ("__",),
    SingleFieldSubscriptionsRule: ("subscription",),
}


def _rules_for(document: DocumentNode) -> tuple[type[ASTValidationRule], ...]:
    if document.loc is None:
        return RULES
    text = document.loc.source.body
    present = frozenset(mark for mark in (*_FRAGMENTS, "$", "@", "__", "subscription") if mark in text)
    return _rules_with(present)


@cache
def _rules_with(present: frozenset[str]) -> tuple[type[ASTValidationRule], ...]:
    return tuple(rule for rule in RULES if rule not in _NEEDS or present.intersection(_NEEDS[rule]))
