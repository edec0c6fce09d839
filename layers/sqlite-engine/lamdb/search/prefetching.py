"""Prefetches the pages of a process's first search.

SQLite asks for one page at a time. Over a store that takes 20 ms to answer, a search of 60,000 documents
would wait for some 80 of them one after the other. What it needs is known beforehand: where words stand
(`_idx`), how long documents are (`_docsize`), the side table, and the pages above all others; then the
pages of the query's words, and at last the rows of the hits.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final, cast

import apsw

from lamdb.search.definition import Language, SearchDefinition
from lamdb.search.tables import quote
from lamdb.search.vocabulary import TABLE as VOCABULARY
from lamdb.storage.btrees import Prefetcher, prefetcher

_SEGMENT_BITS: Final = 37
"""A leaf of FTS5 is the row of `_data` with the number of its segment above these bits, and its own below."""
_LEAVES: Final = 256
"""Leaves of one word that are fetched at once. SQLite reads longer lists ahead by itself."""
_SKIPS: Final = 1 << 36
"""Added to a leaf's number: the row with the places at which a long list of documents can be entered."""
_FEW_REQUESTS: Final = 2
_VOCABULARY_BYTES: Final = 384 * 1024
_AVERAGES: Final = 1
_STRUCTURE: Final = 10
"""Rows of `_data` that every search reads."""
_SHORTEST_PREFIX: Final = 3
_LAST: Final = b"\xff"
_MAIN_INDEX: Final = b"0"
"""The prefix of each word in FTS5's main index."""


class Prefetching:
    """Tracks how much of an index is cached. Thread-safe: at worst, pages are looked for twice."""

    def __init__(self, definition: SearchDefinition) -> None:
        self._definition = definition
        self._cold = True

    @contextmanager
    def of(self, connection: apsw.Connection) -> Iterator["ColdSearch | None"]:
        """Gives what fetches pages for a search; None if there is nowhere to fetch from, or no need.

        There is a need if the search before had to ask the store for pages.
        """
        pages = prefetcher(connection)
        if pages is None:
            yield None
            return
        requests = pages.requests
        yield ColdSearch(self._definition, connection, pages) if self._cold else None
        self._cold = pages.requests > requests + _FEW_REQUESTS


class ColdSearch:
    """Fetches pages for one search."""

    def __init__(self, definition: SearchDefinition, connection: apsw.Connection, pages: Prefetcher) -> None:
        self._definition = definition
        self._connection = connection
        self._pages = pages
        self._page_size: int = connection.execute("PRAGMA page_size").get
        names = [f"{definition.index}_{part}" for part in ("data", "idx", "docsize", "config")]
        self._data, self._words, self._sizes, self._options = names
        tables = (*names, definition.side, definition.table, VOCABULARY)
        self._roots: dict[str, int] = dict(
            connection.execute(
                f"SELECT name, rootpage FROM sqlite_schema WHERE name IN ({', '.join('?' * len(tables))})",
                tables,
            )
        )

    def index(self, *, side: bool) -> None:
        """Fetches what every search reads; the side table too if it is needed.

        The vocabulary comes with them if it lies near: where a deployment made the index, it does.
        """
        whole = [self._words, self._sizes, self._options]
        if side:
            whole.append(self._definition.side)
        upper = self._known([self._data, self._definition.table])
        self._pages.trees(self._known(whole), upper, self._vocabulary_pages())
        if self._definition.rank:
            # How much the rank counts stands in the vocabulary's table, found by its key.
            self._pages.pages(self._vocabulary_pages()[:2])

    def words(self, words: Sequence[str], *, prefix: bool) -> None:
        """Fetches the pages of words as the index has them; with `prefix`, all that begin with the last."""
        root = self._roots.get(self._data)
        if root is None:
            return
        rowids = [_AVERAGES, _STRUCTURE]
        for number, word in enumerate(words, 1):
            begun = prefix and number == len(words) and len(word) >= _SHORTEST_PREFIX
            rowids += self._leaves(_MAIN_INDEX + word.encode(), _LAST if begun else b"")
        self._pages.rows(root, rowids)

    def _leaves(self, word: bytes, last_letter: bytes) -> list[int]:
        """The rows of `_data` that hold the places of a word, in each segment of the index.

        With a `last_letter`, also of the words up to the one that ends with it.
        """
        table = quote(self._words)
        segments = [number for (number,) in self._connection.execute(f"SELECT DISTINCT segid FROM {table}")]
        found = []
        for segment in segments:
            place = self._connection.execute(
                f"SELECT pgno FROM {table} WHERE segid = ? AND term <= ? ORDER BY term DESC LIMIT 1",
                (segment, word),
            ).get
            if place is None:
                continue
            first, skips = divmod(place, 2)
            after = self._connection.execute(
                f"SELECT pgno >> 1 FROM {table} WHERE segid = ? AND term > ? ORDER BY term LIMIT 1",
                (segment, word + last_letter),
            ).get
            last = min(first + _LEAVES, after or first)
            found += [(segment << _SEGMENT_BITS) + page for page in range(first, last + 1)]
            if skips:
                found.append((segment << _SEGMENT_BITS) + _SKIPS + first)
        return found

    def vocabulary(self) -> None:
        """Fetches the vocabulary, whose pages lie together where it was written at once."""
        root = self._roots.get(VOCABULARY)
        if root is None:
            return
        self._pages.pages(self._vocabulary_pages())
        self._pages.trees([root])
        size = self._connection.execute(
            f"SELECT length(words) FROM {VOCABULARY} WHERE search = ?", (self._definition.index,)
        ).get
        self._pages.pages(range(root + 1, root + 2 + (size or 0) // self._page_size))

    def _vocabulary_pages(self) -> range:
        """The pages from the root of the vocabulary's table on."""
        root = self._roots.get(VOCABULARY, 0)
        return range(root, root + 1 + _VOCABULARY_BYTES // self._page_size) if root else range(0)

    def rows(self, rowids: Sequence[int]) -> None:
        """Fetches the rows of hits."""
        root = self._roots.get(self._definition.table)
        if root is not None and rowids:
            self._pages.rows(root, rowids)

    def _known(self, names: Iterable[str]) -> list[int]:
        return [self._roots[name] for name in names if name in self._roots]


def stems(connection: apsw.Connection, definition: SearchDefinition, words: Iterable[str]) -> list[str]:
    """Returns words as the index has them."""
    if definition.language is Language.EN:
        stem = connection.fts5_tokenizer("porter", ["unicode61", "remove_diacritics", "2"])
        cut = (stem(word.encode(), apsw.FTS5_TOKENIZE_QUERY, None) for word in words)
        return [
            token for tokens in cast("Iterable[list[tuple[int, int, str]]]", cut) for _, _, token in tokens
        ]
    return [word for text in words for word in text.split()]
