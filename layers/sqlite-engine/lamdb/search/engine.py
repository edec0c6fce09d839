"""The search engine of one model, on an open connection."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final, NamedTuple

import apsw

from lamdb.errors import SearchInvalid
from lamdb.search import agreement
from lamdb.search.definition import DOCID, Language, SearchDefinition
from lamdb.search.everything import everything
from lamdb.search.fusion import fuse
from lamdb.search.marking import mark
from lamdb.search.planning import Expression, Group, Planner, all_but_one_of, all_of, any_of
from lamdb.search.prefetching import ColdSearch, Prefetching, stems
from lamdb.search.request import MAX_REACH, MAX_TAKE, Hit, Match, Mode, SearchRequest, SearchResult
from lamdb.search.results import SearchResults
from lamdb.search.scoring import Scored, score, score_few
from lamdb.search.statement import SCANNED, Found, MatchSource, SearchStatement
from lamdb.search.statistics import SearchIndex, Totals, read_totals
from lamdb.search.substrings import LOOKED_THROUGH, SHORTEST, ShortWords, pieces, without_short_words
from lamdb.search.syntax import Clause, Query, Term, Tokenizer, parse
from lamdb.search.tables import quote
from lamdb.search.vocabulary import Vocabularies, Vocabulary, VocabularyCache
from lamdb.storage.waiting import about_to_compute, about_to_work

_RERANKED: Final = 100
"""The best hits by FTS5's rank, which are ordered anew."""

_ENOUGH: Final = 10
"""Hits from which a query is taken to be answered with all its words."""

_RANKED: Final = 8_000
"""Matches up to which FTS5 ranks all of them. Of more, it ranks those in the most important fields."""

_FEW_WORDS: Final = 3
"""Words of a query up to which records with all but one of them come before those with any."""
_RAREST: Final = 2
_ANY_MATCHES: Final = 5_000
"""Matches of any word of a query, up to which its rarest words are taken; at least `_RAREST` are."""
_COUNTS_KEPT: Final = 10_000


class SearchEngine:
    """Searches one model. Holds what is worth keeping from one search to the next. Thread-safe."""

    def __init__(
        self,
        definition: SearchDefinition,
        vocabularies: Vocabularies | None = None,
        results: SearchResults | None = None,
    ) -> None:
        """`vocabularies`, `results`: the memory that vocabulary and results share with other models'."""
        self.definition = definition
        self._results = SearchResults() if results is None else results
        self.index = SearchIndex.of(definition)
        self.vocabulary = VocabularyCache(self.index, vocabularies)
        self.counts = _Counts()
        self.prefetching = Prefetching(definition)
        self.weights = tuple(field.weight for field in definition.fields)

    def search(
        self, connection: apsw.Connection, request: SearchRequest, *, shared: bool = True
    ) -> SearchResult:
        """Answers a request. A `shared` result is answered to equal requests too, and must not be changed.

        Raises `SearchInvalid` for an expression in FTS5's language that is none. An attempt that must be
        quick does not search: it raises `NotKept`, or `WouldWait` if the result cannot be kept at all.
        """
        key = self._results.key(connection, self.definition.model, request) if shared else None
        result = self._results.get(key)
        if result is None:
            if key is None:
                about_to_work()
            about_to_compute()
            with self.prefetching.of(connection) as cold:
                result = _Search(self, connection, request, cold).run()
            self._results.put(key, result)
        return result


def search(connection: apsw.Connection, definition: SearchDefinition, request: SearchRequest) -> SearchResult:
    """Answers one request, without what a `SearchEngine` keeps between requests."""
    return SearchEngine(definition).search(connection, request)


class _Counts:
    """How many documents match an expression, for a state of the index. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[tuple[Totals, str], int] = OrderedDict()

    def get(self, key: tuple[Totals, str]) -> int | None:
        return self._known.get(key)

    def put(self, key: tuple[Totals, str], count: int) -> None:
        with self._lock:
            self._known[key] = count
            while len(self._known) > _COUNTS_KEPT:
                self._known.popitem(last=False)


@dataclass(slots=True)
class _Stage:
    """One expression for the query and what it found. `text` is the whole MATCH, exclusions included."""

    text: str
    expression: Expression
    total: int
    found: Found | None
    """None until it is needed, if all scores are known."""
    scored: dict[int, Scored] | None = None
    """The scores of all matches, if they are few."""


class _Best(NamedTuple):
    """The matches that are ranked, if there are too many to rank all, and their number."""

    source: MatchSource
    matches: int


class _Search:
    """One search."""

    def __init__(
        self,
        engine: SearchEngine,
        connection: apsw.Connection,
        request: SearchRequest,
        cold: ColdSearch | None,
    ) -> None:
        self._engine = engine
        self._definition = engine.definition
        self._connection = connection
        self._request = request
        self._cold = cold
        if cold is not None:
            cold.index(side=bool(request.facets or self._definition.rank))
        self._index = quote(self._definition.index)
        self._weights = engine.weights
        self._columns = _column_filter(self._definition, request.columns)
        self._excluded = ""
        self._short = ShortWords()
        self._take = max(0, min(request.take, MAX_TAKE, MAX_REACH - request.skip))

    def run(self) -> SearchResult:
        if self._request.mode is Mode.RAW:
            return self._raw()
        query = parse(self._request.query, Tokenizer(self._connection))
        if self._definition.language is Language.CJK:
            query, self._short = without_short_words(query)
        self._announce(query.words())
        if query.excluded:
            self._excluded = f"({' OR '.join(term.match() for term in query.excluded)})"
        planner = Planner(
            self._definition,
            self._count,
            self._words,
            self._totals.documents,
            typos=self._request.typos,
            prefix=self._request.prefix,
            stems=lambda words: stems(self._connection, self._definition, words),
            announce=self._announce if self._cold is not None else None,
        )
        groups = planner.groups(query)
        if self._definition.language is Language.CJK:
            groups = self._with_pieces(query, groups, planner)
        if not groups:
            return self._all()
        return self._words_of(query, groups)

    @cached_property
    def _totals(self) -> Totals:
        return read_totals(self._connection, self._engine.index)

    @cached_property
    def _signal_counts(self) -> float:
        """How much the rank signal counts, from 0 to 1."""
        columns = [rank.column for rank in self._definition.rank]
        if not columns:
            return 0.0
        return agreement.weight(columns, self._engine.vocabulary.signals(self._connection, self._totals))

    def _announce(self, words: Sequence[str]) -> None:
        """Called with words that will be looked for."""
        if self._cold is not None:
            found = stems(self._connection, self._definition, words)
            self._cold.words(found, prefix=self._request.prefix)

    def _words(self) -> Vocabulary:
        return self._vocabulary

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        if self._cold is not None:
            self._cold.vocabulary()
        return self._engine.vocabulary.get(self._connection, self._totals)

    def _count(self, expression: str) -> int:
        """The number of documents that match, with what is known from earlier searches."""
        key = (self._totals, expression)
        known = self._engine.counts.get(key)
        if known is None:
            known = self._connection.execute(
                f"SELECT count(*) FROM {self._index} WHERE {self._index} MATCH ?", (expression,)
            ).get
            self._engine.counts.put(key, known)
        return known

    def _text(self, expression: Expression, columns: str = "") -> str:
        """The expression with the fields it is for and what is excluded."""
        text = f"({expression.text})"
        if columns or self._columns:
            text = f"({columns or self._columns} : {text})"
        return f"{text} NOT {self._excluded}" if self._excluded else text

    def _restricted(self, source: MatchSource) -> MatchSource:
        """The source with the condition for words that are too short for its index."""
        if not self._short:
            return source
        columns = [field.column for field in self._definition.fields if field.name in self._request.columns]
        condition, parameters = self._short.condition(self._definition, columns, f"x.{DOCID}")
        return replace(source, condition=condition, parameters=tuple(parameters))

    # The ways to search

    def _with_pieces(self, query: Query, groups: list[Group], planner: Planner) -> list[Group]:
        """The groups, and in place of a long word that does not occur its parts, most of which may do."""
        found: list[Group] = []
        for group in groups:
            token = group.token
            if group.known or token is None or len(token.text) <= SHORTEST or len(group.variants) > 1:
                found.append(group)
            else:
                parts = tuple(Clause(((piece,),)) for piece in pieces(Term((token,))))
                found += planner.groups(replace(query, clauses=parts))
        return found

    def _words_of(self, query: Query, groups: list[Group]) -> SearchResult:
        documents = self._totals.documents
        wanted = any_of(groups) if self._request.match is Match.ANY else all_of(groups, documents)
        stages = [self._stage(wanted)]
        if self._request.match is Match.ALL_THEN_FEWER and len(groups) > 1:
            stages = self._fewer(stages[0], groups)
        result = self._result(stages)
        result.corrected_query = self._corrected(query, groups, result)
        return result

    def _fewer(self, all_words: _Stage, groups: list[Group]) -> list[_Stage]:
        """A strategy for queries whose words occur together in few records.

        Words that do not occur are left out. Of two others, records with one follow those with both. Of
        `_FEW_WORDS`, records without one are ordered together with those that have all, by their scores.
        Records with any of the rarer words follow.
        """
        documents = self._totals.documents
        known = [group for group in groups if group.most]
        best = all_words
        if known and best.total < _ENOUGH and len(known) < len(groups):
            best = self._stage(all_of(known, documents))
        if best.total < _ENOUGH and 1 < len(known) <= _FEW_WORDS:
            fewer = self._stage(all_but_one_of(known, documents))
            if len(known) == 2:
                return [best, fewer]
            best = max(best, fewer, key=lambda stage: stage.total)
        if best.total < _ENOUGH and len(known) > 2:
            return [best, self._stage(any_of(_rarer(known)))]
        return [best]

    def _stage(self, expression: Expression) -> _Stage:
        text = self._text(expression)
        scored = None if self._request.order else self._score_few(text, expression)
        if scored is None:
            found = self._find(text, expression)
            return _Stage(text, expression, found.total, found)
        stage = _Stage(text, expression, len(scored), None, scored)
        if self._is_restricted:
            stage.total = self._found(stage, self._request).total
        return stage

    def _found(self, stage: _Stage, request: SearchRequest) -> Found:
        """The hits of a stage, with the facets that the request wants if its hits were not found before."""
        if stage.found is None:
            # FTS5 need not rank what is ordered by its scores.
            ranks = {rowid: -each.score for rowid, each in (stage.scored or {}).items()}
            source = self._restricted(MatchSource(stage.text, ranks=ranks))
            statement = SearchStatement(self._definition, request, self._weights, len(ranks))
            stage.found = statement.run(self._connection, source, None, _RERANKED)
        return stage.found

    def _all(self) -> SearchResult:
        """All records but the excluded ones, the most important first."""
        source = self._restricted(MatchSource(None, excluded=self._excluded or None))
        statement = SearchStatement(self._definition, self._request, self._weights, self._totals.documents)
        many = self._totals.documents > SCANNED and not self._short and self._request.distinct is None
        if many:
            total, rowids = everything(
                self._connection, self._definition, self._request, self._excluded, self._take
            )
            found = statement.run(self._connection, source, None, 0) if self._request.facets else Found(total)
        else:
            found = statement.run(self._connection, source, None, self._take, self._request.skip)
            total, rowids = found.total, [row[0] for row in found.hits]
        hits = [Hit(rowid, 0.0) for rowid in rowids]
        self._mark(None, hits)
        scanned = LOOKED_THROUGH if self._short else SCANNED
        return SearchResult(total, hits, found.facets, exact=self._totals.documents <= scanned)

    def _raw(self) -> SearchResult:
        text = self._request.query
        if "\0" in text:
            raise SearchInvalid("the expression holds a NUL character")
        if self._columns:
            text = f"{self._columns} : ({text})"
        statement = SearchStatement(self._definition, self._request, self._weights, SCANNED)
        try:
            found = statement.run(self._connection, MatchSource(text), None, self._take, self._request.skip)
        except apsw.SQLError as error:
            raise SearchInvalid(f"the expression is not in FTS5's language: {error}") from None
        hits = [Hit(row[0], -row[1]) for row in found.hits]
        self._mark(text, hits)
        return SearchResult(found.total, hits, found.facets)

    # Results

    def _find(self, text: str, expression: Expression) -> Found:
        """Searches for matches that FTS5 ranks, or that are sorted by fields."""
        request = self._request
        matches = self._most(text, expression)
        best = None if matches <= _RANKED or request.order else self._best(expression)
        source = self._restricted(MatchSource(text, scored=best is None and not request.order))
        statement = SearchStatement(self._definition, request, self._weights, matches)
        if request.order:
            return statement.run(self._connection, source, None, self._take, request.skip)
        limit = max(_RERANKED, request.skip + self._take)
        if best is None or matches > SCANNED or best.matches < limit or self._is_restricted:
            return statement.run(self._connection, source, best and best.source, limit)
        # All hits are among the best, so that the others are only counted.
        ranked = SearchStatement(self._definition, replace(request, facets=()), self._weights, best.matches)
        found = Found(matches, ranked.run(self._connection, best.source, None, limit).hits)
        if request.facets:
            found.facets = statement.run(self._connection, source, None, 0).facets
        return found

    @property
    def _is_restricted(self) -> bool:
        """True if not all that matches is a hit."""
        request = self._request
        return bool(request.filter or request.refinements or request.distinct or self._short)

    def _most(self, text: str, expression: Expression) -> int:
        """A number of documents that no more than match: the exact one if it is large."""
        return expression.most if expression.most <= _RANKED else self._count(text)

    def _score_few(self, text: str, expression: Expression) -> dict[int, Scored] | None:
        """The scores of all that matches; None if that is more than are ordered by their scores."""
        most = self._most(text, expression)
        if most > _RERANKED:
            exact = expression.exact and not (self._excluded or self._columns)
            if exact or most > _RANKED or (expression.likely > _RERANKED and self._are_many(text)):
                return None
        whole = replace(expression, text=text)
        return score_few(self._connection, self._index, whole, self._weights, _RERANKED)

    def _are_many(self, text: str) -> bool:
        """True if more match than are ordered by their scores."""
        counted = f"SELECT count(*) FROM (SELECT 1 FROM {self._index} WHERE {self._index} MATCH ? LIMIT ?)"
        found: int = self._connection.execute(counted, (text, _RERANKED + 1)).get
        return found > _RERANKED

    def _best(self, expression: Expression) -> _Best:
        """The matches in the most important fields, so few that they can be ranked."""
        fields = sorted(self._definition.fields, key=lambda field: -field.weight)
        chosen = None
        for last in range(1, len(fields)):
            text = self._text(expression, _column_list([field.column for field in fields[:last]]))
            matches = self._count(text)
            if chosen is None or matches <= _RANKED:
                chosen = _Best(MatchSource(text), matches)
            if matches > _RANKED:
                break
        return chosen or _Best(MatchSource(self._text(expression)), 0)

    def _result(self, stages: list[_Stage]) -> SearchResult:
        """The page of hits: those of the first stage, then what the later ones, which find more, add."""
        request, last = self._request, stages[-1]
        found = self._found(last, request)
        if request.order:
            rowids = [row[0] for row in found.hits]
            scored = self._score(last, rowids)
            hits = [_hit(rowid, scored.get(rowid), last.expression) for rowid in rowids]
            self._mark(last.text, hits)
        else:
            placed: dict[int, tuple[float, Scored | None, _Stage]] = {}
            for stage in stages:
                for rowid, final, scored_one in self._ranked(stage):
                    placed.setdefault(rowid, (final, scored_one, stage))
            chosen = list(placed.items())[request.skip : request.skip + self._take]
            page = [
                (_hit(rowid, scored_one, stage.expression, final), stage)
                for rowid, (final, scored_one, stage) in chosen
            ]
            hits = [hit for hit, _ in page]
            if self._cold is not None:
                self._cold.rows([hit.rowid for hit in hits])
            for stage in stages:
                self._mark(stage.text, [hit for hit, its in page if its is stage])
        matches = self._most(last.text, last.expression)
        total = found.total if self._is_restricted or matches <= _RANKED else matches
        return SearchResult(total, hits, found.facets, exact=matches <= SCANNED)

    def _ranked(self, stage: _Stage) -> list[tuple[int, float, Scored | None]]:
        """The rowids of a stage with their scores: the first sorted again, the others in FTS5's order."""
        # The facets are those of the last stage, which was asked before.
        hits = self._found(stage, replace(self._request, facets=())).hits
        first, rest = hits[:_RERANKED], hits[_RERANKED:]
        scored = self._score(stage, [row[0] for row in first])
        nothing = Scored(0.0, {})
        scores = [scored.get(row[0], nothing).score for row in first]
        descending = [rank.descending for rank in self._definition.rank]
        fused = fuse(scores, [row[2:] for row in first], descending, self._signal_counts)
        order = sorted(range(len(first)), key=lambda place: (-fused[place], -scores[place], first[place][0]))
        ranked = [(first[place][0], fused[place], scored.get(first[place][0])) for place in order]
        return [*ranked, *((row[0], 1e-6 / (place + 1), None) for place, row in enumerate(rest))]

    def _score(self, stage: _Stage, rowids: Sequence[int]) -> dict[int, Scored]:
        if stage.scored is not None:
            return stage.scored
        whole = replace(stage.expression, text=stage.text)
        return score(self._connection, self._index, whole, self._weights, rowids)

    def _mark(self, text: str | None, hits: Sequence[Hit]) -> None:
        requests = self._request.highlights
        texts = mark(self._connection, self._definition, text, requests, [hit.rowid for hit in hits])
        for hit in hits:
            hit.texts = texts.get(hit.rowid, (None,) * len(requests))

    def _corrected(self, query: Query, groups: list[Group], result: SearchResult) -> str | None:
        """The query with the words of the best hit in place of those that do not occur."""
        if not result.hits:
            return None
        text, changed = query.text, False
        words = set(result.hits[0].matched_words)
        for group in reversed(groups):
            if group.known or group.token is None:
                continue
            chosen = next((v for v in group.variants[1:] if v.words in words), None)
            if chosen is not None:
                text = text[: group.token.start] + chosen.words + text[group.token.end :]
                changed = True
        return text if changed else None


def _rarer(groups: Sequence[Group]) -> Sequence[Group]:
    """The rarest of groups, as many as together match few enough records."""
    rarest = sorted(groups, key=lambda group: -group.idf)
    matches = 0
    for number, group in enumerate(rarest):
        matches += group.most
        if number >= _RAREST and matches > _ANY_MATCHES:
            return rarest[:number]
    return rarest


def _hit(rowid: int, scored: Scored | None, expression: Expression, final: float | None = None) -> Hit:
    if scored is None:
        return Hit(rowid, final or 0.0)
    words = tuple(expression.phrases[number][1].words for _, number in sorted(scored.words.items()))
    return Hit(rowid, scored.score if final is None else final, words)


def _column_filter(definition: SearchDefinition, names: Sequence[str]) -> str:
    columns = {field.name: field.column for field in definition.fields}
    return _column_list([columns[name] for name in names]) if names else ""


def _column_list(columns: Sequence[str]) -> str:
    return "{" + " ".join(quote(column) for column in columns) + "}"
