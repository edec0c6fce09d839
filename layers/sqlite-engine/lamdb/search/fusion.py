"""Relevance and the rank signal in one order.

The signal (views, sales, a date) puts the candidates of a query in an order of their own. A record's text
score is raised by up to `WEIGHT`, by the reciprocal of its place in that order: the first candidate gets
all of it, the fifth after it half. So the signal decides between records whose texts fit about equally
well, and cannot lift one above another whose text fits much better. Sums of reciprocal ranks (RRF), which
forget how far apart the texts are, lose a third of the first places where the signal says nothing;
docs/performance.md has the figures from which the weight was chosen.
"""

from collections.abc import Sequence
from typing import Any, Final

WEIGHT: Final = 0.4
_HALF: Final = 5
_LEAST: Final = 1e-6


def fuse(
    scores: Sequence[float],
    signals: Sequence[tuple[Any, ...]],
    descending: Sequence[bool],
    counts: float = 1.0,
) -> list[float]:
    """Returns a score for each record from that of its text and the values of its rank signal.

    `counts` is how much the signal counts, from 0 to 1. With 0 it decides between equal texts.

    Values that are equal, or missing, are no reason to prefer one record to another.
    """
    if not descending or not scores:
        return list(scores)
    keys: list[tuple[Any, ...]]
    if len(descending) == 1:
        keys = [_key(value, descending[0]) for (value,) in signals]
    else:
        keys = [tuple(map(_key, signal, descending)) for signal in signals]
    places = _places(keys)
    weight = max(WEIGHT * counts, _LEAST)
    return [
        score * (1 + weight * _HALF / (_HALF + place)) for score, place in zip(scores, places, strict=True)
    ]


def _key(value: Any, descending: bool) -> tuple[Any, ...]:
    if isinstance(value, str):
        return 1, tuple(-ord(c) for c in value) if descending else tuple(map(ord, value))
    if isinstance(value, int | float):
        return 0, -value if descending else value
    return 2, 0


def _places(keys: Sequence[tuple[Any, ...]]) -> list[int]:
    """The place of each key in their order, from 0; equal keys share the first of their places."""
    first: dict[tuple[Any, ...], int] = {}
    for place, key in enumerate(sorted(keys)):
        first.setdefault(key, place)
    return [first[key] for key in keys]
