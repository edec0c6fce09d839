"""The meaning of "the same answer": values, errors and database files, apart from random ids and clocks."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import apsw

# Columns that Prisma fills with random values, and what those look like.
GENERATED = {
    "cuid": re.compile(r"c[a-z0-9]{24}"),
    "ownerId": re.compile(r"c[a-z0-9]{24}"),
    "owner_id": re.compile(r"c[a-z0-9]{24}"),
    "cuid2": re.compile(r"[a-z][a-z0-9]{23}"),
    "uuid4": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "uuid7": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"),
    "ulid": re.compile(r"[0-9A-HJKMNP-TV-Z]{26}"),
    "nanoid": re.compile(r"[A-Za-z0-9_-]{21}"),
    "nanoid10": re.compile(r"[A-Za-z0-9_-]{10}"),
}
CLOCKS = {"createdAt", "updatedAt"}
_TIMES = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}(Z|\+00:00)")


def differences(node: Any, ours: Any, path: str = "data", field: str = "") -> Iterator[str]:
    """Where our plain answer says something else than Node's tagged one."""
    if isinstance(node, dict) and "$type" in node:
        if not _same_tagged(node["$type"], node["value"], ours, field):
            yield f"{path}: {node['$type']} {node['value']!r} on Node, {ours!r} here"
    elif isinstance(node, dict) and isinstance(ours, dict):
        if list(node) != list(ours):
            yield f"{path}: keys {list(node)} on Node, {list(ours)} here"
        for key in node.keys() & ours.keys():
            yield from differences(node[key], ours[key], f"{path}.{key}", key)
    elif isinstance(node, list) and isinstance(ours, list):
        if len(node) != len(ours):
            yield f"{path}: {len(node)} entries on Node, {len(ours)} here"
        for index, (one, other) in enumerate(zip(node, ours, strict=False)):
            yield from differences(one, other, f"{path}[{index}]", field)
    elif not _same_scalar(node, ours, field):
        yield f"{path}: {node!r} on Node, {ours!r} here"


def error_differences(node: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """Where code, message or meta differ. What Node reports must be here; we may add to it."""
    if node["code"] not in {ours["code"], None}:
        yield f"code: {node['code']!r} on Node, {ours['code']!r} here"
    if node["message"] != ours["message"]:
        yield f"message: {node['message']!r} on Node, {ours['message']!r} here"
    meta = _without_nulls(ours["meta"])
    for key, value in _without_nulls(node["meta"]).items():
        if meta.get(key) != value:
            yield f"meta.{key}: {value!r} on Node, {meta.get(key)!r} here"
    fields = ((node["cause"] or {}).get("constraint") or {}).get("fields")
    if node["code"] in {"P2002", "P2011"} and meta.get("target") != fields:
        yield f"violated fields: {fields} on Node, {ours['meta'].get('target')} here"


def database_differences(node: Path, ours: Path) -> Iterator[str]:
    """Where two database files hold other tables or other rows."""
    one, other = _dump(node), _dump(ours)
    if one.keys() != other.keys():
        yield f"tables {sorted(one)} on Node, {sorted(other)} here"
    for table in one.keys() & other.keys():
        if one[table] != other[table]:
            rows = list(zip(one[table], other[table], strict=False))
            first = next((pair for pair in rows if pair[0] != pair[1]), None)
            sizes = f"{len(one[table])} rows on Node, {len(other[table])} here"
            yield f"{table}: {sizes}, first difference {first}"


def raw_differences(node: dict[str, Any], ours: dict[str, Any]) -> Iterator[str]:
    """Where two results of `queryRaw` differ: `{columns, types, rows}`, cells as text, Json parsed.

    Node answers Decimal cells as numbers and Json cells parsed, and leaves their conversion to the client's
    next layer; a column whose type it calls unknown may have any type here.
    """
    if node["columns"] != ours["columns"] or len(node["rows"]) != len(ours["rows"]):
        yield f"{node} on Node, {ours} here"
        return
    for kind, other, column in zip(node["types"], ours["types"], node["columns"], strict=True):
        if kind not in {other, "unknown"}:
            yield f"type of {column}: {kind} on Node, {other} here"
    for index, (row, our_row) in enumerate(zip(node["rows"], ours["rows"], strict=True)):
        for kind, value, our_value in zip(node["types"], row, our_row, strict=True):
            if kind == "json" and our_value is not None:
                our_value = json.loads(our_value)
            elif kind in {"decimal", "unknown"}:
                value, our_value = _number_text(value), _number_text(our_value)
            if value != our_value:
                yield f"row {index}: {value!r} on Node, {our_value!r} here"


def _number_text(value: Any) -> Any:
    return value if value is None else f"{float(value):.17g}"


def _without_nulls(value: Any) -> Any:
    """JavaScript's `undefined` is absent from JSON; a null says the same."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def _same_tagged(type_name: str, value: Any, ours: Any, field: str) -> bool:
    if type_name == "Json":
        return isinstance(ours, str) and json.loads(ours) == json.loads(value)
    return _same_scalar(value, ours, field)


def _same_scalar(node: Any, ours: Any, field: str) -> bool:
    if isinstance(node, bool) != isinstance(ours, bool):
        return False
    if isinstance(node, int) and isinstance(
        ours, float
    ):  # JavaScript writes a large double without its point
        node = float(node)
    return bool(node == ours) or (_masked(field, node) == _masked(field, ours) != node)


def _masked(field: str, value: Any) -> Any:
    """A generated value or a time of this run becomes its kind; everything else stays itself."""
    if not isinstance(value, str):
        return value
    if field in GENERATED and GENERATED[field].fullmatch(value):
        return f"<{GENERATED[field].pattern}>"
    if field in CLOCKS and _TIMES.fullmatch(value):
        age = datetime.now(UTC) - datetime.fromisoformat(value)
        if timedelta(0) <= age < timedelta(minutes=10):
            return "<now>"
    return value


def _dump(path: Path) -> dict[str, list[list[Any]]]:
    """Every table's columns and rows in order of their insertion, generated values masked."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    dump = {}
    for (table,) in tables:
        columns = [name for _, name, *_ in connection.execute(f'PRAGMA table_info("{table}")')]
        rows = connection.execute(f'SELECT * FROM "{table}" ORDER BY rowid').fetchall()
        dump[table] = [
            [_masked(name, value) for name, value in zip(columns, row, strict=True)] for row in rows
        ]
    connection.close()
    return dump
