"""Relations that a create must give, though Prisma's input types leave them out.

    uid Int
    u   U?  @relation(fields: [uid], references: [id])

`TCreateInput` has no `uid`, and an optional `u`: a create without it always fails, as `uid` has no value.
Here such a relation is required, so that what the types allow can be executed.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lamdb.errors import QueryError


def require_relations(dmmf: dict[str, Any]) -> None:
    """Mark them in the input types of a DMMF."""
    required = {model["name"]: names for model in dmmf["datamodel"]["models"] if (names := _required(model))}
    if not required:
        return
    for type_ in dmmf["schema"]["inputObjectTypes"].get("prisma", ()):
        for model, names in required.items():
            if _creates(type_["name"], model):
                for field in type_["fields"]:
                    if field["name"] in names:
                        field["isRequired"] = True


def null_violation(datamodel: Mapping[str, Any], type_name: str, relation: str) -> QueryError | None:
    """Prisma's error P2011 for a create without `relation`, if it is one of these relations.

    `type_name` is the input type that lacks it, such as `PostCreateInput`.
    """
    for model in datamodel["models"]:
        if _creates(type_name, model["name"]) and relation in _required(model):
            found = next(each for each in model["fields"] if each["name"] == relation)
            column = next(
                field.get("dbName") or field["name"]
                for field in _without_value(model, found["relationFromFields"])
            )
            return QueryError(
                f"Null constraint violation on the fields: (`{column}`)",
                code="P2011",
                meta={
                    "target": [column],
                    "table": model.get("dbName") or model["name"],
                    "modelName": model["name"],
                },
            )
    return None


def _creates(type_name: str, model: str) -> bool:
    return type_name == f"{model}CreateInput" or type_name.startswith(f"{model}CreateWithout")


def _without_value(model: Mapping[str, Any], names: Sequence[str]) -> Iterator[Mapping[str, Any]]:
    """The fields among these that must have a value, and have none of their own."""
    for field in model["fields"]:
        made = field["hasDefaultValue"] or field.get("isUpdatedAt")
        if field["name"] in names and field["isRequired"] and not made:
            yield field


def _required(model: Mapping[str, Any]) -> set[str]:
    """The optional relations of columns that must have a value, and get it from nowhere else."""
    relations = [field for field in model["fields"] if field.get("relationFromFields")]
    found = set()
    for relation in relations:
        others = {name for each in relations if each is not relation for name in each["relationFromFields"]}
        own = [name for name in relation["relationFromFields"] if name not in others]
        if not relation["isRequired"] and any(_without_value(model, own)):
            found.add(relation["name"])
    return found
