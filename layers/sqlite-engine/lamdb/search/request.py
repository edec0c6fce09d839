"""The request of a search, and its response."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final

MAX_TAKE: Final = 1_000
MAX_REACH: Final = 10_000
"""Hits beyond this place are not handed out: `skip` and `take` together reach no further."""
MAX_FACET_VALUES: Final = 1_000


class Mode(Enum):
    """The language of a query's text: the one for people, or FTS5's own."""

    PEOPLE = "people"
    RAW = "raw"


class Match(Enum):
    """How many words of a query must occur: all; all or, if that finds little, fewer; any."""

    ALL_THEN_FEWER = "all then fewer"
    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Filter:
    """A restriction to some records: a SELECT with one column, the rowids of the records, and its parameters.

    The statement has `?` without numbers.
    """

    sql: str
    parameters: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Order:
    """A column of the model's own table to sort by."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class FacetRequest:
    """A facet to count, by its name in the definition.

    A disjunctive facet is counted without the refinement of the same name: as if nothing were chosen in it.
    """

    field: str
    take: int = 10
    disjunctive: bool = False


@dataclass(frozen=True, slots=True)
class HighlightRequest:
    """A field whose text is returned with its matches marked; a part of it if `words` is given."""

    field: str
    pre: str = "<mark>"
    post: str = "</mark>"
    words: int | None = None
    escape: bool = True
    """Whether the text, without the marks, is made safe for HTML."""


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """A search of one model.

    - `filter` restricts hits, total and facets. `refinements` do too, by the facet that each belongs to.
    - `order` replaces relevance. `distinct` is a column of the model's own table: one hit per value.
    - `prefix`: the last word may be unfinished.
    - `columns`: the names of the fields to search in; all if there are none.
    """

    query: str = ""
    mode: Mode = Mode.PEOPLE
    match: Match = Match.ALL_THEN_FEWER
    typos: bool = True
    prefix: bool = True
    columns: tuple[str, ...] = ()
    filter: Filter | None = None
    refinements: Mapping[str, Filter] = field(default_factory=dict)
    order: tuple[Order, ...] = ()
    distinct: str | None = None
    take: int = 20
    skip: int = 0
    facets: tuple[FacetRequest, ...] = ()
    highlights: tuple[HighlightRequest, ...] = ()


@dataclass(slots=True)
class Hit:
    """A record that was found. `texts` are the highlights, in the order in which they were asked for.

    Hits that stand beyond the first 100 have a score of their own kind, smaller than all before.
    """

    rowid: int
    score: float
    matched_words: tuple[str, ...] = ()
    texts: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class FacetResult:
    """The most frequent values of a facet with their counts; of numbers, the least and the greatest."""

    field: str
    values: tuple[tuple[Any, int], ...]
    minimum: float | None = None
    maximum: float | None = None


@dataclass(slots=True)
class SearchResult:
    """The hits of the page, and what is true of all hits.

    `exact` is false if the facets were counted over the first part of very many matches. `corrected_query` is
    the text with the words that the best hit has in place of misspelt ones.
    """

    total: int
    hits: list[Hit] = field(default_factory=list)
    facets: list[FacetResult] = field(default_factory=list)
    corrected_query: str | None = None
    exact: bool = True
