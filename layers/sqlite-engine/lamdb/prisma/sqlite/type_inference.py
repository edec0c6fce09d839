"""Infers a column's Prisma type from its declaration and its values.

A field must never fail on a value that is there, and comparing must mean what it says. So a column declared
as DATETIME becomes a DateTime only if its texts have the form that Prisma itself stores and binds; other
times keep their own form, as String, BigInt or Float.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from lamdb.counting import counted
from lamdb.prisma.sqlite.catalog import Column
from lamdb.prisma.sqlite.column_statistics import Facts

COLUMN_TYPES: Final = {
    "Int": "INTEGER",
    "BigInt": "BIGINT",
    "Float": "REAL",
    "Decimal": "DECIMAL",
    "String": "TEXT",
    "Boolean": "BOOLEAN",
    "DateTime": "DATETIME",
    "Json": "JSONB",
    "Bytes": "BLOB",
}
"""The column types that Prisma's migrations make, by Prisma type."""

_INT32: Final = range(-(2**31), 2**31)
_LARGEST: Final = 1.7976931348623157e308

# The names of types that Prisma's engine takes for one of its own; all others it calls unsupported.
_KNOWN = {
    **dict.fromkeys(("int", "integer", "serial"), "Int"),
    "bigint": "BigInt",
    **dict.fromkeys(("real", "double", "float"), "Float"),
    **dict.fromkeys(("date", "datetime", "timestamp"), "DateTime"),
    "boolean": "Boolean",
    "jsonb": "Json",
    "blob": "Bytes",
    "text": "String",
}
# What others mean by theirs, looked for in this order.
_MEANT = (
    (re.compile(r"^bool"), "Boolean"),
    (re.compile(r"^(datetime|timestamp|date\b)"), "DateTime"),
    (re.compile(r"^json"), "Json"),
    (re.compile(r"^(int8|unsigned big int|big ?int|int64|long\b)"), "BigInt"),
    (re.compile(r"int(?!erval)"), "Int"),
    (re.compile(r"char|text|clob|string|uuid|guid|xml"), "String"),
    (re.compile(r"blob|binary|bytea|image"), "Bytes"),
    (re.compile(r"real|floa|doub"), "Float"),
    (re.compile(r"^(numeric|decimal|dec\b|money)"), "Decimal"),
)
_TIME_NAME = re.compile(r"time|date|_utc$|utc_|_at$|_on$|stamp|expir|created|modified|updated", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fit:
    """A field's type; `note` says for people what its values are like, where the declaration does not.

    Without a type no field can read the column.
    """

    type: str | None
    note: str | None = None


def engine_type(declared: str) -> str | None:
    """The Prisma type that the schema engine has for a declared type; None if it knows none."""
    name = declared.strip().lower()
    if name in _KNOWN:
        return _KNOWN[name]
    base = re.sub(r"\(.*", "", name)
    if "char" in base:
        return "String"
    return "Decimal" if base in ("numeric", "decimal") else None


def meant_type(declared: str) -> str | None:
    """The Prisma type that a declared type stands for; None if its name gives no indication."""
    known = engine_type(declared)
    if known is not None:
        return known
    name = re.sub(r"\s*\(.*?\)", "", declared.strip().lower())
    return next((meant for pattern, meant in _MEANT if pattern.search(name)), None)


def fit(columns: Iterable[tuple[Column, Facts]]) -> str | None:
    """The type of one field, or of several that refer to one another (the first is the one referred to).

    None if no field can read the values.
    """
    members = list(columns)
    first = members[0][0]
    facts = sum((each for _, each in members), start=Facts())
    if facts.not_utf8:
        return None
    meant = meant_type(first.declared)
    # Times outgrow 32 bits, sooner or later.
    is_time = meant == "DateTime" or (not facts.high and _TIME_NAME.search(first.name) is not None)
    if meant == "Int" and is_time and _READS["Int"](facts):
        return "BigInt"
    if not facts.values:
        return meant or "String"
    if meant is not None and _READS[meant](facts):
        return meant
    fitting = (name for name in _FALLBACKS if _READS[name](facts) and not (is_time and name == "Int"))
    return next(fitting, "Bytes")


def describe(column: Column, facts: Facts, type_: str | None) -> str | None:
    """The properties of a column's values that its declaration does not show."""
    if facts.not_utf8:
        return f"{counted(facts.not_utf8, 'text')} not in UTF-8"
    if not facts.values:
        return None
    meant = meant_type(column.declared)
    times = _times(column, facts, is_date=meant == "DateTime" and type_ != "DateTime")
    if times is not None or meant is None or meant == type_ or _READS[meant](facts):
        return times
    return _kinds(facts)


_READS: dict[str, Callable[[Facts], bool]] = {
    "Int": lambda facts: _only_integers(facts) and _in_int32(facts.low) and _in_int32(facts.high),
    "BigInt": lambda facts: _only_integers(facts),
    "Float": lambda facts: _only_numbers(facts),
    "Decimal": lambda facts: _only_numbers(facts),
    "Boolean": lambda facts: _only_integers(facts) and facts.low in (0, 1) and facts.high in (0, 1),
    "DateTime": lambda facts: facts.timestamps == facts.values,
    "Json": lambda facts: not facts.blobs and not facts.not_json and _is_finite(facts),
    # Numbers among texts are read as texts. What is among BLOBs is read as the bytes of its text.
    "String": lambda facts: not facts.blobs,
    "Bytes": lambda facts: facts.blobs == facts.values,
}
_FALLBACKS = ("Int", "BigInt", "Float", "String")


def _in_int32(value: int | None) -> bool:
    return value is None or value in _INT32


def _only_integers(facts: Facts) -> bool:
    return facts.integers == facts.values


def _only_numbers(facts: Facts) -> bool:
    return facts.integers + facts.reals == facts.values and _is_finite(facts)


def _is_finite(facts: Facts) -> bool:
    return (facts.magnitude or 0.0) <= _LARGEST


def _times(column: Column, facts: Facts, *, is_date: bool) -> str | None:
    """How the column keeps times, if it seems to."""
    if not is_date and not _TIME_NAME.search(column.name):
        return None
    if facts.integers == facts.values and facts.high is not None:
        for unit, low, high in _UNITS:
            if low <= facts.high <= high:
                return unit
    if is_date and facts.reals == facts.values and 1.7e6 <= (facts.magnitude or 0.0) <= 3e6:
        return "Times as Julian days"
    if is_date and facts.texts == facts.values:
        return "Times as text"
    return None


# Each from 1998 to 2049 or so.
_UNITS = (
    ("Times in microseconds since 1601-01-01, as Chromium has them", 125 * 10**14, 142 * 10**14),
    ("Times in microseconds since 1970-01-01", 9 * 10**14, 25 * 10**14),
    ("Times in milliseconds since 1970-01-01", 9 * 10**11, 25 * 10**11),
    ("Times in seconds since 1970-01-01", 9 * 10**8, 25 * 10**8),
)


def _kinds(facts: Facts) -> str:
    """Such as `3 integers, 1 text`."""
    counts = (
        (facts.integers, "integer"),
        (facts.reals, "real"),
        (facts.texts, "text"),
        (facts.blobs, "BLOB"),
    )
    found = ", ".join(counted(number, word) for number, word in counts if number)
    if facts.low is not None and facts.high is not None and _only_integers(facts):
        return f"{found} from {facts.low} to {facts.high}"
    return f"{found}, {facts.infinite:,} of them infinite" if facts.infinite else found
