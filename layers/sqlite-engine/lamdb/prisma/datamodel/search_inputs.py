"""Prisma's inputs for full-text search, which its engines know for other databases only.

`search` becomes a filter of strings, and `_relevance` an order of the models that are searched. The names
and shapes are those of Prisma's own DMMF.
"""

from collections.abc import Sequence
from typing import Any, Final

from lamdb.search.definition import SearchDefinition, SearchField

SEARCHABLE_FILTERS: Final = (
    "StringFilter",
    "NestedStringFilter",
    "StringNullableFilter",
    "NestedStringNullableFilter",
)
SEARCHES: Final = "searches"
"""The place of the definitions in a DMMF."""


def add_search(dmmf: dict[str, Any], searches: Sequence[SearchDefinition]) -> None:
    """Adds the inputs of searches, and their definitions, to a DMMF."""
    dmmf[SEARCHES] = tuple(searches)
    if not searches:
        return
    inputs = dmmf["schema"]["inputObjectTypes"]["prisma"]
    enums = dmmf["schema"]["enumTypes"]["prisma"]
    by_name = {made["name"]: made for made in inputs}
    for name in SEARCHABLE_FILTERS:
        if name in by_name:
            by_name[name]["fields"].append(_field("search", [_scalar("String")], parameterizable=True))
    for definition in searches:
        fields = [field.path[0] for field in own_fields(definition)]
        order = by_name.get(f"{definition.model}OrderByWithRelationInput")
        if order is None or not fields:
            continue
        stem = f"{definition.model}OrderByRelevance"
        order["fields"].append(_field("_relevance", [_named("inputObjectTypes", f"{stem}Input")]))
        enum = f"{stem}FieldEnum"
        enums.append({"name": enum, "values": fields})
        inputs.append(
            {
                "name": f"{stem}Input",
                "constraints": {"minNumFields": None, "maxNumFields": None},
                "fields": [
                    _field(
                        "fields",
                        [_named("enumTypes", enum), _named("enumTypes", enum, is_list=True)],
                        required=True,
                    ),
                    _field("sort", [_named("enumTypes", "SortOrder")], required=True),
                    _field("search", [_scalar("String")], required=True, parameterizable=True),
                ],
            }
        )


def own_fields(definition: SearchDefinition) -> list[SearchField]:
    """Returns the searched fields of the model itself."""
    return [field for field in definition.fields if not field.source.hops]


def _field(
    name: str, types: list[dict[str, Any]], *, required: bool = False, parameterizable: bool = False
) -> dict[str, Any]:
    return {
        "name": name,
        "isRequired": required,
        "isNullable": False,
        "inputTypes": types,
        "isParameterizable": parameterizable,
    }


def _scalar(name: str) -> dict[str, Any]:
    return {"type": name, "location": "scalar", "isList": False}


def _named(location: str, name: str, *, is_list: bool = False) -> dict[str, Any]:
    return {"type": name, "namespace": "prisma", "location": location, "isList": is_list}
