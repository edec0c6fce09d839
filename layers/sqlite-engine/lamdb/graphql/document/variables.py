"""The variables of an operation, coerced once per request (GraphQL October 2021, section 6.1.2).

Built-in scalars, enums, lists and non-null types are checked here, by the types that the document declares.
Input objects are only known to be objects: Prisma's compiler checks their content because it knows the
unions.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from graphql.language import (
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    TypeNode,
    VariableDefinitionNode,
    print_ast,
)
from graphql.pyutils import did_you_mean, suggestion_list

from lamdb.errors import VariablesInvalid
from lamdb.graphql.document.values import EnumName, literal
from lamdb.graphql.schema.types import ApiTypes

type Coerce = Callable[[Any], Any]


class VariableRefused(Exception):
    """A value does not fit; the text says why, without naming the variable.

    `path`: the place inside of the variable's value, from the inside. `value`: what stands there.
    """

    def __init__(self, message: str, value: Any) -> None:
        super().__init__(message)
        self.value = value
        self.path: list[str | int] = []


def refusal(name: str, message: str, value: Any, path: Sequence[str | int] = ()) -> VariablesInvalid:
    """The error of a variable with a wrong value, which is at `path` in it, in the words of GraphQL's
    reference implementation."""
    place = name + "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in path)
    at = f' at "{place}"' if path else ""
    return VariablesInvalid(
        f'Variable "${name}" got invalid value {show(value)}{at}; {message}', variable=name
    )


_MISSING = object()
_MIN_INT, _MAX_INT = -(2**31), 2**31 - 1

_LONGEST_NAME: Final = 100
"""Characters by which similar names are sought."""

_MAX_DEPTH = 100
"""How deep a variable's value may nest. Prisma's JSON parser takes 128 levels, the request around it too."""


class VariableCoercer:
    """Turns the `variables` of a request into the values of an operation's variables."""

    def __init__(self, types: ApiTypes, definitions: Sequence[VariableDefinitionNode]) -> None:
        self._variables: list[tuple[str, str, bool, Any, Coerce]] = []
        for definition in definitions:
            required = isinstance(definition.type, NonNullTypeNode)
            default = literal(definition.default_value) if definition.default_value else _MISSING
            coerce = _coercer(definition.type, types)
            if default is not _MISSING and default is not None:
                # A literal's enum names stay what they are; only GraphQL's list coercion applies.
                default = _as_declared(definition.type, default)
            name = definition.variable.name.value
            self._variables.append((name, print_ast(definition.type), required, default, coerce))

    def __call__(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The value of every variable that has one. Raises `VariablesInvalid`, naming the variable."""
        values: dict[str, Any] = {}
        for name, type_text, required, default, coerce in self._variables:
            value = given.get(name, _MISSING)
            if value is _MISSING:
                if default is not _MISSING:
                    values[name] = default
                elif required:
                    raise VariablesInvalid(
                        f'Variable "${name}" of required type "{type_text}" was not provided.', variable=name
                    )
                continue
            try:
                values[name] = coerce(value)
            except VariableRefused as refused:
                raise refusal(name, str(refused), refused.value, refused.path[::-1]) from None
        return values


def _as_declared(node: TypeNode, value: Any) -> Any:
    if isinstance(node, NonNullTypeNode):
        node = node.type
    if isinstance(node, ListTypeNode) and not isinstance(value, list):
        return [_as_declared(node.type, value)]
    return value


def _coercer(node: TypeNode, types: ApiTypes) -> Coerce:
    if isinstance(node, NonNullTypeNode):
        return _non_null(_coercer(node.type, types), print_ast(node))
    if isinstance(node, ListTypeNode):
        return _list_of(_coercer(node.type, types))
    assert isinstance(node, NamedTypeNode)
    name = node.name.value
    if (scalar := SCALARS.get(name)) is not None:
        return scalar
    kind = types.kind(name)
    if kind == "enum":
        return _enum(name, frozenset(types.enum(name).values))
    if kind == "input":
        return _input_object(name)
    return _custom_scalar


def _non_null(inner: Coerce, type_text: str) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            raise VariableRefused(f'Expected non-nullable type "{type_text}" not to be null.', value)
        return inner(value)

    return coerce


def _list_of(inner: Coerce) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, list):
            return [inner(value)]
        try:
            return [inner(each) for each in value]
        except VariableRefused:
            _refuse_item(inner, value)
            raise

    return coerce


def _refuse_item(inner: Coerce, values: list[Any]) -> None:
    """Raises `VariableRefused` for the first item that does not fit, with its place."""
    for index, each in enumerate(values):
        try:
            inner(each)
        except VariableRefused as refused:
            refused.path.append(index)
            raise


def _enum(name: str, values: frozenset[str]) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, str) and value in values:
            return EnumName(value)
        raise VariableRefused(not_in_enum(value, name, values), value)

    return coerce


def _input_object(name: str) -> Coerce:
    def coerce(value: Any) -> Any:
        if value is None:
            return None
        if type(value) is dict:
            return _bounded(value)
        raise VariableRefused(f'Expected type "{name}" to be an object.', value)

    return coerce


def _int(value: Any) -> Any:
    if value is None or (type(value) is int and _MIN_INT <= value <= _MAX_INT):
        return value
    if type(value) is float and value.is_integer() and _MIN_INT <= value <= _MAX_INT:
        return int(value)
    what = "non 32-bit signed integer" if type(value) is int else "non-integer"
    raise VariableRefused(f"Int cannot represent {what} value: {show(value)}", value)


def _float(value: Any) -> Any:
    if value is None or type(value) in (int, float):
        return value
    raise VariableRefused(f"Float cannot represent non numeric value: {show(value)}", value)


def _string(value: Any) -> Any:
    if value is None or type(value) is str:
        return value
    raise VariableRefused(f"String cannot represent a non string value: {show(value)}", value)


def _boolean(value: Any) -> Any:
    if value is None or type(value) is bool:
        return value
    raise VariableRefused(f"Boolean cannot represent a non boolean value: {show(value)}", value)


def _id(value: Any) -> Any:
    if value is None or type(value) in (str, int):
        return value
    raise VariableRefused(f"ID cannot represent value: {show(value)}", value)


def _custom_scalar(value: Any) -> Any:
    return _bounded(value) if type(value) in (dict, list) else value


def _bounded(value: Any) -> Any:
    """`value`, unless it nests so deep that following it would end in a recursion error."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if type(each) is dict else each)
            if type(inner) in (dict, list)
        ]
        if not level:
            return value
    raise VariableRefused(f"It nests more than {_MAX_DEPTH} levels deep.", value)


SCALARS: Mapping[str, Coerce] = {
    "Int": _int,
    "Float": _float,
    "String": _string,
    "Boolean": _boolean,
    "ID": _id,
}


def not_in_enum(value: Any, name: str, values: Collection[str]) -> str:
    """The message for a value that is none of an enum's."""
    if not isinstance(value, str):
        return f'Enum "{name}" cannot represent non-string value: {show(value)}.'
    similar = did_you_mean(suggestion_list(value[:_LONGEST_NAME], values), "the enum value")
    return f'Value {show(value)} does not exist in "{name}" enum.{similar}'


def show(value: Any) -> str:
    """A value as JSON, cut short."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):  # an integer of thousands of digits, or lists in lists
        return f"this {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
