"""How long a search takes in process, in CPU time, when its pages are in memory."""

import time
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import apsw

from bench.search.judged import Kind, judged
from bench.search.packages import DEFINITION
from lamdb.search.engine import SearchEngine
from lamdb.search.request import FacetRequest, HighlightRequest, SearchRequest

_FACETS: Final = (FacetRequest("section"), FacetRequest("priority", disjunctive=True))
_HIGHLIGHTS: Final = (
    HighlightRequest("name"),
    HighlightRequest("summary"),
    HighlightRequest("description", words=24),
)


class Times(NamedTuple):
    """CPU milliseconds of one search: half of them, nine in ten, and all take at most so long."""

    what: str
    searches: int
    median: float
    ninety: float
    most: float


def measure(connection: apsw.Connection) -> list[Times]:
    """Times the judged queries, once each after others have warmed the caches, and keystrokes."""
    engine = SearchEngine(DEFINITION)
    queries = judged()

    def full(text: str) -> None:
        engine.search(connection, SearchRequest(text, facets=_FACETS, highlights=_HIGHLIGHTS))

    def plain(text: str) -> None:
        engine.search(connection, SearchRequest(text, take=10))

    clean = [query.text(Kind.CLEAN) for query in queries]
    misspelt = [query.text(Kind.MISSPELT) for query in queries]
    keys = [text[:end] for text in clean for end in range(3, len(text) + 1)]
    for text in clean[::7]:
        full(text)
    return [
        _times("hits, two facets, highlights", clean, full),
        _times("the same, misspelt", misspelt, full),
        _times("the same, asked again", clean, full),
        _times("hits only", clean, plain),
        _times("keystrokes from the third letter, hits only", keys, plain),
    ]


def _times(what: str, texts: Iterable[str], search: Callable[[str], None]) -> Times:
    taken = []
    for text in texts:
        started = time.thread_time()
        search(text)
        taken.append((time.thread_time() - started) * 1e3)
    taken.sort()
    count = len(taken)
    return Times(what, count, taken[count // 2], taken[count * 9 // 10], taken[-1])
