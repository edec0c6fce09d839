"""Compiles a plan to closures over dictionary rows. All node types are supported, in plain evaluation order.

Each node becomes a function of the `Run`. Records are dictionaries keyed by result column. `join` adds child
records to their parents, so records are shared and mutable within one run. JavaScript's `undefined` is None.
"""

from collections.abc import Hashable, Mapping, Sequence
from itertools import chain
from typing import Any

import apsw

from lamdb.errors import EngineError
from lamdb.prisma.query.plan.arguments import Evaluate, Scope, compile_value
from lamdb.prisma.query.plan.fetching import fetch
from lamdb.prisma.query.plan.mapping import compile_structure
from lamdb.prisma.query.plan.process import compile_operations
from lamdb.prisma.query.plan.raw import read_raw
from lamdb.prisma.query.plan.records import (
    arithmetic,
    as_list,
    as_number,
    attach,
    is_empty,
    map_field,
    record_key,
    satisfies,
)
from lamdb.prisma.query.plan.runtime import Run, Transaction
from lamdb.prisma.query.plan.shape import Shape
from lamdb.prisma.query.plan.statements import Render, compile_statement
from lamdb.prisma.query.sql_errors import database_error, raw_query_error, validation_error
from lamdb.storage.budget import checkpoint

type Node = Mapping[str, Any]


def compile_closures(plan: Node, shape: Shape | None = None) -> tuple[Evaluate, int]:
    """Returns the function that evaluates the plan, and the number of slots it needs."""
    compiler = ClosureCompiler(shape)
    evaluate = compiler.node(plan, {})
    return evaluate, compiler.slots


def count_changes(connection: apsw.Connection, sql: str, parameters: Sequence[Any]) -> int:
    """Runs a statement. Returns the number of rows that it changed itself."""
    checkpoint()
    before = connection.total_changes()
    connection.execute(sql, parameters).fetchall()
    return 0 if connection.total_changes() == before else connection.changes()


class ClosureCompiler:
    def __init__(self, shape: Shape | None = None) -> None:
        self.slots = 0
        self._shape = shape

    def new_slot(self) -> int:
        self.slots += 1
        return self.slots - 1

    def node(self, node: Node, scope: Scope) -> Evaluate:
        method = getattr(self, "_" + _METHODS.get(node["type"], "unknown"))
        evaluate: Evaluate = method(node.get("args"), scope, node)
        return evaluate

    def _unknown(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        raise EngineError(f"Unexpected node type in a query plan: {node['type']}")

    # --- values and bindings ----------------------------------------------------------------------

    def _value(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        return compile_value(arguments, scope)

    def _unit(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        return lambda run: None

    def lookup(self, name: str, scope: Scope) -> Evaluate:
        if name in scope:
            slot = scope[name]
            return lambda run: run.slots[slot]
        return lambda run: run.values.get(name)

    def _get(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        return self.lookup(arguments["name"], scope)

    def _get_first_non_empty(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        lookups = [self.lookup(name, scope) for name in arguments["names"]]

        def evaluate(run: Run) -> Any:
            values = (look_up(run) for look_up in lookups)
            return next((value for value in values if not is_empty(value)), [])

        return evaluate

    def _let(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        inner = dict(scope)
        bindings: list[tuple[int, Evaluate]] = []
        for binding in arguments["bindings"]:
            evaluate = self.node(binding["expr"], inner)
            inner[binding["name"]] = slot = self.new_slot()
            bindings.append((slot, evaluate))
        body = self.node(arguments["expr"], inner)

        def run_let(run: Run) -> Any:
            for slot, evaluate in bindings:
                run.slots[slot] = evaluate(run)
            return body(run)

        return run_let

    # --- order and choice -------------------------------------------------------------------------

    def _seq(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        steps = [self.node(step, scope) for step in arguments]

        def run_all(run: Run) -> Any:
            result = None
            for step in steps:
                result = step(run)
            return result

        return run_all

    def _if(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        value, rule = self.node(arguments["value"], scope), arguments["rule"]
        then, otherwise = self.node(arguments["then"], scope), self.node(arguments["else"], scope)
        return lambda run: then(run) if satisfies(value(run), rule) else otherwise(run)

    def _transaction(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        body = self.node(arguments, scope)

        def run_atomically(run: Run) -> Any:
            with Transaction(run.connection):
                return body(run)

        return run_atomically

    # --- the database -----------------------------------------------------------------------------

    def _query(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        render = compile_statement(arguments, scope)
        if arguments["type"] == "rawSql":
            return lambda run: read_raw(run, render)
        return lambda run: _read(run, render)

    def _execute(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        render = compile_statement(arguments, scope)
        to_error = raw_query_error if arguments["type"] == "rawSql" else database_error

        def run_all(run: Run) -> int:
            statements = render(run)
            try:
                if len(statements) == 1:
                    return count_changes(run.connection, *statements[0])
                with Transaction(run.connection):
                    return sum(count_changes(run.connection, *statement) for statement in statements)
            except apsw.Error as error:
                raise to_error(error) from error

        return run_all

    # --- lists and records ------------------------------------------------------------------------

    def _reverse(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        records = self.node(arguments, scope)

        def reverse(run: Run) -> Any:
            value = records(run)
            return value[::-1] if isinstance(value, list) else value

        return reverse

    def _sum(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        parts = [self.node(part, scope) for part in arguments]
        return lambda run: sum([as_number(part(run)) for part in parts])

    def _concat(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        parts = [self.node(part, scope) for part in arguments]
        return lambda run: [item for part in parts for item in as_list(part(run))]

    def _unique(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        records = self.node(arguments, scope)

        def only(run: Run) -> Any:
            value = records(run)
            if not isinstance(value, list):
                return value
            if len(value) > 1:
                raise EngineError(f"Expected zero or one element, got {len(value)}")
            return value[0] if value else None

        return only

    def _required(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        records = self.node(arguments, scope)

        def require(run: Run) -> Any:
            value = records(run)
            if is_empty(value):
                raise EngineError("Required value is empty")
            return value

        return require

    def _map_field(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        records, field = self.node(arguments["records"], scope), arguments["field"]
        return lambda run: map_field(records(run), field)

    def _diff(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        source, target = self.node(arguments["from"], scope), self.node(arguments["to"], scope)
        fields = arguments["fields"]

        def key(record: Any) -> Hashable:
            return None if record is None else record_key(record, fields)

        def subtract(run: Run) -> list[Any]:
            records = as_list(source(run))
            known = {key(record) for record in as_list(target(run))}
            return [record for record in records if key(record) not in known]

        return subtract

    def _join(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        parent = self.node(arguments["parent"], scope)
        children = [(self.node(child["child"], scope), child) for child in arguments["children"]]
        strict = arguments["canAssumeStrictEquality"]

        def join(run: Run) -> Any:
            parents = parent(run)
            if parents is None:
                return None
            found = [(child, records(run)) for records, child in children]
            for child, records in found:
                attach(as_list(parents), as_list(records), child, strict=strict)
            return parents

        return join

    def _process(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        records = self.node(arguments["expr"], scope)
        operations = compile_operations(arguments["operations"], scope)
        return lambda run: operations(run).apply(records(run))

    def _initialize_record(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        before = self.node(arguments["expr"], scope)
        fields = {
            field: compile_value(initialiser["value"], scope)
            if initialiser["type"] == "value"
            else lambda run: run.connection.last_insert_rowid()
            for field, initialiser in arguments["fields"].items()
        }

        def initialise(run: Run) -> dict[str, Any]:
            before(run)
            return {field: evaluate(run) for field, evaluate in fields.items()}

        return initialise

    def _map_record(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        source = self.node(arguments["expr"], scope)
        fields = [
            (field, operation["type"], compile_value(operation["value"], scope))
            for field, operation in arguments["fields"].items()
        ]

        def change(run: Run) -> dict[str, Any]:
            record: dict[str, Any] = source(run) or {}
            for field, operation, evaluate in fields:
                record[field] = arithmetic(operation, record.get(field), evaluate(run))
            return record

        return change

    # --- checks and output ------------------------------------------------------------------------

    def _validate(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        expression, rules = self.node(arguments["expr"], scope), arguments["rules"]
        identifier, context = arguments["errorIdentifier"], arguments["context"]

        def validate(run: Run) -> Any:
            value = expression(run)
            if not all(satisfies(value, rule) for rule in rules):
                raise validation_error(identifier, context, value)
            return value

        return validate

    def _data_map(self, arguments: Any, scope: Scope, node: Node) -> Evaluate:
        expression = self.node(arguments["expr"], scope)
        convert = compile_structure(arguments["structure"], arguments["enums"], self._shape)
        return lambda run: convert(expression(run))


_METHODS = {
    "value": "value",
    "unit": "unit",
    "get": "get",
    "getFirstNonEmpty": "get_first_non_empty",
    "let": "let",
    "seq": "seq",
    "if": "if",
    "transaction": "transaction",
    "query": "query",
    "execute": "execute",
    "reverse": "reverse",
    "sum": "sum",
    "concat": "concat",
    "unique": "unique",
    "required": "required",
    "mapField": "map_field",
    "diff": "diff",
    "join": "join",
    "process": "process",
    "initializeRecord": "initialize_record",
    "mapRecord": "map_record",
    "validate": "validate",
    "dataMap": "data_map",
}


def _read(run: Run, render: Render) -> list[dict[str, Any]]:
    """The rows of the statements, as dictionaries."""
    statements = render(run)
    try:
        if len(statements) == 1:
            return _rows(run, *statements[0])
        with Transaction(run.connection):
            return [row for statement in statements for row in _rows(run, *statement)]
    except apsw.Error as error:
        raise database_error(error) from error


def _rows(run: Run, sql: str, parameters: Sequence[Any]) -> list[dict[str, Any]]:
    cursor = run.execute(sql, parameters)
    rows = iter(cursor)
    first = next(rows, None)
    if first is None:
        return []  # SQLite names the columns only while there is a row
    names = [column[0] for column in cursor.get_description()]
    return [dict(zip(names, row, strict=True)) for row in fetch(chain((first,), rows))]
