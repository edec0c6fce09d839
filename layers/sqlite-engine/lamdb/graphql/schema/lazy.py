"""A graphql-core schema whose types and fields are built when a document first names them.

graphql-core builds a whole schema eagerly, which takes half a second at 30 models; a document touches a few
dozen of its thousands of types. `LazySchema` is a real `GraphQLSchema` over `ApiTypes`: its type map makes a
type when it is asked for, an object type makes a field when it is asked for. Iterating (printing,
introspection) builds everything.

The schema is assumed valid (it is: `metadata` refuses what is not), serves validation, printing and
introspection, and has no resolvers.
"""

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, cast

from graphql.type import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLEnumValue,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    introspection_types,
    specified_directives,
    specified_scalar_types,
)

from lamdb.graphql.schema.directives import LIVE
from lamdb.graphql.schema.lazymap import LazyMap
from lamdb.graphql.schema.names import ALWAYS_THERE, CUSTOM_SCALARS, ROOT_TYPES, SPECIFICATIONS
from lamdb.graphql.schema.types import ApiTypes, FieldInfo, InputInfo

DESCRIPTION: Final = (
    "The database's API, made from its Prisma schema. Where an input takes one of several types, the schema "
    "shows one of them; the others (a plain value for a filter, foreign keys in `data`) are accepted as well."
)

# An input type without fields (`createOne` where all is generated) gets one, for GraphQL demands it. Prisma's
# names never begin with an underscore, and its compiler refuses this one.
NO_FIELD: Final = "_"

_STANDARD: Final[dict[str, GraphQLNamedType]] = {
    **{name: specified_scalar_types[name] for name in ALWAYS_THERE},
    **introspection_types,
}


class LazySchema(GraphQLSchema):
    """The API's schema for graphql-core; `api` has what GraphQL cannot express (the members of input
    unions)."""

    def __init__(self, api: ApiTypes) -> None:
        # GraphQLSchema.__init__ would visit every type; these are the attributes that it sets.
        self.api = api
        type_map = TypeMap(api)
        self.type_map = cast("dict[str, GraphQLNamedType]", type_map)
        self.query_type = cast(GraphQLObjectType, type_map[ROOT_TYPES["query"]])
        self.mutation_type = cast("GraphQLObjectType | None", type_map.get(ROOT_TYPES["mutation"]))
        self.subscription_type = None
        self.directives = (LIVE, *specified_directives)
        self.description = DESCRIPTION
        self.extensions = {}
        self.ast_node = None
        self.extension_ast_nodes = ()
        self._implementations_map = {}
        self._sub_type_map = {}
        self._validation_errors = []


class TypeMap(dict[str, GraphQLNamedType]):
    """The schema's types by name, each made when it is first wanted."""

    def __init__(self, api: ApiTypes) -> None:
        super().__init__(_STANDARD)
        self._api = api
        self._wrappers: dict[tuple[str, bool, bool, bool], Any] = {}

    def __missing__(self, name: str) -> GraphQLNamedType:
        match self._api.kind(name):
            case "object":
                made: GraphQLNamedType = _ObjectType(name, self)
            case "input":
                made = InputObjectType(name, self)
            case "enum":
                made = self._enum(name)
            case "scalar" if name in CUSTOM_SCALARS:
                made = GraphQLScalarType(
                    name, description=CUSTOM_SCALARS[name], specified_by_url=SPECIFICATIONS[name]
                )
            case "scalar":
                made = specified_scalar_types[name]
            case None:
                raise KeyError(name)
        return self.setdefault(name, made)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and self._api.kind(name) is not None)

    def __iter__(self) -> Iterator[str]:
        yield from self._api.names()
        yield from _STANDARD

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def keys(self) -> Any:
        return list(self)

    def values(self) -> Any:
        return [self[name] for name in self]

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def output(self, info: FieldInfo) -> Any:
        """The graphql-core type of an output field."""
        return self._wrapped(info.type_name, info.is_list, not info.nullable, items_required=True)

    def input(self, info: InputInfo) -> Any:
        """The graphql-core type of an argument or input field: the one member that is shown."""
        return self._wrapped(info.shown.name, info.shown.is_list, info.required, items_required=False)

    def _wrapped(self, name: str, is_list: bool, required: bool, *, items_required: bool) -> Any:
        key = name, is_list, required, items_required
        made = self._wrappers.get(key)
        if made is None:
            made = self[name]
            if is_list:
                made = GraphQLList(GraphQLNonNull(made) if items_required else made)
            if required:
                made = GraphQLNonNull(made)
            self._wrappers[key] = made
        return made

    def _enum(self, name: str) -> GraphQLEnumType:
        enum = self._api.enum(name)
        values = {
            value: GraphQLEnumValue(value, description=description)
            for value, description in enum.values.items()
        }
        return GraphQLEnumType(name, values, description=enum.description)


class _ObjectType(GraphQLObjectType):
    def __init__(self, name: str, types: TypeMap) -> None:
        self._info = types._api.output(name)
        self._types = types
        super().__init__(name, {}, description=self._info.description)

    @cached_property
    def fields(self) -> Any:
        return LazyMap(self._info.fields, self._field)

    def _field(self, name: str, info: FieldInfo) -> GraphQLField:
        return GraphQLField(
            self._types.output(info),
            {arg: GraphQLArgument(self._types.input(found)) for arg, found in info.args.items()},
            description=info.description,
        )


class InputObjectType(GraphQLInputObjectType):
    """An input type. Most types of a schema are, and most of their fields are alike."""

    def __init__(self, name: str, types: TypeMap) -> None:
        self._info = types._api.input(name)
        self._types = types
        super().__init__(name, {})

    def notations(self) -> Mapping[str, str]:
        """The fields' notations by their names; empty for a type that only has `NO_FIELD`."""
        return self._info.fields.raw

    @cached_property
    def fields(self) -> Any:
        if not self._info.fields:
            return {NO_FIELD: GraphQLInputField(GraphQLBoolean, description="There is nothing to set.")}
        return LazyMap(self._info.fields, self._field)

    def _field(self, name: str, info: InputInfo) -> GraphQLInputField:
        return GraphQLInputField(self._types.input(info))
