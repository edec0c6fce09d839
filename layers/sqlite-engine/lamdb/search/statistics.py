"""Statistics of FTS5 about an index as a whole."""

from typing import Final, NamedTuple

import apsw

from lamdb.search.definition import SearchDefinition
from lamdb.search.tables import quote

_AVERAGES: Final = 1
"""The row of FTS5's `_data` table that holds the totals (`FTS5_AVERAGES_ROWID` in its source)."""


class Totals(NamedTuple):
    """The number of documents, and of words in each field of all documents."""

    documents: int
    tokens: tuple[int, ...]


def read_totals(connection: apsw.Connection, definition: SearchDefinition) -> Totals:
    """Reads the totals of an index: varints as in https://www.sqlite.org/fileformat2.html#record_format."""
    table = quote(f"{definition.index}_data")
    data: bytes | None = connection.execute(f"SELECT block FROM {table} WHERE id = {_AVERAGES}").get
    numbers = _varints(data or b"")
    documents, *tokens = numbers or [0]
    return Totals(documents, tuple(tokens) or (0,) * len(definition.fields))


def _varints(data: bytes) -> list[int]:
    numbers, value, length = [], 0, 0
    for byte in data:
        length += 1
        if length == 9:
            numbers.append(value << 8 | byte)
        elif byte & 0x80:
            value = value << 7 | byte & 0x7F
            continue
        else:
            numbers.append(value << 7 | byte)
        value, length = 0, 0
    return numbers
