"""The full-text search of one model, as its schema declares it and as its tables are named.

A model `Post` that is searched has, beside its own table:

- `Post_search`, an FTS5 table with external content. Its rowid is the id of the record if that is an
  integer, else SQLite's own number of the row;
- `_lamdb_search_Post_rows`, the view that is its content: `docid`, then the text columns, then those of the
  side table;
- `_lamdb_search_Post_side`, a table of `docid` and the columns of facets, sorting and rank;
- `_lamdb_search_Post_pending`, the records whose text is about to change. It is empty between statements;
- triggers (see `lamdb.search.tables`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

OWN_PREFIX = "_lamdb_search_"
"""The begin of the names of a search's own tables."""
DOCID = "docid"
"""The column of the view and of the side table that holds the record's rowid."""


_OWN_NAME = re.compile(rf"{OWN_PREFIX}.+_(?:rows|side|pending)", re.IGNORECASE)


def is_made_by_migrations(name: str) -> bool:
    """True if a table or view is one of those that migrations make for a search.

    Others with the prefix hold what is computed from them.
    """
    return _OWN_NAME.fullmatch(name) is not None


class Language(StrEnum):
    """How text is divided into words: by words with English stems, by words, or by three characters."""

    EN = "en"
    NONE = "none"
    CJK = "cjk"


class FacetKind(StrEnum):
    """How SQLite stores a facet's values: text, an integer or real number, 0 or 1, Prisma's date text."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATETIME = "datetime"


@dataclass(frozen=True, slots=True)
class Hop:
    """One step from a table to another: `on` has pairs (column of the table before, column of `table`).

    `uniques` are the sets of columns of `table` that identify a row.
    """

    table: str
    on: tuple[tuple[str, str], ...]
    uniques: tuple[tuple[str, ...], ...] = ()
    many: bool = False
    """Whether a record may have several rows there."""


@dataclass(frozen=True, slots=True)
class ColumnSource:
    """A column of the model's own table, or of one that is reached by `hops`.

    With `json`, the column has JSON: a text, a number, or a list of them. `keys` lead to it from an object,
    or from each object of a list.
    """

    column: str
    hops: tuple[Hop, ...] = ()
    json: bool = False
    keys: tuple[str, ...] = ()

    @property
    def many(self) -> bool:
        """True if a record may have several values."""
        return self.json or any(hop.many for hop in self.hops)


@dataclass(frozen=True, slots=True)
class SearchField:
    """A field whose text is searched. `path` has the names of the schema: ("tags", "name").

    `column` is the column of the FTS5 table. Several values, as of a to-many relation, stand on a line each.
    """

    path: tuple[str, ...]
    column: str
    weight: float
    source: ColumnSource

    @property
    def name(self) -> str:
        """The field as the schema writes it: `tags.name`."""
        return ".".join(self.path)


@dataclass(frozen=True, slots=True)
class Facet:
    """A field whose values are counted. `column` is that of the side table.

    With `many`, the column holds a JSON array of the values.
    """

    field: str
    column: str
    kind: FacetKind
    source: ColumnSource
    many: bool = False


@dataclass(frozen=True, slots=True)
class Rank:
    """A field that tells how much a record matters. `column` is that of the side table."""

    field: str
    column: str
    descending: bool
    source: ColumnSource


@dataclass(frozen=True, slots=True)
class SearchDefinition:
    """The definition of one model's search, and the names of its tables."""

    model: str
    table: str
    rowid: str
    """The column of `table` whose integer identifies a record, or a name of SQLite's number of the row."""
    index: str
    """The FTS5 table."""
    fields: tuple[SearchField, ...]
    columns: tuple[tuple[str, str], ...] = ()
    """The scalar fields of the model with their columns in `table`."""
    key: tuple[str, str] = ("id", "Int")
    """A field with its type, `Int`, `BigInt` or `String`: the id if that is an integer."""
    uniques: tuple[tuple[str, ...], ...] = ()
    """The sets of columns of `table` that identify a row."""
    cascades: bool = False
    """Whether foreign keys may change or delete other rows that the text comes from when a row is deleted."""
    facets: tuple[Facet, ...] = ()
    rank: tuple[Rank, ...] = ()
    language: Language = Language.NONE
    synonyms: tuple[tuple[str, ...], ...] = ()
    """Groups of words, or phrases of words, that mean the same."""
    stop_words: frozenset[str] = frozenset()

    def column(self, field: str) -> str:
        """Returns the column of a scalar field of the model. Raises `KeyError`."""
        return dict(self.columns)[field]

    @property
    def rows(self) -> str:
        """The view that is the content of the index."""
        return f"{OWN_PREFIX}{self.table}_rows"

    @property
    def side(self) -> str:
        """The side table. There is none if `side_columns` is empty."""
        return f"{OWN_PREFIX}{self.table}_side"

    @property
    def pending(self) -> str:
        """The table of the records whose text is about to change."""
        return f"{OWN_PREFIX}{self.table}_pending"

    @property
    def side_columns(self) -> tuple[str, ...]:
        """The columns of the side table after `docid`, each once."""
        return tuple(dict.fromkeys(each.column for each in self.side_parts()))

    def side_parts(self) -> Iterator[Facet | Rank]:
        """Yields the facets, then the rank signals."""
        yield from self.facets
        yield from self.rank
