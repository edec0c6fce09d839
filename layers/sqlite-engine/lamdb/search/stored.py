"""Definitions of searches as JSON, to be stored with the schema that declares them."""

from collections.abc import Sequence
from typing import Any

import orjson

from lamdb.search.definition import (
    ColumnSource,
    Facet,
    FacetKind,
    Hop,
    Language,
    Rank,
    SearchDefinition,
    SearchField,
)

type Json = dict[str, Any]


def to_json(definitions: Sequence[SearchDefinition]) -> list[Json]:
    """Returns definitions as lists and objects of JSON."""
    made: list[Json] = orjson.loads(orjson.dumps(list(definitions), default=sorted))
    return made


def from_json(made: Sequence[Json]) -> tuple[SearchDefinition, ...]:
    """Returns the definitions that `to_json` has made, also after they were text."""
    return tuple(map(_definition, made))


def _definition(made: Json) -> SearchDefinition:
    return SearchDefinition(
        **{
            **made,
            "fields": tuple(map(_field, made["fields"])),
            "columns": tuple((field, column) for field, column in made["columns"]),
            "key": tuple(made["key"]),
            "uniques": _tuples(made["uniques"]),
            "facets": tuple(map(_facet, made["facets"])),
            "rank": tuple(Rank(**{**each, "source": _source(each["source"])}) for each in made["rank"]),
            "language": Language(made["language"]),
            "synonyms": _tuples(made["synonyms"]),
            "stop_words": frozenset(made["stop_words"]),
        }
    )


def _field(made: Json) -> SearchField:
    return SearchField(**{**made, "path": tuple(made["path"]), "source": _source(made["source"])})


def _facet(made: Json) -> Facet:
    return Facet(**{**made, "kind": FacetKind(made["kind"]), "source": _source(made["source"])})


def _source(made: Json) -> ColumnSource:
    # Earlier versions stored neither of the last two.
    json, keys = made.get("json", False), tuple(made.get("keys", ()))
    return ColumnSource(made["column"], tuple(map(_hop, made["hops"])), json, keys)


def _hop(made: Json) -> Hop:
    on = tuple((own, other) for own, other in made["on"])
    return Hop(made["table"], on, _tuples(made["uniques"]), made["many"])


def _tuples(lists: Sequence[Sequence[str]]) -> tuple[tuple[str, ...], ...]:
    return tuple(map(tuple, lists))
