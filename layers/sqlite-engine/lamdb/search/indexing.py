"""Finds relations that a search follows without an index: every change of a related record scans a table."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lamdb.search.definition import SearchDefinition
from lamdb.search.paths import column_of, table_of


def missing_indexes(definitions: Sequence[SearchDefinition], datamodel: Mapping[str, Any]) -> list[str]:
    """Returns a warning for each foreign key that a search follows and that no index begins with.

    `datamodel` is that of the DMMF.
    """
    models = {table_of(model): model for model in datamodel["models"]}
    found: dict[str, None] = {}
    for definition in definitions:
        for table, columns in _followed(definition):
            model = models.get(table)
            if model is None or any(
                set(begun[: len(columns)]) == set(columns) for begun in _indexes(model, datamodel)
            ):
                continue
            scalars = [field for field in model["fields"] if field["kind"] != "object"]
            names = {column_of(field): field["name"] for field in scalars}
            fields = ", ".join(names.get(column, column) for column in columns)
            warning = (
                f"The search of {definition.model} finds records of {model['name']} by {fields}, with which"
                f" no index begins: add @@index([{fields}]) to {model['name']}."
            )
            found[warning] = None
    return list(found)


def _followed(definition: SearchDefinition) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The tables and columns by which hops are followed, in both directions."""
    sources = [field.source for field in definition.fields]
    sources += [part.source for part in definition.side_parts()]
    for source in sources:
        before = definition.table
        for hop in source.hops:
            yield before, tuple(own for own, _ in hop.on)
            yield hop.table, tuple(other for _, other in hop.on)
            before = hop.table


def _indexes(model: Mapping[str, Any], datamodel: Mapping[str, Any]) -> Iterator[list[str]]:
    columns = {field["name"]: column_of(field) for field in model["fields"]}
    for index in datamodel.get("indexes", ()):
        if index["model"] == model["name"] and index["type"] != "fulltext":
            yield [columns.get(field["name"], "") for field in index["fields"]]
