"""Valid documents, each broken in one way; every rule of the specification is broken by one way at least.

A way takes a document's `Sites` and changes its syntax tree; it answers `False` if there is no place for it.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from graphql import (
    SKIP,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    TypeInfo,
    TypeInfoVisitor,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
    is_required_input_field,
    parse,
    parse_type,
    parse_value,
    print_ast,
    visit,
)
from graphql import language as ast
from graphql.language import DocumentNode, FieldNode, ObjectValueNode, SelectionSetNode
from tests.support.graphql_schemas import full_schema

from .standard import SCALARS, StandardWriter


@dataclass
class Sites:
    """The places of a document where something can be broken, with the types that graphql-core sees there."""

    schema: GraphQLSchema
    document: DocumentNode
    random: random.Random
    selections: list[tuple[SelectionSetNode, GraphQLObjectType]] = field(default_factory=list)
    fields: list[tuple[FieldNode, Any, GraphQLObjectType]] = field(default_factory=list)
    values: list[tuple[Any, str, Any]] = field(default_factory=list)
    """(the node that holds a value, the attribute it is held in, the type wanted)."""
    objects: list[tuple[ObjectValueNode, GraphQLInputObjectType]] = field(default_factory=list)

    @classmethod
    def of(cls, schema: GraphQLSchema, document: DocumentNode, rng: random.Random) -> "Sites":
        sites = cls(schema, document, rng)
        info = TypeInfo(schema)
        visit(document, TypeInfoVisitor(info, _Finder(sites, info)))
        return sites

    def operations(self) -> list[Any]:
        return [made for made in self.document.definitions if isinstance(made, ast.OperationDefinitionNode)]

    def add(self, text: str) -> None:
        self.document.definitions = (*self.document.definitions, *parse(text).definitions)

    def select(self, selection: str, within: SelectionSetNode) -> None:
        added = parse("{ " + selection + " }").definitions[0].selection_set.selections
        within.selections = (*within.selections, *added)

    def declare(self, text: str) -> None:
        operation = self.pick(self.operations())
        added = parse(f"query ({text}) {{ a }}").definitions[0].variable_definitions
        operation.variable_definitions = (*operation.variable_definitions, *added)

    def pick(self, places: list[Any]) -> Any:
        return self.random.choice(places)


class _Finder(Visitor):
    def __init__(self, sites: Sites, info: TypeInfo) -> None:
        super().__init__()
        self._sites = sites
        self._info = info

    def enter_variable_definition(self, *_args: Any) -> Any:
        return SKIP  # no variable may stand in a default value

    def enter_selection_set(self, node: SelectionSetNode, *_args: Any) -> None:
        self._sites.selections.append((node, self._info.get_parent_type()))

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        self._sites.fields.append((node, self._info.get_field_def(), self._info.get_parent_type()))

    def enter_argument(self, node: Any, *_args: Any) -> None:
        if self._info.get_directive() is None:
            self._sites.values.append((node, "value", self._info.get_argument().type))

    def enter_object_value(self, node: ObjectValueNode, *_args: Any) -> None:
        wanted = get_named_type(self._info.get_input_type())
        if isinstance(wanted, GraphQLInputObjectType):
            self._sites.objects.append((node, wanted))

    def enter_object_field(self, node: Any, *_args: Any) -> None:
        if self._info.get_input_type() is not None:
            self._sites.values.append((node, "value", self._info.get_input_type()))


type Way = Callable[[Sites], bool]
WAYS: dict[str, tuple[str, Way]] = {}


def way(rule: str) -> Callable[[Way], Way]:
    def register(function: Way) -> Way:
        WAYS[function.__name__] = (rule, function)
        return function

    return register


def broken(schema_name: str, way_name: str, seed: int) -> str | None:
    """A broken document, or `None` when the valid one has no place for this way."""
    schema = full_schema(schema_name)
    document = parse(StandardWriter(schema, seed).document())
    sites = Sites.of(schema, document, random.Random(seed))
    return print_ast(document) if WAYS[way_name][1](sites) else None


# Definitions


@way("ExecutableDefinitionsRule")
def a_type_definition(sites: Sites) -> bool:
    sites.add("type Zork { a: Int }")
    return True


@way("UniqueOperationNamesRule")
def two_operations_of_a_name(sites: Sites) -> bool:
    sites.add("query Twice { __typename } query Twice { __typename }")
    return True


@way("LoneAnonymousOperationRule")
def an_anonymous_operation_with_others(sites: Sites) -> bool:
    sites.add("{ __typename }")
    return True


@way("UniqueFragmentNamesRule")
def two_fragments_of_a_name(sites: Sites) -> bool:
    sites.add(
        "query Uses { ...Twice } "
        "fragment Twice on Query { __typename } fragment Twice on Query { __typename }"
    )
    return True


@way("NoUnusedFragmentsRule")
def an_unused_fragment(sites: Sites) -> bool:
    sites.add("fragment Unused on Query { __typename }")
    return True


@way("NoFragmentCyclesRule")
def fragments_in_a_circle(sites: Sites) -> bool:
    sites.add("query Round { ...A } fragment A on Query { ...B } fragment B on Query { __typename ...A }")
    return True


@way("KnownFragmentNamesRule")
def an_unknown_fragment(sites: Sites) -> bool:
    sites.select("...Zork", sites.pick(sites.selections)[0])
    return True


@way("KnownTypeNamesRule")
def a_fragment_on_an_unknown_type(sites: Sites) -> bool:
    sites.select("... on Zork { __typename }", sites.pick(sites.selections)[0])
    return True


@way("KnownTypeNamesRule")
def a_variable_of_an_unknown_type(sites: Sites) -> bool:
    sites.declare("$unknown: " + sites.pick(["Zork", "[Zork!]", "ID"]))
    return True


@way("FragmentsOnCompositeTypesRule")
def a_fragment_on_an_input(sites: Sites) -> bool:
    name = sites.pick(["SortOrder", "Int", "SortOrderInput", "StringFilter"])
    sites.select(f"... on {name} {{ __typename }}", sites.pick(sites.selections)[0])
    return name in sites.schema.type_map


@way("PossibleFragmentSpreadsRule")
def a_fragment_that_cannot_apply(sites: Sites) -> bool:
    node, parent = sites.pick(sites.selections)
    sites.select(
        f"... on {'AffectedRowsOutput' if parent.name != 'AffectedRowsOutput' else 'Query'} {{ __typename }}",
        node,
    )
    return True


# Variables


@way("VariablesAreInputTypesRule")
def a_variable_of_an_output_type(sites: Sites) -> bool:
    sites.declare("$output: " + sites.pick(["AffectedRowsOutput", "Query!", "[Mutation]"]))
    return True


@way("UniqueVariableNamesRule")
def two_variables_of_a_name(sites: Sites) -> bool:
    sites.declare("$twice: Int, $twice: Int")
    return True


@way("NoUnusedVariablesRule")
def an_unused_variable(sites: Sites) -> bool:
    sites.declare("$unused: Int")
    return True


@way("NoUndefinedVariablesRule")
def an_undefined_variable(sites: Sites) -> bool:
    if not sites.values:
        return False
    node, name, _ = sites.pick(sites.values)
    setattr(node, name, parse_value("$undefined"))
    return True


@way("VariablesInAllowedPositionRule")
def a_variable_of_a_wrong_type(sites: Sites) -> bool:
    wanted = [
        site for site in sites.values if get_named_type(site[2]).name not in ("Json", "ArticleWhereInput")
    ]
    if not wanted:
        return False
    node, name, _ = sites.pick(wanted)
    declared = sites.pick(["[[Int]]", "NullsOrderX", "[[String!]!]!"]).replace("NullsOrderX", "[[Boolean]]")
    setattr(node, name, parse_value("$wrong"))
    for operation in sites.operations():
        added = ast.VariableDefinitionNode(
            variable=ast.VariableNode(name=ast.NameNode(value="wrong")),
            type=parse_type(declared),
            directives=(),
        )
        operation.variable_definitions = (*operation.variable_definitions, added)
    return True


@way("VariablesInAllowedPositionRule")
def a_nullable_variable_where_a_value_is_required(sites: Sites) -> bool:
    places = [
        (argument, made.args[argument.name.value].type)
        for node, made, _ in sites.fields
        for argument in node.arguments
        if is_required_argument(made.args[argument.name.value])
    ]
    if not places:
        return False
    argument, wanted = sites.pick(places)
    argument.value = parse_value("$maybe")
    for operation in sites.operations():
        added = ast.VariableDefinitionNode(
            variable=ast.VariableNode(name=ast.NameNode(value="maybe")),
            type=parse_type(str(wanted.of_type)),
            directives=(),
        )
        operation.variable_definitions = (*operation.variable_definitions, added)
    return True


# Fields


@way("FieldsOnCorrectTypeRule")
def an_unknown_field(sites: Sites) -> bool:
    sites.select(sites.pick(["zork", "__zork", "x: idd", "zork { a }"]), sites.pick(sites.selections)[0])
    return True


@way("ScalarLeafsRule")
def a_selection_below_a_leaf(sites: Sites) -> bool:
    leaves = [node for node, made, _ in sites.fields if is_leaf_type(get_named_type(made.type))]
    if not leaves:
        return False
    sites.pick(leaves).selection_set = parse("{ length }").definitions[0].selection_set
    return True


@way("ScalarLeafsRule")
def an_object_without_a_selection(sites: Sites) -> bool:
    nodes = [node for node, _, _ in sites.fields if node.selection_set]
    if not nodes:
        return False
    sites.pick(nodes).selection_set = None
    return True


@way("OverlappingFieldsCanBeMergedRule")
def two_fields_under_one_name(sites: Sites) -> bool:
    places = [(node, parent) for node, parent in sites.selections if len(_leaves(parent)) > 1]
    if not places:
        return False
    node, parent = sites.pick(places)
    one, other = sites.random.sample(_leaves(parent), 2)
    form = sites.pick(
        ["same: {} same: {}", "same: {} ... {{ same: {} }}", "... {{ same: {} }} ... {{ same: {} }}"]
    )
    sites.select(form.format(one, other), node)
    return True


@way("OverlappingFieldsCanBeMergedRule")
def one_field_with_different_arguments(sites: Sites) -> bool:
    root = next(name for name in sites.schema.query_type.fields if name.startswith("findMany"))
    below = "{ __typename }"
    sites.add(f"query Differ {{ {root}(take: 1) {below} {root}(take: 2) {below} }}")
    return True


@way("OverlappingFieldsCanBeMergedRule")
def a_conflict_below_two_fields(sites: Sites) -> bool:
    root = next(name for name in sites.schema.query_type.fields if name.startswith("findMany"))
    parent = get_named_type(sites.schema.query_type.fields[root].type)
    one, other = _leaves(parent)[:2] if len(_leaves(parent)) > 1 else ("id", "__typename")
    sites.add(
        f"query Deep {{ {root} {{ same: {one} }} ...Below }} "
        f"fragment Below on Query {{ {root} {{ same: {other} }} }}"
    )
    return True


def _leaves(parent: GraphQLObjectType) -> list[str]:
    return [
        name
        for name, made in parent.fields.items()
        if is_leaf_type(get_named_type(made.type)) and not made.args
    ]


@way("MaxIntrospectionDepthRule")
def introspection_in_circles(sites: Sites) -> bool:
    sites.add(
        "query Circle { __schema { types { fields { type { fields { type { fields { name } } } } } } } }"
    )
    return True


# Directives


@way("KnownDirectivesRule")
def an_unknown_directive(sites: Sites) -> bool:
    _direct(sites.pick(sites.fields)[0], "@zork")
    return True


@way("KnownDirectivesRule")
def a_directive_where_it_may_not_stand(sites: Sites) -> bool:
    _direct(sites.pick(sites.operations()), "@skip(if: true)")
    return True


@way("UniqueDirectivesPerLocationRule")
def a_directive_twice(sites: Sites) -> bool:
    _direct(sites.pick(sites.fields)[0], "@include(if: true) @include(if: true)")
    return True


@way("KnownArgumentNamesRule")
def an_unknown_argument_of_a_directive(sites: Sites) -> bool:
    node = sites.pick(sites.fields)[0]
    node.directives = ()
    _direct(node, "@skip(if: true, zork: 1)")
    return True


@way("ProvidedRequiredArgumentsRule")
def a_directive_without_its_argument(sites: Sites) -> bool:
    node = sites.pick(sites.fields)[0]
    node.directives = ()
    _direct(node, "@skip")
    return True


@way("ValuesOfCorrectTypeRule")
def a_wrong_value_for_a_directive(sites: Sites) -> bool:
    node = sites.pick(sites.fields)[0]
    node.directives = ()
    _direct(node, f"@skip(if: {sites.pick(['1', 'null', '"true"', 'TRUE', '[true]', '{}'])})")
    return True


def _direct(node: Any, text: str) -> None:
    node.directives = (
        *node.directives,
        *parse(f"{{ a {text} }}").definitions[0].selection_set.selections[0].directives,
    )


# Arguments and values


@way("KnownArgumentNamesRule")
def an_unknown_argument(sites: Sites) -> bool:
    node = sites.pick(sites.fields)[0]
    added = parse("{ a(zork: 1) }").definitions[0].selection_set.selections[0].arguments
    node.arguments = (*node.arguments, *added)
    return True


@way("UniqueArgumentNamesRule")
def an_argument_twice(sites: Sites) -> bool:
    # `orderBy` may stand twice in Prisma's dialect.
    nodes = [node for node, _, _ in sites.fields if any(a.name.value != "orderBy" for a in node.arguments)]
    if not nodes:
        return False
    node = sites.pick(nodes)
    twice = sites.pick([argument for argument in node.arguments if argument.name.value != "orderBy"])
    node.arguments = (*node.arguments, copy.deepcopy(twice))
    return True


@way("ProvidedRequiredArgumentsRule")
def a_missing_argument(sites: Sites) -> bool:
    places = [
        (node, argument)
        for node, made, _ in sites.fields
        for argument in node.arguments
        if is_required_argument(made.args[argument.name.value]) and not _has_variables(argument)
    ]
    if not places:
        return False
    node, missing = sites.pick(places)
    node.arguments = tuple(argument for argument in node.arguments if argument is not missing)
    return True


@way("UniqueInputFieldNamesRule")
def an_input_field_twice(sites: Sites) -> bool:
    places = [node for node, _ in sites.objects if node.fields]
    if not places:
        return False
    node = sites.pick(places)
    node.fields = (*node.fields, copy.deepcopy(sites.pick(list(node.fields))))
    return True


@way("ValuesOfCorrectTypeRule")
def an_unknown_input_field(sites: Sites) -> bool:
    if not sites.objects:
        return False
    node, _ = sites.pick(sites.objects)
    node.fields = (*node.fields, *parse_value("{ zork: 1 }").fields)
    return True


@way("ValuesOfCorrectTypeRule")
def a_missing_input_field(sites: Sites) -> bool:
    places = [
        (node, given)
        for node, wanted in sites.objects
        for given in node.fields
        if is_required_input_field(wanted.fields[given.name.value]) and not _has_variables(given)
    ]
    if not places:
        return False
    node, missing = sites.pick(places)
    node.fields = tuple(given for given in node.fields if given is not missing)
    return True


WRONG = {
    "Int": ['"1"', "true", "ZORK", "{ a: 1 }", "3000000000", "1.5"],
    "Float": ['"1"', "true", "ZORK", "{ a: 1 }"],
    "String": ["1", "true", "ZORK", "{ a: 1 }"],
    "Boolean": ["1", '"true"', "ZORK", "{ a: 1 }"],
}


@way("ValuesOfCorrectTypeRule")
def a_wrong_value(sites: Sites) -> bool:
    places = [
        (node, name, wanted)
        for node, name, wanted in sites.values
        if get_named_type(wanted).name not in SCALARS or get_named_type(wanted).name in WRONG
        if not _has_variables(getattr(node, name))
    ]
    if not places:
        return False
    node, name, wanted = sites.pick(places)
    named = get_named_type(wanted)
    enum_or_object = (
        ["{ zork: 1 }", "[[ZORK]]"] if isinstance(named, GraphQLInputObjectType) else ["ZORK", "1"]
    )
    text = sites.pick(WRONG.get(named.name, enum_or_object))
    if isinstance(get_nullable_type(wanted), GraphQLList) and sites.random.random() < 0.5:
        text = f"[{text}]"
    setattr(node, name, parse_value(text))
    return True


@way("ValuesOfCorrectTypeRule")
def null_for_a_required_value(sites: Sites) -> bool:
    places = [
        (node, name)
        for node, name, wanted in sites.values
        if isinstance(wanted, GraphQLNonNull) and not _has_variables(getattr(node, name))
    ]
    if not places:
        return False
    setattr(*sites.pick(places), parse_value("null"))
    return True


@way("ValuesOfCorrectTypeRule")
def a_wrong_default(sites: Sites) -> bool:
    sites.add("query Default($d: Int = " + sites.pick(WRONG["Int"]) + ") { __typename @skip(if: $b) }")
    return True


def _has_variables(node: Any) -> bool:
    """Taking such a value away would leave a variable unused, which is another rule's matter."""
    return "$" in print_ast(node)
