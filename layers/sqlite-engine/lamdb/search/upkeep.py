"""The upkeep of searches, apart from users' writes: merging FTS5's segments, renewing vocabularies.

Each commit that changes text leaves a segment, and each segment is one more place in which a search has to
look. FTS5 would merge them in the commits themselves, some of which would then write megabytes. That is
turned off (see `lamdb.search.tables`), and done here: in transactions of their own, which take turns with the
users'.
"""

import logging
import time
from typing import Final

import apsw

from lamdb.search import vocabulary
from lamdb.search.statistics import SearchIndex, indexes, lift, read_segments
from lamdb.search.tables import quote
from lamdb.storage import Database

log = logging.getLogger("lamdb.search")

_MANY_SEGMENTS: Final = 8
"""Segments of one level from which they are merged."""
_FEWEST: Final = 4
"""Segments of one level that FTS5 takes into a merge that it was asked for."""
_PAGES: Final = 128
"""Pages that one transaction merges: 1 MiB."""
_MOST_STEPS: Final = 10_000


class SearchUpkeep:
    """Keeps the searches of one database in order. Needs no schema: it finds them by their tables."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._seen = 0

    def __call__(self, budget: float) -> bool:
        """Does what is to be done, for about `budget` seconds; whether all of it is done.

        Costs nothing if nothing was committed since the last call that did all. Raises `StorageError`.
        """
        if self._database.txid == self._seen:
            return True
        deadline = time.monotonic() + budget
        with self._database.reader() as connection:
            found = indexes(connection)
        for index in found:
            try:
                if not (self._merge(index, deadline) and self._renew(index, deadline)):
                    return False
            except apsw.Error as error:
                # Damaged, or dropped meanwhile. `lamdb verify` tells; the other searches are kept in order.
                log.warning("upkeep of a search failed", extra={"index": index.name, "reason": str(error)})
        self._seen = self._database.txid
        return True

    def _merge(self, index: SearchIndex, deadline: float) -> bool:
        with self._database.reader() as connection:
            filled = read_segments(connection, index) == [1]
        if filled:
            with self._database.writer() as connection:
                lift(connection, index)
        with self._database.reader() as connection:
            if max(read_segments(connection, index), default=0) < _MANY_SEGMENTS:
                return True
        steps = 0
        while steps < _MOST_STEPS:
            with self._database.writer() as connection:
                if not merge_step(connection, index):
                    break
            steps += 1
            if time.monotonic() >= deadline:
                return False
        log.debug("merged segments of a search", extra={"index": index.name, "steps": steps})
        return True

    def _renew(self, index: SearchIndex, deadline: float) -> bool:
        with self._database.reader() as connection:
            if not vocabulary.is_outdated(connection, index):
                return True
            if time.monotonic() >= deadline:
                return False
            made = vocabulary.make(connection, index)
        with self._database.writer() as connection:
            vocabulary.save(connection, index, made)
        log.debug("renewed the vocabulary of a search", extra={"index": index.name, "bytes": len(made.words)})
        return True


def settle(connection: apsw.Connection) -> None:
    """Does what searches need that were just filled. The connection must be able to write."""
    for index in indexes(connection):
        lift(connection, index)
        if vocabulary.is_outdated(connection, index):
            vocabulary.rebuild(connection, index)


def merge_step(connection: apsw.Connection, index: SearchIndex) -> bool:
    """Merges some segments, 1 MiB at most; whether there was something to merge."""
    if max(read_segments(connection, index), default=0) < _FEWEST:
        return False
    name = quote(index.name)
    before = connection.total_changes()
    connection.execute(f"INSERT INTO {name} ({name}, rank) VALUES ('merge', {_PAGES})")
    # FTS5 counts the INSERT itself; another change means that pages were written.
    return connection.total_changes() - before >= 2
