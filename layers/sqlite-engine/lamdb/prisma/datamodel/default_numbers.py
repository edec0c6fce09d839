"""Static defaults of a schema that their type cannot hold, that SQLite would round or could not read."""

import re
from collections.abc import Iterable
from decimal import Decimal
from math import isinf
from typing import Final

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.schema_text import SourcePosition, declarations
from lamdb.prisma.scalars import is_exact_decimal

_NUMBER: Final = re.compile(
    r"@default\(\s*(?P<quote>\"?)(?P<number>-?\d+(?:\.\d+)?(?:[eE][-+]?\d{1,4})?)(?P=quote)\s*\)"
)
_NULL_CHARACTER: Final = re.compile(r"@default\(\s*\"(?:[^\"\\]|\\(?!u0000).)*\\u0000")
_FIELD: Final = re.compile(r"^\s*\w+\s+(?P<type>Int|Float|Decimal|Json|String)\??\s")
_NULL_FAULT: Final = (
    "The default has a null character, where SQLite's texts end. "
    'Leave it to the database: `@default(dbgenerated("char(0)"))`.'
)


def check_defaults(files: Iterable[tuple[str, str]]) -> None:
    """Raises SchemaError (P1012), with file, line and excerpt, for the first default that cannot be kept."""
    for name, content in files:
        if "@default" not in content:
            continue
        for place in declarations(content):
            declared = _FIELD.match(place.text) if place.member is not None else None
            if declared and (fault := _fault_of_field(declared["type"], place.text)):
                raise SchemaError(f"error: {fault}\n{_excerpt(name, place)}", code="P1012")


def refitted(kind: str, attributes: str) -> tuple[str, str]:
    """(type, attributes) of a field of a database that others made: a default that `check_defaults` would
    refuse is left to the database, or makes an Int a BigInt.
    """
    number = _NUMBER.search(attributes)
    if number is None or kind not in ("Int", "Float", "Decimal", "Json"):
        return kind, attributes
    text = number["number"]
    if _fault(kind, text) is None:
        return kind, attributes
    if kind == "Int":
        return "BigInt", attributes
    return kind, attributes.replace(number[0], f'@default(dbgenerated("{text}"))')


def _fault_of_field(kind: str, text: str) -> str | None:
    if kind == "String":
        return _NULL_FAULT if _NULL_CHARACTER.search(text) else None
    number = _NUMBER.search(text.partition("//")[0])
    return _fault(kind, number["number"]) if number else None


def _fault(kind: str, text: str) -> str | None:
    if kind == "Int":
        fits = "." in text or -(2**31) <= Decimal(text) < 2**31
        return None if fits else f"The default {text} does not fit into Int, which has 32 bits. Use `BigInt`."
    if kind == "Float":
        return "The default does not fit into Float, a 64 bit float." if isinf(float(text)) else None
    if is_exact_decimal(Decimal(text)):
        return None
    return (
        f"The default {text} of a {kind} cannot be kept exactly: SQLite has floats and integers of 64 bits. "
        "Round it, or use `String`."
    )


def _excerpt(name: str, place: SourcePosition) -> str:
    return f"  -->  {name}:{place.line}\n   | \n{place.line:2} | {place.text}\n   | \n"
