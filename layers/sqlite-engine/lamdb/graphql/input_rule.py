"""The validation rule for what stands at an input position: literals, variables, default values.

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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLError,
    GraphQLInputType,
    GraphQLScalarType,
    get_named_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
    print_ast,
)
from graphql.language import (
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    ListTypeNode,
    ListValueNode,
    NamedTypeNode,
    NonNullTypeNode,
    NullValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    StringValueNode,
    TypeNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
)
from graphql.language.printer import print_for_error
from graphql.pyutils import Undefined, did_you_mean, suggestion_list
from graphql.validation import ValidationContext, ValidationRule

from lamdb.graphql.lazy import LazySchema
from lamdb.graphql.types import BUILT_IN_SCALARS, InputInfo, InputType, Member

type Definition = OperationDefinitionNode | FragmentDefinitionNode

_NULL: Final = Member("null", "Null")


@dataclass(frozen=True, slots=True)
class Position:
    """A place for a value. `shown` is the type that the SDL shows for it, `None` where it shows no such
    place.
    """

    members: tuple[Member, ...]
    shown: Member | None
    required: bool
    has_default: bool = False

    @property
    def expected(self) -> str:
        """The types as messages name them, the one that is shown first."""
        members = [member for member in self.members if member.kind != "reference"] or list(self.members)
        if self.shown in members:
            members.remove(self.shown)
            members.insert(0, self.shown)
        return " or ".join(f"'{member.type}{'!' * self.required}'" for member in members)

    def items(self) -> "Position | None":
        """The position of the items of a list, or `None` if no member is a list."""
        members = tuple(member._replace(is_list=False) for member in self.members if member.is_list)
        shown = self.shown._replace(is_list=False) if self.shown and self.shown.is_list else None
        return Position(members, shown, required=False) if members else None

    def single(self) -> "Position":
        """The position of one value: GraphQL lets it stand for a list of one."""
        if not any(member.is_list for member in self.members):
            return self
        members = tuple(dict.fromkeys(member._replace(is_list=False) for member in self.members))
        shown = self.shown._replace(is_list=False) if self.shown else None
        return Position(members, shown, self.required)


# A place whose type is not known, because something else about it is wrong or because it is inside a JSON
# literal.
UNKNOWN: Final = Position((), None, required=False)


@dataclass(frozen=True, slots=True)
class _Usage:
    node: VariableNode
    position: Position


class InputRule(ValidationRule):
    """See the module's text."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        self._schema = cast(LazySchema, context.schema)
        self._usages: dict[Definition, list[_Usage]] = {}
        self._current: list[_Usage] = []

    def enter_operation_definition(self, node: OperationDefinitionNode, *_args: Any) -> None:
        self._current = self._usages[node] = []

    def enter_fragment_definition(self, node: FragmentDefinitionNode, *_args: Any) -> None:
        self._current = self._usages[node] = []

    def enter_variable_definition(self, node: VariableDefinitionNode, *_args: Any) -> None:
        if node.default_value and (position := self._declared(node.type)):
            self._check(node.default_value, position)

    def enter_field(self, node: FieldNode, *_args: Any) -> None:
        field = self.context.get_field_def()
        parent = self.context.get_parent_type()
        if field is None or parent is None or not node.arguments:
            return
        infos = self._infos(parent.name, node.name.value)
        for argument in node.arguments:
            name = argument.name.value
            if infos is not None and name in infos:
                position = _position(infos[name])
            elif infos is None and name in field.args:
                position = _standard(field.args[name])
            else:
                position = UNKNOWN
            self._check(argument.value, position)

    def enter_directive(self, node: DirectiveNode, *_args: Any) -> None:
        directive = self.context.get_directive()
        for argument in node.arguments:
            known = directive.args.get(argument.name.value) if directive else None
            self._check(argument.value, _standard(known) if known else UNKNOWN)

    def leave_document(self, node: DocumentNode, *_args: Any) -> None:
        for definition in node.definitions:
            if isinstance(definition, OperationDefinitionNode):
                self._check_variables(definition)

    def _infos(self, type_name: str, field_name: str) -> Mapping[str, InputInfo] | None:
        """The arguments of a field of the API; `None` for a field of introspection."""
        if self._schema.api.kind(type_name) != "object" or field_name.startswith("__"):
            return None
        return self._schema.api.output(type_name).fields[field_name].args

    def _declared(self, node: TypeNode) -> Position | None:
        """The position that a variable's declared type makes; `None` when there is no such input type."""
        required = isinstance(node, NonNullTypeNode)
        inner = node.type if isinstance(node, NonNullTypeNode) else node
        is_list = isinstance(inner, ListTypeNode)
        while isinstance(inner, ListTypeNode | NonNullTypeNode):
            inner = inner.type
        kind = self._schema.api.kind(cast(NamedTypeNode, inner).name.value)
        if kind is None or kind == "object":
            return None
        member = Member(kind, cast(NamedTypeNode, inner).name.value, is_list)
        return Position((member,), member, required)

    # Values

    def _check(self, value: ValueNode, position: Position) -> None:
        # An explicit stack: literals may nest as deep as documents do.
        pending = [(value, position)]
        while pending:
            pending.extend(self._step(*pending.pop()))

    def _step(self, value: ValueNode, position: Position) -> Iterable[tuple[ValueNode, Position]]:
        """Check one value and return those inside it."""
        if isinstance(value, VariableNode):
            self._current.append(_Usage(value, position))
            return ()
        if not position.members:
            return [(inner, UNKNOWN) for inner in _inside(value)]
        if isinstance(value, NullValueNode):
            if position.required:
                self._refuse(value, position)
            return ()
        if isinstance(value, ListValueNode):
            items = position.items()
            if items is not None:
                return [(item, items) for item in value.values]
            return self._whole(value, position)
        position = position.single()
        if isinstance(value, ObjectValueNode):
            if any(member.kind in ("input", "reference") for member in position.members):
                return self._object(value, position)
            return self._whole(value, position)
        self._leaf(value, position)
        return ()

    def _whole(self, value: ValueNode, position: Position) -> Iterable[tuple[ValueNode, Position]]:
        """A list or an object where none is expected: only a custom scalar may take it."""
        if not any(_is_custom_scalar(member) for member in position.members):
            self._leaf(value, position)
        return [(inner, UNKNOWN) for inner in _inside(value)]

    def _leaf(self, value: ValueNode, position: Position) -> None:
        complaints = []
        for member in position.members:
            complaint = self._complaint(value, member)
            if complaint is None:
                return
            complaints.append(complaint)
        # With one type there is one thing to say; with several, the type that is shown.
        if len(complaints) == 1 and complaints[0]:
            self.report_error(GraphQLError(complaints[0], value))
        else:
            self._refuse(value, position)

    def _complaint(self, value: ValueNode, member: Member) -> str | None:
        """What is wrong with a literal for a member of a union; `None` if nothing is."""
        if member.kind in ("input", "reference", "null"):
            return ""
        leaf = self._schema.type_map[member.name]
        if (
            isinstance(leaf, GraphQLEnumType)
            and isinstance(value, StringValueNode)
            and value.value in leaf.values
        ):
            return None
        try:
            parsed = cast(GraphQLScalarType, leaf).parse_literal(value)
        except GraphQLError as error:
            return error.message
        return "" if parsed is Undefined else None

    def _refuse(self, value: ValueNode, position: Position) -> None:
        self.report_error(
            GraphQLError(
                f"Expected value of type {position.expected}, found {print_for_error(value)}.", value
            )
        )

    # Input objects

    def _object(self, value: ObjectValueNode, position: Position) -> Iterable[tuple[ValueNode, Position]]:
        types = [
            self._schema.api.input(member.name)
            for member in position.members
            if member.kind in ("input", "reference")
        ]
        given = {field.name.value: field for field in value.fields}
        fitting = [made for made in types if _misfits(made, given) is None]
        if not fitting:
            if any(member.name == "Json" for member in position.members):
                return [(inner, UNKNOWN) for inner in _inside(value)]
            shown = next(
                (made for made in types if position.shown and made.name == position.shown.name), types[0]
            )
            self._report_misfit(value, shown, types)
            fitting = types
        return [
            (field.value, self._field_position(field.name.value, fitting, position.shown))
            for field in value.fields
        ]

    def _field_position(self, name: str, types: Sequence[InputType], shown: Member | None) -> Position:
        members: dict[Member, None] = {}
        seen: InputInfo | None = None
        for made in types:
            info = made.fields.get(name)
            if info is not None:
                members.update(dict.fromkeys(info.members))
                if shown and made.name == shown.name:
                    seen = info
        members.pop(_NULL, None)
        return Position(tuple(members), seen.shown if seen else None, required=bool(seen and seen.required))

    def _report_misfit(self, value: ObjectValueNode, shown: InputType, types: Sequence[InputType]) -> None:
        """Say why an object is of none of the types: unknown fields, else a mixture, else missing fields."""
        unknown = [f for f in value.fields if not any(f.name.value in made.fields for made in types)]
        for field in unknown:
            suggestions = suggestion_list(field.name.value, list(shown.fields))
            self.report_error(
                GraphQLError(
                    f"Field '{field.name.value}' is not defined by type '{shown.name}'."
                    + did_you_mean(suggestions),
                    field,
                )
            )
        if unknown:
            return
        given = {field.name.value: field for field in value.fields}
        candidates = [made for made in types if all(name in made.fields for name in given)]
        if not candidates:
            names = " or ".join(f"'{made.name}'" for made in types)
            self.report_error(
                GraphQLError(f"The fields {_quoted(given)} do not stand together in {names}.", value)
            )
            return
        best = shown if shown in candidates else candidates[0]
        for info in best.fields.values():
            if info.required and info.name not in given:
                self.report_error(
                    GraphQLError(
                        f"Field '{best.name}.{info.name}' of required type '{info.type}' was not provided.",
                        value,
                    )
                )

    # Variables

    def _check_variables(self, operation: OperationDefinitionNode) -> None:
        definitions = {made.variable.name.value: made for made in operation.variable_definitions}
        if not definitions:
            return
        usages = list(self._usages[operation])
        for fragment in self.context.get_recursively_referenced_fragments(operation):
            usages.extend(self._usages.get(fragment, ()))
        for usage in usages:
            definition = definitions.get(usage.node.name.value)
            if definition and usage.position.members and not self._allowed(definition, usage.position):
                self.report_error(
                    GraphQLError(
                        f"Variable '${usage.node.name.value}' of type '{print_ast(definition.type)}'"
                        f" used in position expecting type {usage.position.expected}.",
                        [definition, usage.node],
                    )
                )

    def _allowed(self, definition: VariableDefinitionNode, position: Position) -> bool:
        declared = definition.type
        if self._declared(declared) is None:
            return True  # reported as unknown, or as no input type
        if isinstance(declared, NonNullTypeNode):
            return any(_fits(declared.type, member) for member in position.members)
        default = definition.default_value
        if (
            position.required
            and not position.has_default
            and (default is None or isinstance(default, NullValueNode))
        ):
            return False
        return any(_fits(declared, member) for member in position.members)


def _position(info: InputInfo) -> Position:
    members = tuple(member for member in info.members if member.kind != "null")
    return Position(members, info.shown, info.required)


def _standard(argument: GraphQLArgument) -> Position:
    """The position of an argument of a directive or of an introspection field."""
    required = is_non_null_type(argument.type)
    inner = cast(Any, argument.type).of_type if required else argument.type
    named = get_named_type(cast(GraphQLInputType, inner))
    # Neither directives nor introspection fields take input objects.
    member = Member("enum" if is_enum_type(named) else "scalar", named.name, is_list_type(inner))
    return Position((member,), member, required, has_default=required and not is_required_argument(argument))


def _fits(declared: TypeNode, member: Member) -> bool:
    """Whether a variable's type, nullability aside, is that of a member."""
    if member.is_list != isinstance(declared, ListTypeNode):
        return False
    inner = declared.type if isinstance(declared, ListTypeNode) else declared
    if isinstance(inner, NonNullTypeNode):
        inner = inner.type
    return isinstance(inner, NamedTypeNode) and inner.name.value == member.name


def _misfits(made: InputType, given: Mapping[str, Any]) -> str | None:
    """The first field that keeps an object from being of a type; `None` if it is of that type."""
    for name in given:
        if name not in made.fields:
            return name
    for info in made.fields.values():
        if info.required and info.name not in given:
            return info.name
    return None


def _is_custom_scalar(member: Member) -> bool:
    return member.kind == "scalar" and member.name not in BUILT_IN_SCALARS


def _inside(value: ValueNode) -> Iterator[ValueNode]:
    if isinstance(value, ListValueNode):
        yield from value.values
    elif isinstance(value, ObjectValueNode):
        for field in value.fields:
            yield field.value


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
