"""Columns that foreign keys connect: those that can share a type, and those that cannot.

Prisma has relations between columns of one type only. The column that is the rowid is an Int or a BigInt,
whatever refers to it; SQLite keeps any value in the others.
"""

from collections.abc import Callable, Iterator, Mapping

from lamdb.prisma.sqlite.catalog import Catalog, ForeignKey, Table

type Place = tuple[str, str]
"""A table and one of its columns."""

type Types = Mapping[str, Mapping[str, str | None]]
"""Prisma types by table and column; None where no field can read the column."""

_ROWID_TYPES = ("Int", "BigInt")


def linked_columns(
    catalog: Catalog, type_of: Callable[[tuple[Place, ...]], str | None]
) -> dict[Place, tuple[Place, ...]]:
    """Each column that shares its type with others, and all those; first the one that they lead to.

    `type_of` is the type that reads the values of all of several columns. A foreign key whose columns no
    type could read together, or not as the rowid, ties nothing: its columns have types of their own.
    """
    groups: dict[Place, tuple[Place, ...]] = {}
    # Those with a rowid come first: other columns can follow it, but not it them.
    for table, key in sorted(sound_keys(catalog), key=lambda found: not _has_rowid(catalog, *found)):
        joined = dict(groups)
        for child, target in _pairs(catalog, table, key):
            group = joined.get(target, (target,))
            if child not in group:
                group += joined.get(child, (child,))
            joined |= dict.fromkeys(group, group)
        tied = {joined[target] for _, target in _pairs(catalog, table, key)}
        if all(_can_be(catalog, group, type_of(group)) for group in tied):
            groups = joined
    return groups


def unlike(catalog: Catalog, types: Types) -> Iterator[tuple[Table, ForeignKey]]:
    """Foreign keys that can be no relation, since their columns and those they refer to differ in type."""
    for table, key in sound_keys(catalog):
        if any(
            _shown(types, child) != _shown(types, target) for child, target in _pairs(catalog, table, key)
        ):
            yield table, key


def unreadable(catalog: Catalog, types: Types) -> Iterator[tuple[Table, ForeignKey]]:
    """Foreign keys with columns that no field can read."""
    for table, key in sound_keys(catalog):
        if any(types[name][column] is None for pair in _pairs(catalog, table, key) for name, column in pair):
            yield table, key


def types_of(catalog: Catalog, types: Types, table: Table, key: ForeignKey) -> tuple[str, str]:
    """For people: what the columns of a foreign key are read as, and those that it refers to."""
    children, targets = zip(*_pairs(catalog, table, key), strict=True)
    return _named(types, children), _named(types, targets)


def sound_keys(catalog: Catalog) -> Iterator[tuple[Table, ForeignKey]]:
    for table in catalog.tables:
        for key in filter(catalog.is_sound, table.foreign_keys):
            yield table, key


def _pairs(catalog: Catalog, table: Table, key: ForeignKey) -> list[tuple[Place, Place]]:
    """The columns of a foreign key, each with the one it refers to."""
    parent = catalog.by_name[key.table.lower()]
    return [
        (
            (table.name, table.by_name[name.lower()].name),
            (parent.name, parent.by_name[reference.lower()].name),
        )
        for name, reference in zip(key.columns, key.references, strict=True)
    ]


def _can_be(catalog: Catalog, group: tuple[Place, ...], type_: str | None) -> bool:
    return type_ is not None and (
        type_ in _ROWID_TYPES or not any(_is_rowid(catalog, place) for place in group)
    )


def _has_rowid(catalog: Catalog, table: Table, key: ForeignKey) -> bool:
    return any(_is_rowid(catalog, place) for pair in _pairs(catalog, table, key) for place in pair)


def _is_rowid(catalog: Catalog, place: Place) -> bool:
    table, column = place
    return catalog.by_name[table.lower()].rowid_alias == column


def _shown(types: Types, place: Place) -> str:
    """The type that the field has: one that cannot read its column is a String that is ignored."""
    table, column = place
    return types[table][column] or "String"


def _named(types: Types, places: tuple[Place, ...]) -> str:
    return ", ".join(types[table][column] or "nothing" for table, column in places)
