"""The types and root fields of searches in the GraphQL API, as entries of its compact metadata.

For a model `Post` that is searched:

    searchPost(query: String!, where: PostWhereInput, …): PostSearchResult!

and for all of them together `search(queries: [SearchInput!]!, take: Int, skip: Int): SearchResult!`. See
`metadata` for the notation.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lamdb.search import stored
from lamdb.search.definition import Facet, SearchDefinition

type Entry = tuple[str, str, Any]

DEFINITIONS: Final = "@searches"
"""The name of the entry that holds the definitions."""
SEARCH: Final = "search"
"""The action of `searchPost`."""
SEARCH_ALL: Final = "searchAll"
"""The action of `search`."""
ALL_FIELD: Final = "search"

_ARGUMENTS: Final = {
    "take": "Int",
    "skip": "Int",
    "typos": "#SearchTypos",
    "match": "#SearchMatch",
    "mode": "#SearchMode",
}
_MARKED: Final = {"pre": "String", "post": "String", "escape": "Boolean"}
_SCORE: Final = "Float"
"""The type of scores, times and statistics."""
_SHARED: Final[Sequence[Entry]] = (
    (
        "SearchTypos",
        "enum",
        (
            "Whether words that occur nowhere stand for similar ones.",
            {
                "AUTO": "One edit in words from four letters on, two from nine.",
                "OFF": "Words are taken as they are written.",
            },
        ),
    ),
    (
        "SearchMatch",
        "enum",
        (
            "How many words of the query a record must have.",
            {
                "ALL_THEN_FEWER": "All; if that finds little, all but one.",
                "ALL": "All of them.",
                "ANY": "At least one.",
            },
        ),
    ),
    (
        "SearchMode",
        "enum",
        (
            "The language of the query.",
            {
                "PEOPLE": 'Words, "phrases", -exclusions, OR and prefix*. Nothing is an error.',
                "RAW": "The language of SQLite's FTS5.",
            },
        ),
    ),
    (
        "SearchFacet",
        "object",
        (
            "The values of a field in the records that were found.",
            None,
            {
                "field": ("String!", None, "The facet, by the name it was asked for."),
                "values": ("{SearchFacetValue*!", None, "The most frequent values."),
                "stats": ("{SearchFacetStats", None, "Of numbers."),
            },
        ),
    ),
    (
        "SearchFacetValue",
        "object",
        (
            None,
            None,
            {
                "value": ("String", None, "The value as text; null for records without one."),
                "count": ("Int!", None, "The number of records that have it."),
            },
        ),
    ),
    ("SearchFacetStats", "object", (None, None, {"min": "Float", "max": "Float"})),
)


def with_searches(
    entries: Sequence[Entry], definitions: Sequence[SearchDefinition], types: Mapping[str, str]
) -> list[Entry]:
    """Returns the entries of a schema with those of its searches.

    `types` has the GraphQL names of models.
    """
    if not definitions:
        return list(entries)
    found = {name: (kind, content) for name, kind, content in entries}
    roots = dict(found["@query"][1])
    description, model, fields = found["Query"][1]
    fields = dict(fields)
    made: list[Entry] = [(DEFINITIONS, "searches", stored.to_json(definitions)), *_SHARED]
    for definition in definitions:
        name = f"search{definition.model}"
        roots[name] = (definition.model, SEARCH)
        fields[name] = (
            f"{{{definition.model}SearchResult!",
            _arguments(definition, fields[f"findMany{definition.model}"][1]),
            f"Search the text of every {definition.model}.",
        )
        made += _model_types(definition, types[definition.model])
    roots[ALL_FIELD] = (None, SEARCH_ALL)
    fields[ALL_FIELD] = (
        "{SearchResult!",
        {"queries": "!{SearchInput*", "take": "Int", "skip": "Int"},
        "Search several models at once; the hits of all are merged by their places.",
    )
    made += _all_types(definitions, types)
    if _SCORE not in found:  # No field of the schema is a number with a fraction.
        made.append((_SCORE, "scalar", ()))
    replaced = {"@query": roots, "Query": (description, model, fields)}
    return [(name, kind, replaced.get(name, content)) for name, kind, content in entries] + made


def facet_name(facet: Facet) -> str:
    """Returns the name of a facet in the API: `tags_name` for `tags.name`."""
    return facet.field.replace(".", "_")


def _arguments(definition: SearchDefinition, of_find_many: Mapping[str, str]) -> dict[str, str]:
    made = {"query": "!String", "where": of_find_many["where"], "orderBy": of_find_many["orderBy"]}
    made["distinct"] = of_find_many["distinct"]
    made["fields"] = f"#{definition.model}SearchField*"
    if definition.facets:
        made["facets"] = f"{{{definition.model}SearchFacetInput*"
    return made | _ARGUMENTS


def _model_types(definition: SearchDefinition, type_name: str) -> list[Entry]:
    name = definition.model
    shown = {field.column: f"The text of {field.name}." for field in definition.fields}
    made: list[Entry] = [
        (f"{name}SearchField", "enum", (f"The searched fields of {name}.", shown)),
        (
            f"{name}SearchHit",
            "object",
            (
                None,
                None,
                {
                    "score": ("Float!", None, "Higher is better; comparable within one search only."),
                    "node": (f"{{{type_name}!", None, "The record."),
                    "highlight": (
                        "String",
                        {"field": f"!#{name}SearchField", **_MARKED},
                        "A field's text with its matches between `pre` and `post`; the rest is made safe "
                        "for HTML unless `escape` is false.",
                    ),
                    "snippet": (
                        "String",
                        {"field": f"!#{name}SearchField", "words": "Int", **_MARKED},
                        "The part of a field's text with most matches, marked as by `highlight`.",
                    ),
                    "matchedWords": ("String*!", None, "The words of the record that matched."),
                },
            ),
        ),
        (
            f"{name}SearchResult",
            "object",
            (None, None, {**_result(), "hits": f"{{{name}SearchHit*!"}),
        ),
    ]
    if definition.facets:
        values = {facet_name(facet): f"The values of {facet.field}." for facet in definition.facets}
        made += [
            (f"{name}SearchFacetField", "enum", (f"The facets of {name}.", values)),
            (
                f"{name}SearchFacetInput",
                "input",
                (
                    False,
                    None,
                    None,
                    (),
                    {
                        "field": f"!#{name}SearchFacetField",
                        "take": "Int",
                        "disjunctive": "Boolean",
                        "values": "String*",
                        "min": "Float",
                        "max": "Float",
                    },
                ),
            ),
        ]
    return made


def _result() -> dict[str, Any]:
    return {
        "totalCount": ("Int!", None, "The number of records that match."),
        "correctedQuery": ("String", None, "The query with misspelt words replaced, if there are any."),
        "tookMs": ("Float!", None, "Milliseconds that the search took, without reading the records."),
        "facets": ("{SearchFacet*!", None, "The facets that were asked for, in their order."),
    }


def _all_types(definitions: Sequence[SearchDefinition], types: Mapping[str, str]) -> list[Entry]:
    models = {definition.model: None for definition in definitions}
    nodes = {
        node_field(definition.model): (
            f"{{{types[definition.model]}",
            None,
            f"The record, if it is a {definition.model}.",
        )
        for definition in definitions
    }
    return [
        ("SearchModel", "enum", ("The models that are searched.", models)),
        (
            "SearchInput",
            "input",
            (
                False,
                None,
                None,
                (),
                {"model": "!#SearchModel", "query": "!String", "weight": "Float", **_ARGUMENTS},
            ),
        ),
        (
            "SearchHit",
            "object",
            (
                None,
                None,
                {
                    "score": ("Float!", None, "Higher is better."),
                    "model": ("#SearchModel!", None, "The model of the record."),
                    **nodes,
                    "matchedWords": ("String*!", None, "The words of the record that matched."),
                },
            ),
        ),
        (
            "SearchResult",
            "object",
            (
                None,
                None,
                {
                    "totalCount": ("Int!", None, "The number of records that match, of all models."),
                    "tookMs": ("Float!", None, "Milliseconds that the searches took."),
                    "hits": "{SearchHit*!",
                },
            ),
        ),
    ]


def node_field(model: str) -> str:
    """Returns the field of a merged hit that has the record of a model: `post`, or `post_` if it is taken."""
    name = model[0].lower() + model[1:]
    return f"{name}_" if name in ("score", "model", "matchedWords") else name
