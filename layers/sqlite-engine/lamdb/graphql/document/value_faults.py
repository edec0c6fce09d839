"""The faults of a variable's value at the place where the variable is used.

Prisma's compiler judges what is inside of input objects. What it says of a value describes all types that
would have done, so that a client is told where its own value differs from the schema instead. The rules are
those of `input_rule`, for values in place of literals. They take time that grows with the value, and stop at
the end of the request's budget.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from lamdb.graphql.document.input_position import InputPosition
from lamdb.graphql.document.misfits import fits, misfits
from lamdb.graphql.document.variables import SCALARS, VariableRefused, not_in_enum, show
from lamdb.graphql.schema.types import ApiTypes, Member
from lamdb.prisma.scalars import is_scalar_text
from lamdb.storage.budget import checkpoint

type Path = tuple[str | int, ...]

_TAKES: Final = {
    "DateTime": "a time with a zone in ISO 8601, such as 2026-01-31T12:00:00Z",
    "BigInt": "a whole number of 64 bits",
    "Decimal": "a decimal number",
    "Bytes": "base64",
    "Json": "JSON as text",
}


class Fault(NamedTuple):
    """A value that does not fit, at a place in the value of a variable.

    `name`: the argument or field that it is about, if it is inside an object.
    """

    path: Path
    value: Any
    message: str
    name: str | None


def faults(types: ApiTypes, value: Any, position: InputPosition, path: Path = ()) -> Iterator[Fault]:
    """The faults of a value, which nests no deeper than variables may. Raises `TimeLimit`, `Cancelled`."""
    if not position.members:
        return
    name = next((each for each in reversed(path) if isinstance(each, str)), None)
    if value is None:
        if position.required:
            yield Fault(path, value, f"Expected non-nullable type {position.expected} not to be null.", name)
    elif isinstance(value, list) and (items := position.items()) is not None:
        checkpoint()
        for index, each in enumerate(value):
            yield from faults(types, each, items, (*path, index))
    elif isinstance(value, dict) and position.takes_objects:
        yield from _object_faults(types, value, position.single(), path)
    elif (message := _leaf_fault(types, value, position.single())) is not None:
        yield Fault(path, value, message, name)


def custom_scalar_fault(name: str, value: Any) -> str | None:
    """Why a scalar type of the API does not take a value; None if it does."""
    if isinstance(value, str) or (type(value) is int and name == "BigInt"):
        takes = is_scalar_text(name, str(value))
    else:
        takes = name == "Json" or (name == "Decimal" and type(value) in (int, float))
    return None if takes else f"{name} cannot represent value: {show(value)}. It takes {_TAKES[name]}."


def _object_faults(
    types: ApiTypes, value: dict[str, Any], position: InputPosition, path: Path
) -> Iterator[Fault]:
    checkpoint()
    possible = [
        types.input(member.name) for member in position.members if member.kind in ("input", "reference")
    ]
    fitting = [made for made in possible if fits(made, value)]
    if not fitting:
        if any(member.name == "Json" for member in position.members):
            return
        for misfit in misfits(value, possible, position.shown):
            name = misfit.unknown or (misfit.missing[1] if misfit.missing else None)
            yield Fault(path, value, misfit.message, name)
        fitting = possible
    for name, each in value.items():
        yield from faults(types, each, InputPosition.of_field(name, fitting, position.shown), (*path, name))


def _leaf_fault(types: ApiTypes, value: Any, position: InputPosition) -> str | None:
    complaints: dict[str, str] = {}
    for member in position.members:
        complaint = _complaint(types, value, member)
        if complaint is None:
            return None
        if complaint:
            complaints[member.name] = complaint
    if "Json" in complaints:  # which takes all but some texts, so that a text is at fault
        return complaints["Json"]
    if len(complaints) == 1:
        return next(iter(complaints.values()))
    return f"Expected a value of type {position.expected}."


def _complaint(types: ApiTypes, value: Any, member: Member) -> str | None:
    """The fault of a value for a member of a union, with or without a message; `None` if there is none."""
    if member.kind in ("input", "reference"):
        return ""
    if member.kind == "enum":
        values = types.enum(member.name).values
        known = isinstance(value, str) and value in values
        return None if known else not_in_enum(value, member.name, list(values))
    if member.name in _TAKES:
        return custom_scalar_fault(member.name, value)
    try:
        SCALARS[member.name](value)
    except VariableRefused as refused:
        return str(refused)
    return None
