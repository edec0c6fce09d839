"""Query plans written by hand, and every way to run them."""

from collections.abc import Mapping
from typing import Any

import apsw
import orjson
import pytest

from lamdb.prisma.query.plan import Shape
from lamdb.prisma.query.plan.closures import compile_closures
from lamdb.prisma.query.plan.json_sql import lower
from lamdb.prisma.query.plan.nodes import NotPositional
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.tables import compile_tables

type Node = dict[str, Any]

INT = {"arity": "scalar", "scalarType": "int", "dbType": None}
BIGINT = {**INT, "scalarType": "bigint"}
STRING = {**INT, "scalarType": "string"}
DATETIME = {**INT, "scalarType": "datetime"}
FLOAT = {**INT, "scalarType": "float"}


def node(kind: str, args: Any = None) -> Node:
    return {"type": kind} if args is None else {"type": kind, "args": args}


def value(args: Any) -> Node:
    return {"type": "value", "args": args}


def get(name: str) -> Node:
    return node("get", {"name": name})


def let(bindings: Mapping[str, Node], expr: Node) -> Node:
    listed = [{"name": name, "expr": bound} for name, bound in bindings.items()]
    return node("let", {"bindings": listed, "expr": expr})


def param(name: str, kind: str = "Int") -> dict[str, Any]:
    return {"prisma__type": "param", "prisma__value": {"name": name, "type": kind}}


def generator(name: str, *args: Any) -> dict[str, Any]:
    return {"prisma__type": "generatorCall", "prisma__value": {"name": name, "args": list(args)}}


def template(*parts: str | tuple[Any, Any], chunkable: bool = True) -> dict[str, Any]:
    """SQL text, and between it (argument, type) placeholders; a type in a list stands for a tuple, a list of
    several types for a list of tuples."""
    fragments: list[dict[str, Any]] = []
    args, types = [], []
    for part in parts:
        if isinstance(part, str):
            fragments.append({"type": "stringChunk", "chunk": part})
            continue
        argument, kind = part
        args.append(argument)
        if not isinstance(kind, list):
            fragments.append({"type": "parameter"})
            types.append(kind)
        elif len(kind) == 1:
            separators = {"itemPrefix": "", "itemSeparator": ",", "itemSuffix": ""}
            fragments.append({"type": "parameterTuple", **separators})
            types.append(kind[0])
        else:
            separators = {"itemPrefix": "(", "itemSeparator": ",", "itemSuffix": ")", "groupSeparator": ","}
            fragments.append({"type": "parameterTupleList", **separators})
            types.append({"arity": "tuple", "elements": kind})
    return {
        "type": "templateSql",
        "fragments": fragments,
        "args": args,
        "argTypes": types,
        "placeholderFormat": {"prefix": "?", "hasNumbering": False},
        "chunkable": chunkable,
    }


def query(*parts: str | tuple[Any, Any], chunkable: bool = True) -> Node:
    return node("query", template(*parts, chunkable=chunkable))


def execute(*parts: str | tuple[Any, Any], chunkable: bool = True) -> Node:
    return node("execute", template(*parts, chunkable=chunkable))


def raw(sql: str, *args: tuple[Any, Any], kind: str = "query") -> Node:
    values, types = [value for value, _ in args], [kind for _, kind in args]
    return node(kind, {"type": "rawSql", "sql": sql, "args": values, "argTypes": types})


def map_field(field: str, records: Node) -> Node:
    return node("mapField", {"field": field, "records": records})


def child(node_: Node, on: list[tuple[str, str]], field: str, *, unique: bool = False) -> dict[str, Any]:
    pairs = [list(pair) for pair in on]
    return {"child": node_, "on": pairs, "parentField": field, "isRelationUnique": unique}


def join(parent: Node, *children: dict[str, Any], strict: bool = True) -> Node:
    arguments = {"parent": parent, "children": list(children), "canAssumeStrictEquality": strict}
    return node("join", arguments)


def process(expr: Node, **operations: Any) -> Node:
    return node("process", {"expr": expr, "operations": operations_of(**operations)})


def operations_of(
    *,
    take: int | None = None,
    skip: int | None = None,
    cursor: dict[str, Any] | None = None,
    distinct: list[str] | None = None,
    linking: list[str] | None = None,
    reverse: bool = False,
    nested: dict[str, Any] | None = None,
) -> dict[str, Any]:
    paginated = take is not None or skip is not None or cursor is not None
    return {
        "pagination": {"cursor": cursor, "take": take, "skip": skip} if paginated else None,
        "distinct": distinct,
        "reverse": reverse,
        "linkingFields": linking,
        "nested": nested or {},
    }


def validate(expr: Node, *rules: tuple[str, Any], identifier: str = "MISSING_RECORD", **context: Any) -> Node:
    listed = [{"type": kind} if wanted is None else {"type": kind, "args": wanted} for kind, wanted in rules]
    arguments = {"expr": expr, "rules": listed, "errorIdentifier": identifier, "context": context}
    return node("validate", arguments)


# --- output ---------------------------------------------------------------------------------------


def scalar(column: str, kind: str = "int", *, arity: str = "optional", **more: Any) -> dict[str, Any]:
    return {"type": "field", "dbName": column, "fieldType": {"arity": arity, "type": kind, **more}}


def record(fields: dict[str, Any], *, under: str | None = None, skip_nulls: bool = False) -> dict[str, Any]:
    return {"type": "object", "fields": fields, "serializedName": under, "skipNulls": skip_nulls}


def data_map(expr: Node, structure: dict[str, Any], enums: dict[str, Any] | None = None) -> Node:
    return node("dataMap", {"expr": expr, "structure": structure, "enums": enums or {}})


# --- running --------------------------------------------------------------------------------------


def run_closures(
    plan: Node,
    connection: apsw.Connection,
    values: Mapping[str, Any] | None = None,
    shape: Shape | None = None,
) -> Any:
    evaluate, slots = compile_closures(plan, shape)
    return evaluate(Run(connection, values or {}, slots))


def run_tables(
    plan: Node,
    connection: apsw.Connection,
    values: Mapping[str, Any] | None = None,
    shape: Shape | None = None,
) -> Any:
    """Raises `NotPositional`."""
    evaluate, slots = compile_tables(plan, connection, shape)
    return evaluate(Run(connection, values or {}, slots))


def run_read(
    plan: Node,
    connection: apsw.Connection,
    values: Mapping[str, Any] | None = None,
    *,
    shape: Shape | None = None,
    positional: bool = True,
    lowered: bool | None = None,
) -> Any:
    """The answer of a plan of reads, the same from closures, positional rows and JSON made by SQLite.

    `positional` and `lowered` say whether those ways must be open to the plan (None: they may be).
    """
    answer = run_closures(plan, connection, values, shape)
    if positional:
        assert run_tables(plan, connection, values, shape) == answer
    else:
        with pytest.raises(NotPositional):
            run_tables(plan, connection, values, shape)
    statement = lower(plan, connection, shape)
    if lowered is not None:
        assert (statement is not None) is lowered
    if statement is not None:
        text = statement.run(connection, values or {})
        assert text is not None
        assert orjson.loads(text) == answer
        assert orjson.dumps(orjson.loads(text)) == orjson.dumps(answer)  # the order of keys, too
    return answer
