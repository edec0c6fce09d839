"""Reads records from CSV (RFC 4180), JSON Lines (https://jsonlines.org) and lists of JSON, line by line.

A list may be formatted in any way; of its text, one record is in memory at a time, with the line it is on.
In CSV an empty field is NULL, and `""` the empty string, as in PostgreSQL's COPY.
"""

import csv
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePath
from typing import Any, BinaryIO, Final

import orjson

from lamdb.counting import counted
from lamdb.errors import SourceError, UsageError
from lamdb.prisma.values import SQLiteValue
from lamdb.records.model import Model, ScalarField, ValueRefused

_DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""Characters between the fields of other files that are called CSV, and their names in messages."""
MAX_LINE: Final = 64 * 1024 * 1024
"""Bytes of a line, and characters of a field of CSV."""
_NO_LIST: Final = "it is not a list of JSON objects"
_NO_OBJECT: Final = "in the list there is something else than JSON objects with commas between"
_BOM: Final = b"\xef\xbb\xbf"


class Format(StrEnum):
    """A format of records."""

    CSV = "csv"
    JSONL = "jsonl"
    JSON = "json"


_SUFFIXES: Final = {
    ".csv": Format.CSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSON,
}
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[][{},]|[^][{},"\s]+|"')
"""A text, a bracket or a comma of JSON, or anything else without spaces. No text goes beyond its line."""


def format_of(name: str | None, file: str | None, default: Format | None = None) -> Format:
    """The format with this name, or else that of a file's suffix. Raises `UsageError`."""
    if name is not None:
        if name not in list(Format):
            raise UsageError(f"--format is {name!r}: it must be one of {', '.join(Format)}")
        return Format(name)
    found = _SUFFIXES.get(PurePath(file or "").suffix.lower(), default)
    if found is None:
        raise UsageError(
            f"the name {file} does not say the format",
            hint="Give --format csv (separated by commas), jsonl (one JSON object a line) or json (a list).",
        )
    return found


@dataclass(frozen=True, slots=True)
class FileRecord:
    """A record in the file: the line on which it begins, its size in bytes, and its values by column."""

    line: int
    size: int
    values: dict[str, SQLiteValue]


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record that cannot be stored, and why."""

    line: int
    message: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.message}"


class Lines:
    """The lines of a file: their number and the bytes read so far."""

    def __init__(self, file: BinaryIO, name: str, on_read: Callable[[int], None]) -> None:
        self.name = name
        self.number = 0
        self.bytes = 0
        self._file = file
        self._on_read = on_read

    def __iter__(self) -> Iterator[str]:
        """Raises `SourceError` for a line that is too long or not UTF-8."""
        while line := self._file.readline(MAX_LINE + 1):
            self.number += 1
            self.bytes += len(line)
            if len(line) > MAX_LINE:
                raise self.error(self.number, f"it is longer than {MAX_LINE} bytes")
            if self.number % 1000 == 0:
                self._on_read(self.bytes)
            try:
                yield line.removeprefix(_BOM if self.number == 1 else b"").decode()
            except UnicodeDecodeError as error:
                raise self.error(self.number, f"it is not UTF-8: {error.reason}") from None
        self._on_read(self.bytes)

    def error(self, line: int, message: str) -> SourceError:
        return SourceError(f"{self.name}, line {line}: {message}.", hint="Correct the file.")


def read(
    file: BinaryIO, name: str, model: Model, format_: Format, on_read: Callable[[int], None] = lambda _: None
) -> Iterator[FileRecord | RejectedRecord]:
    """The records of a file; `on_read` is called with the bytes read so far.

    Raises `SourceError` if the rest of the file cannot be read.
    """
    lines = Lines(file, name, on_read)
    if format_ is Format.CSV:
        return _csv(lines, model)
    return _json_records(_json_lines(lines) if format_ is Format.JSONL else _json_list(lines), model)


def _csv(lines: Lines, model: Model) -> Iterator[FileRecord | RejectedRecord]:
    csv.field_size_limit(MAX_LINE)
    rows = csv.reader(iter(lines), quoting=csv.QUOTE_NOTNULL, strict=True)
    fields: list[ScalarField] | None = None
    absent: list[ScalarField] = []
    line, before = 1, 0
    while True:
        try:
            row: list[Any] | None = next(rows, None)
        except csv.Error as error:
            raise lines.error(line, f"it is not CSV: {error}") from None
        if row is None:
            break
        if row:
            if fields is None:
                fields = _header(lines, line, row, model)
                absent = [each for each in model.fields if each not in fields]
            elif len(row) != len(fields):
                yield RejectedRecord(
                    line, f"it has {counted(len(row), 'field')}, and the header {len(fields)}"
                )
            else:
                yield _record(line, lines.bytes - before, zip(fields, row, strict=True), absent, is_text=True)
        line, before = lines.number + 1, lines.bytes
    if fields is None:
        raise lines.error(1, "there is no header")


def _header(lines: Lines, line: int, row: list[Any], model: Model) -> list[ScalarField]:
    known = model.by_name
    for name in row:
        if name not in known:
            if len(row) == 1 and (other := next((each for each in _DELIMITERS if each in name), None)):
                raise lines.error(
                    line, f"the fields are separated by {_DELIMITERS[other]}, and must be by commas"
                )
            raise lines.error(line, _unknown(model, str(name or "")))
    if len(set(row)) != len(row):
        raise lines.error(line, "the header has a name twice")
    fields = [known[name] for name in row]
    for field in model.fields:
        if field.is_required and not field.has_default and field not in fields:
            raise lines.error(line, f"the header lacks {field.name}, which has no default")
    return fields


def _unknown(model: Model, name: str) -> str:
    if name in model.relations:
        keys = model.relations[name]
        return f"{name} is a relation: " + (
            f"give {' and '.join(keys)}" if keys else "its records hold the key, load them"
        )
    return f"{model.name} has no field {name!r}; it has {', '.join(model.by_name)}"


@dataclass(frozen=True, slots=True)
class _JsonText:
    """The text of a record, the line on which it begins, and its size in bytes."""

    line: int
    size: int
    text: str


def _json_lines(lines: Lines) -> Iterator[_JsonText]:
    before = 0
    for text in lines:
        size, before = lines.bytes - before, lines.bytes
        if text.strip():
            yield _JsonText(lines.number, size, text)


def _json_list(lines: Lines) -> Iterator[_JsonText]:
    """The elements of a list. Raises `SourceError` if the file has no list, or has more than one."""
    depth, begun, size, parts = 0, 0, 0, list[str]()
    needs_comma = False
    for text in lines:
        start = 0
        for token in _JSON_TOKEN.finditer(text):
            sign = token[0]
            if depth == 0 and (sign != "[" or begun):
                raise lines.error(lines.number, "after the list there is more" if begun else _NO_LIST)
            if depth == 1 and sign == ",":
                if not needs_comma:
                    raise lines.error(lines.number, "a comma follows no record")
                needs_comma = False
            elif depth == 1 and sign != "]":
                if sign != "{" or needs_comma:
                    raise lines.error(lines.number, _NO_OBJECT)
                begun, start = lines.number, token.start()
            if sign in "[{":
                depth += 1
                begun = begun or lines.number
            elif sign in "]}":
                depth -= 1
                if depth == 1:
                    parts.append(text[start : token.end()])
                    record = "".join(parts)
                    yield _JsonText(begun, len(record.encode()), record)
                    parts, size, needs_comma = [], 0, True
        if depth > 1:
            parts.append(text[start:])
            size += len(text)
            if size > MAX_LINE:
                raise lines.error(begun, f"the record is longer than {MAX_LINE} characters, or does not end")
    if depth or not begun:
        raise lines.error(max(lines.number, 1), "the list does not end" if depth else _NO_LIST)


def _json_records(texts: Iterator[_JsonText], model: Model) -> Iterator[FileRecord | RejectedRecord]:
    known = model.by_name
    for each in texts:
        line = each.line
        try:
            found = orjson.loads(each.text)
        except orjson.JSONDecodeError as error:
            yield RejectedRecord(line, f"it is not JSON: {error}")
            continue
        if not isinstance(found, dict):
            yield RejectedRecord(line, "it is not a JSON object")
            continue
        unknown = next((name for name in found if name not in known), None)
        if unknown is not None:
            yield RejectedRecord(line, _unknown(model, unknown))
            continue
        absent = (
            [field for field in model.fields if field.name not in found] if len(found) < len(known) else []
        )
        pairs = ((known[name], value) for name, value in found.items())
        yield _record(line, each.size, pairs, absent, is_text=False)


def _record(
    line: int, size: int, pairs: Any, absent: list[ScalarField], *, is_text: bool
) -> FileRecord | RejectedRecord:
    values: dict[str, SQLiteValue] = {}
    for field, value in pairs:
        if value is None:
            if field.is_required:
                return RejectedRecord(line, f"{field.name}: it must not be null")
            values[field.column] = None
            continue
        try:
            values[field.column] = field.from_text(value) if is_text else field.from_json(value)
        except ValueRefused as error:
            return RejectedRecord(line, f"{field.name}: {error}")
    for field in absent:
        if field.fill is not None:
            values[field.column] = field.fill()
        elif field.is_required and not field.has_default:
            return RejectedRecord(line, f"{field.name} is missing, and has no default")
    return FileRecord(line, size, values)
