"""The scalar fields of a model, and their values as files and SQLite have them."""

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from functools import partial
from math import isfinite
from typing import Any, Final

import orjson

from lamdb.errors import QueryError, UsageError
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query import generators
from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.values import (
    Decoder,
    SQLiteValue,
    compact_json,
    decoder,
    encode_datetime,
    encoder,
)

_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BOOLEANS: Final = {"true": 1, "false": 0, "TRUE": 1, "FALSE": 0, "True": 1, "False": 0, "1": 1, "0": 0}
_SHOWN: Final = 60
"""Characters of a value in a message."""
TAG: Final = "$type"
"""Prisma's JSON protocol tags values: `{"$type": "Json", "value": "null"}` is the JSON value null."""

_GENERATORS: Final[Mapping[str, Callable[..., Any]]] = {
    "now": generators.now,
    "cuid": lambda version=1: generators.GENERATORS["cuid"](version),
    "uuid": lambda version=4: generators.GENERATORS["uuid"](version),
    "ulid": generators.ulid,
    "nanoid": generators.nanoid,
}


class ValueRefused(ValueError):
    """A value that is not of its field's type."""


@dataclass(frozen=True, slots=True)
class ScalarField:
    """A scalar field.

    - `from_json`, `from_text`: convert a value of JSON Lines and of CSV, not null, for SQLite; they raise
      `ValueRefused`.
    - `decode`: converts a stored value, not null, to the API's form; None where they are the same.
    - `fill`: makes the value of a record that does not name the field; None where SQLite does, or nothing.
    """

    name: str
    column: str
    type: str
    is_required: bool
    has_default: bool
    from_json: Callable[[Any], SQLiteValue]
    from_text: Callable[[str], SQLiteValue]
    decode: Decoder | None
    fill: Callable[[], SQLiteValue] | None


@dataclass(frozen=True, slots=True)
class Model:
    """A model: its table and scalar fields, in the schema's order; `key` are the columns of its id.

    `relations`: the fields that other records are reached by, and the fields that hold their keys.
    """

    name: str
    table: str
    fields: tuple[ScalarField, ...]
    key: tuple[str, ...]
    relations: Mapping[str, tuple[str, ...]]
    refers_to_itself: bool

    @property
    def by_name(self) -> dict[str, ScalarField]:
        return {field.name: field for field in self.fields}

    def select(self) -> str:
        """The SQL that reads all records, ordered by their id."""
        columns = ", ".join(quote(field.column) for field in self.fields)
        order = f" ORDER BY {', '.join(map(quote, self.key))}" if self.key else ""
        return f"SELECT {columns} FROM {quote(self.table)}{order}"


def model_of(schema: PrismaSchema, name: str) -> Model:
    """The model with this name; for `Post.tags`, an implicit relation, its table with the keys A and B.

    Raises `UsageError` for a name that no model or relation has.
    """
    datamodel = schema.datamodel
    if "." in name:
        return _join_table(schema, name)
    found = next((model for model in datamodel["models"] if model["name"] == name), None)
    if found is None:
        raise UsageError(
            f"there is no model {name}", hint=f"The models are {', '.join(schema.models) or 'none'}."
        )
    enums = {
        enum["name"]: {value["name"]: value["dbName"] or value["name"] for value in enum["values"]}
        for enum in datamodel["enums"]
    }
    scalars = [each for each in found["fields"] if each["kind"] != "object" and not each["isList"]]
    columns = {each["name"]: each.get("dbName") or each["name"] for each in scalars}
    key = (found["primaryKey"] or {}).get("fields") or [each["name"] for each in scalars if each["isId"]]
    related = [each for each in found["fields"] if each["kind"] == "object"]
    return Model(
        name=name,
        table=found["dbName"] or name,
        fields=tuple(_field(each, columns[each["name"]], enums) for each in scalars),
        key=tuple(columns[each] for each in key),
        relations={each["name"]: tuple(each["relationFromFields"]) for each in related},
        refers_to_itself=any(each["type"] == name and each["relationFromFields"] for each in related),
    )


def _join_table(schema: PrismaSchema, name: str) -> Model:
    """A is the key of the model whose name sorts first, B that of the other, as in Prisma's table."""
    own, _, relation = name.partition(".")
    fields = {
        (model["name"], field["name"]): field
        for model in schema.datamodel["models"]
        for field in model["fields"]
        if field["kind"] == "object"
    }
    found = fields.get((own, relation))
    if found is None or not found["isList"] or not _is_implicit(found, fields):
        raise UsageError(
            f"{name} is not an implicit many-to-many relation",
            hint="Other relations are fields of a model that hold keys: name the model.",
        )
    keys = []
    for model, column in zip(sorted((own, found["type"])), "AB", strict=True):
        of_model = model_of(schema, model)
        (key,) = (field for field in of_model.fields if (field.column,) == of_model.key)
        keys.append(replace(key, name=column, column=column, has_default=False, is_required=True, fill=None))
    return Model(name, f"_{found['relationName']}", tuple(keys), ("A", "B"), {}, refers_to_itself=False)


def _is_implicit(field: Mapping[str, Any], fields: Mapping[tuple[str, str], Mapping[str, Any]]) -> bool:
    """True if both sides of a relation are lists."""
    return all(other["isList"] for other in fields.values() if other["relationName"] == field["relationName"])


def _field(dmmf: Mapping[str, Any], column: str, enums: Mapping[str, Mapping[str, str]]) -> ScalarField:
    kind = dmmf["type"]
    from_json: Callable[[Any], SQLiteValue]
    from_text: Callable[[str], SQLiteValue]
    if dmmf["kind"] == "enum":
        names = enums[kind]
        from_json = from_text = partial(_enum, kind, names)
        decode = decoder(
            {"type": "enum", "name": kind}, {kind: {stored: name for name, stored in names.items()}}
        )
    else:
        from_json, from_text = _FROM_JSON[kind], _FROM_TEXT[kind]
        decode = decoder({"type": kind.lower(), "encoding": "array"}, {})
    return ScalarField(
        name=dmmf["name"],
        column=column,
        type=kind,
        is_required=dmmf["isRequired"],
        has_default=dmmf["hasDefaultValue"] or dmmf["isUpdatedAt"],
        from_json=from_json,
        from_text=from_text,
        decode=decode,
        fill=_filler(dmmf, from_json),
    )


def _filler(
    dmmf: Mapping[str, Any], from_json: Callable[[Any], SQLiteValue]
) -> Callable[[], SQLiteValue] | None:
    """The maker of a default, as Prisma Client fills it in; SQLite's for what only the database knows."""
    if dmmf["isUpdatedAt"] and not dmmf["hasDefaultValue"]:
        return lambda: from_json(generators.now())
    if not dmmf["hasDefaultValue"]:
        return None
    default = dmmf["default"]
    if isinstance(default, Mapping):
        make = _GENERATORS.get(default["name"])
        arguments = default["args"]
        return None if make is None else lambda: from_json(make(*arguments))
    value = compact_json(default) if dmmf["type"] == "Json" else from_json(default)
    return lambda: value


# --- values ---------------------------------------------------------------------------------------


def refused(value: object, kind: str) -> ValueRefused:
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return ValueRefused(f"{repr(shown) if isinstance(value, str) else shown} is not of type {kind}")


def _enum(kind: str, names: Mapping[str, str], value: Any) -> str:
    if not isinstance(value, str) or value not in names:
        raise refused(value, f"{kind} ({', '.join(names)})")
    return names[value]


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise refused(value, "String")
    return value


def _whole(kind: str, bits: int, value: Any) -> int:
    if isinstance(value, str) and kind == "BigInt" and _INTEGER.fullmatch(value):
        value = int(value)
    if type(value) is not int or not -(1 << bits - 1) <= value < 1 << bits - 1:
        raise refused(value, kind)
    return value


def _whole_text(kind: str, bits: int, text: str) -> int:
    return _whole(kind, bits, int(text) if _INTEGER.fullmatch(text) else text)


_encode_number = encoder({"scalarType": "float"})
assert _encode_number is not None


def _float(value: Any) -> SQLiteValue:
    if type(value) is int or (type(value) is float and isfinite(value)):
        return _number("Float", value)
    raise refused(value, "Float")


def _decimal(value: Any) -> SQLiteValue:
    if type(value) in (int, float, str):
        return _number("Decimal", value)
    raise refused(value, "Decimal")


def _number(kind: str, value: Any) -> SQLiteValue:
    """A number, or text that is one, as the API stores it."""
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        raise refused(value, kind)
    try:
        if not Decimal(value).is_finite() or not isfinite(float(value)):
            raise refused(value, kind)
    except (InvalidOperation, OverflowError):
        raise refused(value, kind) from None
    return _encode_number(value)  # type: ignore[misc, no-any-return]


def _boolean(value: Any) -> int:
    if not isinstance(value, bool):
        raise refused(value, "Boolean")
    return int(value)


def _boolean_text(text: str) -> int:
    if text not in _BOOLEANS:
        raise refused(text, "Boolean (true, false)")
    return _BOOLEANS[text]


def _datetime(value: Any) -> str:
    if isinstance(value, str):
        try:
            return str(encode_datetime(value))
        except QueryError:
            pass
    raise refused(value, "DateTime (such as 2026-01-31T12:00:00.000Z)")


def _bytes(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            return b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
    raise refused(value, "Bytes (in base64)")


def _json(value: Any) -> str:
    if isinstance(value, dict) and value.get(TAG) == "Json" and value.keys() == {TAG, "value"}:
        return _json_text(_string(value["value"]))
    return orjson.dumps(value).decode()


def _json_text(text: str) -> str:
    try:
        return compact_json(text)
    except ValueError:
        raise refused(text, "Json") from None


_FROM_JSON: Final[Mapping[str, Callable[[Any], SQLiteValue]]] = {
    "String": _string,
    "Int": partial(_whole, "Int", 32),
    "BigInt": partial(_whole, "BigInt", 64),
    "Float": _float,
    "Decimal": _decimal,
    "Boolean": _boolean,
    "DateTime": _datetime,
    "Bytes": _bytes,
    "Json": _json,
}
_FROM_TEXT: Final[Mapping[str, Callable[[str], SQLiteValue]]] = {
    "String": _string,
    "Int": partial(_whole_text, "Int", 32),
    "BigInt": partial(_whole_text, "BigInt", 64),
    "Float": partial(_number, "Float"),
    "Decimal": partial(_number, "Decimal"),
    "Boolean": _boolean_text,
    "DateTime": _datetime,
    "Bytes": _bytes,
    "Json": _json_text,
}
