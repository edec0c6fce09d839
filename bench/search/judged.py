"""The judged queries: what a person would type to find a known package, and the names that are right answers.

`judged.tsv` has a query, the same with a letter wrong, and a regular expression of accepted names. The
judgements were made before anything was searched. Lines are dealt alternately: with one half the constants
of the ranking were chosen, the other is reported.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

_FILE: Final = Path(__file__).with_name("judged.tsv")
_PLACES: Final = 10


class Half(Enum):
    """The half of the queries for choosing constants, and the half that is reported."""

    TUNING = 0
    REPORTED = 1


class Kind(Enum):
    """How a query is typed: well, with a mistake, with a mistake and without its last letter."""

    CLEAN = "clean"
    MISSPELT = "misspelt"
    AS_YOU_TYPE = "as you type"


class Judged(NamedTuple):
    """A query and its right answers."""

    query: str
    misspelt: str
    accepted: re.Pattern[str]

    def text(self, kind: Kind) -> str:
        """The text that a user types."""
        if kind is Kind.CLEAN:
            return self.query
        return self.misspelt if kind is Kind.MISSPELT else self.misspelt[:-1]


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of queries with a right answer first, and among the first ten; the mean of 1/place."""

    first: float
    ten: float
    reciprocal: float

    def __str__(self) -> str:
        return f"{100 * self.first:.0f} / {100 * self.ten:.0f} / {self.reciprocal:.3f}"


def judged(half: Half | None = None) -> list[Judged]:
    """Returns the queries of a half, or all."""
    lines = _FILE.read_text().splitlines()[1:]
    chosen = lines if half is None else lines[half.value :: 2]
    return [
        Judged(query, typed, re.compile(names)) for query, typed, names in (x.split("\t") for x in chosen)
    ]


def quality(
    queries: Sequence[Judged], kind: Kind, search: Callable[[Sequence[str]], list[list[str]]]
) -> Quality:
    """Judges the names that `search` finds, best first, for each of a list of texts."""
    answers = search([query.text(kind) for query in queries])
    places = [
        next((place for place, name in enumerate(names[:_PLACES], 1) if query.accepted.match(name)), None)
        for query, names in zip(queries, answers, strict=True)
    ]
    count = len(places)
    return Quality(
        sum(place == 1 for place in places) / count,
        sum(place is not None for place in places) / count,
        sum(1 / place for place in places if place) / count,
    )
