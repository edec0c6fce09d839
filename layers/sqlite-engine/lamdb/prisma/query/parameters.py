"""Replaces the values of a request by placeholders, so that all requests of one shape use one plan.

The DMMF says which values may become placeholders (`isParameterizable`). The others are part of the shape:
null, `take`, `skip`, `orderBy`, `distinct`, `by`, JSON paths, field references, the lengths of lists of
objects, and every value whose type or text is wrong, so that the compiler reports it. A whole `in` list is
one placeholder, even if some of its items are variables. A number in the shape is written so that the
compiler keeps all its digits.

Placeholder types: Boolean, Int (32 bit), BigInt, Float (also for Decimal), String, DateTime, Json, Bytes,
Enum (holding the database's value), and `List` of one of them.

The compiler compares placeholders to decide between native and emulated upserts, and to remove repeated
records from a list (`connect: [{ id: 1 }, { id: 1 }]`). In such requests, equal values of one type therefore
share a placeholder; in others every value has its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Any, Final

import orjson

from lamdb.errors import QueryTooCostly
from lamdb.prisma.query.arithmetic import OPERAND_MARK, OPERATORS
from lamdb.prisma.query.inputs import Edge, Edges, InputGraph, OutputField
from lamdb.prisma.query.sql_errors import too_long_chain
from lamdb.prisma.scalars import Parameter, Scalars, number_type

type Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TemplateVariable:
    """Stands for a value that is known only when the request is bound."""

    name: str


class _Absent:
    """The value of a variable that was not given: the argument or input field around it is left out."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


# --- walking a request ----------------------------------------------------------------------------

_UPSERTS = frozenset({"upsert", "connectOrCreate"})
_RECORD_LISTS = frozenset({"connect", "set", "disconnect", "delete"})
_CHAINS = frozenset({"AND", "OR", "NOT"}) | _RECORD_LISTS
MAX_CHAIN: Final = 5000
"""Conditions in one list, or records: Prisma's compiler and SQLite take time that grows with its square."""


def shares_placeholders(request: Request) -> bool:
    """True if equal values must have one placeholder, because the compiler will compare them."""
    return request["action"] == "upsertOne" or _is_compared(request["query"].get("arguments"))


def _is_compared(value: Any) -> bool:
    """True if a value has a nested upsert, or a list of records, of which the compiler drops repeated
    ones."""
    if isinstance(value, dict):
        return any(
            name in _UPSERTS or (name in _RECORD_LISTS and _may_repeat(item)) or _is_compared(item)
            for name, item in value.items()
        )
    return isinstance(value, list) and any(_is_compared(item) for item in value)


def _may_repeat(value: Any) -> bool:
    return isinstance(value, TemplateVariable) or (isinstance(value, list) and len(value) > 1)


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a request mentions a variable, or has a list of scalars with variables in it."""

    variable: str
    edge: Edge
    items: tuple[Any, ...] | None = None
    """The list's items, variables among them; `variable` is empty then."""

    def value(self, variables: Mapping[str, Any]) -> Any:
        """The variable's value, or the list's with its variables resolved; ABSENT for an absent variable."""
        if self.items is None:
            return variables.get(self.variable, ABSENT)
        return [
            variables.get(item.name) if isinstance(item, TemplateVariable) else item for item in self.items
        ]


@dataclass(frozen=True, slots=True)
class Parameterised:
    """A request's shape, and the value of each placeholder by name."""

    shape: dict[str, Any]
    values: dict[str, Any]


def parameterise(graph: InputGraph, request: Request) -> Parameterised:
    """Replace the values of a request by placeholders wherever the DMMF allows it."""
    walk = Walk(graph, share=shares_placeholders(request))
    return Parameterised(walk.request(request), walk.values)


class Walk:
    """One pass over a request, or over the value of one variable.

    It numbers placeholders in the order of the values, and resolves the request's variables.
    """

    def __init__(self, graph: InputGraph, *, share: bool, variables: Mapping[str, Any] | None = None) -> None:
        self._graph = graph
        self._variables = variables
        self._known: dict[tuple[str, bytes], str] | None = {} if share else None
        self._operand: str | None = None
        """The number type of the arithmetic update whose operand is walked."""
        self.values: dict[str, Any] = {}
        self.parameters: list[Parameter] = []
        """Every parameterised value with its type, in order."""
        self.names: list[str] = []
        """The placeholder of each; with sharing, names repeat."""
        self.uses: list[Use] = []
        self.from_variables: list[int] = []
        """The indexes of those `parameters` that came from variables."""

    def request(self, request: Request) -> dict[str, Any]:
        root = self._graph.root(request.get("modelName"), request["action"])
        # What a raw query takes is part of its shape, but may be a variable.
        query = self._selected(request["query"], root or OutputField(self._graph, {}, None))
        if request["action"] == "groupBy" and _says_nothing((query.get("arguments") or {}).get("having")):
            # The compiler panics on a `having` without a condition.
            del query["arguments"]["having"]
        return {**request, "query": query}

    def _selected(self, query: Mapping[str, Any], output: OutputField) -> dict[str, Any]:
        """The root, or one field of a selection: its arguments and what is selected below."""
        result = dict(query)
        if query.get("arguments"):
            result["arguments"] = self._object(query["arguments"], output.arguments)
        if query.get("selection"):
            fields = output.selection
            result["selection"] = {
                name: self._selected(below, fields[name])
                if isinstance(below, dict) and name in fields
                else below
                for name, below in query["selection"].items()
            }
        return result

    def _object(self, value: Mapping[str, Any], edges: Edges) -> dict[str, Any]:
        for name, item in value.items():
            if type(item) is list and len(item) > MAX_CHAIN and name in _CHAINS:
                raise too_long_chain(name, len(item), MAX_CHAIN)
        items = ((name, self._member(name, item, edges.get(name, _ANYTHING))) for name, item in value.items())
        return {name: item for name, item in items if item is not ABSENT}

    def _member(self, name: str, value: Any, edge: Edge) -> Any:
        """The shape of an input field's value. The operand of an arithmetic update is marked by its name."""
        if name not in OPERATORS:
            return self.value(value, edge)
        outer, self._operand = self._operand, number_type(edge.scalars)
        try:
            return self.value(value, edge)
        finally:
            self._operand = outer

    def value(self, value: Any, edge: Edge) -> Any:
        """The value's shape; ABSENT for a variable that was not given."""
        if value is None:
            return None
        if isinstance(value, TemplateVariable):
            return self._variable(Use(value.name, edge))
        if isinstance(value, list) and _is_open_list(value, edge):
            return self._variable(Use("", edge, tuple(value)))
        found = edge.parameter(value)
        if found is not None:
            return self._placeholder(found)
        if isinstance(value, list):
            items = [self._item(item, edge) for item in value]
            return [None if item is ABSENT else item for item in items]
        if isinstance(value, dict) and "$type" not in value:
            return self._object(value, self._graph.node(edge.objects))
        return _literal(value, edge)

    def _item(self, item: Any, edge: Edge) -> Any:
        """Returns an item of a list that is not a placeholder as a whole. Only values inside of objects are
        parameterised.
        """
        if isinstance(item, TemplateVariable):
            return self._variable(Use(item.name, Edge(objects=edge.objects)))
        if isinstance(item, dict | list) and not _is_tagged(item):
            return self.value(item, edge)
        return _literal(item, edge)

    def _variable(self, use: Use) -> Any:
        self.uses.append(use)
        start = len(self.parameters)
        shape = ABSENT if self._variables is None else self.value(use.value(self._variables), use.edge)
        self.from_variables += range(start, len(self.parameters))
        return shape

    def _placeholder(self, parameter: Parameter) -> dict[str, Any]:
        if len(self.parameters) >= _MAX_PLACEHOLDERS:
            raise QueryTooCostly(
                f"The filters and nested writes of the request hold more than {_MAX_PLACEHOLDERS} values.",
                hint=LISTS_HINT,
                meta={"limit": _MAX_PLACEHOLDERS},
            )
        name = self._name(parameter)
        self.parameters.append(parameter)
        self.names.append(name)
        outer, _, inner = parameter[0].partition("<")
        described: dict[str, Any] = {"name": name, "type": outer}
        if inner:
            described["inner"] = {"type": inner.removesuffix(">")}
        return {"$type": "Param", "value": described}

    def _name(self, parameter: Parameter) -> str:
        fresh = f"%{len(self.values) + 1}"
        if self._operand is not None:
            name = f"{fresh}{OPERAND_MARK}{self._operand}"
        elif self._known is None:
            name = fresh
        else:
            name = self._known.setdefault(identity(parameter), fresh)
        self.values[name] = parameter[1]
        return name


def _is_open_list(values: list[Any], edge: Edge) -> bool:
    """True if a list of scalars has variables in it: it is one placeholder once they are known."""
    if not edge.lists and edge.enum_list is None:
        return False
    scalars = (not isinstance(value, list | dict) or _is_tagged(value) for value in values)
    return any(isinstance(value, TemplateVariable) for value in values) and all(scalars)


def _literal(value: Any, edge: Edge) -> Any:
    """Returns a scalar in the form for the shape. The compiler keeps 16 digits of a JSON number with a
    fraction,
    and all digits of a tagged decimal, which it accepts in every position of such a number.
    """
    accepted = edge.scalars | edge.lists
    if type(value) is float and accepted & (Scalars.FLOAT | Scalars.DECIMAL) and isfinite(value):
        return {"$type": "Decimal", "value": format(Decimal(repr(value)), "f")}
    return value


def _says_nothing(condition: Any) -> bool:
    """True if a filter is `{}`, or holds nothing but such filters (`{likes: {}}`)."""
    return isinstance(condition, dict) and all(map(_says_nothing, condition.values()))


def identity(parameter: Parameter) -> tuple[str, bytes]:
    """Equal for parameters of equal type and value (1, 1.0 and true differ)."""
    kind, value = parameter
    return kind, orjson.dumps(value)


def _is_tagged(value: Any) -> bool:
    return isinstance(value, dict) and "$type" in value


# Of an argument or input field that the schema does not know: the compiler will say so.
_ANYTHING = Edge()

LISTS_HINT = "Use `in` lists and createMany for long lists, or split the request."
_MAX_PLACEHOLDERS = 20_000
"""More of them are more than the query compiler is given (`engine`)."""


# --- templates ------------------------------------------------------------------------------------

type Kind = str | bytes | _Absent | None
type Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class TemplateVariant:
    """A template's request for one combination of kinds of its variables' values."""

    shape: dict[str, Any]
    constants: dict[str, Any]
    """The values of the placeholders that do not depend on variables."""
    names: tuple[str, ...]
    """The placeholders of the variables' values, in the order in which `RequestTemplate.read` gives them."""


class RequestTemplate:
    """A request with `TemplateVariable`s as values.

    Binding variables is quick: it checks each variable's type and does not walk over the request.
    """

    def __init__(self, graph: InputGraph, request: Request) -> None:
        self._graph = graph
        self.request = request
        self._share = shares_placeholders(request)
        walk = Walk(graph, share=self._share)
        walk.request(request)
        self.uses = tuple(walk.uses)
        self._objects = tuple({use.variable for use in walk.uses if use.edge.objects})
        """The variables whose values may decide whether placeholders are shared."""
        self._constants = [identity(parameter) for parameter in walk.parameters]

    def read(self, variables: Mapping[str, Any]) -> tuple[Key, list[Any]]:
        """Returns the key of the shape and the values to bind, in order.

        `variables` are coerced values in the JSON protocol (tagged or plain scalars, lists, objects), by
        name. A missing variable leaves out its argument or input field.
        """
        kinds: list[Kind] = []
        parameters: list[Parameter] = []
        for use in self.uses:
            value = variables.get(use.variable, ABSENT) if use.items is None else use.value(variables)
            if value is None or value is ABSENT:
                kinds.append(value)
                continue
            found = use.edge.parameter(value)
            if found is None:
                kinds.append(self._structure(value, use.edge, parameters))
            else:
                kinds.append(found[0])
                parameters.append(found)
        if self._share or (self._objects and self._shares(variables)):
            return (*kinds, *self._pattern(parameters)), [value for _, value in parameters]
        return tuple(kinds), [value for _, value in parameters]

    def _shares(self, variables: Mapping[str, Any]) -> bool:
        if self._share or not self._objects:
            return self._share
        return any(_is_compared(variables.get(name)) for name in self._objects)

    def _structure(self, value: Any, edge: Edge, parameters: list[Parameter]) -> bytes:
        walk = Walk(self._graph, share=False)
        shape = orjson.dumps(walk.value(value, edge))
        parameters += walk.parameters
        return shape

    def _pattern(self, parameters: Sequence[Parameter]) -> Iterable[int]:
        """The pattern of equal values, which decides the names where names are shared."""
        known: dict[tuple[str, bytes], int] = {}
        for constant in self._constants:
            known.setdefault(constant, len(known))
        return [known.setdefault(identity(parameter), len(known)) for parameter in parameters]

    def variant(self, variables: Mapping[str, Any]) -> TemplateVariant:
        """The request's shape for variables of this kind."""
        walk = Walk(self._graph, share=self._shares(variables), variables=variables)
        shape = walk.request(self.request)
        names = tuple(walk.names[index] for index in walk.from_variables)
        given = set(names)
        constants = {name: value for name, value in walk.values.items() if name not in given}
        return TemplateVariant(shape, constants, names)
