"""Records as dictionaries, and the operations of plan nodes on them."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from lamdb.errors import EngineError


def is_empty(value: Any) -> bool:
    return value is None or value == []


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def as_number(value: Any) -> int | float:
    if isinstance(value, int | float):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            return float(value)
    raise EngineError(f"Expected a number, got {value!r}")


def record_key(record: Mapping[str, Any], fields: Sequence[str]) -> Hashable:
    return tuple([record.get(field) for field in fields])


def map_field(value: Any, field: str) -> Any:
    """A field of a record, or of each record of a list; scalars and null stay what they are."""
    if isinstance(value, list):
        return [map_field(item, field) for item in value]
    return value.get(field) if isinstance(value, dict) else value


def satisfies(data: Any, rule: Mapping[str, Any]) -> bool:
    kind = rule["type"]
    if kind == "affectedRowCountEq":
        return bool(data == rule["args"])
    if kind == "never":
        return False
    rows = len(data) if isinstance(data, list) else 0 if data is None else 1
    return (rows == rule["args"]) is (kind == "rowCountEq")


def arithmetic(operation: str, left: Any, right: Any) -> Any:
    if operation == "set":
        return right
    a, b = as_number(left), as_number(right)
    match operation:
        case "add":
            return a + b
        case "subtract":
            return a - b
        case "multiply":
            return a * b
        case "divide":
            return None if b == 0 else a / b
    raise EngineError(f"Unexpected field operation type: {operation}")


# --- join -----------------------------------------------------------------------------------------


def attach(parents: list[Any], children: list[Any], child: Mapping[str, Any], *, strict: bool) -> None:
    """Adds each child record to the parents with its key."""
    parent_fields = [left for left, _ in child["on"]]
    child_fields = [right for _, right in child["on"]]
    field, unique = child["parentField"], child["isRelationUnique"]
    index: dict[Hashable, list[dict[str, Any]]] = {}
    for parent in parents:
        parent[field] = None if unique else []
        index.setdefault(record_key(parent, parent_fields), []).append(parent)
    casts = None if strict else key_casts(parents, parent_fields)
    for record in children:
        if record is None:
            continue
        key = record_key(record, child_fields) if casts is None else _cast_key(record, child_fields, casts)
        for parent in index.get(key, ()):
            if unique:
                parent[field] = record
            else:
                parent[field].append(record)


type _Cast = Callable[[Any], Any]


def key_casts(parents: list[Any], fields: Sequence[str]) -> list[_Cast | None]:
    """For each key field, the conversion to the type its first non-null parent value has."""

    def cast(field: str) -> _Cast | None:
        value = next((parent[field] for parent in parents if parent[field] is not None), None)
        if isinstance(value, int | float):
            return as_number
        return str if isinstance(value, str) else None

    return [cast(field) for field in fields]


def _cast_key(record: Mapping[str, Any], fields: Sequence[str], casts: Sequence[_Cast | None]) -> Hashable:
    return tuple(
        value if cast is None or value is None else cast(value)
        for value, cast in zip((record.get(field) for field in fields), casts, strict=True)
    )
