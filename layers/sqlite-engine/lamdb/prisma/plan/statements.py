"""SQL templates: rendering, binding, and splitting what exceeds SQLite's limit of bound values."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lamdb.errors import EngineError
from lamdb.prisma.plan.arguments import Evaluate, Scope, compile_value, is_constant
from lamdb.prisma.plan.runtime import Run
from lamdb.prisma.sqlerrors import too_many_parameters
from lamdb.prisma.values import Encoder, encoder

# SQLite's default SQLITE_LIMIT_VARIABLE_NUMBER.
MAX_BOUND_VALUES = 32766

type Statement = tuple[str, Sequence[Any]]
type Render = Callable[[Run], Sequence[Statement]]


def compile_statement(query: Mapping[str, Any], scope: Scope) -> Render:
    """A database query of the plan → a function that gives the SQL and the values to bind; several when
    split.
    """
    if query["type"] == "rawSql":
        return _compile_static(query["sql"], query, scope)
    fragments = query["fragments"]
    if all(fragment["type"] in ("stringChunk", "parameter") for fragment in fragments):
        placeholder = query["placeholderFormat"]["prefix"]
        sql = "".join(fragment.get("chunk", placeholder) for fragment in fragments)
        return _compile_static(sql, query, scope)
    return _Template(query, scope).render


# --- without tuples: the SQL text never changes ---------------------------------------------------


def _compile_static(sql: str, query: Mapping[str, Any], scope: Scope) -> Render:
    if len(query["args"]) > MAX_BOUND_VALUES:

        def refuse(run: Run) -> Sequence[Statement]:
            raise too_many_parameters()

        return refuse
    bind = compile_bindings(query["args"], query["argTypes"], scope)
    return lambda run: ((sql, bind(run)),)


def compile_bindings(
    arguments: Sequence[Any], types: Sequence[Mapping[str, Any]], scope: Scope
) -> Callable[[Run], tuple[Any, ...]]:
    """The tuple to bind: constants encoded once, the rest evaluated and encoded for each run."""
    parts: list[str] = []
    names: dict[str, Any] = {}
    for index, (argument, argument_type) in enumerate(zip(arguments, types, strict=True)):
        encode = encoder(argument_type)
        if is_constant(argument):
            names[f"c{index}"] = argument if encode is None else encode(argument)
            parts.append(f"c{index}")
            continue
        names[f"value{index}"] = compile_value(argument, scope)
        names[f"encode{index}"] = encode
        call = f"value{index}(run)"
        parts.append(call if encode is None else f"encode{index}({call})")
    bind: Callable[[Run], tuple[Any, ...]] = eval(f"lambda run: ({''.join(f'{p}, ' for p in parts)})", names)
    return bind


# --- with tuples: the SQL text depends on the number of items -------------------------------------


@dataclass(frozen=True, slots=True)
class _Slot:
    """A fragment that consumes an argument, with the text before it."""

    before: str
    fragment: Mapping[str, Any]
    value: Evaluate
    encoders: Sequence[Encoder | None]

    @property
    def kind(self) -> str:
        kind: str = self.fragment["type"]
        return kind

    def normalise(self, value: Any) -> Any:
        """A tuple's value is a list; a tuple list's is a non-empty list of lists."""
        if self.kind == "parameterTuple":
            return value if isinstance(value, list) else [value]
        if self.kind == "parameterTupleList" and not _is_tuple_list(value):
            raise EngineError("Malformed query template: a non-empty list of tuples is expected")
        return value

    def size(self, value: Any) -> int:
        """How many values the fragment binds."""
        if self.kind == "parameter":
            return 1
        return len(value) if self.kind == "parameterTuple" else sum(map(len, value))

    def encode(self, values: Sequence[Any]) -> list[Any]:
        """The flat values, encoded; the types of a tuple repeat."""
        encoders = self.encoders
        if len(encoders) == 1:
            encode = encoders[0]
            return list(values) if encode is None else [encode(value) for value in values]
        if len(values) % len(encoders):
            raise EngineError(
                f"Malformed query template: {len(values)} parameters for a tuple of arity {len(encoders)}"
            )
        cycled = list(encoders) * (len(values) // len(encoders))
        return [
            value if encode is None else encode(value) for encode, value in zip(cycled, values, strict=True)
        ]

    def render(self, value: Any, placeholder: str) -> tuple[str, list[Any]]:
        fragment = self.fragment
        if self.kind == "parameter":
            return placeholder, self.encode([value])
        if self.kind == "parameterTuple":
            item = fragment["itemPrefix"] + placeholder + fragment["itemSuffix"]
            body = fragment["itemSeparator"].join([item] * len(value)) if value else "NULL"
            return f"({body})", self.encode(value)
        groups = [
            fragment["itemPrefix"]
            + fragment["itemSeparator"].join([placeholder] * len(item))
            + fragment["itemSuffix"]
            for item in value
        ]
        return fragment["groupSeparator"].join(groups), self.encode([part for item in value for part in item])


def _is_tuple_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, list) for item in value)


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
            self._slots.append(_Slot(before, fragment, compile_value(argument, scope), encoders))
            before = ""
        self._after = before

    def render(self, run: Run) -> Sequence[Statement]:
        values = [slot.normalise(slot.value(run)) for slot in self._slots]
        sizes = [slot.size(value) for slot, value in zip(self._slots, values, strict=True)]
        if sum(sizes) <= MAX_BOUND_VALUES:
            return (self._render_one(values),)
        if not self._chunkable:
            raise too_many_parameters()
        return [self._render_one(chunk) for chunk in self._split(values, sizes)]

    def _render_one(self, values: Sequence[Any]) -> Statement:
        sql: list[str] = []
        bound: list[Any] = []
        for slot, value in zip(self._slots, values, strict=True):
            text, parameters = slot.render(value, self._placeholder)
            sql += (slot.before, text)
            bound += parameters
        if len(bound) > MAX_BOUND_VALUES:
            raise too_many_parameters()
        return "".join(sql) + self._after, bound

    def _split(self, values: list[Any], sizes: list[int]) -> list[list[Any]]:
        """Split the largest tuple so that each part fits beside everything else."""
        largest = max(range(len(sizes)), key=sizes.__getitem__)
        room = MAX_BOUND_VALUES - (sum(sizes) - sizes[largest])
        if room <= 0 or self._slots[largest].kind == "parameter":
            raise too_many_parameters()
        value = values[largest]
        width = max(map(len, value)) if self._slots[largest].kind == "parameterTupleList" else 1
        step = room // width
        if step == 0:
            raise too_many_parameters()
        return [
            [*values[:largest], value[start : start + step], *values[largest + 1 :]]
            for start in range(0, len(value), step)
        ]
