"""Referential actions that Prisma's plans emulate (`relationMode = "prisma"`), for several records at once.

Before `deleteMany` deletes its records, the plan reads the records that refer to them. For a relation to one
record, the plan reads them as `unique`. That is an error for more than one record, although each of several
deleted records may have one. This module changes the plan to read a list, as the rest of the plan expects.
"""

import re
from collections.abc import Mapping
from typing import Any

_EMULATED = re.compile(r'^\s*relationMode\s*=\s*"prisma"', re.MULTILINE)


def emulates_relations(schema: str) -> bool:
    """True if a schema leaves foreign keys to Prisma's plans."""
    return _EMULATED.search(schema) is not None


def read_related_of_many(node: Any, many: frozenset[str] = frozenset()) -> Any:
    """Returns the plan, changed so that records that refer to those of a list are a list, too.

    `many` are the names of lists, and of fields of all records of a list.
    """
    if isinstance(node, list):
        return [read_related_of_many(each, many) for each in node]
    if not isinstance(node, dict):
        return node
    kind, arguments = node.get("type"), node.get("args")
    if kind == "let" and isinstance(arguments, dict):
        bindings = []
        for binding in arguments["bindings"]:
            expr = read_related_of_many(binding["expr"], many)
            bindings.append({**binding, "expr": expr})
            many = many | {binding["name"]} if _is_many(expr, many) else many - {binding["name"]}
        expr = read_related_of_many(arguments["expr"], many)
        return {**node, "args": {**arguments, "bindings": bindings, "expr": expr}}
    if kind == "unique" and isinstance(arguments, dict) and _reads_of(arguments, many):
        return arguments
    return {name: read_related_of_many(each, many) for name, each in node.items()}


def _is_many(node: Mapping[str, Any], many: frozenset[str]) -> bool:
    arguments = node.get("args")
    match node.get("type"):
        case "query":
            return True
        case "get":
            return arguments["name"] in many  # type: ignore[index]
        case "mapField":
            return _is_many(arguments["records"], many)  # type: ignore[index]
        case "validate":
            return _is_many(arguments["expr"], many)  # type: ignore[index]
        case _:
            return False


def _reads_of(node: Mapping[str, Any], many: frozenset[str]) -> bool:
    """True if a node is a query for a list of values of which one of `many` holds several."""
    if node.get("type") != "query" or node["args"].get("type") != "templateSql":
        return False
    values = iter(node["args"]["args"])
    read = [
        (each["type"], next(values)) for each in node["args"]["fragments"] if each["type"] != "stringChunk"
    ]
    return any(
        kind == "parameterTuple"
        and isinstance(value, dict)
        and value.get("prisma__value", {}).get("name") in many
        for kind, value in read
    )
