"""Requests in Prisma's JSON protocol, in few words."""

from dataclasses import dataclass
from typing import Any

type Json = Any
type Selection = dict[str, Json]

SCALARS: Selection = {"$scalars": True}
COUNT: Selection = {"count": True}


@dataclass(frozen=True)
class Case:
    """One request and the name that a failure reports."""

    name: str
    request: dict[str, Json]


def pick(*names: str, **nested: Json) -> Selection:
    """A selection: `pick("id", posts=sub(pick("title"), take=2))`."""
    return {**dict.fromkeys(names, True), **nested}


def everything(**nested: Json) -> Selection:
    """All scalar fields and what is nested."""
    return {**SCALARS, **nested}


def sub(selection: Selection | None = None, **arguments: Json) -> dict[str, Json]:
    """A nested field with arguments."""
    return {"arguments": arguments, "selection": SCALARS if selection is None else selection}


def counts(**relations: Json) -> dict[str, Json]:
    """A `_count` of relations: `counts(posts=True)` or `counts(posts=sub({}, where=…))`."""
    return {"arguments": {}, "selection": relations}


def request(
    model: str | None, action: str, selection: Selection | None, **arguments: Json
) -> dict[str, Json]:
    query = {"arguments": arguments, "selection": SCALARS if selection is None else selection}
    return (
        {"action": action, "query": query}
        if model is None
        else {"modelName": model, "action": action, "query": query}
    )


class Requests:
    """Collects cases for one model: each method is an action, the first argument names the case."""

    def __init__(self, model: str, cases: list[Case]) -> None:
        self.model = model
        self.cases = cases

    def add(self, name: str, action: str, selection: Selection | None, **arguments: Json) -> None:
        self.cases.append(
            Case(f"{self.model}.{action}: {name}", request(self.model, action, selection, **arguments))
        )

    def find_unique(self, name: str, selection: Selection | None = None, /, **arguments: Json) -> None:
        self.add(name, "findUnique", selection, **arguments)

    def find_unique_or_throw(
        self, name: str, selection: Selection | None = None, /, **arguments: Json
    ) -> None:
        self.add(name, "findUniqueOrThrow", selection, **arguments)

    def find_first(self, name: str, selection: Selection | None = None, /, **arguments: Json) -> None:
        self.add(name, "findFirst", selection, **arguments)

    def find_first_or_throw(
        self, name: str, selection: Selection | None = None, /, **arguments: Json
    ) -> None:
        self.add(name, "findFirstOrThrow", selection, **arguments)

    def find_many(self, name: str, selection: Selection | None = None, /, **arguments: Json) -> None:
        self.add(name, "findMany", selection, **arguments)

    def create(self, name: str, selection: Selection | None = None, /, **data: Json) -> None:
        self.add(name, "createOne", selection, data=data)

    def create_many(self, name: str, data: list[dict[str, Json]], /, **arguments: Json) -> None:
        self.add(name, "createMany", COUNT, data=data, **arguments)

    def create_many_and_return(
        self, name: str, data: list[dict[str, Json]], selection: Selection | None = None, **arguments: Json
    ) -> None:
        self.add(name, "createManyAndReturn", selection, data=data, **arguments)

    def update(self, name: str, where: Json, data: Json, selection: Selection | None = None) -> None:
        self.add(name, "updateOne", selection, where=where, data=data)

    def update_many(self, name: str, data: Json, /, **arguments: Json) -> None:
        self.add(name, "updateMany", COUNT, data=data, **arguments)

    def update_many_and_return(
        self, name: str, data: Json, selection: Selection | None = None, **arguments: Json
    ) -> None:
        self.add(name, "updateManyAndReturn", selection, data=data, **arguments)

    def upsert(
        self, name: str, where: Json, create: Json, update: Json, selection: Selection | None = None
    ) -> None:
        self.add(name, "upsertOne", selection, where=where, create=create, update=update)

    def delete(self, name: str, where: Json, selection: Selection | None = None) -> None:
        self.add(name, "deleteOne", selection, where=where)

    def delete_many(self, name: str, **arguments: Json) -> None:
        self.add(name, "deleteMany", COUNT, **arguments)

    def aggregate(self, name: str, selection: Selection, /, **arguments: Json) -> None:
        self.add(name, "aggregate", selection, **arguments)

    def group_by(self, name: str, selection: Selection, /, **arguments: Json) -> None:
        self.add(name, "groupBy", selection, **arguments)


def query_raw(name: str, sql: str, parameters: str = "[]") -> Case:
    return Case(f"queryRaw: {name}", request(None, "queryRaw", {}, query=sql, parameters=parameters))


def execute_raw(name: str, sql: str, parameters: str = "[]") -> Case:
    return Case(f"executeRaw: {name}", request(None, "executeRaw", {}, query=sql, parameters=parameters))


def _tagged(type_name: str, value: Json) -> dict[str, Json]:
    return {"$type": type_name, "value": value}


def date_time(text: str) -> dict[str, Json]:
    return _tagged("DateTime", text)


def big_int(value: int) -> dict[str, Json]:
    return _tagged("BigInt", str(value))


def decimal(text: str) -> dict[str, Json]:
    return _tagged("Decimal", text)


def bytes_base64(text: str) -> dict[str, Json]:
    return _tagged("Bytes", text)


def json_text(text: str) -> dict[str, Json]:
    return _tagged("Json", text)


def null_kind(name: str) -> dict[str, Json]:
    """`DbNull`, `JsonNull` or `AnyNull`."""
    return _tagged("Enum", name)


def field_ref(field: str, model: str) -> dict[str, Json]:
    return _tagged("FieldRef", {"_ref": field, "_container": model})


ALL = {"_all": True}


def ascending(*fields: str) -> list[dict[str, str]]:
    return [{field: "asc"} for field in fields]


def descending(*fields: str) -> list[dict[str, str]]:
    return [{field: "desc"} for field in fields]
