"""The results of recent searches.

Many people search for the same, and most of what is sent while they type are the same few beginnings. A
result is right for one committed state of the database, so it is kept under that state and the request.
"""

from typing import Final

import apsw

from lamdb.lru import LruCache
from lamdb.memory import DEFAULT_SEARCH_RESULT_BYTES
from lamdb.search.request import SearchRequest, SearchResult
from lamdb.storage.btrees import committed_state

_MOST_ENTRIES: Final = 100_000
_LARGEST_SHARE: Final = 16
"""A result that takes more of the budget than this part would displace too many others."""
_RESULT_BYTES: Final = 600
_HIT_BYTES: Final = 300
_VALUE_BYTES: Final = 150
"""Memory of a result, of each hit without its texts, and of each value of a facet, rounded up."""


class SearchResults:
    """Results by state and request, for all models of a schema. Thread-safe.

    A result is shared by all who get it, and must not be changed.
    """

    def __init__(self, budget: int = DEFAULT_SEARCH_RESULT_BYTES) -> None:
        """`budget`: bytes, about."""
        self._largest = budget // _LARGEST_SHARE
        self._kept: LruCache[str, SearchResult] = LruCache(_MOST_ENTRIES, budget)

    def __len__(self) -> int:
        return len(self._kept)

    @staticmethod
    def key(connection: apsw.Connection, model: str, request: SearchRequest) -> str | None:
        """Returns the key of a request; None if its result cannot be kept.

        It cannot on a connection that may see more than a committed state, or whose reads are recorded.
        """
        state = committed_state(connection)
        return None if state is None else f"{state}{model}{request!r}"

    def get(self, key: str | None) -> SearchResult | None:
        """The result that was kept under a key."""
        return None if key is None else self._kept.get(key)

    def put(self, key: str | None, result: SearchResult) -> None:
        """Keeps a result, unless it is large."""
        if key is None:
            return
        weight = len(key) + _weight(result)
        if weight <= self._largest:
            self._kept.put(key, result, weight)


def _weight(result: SearchResult) -> int:
    """About the bytes that a result takes."""
    texts = sum(len(text) for hit in result.hits for text in hit.texts if text is not None)
    values = sum(len(facet.values) for facet in result.facets)
    return _RESULT_BYTES + _HIT_BYTES * len(result.hits) + texts + _VALUE_BYTES * values
