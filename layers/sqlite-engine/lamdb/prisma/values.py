"""Conversion of values to and from SQLite.

Into SQLite (`encoder`): what Prisma's adapter for better-sqlite3 binds, chosen by the plan's argument type.
Integers stay integers, floats and decimals become doubles, booleans 0/1, bytes are base64 in JSON and BLOBs
in SQLite, and a timestamp is text of the form `YYYY-MM-DDTHH:MM:SS.mmm+00:00`.

Out of SQLite (`decoder`): JSON-ready data, chosen by the plan's field type: DateTime as
`YYYY-MM-DDTHH:MM:SS.mmmZ`, BigInt and Decimal as strings, Bytes as base64, Json as compact JSON text, enums
by their names in the schema.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from math import isfinite
from typing import Any

import orjson

from lamdb.errors import QueryError
from lamdb.prisma.json_text import compact

type SQLiteValue = int | float | str | bytes | None
type Encoder = Callable[[Any], Any]
type Decoder = Callable[[Any], Any]

_MAX_EXACT = 2**53
"""Beyond it a double does not hold every integer."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def inconsistent(message: str) -> QueryError:
    """P2023: the database holds something the schema does not allow."""
    return QueryError(message, code="P2023")


# --- numbers as text ------------------------------------------------------------------------------


def decimal_text(value: Decimal) -> str:
    """A decimal as decimal.js and JavaScript print numbers: exponents from 1e21 upwards and below 1e-6."""
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        return "Infinity" if not value.is_nan() and not sign else "NaN" if value.is_nan() else "-Infinity"
    text = "".join(map(str, digits)).lstrip("0")
    stripped = text.rstrip("0")
    point = len(text) + exponent  # where the decimal point stands, counted from the first digit
    if not stripped:
        return "0"
    if 0 < point <= 21:
        body = stripped.ljust(point, "0")
        body = body[:point] + ("." + body[point:] if len(body) > point else "")
    elif -7 < point - 1 < 0:
        body = "0." + "0" * -point + stripped
    else:
        mantissa = stripped[0] + ("." + stripped[1:] if len(stripped) > 1 else "")
        body = f"{mantissa}e{point - 1:+d}"
    return "-" + body if sign else body


def number_text(value: float) -> str:
    """The text JavaScript gives a number: `1`, `0.1`, `1e+21`."""
    if isinstance(value, int):
        return str(value)
    if abs(value) < 1e16:
        if value.is_integer():
            return str(int(value))
        if abs(value) >= 1e-4:
            return repr(value)
    return decimal_text(Decimal(repr(value)))


# --- timestamps -----------------------------------------------------------------------------------

# A time at the end of the text, with its seconds, its zone and the zone's minutes where given.
_DIGITS = re.compile(r"-?[0-9]{1,19}")
_TIME = re.compile(r"\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?: ?(Z|[+-]\d{2}(:?\d{2})?))?$")


def _complete(text: str) -> str:
    """Fill in what an ISO 8601 text may lack: the time, the date, the zone, the separator."""
    match = _TIME.search(text)
    if match is None:
        return f"{text}T00:00:00Z"
    zone, zone_minutes = match.group(1), match.group(2)
    if zone is not None and text[match.start(1) - 1] == " ":
        # Prisma's migrations write a literal like this: `2020-01-01 00:00:00 +00:00`.
        text = text[: match.start(1) - 1] + zone
    if zone is None:
        text += "Z"
    elif zone != "Z" and zone_minutes is None:
        text += ":00"
    if match.start() == 0:
        return f"1970-01-01T{text}"
    separator = match.start() - 1
    if text[separator] == " ":
        text = f"{text[:separator]}T{text[separator + 1 :]}"
    return text


def _to_utc(text: str) -> str:
    """ISO 8601 text of any completeness → `YYYY-MM-DDTHH:MM:SS.mmm`, in UTC: years 0000 to 9999.

    Raises ValueError.
    """
    complete = _complete(text)
    early = complete.startswith(("0000-", "0001-"))
    if early:  # Python knows no year 0; the calendar repeats after 400 years
        complete = "04" + complete[2:]
    moment = datetime.fromisoformat(complete)
    try:
        made = moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")
    except OverflowError as error:
        raise ValueError(text) from error
    if not early:
        return made
    if made < "04":
        raise ValueError(text)
    return "00" + made[2:]


def datetime_to_text(value: Any) -> str:
    """A stored timestamp (text, or milliseconds since 1970) → `YYYY-MM-DDTHH:MM:SS.mmmZ`."""
    if type(value) is str:
        if len(value) == 29 and value[10] == "T" and value[19] == "." and value.endswith("+00:00"):
            return value[:23] + "Z"
        try:
            return _to_utc(value) + "Z"
        except ValueError:
            raise inconsistent(f"Inconsistent column data: '{value}' is not a date and time") from None
    if type(value) is int or type(value) is float:
        try:
            moment = _EPOCH + timedelta(milliseconds=value)
        except OverflowError:
            raise inconsistent(f"Inconsistent column data: {value} is out of range for a date") from None
        return moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    raise inconsistent(f"Expected a date, got {_kind(value)}: {value!r}")


def encode_datetime(value: Any) -> Any:
    """A timestamp of the request or of a row → the text that is stored, `YYYY-MM-DDTHH:MM:SS.mmm+00:00`."""
    if type(value) is not str:
        return value
    if value[17:19] != "60":  # a leap second, which no clock of JavaScript or Python knows
        if len(value) == 29 and value[10] == "T" and value[19] == "." and value.endswith("+00:00"):
            return value
        if len(value) == 24 and value[10] == "T" and value[19] == "." and value.endswith("Z"):
            return value[:23] + "+00:00"
    try:
        return _to_utc(value) + "+00:00"
    except ValueError:
        raise QueryError(
            f"Invalid date and time: '{value}'. In UTC it must lie between the years 0000 and 9999, and have "
            "no leap second.",
            code="P2007",
        ) from None


def canonical_datetime(value: SQLiteValue) -> str | None:
    """Returns a value as `datetime_to_text` reads it, in the stored form; None if it is no date and time.

    A number with a fraction is none: Prisma stores whole milliseconds.
    """
    if isinstance(value, float) and not value.is_integer():
        return None
    if value is None:
        return None
    try:
        return datetime_to_text(value)[:-1] + "+00:00"
    except QueryError:
        return None


def compact_json(text: str | bytes) -> str:
    """A JSON text in the form that the API stores. Raises ValueError."""
    return orjson.dumps(orjson.loads(text)).decode()


# --- into SQLite ----------------------------------------------------------------------------------


def _encode_integer(value: Any) -> Any:
    return int(value) if type(value) is str else value


def _encode_number(value: Any) -> Any:
    """A Float or a Decimal, which have one argument type. The column converts an integer where it must."""
    if type(value) is float or value is None:
        return value
    if type(value) is int:
        return value if abs(value) > _MAX_EXACT else float(value)
    number = float(value)
    if abs(number) >= _MAX_EXACT:
        whole = Decimal(value)
        if whole == whole.to_integral_value() and -(2**63) <= whole < 2**63:
            return int(whole)
    return number


def encode_bytes(value: Any) -> Any:
    return b64decode(value) if type(value) is str else value


def _encode_json(value: Any) -> Any:
    return orjson.dumps(value).decode() if isinstance(value, dict | list) else value


_ENCODERS: dict[str, Encoder | None] = {
    "int": _encode_integer,
    "bigint": _encode_integer,
    "float": _encode_number,
    "decimal": _encode_number,
    "datetime": encode_datetime,
    "bytes": encode_bytes,
    "json": _encode_json,
    # SQLite takes these as they are; apsw binds True and False as 1 and 0.
    "string": None,
    "enum": None,
    "uuid": None,
    "boolean": None,
    "unknown": None,
}


def encoder(argument_type: Mapping[str, Any]) -> Encoder | None:
    """The function that converts a value of the request for SQLite; None where nothing has to be done."""
    return _ENCODERS[argument_type["scalarType"]]


# --- out of SQLite --------------------------------------------------------------------------------


def _kind(value: Any) -> str:
    """The JavaScript type name Prisma's messages use."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    return "string" if isinstance(value, str) else "object"


def decode_string(value: Any) -> str:
    """Text; of a number, as a column of a database that others made may hold it among texts, its digits."""
    if type(value) is str:
        return value
    if type(value) is int or type(value) is float:
        return repr(value)
    raise inconsistent(f"Expected a string, got {_kind(value)}: {value!r}")


def decode_int(value: Any) -> int:
    """An integer of 32 bits, as GraphQL's Int; of a double or a text, its whole number."""
    number = value
    if isinstance(value, str | float):
        with suppress(ValueError, OverflowError):
            number = int(float(value))
    if type(number) is not int:
        raise inconsistent(f"Expected an integer, got {_kind(value)}: {value!r}")
    if not -0x80000000 <= number <= 0x7FFFFFFF:
        raise inconsistent(f"Inconsistent column data: {number} does not fit into Int, which has 32 bits")
    return number


def decode_bigint(value: Any) -> str:
    if type(value) is int:
        return str(value)
    if isinstance(value, float):
        if not -(2.0**63) <= value < 2.0**63:
            raise inconsistent(
                f"Inconsistent column data: {value} does not fit into BigInt, which has 64 bits"
            )
        return str(int(value))
    # `int` alone would also read blanks, underscores and the digits of other scripts.
    if isinstance(value, str) and _DIGITS.fullmatch(value) and -(2**63) <= int(value) < 2**63:
        return str(int(value))
    raise inconsistent(f"Expected a bigint, got {_kind(value)}: {value!r}")


def decode_float(value: Any) -> float:
    """A finite number: JSON has no other."""
    number = value
    if isinstance(value, str):
        with suppress(ValueError):
            number = float(value)
    if type(number) is int or (type(number) is float and isfinite(number)):
        return number
    raise inconsistent(f"Expected a float, got {_kind(value)}: {value!r}")


def decode_decimal(value: Any) -> str:
    if isinstance(value, int | float) and isfinite(value):
        return number_text(value)
    try:
        made = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        made = None
    if made is None or not made.is_finite():
        raise inconsistent(f"Expected a decimal, got {_kind(value)}: {value!r}")
    return decimal_text(made)


_BOOLEANS = {"true": True, "TRUE": True, "1": True, "false": False, "FALSE": False, "0": False}


def decode_boolean(value: Any) -> bool:
    if isinstance(value, int | float):
        return value == 1
    if isinstance(value, bytes):
        return any(value)
    if isinstance(value, str) and value in _BOOLEANS:
        return _BOOLEANS[value]
    raise inconsistent(f"Expected a boolean, got {_kind(value)}: {value!r}")


def decode_bytes(value: Any) -> str:
    """A BLOB; of text and numbers, the bytes of their text."""
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return b64encode(decode_string(value).encode()).decode()


def decode_hex(value: Any) -> str:
    r"""PostgreSQL's `\x…` form; SQLite's plans do not use it, the plan language has it."""
    if isinstance(value, str) and value.startswith("\\x"):
        try:
            return b64encode(binascii.unhexlify(value[2:])).decode()
        except ValueError:
            pass
    raise inconsistent(f"Expected a hex-encoded byte array, got {_kind(value)}: {value!r}")


def decode_json(value: Any) -> str:
    """The text of a JSON value, compact. SQLite keeps a JSON number as a number (the column is JSONB:
    NUMERIC).
    """
    if isinstance(value, int | float) and isfinite(value):
        return number_text(value)
    try:
        return compact(value.decode() if isinstance(value, bytes) else value)
    except (ValueError, TypeError, RecursionError):
        raise inconsistent(f"Inconsistent column data: {value!r} is not JSON") from None


def decode_object(value: Any) -> str:
    return orjson.dumps(value).decode()


def _decode_enum(name: str, names: Mapping[str, str] | None) -> Decoder:
    def decode(value: Any) -> str:
        if names is None:
            raise inconsistent(f"Unknown enum '{name}'")
        try:
            return names[value if isinstance(value, str) else number_text(value)]
        except (KeyError, TypeError):
            text = value if isinstance(value, str) else _kind(value)
            raise inconsistent(f"Value '{text}' not found in enum '{name}'") from None

    return decode


_DECODERS: dict[str, Decoder | None] = {
    "string": decode_string,
    "int": decode_int,
    "bigint": decode_bigint,
    "float": decode_float,
    "decimal": decode_decimal,
    "boolean": decode_boolean,
    "datetime": datetime_to_text,
    "json": decode_json,
    "object": decode_object,
    "unsupported": None,
}


_AGGREGATE = ("_sum$", "_avg$", "_min$", "_max$", "_count$")


def is_required(column: str, field_type: Mapping[str, Any]) -> bool:
    """True if a null in a result column breaks the schema. Aggregates of no rows are null."""
    return field_type["arity"] == "required" and not column.startswith(_AGGREGATE)


NAMED = frozenset({"string", "int", "float"})
"""Types of which nearly all values are put out as they are stored."""


def named(column: str, decode: Decoder) -> Decoder:
    """The decoder, whose errors name the column: for decoders that are rarely called."""

    def decode_named(value: Any) -> Any:
        try:
            return decode(value)
        except QueryError as error:
            raise QueryError(
                f"{error.message} (column `{column}`)", code=error.code, meta={**error.meta, "column": column}
            ) from None

    return decode_named


def decoder(field_type: Mapping[str, Any], enums: Mapping[str, Mapping[str, str]]) -> Decoder | None:
    """The function that converts a stored, non-null scalar to JSON-ready data; None where it is the same."""
    kind = field_type["type"]
    if kind == "enum":
        return _decode_enum(field_type["name"], enums.get(field_type["name"]))
    if kind == "bytes":
        return {"array": decode_bytes, "base64": None, "hex": decode_hex}[field_type["encoding"]]
    return _DECODERS[kind]
