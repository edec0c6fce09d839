"""SQL templates: rendering, binding, and splitting statements above SQLite's limit of bound values.

A tuple (`… IN (…)`) of integers or text is bound as one JSON array, `IN (SELECT value FROM json_each(?))`:
the SQL text is then the same for every length, stays in the connection's statement cache, and has no limit.
`json_each` returns integers and text with their types. The column has the same type, so no affinity is
applied in either form. Other types (doubles, BLOBs) are bound one by one, and split if necessary.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any

import apsw
import orjson

from lamdb.errors import EngineError
from lamdb.prisma.query.arithmetic import needs_decimals, prepare_decimals
from lamdb.prisma.query.plan.arguments import Evaluate, Scope, compile_value, is_constant
from lamdb.prisma.query.plan.fetching import Row, fetch
from lamdb.prisma.query.plan.runtime import Run, Transaction
from lamdb.prisma.query.sql_errors import database_error, too_many_parameters
from lamdb.prisma.values import Encoder, encoder

# SQLite's default SQLITE_LIMIT_VARIABLE_NUMBER.
MAX_BOUND_VALUES = 32766

type Statement = tuple[str, Sequence[Any]]
type Render = Callable[[Run], Sequence[Statement]]


def compile_statement(query: Mapping[str, Any], scope: Scope) -> Render:
    """A query of the plan → the function that gives the SQL and the values to bind; several when split."""
    static = compile_static(query, scope)
    if static is None:
        return _Template(query, scope).render
    sql, bind = static
    return lambda run: ((sql, bind(run)),)


def compile_read(query: Mapping[str, Any], scope: Scope) -> Callable[[Run], list[Row]]:
    """Returns a function that reads the rows as tuples. Errors of SQLite are converted to Prisma's."""
    static = compile_static(query, scope)
    if static is None:
        render = _Template(query, scope).render
        return lambda run: _read(run, render(run))
    sql, bind = static

    def read(run: Run) -> list[Row]:
        try:
            return fetch(run.execute(sql, bind(run)))
        except apsw.Error as error:
            raise database_error(error) from error

    return read


def compile_scan(
    query: Mapping[str, Any], scope: Scope
) -> Callable[[Run], AbstractContextManager[Iterator[Row]]] | None:
    """Returns a context with the query's rows, which are read one by one. None if its text depends on the
    values.

    It is for callers that may not need all rows. The statement ends with the context. Errors of SQLite are
    converted to Prisma's.
    """
    static = compile_static(query, scope)
    if static is None:
        return None
    sql, bind = static

    @contextmanager
    def scan(run: Run) -> Iterator[Iterator[Row]]:
        try:
            with closing(run.execute(sql, bind(run))) as cursor:
                yield cursor
        except apsw.Error as error:
            raise database_error(error) from error

    return scan


def _read(run: Run, statements: Sequence[Statement]) -> list[Row]:
    try:
        if len(statements) == 1:
            return fetch(run.execute(*statements[0]))
        with Transaction(run.connection):
            return [row for statement in statements for row in fetch(run.execute(*statement))]
    except apsw.Error as error:
        raise database_error(error) from error


# --- without tuples: the SQL text never changes ---------------------------------------------------


def compile_static(
    query: Mapping[str, Any], scope: Scope
) -> tuple[str, Callable[[Run], tuple[Any, ...]]] | None:
    """The SQL text and the function that binds its values; None if the text depends on the values."""
    if query["type"] == "rawSql":
        sql: str = query["sql"]
    else:
        fragments = query["fragments"]
        if any(fragment["type"] not in ("stringChunk", "parameter") for fragment in fragments):
            return None
        placeholder = query["placeholderFormat"]["prefix"]
        sql = "".join(fragment.get("chunk", placeholder) for fragment in fragments)
    if len(query["args"]) > MAX_BOUND_VALUES:
        raise too_many_parameters()
    bind = compile_bindings(query["args"], query["argTypes"], scope)
    return sql, _with_decimals(bind) if needs_decimals(sql) else bind


def _with_decimals(bind: Callable[[Run], tuple[Any, ...]]) -> Callable[[Run], tuple[Any, ...]]:
    def prepare_and_bind(run: Run) -> tuple[Any, ...]:
        prepare_decimals(run.connection)
        return bind(run)

    return prepare_and_bind


def compile_bindings(
    arguments: Sequence[Any], types: Sequence[Mapping[str, Any]], scope: Scope
) -> Callable[[Run], tuple[Any, ...]]:
    """The tuple to bind: constants encoded once, the rest evaluated and encoded for each run."""
    parts: list[str] = []
    names: dict[str, Any] = {}
    for index, (argument, argument_type) in enumerate(zip(arguments, types, strict=True)):
        encode = encoder(argument_type)
        if is_constant(argument):
            names[f"constant{index}"] = argument if encode is None else encode(argument)
            parts.append(f"constant{index}")
            continue
        names[f"value{index}"] = compile_value(argument, scope)
        names[f"encode{index}"] = encode
        call = f"value{index}(run)"
        parts.append(call if encode is None else f"encode{index}({call})")
    bind: Callable[[Run], tuple[Any, ...]] = eval(f"lambda run: ({''.join(f'{p}, ' for p in parts)})", names)
    return bind


# --- with tuples: the SQL text depends on the values ----------------------------------------------

JSON_TYPES = frozenset({"int", "bigint", "string", "enum", "uuid", "datetime"})
_JSON_TUPLE = "(SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class _Slot:
    """A fragment that consumes an argument, with the text before it."""

    before: str
    fragment: Mapping[str, Any]
    value: Evaluate
    encoders: Sequence[Encoder | None]
    as_json: bool

    @property
    def kind(self) -> str:
        kind: str = self.fragment["type"]
        return kind

    def evaluate(self, run: Run) -> Any:
        """A parameter's value; a tuple's is a list, a tuple list's a non-empty list of lists."""
        value = self.value(run)
        if self.kind == "parameterTuple" and not isinstance(value, list):
            return [value]
        if self.kind == "parameterTupleList" and not _is_tuple_list(value):
            raise EngineError("Malformed query template: a non-empty list of tuples is expected")
        return value

    def size(self, value: Any) -> int:
        """How many values the fragment binds at most."""
        if self.kind == "parameter":
            return 1
        return len(value) if self.kind == "parameterTuple" else sum(map(len, value))

    def render(self, value: Any, placeholder: str) -> tuple[str, list[Any]]:
        """The fragment's text, and the values it binds."""
        if self.kind == "parameter":
            return placeholder, self._encode([value])
        if self.kind == "parameterTuple":
            return self._render_tuple(value, placeholder)
        open_, separator, close = (self.fragment[f"item{part}"] for part in ("Prefix", "Separator", "Suffix"))
        groups = [f"{open_}{separator.join([placeholder] * len(item))}{close}" for item in value]
        return self.fragment["groupSeparator"].join(groups), self._encode([p for item in value for p in item])

    def _render_tuple(self, values: list[Any], placeholder: str) -> tuple[str, list[Any]]:
        encoded = self._encode(values)
        if self.as_json and len(encoded) > 1:
            text = json_array(encoded)
            if text is not None:
                return _JSON_TUPLE, [text]
        item = self.fragment["itemPrefix"] + placeholder + self.fragment["itemSuffix"]
        body = self.fragment["itemSeparator"].join([item] * len(encoded)) if encoded else "NULL"
        return f"({body})", encoded

    def _encode(self, values: list[Any]) -> list[Any]:
        """The flat values, encoded; the types of a tuple repeat."""
        encoders = self.encoders
        if len(encoders) == 1:
            encode = encoders[0]
            return values if encode is None else [encode(value) for value in values]
        if len(values) % len(encoders):
            raise EngineError(
                f"Malformed query template: {len(values)} parameters for a tuple of arity {len(encoders)}"
            )
        cycled = list(encoders) * (len(values) // len(encoders))
        return [
            value if encode is None else encode(value) for encode, value in zip(cycled, values, strict=True)
        ]


def _is_tuple_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, list) for item in value)


def json_array(values: list[Any]) -> str | None:
    """JSON that `json_each` reads back exactly; None if there is none (NUL characters end its strings)."""
    try:
        text = orjson.dumps(values)
    except TypeError:
        return None
    return None if b"\\u0000" in text else text.decode()


class _Template:
    def __init__(self, query: Mapping[str, Any], scope: Scope) -> None:
        self._placeholder: str = query["placeholderFormat"]["prefix"]
        self._chunkable: bool = query["chunkable"]
        self._slots: list[_Slot] = []
        before = ""
        arguments = iter(zip(query["args"], query["argTypes"], strict=True))
        for fragment in query["fragments"]:
            if fragment["type"] == "stringChunk":
                before += fragment["chunk"]
                continue
            argument, kind = next(arguments)
            elements = kind["elements"] if kind["arity"] == "tuple" else [kind]
            encoders = [encoder(element) for element in elements]
            as_json = kind["arity"] != "tuple" and kind["scalarType"] in JSON_TYPES
            as_json = as_json and before.endswith(" IN ")
            self._slots.append(_Slot(before, fragment, compile_value(argument, scope), encoders, as_json))
            before = ""
        self._after = before
        self._has_decimals = any(needs_decimals(slot.before) for slot in self._slots)

    def render(self, run: Run) -> Sequence[Statement]:
        if self._has_decimals:
            prepare_decimals(run.connection)
        values = [slot.evaluate(run) for slot in self._slots]
        whole = self._render_one(values)
        if len(whole[1]) <= MAX_BOUND_VALUES:
            return (whole,)
        if not self._chunkable:
            raise too_many_parameters()
        return [self._render_one(chunk) for chunk in self._split(values)]

    def _render_one(self, values: Sequence[Any]) -> Statement:
        sql: list[str] = []
        bound: list[Any] = []
        for slot, value in zip(self._slots, values, strict=True):
            text, parameters = slot.render(value, self._placeholder)
            sql += (slot.before, text)
            bound += parameters
        return "".join(sql) + self._after, bound

    def _split(self, values: list[Any]) -> list[list[Any]]:
        """Splits the largest tuple so that each part fits together with all other values."""
        sizes = [slot.size(value) for slot, value in zip(self._slots, values, strict=True)]
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        value, slot = values[largest], self._slots[largest]
        width = max(map(len, value)) if slot.kind == "parameterTupleList" else 1
        step = (MAX_BOUND_VALUES - (sum(sizes) - sizes[largest])) // width
        if step <= 0 or slot.kind == "parameter":
            raise too_many_parameters()
        return [
            [*values[:largest], value[start : start + step], *values[largest + 1 :]]
            for start in range(0, len(value), step)
        ]
