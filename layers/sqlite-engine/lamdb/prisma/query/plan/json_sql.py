"""Lowers a plan to one SQL statement whose only result is the JSON text of the answer.

SQLite builds the objects (`json_object`, `json_group_array`), so no rows are converted to Python objects. A
relation becomes a correlated subquery of its parent's object. For large answers this is three times as fast
as building objects. Nested `take` and `skip` become LIMIT and OFFSET of the subquery, so only the needed
children are read.

A plan is only lowered if its meaning stays the same. For other plans `lower` returns None, and callers run
the plan.

- The plan only reads: a query, relations below it, at the root one record or a list.
- An index of the child's table must find every relation, because the subquery runs once per parent. The
  statement's query plan shows it (`EXPLAIN QUERY PLAN`).
- Values that SQL cannot convert exactly (a timestamp in another form than the stored one, an unknown enum
  value, a BLOB) make the statement fail: the expression `json('!' || column)` is malformed JSON. The plan
  is then run instead, which converts the value or reports it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import apsw
import orjson

from lamdb.prisma.query.plan.arguments import Evaluate, compile_value
from lamdb.prisma.query.plan.fetching import require_few
from lamdb.prisma.query.plan.json_scalars import json_text, json_value, text_of_any
from lamdb.prisma.query.plan.mapping import Enums, Structure, parts_of
from lamdb.prisma.query.plan.rewriting.text import UNFLATTENED
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.shape import Constant, Shape
from lamdb.prisma.query.plan.statements import JSON_TYPES, json_array
from lamdb.prisma.query.plan.tables import describe
from lamdb.prisma.query.sql_errors import too_big
from lamdb.prisma.values import encoder, is_required

type Node = Mapping[str, Any]
type Bind = Callable[[Run], Any]
# SQL text and the values to bind, in order.
type Sql = list[str | Bind]


class _NotLowerable(Exception):
    pass


class _Unbindable(Exception):
    """A value of this run cannot be bound in the form that the statement needs."""


@dataclass(frozen=True, slots=True)
class JsonStatement:
    """One statement and the function that binds its values."""

    sql: str
    binds: Sequence[Bind]
    required: bool = False
    """True if the plan must find a record; the plan itself reports that it did not."""

    def run(self, connection: apsw.Connection, values: Mapping[str, Any]) -> str | None:
        """The answer as JSON text; None if the plan must be run instead, because of the data or a value."""
        run = Run(connection, values, 0)
        try:
            rows = run.execute(self.sql, [bind(run) for bind in self.binds]).fetchall()
        except apsw.TooBigError:
            if (refusal := too_big()) is not None:
                raise refusal from None
            return None
        except (apsw.SQLError, _Unbindable):
            # The plan fails in the same way, or converts the value that SQL could not.
            return None
        if len(rows) == 1:
            text, *records = rows[0]
            if records:
                require_few(int(str(records[0])))
            return str(text)
        return None if rows or self.required else "null"


def lower(plan: Node, connection: apsw.Connection, shape: Shape | None) -> JsonStatement | None:
    """Returns the plan as one statement, or None if its meaning does not allow it."""
    if plan["type"] != "dataMap" or plan["args"]["structure"]["type"] != "object":
        return None
    arguments = plan["args"]
    lowering = _Lowering(connection, arguments["enums"])
    try:
        statement = lowering.statement(arguments["expr"], arguments["structure"], shape)
        return statement if _finds_children_by_index(connection, statement, lowering.links) else None
    except (_NotLowerable, KeyError, apsw.SQLError):
        return None


# --- sources --------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Source:
    """A query under an alias, and the relations that hang below its rows."""

    alias: str
    sql: Sql
    columns: frozenset[str]
    texts: frozenset[str] = frozenset()
    """Those that hold no numbers."""
    links: tuple[str, ...] = ()
    """The columns a correlated source is found by, each equal to one of its parent's."""
    single: bool = False
    relations: dict[str, "_Relation"] = field(default_factory=dict)

    def unread(self, body: Sql) -> str:
        """Returns a filter that is true for every row and mentions the columns that `body` does not.

        Without it, SQLite may read a covering index that lacks these columns, and return rows in the order of
        that index instead of the query's own.
        """
        text = "".join(part for part in body if isinstance(part, str))
        unread = [column for name in self.columns if (column := self.column(name)) not in text]
        # SQLite evaluates it as true without reading the columns, but counts them as used.
        mentioned = " AND ".join(f"{column} IS NULL" for column in sorted(unread))
        return f" FILTER (WHERE {mentioned} OR 1)" if unread else ""

    def column(self, name: str) -> str:
        if name not in self.columns:
            raise _NotLowerable(name)
        return f"{self.alias}.{_identifier(name)}"


@dataclass(frozen=True, slots=True)
class _Relation:
    source: _Source
    unique: bool


_FOUND = {"type": "rowCountNeq", "args": 0}

# What the plan's names stand for: rows, or one column of rows.
type _Scope = dict[str, _Source | str]


class _Lowering:
    def __init__(self, connection: apsw.Connection, enums: Enums) -> None:
        self._connection = connection
        self._enums = enums
        self._aliases = count()
        self.links: list[str] = []
        """The columns the statement's subqueries are found by."""

    def statement(self, node: Node, structure: Structure, shape: Shape | None) -> JsonStatement:
        required = node["type"] == "validate" and node["args"]["rules"] == [_FOUND]
        source = self._source(node["args"]["expr"] if required else node, {}, correlated=False)
        if source.links:
            raise _NotLowerable("keys of rows that are not the parent's")
        if required and not source.single:
            raise _NotLowerable("validate over a list")
        if source.single and not source.relations:
            raise _NotLowerable("one record is built as fast from its row")
        sql = self._select(source, structure, shape, many=not source.single, counted=not source.single)
        text = "".join(part if isinstance(part, str) else "?" for part in sql)
        return JsonStatement(text, [part for part in sql if not isinstance(part, str)], required)

    # --- from nodes to sources --------------------------------------------------------------------

    def _source(self, node: Node, scope: _Scope, *, correlated: bool) -> _Source:
        match node["type"]:
            case "query":
                return self._query(node["args"], scope, correlated=correlated)
            case "unique":
                source = self._source(node["args"], scope, correlated=correlated)
                source.single = True
                return source
            case "get":
                found = scope.get(node["args"]["name"])
                if isinstance(found, _Source):
                    return found
            case "let":
                return self._let(node["args"], scope, correlated=correlated)
            case "join":
                return self._join(node["args"], scope)
            case "process" if correlated:
                return self._process(node["args"], scope)
        raise _NotLowerable(node["type"])

    def _let(self, arguments: Node, scope: _Scope, *, correlated: bool) -> _Source:
        inner = dict(scope)
        for binding in arguments["bindings"]:
            node = binding["expr"]
            if node["type"] == "mapField":
                source = self._source(node["args"]["records"], inner, correlated=False)
                inner[binding["name"]] = source.column(node["args"]["field"])
            else:
                inner[binding["name"]] = self._source(node, inner, correlated=correlated)
        return self._source(arguments["expr"], inner, correlated=correlated)

    def _join(self, arguments: Node, scope: _Scope) -> _Source:
        parent = arguments["parent"]
        source = self._source(parent, scope, correlated=False)
        if parent["type"] != "get" or not arguments["canAssumeStrictEquality"]:
            raise _NotLowerable("join")
        for child in arguments["children"]:
            below = self._source(child["child"], scope, correlated=True)
            if below.single or len(below.links) < len(child["on"]):
                raise _NotLowerable("a child that is not found by its parent's key")
            source.relations[child["parentField"]] = _Relation(below, child["isRelationUnique"])
        return source

    def _process(self, arguments: Node, scope: _Scope) -> _Source:
        """Skip and take of each parent's children: a limit of the subquery."""
        operations = arguments["operations"]
        pagination = operations["pagination"]
        if operations["distinct"] is not None or operations["reverse"] or operations["nested"]:
            raise _NotLowerable("process")
        if not pagination or pagination["cursor"] is not None or operations["linkingFields"] is None:
            raise _NotLowerable("process")
        source = self._source(arguments["expr"], scope, correlated=True)
        take = -1 if pagination["take"] is None else int(pagination["take"])
        source.sql.append(f" LIMIT {take} OFFSET {int(pagination['skip'] or 0)}")
        return source

    def _query(self, query: Mapping[str, Any], scope: _Scope, *, correlated: bool) -> _Source:
        if query["type"] == "rawSql":
            raise _NotLowerable("rawSql")
        described = describe(self._connection, query)
        columns = described.names
        sql: Sql = []
        links: list[str] = []
        arguments = iter(zip(query["args"], query["argTypes"], strict=True))
        for fragment in query["fragments"]:
            if fragment["type"] == "stringChunk":
                sql.append(fragment["chunk"])
                continue
            argument, argument_type = next(arguments)
            parent = scope.get(argument["prisma__value"]["name"]) if _is_placeholder(argument) else None
            if parent is None:
                sql += _placeholder(fragment["type"], argument, argument_type)
            else:
                links.append(_link(sql, fragment["type"], parent))
        first = sql[0]
        if not isinstance(first, str) or not first.startswith("SELECT ") or len(set(columns)) < len(columns):
            raise _NotLowerable("not a plain SELECT")
        if correlated and any(
            isinstance(part, str) and " LIMIT " in part.removesuffix(UNFLATTENED) for part in sql
        ):
            raise _NotLowerable("a limit over the children of all parents")
        return _Source(f"`@{next(self._aliases)}`", sql, frozenset(columns), described.texts, tuple(links))

    # --- from sources to SQL ----------------------------------------------------------------------

    def _select(
        self, source: _Source, structure: Structure, shape: Shape | None, *, many: bool, counted: bool = False
    ) -> Sql:
        body, is_text = self._object(source, structure["fields"], shape)
        if not many:
            head: Sql = ["SELECT ", *body]
        elif is_text:
            every = source.unread(body)
            head = ["SELECT ifnull('[' || group_concat(", *body, f", ','){every} || ']', '[]')"]
        else:
            head = ["SELECT json_group_array(", *body, f"){source.unread(body)}"]
        return [*head, ", count(*) FROM (" if counted else " FROM (", *source.sql, f") AS {source.alias}"]

    def _object(
        self, source: _Source, fields: Mapping[str, Structure], shape: Shape | None
    ) -> tuple[Sql, bool]:
        """Returns the object's expression, and True if it concatenates text because the object has relations.

        The JSON of a subquery is plain text for the outer query, and `json_object` would have to parse it.
        """
        parts = parts_of(fields, shape)
        if any(_is_relation(part) for _, part, _ in parts):
            return self._text_object(source, parts), True
        return self._json_object(source, parts), False

    def _json_object(
        self, source: _Source, parts: Sequence[tuple[str, Structure | Constant, Shape | None]]
    ) -> Sql:
        sql: Sql = []
        for key, part, below in parts:
            sql.append(f"{', ' if sql else ''}{_literal(key)}, ")
            if isinstance(part, Constant):
                sql.append(f"json({_literal(_dumps(part.value))})")
            elif part["type"] == "field":
                required = is_required(part["dbName"], part["fieldType"])
                sql.append(json_value(*self._scalar(source, part), required=required))
            else:
                sql += self._json_object(source, parts_of(part["fields"], below))
        return ["json_object(", *sql, ")"]

    def _scalar(self, source: _Source, part: Structure) -> tuple[str, Mapping[str, Any], Enums]:
        """The part of a field that `json_scalars` needs."""
        column = source.column(part["dbName"])
        if part["fieldType"]["type"] == "string" and part["dbName"] not in source.texts:
            column = text_of_any(column)
        return column, part["fieldType"], self._enums

    def _text_object(
        self, source: _Source, parts: Sequence[tuple[str, Structure | Constant, Shape | None]]
    ) -> Sql:
        sql: Sql = []
        before = "{"
        for key, part, below in parts:
            before += f"{_dumps(key)}:"
            if isinstance(part, Constant):
                before += f"{_dumps(part.value)},"
                continue
            sql += (_literal(before), ", ")
            if part["type"] == "field":
                required = is_required(part["dbName"], part["fieldType"])
                sql.append(json_text(*self._scalar(source, part), required=required))
            elif part["serializedName"] is not None:
                sql += self._relation(source.relations[part["serializedName"]], part, below)
            else:
                sql += self._object(source, part["fields"], below)[0]
            sql.append(", ")
            before = ","
        return ["concat(", *sql, _literal(before.removesuffix(",") + "}"), ")"]

    def _relation(self, relation: _Relation, structure: Structure, below: Shape | None) -> Sql:
        self.links += relation.source.links
        select = self._select(relation.source, structure, below, many=not relation.unique)
        return ["ifnull((", *select, "), 'null')"] if relation.unique else ["(", *select, ")"]


# The column a child is linked by, and the operator before its parents' keys.
_LINK = re.compile(r"`(?P<column>[^`]+)` (?P<operator>IN |= \+?)$")


def _placeholder(kind: str, argument: Any, argument_type: Mapping[str, Any]) -> Sql:
    if kind == "parameter":
        return [_bind_value(argument, argument_type)]
    if kind == "parameterTuple" and argument_type.get("scalarType") in JSON_TYPES:
        return ["(SELECT value FROM json_each(", _bind_tuple(argument, argument_type), "))"]
    raise _NotLowerable(kind)


def _link(sql: Sql, kind: str, column: _Source | str) -> str:
    """Replaces `child.key IN (keys of all parents)` by `child.key = parent.key`. Returns the child's
    column."""
    before = sql[-1] if sql else ""
    if isinstance(column, _Source) or not isinstance(before, str):
        raise _NotLowerable("rows as an argument")
    match = _LINK.search(before)
    if match is None or (match["operator"] == "IN ") != (kind == "parameterTuple"):
        raise _NotLowerable(kind)
    sql[-1] = f"{before[: match.start('operator')]}= {column}"
    return match["column"]


def _is_placeholder(argument: Any) -> bool:
    return isinstance(argument, dict) and argument.get("prisma__type") == "param"


def _is_relation(part: Structure | Constant) -> bool:
    if isinstance(part, Constant) or part["type"] != "object":
        return False
    return part["serializedName"] is not None or any(map(_is_relation, part["fields"].values()))


def _identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _dumps(value: Any) -> str:
    return orjson.dumps(value).decode()


def _bind_value(argument: Any, argument_type: Mapping[str, Any]) -> Bind:
    evaluate, encode = compile_value(argument, {}), encoder(argument_type)
    return evaluate if encode is None else _encoded(evaluate, encode)


def _encoded(evaluate: Evaluate, encode: Callable[[Any], Any]) -> Bind:
    return lambda run: encode(evaluate(run))


def _bind_tuple(argument: Any, argument_type: Mapping[str, Any]) -> Bind:
    evaluate, encode = compile_value(argument, {}), encoder(argument_type)

    def bind(run: Run) -> str:
        value = evaluate(run)
        items = value if isinstance(value, list) else [value]
        text = json_array(items if encode is None else [encode(item) for item in items])
        if text is None:
            raise _Unbindable
        return text

    return bind


# --- is it fast? ----------------------------------------------------------------------------------

_HARMLESS_SCANS = re.compile(r"SCAN (@\d+|json_each|CONSTANT ROW)\b")


def _finds_children_by_index(
    connection: apsw.Connection, statement: JsonStatement, links: Sequence[str]
) -> bool:
    """True if every correlated subquery searches an index by the column that links it to its parent."""
    if not links:
        return True
    explained = connection.execute(
        f"EXPLAIN QUERY PLAN {statement.sql}", (None,) * len(statement.binds)
    ).fetchall()
    inside: set[Any] = set()
    details: list[str] = []
    for identity, parent, _, text in explained:
        detail = str(text)
        if parent in inside or detail.startswith("CORRELATED"):
            inside.add(identity)
            details.append(detail)
    for detail in details:
        if "AUTOMATIC" in detail or detail.startswith("MATERIALIZE"):
            return False
        if detail.startswith("SCAN ") and _HARMLESS_SCANS.match(detail) is None:
            return False
    searches = [detail for detail in details if detail.startswith("SEARCH ")]
    return all(
        any(f"{column}=?" in search or "(rowid=?" in search for search in searches) for column in links
    )
