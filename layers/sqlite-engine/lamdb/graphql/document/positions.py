"""The types that the schema allows at a place for a value: the members of an input union, sorted by kind."""

from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Final

from lamdb.graphql.schema.types import ApiTypes, Member, MemberKind


@dataclass(slots=True, eq=False)
class ValuePosition:
    """The types that the schema allows at one place: the members of the union, sorted by kind."""

    scalars: frozenset[str] = frozenset()
    scalar_lists: frozenset[str] = frozenset()
    enums: frozenset[str] = frozenset()
    enum_lists: frozenset[str] = frozenset()
    objects: tuple[str, ...] = ()
    object_lists: tuple[str, ...] = ()
    field_ref: bool = False
    values: frozenset[str] = frozenset()
    """Every value of the enums."""
    nullable: bool = False
    """Whether Prisma takes an explicit null."""
    only_lists: bool = False
    """True if only a list is allowed, so that a single value is a list of one."""
    positions: "Positions | None" = None
    _fields: dict[str, "ValuePosition"] = field(default_factory=dict)
    _item: "ValuePosition | None" = None
    _narrowed: dict[tuple[str, ...], "ValuePosition"] = field(default_factory=dict)
    _types: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self._types = tuple(dict.fromkeys(self.objects + self.object_lists))

    @property
    def takes_lists(self) -> bool:
        return bool(self.scalar_lists or self.enum_lists or self.object_lists)

    def field_at(self, name: str) -> "ValuePosition":
        """The position of an object's field, of all object types together; `ANYTHING` if none has it."""
        found = self._fields.get(name)
        if found is None:
            made = self.positions.field_of(self._types, name) if self.positions else None
            if made is None:
                return ANYTHING  # not kept: such names come from clients
            found = self._fields[name] = made
        return found

    def of_object(self, names: Set[str]) -> "ValuePosition":
        """The position of an object with these fields: of the types that have them all, if any has.

        A model may have a field `isNot`, which the filter of a relation to it has as well.
        """
        if len(self._types) < 2 or self.positions is None:
            return self
        known = self.positions.names
        fitting = tuple(each for each in self._types if names <= known(each))
        if not fitting or len(fitting) == len(self._types):
            return self
        found = self._narrowed.get(fitting)
        if found is None:
            found = self._narrowed[fitting] = ValuePosition(objects=fitting, positions=self.positions)
        return found

    def item(self) -> "ValuePosition":
        """The position of a list's items."""
        if self._item is None:
            self._item = ValuePosition(
                scalars=self.scalar_lists,
                enums=self.enum_lists,
                objects=self.object_lists,
                values=self.values,
                _fields=self._fields,
                positions=self.positions,
            )
        return self._item


ANYTHING: Final = ValuePosition()
"""The position of a value that the schema does not know: it is passed on for Prisma to refuse."""


class Positions:
    """The positions of a schema, by the union of input types they take; made on first use and kept."""

    def __init__(self, types: ApiTypes) -> None:
        self._types = types
        self._known: dict[tuple[Member, ...], ValuePosition] = {}
        self._names: dict[str, Set[str]] = {}

    def of(self, members: tuple[Member, ...]) -> ValuePosition:
        """The position that takes `members` (see `types.InputInfo`)."""
        found = self._known.get(members)
        if found is None:
            found = self._known[members] = self._make(members)
        return found

    def names(self, object_name: str) -> Set[str]:
        """The fields of an input type."""
        found = self._names.get(object_name)
        if found is None:
            found = self._names[object_name] = frozenset(self._types.input(object_name).fields)
        return found

    def field_of(self, objects: Iterable[str], name: str) -> ValuePosition | None:
        """The position of field `name` in several object types together, or `None` if none of them has it."""
        merged: dict[Member, None] = {}
        for object_name in dict.fromkeys(objects):
            if (info := self._types.input(object_name).fields.get(name)) is not None:
                merged.update(dict.fromkeys(info.members))
        return self.of(tuple(merged)) if merged else None

    def _make(self, members: tuple[Member, ...]) -> ValuePosition:
        def names(kind: MemberKind, *, lists: bool) -> tuple[str, ...]:
            return tuple(m.name for m in members if m.kind == kind and m.is_list is lists)

        enums, enum_lists = names("enum", lists=False), names("enum", lists=True)
        return ValuePosition(
            scalars=frozenset(names("scalar", lists=False)),
            scalar_lists=frozenset(names("scalar", lists=True)),
            enums=frozenset(enums),
            enum_lists=frozenset(enum_lists),
            objects=names("input", lists=False),
            object_lists=names("input", lists=True),
            field_ref=any(m.kind == "reference" for m in members),
            nullable=any(m.kind == "null" for m in members),
            only_lists=all(m.is_list for m in members if m.kind not in ("null", "reference")),
            values=frozenset[str]().union(*(self._types.enum(name).values for name in enums + enum_lists)),
            positions=self,
        )
