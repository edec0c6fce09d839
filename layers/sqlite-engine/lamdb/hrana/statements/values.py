"""SQL values as the protocol writes them in JSON, and back."""

import base64
import binascii
import math
from typing import Any, Final

from lamdb.errors import MalformedRequest

type SqlValue = int | float | str | bytes | None
type Json = dict[str, Any]

_INT64: Final = range(-(2**63), 2**63)
_NULL: Final[Json] = {"type": "null"}


def decode(value: Any) -> SqlValue:
    """Returns the SQL value of an argument. Raises `MalformedRequest`."""
    if not isinstance(value, dict):
        raise _malformed(value)
    match value.get("type"):
        case "text":
            content = value.get("value")
            if isinstance(content, str):
                return content
        case "integer":
            return _integer(value.get("value"))
        case "null":
            return None
        case "float":
            content = value.get("value")
            if content is None:  # A client wrote a number that JSON does not have.
                return None
            if isinstance(content, int | float) and not isinstance(content, bool):
                return float(content)
        case "blob":
            return _blob(value.get("base64"))
    raise _malformed(value)


def encode(value: Any) -> Json:
    """Returns a value of a row in the protocol's form."""
    if value is None:
        return _NULL
    kind = type(value)
    if kind is str:
        return {"type": "text", "value": value}
    if kind is int:
        return {"type": "integer", "value": str(value)}
    if kind is float:
        return {"type": "float", "value": value if math.isfinite(value) else None}
    return {"type": "blob", "base64": base64.b64encode(value).rstrip(b"=").decode()}


def _integer(content: Any) -> int:
    if isinstance(content, int) and not isinstance(content, bool):
        number = content
    elif isinstance(content, str) and len(content) <= 20 and content.isascii():
        try:
            number = int(content)
        except ValueError:
            raise _malformed(content) from None
    else:
        raise _malformed(content)
    if number not in _INT64:
        raise MalformedRequest(f"The integer {number} does not fit into 64 bits.", hint="")
    return number


def _blob(content: Any) -> bytes:
    if isinstance(content, str):
        try:
            return base64.b64decode(content + "=" * (-len(content) % 4), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise MalformedRequest("A blob's `base64` is not base64.", hint="")


def _malformed(value: Any) -> MalformedRequest:
    return MalformedRequest(
        f"An argument is not a value of the protocol: {str(value)[:80]!r}.",
        hint='A value is written as {"type": "integer", "value": "1"}; docs/sql.md lists all types.',
    )
