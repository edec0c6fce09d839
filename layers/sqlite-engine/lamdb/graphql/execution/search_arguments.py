"""The arguments of a search as the search engine takes them, and its facets as the API answers them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.errors import QueryError
from lamdb.graphql.schema.search_types import facet_name
from lamdb.search.definition import Facet, FacetKind, SearchDefinition
from lamdb.search.request import (
    MAX_REACH,
    MAX_TAKE,
    FacetResult,
    Filter,
    HighlightRequest,
    Match,
    Mode,
    Order,
)
from lamdb.search.tables import quote

type Arguments = Mapping[str, Any]

TAKE: Final = 20
FACET_TAKE: Final = 10
_SNIPPET_WORDS: Final = 24


def as_list(value: Any) -> list[Any]:
    """A list argument; a single value stands for a list of one."""
    return [] if value is None else value if isinstance(value, list) else [value]


def common(arguments: Arguments) -> dict[str, Any]:
    """Returns what all searches have in common: query, page, typos, match and mode."""
    take = bounded(arguments.get("take"), TAKE, MAX_TAKE, "take")
    return {
        "query": str(arguments["query"]),
        "take": take,
        "skip": bounded(arguments.get("skip"), 0, MAX_REACH - take, "skip"),
        "typos": arguments.get("typos") != "OFF",
        "match": Match[arguments.get("match") or "ALL_THEN_FEWER"],
        "mode": Mode[arguments.get("mode") or "PEOPLE"],
    }


def bounded(value: Any, default: int, most: int, name: str) -> int:
    """Returns a number of an argument. Raises `QueryError` (P2009) if it is beyond its bounds."""
    if value is None:
        return default
    if not 0 <= value <= most:
        raise QueryError(
            f"`{name}` of a search is {value}; it can be 0 to {most}.",
            code="P2009",
            hint="Refine the search rather than reading so many hits." if value > most else None,
        )
    return int(value)


def require_once(names: Sequence[str], what: str) -> None:
    """Raises `QueryError` (P2009) if a name occurs twice."""
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise QueryError(f"`{what}` names {twice} twice.", code="P2009")


def orders(definition: SearchDefinition, given: Sequence[Any]) -> Iterator[Order]:
    """Yields the columns of `orderBy`. Raises `QueryError` (P2009)."""
    columns = dict(definition.columns)
    for each in given:
        for name, order in (each or {}).items():
            if name not in columns:
                raise QueryError(
                    f"A search is ordered by fields of {definition.model}; {name} is not one of them.",
                    code="P2009",
                )
            if isinstance(order, dict) and "nulls" in order:
                raise QueryError("`nulls` has no effect on the order of a search.", code="P2009")
            direction = order["sort"] if isinstance(order, dict) else order
            yield Order(columns[name], direction == "desc")


def distinct(definition: SearchDefinition, given: Sequence[str]) -> str | None:
    """Returns the column of `distinct`. Raises `QueryError` (P2009)."""
    if len(given) > 1:
        raise QueryError("`distinct` of a search takes one field.", code="P2009")
    return definition.column(given[0]) if given else None


def highlight(names: Mapping[str, str], arguments: Arguments, *, is_snippet: bool) -> HighlightRequest:
    """Returns what `highlight` or `snippet` asks for; `names` has the fields by their API names."""
    words = bounded(arguments.get("words"), _SNIPPET_WORDS, 64, "words") if is_snippet else None
    return HighlightRequest(
        names[arguments["field"]],
        arguments.get("pre", "<mark>"),
        arguments.get("post", "</mark>"),
        max(1, words) if words is not None else None,
        arguments.get("escape") is not False,
    )


# --- facets ---------------------------------------------------------------------------------------


def refinement(definition: SearchDefinition, facet: Facet, given: Arguments) -> Filter | None:
    """The records that have one of the chosen values of a facet, or one within bounds."""
    side, column = quote(definition.side), quote(facet.column)
    value = "j.value" if facet.many else f"s.{column}"
    conditions: list[str] = []
    bound: list[Any] = []
    if "values" in given:
        values = [_stored(facet, each) for each in as_list(given["values"])]
        known = [each for each in values if each is not None]
        conditions.append(
            f"({value} IN ({', '.join('?' * len(known))})"
            + (f" OR {value} IS NULL)" if None in values else ")")
        )
        bound += known
    for name, sign in (("min", ">="), ("max", "<=")):
        if given.get(name) is not None:
            if facet.kind is not FacetKind.NUMBER:
                raise QueryError(
                    f"{facet.field} does not contain numbers, which `{name}` requires.", code="P2009"
                )
            conditions.append(f"{value} {sign} ?")
            bound.append(given[name])
    if not conditions:
        return None
    more = f", json_each(s.{column}) j" if facet.many else ""
    return Filter(f"SELECT s.docid FROM {side} s{more} WHERE {' AND '.join(conditions)}", tuple(bound))


def _stored(facet: Facet, text: str | None) -> Any:
    """A value as the side table has it."""
    if text is None:
        return None
    if facet.kind is FacetKind.BOOLEAN:
        return {"true": 1, "false": 0}.get(text, text)
    if facet.kind is FacetKind.NUMBER:
        try:
            return int(text)
        except ValueError:
            try:
                return float(text)
            except ValueError:
                return text
    return text


def facet_value(definition: SearchDefinition, result: FacetResult) -> dict[str, Any]:
    """Returns the values of a facet as the API answers them."""
    facet = next(facet for facet in definition.facets if facet.field == result.field)
    stats = None if result.minimum is None else {"min": result.minimum, "max": result.maximum}
    values = [{"value": _shown(facet.kind, value), "count": count} for value, count in result.values]
    return {"field": facet_name(facet), "values": values, "stats": stats}


def _shown(kind: FacetKind, value: Any) -> str | None:
    if value is None:
        return None
    if kind is FacetKind.BOOLEAN and value in (0, 1):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
