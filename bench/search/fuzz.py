"""Texts that a query language may stumble over: none is an error, none is slow."""

import random
import time
from collections.abc import Iterator
from typing import NamedTuple

import apsw
from tests.unit.search.test_syntax import texts

from bench.search.packages import DEFINITION
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, HighlightRequest, SearchRequest

_COMMON = [
    "the", "of", "and", "to", "in", "a", "is", "for", "this", "package", "library", "with", "on",
    "it", "be", "by", "that", "from", "as", "an", "files", "support",
]  # fmt: skip


class Slowest(NamedTuple):
    """CPU milliseconds of a search, and how its text begins."""

    milliseconds: float
    text: str


def run(connection: apsw.Connection, count: int) -> Iterator[Slowest]:
    """Searches for `count` texts; the slowest. An error ends it."""
    engine = SearchEngine(DEFINITION)
    taken = []
    for text in (*_long(), *texts(2026, count)):
        request = SearchRequest(
            text, facets=(FacetRequest("section"),), highlights=(HighlightRequest("description", words=24),)
        )
        started = time.thread_time()
        engine.search(connection, request)
        taken.append(Slowest((time.thread_time() - started) * 1e3, text[:40]))
    yield from sorted(taken, reverse=True)[:5]


def _long() -> Iterator[str]:
    chance = random.Random(1)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=8)) for _ in range(2_000)]
    yield "a" * 10_000
    yield " ".join(words)
    yield " ".join(_COMMON * 100)
    yield " OR ".join(_COMMON * 100)
    yield " ".join(f"{word[:2]}*" for word in _COMMON * 100)
    yield f'"{" ".join(_COMMON * 100)}"'
    yield " ".join(f"-{word}" for word in words)
    yield '"' * 10_000
    yield "-" * 10_000
