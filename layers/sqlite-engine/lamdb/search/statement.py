"""The one statement that finds the matches of a search: their number, facets and the best of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import apsw

from lamdb.search.definition import DOCID, Facet, FacetKind, SearchDefinition
from lamdb.search.request import FacetResult, Filter, SearchRequest
from lamdb.search.substrings import LOOKED_THROUGH
from lamdb.search.tables import quote

SCANNED: Final = 50_000
"""Matches that are examined for facets and sorting. Of more, the first by rowid are taken."""

_FEW: Final = 5_000
"""Matches up to which a filter is tried on each of them, rather than computed as a whole."""

_MATCHES: Final = "_lamdb_matches"
_BEST: Final = "_lamdb_best"
_DISTINCT: Final = "_lamdb_distinct"
_FILTER: Final = "_lamdb_filter"
"""Names within the statement, which no table of a user has."""

_TOTAL: Final = -1
_HIT: Final = -2
_STATS: Final = 1_000


@dataclass(frozen=True, slots=True)
class MatchSource:
    """Where matches come from: `match` is an expression for FTS5; None stands for all records.

    `scored` matches have FTS5's rank. `ranks` are other ranks of all matches, by rowid: lower is better.
    `excluded` is an expression for what may not match, if `match` is None.
    `condition` is one in SQL for the record with the rowid `x.docid`, with its `parameters`.
    """

    match: str | None
    scored: bool = True
    ranks: Mapping[int, float] | None = None
    excluded: str | None = None
    condition: str | None = None
    parameters: tuple[str, ...] = ()


@dataclass(slots=True)
class Found:
    """The rows that the statement found. `hits` have the rowid, FTS5's rank and the values of the rank
    signal."""

    total: int
    hits: list[tuple[Any, ...]] = field(default_factory=list)
    facets: list[FacetResult] = field(default_factory=list)


class SearchStatement:
    """Builds the statement. Parameters are in the order of their places in the text."""

    def __init__(
        self,
        definition: SearchDefinition,
        request: SearchRequest,
        weights: Sequence[float],
        matches: int,
    ) -> None:
        """`matches`: how many there are, about, before filters."""
        self._definition = definition
        self._request = request
        self._weights = ", ".join(f"{weight:g}" for weight in weights)
        self._few = matches <= _FEW
        self._parameters: list[Any] = []
        self._filters = list(request.refinements.items())
        kept = [facet.column for facet in self._facets()] + [rank.column for rank in definition.rank]
        self._side = {column: f"s{number}" for number, column in enumerate(dict.fromkeys(kept))}
        """Columns of the side table, which is looked up once for each match."""

    def run(
        self,
        connection: apsw.Connection,
        source: MatchSource,
        best: MatchSource | None,
        limit: int,
        offset: int = 0,
    ) -> Found:
        """Finds the matches of `source`. The hits begin with those that `best` finds as well, if it is given.

        `limit` and `offset` choose from the hits in the order of relevance, or that of the request.
        """
        tables = [*self._filter_tables(), self._matches(_MATCHES, source, self._side)]
        if best is not None:
            tables.append(self._matches(_BEST, best, {}))
        if self._request.distinct is not None:
            tables.append(self._distinct())
        hits = _MATCHES if self._request.distinct is None else _DISTINCT
        width = 3 + len(self._definition.rank)
        arms = [_padded(f"SELECT {_TOTAL}, count(*) FROM {hits}{self._passing(hits)}", 2, width)]
        for number, facet in enumerate(self._facets()):
            arms += self._facet_arms(number, facet, width)
        arms.append(self._hits_arm(hits, best is not None, limit, offset))
        text = f"WITH {', '.join(tables)} {' UNION ALL '.join(arms)}"
        return self._read(connection.execute(text, tuple(self._parameters)))

    # Matches

    def _filter_tables(self) -> Iterator[str]:
        """One table for each restriction: for the filter, and with numbers for the refinements."""
        hint = "NOT MATERIALIZED" if self._few else "MATERIALIZED"
        named: list[tuple[str, Filter]] = [(_FILTER, self._request.filter)] if self._request.filter else []
        named += [(f"{_FILTER}{number}", each) for number, (_, each) in enumerate(self._filters)]
        for name, each in named:
            self._parameters += each.parameters
            yield f"{name}({DOCID}) AS {hint} ({each.sql})"

    def _matches(self, name: str, source: MatchSource, side: Mapping[str, str]) -> str:
        index = quote(self._definition.index)
        columns = [f"x.{DOCID}", "x.r"]
        columns += [
            f"{self._is_in(f'{_FILTER}{number}')} AS p{number}" for number in range(len(self._filters))
        ]
        if source.ranks is not None:
            inner = f"SELECT value ->> 0 AS {DOCID}, value ->> 1 AS r FROM json_each(?)"
            self._parameters.append(
                f"[{','.join(f'[{rowid},{rank!r}]' for rowid, rank in source.ranks.items())}]"
            )
        elif source.match is None:
            rowid, table = quote(self._definition.rowid), quote(self._definition.table)
            inner = f"SELECT {rowid} AS {DOCID}, 0.0 AS r FROM {table}"
            if source.condition is not None:
                inner += f" ORDER BY 1 DESC LIMIT {LOOKED_THROUGH}"
        else:
            rank = "rank" if source.scored else "0.0"
            inner = f"SELECT rowid AS {DOCID}, {rank} AS r FROM {index} WHERE {index} MATCH ?"
            self._parameters.append(source.match)
            if rank == "rank":
                inner += f" AND rank MATCH 'bm25({self._weights})'"
            if source.condition is not None:
                inner += f" LIMIT {LOOKED_THROUGH}"
        conditions = []
        if self._request.filter is not None:
            conditions.append(self._is_in(_FILTER))
        if source.match is None and source.excluded is not None:
            conditions.append(f"x.{DOCID} NOT IN (SELECT rowid FROM {index} WHERE {index} MATCH ?)")
            self._parameters.append(source.excluded)
        if source.condition is not None:
            conditions.append(source.condition)
            self._parameters += source.parameters
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        joined = ""
        if side:
            columns += [f"s.{quote(column)} AS {short}" for column, short in side.items()]
            joined = f" LEFT JOIN {quote(self._definition.side)} s ON s.{DOCID} = x.{DOCID}"
        chosen = ", ".join(columns)
        return f"{name} AS MATERIALIZED (SELECT {chosen} FROM ({inner}) x{joined}{where} LIMIT {SCANNED})"

    def _is_in(self, table: str) -> str:
        if self._few:
            return f"EXISTS (SELECT 1 FROM {table} WHERE {table}.{DOCID} = x.{DOCID})"
        # The plus keeps FTS5 from being asked once for each rowid of the filter.
        return f"+x.{DOCID} IN (SELECT {DOCID} FROM {table})"

    def _passing(self, table: str, but: str | None = None) -> str:
        """The condition that all refinements but one are met. Distinct matches have met them already."""
        if table == _DISTINCT:
            return ""
        passing = [f"{table}.p{number}" for number, (name, _) in enumerate(self._filters) if name != but]
        return f" WHERE {' AND '.join(passing)}" if passing else ""

    def _distinct(self) -> str:
        """The best match of each value: the most relevant, and of equals the one that the rank puts first."""
        table, rowid = quote(self._definition.table), quote(self._definition.rowid)
        column = f"t.{quote(self._request.distinct or '')}"
        joined = f"{_MATCHES} JOIN {table} t ON t.{rowid} = {_MATCHES}.{DOCID}"
        order = [f"{_MATCHES}.r"]
        order += [
            f"{_MATCHES}.{self._side[rank.column]} {'DESC' if rank.descending else 'ASC'} NULLS LAST"
            for rank in self._definition.rank
        ]
        order.append(f"{_MATCHES}.{DOCID}")
        kept = ", ".join([DOCID, "r", *self._side.values()])
        numbered = (
            f"SELECT {_MATCHES}.*, row_number() OVER (PARTITION BY {column} ORDER BY {', '.join(order)}) AS n"
            f" FROM {joined}{self._passing(_MATCHES)}"
        )
        return f"{_DISTINCT} AS MATERIALIZED (SELECT {kept} FROM ({numbered}) WHERE n = 1)"

    # Results

    def _facets(self) -> list[Facet]:
        known = {facet.field: facet for facet in self._definition.facets}
        return [known[facet.field] for facet in self._request.facets]

    def _facet_arms(self, number: int, facet: Facet, width: int) -> list[str]:
        request = self._request.facets[number]
        column = f"m.{self._side[facet.column]}"
        values = f"FROM {_MATCHES} m"
        if facet.many:
            values += f" JOIN json_each({column}) j"
            column = "j.value"
        where = self._passing("m", facet.field if request.disjunctive else None)
        where += f"{' AND' if where else ' WHERE'} {column} IS NOT NULL"
        counted = (
            f"SELECT {column} AS v, count(DISTINCT m.{DOCID}) AS n"
            if facet.many
            else f"SELECT {column} AS v, count(*) AS n"
        )
        self._parameters.append(request.take)
        arms = [
            _padded(
                f"SELECT {number}, v, n FROM"
                f" ({counted} {values}{where} GROUP BY 1 ORDER BY n DESC, v LIMIT ?)",
                3,
                width,
            )
        ]
        if facet.kind is FacetKind.NUMBER:
            stats = f"SELECT {_STATS + number}, min({column}), max({column}) {values}{where}"
            arms.append(_padded(stats, 3, width))
        return arms

    def _hits_arm(self, table: str, best: bool, limit: int, offset: int) -> str:
        definition = self._definition
        signals = "".join(f", {table}.{self._side[rank.column]}" for rank in definition.rank)
        text = f"SELECT {_HIT}, {table}.{DOCID}, {_BEST if best else table}.r{signals} FROM {table}"
        if best:
            text += f" LEFT JOIN {_BEST} ON {_BEST}.{DOCID} = {table}.{DOCID}"
        order = []
        if self._request.order:
            text += f" JOIN {quote(definition.table)} t ON t.{quote(definition.rowid)} = {table}.{DOCID}"
            order = [
                f"t.{quote(each.column)}{' DESC' if each.descending else ''}" for each in self._request.order
            ]
        elif best:
            order = [f"{_BEST}.r IS NULL", f"{_BEST}.r"]
        else:
            order = [f"{table}.r"]
        if not self._request.order:
            order += [
                f"{table}.{self._side[rank.column]}{' DESC' if rank.descending else ''}"
                for rank in definition.rank
            ]
        text += self._passing(table)
        order.append(f"{table}.{DOCID}")
        self._parameters += [limit, offset]
        return f"SELECT * FROM ({text} ORDER BY {', '.join(order)} LIMIT ? OFFSET ?)"

    def _read(self, rows: apsw.Cursor) -> Found:
        found = Found(0)
        values: dict[int, list[tuple[Any, int]]] = {}
        stats: dict[int, tuple[Any, Any]] = {}
        for kind, first, second, *more in rows:
            if kind == _HIT:
                found.hits.append((first, second, *more))
            elif kind == _TOTAL:
                found.total = first
            elif kind >= _STATS:
                stats[kind - _STATS] = first, second
            else:
                values.setdefault(kind, []).append((first, second))
        for number, request in enumerate(self._request.facets):
            least, most = stats.get(number, (None, None))
            found.facets.append(FacetResult(request.field, tuple(values.get(number, ())), least, most))
        return found


def _padded(select: str, columns: int, width: int) -> str:
    """A SELECT with as many columns as the others."""
    if columns == width:
        return select
    head, _, tail = select.partition(" FROM ")
    return f"{head}{', NULL' * (width - columns)} FROM {tail}"
