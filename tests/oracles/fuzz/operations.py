"""Random operations over a schema, made by walking the input and output types that Prisma's DMMF lists.

An operation is a tree: dictionaries and lists as Prisma nests them, `Leaf` for each value that may vary,
`Name` for words of the protocol (`asc`, field names), plain integers for `take`, `skip` and `limit`, None for
null. `documents` writes it for both sides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.oracles.fuzz.values import Leaf, random_leaf

type Tree = Any
type Type = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Name:
    """A word of Prisma's protocol, an enum of GraphQL."""

    text: str
    is_json_null: bool = False


@dataclass(frozen=True, slots=True)
class FieldRef:
    """A field compared with."""

    model: str
    field: str


@dataclass(frozen=True, slots=True)
class Operation:
    """`field` is GraphQL's root field; `selection` holds True for scalars, else (arguments, selection)."""

    kind: str
    model: str
    action: str
    field: str
    arguments: dict[str, Tree]
    selection: dict[str, Any]
    types: Mapping[str, str]
    """The GraphQL types of the arguments."""


READS = ("findMany",) * 8 + ("findFirst", "findFirst", "findUnique", "findUnique") + (
    "findFirstOrThrow", "findUniqueOrThrow", "aggregate", "aggregate", "groupBy", "groupBy",
)  # fmt: skip
_CREATES = ("createOne",) * 5 + ("createMany",) * 3 + ("createManyAndReturn",)
_UPDATES = ("updateOne",) * 4 + ("updateMany",) * 3 + ("updateManyAndReturn",) + ("upsertOne",) * 3
WRITES = (*_CREATES, *_UPDATES, "deleteOne", "deleteMany")
MUTATIONS = frozenset(WRITES)
LOGIC = frozenset({"AND", "OR", "NOT"})
NESTED_WRITES = frozenset(
    {"create", "connectOrCreate", "upsert", "createMany", "set", "disconnect", "delete", "connect", "update",
     "updateMany", "deleteMany"}
)  # fmt: skip
MAX_DEPTH = 6


class Operations:
    """Makes operations over the types of one DMMF."""

    def __init__(self, random: Random, dmmf: Mapping[str, Any]) -> None:
        self._random = random
        schema = dmmf["schema"]
        self._inputs = {kind["name"]: kind for part in schema["inputObjectTypes"].values() for kind in part}
        self._outputs = {kind["name"]: kind for part in schema["outputObjectTypes"].values() for kind in part}
        self._enums = {kind["name"]: kind["values"] for kind in schema["enumTypes"].get("prisma", ())}
        self._model_enums = {
            kind["name"]: [value["name"] for value in kind["values"]] for kind in dmmf["datamodel"]["enums"]
        }
        self._models = {model["name"]: model for model in dmmf["datamodel"]["models"]}
        self._mappings = [mapping for mapping in dmmf["mappings"]["modelOperations"] if mapping["model"]]
        self._roots = {
            (kind, entry["name"]): entry
            for kind in ("Query", "Mutation")
            for entry in self._outputs[kind]["fields"]
        }

    def seeding(self) -> list[Operation]:
        """Operations that fill every table a little."""
        creates = [(mapping, action) for mapping in self._mappings for action in ("createOne", "createMany")]
        return [self._operation(*self._random.choice(creates)) for _ in range(12)] if creates else []

    def one(self) -> Operation:
        """Any operation."""
        random = self._random
        mapping = random.choice(self._mappings)
        action = random.choice(READS if random.random() < 0.6 else WRITES)
        while not mapping.get(action):
            action = random.choice(READS)
        return self._operation(mapping, action)

    def varied(self, tree: Tree) -> Tree:
        """The same tree with other values."""
        match tree:
            case Leaf(kind, _, True):
                return Leaf(kind, self._random.choice(self._model_enums[kind]), is_enum=True)
            case Leaf(kind):
                return random_leaf(self._random, kind) if self._random.random() < 0.7 else tree
            case dict():
                return {name: self.varied(each) for name, each in tree.items()}
            case list():
                return [self.varied(each) for each in tree]
            case tuple():
                return tuple(self.varied(each) for each in tree)
            case Operation():
                return replace(
                    tree, arguments=self.varied(tree.arguments), selection=self.varied(tree.selection)
                )
            case _:
                return tree

    def _operation(self, mapping: Mapping[str, Any], action: str) -> Operation:
        kind = "Mutation" if action in MUTATIONS else "Query"
        field = mapping[action]
        root = self._roots[kind, field]
        if action == "groupBy":
            return self._group_by(mapping["model"], field, root)
        types: dict[str, str] = {}
        arguments = self._arguments(root, mapping["model"], types=types)
        selection = self._selection(root["outputType"], 0)
        return Operation(kind, mapping["model"], action, field, arguments, selection, types)

    # --- arguments --------------------------------------------------------------------------------

    def _arguments(
        self, entry: Type, model: str, *, chance: float = 1.0, types: dict[str, str] | None = None
    ) -> dict[str, Tree]:
        random = self._random
        likely = {"where": 0.75, "orderBy": 0.45, "cursor": 0.12, "take": 0.3, "skip": 0.2, "distinct": 0.12,
                  "limit": 0.15}  # fmt: skip
        made: dict[str, Tree] = {}
        for argument in entry["args"]:
            name = argument["name"]
            if argument["isRequired"] or random.random() < likely.get(name, 0.3) * chance:
                kind = random.choice([kind for kind in argument["inputTypes"] if kind["type"] != "Null"])
                made[name] = self._argument(name, {**argument, "inputTypes": [kind]}, model)
                if types is not None:
                    notation = f"[{kind['type']}!]" if kind["isList"] else kind["type"]
                    types[name] = notation + "!" * argument["isRequired"]
        if "cursor" in made and "orderBy" not in made and random.random() < 0.5:
            del made["cursor"]
        return made

    def _argument(self, name: str, argument: Type, model: str) -> Tree:
        random = self._random
        if name == "take":
            return random.choice((0, 1, 2, 3, 5, 20, -1, -2, -3))
        if name in {"skip", "limit"}:
            return random.choice((0, 1, 1, 2, 3))
        return self._value(argument, 0, model)

    def _value(self, entry: Type, depth: int, model: str) -> Tree:
        """A value of one of the types that an argument or input field takes."""
        random = self._random
        kinds = entry["inputTypes"]
        if depth > MAX_DEPTH:
            plain = [
                kind for kind in kinds if kind["location"] in {"scalar", "enumTypes"} and not kind["isList"]
            ]
            kinds = plain or kinds
        weights = [self._weight(kind) for kind in kinds]
        kind = random.choices(kinds, weights)[0]
        if kind["type"] == "Null":
            return None
        if kind["isList"]:
            longest = 3 if kind["location"] == "inputObjectTypes" else 5
            return [
                self._single(kind, depth + 1, model) for _ in range(random.choice((0, 1, 1, 2, 2, longest)))
            ]
        return self._single(kind, depth, model)

    def _weight(self, kind: Type) -> float:
        if kind["type"] == "Null":
            return 0.15
        if kind["location"] == "fieldRefTypes":
            return 0.06
        return 0.4 if kind["type"].endswith("NullValueInput") else 1.0

    def _single(self, kind: Type, depth: int, model: str) -> Tree:
        name = kind["type"]
        match kind["location"]:
            case "scalar":
                return random_leaf(self._random, name)
            case "enumTypes" if kind.get("namespace") == "model":
                return Leaf(name, self._random.choice(self._model_enums[name]), is_enum=True)
            case "enumTypes":
                word = self._random.choice(self._enums[name])
                return Name(word, is_json_null="NullValue" in name)
            case "fieldRefTypes":
                return self._field_ref(name, model)
            case _:
                return self._object(self._inputs[name], depth, model)

    def _field_ref(self, name: str, model: str) -> Tree:
        scalar = name.removesuffix("FieldRefInput").removeprefix("Enum")
        fields = [
            field
            for field in self._models[model]["fields"]
            if field["type"] == scalar and not field["isList"]
        ]
        if fields:
            return FieldRef(model, self._random.choice(fields)["name"])
        return random_leaf(self._random, scalar)

    def _object(self, kind: Type, depth: int, model: str) -> dict[str, Tree]:
        random = self._random
        model = (kind.get("meta") or {}).get("grouping") or model
        fields, constraints = kind["fields"], kind["constraints"]
        chosen = [field for field in fields if field["isRequired"]]
        optional = [field for field in fields if not field["isRequired"]]
        least, most = constraints.get("minNumFields"), constraints.get("maxNumFields")
        keys = constraints.get("fields") or ()
        if keys:
            chosen.append(random.choice([field for field in fields if field["name"] in keys]))
            optional = optional if random.random() < 0.15 else []
            chosen += [field for field in optional if field not in chosen and random.random() < 0.15]
        elif most == 1:
            chosen = [random.choice(fields)]
        else:
            chosen += [
                field for field in optional if random.random() < self._chance(kind["name"], field, depth)
            ]
            if not chosen and (least or random.random() < 0.9) and optional:
                chosen = [random.choice(optional)]
        random.shuffle(chosen)
        return {field["name"]: self._value(field, depth + 1, model) for field in chosen}

    def _chance(self, kind: str, field: Type, depth: int) -> float:
        """How likely an optional input field is given."""
        name = field["name"]
        if "Nested" in kind and name in NESTED_WRITES and all(
            each["location"] != "scalar" for each in field["inputTypes"]
        ):  # fmt: skip
            return 0.25 / (depth + 1)
        if "Create" in kind or "Update" in kind:
            nested = all(each["location"] == "inputObjectTypes" for each in field["inputTypes"])
            if nested and any("Nested" in each["type"] for each in field["inputTypes"]):
                return 0.35 / (depth + 1)
            return 0.6 if "Create" in kind else 0.3
        if name in LOGIC:
            return 0.15 / (depth + 1)
        return 0.2 / (1 + depth / 2)

    # --- selections -------------------------------------------------------------------------------

    def _selection(self, output: Type, depth: int, only: set[str] | None = None) -> dict[str, Any]:
        random = self._random
        fields = self._outputs[output["type"]]["fields"]
        if only is not None:
            fields = [
                field for field in fields
                if field["name"] in only or field["outputType"]["location"] == "outputObjectTypes"
            ]  # fmt: skip
        made: dict[str, Any] = {}
        everything = random.random() < 0.4
        for field in fields:
            below = field["outputType"]
            if below["location"] != "outputObjectTypes":
                if everything or random.random() < 0.5:
                    arguments = self._arguments(field, output["type"], chance=0.5) if field["args"] else {}
                    made[field["name"]] = (arguments, {}) if arguments else True
            elif random.random() < 0.35 / (depth + 1):
                arguments = self._arguments(field, below["type"], chance=0.6)
                made[field["name"]] = (arguments, self._selection(below, depth + 1))
        if not made:
            field = next(
                (each for each in fields if each["outputType"]["location"] != "outputObjectTypes"), fields[0]
            )
            below = field["outputType"]
            nested = below["location"] == "outputObjectTypes"
            made[field["name"]] = ({}, self._selection(below, depth + 1)) if nested else True
        return made

    def _group_by(self, model: str, field: str, root: Type) -> Operation:
        random = self._random
        names = [each["name"] for each in self._models[model]["fields"] if each["kind"] in {"scalar", "enum"}]
        by = random.sample(names, min(len(names), random.choice((1, 1, 2, 3))))
        arguments: dict[str, Tree] = {"by": [Name(name) for name in by]}
        for name, argument in ((each["name"], each) for each in root["args"]):
            if name == "where" and random.random() < 0.5:
                arguments[name] = self._value(argument, 0, model)
            elif name == "orderBy" and random.random() < 0.7:
                orders = self._value(argument, 0, model)
                orders = orders if isinstance(orders, list) else [orders]
                kept = [
                    order
                    for order in orders
                    if next(iter(order), "_").startswith("_") or set(order) <= set(by)
                ]
                arguments[name] = [*kept, *({each: Name("asc")} for each in by)]
            elif name == "having" and random.random() < 0.4:
                arguments[name] = self._having(argument, by, model)
            elif name in {"take", "skip"} and "orderBy" in arguments and random.random() < 0.3:
                arguments[name] = self._argument(name, argument, model)
        selection = self._selection(root["outputType"], 0, only=set(by))
        types = {"where": f"{model}WhereInput", "by": f"[{model[0].upper()}{model[1:]}ScalarFieldEnum!]!"}
        return Operation("Query", model, "groupBy", field, arguments, selection, types)

    def _having(self, argument: Type, by: list[str], model: str) -> Tree:
        kind = self._inputs[argument["inputTypes"][0]["type"]]
        fields = [field for field in kind["fields"] if field["name"] in by]
        made = {}
        for field in self._random.sample(fields, min(len(fields), self._random.choice((1, 1, 2)))):
            made[field["name"]] = self._value(field, 1, model)
        if self._random.random() < 0.2:
            return {self._random.choice(("AND", "OR", "NOT")): [made]}
        return made
