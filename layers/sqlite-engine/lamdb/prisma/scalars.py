"""The values that can be placeholders, by type.

A placeholder's value is not seen by the compiler: what is let through here must be valid. Whatever is not,
stays in the request, where the compiler finds it and words the error.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

from lamdb.errors import QueryError
from lamdb.prisma.json_text import is_json

type Parameter = tuple[str, Any]
"""A placeholder's type, and its value."""


class Scalars:
    """Bits for the scalar types a position takes as a placeholder (plain integers: enum flags are slow)."""

    NONE = 0
    STRING = 1
    INT = 2
    BIGINT = 4
    FLOAT = 8
    DECIMAL = 16
    BOOLEAN = 32
    DATETIME = 64
    JSON = 128
    BYTES = 256


SCALARS = {
    "String": Scalars.STRING,
    "UUID": Scalars.STRING,
    "Int": Scalars.INT,
    "BigInt": Scalars.BIGINT,
    "Float": Scalars.FLOAT,
    "Decimal": Scalars.DECIMAL,
    "Boolean": Scalars.BOOLEAN,
    "DateTime": Scalars.DATETIME,
    "Json": Scalars.JSON,
    "Bytes": Scalars.BYTES,
}


# --- recognising scalars --------------------------------------------------------------------------

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)


def _is_datetime(text: str) -> bool:
    if _RFC3339.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def number_type(accepted: int) -> str | None:
    """The number type that a position is of, by Prisma's name; None if it takes no number."""
    return next((name for name in ("Int", "BigInt", "Float", "Decimal") if accepted & SCALARS[name]), None)


def is_exact_decimal(value: Decimal) -> bool:
    """True if SQLite keeps a decimal: as an integer of 64 bits, or as a double whose shortest text it is."""
    if not value.is_finite():
        return False
    if value.adjusted() < 19 and value == value.to_integral_value() and int(value) in _INT64:
        return True
    return Decimal(repr(float(value))) == value


def inexact_decimal(text: str, kind: str = "Decimal") -> QueryError:
    """P2033 for a decimal of more digits than SQLite keeps."""
    shown = text if len(text) <= 60 else text[:57] + "..."
    return QueryError(
        f"The {kind} {shown} cannot be kept exactly: SQLite has 64 bit floats and 64 bit integers, "
        "which hold any number of up to 15 digits. Round it, or use `String` as field type.",
        code="P2033",
    )


def _is_decimal(text: str) -> bool:
    """True if a text is a decimal. Raises `QueryError` P2033 for one that would be rounded."""
    try:
        value = Decimal(text)
    except InvalidOperation:
        return False
    if value.is_finite() and not is_exact_decimal(value):
        raise inexact_decimal(text)
    return value.is_finite()


def is_base64(text: str) -> bool:
    """True if `text` is base64 without anything else in it."""
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_json(text: str) -> bool:
    """True if a text is JSON. Raises `QueryError` P2033 for a number that SQLite would round: one that is the
    whole value is kept as a number, not as text.
    """
    if not is_json(text):
        return False
    if text.strip()[0] in "-0123456789" and not is_exact_decimal(Decimal(text.strip())):
        raise inexact_decimal(text.strip(), "Json number")
    return True


def _is_bigint(text: str) -> bool:
    digits = text.removeprefix("-")
    return len(digits) <= 19 and digits.isascii() and digits.isdecimal() and int(text) in _INT64


def _integer(value: int, accepted: int) -> Parameter | None:
    if value in _INT32 and accepted & (Scalars.INT | Scalars.BIGINT | Scalars.FLOAT):
        return "Int", value
    if value in _INT64 and accepted & Scalars.BIGINT:
        return "BigInt", value
    if accepted & (Scalars.FLOAT | Scalars.DECIMAL) and not accepted & Scalars.INT:
        return _float(value, accepted)
    return None


def _float(value: int, accepted: int) -> Parameter | None:
    """An integer where a float or a decimal is taken. Raises `QueryError` P2033 for one beyond its range."""
    if value in _INT64:
        return "Float", value
    if not accepted & Scalars.FLOAT:
        return _text(str(value), Scalars.DECIMAL)
    try:
        return "Float", float(value)
    except OverflowError:
        raise _not_finite() from None


def _finite(value: float) -> Parameter:
    if not isfinite(value):
        raise _not_finite()
    return "Float", value


def _not_finite() -> QueryError:
    return QueryError("A number used in the query does not fit into a 64 bit float.", code="P2033")


def _text(value: str, accepted: int) -> Parameter | None:
    if accepted & Scalars.STRING:
        return "String", value
    if accepted & Scalars.DATETIME and _is_datetime(value):
        return "DateTime", value
    if accepted & Scalars.BIGINT and _is_bigint(value):
        return "BigInt", value
    if accepted & Scalars.DECIMAL and _is_decimal(value):
        return "Float", value
    if accepted & Scalars.BYTES and is_base64(value):
        return "Bytes", value
    return None


# tag → (accepted by, placeholder type, check)
_TAGS = {
    "DateTime": (Scalars.DATETIME, "DateTime", _is_datetime),
    "BigInt": (Scalars.BIGINT, "BigInt", _is_bigint),
    "Decimal": (Scalars.DECIMAL, "Float", _is_decimal),
    "Bytes": (Scalars.BYTES, "Bytes", is_base64),
    "Json": (Scalars.JSON, "Json", _is_json),
}


def is_scalar_text(kind: str, text: str) -> bool:
    """True if a text is a value of a scalar type that is written as text, such as DateTime."""
    try:
        return _TAGS[kind][2](text)
    except QueryError:
        return True  # it is one, of more digits than are kept


def _tagged(value: Mapping[str, Any], accepted: int) -> Parameter | None:
    known = _TAGS.get(value["$type"])
    if known is None:
        return None
    wanted, kind, check = known
    text = value["value"]
    return (kind, text) if accepted & wanted and isinstance(text, str) and check(text) else None


def scalar_parameter(value: Any, accepted: int) -> Parameter | None:
    """The placeholder type and value of a scalar; None if the position does not take it as a placeholder."""
    kind = type(value)
    if kind is str:
        return _text(value, accepted)
    if kind is int:
        return _integer(value, accepted)
    if kind is bool:
        return ("Boolean", value) if accepted & Scalars.BOOLEAN else None
    if kind is float:
        return _finite(value) if accepted & (Scalars.FLOAT | Scalars.DECIMAL) else None
    return _tagged(value, accepted) if kind is dict and "$type" in value else None


_WIDTH = {"Int": 0, "BigInt": 1, "Float": 2}


def common_type(kinds: Iterable[str]) -> str:
    """The type of a list's items: numbers widen, anything else mixed is `Any`."""
    distinct = set(kinds)
    if len(distinct) == 1:
        return distinct.pop()
    return max(distinct, key=_WIDTH.__getitem__) if distinct <= _WIDTH.keys() else "Any"
