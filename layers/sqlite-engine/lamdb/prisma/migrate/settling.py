"""Converts stored values to the form in which the API stores their type.

A migration fills columns by SQL, with what SQLite makes of it; a file of Prisma 6 has times in milliseconds;
other programs write times as they like. After a change of the tables the columns that it touched are looked
through. What reads as a value of the field's type is stored in its one form, and the defaults of columns are
corrected, so that SQLite itself writes that form. What cannot be read so stays, and is reported.

Triggers do not run meanwhile: nothing changes that the API would answer.
"""

import math
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import apsw

from lamdb.counting import counted
from lamdb.prisma.datamodel.defaults import FieldDefault, bare, field_defaults, value_of
from lamdb.prisma.datamodel.stored_forms import Deviation, Files, StoredColumn, deviating, stored_columns
from lamdb.prisma.migrate.scripts import enforce_foreign_keys, foreign_keys_restored
from lamdb.prisma.sqlite.catalog import MIGRATIONS_TABLE, is_own, quote
from lamdb.prisma.sqlite.default_text import change_defaults
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES
from lamdb.prisma.values import SQLiteValue, canonical_datetime
from lamdb.storage.savepoints import savepoint

_CONVERT: Final = "lamdb_canonical"
_WHOLE: Final = re.compile(r"\s*[+-]?[0-9]{1,18}\s*")
_PRISMAS: Final = re.compile(r'CREATE TABLE "[^"]+" \(\n    "[^"]+" [A-Z]+')
"""Beginning of the definition of a table that Prisma's engine wrote."""
_PRISMAS_TIME: Final = re.compile("DATETIME")
_ANY_TIME: Final = re.compile(r"(DATETIME|TIMESTAMP)( WITH(OUT)? TIME ZONE)?( ?\(\d+\))?", re.IGNORECASE)
_TRUE: Final = frozenset({"true", "t", "yes", "y", "on", "1"})
_FALSE: Final = frozenset({"false", "f", "no", "n", "off", "0"})


@dataclass(frozen=True, slots=True)
class SettledColumn:
    """The result for one column: the numbers of values that were converted and that stay in another form."""

    table: str
    column: str
    type: str
    converted: int
    left: int
    example: str
    """One that stays, or that was converted, as SQL writes it."""
    reason: str | None = None
    """SQLite's reason for refusing the converted values."""

    def __str__(self) -> str:
        place = f"{self.table}.{self.column}"
        parts = []
        if self.converted:
            parts.append(f"{counted(self.converted, 'value')} brought into the form of {self.type}")
        if self.left:
            refused = f" ({self.reason})" if self.reason else ""
            left = counted(self.left, "value")
            parts.append(f"{left} not in the form of {self.type}, such as {self.example}{refused}")
        return f"{place}: {'; '.join(parts)}"


def settle(
    connection: apsw.Connection, files: Files, tables: Collection[str] | None = None
) -> tuple[SettledColumn, ...]:
    """Bring the values of a schema's columns into the API's form, and correct the columns' defaults.

    Works in the caller's transaction, on `tables` (names in lower case; None: all), each of which is read
    once. Values that cannot be converted, or that a constraint forbids, stay as they are.
    """
    with foreign_keys_restored(connection), _without_triggers(connection):
        enforce_foreign_keys(connection, False)
        filled = dict(_replace_filled(connection, files, tables))
        settled = dict(_convert(connection, files, tables))
        _correct_defaults(connection, files)
    for place, number in filled.items():
        known = settled.get(place)
        table, column, type_ = place
        settled[place] = (
            SettledColumn(*place, number, 0, "")
            if known is None
            else SettledColumn(
                table, column, type_, known.converted + number, known.left, known.example, known.reason
            )
        )
    return tuple(settled.values())


def settle_times(connection: apsw.Connection, *, texts: bool = False) -> tuple[SettledColumn, ...]:
    """Bring the DATETIME columns of a file that Prisma made into the form of this version, without a schema.

    Prisma up to version 6 stores milliseconds. With `texts`, DATETIME and TIMESTAMP columns of any other file
    are converted, too, if their values are texts such as `2026-01-02 03:04:05`, which is UTC unless an offset
    follows. A column with a value that is not a time stays. Works in the caller's transaction.
    """
    if _is_prismas(connection):
        columns = _time_columns(connection, _PRISMAS_TIME)
    elif texts:
        linked = _linked_columns(connection)
        columns = [
            each
            for each in _time_columns(connection, _ANY_TIME)
            if (each.table.lower(), each.column.lower()) not in linked and _has_texts(connection, each)
        ]
    else:
        return ()
    settled = []
    with foreign_keys_restored(connection), _without_triggers(connection):
        enforce_foreign_keys(connection, False)
        for column, before in list(deviating(connection, columns)):
            connection.execute("SAVEPOINT lamdb_times")
            refused = _convert_group(connection, [column])
            if refused is not None or any(deviating(connection, [column])):
                connection.execute("ROLLBACK TO lamdb_times")
            else:
                settled.append(
                    SettledColumn(column.table, column.column, column.type, before.values, 0, before.example)
                )
            connection.execute("RELEASE lamdb_times")
    return tuple(settled)


def _time_columns(connection: apsw.Connection, declared: re.Pattern[str]) -> list[StoredColumn]:
    found = connection.execute(
        "SELECT t.name, c.name, c.type FROM pragma_table_list AS t JOIN pragma_table_info(t.name) AS c"
        " WHERE t.schema = 'main' AND t.type = 'table'"
    ).fetchall()
    return [
        StoredColumn("", "", str(table), str(column), "DateTime")
        for table, column, type_ in found
        if not is_own(str(table)) and declared.fullmatch(str(type_).strip())
    ]


def _has_texts(connection: apsw.Connection, column: StoredColumn) -> bool:
    """True if a column holds nothing but texts and nulls."""
    name = quote(column.column)
    others = f"SELECT 1 FROM {quote(column.table)} WHERE typeof({name}) NOT IN ('text', 'null') LIMIT 1"
    return connection.execute(others).get is None


def _is_prismas(connection: apsw.Connection) -> bool:
    """True if the file has Prisma's history, or no other tables than such as Prisma's engine writes."""
    tables = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
    ).fetchall()
    if any(name == MIGRATIONS_TABLE for name, _ in tables):
        return True
    return bool(tables) and all(_PRISMAS.match(str(sql)) for _, sql in tables)


def needs_settling(connection: apsw.Connection, files: Files) -> bool:
    """True if `settle` would have something to do, or to report, in any table."""
    return any(_wrong_defaults(connection, files)) or any(deviating(connection, stored_columns(files)))


type _Key = tuple[str, str, str]
"""Table, column, type."""


# Values.


def _convert(
    connection: apsw.Connection, files: Files, tables: Collection[str] | None
) -> Iterator[tuple[_Key, SettledColumn]]:
    found = list(deviating(connection, stored_columns(files), tables))
    linked = _linked_columns(connection) if found else frozenset()
    for group in _groups(found, linked):
        reason = _convert_group(connection, [column for column, _ in group])
        for column, before in group:
            now = next(deviating(connection, [column]), None)
            left = 0 if now is None else now[1].values
            example = before.example if now is None else now[1].example
            key = (column.table, column.column, column.type)
            yield key, SettledColumn(*key, before.values - left, left, example, reason if left else None)


def _groups(
    found: Sequence[tuple[StoredColumn, Deviation]], linked: Collection[tuple[str, str]]
) -> Iterator[list[tuple[StoredColumn, Deviation]]]:
    """Columns that refer to one another are converted together or not at all."""
    together = [each for each in found if (each[0].table.lower(), each[0].column.lower()) in linked]
    if together:
        yield together
    for each in found:
        if each not in together:
            yield [each]


def _convert_group(connection: apsw.Connection, columns: Sequence[StoredColumn]) -> str | None:
    """The reason if SQLite refused and nothing was changed."""
    try:
        with savepoint(connection, "lamdb_settle"):
            for column in columns:
                with _conversion(connection, column) as converted:
                    if converted is None:
                        continue
                    connection.execute(
                        f"UPDATE {quote(column.table)} SET {quote(column.column)} = {converted}"
                        f" WHERE {column.deviates} AND {converted} IS NOT NULL"
                    ).fetchall()
    except (apsw.ConstraintError, UnicodeDecodeError) as error:
        return str(error)
    return None


def _boolean(value: SQLiteValue) -> SQLiteValue:
    if isinstance(value, str):
        word = value.strip().lower()
        return 1 if word in _TRUE else 0 if word in _FALSE else None
    return int(value) if isinstance(value, int | float) and value in (0, 1) else None


def _whole(value: SQLiteValue) -> SQLiteValue:
    if isinstance(value, str):
        return int(value) if _WHOLE.fullmatch(value) else None
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else None


def _number(value: SQLiteValue) -> SQLiteValue:
    try:
        number = float(value) if isinstance(value, str) else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _text(value: SQLiteValue) -> SQLiteValue:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return None


def _bytes(value: SQLiteValue) -> SQLiteValue:
    return value.encode() if isinstance(value, str) else str(value).encode()


_CONVERTERS: Final[dict[str, Callable[[SQLiteValue], SQLiteValue]]] = {
    "DateTime": canonical_datetime,
    "Boolean": _boolean,
    "Int": _whole,
    "BigInt": _whole,
    "Float": _number,
    "Decimal": _number,
    "String": _text,
    "Bytes": _bytes,
}
"""Each answers None for what it cannot convert. Json is converted by SQLite."""

_JSON: Final = (
    "CASE WHEN typeof({0}) = 'text' AND json_valid({0}) THEN json({0})"
    " WHEN typeof({0}) = 'blob' AND json_valid(CAST({0} AS TEXT)) THEN json(CAST({0} AS TEXT))"
    " WHEN typeof({0}) = 'blob' AND json_valid({0}, 8) THEN json({0}) END"
)


@contextmanager
def _conversion(connection: apsw.Connection, column: StoredColumn) -> Iterator[str | None]:
    """The SQL that converts a value of a column, or is null; None if nothing can be converted."""
    name = quote(column.column)
    convert = _CONVERTERS.get(column.type)
    if convert is None:
        yield _JSON.format(name) if column.type == "Json" else None
        return
    function: Callable[..., SQLiteValue] = convert
    connection.create_scalar_function(_CONVERT, function, 1, deterministic=True)
    try:
        yield f"{_CONVERT}({name})"
    finally:
        connection.create_scalar_function(_CONVERT, None, 1)


@contextmanager
def _without_triggers(connection: apsw.Connection) -> Iterator[None]:
    before = connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1)
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0)
    try:
        yield
    finally:
        connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, before)


def _linked_columns(connection: apsw.Connection) -> frozenset[tuple[str, str]]:
    """The columns of foreign keys, on both sides, in lower case."""
    rows = connection.execute(
        'SELECT t.name, k."from", k."table", k."to" FROM pragma_table_list AS t'
        " JOIN pragma_foreign_key_list(t.name) AS k WHERE t.schema = 'main' AND t.type = 'table'"
    ).fetchall()
    own = {(str(table).lower(), str(column).lower()) for table, column, _, _ in rows}
    others = {(str(parent).lower(), str(column).lower()) for _, _, parent, column in rows if column}
    return frozenset(own | others)


# Defaults.


def _replace_filled(
    connection: apsw.Connection, files: Files, tables: Collection[str] | None
) -> Iterator[tuple[_Key, int]]:
    """Put the defaults that were meant in place of what a wrong clause of Prisma's engine filled in.

    `DEFAULT [1]` for `Json @default("[1]")` is the text 1; `DEFAULT '6869'` for Bytes is a text.
    """
    for default, found in _wrong_defaults(connection, files):
        if default.type not in ("Json", "Bytes") or found is None:
            continue
        if tables is not None and default.table.lower() not in tables:
            continue
        declared = COLUMN_TYPES[default.type]
        filled, meant = value_of(declared, found), value_of(declared, default.clause)
        if filled is None or filled == meant:
            continue
        name = quote(default.column)
        cursor = connection.execute(
            f"UPDATE {quote(default.table)} SET {name} = {default.clause}"
            f" WHERE {name} = ? AND typeof({name}) = typeof(?)",
            (filled, filled),
        )
        cursor.fetchall()
        if number := connection.changes():
            yield (default.table, default.column, default.type), number


def _correct_defaults(connection: apsw.Connection, files: Files) -> None:
    clauses: dict[str, dict[str, str]] = {}
    for default, _ in _wrong_defaults(connection, files):
        clauses.setdefault(default.table, {})[default.column.lower()] = default.clause
    for table, columns in clauses.items():
        change_defaults(connection, table, columns)


def _wrong_defaults(connection: apsw.Connection, files: Files) -> Iterator[tuple[FieldDefault, str | None]]:
    """Defaults of columns that mean what the schema says, and give something else; with their SQL."""
    found = connection.execute(
        "SELECT lower(t.name), lower(c.name), c.dflt_value FROM pragma_table_list AS t"
        " JOIN pragma_table_info(t.name) AS c"
        " WHERE t.schema = 'main' AND t.type = 'table' AND c.dflt_value IS NOT NULL"
    ).fetchall()
    defaults = {(table, column): str(text) for table, column, text in found}
    for default in field_defaults(tuple(files)):
        text = defaults.get((default.table.lower(), default.column.lower()))
        if text is not None and default.is_meant_by(text) and bare(text) != bare(default.clause):
            yield default, text
