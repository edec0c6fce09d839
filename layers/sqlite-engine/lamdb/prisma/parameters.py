"""Parameterised requests: the values of a request become placeholders, so that one plan serves every
request of a shape.

Which values may become placeholders is written in the DMMF (`isParameterizable`). What stays structural is
part of the shape: null, `take`, `skip`, `orderBy`, `distinct`, `by`, JSON paths, field references, the
lengths of lists of objects, and every value whose type or text is wrong, so that the compiler judges it. A
whole `in` list is one placeholder.

Placeholder types: Boolean, Int (32 bit), BigInt, Float (also for Decimal), String, DateTime, Json, Bytes,
Enum (holding the database's value), and `List` of one of them.

The compiler compares placeholders where it decides between native and emulated upserts, and where it drops
repeated records from a list (`connect: [{ id: 1 }, { id: 1 }]`). In requests with either, equal values of one
type therefore share a placeholder; elsewhere every value has its own.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final

import orjson

type Request = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Variable:
    """Stands for a value that is known only when the request is bound."""

    name: str


class _Absent:
    """The value of a variable that was not given: the argument or input field around it is left out."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = _Absent()


class Scalars:
    """Bits for the scalar types a position takes as a placeholder (plain integers: enum flags are slow)."""

    NONE = 0
    STRING = 1
    INT = 2
    BIGINT = 4
    FLOAT = 8
    DECIMAL = 16
    BOOLEAN = 32
    DATETIME = 64
    JSON = 128
    BYTES = 256


_SCALARS = {
    "String": Scalars.STRING,
    "UUID": Scalars.STRING,
    "Int": Scalars.INT,
    "BigInt": Scalars.BIGINT,
    "Float": Scalars.FLOAT,
    "Decimal": Scalars.DECIMAL,
    "Boolean": Scalars.BOOLEAN,
    "DateTime": Scalars.DATETIME,
    "Json": Scalars.JSON,
    "Bytes": Scalars.BYTES,
}


# --- recognising scalars --------------------------------------------------------------------------

_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:[Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_INT32 = range(-(2**31), 2**31)
_INT64 = range(-(2**63), 2**63)

# (placeholder type, value)
type Parameter = tuple[str, Any]


def _is_datetime(text: str) -> bool:
    if _RFC3339.fullmatch(text) is None:
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _is_decimal(text: str) -> bool:
    try:
        return Decimal(text).is_finite()
    except InvalidOperation:
        return False


def _is_base64(text: str) -> bool:
    try:
        b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _is_bigint(text: str) -> bool:
    digits = text.removeprefix("-")
    return len(digits) <= 19 and digits.isascii() and digits.isdecimal() and int(text) in _INT64


def _integer(value: int, accepted: int) -> Parameter | None:
    if value in _INT32 and accepted & (Scalars.INT | Scalars.BIGINT | Scalars.FLOAT):
        return "Int", value
    if value in _INT64 and accepted & Scalars.BIGINT:
        return "BigInt", value
    if accepted & (Scalars.FLOAT | Scalars.DECIMAL) and not accepted & Scalars.INT:
        return "Float", value
    return None


def _text(value: str, accepted: int) -> Parameter | None:
    if accepted & Scalars.STRING:
        return "String", value
    if accepted & Scalars.DATETIME and _is_datetime(value):
        return "DateTime", value
    if accepted & Scalars.BIGINT and _is_bigint(value):
        return "BigInt", value
    if accepted & Scalars.DECIMAL and _is_decimal(value):
        return "Float", value
    if accepted & Scalars.BYTES and _is_base64(value):
        return "Bytes", value
    return None


# tag → (accepted by, placeholder type, check)
_TAGS = {
    "DateTime": (Scalars.DATETIME, "DateTime", _is_datetime),
    "BigInt": (Scalars.BIGINT, "BigInt", _is_bigint),
    "Decimal": (Scalars.DECIMAL, "Float", _is_decimal),
    "Bytes": (Scalars.BYTES, "Bytes", _is_base64),
    "Json": (Scalars.JSON, "Json", _is_json),
}


def _tagged(value: Mapping[str, Any], accepted: int) -> Parameter | None:
    known = _TAGS.get(value["$type"])
    if known is None:
        return None
    wanted, kind, check = known
    text = value["value"]
    return (kind, text) if accepted & wanted and isinstance(text, str) and check(text) else None


def scalar_parameter(value: Any, accepted: int) -> Parameter | None:
    """The placeholder type and value of a scalar; None if the position does not take it as a placeholder."""
    kind = type(value)
    if kind is str:
        return _text(value, accepted)
    if kind is int:
        return _integer(value, accepted)
    if kind is bool:
        return ("Boolean", value) if accepted & Scalars.BOOLEAN else None
    if kind is float:
        return ("Float", value) if accepted & (Scalars.FLOAT | Scalars.DECIMAL) else None
    return _tagged(value, accepted) if kind is dict and "$type" in value else None


_WIDTH = {"Int": 0, "BigInt": 1, "Float": 2}


def _common_type(kinds: Iterable[str]) -> str:
    """The type of a list's items: numbers widen, anything else mixed is `Any`."""
    distinct = set(kinds)
    if len(distinct) == 1:
        return distinct.pop()
    return max(distinct, key=_WIDTH.__getitem__) if distinct <= _WIDTH.keys() else "Any"


# --- the graph of input types ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """What a position (an argument or input field) takes."""

    scalars: int = Scalars.NONE
    lists: int = Scalars.NONE
    enum: Mapping[str, str] | None = None
    """API name → database value."""
    enum_list: Mapping[str, str] | None = None
    objects: tuple[str, ...] = ()
    """Input object types, alone or in lists; where several fit, a value is read by all their fields."""

    def parameter(self, value: Any) -> Parameter | None:
        """The whole value as one placeholder, or None."""
        if isinstance(value, list):
            return self._list_parameter(value)
        if self.enum is not None and isinstance(value, str) and value in self.enum:
            return "Enum", self.enum[value]
        if self.scalars:
            found = scalar_parameter(value, self.scalars)
            if found is not None:
                return found
            if isinstance(value, dict) and "$type" not in value:
                return self._json_parameter(value)
        return None

    def _list_parameter(self, values: list[Any]) -> Parameter | None:
        if not values or self.scalars & Scalars.JSON:
            return self._json_parameter(values)
        names = self.enum_list
        if names is not None and all(isinstance(value, str) and value in names for value in values):
            return "List<Enum>", [names[value] for value in values]
        if not self.lists:
            return None
        items = [scalar_parameter(value, self.lists) for value in values]
        found = [item for item in items if item is not None]
        if len(found) < len(items):
            return None
        return f"List<{_common_type(kind for kind, _ in found)}>", [value for _, value in found]

    def _json_parameter(self, value: Any) -> Parameter | None:
        """Plain objects and arrays where Json is taken and no input type fits."""
        if not self.scalars & Scalars.JSON or self.objects:
            return None
        return "Json", orjson.dumps(_untag(value)).decode()


def _untag(value: Any) -> Any:
    """Tagged values inside a JSON value as plain JSON."""
    if isinstance(value, list):
        return [_untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$type" not in value:
        return {key: _untag(item) for key, item in value.items()}
    return orjson.loads(value["value"]) if value["$type"] == "Json" else value["value"]


type Edges = Mapping[str, Edge]


class InputGraph:
    """The DMMF's input and output types as far as parameters need them. Nodes are built when first wanted."""

    def __init__(self, dmmf: Mapping[str, Any]) -> None:
        schema = dmmf["schema"]
        self._inputs = _by_name(schema["inputObjectTypes"])
        self._outputs = _by_name(schema["outputObjectTypes"])
        self._enums = {
            enum["name"]: {value["name"]: value.get("dbName") or value["name"] for value in enum["values"]}
            for enum in dmmf["datamodel"]["enums"]
        }
        self._operations = {
            (mapping["model"], action): name
            for mapping in dmmf["mappings"]["modelOperations"]
            for action, name in mapping.items()
        }
        self._nodes: dict[tuple[str, ...], Edges] = {}
        self._fields: dict[str, dict[str, OutputField]] = {}

    def root(self, model: str | None, action: str) -> "OutputField | None":
        """The query or mutation of an action; None for raw queries and for what does not exist."""
        name = self._operations.get((model, action)) if model is not None else None
        if name is None:
            return None
        return self.fields("Query").get(name) or self.fields("Mutation").get(name)

    def fields(self, output_type: str) -> "Mapping[str, OutputField]":
        fields = self._fields.get(output_type)
        if fields is None:
            declared = self._outputs.get(output_type, {"fields": ()})["fields"]
            fields = self._fields[output_type] = {
                entry["name"]: self._output_field(entry) for entry in declared
            }
        return fields

    def _output_field(self, entry: Mapping[str, Any]) -> "OutputField":
        kind = entry["outputType"]
        below = kind["type"] if kind["location"] == "outputObjectTypes" else None
        return OutputField(entry["args"], below, self)

    def node(self, types: tuple[str, ...]) -> Edges:
        """The fields of an input object, merged over the types it may have."""
        node = self._nodes.get(types)
        if node is None:
            merged: dict[str, list[Mapping[str, Any]]] = {}
            for name in types:
                for entry in self._inputs[name]["fields"]:
                    merged.setdefault(entry["name"], []).append(entry)
            node = self._nodes[types] = {name: self.edge(entries) for name, entries in merged.items()}
        return node

    def edge(self, entries: Sequence[Mapping[str, Any]]) -> Edge:
        scalars = lists = Scalars.NONE
        enum: str | None = None
        enum_list: str | None = None
        objects: dict[str, None] = {}
        for entry in entries:
            for kind in entry["inputTypes"]:
                name, location = kind["type"], kind["location"]
                if location == "inputObjectTypes":
                    objects[name] = None
                elif not entry["isParameterizable"]:
                    continue
                elif location == "scalar":
                    accepted = _SCALARS.get(name, Scalars.NONE)
                    lists |= accepted if kind["isList"] else Scalars.NONE
                    scalars |= Scalars.NONE if kind["isList"] else accepted
                elif location == "enumTypes" and kind.get("namespace") == "model":
                    enum, enum_list = (enum, name) if kind["isList"] else (name, enum_list)
        return Edge(
            scalars,
            lists,
            self._enums.get(enum) if enum else None,
            self._enums.get(enum_list) if enum_list else None,
            tuple(objects),
        )


def _by_name(types: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    return {entry["name"]: entry for part in ("prisma", "model") for entry in types.get(part, ())}


@dataclass(slots=True)
class OutputField:
    """A field of an output type: the edges of its arguments, and the type its selection is about."""

    declared: Sequence[Mapping[str, Any]]
    below: str | None
    graph: InputGraph
    _arguments: Edges | None = field(default=None, init=False)

    @property
    def arguments(self) -> Edges:
        if self._arguments is None:
            self._arguments = {entry["name"]: self.graph.edge([entry]) for entry in self.declared}
        return self._arguments

    @property
    def selection(self) -> "Mapping[str, OutputField]":
        return self.graph.fields(self.below) if self.below else {}


def _raw(graph: InputGraph) -> OutputField:
    """The root field of an action that belongs to no model."""
    return OutputField((), None, graph)


# --- walking a request ----------------------------------------------------------------------------

_UPSERTS = frozenset({"upsert", "connectOrCreate"})
_RECORD_LISTS = frozenset({"connect", "set", "disconnect", "delete"})


def shares_placeholders(request: Request) -> bool:
    """Whether equal values must have one placeholder, because the compiler will compare them."""
    return request["action"] == "upsertOne" or _is_compared(request["query"].get("arguments"))


def _is_compared(value: Any) -> bool:
    """Whether a value has a nested upsert, or a list of records, of which the compiler drops repeated
    ones.
    """
    if isinstance(value, dict):
        return any(
            name in _UPSERTS or (name in _RECORD_LISTS and _may_repeat(item)) or _is_compared(item)
            for name, item in value.items()
        )
    return isinstance(value, list) and any(_is_compared(item) for item in value)


def _may_repeat(value: Any) -> bool:
    return isinstance(value, Variable) or (isinstance(value, list) and len(value) > 1)


@dataclass(frozen=True, slots=True)
class Use:
    """A place where a request mentions a variable."""

    variable: str
    edge: Edge


@dataclass(frozen=True, slots=True)
class Parameterised:
    """A request's shape, and the value of each placeholder by name."""

    shape: dict[str, Any]
    values: dict[str, Any]


def parameterise(graph: InputGraph, request: Request) -> Parameterised:
    """Replace the values of a request by placeholders wherever the DMMF allows it."""
    walk = Walk(graph, share=shares_placeholders(request))
    return Parameterised(walk.request(request), walk.values)


def parameterise_batch(
    graph: InputGraph, requests: Sequence[Request]
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(the requests' shapes, the value of each placeholder): placeholders are numbered through the batch."""
    walk = Walk(graph, share=any(map(shares_placeholders, requests)))
    return [walk.request(request) for request in requests], walk.values


class Walk:
    """One pass over a request, or over the value of one variable.

    Numbers placeholders in the order it meets values, and resolves the request's variables on the way.
    """

    def __init__(self, graph: InputGraph, *, share: bool, variables: Mapping[str, Any] | None = None) -> None:
        self._graph = graph
        self._variables = variables
        self._known: dict[tuple[str, bytes], str] | None = {} if share else None
        self.values: dict[str, Any] = {}
        self.parameters: list[Parameter] = []
        """Every parameterised value with its type, in order."""
        self.names: list[str] = []
        """The placeholder of each; with sharing, names repeat."""
        self.uses: list[Use] = []
        self.from_variables: list[int] = []
        """Which of `parameters` came from variables."""

    def request(self, request: Request) -> dict[str, Any]:
        root = self._graph.root(request.get("modelName"), request["action"])
        # What a raw query takes is part of its shape, but may be a variable.
        return {**request, "query": self._selected(request["query"], root or _raw(self._graph))}

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
        items = ((name, self.value(item, edges.get(name, _ANYTHING))) for name, item in value.items())
        return {name: item for name, item in items if item is not ABSENT}

    def value(self, value: Any, edge: Edge) -> Any:
        """The value's shape; ABSENT for a variable that was not given."""
        if value is None:
            return None
        if isinstance(value, Variable):
            return self._variable(value.name, edge)
        found = edge.parameter(value)
        if found is not None:
            return self._placeholder(found)
        if isinstance(value, list):
            items = [self._item(item, edge) for item in value]
            return [None if item is ABSENT else item for item in items]
        if isinstance(value, dict) and "$type" not in value:
            return self._object(value, self._graph.node(edge.objects))
        return value

    def _item(self, item: Any, edge: Edge) -> Any:
        """An item of a list that is no placeholder as a whole: only what is inside objects is
        parameterised.
        """
        if isinstance(item, Variable):
            return self._variable(item.name, Edge(objects=edge.objects))
        return self.value(item, edge) if isinstance(item, dict | list) and not _is_tagged(item) else item

    def _variable(self, name: str, edge: Edge) -> Any:
        self.uses.append(Use(name, edge))
        start = len(self.parameters)
        shape = ABSENT if self._variables is None else self.value(self._variables.get(name, ABSENT), edge)
        self.from_variables += range(start, len(self.parameters))
        return shape

    def _placeholder(self, parameter: Parameter) -> dict[str, Any]:
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
        if self._known is None:
            name = fresh
        else:
            name = self._known.setdefault(identity(parameter), fresh)
        self.values[name] = parameter[1]
        return name


def identity(parameter: Parameter) -> tuple[str, bytes]:
    """Equal for parameters of equal type and value (1, 1.0 and true differ)."""
    kind, value = parameter
    return kind, orjson.dumps(value)


def _is_tagged(value: Any) -> bool:
    return isinstance(value, dict) and "$type" in value


# Of an argument or input field that the schema does not know: the compiler will say so.
_ANYTHING = Edge()


# --- templates ------------------------------------------------------------------------------------

type Kind = str | bytes | _Absent | None
type Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """A template's request for one combination of kinds of its variables' values."""

    shape: dict[str, Any]
    constants: dict[str, Any]
    """The values of the placeholders that do not depend on variables."""
    names: tuple[str, ...]
    """The placeholders of the variables' values, in the order in which `RequestTemplate.read` gives them."""


class RequestTemplate:
    """A request with `Variable`s in the places of values. Reading the variables costs next to nothing:
    no walk over the request, one look at each variable's type.
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
        """(what decides the shape, the values to bind in order).

        `variables` holds coerced values: JSON protocol (tagged or plain scalars, lists, objects) by name.
        One that is missing leaves out the argument or input field it stands for.
        """
        kinds: list[Kind] = []
        parameters: list[Parameter] = []
        for use in self.uses:
            value = variables.get(use.variable, ABSENT)
            if value is None or value is ABSENT:
                kinds.append(value)
                continue
            found = use.edge.parameter(value)
            if found is None:
                kinds.append(self._structure(value, use.edge, parameters))
            else:
                kinds.append(found[0])
                parameters.append(found)
        if self._shares(variables):
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
        """Which values are equal to which: decides the names where names are shared."""
        known: dict[tuple[str, bytes], int] = {}
        for constant in self._constants:
            known.setdefault(constant, len(known))
        return [known.setdefault(identity(parameter), len(known)) for parameter in parameters]

    def variant(self, variables: Mapping[str, Any]) -> Variant:
        """The request's shape for variables of this kind."""
        walk = Walk(self._graph, share=self._shares(variables), variables=variables)
        shape = walk.request(self.request)
        names = tuple(walk.names[index] for index in walk.from_variables)
        constants = {name: value for name, value in walk.values.items() if name not in names}
        return Variant(shape, constants, names)
