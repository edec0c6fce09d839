"""Statistics of FTS5 about an index as a whole, and the list of a database's indexes."""

import re
from dataclasses import dataclass
from typing import Final, NamedTuple, Self

import apsw

from lamdb.search.definition import OWN_PREFIX, SearchDefinition
from lamdb.search.tables import quote

_AVERAGES: Final = 1
"""The row of FTS5's `_data` table that holds the totals (`FTS5_AVERAGES_ROWID` in its source)."""
_STRUCTURE: Final = 10
"""The row that lists the segments by level (`FTS5_STRUCTURE_ROWID`)."""
_COOKIE_BYTES: Final = 4
_HIGH_LEVEL: Final = 4
_LARGE_SEGMENT: Final = 64
"""Pages."""

_CONTENT: Final = re.compile(r"content='(?P<rows>(?:[^']|'')+)'")


@dataclass(frozen=True, slots=True)
class SearchIndex:
    """The FTS5 table of a search, the view that is its content, and the columns of text."""

    name: str
    rows: str
    columns: tuple[str, ...]

    @property
    def side(self) -> str:
        """The side table, which an index without facets and rank does not have."""
        return f"{self.rows.removesuffix('_rows')}_side"

    @classmethod
    def of(cls, definition: SearchDefinition) -> Self:
        """The index of a definition."""
        return cls(definition.index, definition.rows, tuple(field.column for field in definition.fields))


class Totals(NamedTuple):
    """The number of documents, and of words in each field of all documents."""

    documents: int
    tokens: tuple[int, ...]


def indexes(connection: apsw.Connection) -> list[SearchIndex]:
    """Returns the indexes of searches that a database has, without its schema."""
    found = []
    tables = connection.execute(
        "SELECT name, sql FROM sqlite_schema"
        " WHERE type = 'table' AND sql LIKE 'CREATE VIRTUAL TABLE %USING fts5%'"
    ).fetchall()
    for name, sql in tables:
        content = _CONTENT.search(str(sql))
        rows = content["rows"].replace("''", "'") if content else ""
        if rows.startswith(OWN_PREFIX):
            columns = connection.execute(
                "SELECT name FROM pragma_table_xinfo(?) WHERE hidden = 0 ORDER BY cid", (name,)
            )
            found.append(SearchIndex(str(name), rows, tuple(str(column) for (column,) in columns)))
    return found


def read_totals(connection: apsw.Connection, index: SearchIndex) -> Totals:
    """Reads the totals of an index: varints as in https://www.sqlite.org/fileformat2.html#record_format."""
    documents, *tokens = _varints(_row(connection, index, _AVERAGES)) or [0]
    return Totals(documents, tuple(tokens) or (0,) * len(index.columns))


def read_segments(connection: apsw.Connection, index: SearchIndex) -> list[int]:
    """Reads how many segments an index has on each level, from the newest up."""
    numbers = iter(_varints(_row(connection, index, _STRUCTURE)[_COOKIE_BYTES:]))
    levels, _, _ = next(numbers, 0), next(numbers, 0), next(numbers, 0)
    counts = []
    for _ in range(levels):
        _, segments = next(numbers), next(numbers)
        counts.append(segments)
        for _ in range(3 * segments):
            next(numbers)
    return counts


def lift(connection: apsw.Connection, index: SearchIndex) -> bool:
    """Puts the only segment of an index that was just filled on a high level, if it is large; whether it did.

    FTS5 puts what it writes on the lowest level, and merges all segments of a level at once. So the first
    merge would write the whole index anew, for the sake of a few new records.
    """
    record = _row(connection, index, _STRUCTURE)
    numbers = _varints(record[_COOKIE_BYTES:])
    if numbers[:2] != [1, 1] or numbers[3:5] != [0, 1]:
        return False
    written, (number, first, last) = numbers[2], numbers[5:8]
    if last - first < _LARGE_SEGMENT:
        return False
    lower = [0, 0] * _HIGH_LEVEL
    lifted = [_HIGH_LEVEL + 1, 1, written, *lower, 0, 1, number, first, last]
    table = quote(f"{index.name}_data")
    connection.execute(
        f"UPDATE {table} SET block = ? WHERE id = {_STRUCTURE}",
        (record[:_COOKIE_BYTES] + b"".join(map(_varint, lifted)),),
    )
    # FTS5 forgets what it holds in memory of the segments when a change is undone.
    name = quote(index.name)
    connection.execute(
        f"SAVEPOINT lamdb_lift; INSERT INTO {name} ({name}, rank) VALUES ('automerge', 0);"
        " ROLLBACK TO lamdb_lift; RELEASE lamdb_lift"
    )
    return True


def _row(connection: apsw.Connection, index: SearchIndex, number: int) -> bytes:
    table = quote(f"{index.name}_data")
    data: bytes | None = connection.execute(f"SELECT block FROM {table} WHERE id = {number}").get
    return data or b""


def _varint(number: int) -> bytes:
    """A number below 2^56 as a varint."""
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))


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
