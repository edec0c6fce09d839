"""Relations that a create must give, though Prisma's input types leave them out.

    uid Int
    u   U?  @relation(fields: [uid], references: [id])

`TCreateInput` has no `uid`, and an optional `u`: a create without it always fails, as `uid` has no value.
Here such a relation is required, so that what the types allow can be executed.
"""

from typing import Any


def require_relations(dmmf: dict[str, Any]) -> None:
    """Mark them in the input types of a DMMF."""
    required = {model["name"]: names for model in dmmf["datamodel"]["models"] if (names := _required(model))}
    if not required:
        return
    for type_ in dmmf["schema"]["inputObjectTypes"].get("prisma", ()):
        for model, names in required.items():
            if type_["name"] == f"{model}CreateInput" or type_["name"].startswith(f"{model}CreateWithout"):
                for field in type_["fields"]:
                    if field["name"] in names:
                        field["isRequired"] = True


def _required(model: dict[str, Any]) -> set[str]:
    """The optional relations of columns that must have a value, and get it from nowhere else."""
    scalars = {field["name"]: field for field in model["fields"] if field["kind"] != "object"}
    relations = [field for field in model["fields"] if field.get("relationFromFields")]
    found = set()
    for relation in relations:
        others = {name for each in relations if each is not relation for name in each["relationFromFields"]}
        needed = (scalars[name] for name in relation["relationFromFields"] if name not in others)
        if not relation["isRequired"] and any(
            field["isRequired"] and not field["hasDefaultValue"] and not field.get("isUpdatedAt")
            for field in needed
        ):
            found.add(relation["name"])
    return found
