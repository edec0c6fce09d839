"""Scores the text of a record for a query by BM25 over fields (BM25F), which FTS5's own bm25 does not do.

FTS5 relates the number of a word's occurrences to the length of the whole record, so that a short title
counts as little as a long text. Here each field is related to the average length of that field, the
occurrences in all fields are added with the fields' weights, and then dampened once (Robertson, Zaragoza:
The Probabilistic Relevance Framework, 2009, section 3.6).
"""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, NamedTuple

import apsw

from lamdb.search.planning import Expression

FUNCTION: Final = "lamdb_search_score"

_DAMPING: Final = 1.6
_LENGTH: Final = 0.75


class Scored(NamedTuple):
    """The score of a record, and the words of the query that it has: by group, the best variant's phrase."""

    score: float
    words: dict[int, int]


class Scorer:
    """Scores the records of one statement; `scored` is filled as the statement runs."""

    def __init__(self, weights: Sequence[float], expression: Expression) -> None:
        self.scored: dict[int, Scored] = {}
        self._phrases = [
            (number, group, variant.weight * variant.idf)
            for number, (group, variant) in enumerate(expression.phrases)
        ]
        self._weights = tuple(weights)
        self._none = [0.0] * len(self._weights)
        self._averages: list[float] = []

    def score(self, api: apsw.FTS5ExtensionApi) -> float:
        """Called by FTS5 for each record."""
        if not self._averages:
            rows = max(api.row_count, 1)
            self._averages = [
                max(api.column_total_size(column) / rows, 1.0) for column in range(len(self._weights))
            ]
        locations = api.phrase_locations
        # What one occurrence in each field counts for, found as it is needed: its weight by its length.
        shares = self._none.copy()
        best: dict[int, float] = {}
        words: dict[int, int] = {}
        for number, group, worth in self._phrases:
            known = best.get(group, 0.0)
            # A value stays below the worth of its phrase.
            if known >= worth:
                continue
            frequency = 0.0
            for column, places in enumerate(locations(number)):
                if places:
                    share = shares[column]
                    if not share:
                        length = api.column_size(column) / self._averages[column]
                        share = shares[column] = self._weights[column] / (1 - _LENGTH + _LENGTH * length)
                    frequency += share * len(places)
            if frequency:
                value = worth * frequency / (_DAMPING + frequency)
                if value > known:
                    best[group], words[group] = value, number
        score = sum(best.values())
        self.scored[api.rowid] = Scored(score, words)
        return score


class _Slot:
    """The scorer of one connection. A connection runs one search at a time."""

    scorer: Scorer | None = None

    def call(self, api: apsw.FTS5ExtensionApi, *_: Any) -> float:
        return self.scorer.score(api) if self.scorer is not None else 0.0


_slots: weakref.WeakKeyDictionary[apsw.Connection, _Slot] = weakref.WeakKeyDictionary()


def _slot(connection: apsw.Connection) -> _Slot:
    slot = _slots.get(connection)
    if slot is None:
        slot = _slots[connection] = _Slot()
        connection.register_fts5_function(FUNCTION, slot.call)
    return slot


@contextmanager
def scoring(
    connection: apsw.Connection, expression: Expression, weights: Sequence[float]
) -> Iterator[dict[int, Scored]]:
    """Gives the scores that statements within compute with `FUNCTION`: by rowid, filled as they run.

    `expression` must be that of the statement's MATCH.
    """
    slot = _slot(connection)
    slot.scorer = scorer = Scorer(weights, expression)
    try:
        yield scorer.scored
    finally:
        slot.scorer = None


def score_few(
    connection: apsw.Connection,
    index: str,
    expression: Expression,
    weights: tuple[float, ...],
    most: int,
) -> dict[int, Scored] | None:
    """Returns the scores of all that matches; None if that is more than `most`. `index` is a quoted name."""
    with scoring(connection, expression, weights) as scored:
        connection.execute(
            f"SELECT {FUNCTION}({index}) FROM {index} WHERE {index} MATCH ? LIMIT ?",
            (expression.text, most + 1),
        ).fetchall()
    return scored if len(scored) <= most else None


def score(
    connection: apsw.Connection,
    index: str,
    expression: Expression,
    weights: tuple[float, ...],
    rowids: Sequence[int],
) -> dict[int, Scored]:
    """Returns the scores of those of `rowids` that match. `index` is a quoted name."""
    with scoring(connection, expression, weights) as scored:
        # The plus keeps SQLite from running the search once for each rowid.
        connection.execute(
            f"SELECT {FUNCTION}({index}) FROM {index} WHERE {index} MATCH ? AND +rowid IN"
            " (SELECT value FROM json_each(?))",
            (expression.text, f"[{','.join(map(str, rowids))}]"),
        ).fetchall()
    return scored
