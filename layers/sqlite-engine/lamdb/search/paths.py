"""Following the path of a field, `tags.name`, through a schema's models to the column that it names.

Below a field of type Json, the path has keys of objects.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.search.definition import ColumnSource, Hop

_MOST_HOPS: Final = 3
"""Relations that a path may follow: every one makes the triggers of a table."""

type Model = Mapping[str, Any]
type Field = Mapping[str, Any]


class PathFault(Exception):
    """A path that leads nowhere; the message says why."""


class Paths:
    """The paths through the models of a DMMF's `datamodel`."""

    def __init__(self, datamodel: Mapping[str, Any]) -> None:
        self._models: dict[str, Model] = {model["name"]: model for model in datamodel["models"]}

    def follow(self, model: Model, path: Sequence[str]) -> tuple[Field, ColumnSource]:
        """Returns the scalar field that a path names, and where its values are. Raises PathFault."""
        hops: list[Hop] = []
        for place, name in enumerate(path):
            field, keys = _field(model, name), tuple(path[place + 1 :])
            if field["type"] == "Json":
                return field, ColumnSource(column_of(field), tuple(hops), json=True, keys=keys)
            if field["kind"] != "object":
                if keys:
                    raise PathFault(f"{model['name']}.{name} is neither a relation nor Json.")
                return field, ColumnSource(column_of(field), tuple(hops))
            if place == _MOST_HOPS:
                raise PathFault(f"{'.'.join(path)} follows more than {_MOST_HOPS} relations.")
            hops += self.hops(model, field)
            model = self._models[field["type"]]
        raise PathFault(f"{'.'.join(path)} is a relation: name one of its fields, {path[-1]}.name.")

    def hops(self, model: Model, field: Field) -> Iterator[Hop]:
        """Yields the steps from a row of `model` to the rows of a relation."""
        target = self._models[field["type"]]
        uniques = tuple(uniques_of(target))
        table = table_of(target)
        if field["relationFromFields"]:
            yield Hop(
                table,
                tuple(_pairs(model, field["relationFromFields"], target, field["relationToFields"])),
                uniques,
            )
            return
        other = self._opposite(model, field)
        if other["relationFromFields"]:
            on = tuple(_pairs(model, other["relationToFields"], target, other["relationFromFields"]))
            yield Hop(table, on, uniques, many=field["isList"])
            return
        # An implicit many-to-many relation: A refers to the model, or the field, whose name sorts first.
        own, its = ("A", "B") if _is_first(model, field, other) else ("B", "A")
        join = f"_{field['relationName']}"
        yield Hop(join, ((_id_of(model), own),), (("A", "B"),), many=True)
        yield Hop(table, ((its, _id_of(target)),), uniques)

    def _opposite(self, model: Model, field: Field) -> Field:
        """The other side of a relation."""
        return next(
            other
            for other in self._models[field["type"]]["fields"]
            if other["kind"] == "object"
            and other.get("relationName") == field["relationName"]
            and other["type"] == model["name"]
            and (other["name"] != field["name"] or field["type"] != model["name"])
        )

    def cascades(self, model: Model) -> bool:
        """True if foreign keys lead from other rows of a model, over any tables, to its rows."""
        reached: set[str] = set()
        waiting = [model["name"]]
        while waiting:
            parent = waiting.pop()
            for child in self._models.values():
                refers = any(
                    field["type"] == parent and field.get("relationFromFields") for field in child["fields"]
                )
                if refers and child["name"] not in reached:
                    reached.add(child["name"])
                    waiting.append(child["name"])
        return model["name"] in reached


def table_of(model: Model) -> str:
    """Returns the name of a model's table."""
    return str(model["dbName"] or model["name"])


def column_of(field: Field) -> str:
    """Returns the name of a scalar field's column."""
    return str(field.get("dbName") or field["name"])


def uniques_of(model: Model) -> Iterator[tuple[str, ...]]:
    """Yields the sets of columns that identify a row of a model."""
    columns = {field["name"]: column_of(field) for field in model["fields"]}
    yield from ((column_of(field),) for field in model["fields"] if field["isId"] or field["isUnique"])
    keys = [model["primaryKey"]] if model["primaryKey"] else []
    yield from (tuple(columns[name] for name in key["fields"]) for key in (*keys, *model["uniqueIndexes"]))


def _field(model: Model, name: str) -> Field:
    for field in model["fields"]:
        if field["name"] == name:
            found: Field = field
            return found
    raise PathFault(f"{model['name']} has no field {name}.")


def _pairs(model: Model, own: Sequence[str], target: Model, its: Sequence[str]) -> Iterator[tuple[str, str]]:
    yield from (
        (column_of(_field(model, one)), column_of(_field(target, other)))
        for one, other in zip(own, its, strict=True)
    )


def _is_first(model: Model, field: Field, other: Field) -> bool:
    if model["name"] != field["type"]:
        return bool(model["name"] < field["type"])
    return bool(field["name"] < other["name"])


def _id_of(model: Model) -> str:
    return next(column_of(field) for field in model["fields"] if field["isId"])
