"""Reading which models' changes a schema has recorded.

    /// @lamdb.changes
    /// @lamdb.changes keep 7d, 64MB
    model Order { … }

After `keep` follow the time for which changes are kept at least as long as they fit (m, h or d) and the bytes
that they may take (KB, MB or GB). All models share one record: of several values the largest counts.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from lamdb.changes import PREFIX
from lamdb.changes.definition import RecordedField, RecordedModel, RecordedModels
from lamdb.errors import SchemaError
from lamdb.search.annotations import AnnotationToken, block_below
from lamdb.search.paths import Model, column_of, table_of
from lamdb.storage.recording import DEFAULT_BYTES, DEFAULT_SECONDS

_ANNOTATION: Final = re.compile(r"///[ \t]*(?P<name>@lamdb\.changes)(?![\w])(?P<rest>.*)$")
_KEEP: Final = re.compile(r"keep\s+(?P<amounts>.+)")
_AMOUNT: Final = re.compile(r"(?P<number>\d{1,9})\s*(?P<unit>[A-Za-z]+)")
_SECONDS: Final = {"m": 60, "h": 3600, "d": 86_400}
_BYTES: Final = {"kb": 1024, "mb": 1024**2, "gb": 1024**3}
_MOST_SECONDS: Final = 3650 * 86_400
_MOST_BYTES: Final = 16 * 1024**3


def recorded_models(files: Iterable[tuple[str, str]], datamodel: Mapping[str, Any]) -> RecordedModels | None:
    """Returns the recorded models of a schema with these files (name, content) and the DMMF's `datamodel`.

    None if it declares none. Raises SchemaError (P1012) with file, line and column of everything that cannot
    be followed.
    """
    models: dict[str, Model] = {model["name"]: model for model in datamodel["models"]}
    enums = {enum["name"]: enum for enum in datamodel["enums"]}
    found: dict[str, RecordedModel] = {}
    seconds: list[int] = []
    sizes: list[int] = []
    faults: list[str] = []
    for token, rest, kind, block in _annotations(files):
        if kind != "model" or block not in models:
            faults.append(token.fault(f"{PREFIX} stands above a model, nowhere else."))
            continue
        if block in found:
            faults.append(token.fault(f"{block} has {PREFIX} twice."))
            continue
        model = models[block]
        key = _key(model)
        if not key:
            faults.append(
                token.fault(f"{block} has no @id or @@id, by which its changes could be told apart.")
            )
        found[block] = RecordedModel(block, table_of(model), tuple(_fields(model, enums)), key)
        faults += _read_limits(token, rest, seconds, sizes)
    if faults:
        raise SchemaError(
            "".join(f"{fault}\n" for fault in faults) + f"Validation Error Count: {len(faults)}",
            hint="docs/changes.md describes the annotation.",
        )
    if not found:
        return None
    in_order = tuple(found[name] for name in models if name in found)
    return RecordedModels(in_order, max(seconds, default=DEFAULT_SECONDS), max(sizes, default=DEFAULT_BYTES))


def _annotations(files: Iterable[tuple[str, str]]) -> Iterator[tuple[AnnotationToken, str, str, str]]:
    for name, content in files:
        lines = content.split("\n")
        for number, line in enumerate(lines):
            at = _ANNOTATION.search(line)
            if at is None:
                continue
            kind, block = block_below(lines, number) if not line[: at.start()].strip() else ("", "")
            token = AnnotationToken(at["name"], name, number + 1, at.start("name") + 1, line)
            yield token, at["rest"].strip(), kind, block


def _read_limits(token: AnnotationToken, rest: str, seconds: list[int], sizes: list[int]) -> Iterator[str]:
    """Adds the limits of an annotation to those found so far. Yields errors."""
    if not rest:
        return
    keep = _KEEP.fullmatch(rest)
    if keep is None:
        yield token.fault(f"{PREFIX} is followed by nothing, or by keep and limits: keep 7d, 64MB.")
        return
    for part in keep["amounts"].split(","):
        amount = _AMOUNT.fullmatch(part.strip())
        unit = amount["unit"] if amount else ""
        if amount and unit in _SECONDS and (value := int(amount["number"]) * _SECONDS[unit]) > 0:
            seconds.append(min(value, _MOST_SECONDS))
        elif (
            amount and unit.lower() in _BYTES and (value := int(amount["number"]) * _BYTES[unit.lower()]) > 0
        ):
            sizes.append(min(value, _MOST_BYTES))
        else:
            yield token.fault(f"{part.strip()!r} is neither a time such as 7d nor a size such as 64MB.")


def _key(model: Model) -> tuple[str, ...]:
    if model["primaryKey"]:
        return tuple(model["primaryKey"]["fields"])
    return tuple(field["name"] for field in model["fields"] if field["isId"])


def _fields(model: Model, enums: Mapping[str, Any]) -> Iterator[RecordedField]:
    for field in model["fields"]:
        if field["kind"] == "enum":
            values: Sequence[Any] = enums[field["type"]]["values"]
            names = {str(value.get("dbName") or value["name"]): str(value["name"]) for value in values}
            yield RecordedField(field["name"], column_of(field), field["type"], names)
        elif field["kind"] == "scalar":
            yield RecordedField(field["name"], column_of(field), field["type"])
