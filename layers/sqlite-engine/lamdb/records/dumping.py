"""Writes the records of a model as CSV, JSON Lines or a JSON list, as `lamdb.records.reading` reads them."""

import re
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

import apsw
import orjson

from lamdb.errors import QueryError
from lamdb.prisma.sqlite.catalog import quote
from lamdb.records.model import TAG, Model, ScalarField
from lamdb.records.reading import Format

_MUST_QUOTE: Final = re.compile(r'[",\r\n]|^\s|\s$|^$')
_CHUNK: Final = 256 * 1024


def count(connection: apsw.Connection, model: Model) -> int:
    """The number of records."""
    return int(connection.execute(f"SELECT count(*) FROM {quote(model.table)}").get)


def dump(
    connection: apsw.Connection,
    model: Model,
    format_: Format,
    file: BinaryIO,
    on_record: Callable[[int], None] = lambda _: None,
) -> int:
    """Write all records, ordered by id, and return their number. Memory does not grow with them.

    Raises `QueryError` (P2023) for a stored value that is not of its field's type.
    """
    number, size, pieces = 0, 0, [_head(model, format_)]
    for line in _lines(connection, model, format_):
        pieces.append(line)
        size += len(line)
        if size >= _CHUNK:
            file.write(b"".join(pieces))
            pieces, size = [], 0
        number += 1
        if number % 1000 == 0:
            on_record(number)
    file.write(b"".join(pieces) + (b"\n]\n" if format_ is Format.JSON else b""))
    return number


def _head(model: Model, format_: Format) -> bytes:
    if format_ is Format.CSV:
        return (",".join(_quoted(field.name) for field in model.fields) + "\r\n").encode()
    return b"[" if format_ is Format.JSON else b""


def _lines(connection: apsw.Connection, model: Model, format_: Format) -> Iterator[bytes]:
    write = _csv_line if format_ is Format.CSV else _json_line
    before = b"\n"
    for row in connection.execute(model.select()):
        line = write(model.fields, [_decoded(model, *each) for each in zip(model.fields, row, strict=True)])
        if format_ is Format.JSON:
            line, before = before + line.rstrip(b"\n"), b",\n"
        yield line


def _decoded(model: Model, field: ScalarField, value: Any) -> Any:
    if value is None or field.decode is None:
        return value
    try:
        return field.decode(value)
    except QueryError as error:
        raise QueryError(
            f"{error.message} ({model.name}.{field.name})",
            code=error.code,
            hint="Look for such values with lamdb verify, and convert them with lamdb repair.",
        ) from None


def _csv_line(_: tuple[ScalarField, ...], values: list[Any]) -> bytes:
    return (",".join(map(_csv_field, values)) + "\r\n").encode()


def _csv_field(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is str:
        return _quoted(value)
    return orjson.dumps(value).decode()


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _MUST_QUOTE.search(text) else text


def _json_line(fields: tuple[ScalarField, ...], values: list[Any]) -> bytes:
    record = {
        field.name: _json_value(value) if field.type == "Json" else value
        for field, value in zip(fields, values, strict=True)
    }
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def _json_value(text: str | None) -> Any:
    """A JSON value as it is; with Prisma's tag where it would be read as something else."""
    if text is None:
        return None
    if text == "null" or f'"{TAG}"' in text:
        return {TAG: "Json", "value": text}
    return orjson.Fragment(text)
