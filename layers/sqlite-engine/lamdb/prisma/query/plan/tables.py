"""Compiles a plan to positional rows. Most plans run in this form.

If every record of a plan comes directly from a query, its rows remain the tuples that SQLite returns, and its
columns are known positions. One list comprehension per level builds the output objects from them. `join`
needs no records either: the objects of each child are built once, grouped by key, and looked up while the
parents' objects are built.

`compile_table` raises `NotPositional` for other plans, which `closures.py` then runs. Both give the same
answers. Parents share the objects of to-one relations.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import apsw

from lamdb.errors import EngineError
from lamdb.prisma.query.arithmetic import needs_decimals, prepare_decimals
from lamdb.prisma.query.plan.arguments import Evaluate
from lamdb.prisma.query.plan.builder import compile_builder
from lamdb.prisma.query.plan.closures import ClosureCompiler
from lamdb.prisma.query.plan.nodes import Child, Columns, NotPositional, RowList, Rows
from lamdb.prisma.query.plan.process import compile_operations
from lamdb.prisma.query.plan.records import satisfies
from lamdb.prisma.query.plan.runtime import Run, Transaction
from lamdb.prisma.query.plan.shape import Shape
from lamdb.prisma.query.plan.statements import compile_read, compile_scan
from lamdb.prisma.query.sql_errors import database_error, validation_error

type Node = Mapping[str, Any]


@dataclass(slots=True)
class _Names:
    """The names that the plan has bound: slots for all of them, tables for those that hold rows."""

    slots: dict[str, int] = field(default_factory=dict)
    tables: dict[str, RowList] = field(default_factory=dict)

    def copy(self) -> "_Names":
        return _Names(dict(self.slots), dict(self.tables))


def compile_tables(plan: Node, connection: apsw.Connection, shape: Shape | None) -> tuple[Evaluate, int]:
    """The function that evaluates the plan and the number of slots it needs. Raises `NotPositional`."""
    compiler = _TableCompiler(connection)
    try:
        return compiler.output(plan, shape), compiler.slots
    except KeyError as error:  # a column or a name that is not there
        raise NotPositional(str(error)) from error


class _TableCompiler:
    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._closures = ClosureCompiler()

    @property
    def slots(self) -> int:
        return self._closures.slots

    # --- the root ---------------------------------------------------------------------------------

    def output(self, plan: Node, shape: Shape | None) -> Evaluate:
        if plan["type"] == "transaction":
            body = self.output(plan["args"], shape)

            def run_atomically(run: Run) -> Any:
                with Transaction(run.connection):
                    return body(run)

            return run_atomically
        if plan["type"] != "dataMap" or plan["args"]["structure"]["type"] != "object":
            raise NotPositional(plan["type"])
        arguments = plan["args"]
        table = self.rows(arguments["expr"], _Names())
        build = compile_builder(table, arguments["structure"], arguments["enums"], shape)
        rows = table.rows
        if not table.single:
            return lambda run: build(run, rows(run))

        def build_one(run: Run) -> Any:
            row = rows(run)
            return None if row is None else build(run, [row])[0]

        return build_one

    # --- nodes whose value is rows ----------------------------------------------------------------

    def rows(self, node: Node, names: _Names) -> RowList:
        match node["type"]:
            case "query":
                return self._query(node["args"], names)
            case "get":
                return self._get(node["args"]["name"], names)
            case "let":
                return self._let(node["args"], names)
            case "seq":
                return self._seq(node["args"], names)
            case "unique":
                return self._unique(self.rows(node["args"], names))
            case "validate":
                return self._validate(node["args"], names)
            case "process":
                return self._process(node["args"], names)
            case "join":
                return self._join(node["args"], names)
        raise NotPositional(node["type"])

    def _query(self, query: Mapping[str, Any], names: _Names) -> RowList:
        if query["type"] == "rawSql":
            raise NotPositional("rawSql")
        columns = describe(self._connection, query)
        return RowList(compile_read(query, names.slots), columns)

    def _get(self, name: str, names: _Names) -> RowList:
        if name not in names.tables:
            raise NotPositional(f"get {name}")
        slot, table = names.slots[name], names.tables[name]
        return RowList(lambda run: run.slots[slot], table.columns, table.single)

    def _let(self, arguments: Node, names: _Names) -> RowList:
        bind, inner = self._bind(arguments["bindings"], names)
        body = self.rows(arguments["expr"], inner)
        rows = body.rows

        def run_let(run: Run) -> Any:
            bind(run)
            return rows(run)

        return RowList(run_let, body.columns, body.single, body.children)

    def _seq(self, arguments: Sequence[Node], names: _Names) -> RowList:
        steps = [self.effect(step, names) for step in arguments[:-1]]
        last = self.rows(arguments[-1], names)
        rows = last.rows

        def run_all(run: Run) -> Any:
            for step in steps:
                step(run)
            return rows(run)

        return RowList(run_all, last.columns, last.single, last.children)

    def _unique(self, table: RowList) -> RowList:
        if table.single:
            return table
        rows = table.rows

        def only(run: Run) -> Any:
            found = rows(run)
            if len(found) > 1:
                raise EngineError(f"Expected zero or one element, got {len(found)}")
            return found[0] if found else None

        return RowList(only, table.columns, True, table.children)

    def _validate(self, arguments: Node, names: _Names) -> RowList:
        table = self.rows(arguments["expr"], names)
        if table.children:
            raise NotPositional("validate over join")
        return RowList(_validated(table.rows, arguments), table.columns, table.single)

    def _process(self, arguments: Node, names: _Names) -> RowList:
        table, operations = self.rows(arguments["expr"], names), arguments["operations"]
        if table.single or operations["nested"]:
            raise NotPositional("process of one record or below")
        columns, rows = table.columns, table.rows
        apply = compile_operations(operations, names.slots, lambda name: columns.positions[name])
        scan = self._scan(arguments, names)
        if scan is not None:

            def take(run: Run) -> list[Any]:
                with scan(run) as found:
                    return apply(run).take_from(found)

            return RowList(take, columns, False, table.children)
        return RowList(lambda run: apply(run).apply(rows(run)), columns, False, table.children)

    def _scan(
        self, arguments: Node, names: _Names
    ) -> Callable[[Run], AbstractContextManager[Iterator[Any]]] | None:
        """The rows of a query one by one, if a page of them is wanted."""
        operations, node = arguments["operations"], arguments["expr"]
        pagination = operations["pagination"]
        if not pagination or pagination["take"] is None or operations["linkingFields"] is not None:
            return None
        if node["type"] != "query" or node["args"]["type"] == "rawSql":
            return None
        return compile_scan(node["args"], names.slots)

    def _join(self, arguments: Node, names: _Names) -> RowList:
        parent = self.rows(arguments["parent"], names)
        if not arguments["canAssumeStrictEquality"]:
            raise NotPositional("keys of different types")
        children = [self._child(child, parent, names) for child in arguments["children"]]
        return RowList(parent.rows, parent.columns, parent.single, (*parent.children, *children))

    def _child(self, child: Node, parent: RowList, names: _Names) -> Child:
        table = self.rows(child["child"], names)
        if table.single:
            raise NotPositional("join with one record")
        parent_columns = tuple(left for left, _ in child["on"])
        child_columns = tuple(right for _, right in child["on"])
        for column in parent_columns:
            parent.columns.positions[column]
        for column in child_columns:
            table.columns.positions[column]
        return Child(table, parent_columns, child_columns, child["parentField"], child["isRelationUnique"])

    # --- bindings and effects ---------------------------------------------------------------------

    def _bind(self, bindings: Sequence[Node], names: _Names) -> tuple[Evaluate, _Names]:
        inner = names.copy()
        steps: list[tuple[int, Evaluate]] = []
        for binding in bindings:
            name = binding["name"]
            evaluate, table = self._binding(binding["expr"], inner)
            inner.slots[name] = slot = self._closures.new_slot()
            inner.tables.pop(name, None)
            if table is not None:
                inner.tables[name] = table
            steps.append((slot, evaluate))
        if len(steps) == 1:
            ((only_slot, only),) = steps

            def bind_one(run: Run) -> None:
                run.slots[only_slot] = only(run)

            return bind_one, inner

        def bind(run: Run) -> None:
            for slot, evaluate in steps:
                run.slots[slot] = evaluate(run)

        return bind, inner

    def _binding(self, node: Node, names: _Names) -> tuple[Evaluate, RowList | None]:
        if node["type"] == "mapField":
            return self._map_field(node["args"], names), None
        if node["type"] in ("value", "execute"):
            return self._closures.node(node, names.slots), None
        if node["type"] == "validate" and _is_scalar(node["args"]["expr"], names):
            return self._closures.node(node, names.slots), None
        table = self.rows(node, names)
        if table.children:
            raise NotPositional("a join that is not the result")
        return table.rows, table

    def _map_field(self, arguments: Node, names: _Names) -> Evaluate:
        table = self.rows(arguments["records"], names)
        position, rows = table.columns.positions[arguments["field"]], table.rows
        if not table.single:
            return lambda run: [row[position] for row in rows(run)]

        def field_of_one(run: Run) -> Any:
            row = rows(run)
            return None if row is None else row[position]

        return field_of_one

    def effect(self, node: Node, names: _Names) -> Evaluate:
        """A node whose value is not used."""
        match node["type"]:
            case "unit":
                return lambda run: None
            case "value" | "execute":
                return self._closures.node(node, names.slots)
            case "let":
                return self._let_effect(node["args"], names)
            case "seq":
                steps = [self.effect(step, names) for step in node["args"]]
                return lambda run: [step(run) for step in steps]
            case "if":
                return self._if_effect(node["args"], names)
            case "validate" if _is_scalar(node["args"]["expr"], names):
                return self._closures.node(node, names.slots)
        return self.rows(node, names).rows

    def _let_effect(self, arguments: Node, names: _Names) -> Evaluate:
        bind, inner = self._bind(arguments["bindings"], names)
        body = self.effect(arguments["expr"], inner)

        def run_let(run: Run) -> None:
            bind(run)
            body(run)

        return run_let

    def _if_effect(self, arguments: Node, names: _Names) -> Evaluate:
        value, rule = self.rows(arguments["value"], names).rows, arguments["rule"]
        then, otherwise = self.effect(arguments["then"], names), self.effect(arguments["else"], names)
        return lambda run: then(run) if satisfies(value(run), rule) else otherwise(run)


def _is_scalar(node: Node, names: _Names) -> bool:
    """True if the node reads a binding that holds a number, not rows."""
    return node["type"] == "get" and node["args"]["name"] in names.slots.keys() - names.tables.keys()


def _validated(rows: Rows, arguments: Node) -> Rows:
    rules, identifier, context = arguments["rules"], arguments["errorIdentifier"], arguments["context"]

    def validate(run: Run) -> Any:
        value = rows(run)
        for rule in rules:
            if not satisfies(value, rule):
                raise validation_error(identifier, context, value)
        return value

    return validate


# --- the columns of a query -----------------------------------------------------------------------


def describe(connection: apsw.Connection, query: Mapping[str, Any]) -> Columns:
    """The result columns of a query, asked of SQLite without running it."""
    sql, parameters = probe(query)
    if needs_decimals(sql):
        prepare_decimals(connection)
    names: list[str] = []
    declared: list[str | None] = []

    def stop_before_running(cursor: apsw.Cursor, statement: str, bindings: Any) -> bool:
        for name, type_ in cursor.get_description():
            names.append(name)
            declared.append(type_)
        return False

    cursor = connection.cursor()
    cursor.exec_trace = stop_before_running
    try:
        cursor.execute(sql, (None,) * parameters)
    except apsw.ExecTraceAbort:
        return Columns(names, declared)
    except apsw.Error as error:
        raise database_error(error) from error
    raise EngineError("SQLite executed a statement that should only have been described")


def probe(query: Mapping[str, Any], placeholder: str = "?") -> tuple[str, int]:
    """The query's text with every tuple of one item, and the number of its placeholders."""
    sql, parameters = "", 0
    types = iter(query["argTypes"])
    for fragment in query["fragments"]:
        if fragment["type"] == "stringChunk":
            sql += fragment["chunk"]
            continue
        kind = next(types)
        width = len(kind["elements"]) if kind["arity"] == "tuple" else 1
        marks = ", ".join([placeholder] * width)
        sql += marks if fragment["type"] == "parameter" else f"({marks})"
        parameters += width
    return sql, parameters
