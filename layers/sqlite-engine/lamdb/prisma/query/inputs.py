"""The part of Prisma's input types that placeholders need, from the DMMF, in a compact form.

The DMMF is 4 MB of JSON at 30 models. `InputGraph` reads a type when a request first uses it. It can be
stored (`dumps`) and loaded quickly, so a process without the DMMF can parameterise requests.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import orjson

from lamdb.prisma.scalars import SCALARS, Parameter, Scalars, common_type, scalar_parameter
from lamdb.prisma.typestore import TypeStore

# --- positions ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Edge:
    """The values that a position (an argument or input field) accepts."""

    scalars: int = Scalars.NONE
    lists: int = Scalars.NONE
    enum: Mapping[str, str] | None = None
    """API name → database value."""
    enum_list: Mapping[str, str] | None = None
    objects: tuple[str, ...] = ()
    """Input object types, alone or in lists; where several fit, a value is read by all their fields."""

    plain_text: bool = field(init=False)
    plain_int: bool = field(init=False)
    """True if every string, or every 32-bit integer, is accepted unchanged: the common cases, precomputed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "plain_text", self.enum is None and bool(self.scalars & Scalars.STRING))
        object.__setattr__(self, "plain_int", bool(self.scalars & Scalars.INT))

    def parameter(self, value: Any) -> Parameter | None:
        """Returns the placeholder for the whole value, or None."""
        kind = type(value)
        if kind is str:
            if self.plain_text:
                return "String", value
            if self.enum is not None and value in self.enum:
                return "Enum", self.enum[value]
        elif kind is int:
            if self.plain_int and -0x80000000 <= value <= 0x7FFFFFFF:
                return "Int", value
        elif kind is list:
            return self._list_parameter(value)
        if self.scalars:
            found = scalar_parameter(value, self.scalars)
            if found is None and kind is dict and "$type" not in value:
                return self._json_parameter(value)
            return found
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
        return f"List<{common_type(kind for kind, _ in found)}>", [value for _, value in found]

    def _json_parameter(self, value: Any) -> Parameter | None:
        """Plain objects and arrays where Json is taken and no input type fits."""
        if not self.scalars & Scalars.JSON or self.objects:
            return None
        return "Json", orjson.dumps(_untag(value)).decode()


def _untag(value: Any) -> Any:
    """Returns a JSON value with plain JSON in place of tagged values."""
    if isinstance(value, list):
        return [_untag(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "$type" not in value:
        return {key: _untag(item) for key, item in value.items()}
    return orjson.loads(value["value"]) if value["$type"] == "Json" else value["value"]


type Edges = Mapping[str, Edge]

# --- the graph ------------------------------------------------------------------------------------

_ENUMS: Final = "@enums"
_OPERATIONS: Final = "@operations"
_INPUT: Final = "<"
_OUTPUT: Final = ">"
"""Names of entries, or the beginnings of names."""

type _Position = tuple[int, int, str | None, str | None, tuple[str, ...]]
"""`Edge` without its enums' values: scalars, lists, enum, enum_list, objects."""
type _Inputs = dict[str, _Position]
type _Outputs = dict[str, tuple[_Inputs, str | None]]
"""Field → (its arguments, the output type below)."""


class _Source(Protocol):
    """The source of the graph's types."""

    @property
    def enums(self) -> Mapping[str, Mapping[str, str]]: ...
    @property
    def operations(self) -> Mapping[str, str]:
        """`Model.action` → the field of Query or Mutation."""

    def inputs(self, name: str) -> _Inputs: ...
    def outputs(self, name: str) -> _Outputs: ...


class InputGraph:
    """Positions by input type, and fields by output type. Safe to use from several threads."""

    def __init__(self, source: _Source) -> None:
        self._source = source
        self._nodes: dict[tuple[str, ...], Edges] = {}
        self._fields: dict[str, dict[str, OutputField]] = {}

    @classmethod
    def from_dmmf(cls, dmmf: Mapping[str, Any]) -> "InputGraph":
        return cls(_Dmmf(dmmf))

    @classmethod
    def loads(cls, data: bytes) -> "InputGraph":
        """Returns the graph that `dumps` wrote. Raises `EngineError` if it is damaged."""
        return cls(_Stored(TypeStore.loads(data)))

    def dumps(self) -> bytes:
        """Returns the whole graph as bytes. Each type is an entry that can be read separately."""
        source = self._source
        if not isinstance(source, _Dmmf):
            raise TypeError("only a graph that was made from a DMMF knows all its types")
        return TypeStore.pack(
            [
                (_ENUMS, _ENUMS, source.enums),
                (_OPERATIONS, _OPERATIONS, source.operations),
                *((_INPUT + name, _INPUT, source.inputs(name)) for name in source.input_types),
                *((_OUTPUT + name, _OUTPUT, source.outputs(name)) for name in source.output_types),
            ]
        ).dumps()

    def root(self, model: str | None, action: str) -> "OutputField | None":
        """The query or mutation of an action; None for raw queries and for what does not exist."""
        name = self._source.operations.get(f"{model}.{action}")
        if name is None:
            return None
        return self.fields("Query").get(name) or self.fields("Mutation").get(name)

    def fields(self, output_type: str) -> "Mapping[str, OutputField]":
        fields = self._fields.get(output_type)
        if fields is None:
            declared = self._source.outputs(output_type)
            fields = self._fields[output_type] = {
                name: OutputField(self, arguments, below) for name, (arguments, below) in declared.items()
            }
        return fields

    def node(self, types: tuple[str, ...]) -> Edges:
        """The fields of an input object, merged over the types it may have."""
        node = self._nodes.get(types)
        if node is None:
            merged: _Inputs = {}
            for name in types:
                for field_, position in self._source.inputs(name).items():
                    merged[field_] = _merge(merged[field_], position) if field_ in merged else position
            node = self._nodes[types] = self.edges(merged)
        return node

    def edges(self, positions: _Inputs) -> Edges:
        enums = self._source.enums
        return {
            name: Edge(scalars, lists, enums.get(enum or ""), enums.get(enum_list or ""), tuple(objects))
            for name, (scalars, lists, enum, enum_list, objects) in positions.items()
        }


@dataclass(slots=True)
class OutputField:
    """A field of an output type: the edges of its arguments, and the type its selection is about."""

    graph: InputGraph
    positions: _Inputs
    below: str | None
    _arguments: Edges | None = field(default=None, init=False)

    @property
    def arguments(self) -> Edges:
        if self._arguments is None:
            self._arguments = self.graph.edges(self.positions)
        return self._arguments

    @property
    def selection(self) -> "Mapping[str, OutputField]":
        return self.graph.fields(self.below) if self.below else {}


def _merge(one: _Position, other: _Position) -> _Position:
    objects = tuple(dict.fromkeys((*one[4], *other[4])))
    return one[0] | other[0], one[1] | other[1], one[2] or other[2], one[3] or other[3], objects


# --- sources --------------------------------------------------------------------------------------


class _Dmmf:
    def __init__(self, dmmf: Mapping[str, Any]) -> None:
        schema = dmmf["schema"]
        self.input_types = _by_name(schema["inputObjectTypes"])
        self.output_types = _by_name(schema["outputObjectTypes"])
        self.enums = {
            enum["name"]: {value["name"]: value.get("dbName") or value["name"] for value in enum["values"]}
            for enum in dmmf["datamodel"]["enums"]
        }
        self.operations = {
            f"{mapping['model']}.{action}": name
            for mapping in dmmf["mappings"]["modelOperations"]
            for action, name in mapping.items()
            if name is not None
        }

    def inputs(self, name: str) -> _Inputs:
        return _positions(self.input_types[name]["fields"])

    def outputs(self, name: str) -> _Outputs:
        entries = self.output_types.get(name, {"fields": ()})["fields"]
        return {entry["name"]: (_positions(entry["args"]), _below(entry["outputType"])) for entry in entries}


class _Stored:
    def __init__(self, store: TypeStore) -> None:
        self._store = store
        self.enums: Mapping[str, Mapping[str, str]] = self._entry(_ENUMS)
        self.operations: Mapping[str, str] = self._entry(_OPERATIONS)

    def inputs(self, name: str) -> _Inputs:
        inputs: _Inputs = self._entry(_INPUT + name)
        return inputs

    def outputs(self, name: str) -> _Outputs:
        found = self._store.find(_OUTPUT + name)
        outputs: _Outputs = found[1] if found else {}
        return outputs

    def _entry(self, name: str) -> Any:
        found = self._store.find(name)
        if found is None:
            raise KeyError(name)
        return found[1]


def _by_name(types: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Mapping[str, Any]]:
    return {entry["name"]: entry for part in ("prisma", "model") for entry in types.get(part, ())}


def _below(output_type: Mapping[str, Any]) -> str | None:
    return output_type["type"] if output_type["location"] == "outputObjectTypes" else None


def _positions(entries: Sequence[Mapping[str, Any]]) -> _Inputs:
    """The positions that take placeholders, or objects that may."""
    positions = ((entry["name"], _position(entry)) for entry in entries)
    return {name: position for name, position in positions if any(position)}


def _position(entry: Mapping[str, Any]) -> _Position:
    """Returns the values that an argument or input field accepts: input objects always, other values if it is
    parameterisable."""
    scalars = lists = Scalars.NONE
    enum: str | None = None
    enum_list: str | None = None
    objects: dict[str, None] = {}
    for kind in entry["inputTypes"]:
        name, location = kind["type"], kind["location"]
        if location == "inputObjectTypes":
            objects[name] = None
        elif not entry["isParameterizable"]:
            continue
        elif location == "scalar":
            accepted = SCALARS.get(name, Scalars.NONE)
            lists |= accepted if kind["isList"] else Scalars.NONE
            scalars |= Scalars.NONE if kind["isList"] else accepted
        elif location == "enumTypes" and kind.get("namespace") == "model":
            enum, enum_list = (enum, name) if kind["isList"] else (name, enum_list)
    return scalars, lists, enum, enum_list, tuple(objects)
