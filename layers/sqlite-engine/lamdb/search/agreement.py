"""Measures how informative a rank signal is, without knowing any right answer.

A number that says something about records, such as views or sales, is more alike among records about the
same subject than among all: some subjects are in demand, others are not. A number that has nothing to do with
them, such as a random one, is not. So searches are made from the words of sampled records, and the spread of
the signal among the hits of each is compared with the spread after the values have changed places at random
(a permutation test). A signal that does not differ from that by more than chance does not count.

It is measured by maintenance, together with the vocabulary. Which fields are the rank signal only the schema
knows, so that all columns of the side table are measured.
"""

import random
import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import apsw
import orjson

from lamdb.search.definition import DOCID
from lamdb.search.statistics import SearchIndex
from lamdb.search.tables import quote

_SAMPLES: Final = 600
_FEWEST: Final = 50
"""Searches from which the measurement is meaningful."""
_HITS: Final = 30
_FEWEST_HITS: Final = 10
_TEXT: Final = 400
"""Characters of each column from which words are taken."""
_WORD: Final = re.compile(r"[^\W\d_]{4,}")
_NOT_SPACED: Final = re.compile("[\u2e80-\uffdc]{3}")

_PERMUTATIONS: Final = 40
_NOTHING: Final = 3.0
_FULL: Final = 6.0
"""Standard deviations of the permutations. A signal begins to count at three, which noise reaches once in
700 times, and counts fully at six."""


class Agreement(NamedTuple):
    """How much a column agrees with the texts, and how well it tells records apart; both from 0 to 1."""

    texts: float
    distinct: float


def measure(connection: apsw.Connection, index: SearchIndex) -> dict[str, Agreement]:
    """Returns the agreement of each column of an index's side table; of none if there is too little text."""
    columns = [
        str(name) for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (index.side,))
    ]
    columns = [column for column in columns if column != DOCID]
    if not columns:
        return {}
    groups = list(_groups(connection, index))
    if len(groups) < _FEWEST:
        return {}
    return {column: _agreement(connection, index, column, groups) for column in columns}


def weight(columns: Sequence[str], known: Mapping[str, Agreement]) -> float:
    """Returns how much an order by `columns` should count, from 0 to 1; 1 if nothing is known of one.

    Each column counts as often as it decides: where those before it are equal.
    """
    total = decided = 0.0
    left = 1.0
    for column in columns:
        if column not in known:
            return 1.0
        each = known[column]
        total += left * each.distinct * each.texts
        decided += left * each.distinct
        left *= 1 - each.distinct
    return total / decided if decided else 0.0


def dump(known: Mapping[str, Agreement]) -> str:
    """Returns agreements as JSON."""
    made = {column: [round(number, 3) for number in each] for column, each in known.items()}
    return orjson.dumps(made).decode()


def load(text: object) -> dict[str, Agreement]:
    """Returns what `dump` has made; nothing of anything else, since a file may come from anybody."""
    try:
        made = orjson.loads(text) if isinstance(text, str | bytes) else {}
        return {
            column: Agreement(min(1.0, max(0.0, texts)), min(1.0, max(0.0, distinct)))
            for column, (texts, distinct) in made.items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}


def _groups(connection: apsw.Connection, index: SearchIndex) -> Iterator[list[int]]:
    """The records that searches for words of sampled records find."""
    name = quote(index.name)
    for match in _queries(connection, index):
        rows = connection.execute(
            f"SELECT rowid FROM {name} WHERE {name} MATCH ? ORDER BY rank LIMIT {_HITS}", (match,)
        )
        found = [rowid for (rowid,) in rows]
        if len(found) >= _FEWEST_HITS:
            yield found


def _queries(connection: apsw.Connection, index: SearchIndex) -> Iterator[str]:
    sizes = quote(f"{index.name}_docsize")
    first, last = next(iter(connection.execute(f"SELECT min(id), max(id) FROM {sizes}")))
    if first is None:
        return
    columns = ", ".join(f"substr({quote(column)}, 1, {_TEXT})" for column in index.columns)
    chance = random.Random(1)
    for number in range(_SAMPLES):
        text = connection.execute(
            f"SELECT concat_ws(' ', {columns}) FROM {quote(index.rows)} WHERE {DOCID} ="
            f" (SELECT id FROM {sizes} WHERE id >= ? ORDER BY id LIMIT 1)",
            (first + (last - first) * number // _SAMPLES,),
        ).get
        words = _NOT_SPACED.findall(text or "")[:50] or _WORD.findall(text or "")[:50]
        if words:
            yield " AND ".join(f'"{word}"' for word in chance.sample(words, min(2, len(words))))


def _agreement(
    connection: apsw.Connection, index: SearchIndex, column: str, groups: Sequence[Sequence[int]]
) -> Agreement:
    rowids = sorted({rowid for group in groups for rowid in group})
    # The mean rank of equal values, from 0 to 1.
    ranks: dict[int, float] = dict(
        connection.execute(
            f"SELECT {DOCID}, (percent_rank() OVER v + cume_dist() OVER v) / 2 FROM {quote(index.side)}"
            f" WHERE {DOCID} IN (SELECT value FROM json_each(?)) WINDOW v AS (ORDER BY {quote(column)})",
            (orjson.dumps(rowids).decode(),),
        )
    )
    values = [ranks.get(rowid, 0.0) for rowid in rowids]
    distinct = min(1.0, 12 * statistics.pvariance(values))  # The variance is 1/12 if all are different.
    places = {rowid: place for place, rowid in enumerate(rowids)}
    members = [[places[rowid] for rowid in group] for group in groups]
    spread = _spread(values, members)
    chance = random.Random(2)
    by_chance = []
    for _ in range(_PERMUTATIONS):
        chance.shuffle(values)
        by_chance.append(_spread(values, members))
    deviation = statistics.stdev(by_chance)
    if not deviation:
        return Agreement(0.0, distinct)
    sigma = (statistics.fmean(by_chance) - spread) / deviation
    return Agreement(min(1.0, max(0.0, (sigma - _NOTHING) / (_FULL - _NOTHING))), distinct)


def _spread(values: Sequence[float], groups: Sequence[Sequence[int]]) -> float:
    """The mean variance of values within groups, which are places of `values`."""
    total = 0.0
    for group in groups:
        chosen = [values[place] for place in group]
        added = sum(chosen)
        total += (sum(value * value for value in chosen) - added * added / len(chosen)) / (len(chosen) - 1)
    return total / len(groups)
