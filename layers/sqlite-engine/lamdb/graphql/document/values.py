"""Converts GraphQL values to values of Prisma's JSON protocol.

GraphQL says what a value looks like, the schema says what a position takes, often one of several input types
at once (`where: { id: 1 }` and `where: { id: { gt: 1 } }`). A value is written for the member of the union
that it fits: strings for `DateTime`, `BigInt`, `Decimal`, `Bytes` and `Json` get the protocol's `$type` tag
when they are valid for it, objects are followed field by field. What fits nothing is passed on as it is, for
Prisma's compiler judges input values, and says where and what it expected (P2009).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from math import isinf
from typing import Any, Final

import orjson
from graphql.language import (
    BooleanValueNode,
    EnumValueNode,
    FloatValueNode,
    IntValueNode,
    ListValueNode,
    NullValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
)

from lamdb.errors import QueryError, VariablesInvalid
from lamdb.graphql.document.positions import ValuePosition
from lamdb.graphql.errors import TOO_LARGE_INTEGER
from lamdb.prisma.json_text import compact, number
from lamdb.prisma.query.parameters import ABSENT
from lamdb.prisma.scalars import is_base64
from lamdb.storage.budget import checkpoint

MIN_INT64: Final = -(2**63)
MAX_INT64: Final = 2**63 - 1
_MAX_DIGITS: Final = 310
"""No integer with more digits fits into a 64-bit float."""
MAX_FLOAT_TEXT: Final = 15
"""A float literal that is no longer is a double's shortest text, exponents aside."""
_MIN_INT32, _MAX_INT32 = -(2**31), 2**31 - 1
_WIDER: Final = frozenset({"BigInt", "Float", "Decimal", "Json"})

_DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")
_INTEGER = re.compile(r"[+-]?\d{1,19}")
_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?")
_NONE_LIFTED: Final[Mapping[int, str]] = {}
_JSON_NULLS: Final = frozenset({"DbNull", "JsonNull", "AnyNull"})
_FIELD_REF: Final = frozenset({"_ref", "_container"})


class LongFloat(float):
    """A float literal of many digits, with its text, of which a Decimal or Json keeps all."""

    __slots__ = ("text",)
    text: str


class EnumName(str):
    """An enum literal: a name without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"EnumName({str(self)!r})"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable at the position of a value."""

    name: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A variable in a request, with the position that says how its value is written."""

    name: str
    position: ValuePosition
    null_is_absent: bool = False

    def bind(self, variables: Mapping[str, Any]) -> Any:
        """The protocol's value, or `ABSENT`."""
        value = variables.get(self.name, ABSENT)
        if value is ABSENT or (value is None and self.null_is_absent):
            return ABSENT
        return protocol(value, self.position)


def literal(node: ValueNode, lifted: Mapping[int, str] = _NONE_LIFTED) -> Any:
    """The Python value of a literal; enum literals become `EnumName`, variables become `Variable`.

    So do the literals at the offsets of `lifted`, which names their variables (see `lifting`).
    Raises `QueryError` P2033 for a number beyond the range of a 64 bit float.
    """
    match node:
        case VariableNode():
            return Variable(node.name.value)
        case IntValueNode() | FloatValueNode() | StringValueNode() if lifted and _start(node) in lifted:
            return Variable(lifted[_start(node)])
        case NullValueNode():
            return None
        case StringValueNode() | BooleanValueNode():
            return node.value
        case IntValueNode():
            if len(node.value) > _MAX_DIGITS:
                raise QueryError(TOO_LARGE_INTEGER, code="P2033")
            return int(node.value)
        case FloatValueNode():
            return _finite(node.value)
        case EnumValueNode():
            return EnumName(node.value)
        case ListValueNode():
            return [literal(item, lifted) for item in node.values]
        case ObjectValueNode():
            return {item.name.value: literal(item.value, lifted) for item in node.fields}
        case _:
            raise TypeError(f"unknown literal {node.kind}")


def _start(node: ValueNode) -> int:
    return node.loc.start if node.loc else -1


def _int64(value: int) -> int:
    """Raises `QueryError` P2033 for an integer beyond 64 bits, as Prisma's GraphQL protocol did."""
    if MIN_INT64 <= value <= MAX_INT64:
        return value
    raise QueryError(TOO_LARGE_INTEGER, code="P2033")


def _finite(text: str) -> float:
    value = float(text)
    if isinf(value):
        raise _too_large_float(text)
    if len(text) > MAX_FLOAT_TEXT:
        value = LongFloat(value)
        value.text = text
    return value


def _too_large_float(text: str) -> QueryError:
    return QueryError(f"Query parsing failure: {text} does not fit into a 64 bit float.", code="P2033")


def _integer(value: int, at: ValuePosition) -> Any:
    """An integer as the position takes it. Raises `QueryError` P2033 for one that it has no room for."""
    scalars = at.scalars
    if "Int" in scalars:
        if not _MIN_INT32 <= value <= _MAX_INT32 and scalars.isdisjoint(_WIDER):
            if MIN_INT64 <= value <= MAX_INT64:
                raise QueryError(
                    f"Query parsing failure: {value} does not fit into Int, which has 32 bits.", code="P2033"
                )
            raise QueryError(TOO_LARGE_INTEGER, code="P2033")
        return _int64(value)
    if "Float" in scalars:
        try:
            return float(value)
        except OverflowError:
            raise _too_large_float("An integer of more than 308 digits") from None
    if "Decimal" in scalars and not MIN_INT64 <= value <= MAX_INT64:
        return {"$type": "Decimal", "value": str(value)}
    return _int64(value)


def _float(value: float, at: ValuePosition) -> Any:
    if type(value) is LongFloat:
        if "Decimal" in at.scalars and "Float" not in at.scalars:
            return {"$type": "Decimal", "value": value.text}
        return float(value)
    return value


def protocol(value: Any, at: ValuePosition) -> Any:
    """`value` as Prisma's JSON protocol writes it at position `at`; variables become `Bound`.

    Raises `QueryError` for JSON text that does not parse and for a null of unknown kind, and
    `VariablesInvalid` for an object that would pass for one of the protocol's own tagged values.
    """
    if value is None:
        return _null(at)
    kind = type(value)
    if at.only_lists and kind is not list and kind is not Variable and not _is_field_ref(value, at):
        return [protocol(value, at.item())]
    if kind is str:
        return _string(value, at)
    if kind is int:
        return _integer(value, at)
    if kind is bool or kind is float:
        return value
    if kind is LongFloat:
        return _float(value, at)
    if kind is dict:
        checkpoint()
        return _object(value, at)
    if kind is list:
        return _list(value, at)
    if kind is Variable:
        return Bound(value.name, at)
    if kind is EnumName:
        return _enum(value, at)
    raise TypeError(f"{kind.__name__} is not a GraphQL value")


def _null(at: ValuePosition) -> None:
    """A null. Raises `QueryError` where Prisma would take it for a JSON null: which is meant must be said."""
    if "Json" in at.scalars and not at.nullable:
        choice = " or ".join(sorted(at.values)) or '"null"'
        raise QueryError(f"A value is required but not set. For a null of Json, give {choice}.", code="P2009")


def _string(value: str, at: ValuePosition) -> Any:
    if not value.isascii():
        _check_unicode(value)
    scalars = at.scalars
    if not scalars or "String" in scalars:
        return value
    if "Json" in scalars:
        return {"$type": "Enum", "value": value} if value in at.values else _json_text(value)
    for scalar, valid in _TAGGED.items():
        if scalar in scalars:
            return {"$type": scalar, "value": value} if valid(value) else value
    return value


def _check_unicode(text: str) -> None:
    """Raises `VariablesInvalid` for half of a surrogate pair: JSON's escapes can write it, UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise VariablesInvalid("A string has half of a surrogate pair, which is not a character.") from None


def _json_text(text: str) -> Any:
    """JSON given as text. Raises `QueryError` if it is not JSON: untagged, it would become a JSON string.

    Written anew without blanks, as Prisma writes it, for SQLite compares JSON as text.
    """
    try:
        written = compact(text)
    except (ValueError, RecursionError) as error:
        raise QueryError(
            f"Invalid argument value. `{text}` is not a valid `JSON String`. Underlying error: {error}",
            code="P2009",
        ) from None
    return {"$type": "Json", "value": written}


def _enum(value: EnumName, at: ValuePosition) -> Any:
    name = str(value)
    if "Json" in at.scalars or not at.enums or name in _JSON_NULLS:
        # An untagged string would pass for a JSON value or a string.
        return {"$type": "Enum", "value": name}
    return name


def _list(value: list[Any], at: ValuePosition) -> Any:
    if at.takes_lists:
        item = at.item()
        return [protocol(each, item) for each in value]
    if "Json" in at.scalars:
        return Composite(value, at) if _has_variables(value) else _json(value)
    return [protocol(each, at) for each in value]


def _object(value: dict[str, Any], at: ValuePosition) -> Any:
    is_field_ref = _is_field_ref(value, at)
    if is_field_ref or (not at.objects and "Json" in at.scalars):
        if _has_variables(value):
            return Composite(value, at)
        return {"$type": "FieldRef", "value": _plain(value)} if is_field_ref else _json(value)
    if "$type" in value:
        raise VariablesInvalid('Field "$type" is not allowed in an input object.')
    at = at.of_object(value.keys())
    return {name: protocol(each, at.field_at(name)) for name, each in value.items()}


def _is_field_ref(value: Any, at: ValuePosition) -> bool:
    return at.field_ref and isinstance(value, dict) and value.keys() == _FIELD_REF


@dataclass(frozen=True, slots=True)
class Composite:
    """A JSON literal or a field reference with variables inside: it is written when they are known."""

    value: Any
    position: ValuePosition

    def bind(self, variables: Mapping[str, Any]) -> Any:
        return protocol(_plain(self.value, variables), self.position)


def _has_variables(value: Any) -> bool:
    return any(isinstance(each, Variable) for each in _leaves(value))


def _json(value: Any) -> Any:
    """A JSON value given as GraphQL lists and objects rather than as text."""
    try:
        text = orjson.dumps(_plain(value)).decode()
    except orjson.JSONEncodeError as error:
        raise QueryError(f"Invalid argument value. It is not JSON: {error}", code="P2009") from None
    return {"$type": "Json", "value": text}


def _leaves(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        for each in value.values():
            yield from _leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value


def _plain(value: Any, variables: Mapping[str, Any] | None = None) -> Any:
    """`value` as JSON: enum names as strings, variables by their values (absent ones as null)."""
    if isinstance(value, EnumName):
        return str(value)
    if isinstance(value, LongFloat):
        return number(value.text)
    if isinstance(value, Variable):
        return None if variables is None else variables.get(value.name)
    if isinstance(value, dict):
        return {name: _plain(each, variables) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each, variables) for each in value]
    return value


def _is_date_time(text: str) -> bool:
    if not _DATE_TIME.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_big_int(text: str) -> bool:
    return _INTEGER.fullmatch(text) is not None and MIN_INT64 <= int(text) <= MAX_INT64


def _is_decimal(text: str) -> bool:
    return _DECIMAL.fullmatch(text) is not None


_TAGGED: Final[dict[str, Callable[[str], bool]]] = {
    "DateTime": _is_date_time,
    "BigInt": _is_big_int,
    "Decimal": _is_decimal,
    "Bytes": is_base64,
}


def bind(template: Any, variables: Mapping[str, Any]) -> Any:
    """A template with its variables' values put in; fields and arguments of absent variables are left out."""
    if isinstance(template, dict):
        bound = {name: bind(each, variables) for name, each in template.items()}
        return {name: each for name, each in bound.items() if each is not ABSENT}
    if isinstance(template, list):
        return [None if (item := bind(each, variables)) is ABSENT else item for each in template]
    if isinstance(template, Bound | Composite):
        return template.bind(variables)
    return template
