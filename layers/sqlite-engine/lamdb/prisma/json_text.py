"""Rewrites JSON text without blanks; numbers keep every digit.

orjson reads a number as a double or an integer of 64 bits, and would round what is longer.
"""

import json
import re
from decimal import Decimal
from typing import Any, Final

import orjson

_LONG_NUMBER: Final = re.compile(r"[\d.]{16}|\d[eE]")
"""Matches numbers that may be longer than a double. A match inside a string does no harm."""


def compact(text: str) -> str:
    """The same JSON value without blanks. Raises `ValueError` if the text is not JSON."""
    if _LONG_NUMBER.search(text) is None:
        return orjson.dumps(orjson.loads(text)).decode()
    return orjson.dumps(_read(text)).decode()


def is_json(text: str) -> bool:
    try:
        compact(text)
    except (ValueError, RecursionError):
        return False
    return True


def number(text: str) -> Any:
    """A JSON number as something that orjson writes without loss: as Python's, or as the text it is."""
    if text.removeprefix("-").isdigit():
        if len(text) <= 20 and -(2**63) <= (whole := int(text)) < 2**64:
            return whole
        return orjson.Fragment(text)
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else orjson.Fragment(text)


def _read(text: str) -> Any:
    text.encode()  # a lone surrogate is refused as orjson does, with a `ValueError`
    return json.loads(text, parse_int=number, parse_float=number, parse_constant=_refuse, strict=True)


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
