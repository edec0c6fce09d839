"""How well the text of a record fits a query: BM25 over fields (BM25F), as FTS5's own bm25 is not.

FTS5 relates the number of a word's occurrences to the length of the whole record, so that a short title
counts as little as a long text. Here each field is related to the average length of that field, the
occurrences in all fields are added with the fields' weights, and then dampened once (Robertson, Zaragoza:
The Probabilistic Relevance Framework, 2009, section 3.6).
"""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import apsw

from lamdb.search.planning import Expression

FUNCTION: Final = "lamdb_search_score"

_DAMPING: Final = 1.2
_LENGTH: Final = 0.75
_WHOLE_FIELD: Final = 0.0


class Scored(NamedTuple):
    """The score of a record, and the words of the query that it has: by group, the best variant."""

    score: float
    words: dict[int, int]
    """Group → number of the phrase."""


@dataclass(slots=True)
class Scorer:
    """Scores the records of one statement; `scored` is filled as the statement runs."""

    weights: tuple[float, ...]
    expression: Expression
    scored: dict[int, Scored]
    averages: tuple[float, ...] = ()

    def score(self, api: apsw.FTS5ExtensionApi) -> float:
        """Called by FTS5 for each record."""
        if not self.averages:
            rows = max(api.row_count, 1)
            self.averages = tuple(
                max(api.column_total_size(column) / rows, 1.0) for column in range(api.column_count)
            )
        phrases = self.expression.phrases
        best: dict[int, tuple[float, int]] = {}
        lengths: list[float | None] = [None] * len(self.weights)
        for number, (group, variant) in enumerate(phrases):
            frequency = 0.0
            for column, places in enumerate(api.phrase_locations(number)):
                if places:
                    length = lengths[column]
                    if length is None:
                        length = lengths[column] = (
                            1 - _LENGTH + _LENGTH * api.column_size(column) / self.averages[column]
                        )
                    frequency += self.weights[column] * len(places) / length
            if frequency:
                value = variant.weight * variant.idf * frequency / (_DAMPING + frequency)
                if value > best.get(group, (0.0, 0))[0]:
                    best[group] = value, number
        score = sum(value for value, _ in best.values())
        self.scored[api.rowid] = Scored(score, {group: number for group, (_, number) in best.items()})
        return score


class _Slot:
    """What the function of one connection scores with. A connection runs one search at a time."""

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


def score(
    connection: apsw.Connection,
    index: str,
    expression: Expression,
    weights: tuple[float, ...],
    rowids: Sequence[int],
) -> dict[int, Scored]:
    """Returns the scores of those of `rowids` that match. `index` is a quoted name."""
    scorer = Scorer(weights, expression, {})
    slot = _slot(connection)
    slot.scorer = scorer
    try:
        # The plus keeps SQLite from running the search once for each rowid.
        connection.execute(
            f"SELECT {FUNCTION}({index}) FROM {index} WHERE {index} MATCH ? AND +rowid IN"
            " (SELECT value FROM json_each(?))",
            (expression.text, f"[{','.join(map(str, rowids))}]"),
        ).fetchall()
    finally:
        slot.scorer = None
    return scorer.scored
