"""Converts Prisma's DMMF to the compact metadata that `types.ApiTypes` reads.

The DMMF (`PrismaSchema.dmmf`, 4 MB of JSON at 30 models) lists every input, output and enum type of a
schema: `schema.inputObjectTypes`, `outputObjectTypes`, `enumTypes` and `fieldRefTypes`, each split into the
namespaces `prisma` (what Prisma generates) and `model` (what the schema declares), and
`mappings.modelOperations`, which root field means which action. What a GraphQL API needs of it becomes one
JSON entry per type:

- `S` scalar: `()`
- `E` enum: `(description, {value: description})`
- `I` input: `(is_reference, min_fields, max_fields, any_of, {field: notation})`
- `O` object: `(description, model, {field: notation or (notation, {argument: notation}, description)})`

in the notation that `types` explains, and one entry per root type: `{field: (model, action)}`.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.changes import RECORDED
from lamdb.errors import SchemaError
from lamdb.graphql.schema.changes_types import with_changes
from lamdb.graphql.schema.names import BUILT_IN_SCALARS, CUSTOM_SCALARS, ROOT_TYPES, Operation
from lamdb.graphql.schema.search_types import with_searches
from lamdb.prisma.datamodel.clashes import Clash, clashes
from lamdb.prisma.datamodel.mirrors import PREFIX as ANNOTATION
from lamdb.prisma.datamodel.search_inputs import SEARCHES

type Dmmf = Mapping[str, Any]
type Entry = tuple[str, str, Any]
"""Name, kind and content."""

_RAW_FIELDS: Final = frozenset({"queryRaw", "executeRaw"})
# Descriptions of the root fields, for readers of the schema; `{}` is the model.
_DOCUMENTED: Final[Mapping[str, str]] = {
    "findUnique": "The {} with the given unique values, or null.",
    "findUniqueOrThrow": "The {} with the given unique values; an error (P2025) if there is none.",
    "findFirst": "The first {} that matches, or null.",
    "findFirstOrThrow": "The first {} that matches; an error (P2025) if there is none.",
    "findMany": "Every {} that matches.",
    "aggregate": "Counts, averages, sums and extremes over every {} that matches.",
    "groupBy": "Every {} that matches, grouped by the values of `by`, with aggregates of each group.",
    "createOne": "Create one {}, with related records if wanted.",
    "createMany": "Create several of {} at once.",
    "createManyAndReturn": "Create several of {} at once and answer them.",
    "updateOne": "Change one {}; an error (P2025) if there is none.",
    "updateMany": "Change every {} that matches.",
    "updateManyAndReturn": "Change every {} that matches and answer them.",
    "upsertOne": "Change one {}, or create it if there is none.",
    "deleteOne": "Delete one {}; an error (P2025) if there is none.",
    "deleteMany": "Delete every {} that matches.",
    "queryRaw": "Run an SQL statement and answer its rows.",
    "executeRaw": "Run an SQL statement and answer the number of rows it touched.",
}
_MARKS: Final[Mapping[str, str]] = {
    "scalar": "",
    "enumTypes": "#",
    "inputObjectTypes": "{",
    "outputObjectTypes": "{",
    "fieldRefTypes": "&",
}
# The values that GraphQL's grammar keeps for its own literals.
_LITERALS: Final = frozenset({"true", "false", "null"})
# Enums that the DMMF lists for Prisma Client alone: no field of the API takes them.
_CLIENT_ENUMS: Final = frozenset({"TransactionIsolationLevel"})


def encode(dmmf: Dmmf, *, raw: bool) -> list[Entry]:
    """The entries of a schema. Raises `SchemaError` where GraphQL cannot express it."""
    if found := list(clashes(dmmf)):
        raise _clash(found)
    encoder = _Encoder(dmmf, raw=raw)
    entries = with_searches(list(encoder.encode()), dmmf.get(SEARCHES, ()), encoder.model_types())
    entries = with_changes(entries, dmmf.get(RECORDED, ()))
    seen: set[str] = set()
    for name, _, _ in entries:
        if name in seen:
            raise _clash([Clash(f"the type {name}", ())])
        seen.add(name)
    return entries


class _Encoder:
    def __init__(self, dmmf: Dmmf, *, raw: bool) -> None:
        self._schema = dmmf["schema"]
        self._mappings = dmmf["mappings"]
        self._hidden = frozenset() if raw else _RAW_FIELDS
        self._models = {model["name"]: model for model in dmmf["datamodel"]["models"]}
        self._enums = {enum["name"]: enum for enum in dmmf["datamodel"]["enums"]}
        self._renamed = _renamed(self._schema)
        self._has_float = False

    def encode(self) -> Iterator[Entry]:
        roots = {operation: self._roots(operation) for operation in ROOT_TYPES}
        for operation, fields in roots.items():
            yield f"@{operation}", "roots", fields
        documented = {
            ROOT_TYPES[operation]: {
                name: _DOCUMENTED[action].format(model) for name, (model, action) in fields.items()
            }
            for operation, fields in roots.items()
        }
        # In the order in which the SDL shows them: the operations, the models, the rest.
        outputs = sorted(_each(self._schema, "outputObjectTypes"), key=self._rank)
        enums = sorted(_each(self._schema, "enumTypes"), key=self._rank)
        for made in outputs:
            content = self._output(made, documented.get(made["name"], {}))
            # A schema of views has nothing to mutate, and GraphQL has no types without fields.
            if content[-1]:
                yield self._entry(made, "object", content)
        for made in enums:
            if made["namespace"] == "model" or made["name"] not in _CLIENT_ENUMS:
                yield self._entry(made, "enum", self._enum(made))
        for made in _each(self._schema, "inputObjectTypes"):
            yield self._entry(made, "input", self._input(made))
        for made in _each(self._schema, "fieldRefTypes"):
            yield self._entry(made, "input", self._input(made, is_reference=True))
        for scalar in CUSTOM_SCALARS:
            yield scalar, "scalar", ()
        if self._has_float:
            yield "Float", "scalar", ()

    def model_types(self) -> dict[str, str]:
        """The names of the models' types, by those of the models."""
        return {name: self._renamed.get(name, name) for name in self._models}

    def _rank(self, made: Mapping[str, Any]) -> int:
        if made["namespace"] != "model":
            return 0 if made["name"] in ROOT_TYPES.values() else 3
        return 1 if made["name"] in self._models or made["name"] in self._enums else 2

    def _entry(self, made: Mapping[str, Any], kind: str, content: Any) -> Entry:
        return self._name(made["name"], made["namespace"]), kind, content

    def _name(self, name: str, namespace: str | None) -> str:
        return self._renamed.get(name, name) if namespace == "model" else name

    def _roots(self, operation: Operation) -> dict[str, tuple[str | None, str]]:
        """The model and action behind each root field, from the operations that the DMMF maps to models."""
        named = {
            field: (mapping["model"], action)
            for mapping in self._mappings["modelOperations"]
            for action, field in mapping.items()
            if action != "model" and field is not None
        }
        root_type = ROOT_TYPES[operation]
        found: dict[str, tuple[str | None, str]] = {}
        for made in _each(self._schema, "outputObjectTypes"):
            if made["name"] != root_type or made["namespace"] == "model":
                continue
            for field in made["fields"]:
                name = field["name"]
                if name in found:
                    raise _clash([Clash(f"the field {root_type}.{name}", ())])
                if name not in self._hidden:
                    found[name] = named.get(name) or (None, name)
        return found

    def _output(
        self, made: Mapping[str, Any], documented: Mapping[str, str | None]
    ) -> tuple[str | None, str | None, dict[str, Any]]:
        model = self._models.get(made["name"]) if made["namespace"] == "model" else None
        if model:
            documented = {field["name"]: _description(field) for field in model["fields"]}
        fields = {
            field["name"]: self._output_field(field, documented.get(field["name"]))
            for field in made["fields"]
            if field["name"] not in self._hidden
        }
        return (_description(model), model["name"], fields) if model else (None, None, fields)

    def _output_field(self, field: Mapping[str, Any], description: str | None) -> Any:
        shape = field["outputType"]
        # Prisma marks the lists of relations as nullable, but they are empty at worst.
        never_null = shape["isList"] or not field["isNullable"]
        notation = self._notation(shape) + "!" * never_null
        args = {arg["name"]: self._members(arg) for arg in field["args"]}
        return (notation, args or None, description) if args or description else notation

    def _input(self, made: Mapping[str, Any], *, is_reference: bool = False) -> tuple[Any, ...]:
        limits = made.get("constraints", {})
        return (
            is_reference,
            limits.get("minNumFields"),
            limits.get("maxNumFields"),
            tuple(limits.get("fields") or ()),
            {field["name"]: self._members(field) for field in made["fields"]},
        )

    def _enum(self, made: Mapping[str, Any]) -> tuple[str | None, dict[str, str | None]]:
        declared = self._enums.get(made["name"]) if made["namespace"] == "model" else None
        documented = {
            value["name"]: _description(value) for value in (declared["values"] if declared else ())
        }
        for name in made["values"]:
            if name in _LITERALS:
                raise SchemaError(
                    f"Enum {made['name']} has the value {name}, which GraphQL keeps for itself.",
                    hint=f'Rename the value and keep its name in the database: {name}_ @map("{name}")',
                )
        return (
            _description(declared) if declared else None,
            {name: documented.get(name) for name in made["values"]},
        )

    def _members(self, field: Mapping[str, Any]) -> str:
        members = " ".join(self._notation(shape) for shape in field["inputTypes"])
        return f"!{members}" if field["isRequired"] else members

    def _notation(self, shape: Mapping[str, Any]) -> str:
        if shape["location"] == "scalar" and shape["type"] == "Null":
            return "~"
        name = self._name(shape["type"], shape.get("namespace"))
        self._has_float |= name == "Float"
        return f"{_MARKS[shape['location']]}{name}{'*' if shape['isList'] else ''}"


def _each(schema: Dmmf, place: str) -> Iterator[dict[str, Any]]:
    """The types of one place, each with its namespace."""
    for namespace, group in schema[place].items():
        for made in group or ():
            yield {**made, "namespace": namespace}


def _renamed(schema: Dmmf) -> dict[str, str]:
    """New names for the types of the `model` namespace that a generated or built-in type has already."""
    places = ("outputObjectTypes", "inputObjectTypes", "fieldRefTypes", "enumTypes")

    def names(namespace: str) -> Iterable[str]:
        return (made["name"] for place in places for made in schema[place].get(namespace) or ())

    taken = {*BUILT_IN_SCALARS, *CUSTOM_SCALARS, *names("prisma")}
    declared = set(names("model"))
    renamed: dict[str, str] = {}
    for name in names("model"):
        if name in taken:
            new = name + "_"
            while new in taken or new in declared:
                new += "_"
            taken.add(new)
            renamed[name] = new
    return renamed


def _description(documented: Mapping[str, Any]) -> str | None:
    """The documentation for people: without the lines that are annotations for lamDB."""
    text: str | None = documented.get("documentation")
    if text is None or ANNOTATION not in text:
        return text
    said = [line for line in text.splitlines() if not line.lstrip().startswith(ANNOTATION)]
    return "\n".join(said).strip() or None


def _clash(found: Sequence[Clash]) -> SchemaError:
    first: dict[tuple[str, ...], str] = {}
    for clash in found:
        first.setdefault(clash.models, clash.what)
    lines = []
    for models, what in first.items():
        named = " and ".join(f'"{name}"' for name in models)
        of = f"the models {named}" if len(models) > 1 else "two models"
        lines.append(f"In the GraphQL API, {of} both need {what}.")
    return SchemaError("\n".join(lines), hint="Rename one of the models, and keep its table with @@map.")
