"""The values allowed at an input position: the types of a union as validation needs them.

(`positions.ValuePosition` is the same place seen by the compiler, which writes values down for Prisma.)
"""

from dataclasses import dataclass
from typing import Any, Final, Self, cast

from graphql.language import ListTypeNode, NamedTypeNode, NonNullTypeNode, TypeNode
from graphql.type import (
    GraphQLArgument,
    GraphQLInputType,
    get_named_type,
    is_enum_type,
    is_list_type,
    is_non_null_type,
    is_required_argument,
)

from lamdb.graphql.schema.types import ApiTypes, InputInfo, InputType, Member


@dataclass(frozen=True, slots=True)
class InputPosition:
    """A place for a value.

    `shown` is the type that the SDL shows for it, `None` where it shows no such place. `required` is known
    only where it does: elsewhere Prisma judges nulls.
    """

    members: tuple[Member, ...]
    shown: Member | None
    required: bool
    has_default: bool = False

    @classmethod
    def of(cls, info: InputInfo) -> Self:
        """The position of an argument of the API."""
        return cls(_without_null(info.members), info.shown, info.required)

    @classmethod
    def of_field(cls, name: str, types: list[InputType], shown: Member | None) -> Self:
        """The position of a field of an object that may be of any of `types`, at a place that shows
        `shown`.
        """
        members: dict[Member, None] = {}
        seen: InputInfo | None = None
        for made in types:
            if (info := made.fields.get(name)) is not None:
                members.update(dict.fromkeys(_without_null(info.members)))
                if shown and made.name == shown.name:
                    seen = info
        if seen is None:
            return cls(tuple(members), None, required=False)
        return cls(tuple(members), seen.shown, seen.required)

    @classmethod
    def standard(cls, argument: GraphQLArgument) -> Self:
        """The position of an argument of a directive or of an introspection field."""
        required = is_non_null_type(argument.type)
        inner = cast(Any, argument.type).of_type if required else argument.type
        named = get_named_type(cast(GraphQLInputType, inner))
        # Neither directives nor introspection fields take input objects.
        member = Member("enum" if is_enum_type(named) else "scalar", named.name, is_list_type(inner))
        has_default = required and not is_required_argument(argument)
        return cls((member,), member, required, has_default)

    @classmethod
    def declared(cls, node: TypeNode, types: ApiTypes) -> Self | None:
        """The position that a variable's type makes for its default; `None` if it is no input type."""
        inner = node.type if isinstance(node, NonNullTypeNode) else node
        is_list = isinstance(inner, ListTypeNode)
        while isinstance(inner, ListTypeNode | NonNullTypeNode):
            inner = inner.type
        name = cast(NamedTypeNode, inner).name.value
        kind = types.kind(name)
        if kind is None or kind == "object":
            return None
        member = Member(kind, name, is_list)
        return cls((member,), member, required=isinstance(node, NonNullTypeNode))

    @property
    def expected(self) -> str:
        """The types as messages name them, the one that is shown first."""
        members = [member for member in self.members if member.kind != "reference"] or list(self.members)
        if self.shown in members:
            members.remove(self.shown)
            members.insert(0, self.shown)
        return " or ".join(f"'{member.type}{'!' * self.required}'" for member in members)

    @property
    def takes_objects(self) -> bool:
        return any(member.kind in ("input", "reference") for member in self.members)

    def items(self) -> Self | None:
        """The position of the items of a list, or `None` if no member is a list."""
        members = tuple(member._replace(is_list=False) for member in self.members if member.is_list)
        shown = self.shown._replace(is_list=False) if self.shown and self.shown.is_list else None
        return type(self)(members, shown, required=False) if members else None

    def single(self) -> Self:
        """The position of one value: GraphQL lets it stand for a list of one."""
        if not any(member.is_list for member in self.members):
            return self
        members = tuple(dict.fromkeys(member._replace(is_list=False) for member in self.members))
        shown = self.shown._replace(is_list=False) if self.shown else None
        return type(self)(members, shown, self.required)

    def takes(self, declared: TypeNode) -> bool:
        """True if a variable of this type, nullability aside, is of a member's type."""
        inner = declared.type if isinstance(declared, NonNullTypeNode) else declared
        return any(_is_of(inner, member) for member in self.members)


# A place whose type is not known: something else about it is wrong, or it is inside a JSON literal.
UNKNOWN: Final = InputPosition((), None, required=False)


def _without_null(members: tuple[Member, ...]) -> tuple[Member, ...]:
    return tuple(member for member in members if member.kind != "null")


def _is_of(declared: TypeNode, member: Member) -> bool:
    if member.is_list != isinstance(declared, ListTypeNode):
        return False
    inner = declared.type if isinstance(declared, ListTypeNode) else declared
    if isinstance(inner, NonNullTypeNode):
        inner = inner.type
    return isinstance(inner, NamedTypeNode) and inner.name.value == member.name
