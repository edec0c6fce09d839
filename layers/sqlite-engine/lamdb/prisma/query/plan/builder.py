"""Row builders: functions, written as Python source and compiled once, that turn rows into output objects."""

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from lamdb.prisma.query.plan.mapping import Enums, Structure, compile_field, parts_of
from lamdb.prisma.query.plan.nodes import Child, RowList
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.shape import Constant, Shape
from lamdb.prisma.values import decode_boolean, decoder, is_required, named

type Build = Callable[[Run, list[Any]], list[Any]]


def compile_builder(table: RowList, structure: Structure, enums: Enums, shape: Shape | None) -> Build:
    """The function that reads the table's children and builds the output of its rows."""
    return _Builder(table, enums).compile(structure["fields"], shape)


class _Builder:
    def __init__(self, table: RowList, enums: Enums) -> None:
        self._table = table
        self._enums = enums
        self._children = {child.field: child for child in table.children}
        self._lookups: dict[str, tuple[Child, Structure, Shape | None]] = {}
        self._names: dict[str, Any] = {}
        self._fresh = count()

    def compile(self, fields: Mapping[str, Structure], shape: Shape | None) -> Build:
        body = self._object(fields, shape)
        lines = ["def build(run, rows):", "    if not rows:", "        return []"]
        rows_of: dict[str, str] = {}
        for lookup, (child, structure, below) in self._lookups.items():
            if child.field not in rows_of:
                rows_of[child.field] = source = self._name("rows")
                lines.append(f"    {source} = {self._name('read', child.table.rows)}(run)")
            index = self._name("index", compile_index(child, structure, self._enums, below))
            lines.append(f"    {lookup} = {index}(run, {rows_of[child.field]}).get")
        columns = ", ".join(f"c{position}" for position in range(len(self._table.columns.names)))
        lines.append(f"    return [{body} for ({columns},) in rows]")
        exec("\n".join(lines), self._names)
        build: Build = self._names["build"]
        return build

    def _name(self, stem: str, value: Any = None) -> str:
        name = f"{stem}{next(self._fresh)}"
        if value is not None:
            self._names[name] = value
        return name

    def _object(self, fields: Mapping[str, Structure], shape: Shape | None) -> str:
        parts = (f"{key!r}: {self._part(part, below)}" for key, part, below in parts_of(fields, shape))
        return "{" + ", ".join(parts) + "}"

    def _part(self, part: Structure | Constant, below: Shape | None) -> str:
        if isinstance(part, Constant):
            return repr(part.value)
        if part["type"] == "field":
            return self._field(part)
        if part["serializedName"] is None:
            return self._object(part["fields"], below)
        return self._relation(part, below)

    def _field(self, part: Structure) -> str:
        column = f"c{self._table.columns.positions[part['dbName']]}"
        return convert_source(column, part["dbName"], part["fieldType"], self._enums, self._name)

    def _relation(self, part: Structure, below: Shape | None) -> str:
        child = self._children[part["serializedName"]]
        lookup = self._name("find")
        self._lookups[lookup] = (child, part, below)
        keys = [f"c{self._table.columns.positions[column]}" for column in child.parent_columns]
        key = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        return f"{lookup}({key})" if child.unique else f"{lookup}({key}) or []"


def compile_index(
    child: Child, structure: Structure, enums: Enums, shape: Shape | None
) -> Callable[[Run, list[Any]], dict[Any, Any]]:
    """Returns the child's objects by key: one (the last) for a unique relation, else lists in the order of
    the
    rows.
    """
    build = compile_builder(child.table, structure, enums, shape)
    positions = [child.table.columns.positions[column] for column in child.child_columns]
    if len(positions) == 1:
        (position,) = positions

        def keys_of(rows: list[Any]) -> list[Any]:
            return [row[position] for row in rows]
    else:

        def keys_of(rows: list[Any]) -> list[Any]:
            return [tuple([row[position] for position in positions]) for row in rows]

    if child.unique:
        return lambda run, rows: dict(zip(keys_of(rows), build(run, rows), strict=True))

    def group(run: Run, rows: list[Any]) -> dict[Any, list[Any]]:
        groups: dict[Any, list[Any]] = {}
        for key, item in zip(keys_of(rows), build(run, rows), strict=True):
            if key in groups:
                groups[key].append(item)
            else:
                groups[key] = [item]
        return groups

    return group


# --- scalars --------------------------------------------------------------------------------------


class _Memo(dict[Any, Any]):
    """Converts values by a table. Other values are decoded, and may be refused."""

    def __init__(self, known: Mapping[Any, Any], decode: Callable[[Any], Any]) -> None:
        super().__init__(known)
        self._decode = decode

    def __missing__(self, value: Any) -> Any:
        return self._decode(value)


# Conditions for values that are returned as they are stored. Infinity minus itself is not a number.
_AS_STORED = {
    "string": "{0}.__class__ is str",
    "int": "{0}.__class__ is int and -0x80000000 <= {0} <= 0x7fffffff",
    "float": "{0}.__class__ is float and {0} - {0} == 0.0",
}


def convert_source(
    column: str, stored: str, field_type: Mapping[str, Any], enums: Enums, name: Callable[[str, Any], str]
) -> str:
    """Returns the expression that converts a column to its output. `name` registers values for its use.

    The common case is written out in the expression, because a call costs as much as everything else.
    `stored` is the column's name in the database. A null in a required column is passed to the decoder, which
    refuses it.
    """
    kind = field_type["type"]
    if field_type["arity"] == "list":
        return f"{name('convert', compile_field(field_type, enums, stored))}({column})"
    nulls: dict[Any, Any] = {} if is_required(stored, field_type) else {None: None}
    otherwise = f"None if {column} is None else " if nulls else ""
    if kind == "boolean":
        booleans = _Memo({**nulls, 0: False, 1: True}, decode_boolean)
        return f"{name('booleans', booleans)}[{column}]"
    decode = decoder(field_type, enums)
    if decode is None:
        return column
    if kind == "enum":
        known: dict[Any, Any] = {**nulls, **enums.get(field_type["name"], {})}
        return f"{name('names', _Memo(known, decode))}[{column}]"
    if kind in _AS_STORED:
        call = f"{name('decode', named(stored, decode))}({column})"
        return f"{column} if {_AS_STORED[kind].format(column)} else {otherwise}{call}"
    call = f"{name('decode', decode)}({column})"
    if kind == "datetime":
        is_usual = f"{column}.__class__ is str and {column}[23:] == '+00:00' and {column}[10] == 'T'"
        return f"{column}[:23] + 'Z' if {is_usual} else {otherwise}{call}"
    return f"{otherwise}{call}"
