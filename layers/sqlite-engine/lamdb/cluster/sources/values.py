"""Converts values of an event's item to Prisma's JSON protocol, by the field's type.

Values come as JSON has them, numbers also as `Decimal`, or from DynamoDB: binary as bytes, sets as lists.
"""

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any, Final

import orjson

from lamdb.errors import EventError
from lamdb.prisma.datamodel.mirrors import MirroredColumn
from lamdb.prisma.json_text import number
from lamdb.prisma.scalars import is_exact_decimal

ABSENT: Final = object()
"""The value at a path that leads nowhere."""

_LAST_SECOND: Final = 100_000_000_000
"""A number from here on counts milliseconds since 1970, a smaller one seconds (until the year 5138)."""

_MAX_INT64: Final = 2**63 - 1
_MOST_DIGITS: Final = 400
_COUNT: Final = re.compile(r"[0-9]{9,13}")
"""Text that counts seconds or milliseconds. With 8 digits it is a date (20240131); other lengths are
ambiguous."""

_INT32: Final = 2**31
"""Int of GraphQL and Prisma has 32 bits."""


def at(item: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value at a path of names and, for lists, numbers from 0; `ABSENT` if nothing does."""
    found: Any = item
    for step in path:
        match found:
            case Mapping() if step in found:
                found = found[step]
            case list() if step.isascii() and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            case _:
                return ABSENT
    return found


def protocol(column: MirroredColumn, value: Any) -> Any:
    """A value for a field. Raises `EventError`, which names the field and not the value."""
    if value is None:
        return {"$type": "Enum", "value": "DbNull"} if column.type == "Json" else None
    try:
        return _CONVERT[column.type](value)
    except (ValueError, TypeError, InvalidOperation, OverflowError, binascii.Error):
        raise EventError(
            f"The event's {'.'.join(column.path)!r} is no {column.type}, which {column.name} is."
        ) from None


def _string(value: Any) -> str:
    match value:
        case str():
            return value
        case bool():
            raise TypeError
        case int() | float():
            return str(value)
        case Decimal():
            return format(value, "f")
    raise TypeError


def _decimal(value: Any) -> Decimal:
    match value:
        case bool():
            raise TypeError
        case int() | Decimal() | str():
            made = Decimal(value)
        case float():
            made = Decimal(repr(value))
        case _:
            raise TypeError
    if not made.is_finite():
        raise ValueError
    return made


def _whole(value: Any) -> int:
    made = _decimal(value)
    if made != made.to_integral_value():
        raise ValueError
    return int(made)


def _int(value: Any) -> int:
    made = _whole(value)
    if not -_INT32 <= made < _INT32:
        raise ValueError
    return made


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _enum(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _time(value: Any) -> dict[str, str]:
    if isinstance(value, str) and not _COUNT.fullmatch(value):
        moment = datetime.fromisoformat(value)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    else:
        count = _decimal(value)
        seconds = count / 1000 if abs(count) >= _LAST_SECOND else count
        moment = datetime.fromtimestamp(float(seconds), UTC)
    text = moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"$type": "DateTime", "value": text}


def _exact(value: Any) -> dict[str, str]:
    """A Decimal. Raises `ValueError` for one that SQLite would round."""
    made = _decimal(value)
    if not is_exact_decimal(made):
        raise ValueError
    return {"$type": "Decimal", "value": str(made)}


def _float(value: Any) -> float:
    made = float(_decimal(value))
    if not isfinite(made):
        raise ValueError
    return made


def _bytes(value: Any) -> dict[str, str]:
    content = value if isinstance(value, bytes) else base64.b64decode(value, validate=True)
    return {"$type": "Bytes", "value": base64.b64encode(content).decode()}


def _json(value: Any) -> dict[str, str]:
    """Json with every digit. Raises `ValueError` for a number that is the whole value and would be rounded:
    SQLite keeps it as a number.
    """
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        value = Decimal(_exact(value)["value"])
    return {"$type": "Json", "value": orjson.dumps(_long_integers(value), default=_json_value).decode()}


def _long_integers(value: Any) -> Any:
    """The value with integers beyond 64 bits as decimals, which orjson hands over to `_json_value`."""
    if isinstance(value, dict):
        return {name: _long_integers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_long_integers(each) for each in value]
    if type(value) is int and abs(value) > _MAX_INT64:
        return Decimal(value)
    return value


def _json_value(value: Any) -> Any:
    match value:
        case Decimal() if value == value.to_integral_value() and abs(value) <= _MAX_INT64:
            return int(value)
        case Decimal() if value.is_finite():
            return number(format(value, "f") if abs(value.adjusted()) < _MOST_DIGITS else str(value))
        case bytes():
            return base64.b64encode(value).decode()
    raise TypeError


_CONVERT: Final = {
    "String": _string,
    "Int": _int,
    "BigInt": lambda value: {"$type": "BigInt", "value": str(_whole(value))},
    "Float": _float,
    "Decimal": _exact,
    "Boolean": _bool,
    "DateTime": _time,
    "Json": _json,
    "Bytes": _bytes,
    "Enum": _enum,
}
