"""Relevance and the rank signal in one order, by reciprocal rank (Cormack, Clarke, Büttcher 2009)."""

from collections.abc import Sequence
from typing import Any, Final

_CONSTANT: Final = 60
WEIGHT: Final = 0.7


def fuse(scores: Sequence[float], signals: Sequence[tuple[Any, ...]], descending: Sequence[bool]) -> list[float]:
    """Returns a score for each record from that of its text and the values of its rank signal."""
    fused = [1 / (_CONSTANT + place) for place in _places([(-score,) for score in scores])]
    if not descending or not signals:
        return fused
    keys = [
        tuple(_key(value, falling) for value, falling in zip(signal, descending, strict=True))
        for signal in signals
    ]
    for number, place in enumerate(_places(keys)):
        fused[number] += WEIGHT / (_CONSTANT + place)
    return fused


def _key(value: Any, descending: bool) -> tuple[Any, ...]:
    if value is None or isinstance(value, bytes):
        return 2, 0
    if isinstance(value, str):
        return 1, tuple(-ord(c) for c in value) if descending else tuple(map(ord, value))
    return 0, -value if descending else value


def _places(keys: Sequence[tuple[Any, ...]]) -> list[int]:
    """The place of each key in their order, from 0; equal keys share the first of their places."""
    first: dict[tuple[Any, ...], int] = {}
    for place, key in enumerate(sorted(keys)):
        first.setdefault(key, place)
    return [first[key] for key in keys]
