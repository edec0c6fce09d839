"""Defaults of ids that are part of an optional relation, which Prisma's query compiler does not fill in.

    id String @id @default(uuid())
    u  U?     @relation(fields: [id], references: [id])

For a create without `u` the compiler chooses the input type without `id`. The NOT NULL column then has no
value (P2011). So this module puts the default into the request as a parameter, and into the plan as a call of
the generator. A create that sets another relation of its own columns by an object is not changed, because
Prisma accepts no columns beside such an object.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lamdb.prisma.datamodel.schema_text import parse_blocks

_DEFAULT = re.compile(r"@default\((?P<name>uuid|cuid|ulid|nanoid)\((?P<argument>\d*)\)\)")
_USUAL = {"uuid": [4], "cuid": [1]}
_PARAMETER = "lamdb_default_"


@dataclass
class _Model:
    defaults: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    """The generators of fields that are part of optional relations, by field."""
    guards: dict[str, set[str]] = field(default_factory=dict)
    """The relations that each of them is part of."""
    own: set[str] = field(default_factory=set)
    """The relations that this model's columns make."""
    relations: dict[str, str] = field(default_factory=dict)
    """All relations, and the models that they lead to."""


class ClientDefaults:
    """The defaults of one schema. `fill` changes a request before it is compiled, `bind` its plan."""

    def __init__(self, text: str) -> None:
        self._models: dict[str, _Model] = {}
        blocks = [block for block in parse_blocks(text) if block.kind in ("model", "view")]
        names = {block.name for block in blocks}
        for block in blocks:
            model = self._models[block.name] = _Model()
            found = {each.name: _DEFAULT.search(each.attributes) for each in block.fields}
            for each in block.fields:
                if each.type in names:
                    model.relations[each.name] = each.type
                if not each.linked:
                    continue
                model.own.add(each.name)
                for name in each.linked if each.arity == "?" else ():
                    default = found.get(name)
                    if default is not None:
                        model.defaults[name] = _call(default)
                        model.guards.setdefault(name, set()).add(each.name)

    @classmethod
    def of(cls, text: str) -> "ClientDefaults | None":
        """None for a schema that has no such field."""
        if _DEFAULT.search(text) is None:
            return None
        found = cls(text)
        return found if any(model.defaults for model in found._models.values()) else None

    def fill(self, request: Any) -> dict[str, Mapping[str, Any]]:
        """Puts parameters into a request's creates. Returns the generators' calls by parameter names."""
        made: dict[str, Mapping[str, Any]] = {}
        arguments = request.get("query", {}).get("arguments", {})
        action, model = request.get("action"), request.get("modelName")
        for key, is_create in (("data", action == "createOne"), ("create", True), ("update", False)):
            if isinstance(arguments.get(key), dict) and action != "createMany":
                self._walk(model, arguments[key], made, is_create=is_create)
        return made

    def _walk(
        self, name: str | None, data: dict[str, Any], made: dict[str, Mapping[str, Any]], *, is_create: bool
    ) -> None:
        model = self._models.get(name or "")
        if model is None or "$type" in data:
            return
        for key, target in model.relations.items():
            for child, creates in _children(data.get(key)):
                self._walk(target, child, made, is_create=creates)
        if not is_create or not model.own.isdisjoint(data):
            return
        for key, call in model.defaults.items():
            if key not in data:
                parameter = f"{_PARAMETER}{len(made)}"
                made[parameter] = call
                data[key] = {"$type": "Param", "value": {"name": parameter, "type": "String"}}


def bind(plan: dict[str, Any], made: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the plan with the generators' calls bound to their parameters."""
    if not made:
        return plan
    if plan["type"] == "transaction":
        return plan | {"args": bind(plan["args"], made)}
    if plan["type"] == "dataMap":
        return plan | {"args": plan["args"] | {"expr": bind(plan["args"]["expr"], made)}}
    bindings = [
        {
            "name": name,
            "expr": {"type": "value", "args": {"prisma__type": "generatorCall", "prisma__value": call}},
        }
        for name, call in made.items()
    ]
    return {"type": "let", "args": {"bindings": bindings, "expr": plan}}


def _call(default: re.Match[str]) -> Mapping[str, Any]:
    arguments = [int(default["argument"])] if default["argument"] else _USUAL.get(default["name"], [])
    return {"name": default["name"], "args": arguments, "returnType": {"type": "String"}}


def _children(value: Any) -> Iterator[tuple[dict[str, Any], bool]]:
    """Yields the objects of a nested write, and True for each that creates a record."""
    if not isinstance(value, dict):
        return
    for operation in ("create", "connectOrCreate", "upsert", "update"):
        entries = value.get(operation)
        for entry in entries if isinstance(entries, list) else [entries]:
            if not isinstance(entry, dict):
                continue
            if operation == "create":
                yield entry, True
            elif operation == "update":
                inner = entry.get("data")
                yield (inner if isinstance(inner, dict) else entry), False
            else:
                if isinstance(entry.get("create"), dict):
                    yield entry["create"], True
                if isinstance(entry.get("update"), dict):
                    yield entry["update"], False
