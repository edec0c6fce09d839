"""`dataMap`: converts records to JSON-ready output, in the order of the selection or of a caller's shape."""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from lamdb.errors import EngineError
from lamdb.prisma.query.plan.shape import Constant, Nested, Part, ScalarOutput, Shape
from lamdb.prisma.values import NAMED, decoder, inconsistent, is_required, named

type Convert = Callable[[Any], Any]
type Enums = Mapping[str, Mapping[str, str]]
type Structure = Mapping[str, Any]


def parts_of(
    fields: Mapping[str, Structure], shape: Shape | None
) -> list[tuple[str, Structure | Constant, Shape | None]]:
    """(output key, the field's structure or a constant, the shape below) for each key of an object."""
    if shape is None:
        return [(name, structure, None) for name, structure in fields.items()]
    return [_bind_part(part, fields) for part in shape.parts]


def _bind_part(part: Part, fields: Mapping[str, Structure]) -> tuple[str, Structure | Constant, Shape | None]:
    if isinstance(part, Constant):
        return part.key, part, None
    structure = fields[part.source]
    wanted = "field" if isinstance(part, ScalarOutput) else "object"
    if structure["type"] != wanted:
        raise KeyError(f"'{part.source}' is {structure['type']} in the plan, not {wanted}")
    return part.key, structure, part.shape if isinstance(part, Nested) else None


def check_shape(tree: Structure, shape: Shape) -> None:
    """Raises `KeyError` unless the plan returns all fields of the shape."""
    tree = tree["args"] if tree["type"] == "transaction" else tree
    if tree["type"] != "dataMap":
        raise KeyError("the plan's output has no shape")
    _check_structure(tree["args"]["structure"], shape)


def _check_structure(structure: Structure, shape: Shape) -> None:
    if structure["type"] == "affectedRows":
        affected_rows_parts(shape)
        return
    for _, part, below in parts_of(structure["fields"], shape):
        if below is not None and not isinstance(part, Constant):
            _check_structure(part, below)


def compile_structure(structure: Structure, enums: Enums, shape: Shape | None) -> Convert:
    """The function from a node's value to the output."""
    match structure["type"]:
        case "affectedRows":
            return _compile_affected_rows(shape)
        case "field":
            return compile_field(structure["fieldType"], enums, structure.get("dbName", ""))
        case "object":
            return _compile_object(structure, enums, shape)
    raise EngineError(f"Invalid data mapping type: '{structure['type']}'")


def affected_rows_parts(shape: Shape | None) -> list[tuple[str, bool, Any]]:
    """(key, whether it is the count, the constant otherwise)."""
    if shape is None:
        return [("count", True, None)]
    parts: list[tuple[str, bool, Any]] = []
    for part in shape.parts:
        if isinstance(part, Constant):
            parts.append((part.key, False, part.value))
        elif part.source == "count" and isinstance(part, ScalarOutput):
            parts.append((part.key, True, None))
        else:
            raise KeyError(part.source)
    return parts


def _compile_affected_rows(shape: Shape | None) -> Convert:
    parts = affected_rows_parts(shape)

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, int | float):
            raise inconsistent(f"Expected an affected rows count, got: {value!r}")
        return {key: value if is_count else constant for key, is_count, constant in parts}

    return convert


def compile_field(field_type: Mapping[str, Any], enums: Enums, column: str) -> Convert:
    decode = decoder(field_type, enums)
    if field_type["arity"] == "list":

        def convert_list(value: Any) -> Any:
            if value is None:
                return []
            return list(value) if decode is None else [decode(item) for item in value]

        return convert_list
    if decode is None:
        return lambda value: value
    if field_type["type"] in NAMED:
        decode = named(column, decode)
    return (
        decode if is_required(column, field_type) else lambda value: None if value is None else decode(value)
    )


def _compile_object(structure: Structure, enums: Enums, shape: Shape | None) -> Convert:
    convert_one = _compile_record(structure["fields"], enums, shape)
    skip_nulls = structure["skipNulls"]

    def convert(value: Any) -> Any:
        if value is None:
            return None
        if isinstance(value, list):
            return [convert_one(row) for row in value if row is not None or not skip_nulls]
        if isinstance(value, dict):
            return convert_one(value)
        if isinstance(value, str):
            try:
                return convert(orjson.loads(value))
            except orjson.JSONDecodeError:
                raise inconsistent(
                    "Expected an array or object, got a string that is not valid JSON"
                ) from None
        raise inconsistent(f"Expected an array or an object, got: {value!r}")

    return convert


def _compile_record(fields: Mapping[str, Structure], enums: Enums, shape: Shape | None) -> Convert:
    getters = [(key, _compile_part(key, part, enums, below)) for key, part, below in parts_of(fields, shape)]

    def convert(record: Any) -> dict[str, Any]:
        if not isinstance(record, dict):
            raise inconsistent(f"Expected an object, but got {record!r}")
        return {key: getter(record) for key, getter in getters}

    return convert


def _compile_part(name: str, part: Structure | Constant, enums: Enums, below: Shape | None) -> Convert:
    if isinstance(part, Constant):
        value = part.value
        return lambda record: value
    if part["type"] == "affectedRows":
        raise inconsistent(f"Unexpected 'AffectedRows' node in data mapping for field '{name}'")
    convert = compile_structure(part, enums, below)
    if part["type"] == "object" and part["serializedName"] is None:
        return convert
    column = part["dbName"] if part["type"] == "field" else part["serializedName"]

    def read(record: dict[str, Any]) -> Any:
        try:
            value = record[column]
        except KeyError:
            raise inconsistent(f"Missing data field: '{column}' for '{name}'") from None
        return convert(value)

    return read
