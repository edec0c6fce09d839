"""The types of a schema's GraphQL API, from compact metadata computed once, when the schema is deployed.

    types = ApiTypes.from_dmmf(schema.dmmf)      # 50 ms at 30 models; then store types.dumps()
    types = ApiTypes.loads(blob)                 # under 1 ms; a type is decoded when it is first wanted

    root = types.root("query", "findManyPost")   # RootField: model, action "findMany", field
    where = root.field.args["where"]             # InputInfo: members, required, nullable, is_union, type
    title = types.input("PostWhereInput").fields["title"]
    title.members                                # (input StringFilter, scalar String)
    author = types.output("Post").fields["author"]  # FieldInfo: kind "object", type_name, is_list, nullable

The API is the one that Prisma's query engine exposed through GraphQL, with its names. Where one position
takes several input types, which GraphQL's type system cannot say, `InputInfo.members` has them all in
Prisma's order and `InputInfo.type` the one type that the SDL and introspection show. It is chosen as
Prisma's own renderer did: an object before a scalar, otherwise the first; null never. Three choices differ,
each so that more of what is accepted can be seen by a tool: a list wins over its single value (GraphQL
itself lets the single value stand for the list), a field reference never wins over the value it stands for,
and `Json` wins over the enum of its nulls. As there, the items of an input list are nullable
(`[PostWhereInput]`), so a variable of type `[X!]` and one of `[X]` both fit. The lists of *output* are
stricter than they were (`[Post!]!`): they never hold a null, and no document depends on it.

Every input type of the DMMF is a type of the API, whether or not a shown type refers to it: a variable may
be declared with any member of a union (`$data: PostUncheckedCreateInput!`).

The names of fields, arguments and enum values are Prisma's own. The name of a *type* differs from Prisma's
only where a model or enum has the name of another type (a model `Query`): it then gets an underscore
(`Query_`), and `OutputType.model` and `RootField.model` keep the name that Prisma knows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, cast

from lamdb.graphql.schema.lazymap import LazyMap
from lamdb.graphql.schema.names import ALWAYS_THERE, ROOT_TYPES, Operation
from lamdb.prisma.typestore import TypeStore
from lamdb.search.definition import SearchDefinition

if TYPE_CHECKING:
    from lamdb.changes.definition import RecordedModel

type MemberKind = Literal["scalar", "enum", "input", "reference", "null"]
type FieldKind = Literal["scalar", "enum", "object"]
type TypeKind = Literal["scalar", "enum", "input", "object"]

# Marks of the compact notation: `#Role` an enum, `{PostWhereInput` an object, `&IntFieldRefInput` a field
# reference, `~` null, a bare name a scalar; `*` at the end a list. `!` before an input's members: required;
# after an output: never null.
_MEMBER_KINDS: Final[Mapping[str, MemberKind]] = {"#": "enum", "{": "input", "&": "reference", "~": "null"}


class Member(NamedTuple):
    """One of the input types that a position takes. `name` is the GraphQL type's name, `"Null"` for null."""

    kind: MemberKind
    name: str
    is_list: bool = False

    @property
    def type(self) -> str:
        return f"[{self.name}]" if self.is_list else self.name


@dataclass(frozen=True, slots=True)
class InputInfo:
    """An argument, or a field of an input object."""

    name: str
    members: tuple[Member, ...]
    """Every input type that fits, in Prisma's order."""
    shown: Member
    """The member that the SDL shows."""
    required: bool

    @property
    def type(self) -> str:
        """The type as the SDL shows it: `[PostWhereInput]`, `PostCreateInput!`."""
        return self.shown.type + "!" * self.required

    @property
    def nullable(self) -> bool:
        """True if Prisma takes an explicit null."""
        return any(member.kind == "null" for member in self.members)

    @property
    def is_union(self) -> bool:
        """True if several input types fit, null aside."""
        return sum(member.kind != "null" for member in self.members) > 1


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of an output object."""

    name: str
    kind: FieldKind
    type_name: str
    """The GraphQL name of the scalar, enum or object type."""
    is_list: bool
    nullable: bool
    args: Mapping[str, InputInfo]
    description: str | None = None

    @property
    def type(self) -> str:
        """The type as the SDL shows it: `[Post!]!`, `String`."""
        inner = f"[{self.type_name}!]" if self.is_list else self.type_name
        return inner if self.nullable else inner + "!"


@dataclass(frozen=True, slots=True)
class RootField:
    """A field of `Query` or `Mutation`, with the model and the action it means in Prisma's JSON protocol.

    `model` is `None` for `queryRaw` and `executeRaw`.
    """

    operation: Operation
    model: str | None
    action: str
    field: FieldInfo


@dataclass(frozen=True, slots=True)
class OutputType:
    """An object type. `model` is the Prisma model it shows; `None` for aggregates, counts and roots."""

    name: str
    description: str | None
    model: str | None
    fields: Mapping[str, FieldInfo]


@dataclass(frozen=True, slots=True)
class InputType:
    """An input object type. It takes `min_fields` to `max_fields` of its fields (of `any_of`, if any)."""

    name: str
    is_reference: bool
    min_fields: int | None
    max_fields: int | None
    any_of: tuple[str, ...]
    required: tuple[str, ...]
    """The names of the fields that must be there."""
    fields: LazyMap[InputInfo]
    """`fields.raw` has the notations: fields of one name and notation are alike, in whatever type."""


@dataclass(frozen=True, slots=True)
class EnumType:
    """An enum type: its values with their descriptions."""

    name: str
    description: str | None
    values: Mapping[str, str | None]


class ApiTypes:
    """All types of the API. Reading is safe from several threads."""

    def __init__(self, store: TypeStore) -> None:
        self._store = store
        self._decoded: dict[str, Any] = {}
        self._roots: dict[Operation, Mapping[str, RootField]] = {}

    @classmethod
    def from_dmmf(cls, dmmf: Mapping[str, Any], *, raw: bool = False) -> Self:
        """Compute the types of a schema; `raw` adds `queryRaw` and `executeRaw`.

        Raises `SchemaError` where two parts of the schema would need the same name in GraphQL, or where a
        value is none that GraphQL can express.
        """
        from lamdb.graphql.schema.metadata import encode

        return cls(TypeStore.pack(encode(dmmf, raw=raw)))

    @classmethod
    def loads(cls, blob: bytes) -> Self:
        """The types that `dumps` wrote. Raises `EngineError` when they are of another version or damaged."""
        return cls(TypeStore.loads(blob))

    def dumps(self) -> bytes:
        """The types as bytes, some 80 KB at 30 models."""
        return self._store.dumps()

    def copy(self) -> Self:
        """The same types with nothing decoded yet: what is decoded of the copy goes with it."""
        return type(self)(self._store)

    def searches(self) -> tuple[SearchDefinition, ...]:
        """The searches that the schema declares."""
        found = self._store.find("@searches")
        if found is None:
            return ()
        # Few processes answer searches.
        from lamdb.search import stored

        return stored.from_json(found[1])

    def changes(self) -> "tuple[RecordedModel, ...]":
        """The models whose changes are recorded."""
        found = self._store.find("@changes")
        from lamdb.changes.definition import RecordedModel  # few schemas have changes recorded

        return tuple(map(RecordedModel.from_json, found[1])) if found is not None else ()

    def names(self) -> list[str]:
        """The names of all types but those of introspection and `Boolean`, `Int` and `String`."""
        return [name for name in self._store if not name.startswith("@")]

    def kind(self, name: str) -> TypeKind | None:
        """The kind of a type, or `None` if no type has the name."""
        if name in ALWAYS_THERE:
            return "scalar"
        return cast("TypeKind | None", self._store.kind(name))

    def root(self, operation: Operation, name: str) -> RootField | None:
        """The root field `name` of an operation, or `None` if it does not exist."""
        return self.roots(operation).get(name)

    def roots(self, operation: Operation) -> Mapping[str, RootField]:
        """The root fields of an operation by name; empty when the schema has nothing to mutate."""
        roots = self._roots.get(operation)
        if roots is None:
            type_name = ROOT_TYPES[operation]
            if self.kind(type_name) is None:
                return {}
            fields = self.output(type_name).fields
            roots = self._roots[operation] = LazyMap(
                self._entry(f"@{operation}", "roots"),
                lambda name, raw: RootField(operation, raw[0], raw[1], fields[name]),
            )
        return roots

    def output(self, name: str) -> OutputType:
        """An object type. Raises `KeyError` if no type has the name."""
        found = self._decoded.get(name)
        if not isinstance(found, OutputType):
            description, model, fields = self._entry(name, "object")
            found = self._decoded[name] = OutputType(name, description, model, LazyMap(fields, _field))
        return found

    def input(self, name: str) -> InputType:
        """An input object type. Raises `KeyError` if no type has the name."""
        found = self._decoded.get(name)
        if not isinstance(found, InputType):
            is_reference, least, most, any_of, fields = self._entry(name, "input")
            required = tuple(field for field, notation in fields.items() if notation[0] == "!")
            found = self._decoded[name] = InputType(
                name, is_reference, least, most, tuple(any_of), required, LazyMap(fields, _input)
            )
        return found

    def enum(self, name: str) -> EnumType:
        """An enum type. Raises `KeyError` if no type has the name."""
        found = self._decoded.get(name)
        if not isinstance(found, EnumType):
            description, values = self._entry(name, "enum")
            found = self._decoded[name] = EnumType(name, description, values)
        return found

    def _entry(self, name: str, kind: str) -> Any:
        found = self._store.find(name)
        if found is None or found[0] != kind:
            raise KeyError(f"there is no {kind} type {name}")
        return found[1]


@cache
def _members(notation: str) -> tuple[Member, ...]:
    return tuple(_member(part) for part in notation.removeprefix("!").split(" "))


def _member(notation: str) -> Member:
    kind = _MEMBER_KINDS.get(notation[0], "scalar")
    if kind == "null":
        return Member(kind, "Null")
    name = notation if kind == "scalar" else notation[1:]
    return Member(kind, name.removesuffix("*"), name.endswith("*"))


@cache
def _shown(members: tuple[Member, ...]) -> Member:
    """The member that stands for a union in the SDL; see the module's text for the rule."""
    candidates = [m for m in members if m.kind not in ("null", "reference")] or list(members)
    for member in candidates:
        if member.is_list:
            return member
    best = candidates[0]
    for member in candidates[1:]:
        if (best.kind == "scalar" and member.kind == "input") or member.name == "Json":
            best = member
    return best


def _input(name: str, notation: str) -> InputInfo:
    members = _members(notation)
    return InputInfo(name, members, _shown(members), notation[0] == "!")


_NO_ARGS: Final[Mapping[str, InputInfo]] = {}


def _field(name: str, raw: str | tuple[str, dict[str, str] | None, str | None]) -> FieldInfo:
    notation, args, description = (raw, None, None) if isinstance(raw, str) else raw
    member = _member(notation.removesuffix("!"))
    kind: FieldKind = "object" if member.kind == "input" else "enum" if member.kind == "enum" else "scalar"
    return FieldInfo(
        name=name,
        kind=kind,
        type_name=member.name,
        is_list=member.is_list,
        nullable=not notation.endswith("!"),
        args=LazyMap(args, _input) if args else _NO_ARGS,
        description=description,
    )
