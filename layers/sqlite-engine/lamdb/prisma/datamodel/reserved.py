"""Names that Prisma's validation accepts, but that its query compiler, SQLite or GraphQL cannot use.

The compiler takes every key of a filter that reads `and`, `or` or `not`, in any case, for an operator, and
panics where it is a field. GraphQL has no enum value `null`, `true` or `false`, and each scalar field is a
value of the enum that `distinct` and `by` take. The engines write names into SQL without escaping quotes.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lamdb.errors import SchemaError
from lamdb.prisma.datamodel.schema_text import declarations
from lamdb.prisma.sqlite.catalog import is_own

FILTER_OPERATORS: Final = frozenset({"and", "or", "not"})
"""In lower case: a field cannot have these names in any case."""
LITERALS: Final = frozenset({"true", "false", "null"})
"""No scalar field and no enum value can have these names."""

_UNQUOTABLE: Final = {'"': "a double quote", "`": "a backtick", "\0": "a NUL character"}


@dataclass(frozen=True, slots=True)
class ReservedName:
    """A name that cannot be used: of a block, or of one of its members."""

    block: str
    member: str | None
    message: str


def is_reserved_field(name: str, *, is_relation: bool = False) -> bool:
    """True if a field cannot have this name."""
    return name.lower() in FILTER_OPERATORS or (name in LITERALS and not is_relation)


def unquotable(name: str) -> str | None:
    """A character that the name of a table or column cannot contain, for people; None if it has none."""
    return next((said for character, said in _UNQUOTABLE.items() if character in name), None)


def check_names(files: Iterable[tuple[str, str]], datamodel: Mapping[str, Any]) -> None:
    """Raise SchemaError (P1012) with the file, line and column of every name that cannot be used.

    `datamodel` is that of the DMMF.
    """
    faults = list(_faults(datamodel))
    if not faults:
        return
    sources = list(files)
    messages = [f"error: {fault.message}\n{_excerpt(sources, fault)}" for fault in faults]
    raise SchemaError(
        "".join(f"{message}\n" for message in messages) + f"Validation Error Count: {len(messages)}"
    )


def _faults(datamodel: Mapping[str, Any]) -> Iterator[ReservedName]:
    tables: dict[str, str] = {}
    for model in datamodel["models"]:
        yield from _of_model(model)
        table = model["dbName"] or model["name"]
        other = tables.setdefault(table.lower(), model["name"])
        if other != model["name"]:
            message = (
                f'The models "{other}" and "{model["name"]}" have one table, "{table}": '
                "SQLite ignores the case of names. Give one of them another table with @@map."
            )
            yield ReservedName(model["name"], None, message)
    for enum in datamodel["enums"]:
        yield from _of_enum(enum)
    for index in datamodel.get("indexes", ()):
        bad = unquotable(index.get("dbName") or "")
        if bad and "`" not in index["dbName"]:
            message = (
                f'The name of an index of model "{index["model"]}" contains {bad}, which cannot be used.'
            )
            yield ReservedName(index["model"], None, message)


def _of_model(model: Mapping[str, Any]) -> Iterator[ReservedName]:
    name = model["name"]
    table = model["dbName"] or name
    if bad := unquotable(table):
        yield ReservedName(
            name, None, f'The table of model "{name}" is named {table!r}, which contains {bad}.'
        )
    if is_own(table):
        message = f'The table of model "{name}" is named "{table}", which SQLite, Prisma or lamDB reserves.'
        yield ReservedName(name, None, f"{message} Choose another with @@map.")
    columns: defaultdict[str, list[str]] = defaultdict(list)
    for field in model["fields"]:
        yield from _of_field(name, field)
        if field["kind"] != "object":
            columns[(field.get("dbName") or field["name"]).lower()].append(field["name"])
    for column, names in columns.items():
        if len(names) > 1:
            message = (
                f'The fields "{names[0]}" and "{names[1]}" of model "{name}" have one column, "{column}": '
                "SQLite ignores the case of names. Give one of them another column with @map."
            )
            yield ReservedName(name, names[1], message)
    keys = [model["primaryKey"]] if model["primaryKey"] else []
    for key in (*keys, *model["uniqueIndexes"]):
        if key["name"] and is_reserved_field(key["name"]):
            message = f'The key "{key["name"]}" of model "{name}" cannot have this name: filters reserve it.'
            yield ReservedName(name, None, f"{message} Choose another name.")


def _of_field(model: str, field: Mapping[str, Any]) -> Iterator[ReservedName]:
    name = field["name"]
    is_relation = field["kind"] == "object"
    if is_reserved_field(name, is_relation=is_relation):
        keeper = "filters reserve it" if name.lower() in FILTER_OPERATORS else "GraphQL reserves it"
        column = field.get("dbName") or name
        kept = "" if is_relation else f' and keep its column: {name}_ @map("{column}")'
        message = f'The field "{name}" of model "{model}" cannot have this name: {keeper}. Rename it{kept}'
        yield ReservedName(model, name, f"{message.rstrip('.')}.")
    if bad := unquotable(field.get("dbName") or ""):
        message = f'The column of field "{name}" of model "{model}" is named {field["dbName"]!r}'
        yield ReservedName(model, name, f"{message}, which contains {bad}.")


def _of_enum(enum: Mapping[str, Any]) -> Iterator[ReservedName]:
    for value in enum["values"]:
        name, stored = value["name"], value["dbName"]
        if name in LITERALS:
            message = (
                f'The value "{name}" of enum "{enum["name"]}" cannot have this name: GraphQL reserves it.'
            )
            kept = f'Rename it and keep what is stored: {name}_ @map("{stored or name}")'
            yield ReservedName(enum["name"], name, f"{message} {kept}.")
        if stored is not None and (not stored or "\0" in stored):
            said = "is mapped to an empty text" if not stored else "is mapped to a text with a NUL character"
            message = f'The value "{name}" of enum "{enum["name"]}" {said}, which cannot be used.'
            yield ReservedName(enum["name"], name, message)


def _excerpt(files: list[tuple[str, str]], fault: ReservedName) -> str:
    """The place in the form of Prisma's messages, with the column."""
    wanted: list[Callable[[str, str | None], bool]] = [
        lambda block, member: block == fault.block and member == fault.member,
        lambda block, member: block == fault.block and member is None,
    ]
    for matches in wanted:
        for file, content in files:
            for place in declarations(content):
                if matches(place.block, place.member):
                    return (
                        f"  -->  {file}:{place.line}:{place.column}\n"
                        f"   | \n{place.line:2} | {place.text}\n   | \n"
                    )
    return ""
