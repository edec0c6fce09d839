"""The validation rule for input positions: literals, variables, default values.

It takes the place of two rules of the specification, *Values of Correct Type* (October 2021, section 5.6.1)
and *All Variable Usages Are Allowed* (5.8.5), because they know one type per position and Prisma's
positions may take several. What the specification's rules accept for the type that the SDL shows, this rule
accepts; what fits another member of the union, it accepts too:

- a literal of any member, a single value where a list may stand, an enum value as a string (Prisma takes
  both);
- an object whose fields all belong to one of the input types, and that has all the fields that type
  requires. A field's value is held against all the types that fit so far; Prisma's compiler, which sees
  every value that is executed, tells them apart in the end;
- a variable of any member's type. Where the SDL shows no type (a field that only an unchecked input has) it
  may be nullable: Prisma judges the value that it gets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from graphql.error import GraphQLError
from graphql.language import (
    DirectiveNode,
    DocumentNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    ListValueNode,
    Node,
    NonNullTypeNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
    print_ast,
)
from graphql.language.printer import print_for_error
from graphql.pyutils import Undefined
from graphql.type import GraphQLEnumType, GraphQLScalarType
from graphql.validation import ValidationContext, ValidationRule

from lamdb.graphql.document.input_position import UNKNOWN, InputPosition
from lamdb.graphql.document.misfits import fits, misfits
from lamdb.graphql.schema.lazy import LazySchema
from lamdb.graphql.schema.names import CUSTOM_SCALARS
from lamdb.graphql.schema.types import InputInfo, Member

type Definition = OperationDefinitionNode | FragmentDefinitionNode
type Inside = Sequence[tuple[ValueNode, InputPosition]]


class MissingField(GraphQLError):
    """A required field that an input object lacks."""

    def __init__(self, message: str, type_name: str, field: str, value: ObjectValueNode) -> None:
        super().__init__(message, value)
        self.type_name = type_name
        self.field = field


@dataclass(frozen=True, slots=True)
class Usage:
    """A variable where a value is expected."""

    node: VariableNode
    position: InputPosition


class InputRule(ValidationRule):
    """See the module's text."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._schema = cast(LazySchema, context.schema)
        self._types = self._schema.api
        self._usages: dict[Definition, list[Usage]] = {}
        self._current: list[Usage] = []

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        self._current = self._usages[node] = []

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_args: Any) -> None:
        self._current = self._usages[node] = []

    def enter_variable_definition(self, node: VariableDefinitionNode, *_args: Any) -> None:
        if node.default_value and (position := InputPosition.declared(node.type, self._types)):
            self._check(node.default_value, position)

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        field = self.context.get_field_def()
        parent = self.context.get_parent_type()
        if field is None or parent is None or not node.arguments:
            return
        infos = self._arguments(parent.name, node.name.value)
        for argument in node.arguments:
            name = argument.name.value
            if infos is not None and name in infos:
                position = InputPosition.of(infos[name])
            elif infos is None and name in field.args:
                position = InputPosition.standard(field.args[name])
            else:
                position = UNKNOWN
            self._check(argument.value, position)

    def enter_directive(self, node: DirectiveNode, *_args: Any) -> None:
        directive = self.context.get_directive()
        for argument in node.arguments:
            known = directive.args.get(argument.name.value) if directive else None
            self._check(argument.value, InputPosition.standard(known) if known else UNKNOWN)

    def leave_document(self, node: DocumentNode, *_args: Any) -> None:
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._check_variables(definition)

    def _arguments(self, type_name: str, field_name: str) -> Mapping[str, InputInfo] | None:
        """The arguments of a field of the API; `None` for a field of introspection."""
        if self._types.kind(type_name) != "object" or field_name.startswith("__"):
            return None
        return self._types.output(type_name).fields[field_name].args

    # Values

    def _check(self, value: ValueNode, position: InputPosition) -> None:
        # An explicit stack: literals may nest as deep as documents do.
        pending = [(value, position)]
        while pending:
            pending.extend(reversed(self._step(*pending.pop())))

    def _step(self, value: ValueNode, position: InputPosition) -> Inside:
        """Check one value and return those inside it."""
        if isinstance(value, VariableNode):
            self._current.append(Usage(value, position))
            return ()
        if not position.members:
            return _inside(value)
        if isinstance(value, NullValueNode):
            if position.required:
                self._refuse(value, position)
            return ()
        if isinstance(value, ListValueNode):
            items = position.items()
            return [(item, items) for item in value.values] if items else self._whole(value, position)
        position = position.single()
        if not isinstance(value, ObjectValueNode):
            self._leaf(value, position)
            return ()
        return self._object(value, position) if position.takes_objects else self._whole(value, position)

    def _whole(self, value: ValueNode, position: InputPosition) -> Inside:
        """A list or an object where none is expected: only a custom scalar may take it."""
        if not any(member.name in CUSTOM_SCALARS for member in position.members):
            self._leaf(value, position)
        return _inside(value)

    def _leaf(self, value: ValueNode, position: InputPosition) -> None:
        complaints = []
        for member in position.members:
            complaint = self.complaint(value, member)
            if complaint is None:
                return
            # A name without quotes can only be meant for an enum, which knows similar names. Nothing but an
            # object is meant for a reference.
            if member.kind == "enum" or not (isinstance(value, EnumValueNode) or member.kind == "reference"):
                complaints.append(complaint)
            if complaint and member.name == "Json":  # which takes all but some texts
                complaints = [complaint]
                break
        # With one type there is one thing to say.
        if len(complaints) == 1 and complaints[0]:
            self._report(complaints[0], value)
        else:
            self._refuse(value, position)

    def complaint(self, value: ValueNode, member: Member) -> str | None:
        """The fault of a literal for a member of a union, with or without a message; `None` if nothing is."""
        if member.kind in ("input", "reference"):
            return ""
        leaf = self._schema.type_map[member.name]
        if isinstance(leaf, GraphQLEnumType) and _text(value) in leaf.values:
            return None
        try:
            parsed = cast(GraphQLScalarType, leaf).parse_literal(value)
        except GraphQLError as error:
            return error.message
        return "" if parsed is Undefined else None

    def _refuse(self, value: ValueNode, position: InputPosition) -> None:
        self._report(f"Expected value of type {position.expected}, found {print_for_error(value)}.", value)

    # Input objects

    def _object(self, value: ObjectValueNode, position: InputPosition) -> Inside:
        types = [
            self._types.input(member.name)
            for member in position.members
            if member.kind in ("input", "reference")
        ]
        given = {field.name.value: field for field in value.fields}
        fitting = [made for made in types if fits(made, given)]
        if not fitting:
            if any(member.name == "Json" for member in position.members):
                return _inside(value)
            for misfit in misfits(given, types, position.shown):
                if misfit.missing is not None:
                    self.report_error(MissingField(misfit.message, *misfit.missing, value))
                else:
                    self._report(misfit.message, given[misfit.unknown] if misfit.unknown else value)
            fitting = types
        return [
            (field.value, InputPosition.of_field(field.name.value, fitting, position.shown))
            for field in value.fields
        ]

    # Variables

    def _check_variables(self, operation: OperationDefinitionNode) -> None:
        definitions = {made.variable.name.value: made for made in operation.variable_definitions}
        if not definitions:
            return
        for usage in self.usages(operation):
            definition = definitions.get(usage.node.name.value)
            if definition and usage.position.members and not self._allowed(definition, usage.position):
                self._report(
                    f"Variable '${usage.node.name.value}' of type '{print_ast(definition.type)}'"
                    f" used in position expecting type {usage.position.expected}.",
                    definition,
                    usage.node,
                )

    def usages(self, operation: OperationDefinitionNode) -> list[Usage]:
        """Where an operation uses variables, in its fragments too."""
        usages = list(self._usages[operation])
        for fragment in self.context.get_recursively_referenced_fragments(operation):
            usages.extend(self._usages.get(fragment, ()))
        return usages

    def _allowed(self, definition: VariableDefinitionNode, position: InputPosition) -> bool:
        declared, default = definition.type, definition.default_value
        if InputPosition.declared(declared, self._types) is None:
            return True  # reported as unknown, or as no input type
        may_be_null = not isinstance(declared, NonNullTypeNode) and (
            default is None or isinstance(default, NullValueNode)
        )
        if may_be_null and position.required and not position.has_default:
            return False
        return position.takes(declared)

    def _report(self, message: str, *nodes: Node) -> None:
        self.report_error(GraphQLError(message, list(nodes)))


def _text(value: ValueNode) -> str | None:
    return value.value if isinstance(value, StringValueNode) else None


def _inside(value: ValueNode) -> Inside:
    """The values inside a value of unknown type."""
    if isinstance(value, ListValueNode):
        return [(item, UNKNOWN) for item in value.values]
    if isinstance(value, ObjectValueNode):
        return [(field.value, UNKNOWN) for field in value.fields]
    return ()
