"""Statistics of the values in the columns of a database, whatever they were declared as.

SQLite's types belong to values, not to columns: an INTEGER column may hold text. Each table is read once, up
to a number of rows.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import batched
from typing import Any

import apsw

from lamdb.prisma.sqlite.catalog import Table, quote

_CANONICAL_TIME = (
    "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]:[0-9][0-9].[0-9][0-9][0-9]+00:00"
)
_COLUMNS_AT_ONCE = 100
VIEW_SECONDS = 5.0
"""A view may compute anything: after this time its columns are taken for what they were declared as."""

# Each with the column's name for {0}; in the order of the fields of `Facts`.
_MEASURES = (
    "count(*) FILTER (WHERE {0} IS NULL)",
    "count(*) FILTER (WHERE typeof({0}) = 'integer')",
    "count(*) FILTER (WHERE typeof({0}) = 'real')",
    "count(*) FILTER (WHERE typeof({0}) = 'text')",
    "count(*) FILTER (WHERE typeof({0}) = 'blob')",
    "min({0}) FILTER (WHERE typeof({0}) = 'integer')",
    "max({0}) FILTER (WHERE typeof({0}) = 'integer')",
    "max(abs({0})) FILTER (WHERE typeof({0}) = 'real')",
    f"count(*) FILTER (WHERE typeof({{0}}) = 'text' AND {{0}} GLOB '{_CANONICAL_TIME}')",
    "count(*) FILTER (WHERE typeof({0}) = 'text' AND NOT json_valid({0}))",
    "count(*) FILTER (WHERE typeof({0}) = 'text' AND NOT lamdb_is_utf8(CAST({0} AS BLOB)))",
    "count(*) FILTER (WHERE typeof({0}) = 'real' AND abs({0}) > 1.7976931348623157e308)",
)


@dataclass(frozen=True, slots=True)
class Facts:
    """How many values of a column are of which kind, of the rows that were read."""

    nulls: int = 0
    integers: int = 0
    reals: int = 0
    texts: int = 0
    blobs: int = 0
    low: int | None = None
    high: int | None = None
    """The least and the greatest integer."""
    magnitude: float | None = None
    """The greatest real, without its sign."""
    timestamps: int = 0
    """Texts of the form in which Prisma stores a DateTime."""
    not_json: int = 0
    """Texts that are not JSON."""
    not_utf8: int = 0
    """Texts that are not UTF-8: they cannot be read as text at all."""
    infinite: int = 0
    """Reals that are infinite: no Float can be."""

    @property
    def values(self) -> int:
        return self.integers + self.reals + self.texts + self.blobs

    def __add__(self, other: "Facts") -> "Facts":
        """The facts of two columns together."""
        return Facts(
            self.nulls + other.nulls,
            self.integers + other.integers,
            self.reals + other.reals,
            self.texts + other.texts,
            self.blobs + other.blobs,
            _least(self.low, other.low),
            _greatest(self.high, other.high),
            max(self.magnitude or 0.0, other.magnitude or 0.0),
            self.timestamps + other.timestamps,
            self.not_json + other.not_json,
            self.not_utf8 + other.not_utf8,
            self.infinite + other.infinite,
        )


@dataclass(frozen=True, slots=True)
class Survey:
    """The facts of one table's columns by name, and whether all of its rows were read, or too slow to be."""

    facts: dict[str, Facts]
    complete: bool = True
    too_slow: bool = False


def survey_table(connection: apsw.Connection, table: Table, rows: int | None) -> Survey:
    """Read up to `rows` rows (None: all; 0: none) of a table or view.

    Raises apsw.Error for a view that SQLite cannot evaluate.
    """
    if rows == 0 or not table.columns:
        return Survey({column.name: Facts() for column in table.columns}, complete=False)
    facts: dict[str, Facts] = {}
    try:
        with _text_check(connection), _time_limit(connection, VIEW_SECONDS if table.is_view else None):
            for columns in batched((column.name for column in table.columns), _COLUMNS_AT_ONCE, strict=False):
                facts |= _measure(connection, table.name, columns, rows)
    except apsw.InterruptError:
        return Survey({column.name: Facts() for column in table.columns}, complete=False, too_slow=True)
    complete = True
    if rows is not None:
        beyond = f"SELECT 1 FROM {quote(table.name)} LIMIT 1 OFFSET {rows}"
        complete = connection.execute(beyond).fetchone() is None
    return Survey(facts, complete)


def sample(connection: apsw.Connection, table: str, column: str, kind: str) -> str | None:
    """A value of one kind (`text`, `real`, …) as SQL writes it: one line, cut short; or None."""
    name = quote(column)
    sql = f"SELECT quote(substr({name}, 1, 40)) FROM {quote(table)} WHERE typeof({name}) = ? LIMIT 1"
    row = connection.execute(sql, (kind,)).fetchone()
    if row is None:
        return None
    return "".join(each if each.isprintable() else " " for each in str(row[0]))


def _measure(
    connection: apsw.Connection, table: str, columns: Sequence[str], rows: int | None
) -> Iterator[tuple[str, Facts]]:
    # SQLite knows no column `true` or `false` of a subquery: all get names of ours.
    names = ", ".join(f"{quote(column)} AS c{number}" for number, column in enumerate(columns))
    source = f"(SELECT {names} FROM {quote(table)}" + ("" if rows is None else f" LIMIT {rows}") + ")"
    measures = ", ".join(measure.format(f"c{n}") for n in range(len(columns)) for measure in _MEASURES)
    found: Any = connection.execute(f"SELECT {measures} FROM {source}").get
    return zip(columns, (Facts(*part) for part in batched(found, len(_MEASURES), strict=True)), strict=True)


@contextmanager
def _text_check(connection: apsw.Connection) -> Iterator[None]:
    """Lends the connection a function of SQL that says whether bytes are UTF-8."""
    encoding = connection.execute("PRAGMA encoding").get
    check: Callable[..., int] = _is_utf8 if encoding == "UTF-8" else _always
    connection.create_scalar_function("lamdb_is_utf8", check, 1, deterministic=True)
    try:
        yield
    finally:
        connection.create_scalar_function("lamdb_is_utf8", None, 1)


@contextmanager
def _time_limit(connection: apsw.Connection, seconds: float | None) -> Iterator[None]:
    """Statements of the block raise InterruptError after that time."""
    if seconds is None:
        yield
        return
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 10_000, id=_time_limit)
    try:
        yield
    finally:
        connection.set_progress_handler(None, id=_time_limit)


def _is_utf8(value: bytes) -> int:
    try:
        value.decode()
    except UnicodeDecodeError:
        return 0
    return 1


def _always(value: Any) -> int:
    """SQLite itself makes UTF-8 of the texts of a database in UTF-16."""
    return 1


def _least(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)


def _greatest(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)
