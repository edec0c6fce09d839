"""Models whose names make two types, or two operations, of one name in the GraphQL API.

Prisma derives the names of types and operations from those of models: `User` makes the type
`UserUncheckedCreateInput` and the query `findFirstUserOrThrow`, and so do the models `UserUnchecked` and
`UserOrThrow`. Such schemas are valid for Prisma, whose client never sees the names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

PLACES: Final = ("outputObjectTypes", "inputObjectTypes", "fieldRefTypes", "enumTypes")
_ROOTS: Final = ("Query", "Mutation")


@dataclass(frozen=True, slots=True)
class Clash:
    """A name that is needed twice; `models` are the two that need it, as far as their names tell."""

    what: str
    """Such as `the type UserUncheckedCreateInput`."""
    models: tuple[str, ...]


def clashes(dmmf: Mapping[str, Any]) -> Iterator[Clash]:
    """The clashes of a schema, from its whole DMMF."""
    models = [model["name"] for model in dmmf["datamodel"]["models"]]
    declared = set(models) | {enum["name"] for enum in dmmf["datamodel"]["enums"]}
    seen: set[str] = set()
    for place in PLACES:
        for namespace, made in _types(dmmf["schema"], place):
            name = made["name"]
            # A model or an enum that has the name of a generated type is renamed, see `types`.
            if namespace == "model" and name in declared:
                continue
            if name in seen:
                yield Clash(f"the type {name}", owners(name, models))
            seen.add(name)
            if name in _ROOTS:
                yield from _of_root(made, models)


def generated_names(dmmf: Mapping[str, Any]) -> set[str]:
    """The names of the types that Prisma makes, whatever models are called."""
    return {
        made["name"]
        for place in PLACES
        for namespace, made in _types(dmmf["schema"], place)
        if namespace == "prisma"
    }


def owners(name: str, models: list[str]) -> tuple[str, ...]:
    """The two models that most of a generated name is made of, the longest last."""
    found = {model for model in models if model and _capital(model) in name}
    return tuple(sorted(found, key=lambda model: (len(model), model))[-2:])


def _of_root(root: Mapping[str, Any], models: list[str]) -> Iterator[Clash]:
    seen: set[str] = set()
    for field in root["fields"]:
        name = field["name"]
        if name in seen:
            yield Clash(f"the field {root['name']}.{name}", owners(name, models))
        seen.add(name)


def _types(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for namespace, group in schema[place].items():
        for made in group or ():
            yield namespace, made


def _capital(name: str) -> str:
    return name[:1].upper() + name[1:]
