"""Results of statements, for people and for programs: tables, CSV, JSON."""

import base64
import csv
import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from rich.cells import cell_len

from lamdb.cli.sql_client import StatementResult
from lamdb.hrana.statements.values import SqlValue

_SHOWN_BYTES: Final = 32
"""Bytes of a blob that a table shows."""

# A terminal would obey some of these, and a table have lines of its own by others.
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def as_table(result: StatementResult) -> str:
    """Returns the rows below their columns, or how many rows a statement without rows has changed."""
    if not result.columns:
        return changes_in_words(result) if result.is_change else ""
    cells = [[_cell(value) for value in row] for row in result.rows]
    names = [_escaped(name) for name in result.columns]
    widths = [max(map(cell_len, column)) for column in zip(names, *cells, strict=True)]
    right = [_is_numeric(column) for column in _columns(result)]
    lines = [
        _line(names, widths, right),
        "  ".join("-" * width for width in widths),
        *(_line(row, widths, right) for row in cells),
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def changes_in_words(result: StatementResult) -> str:
    """Returns how many rows a statement has changed, for people."""
    return f"{result.changes} {'row' if result.changes == 1 else 'rows'} changed\n"


def as_csv(result: StatementResult) -> str:
    """Returns RFC 4180's form with a header; NULL is empty, a blob hexadecimal. Nothing without columns."""
    if not result.columns:
        return ""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(result.columns)
    writer.writerows([_plain(value) for value in row] for row in result.rows)
    return out.getvalue()


def as_json(result: StatementResult) -> dict[str, Any]:
    """Returns an object for JSON: rows as objects, blobs in base64."""
    names = _distinct(result.columns)
    return {
        "columns": names,
        "rows": [dict(zip(names, map(_json, row), strict=True)) for row in result.rows],
        "changes": result.changes,
        "lastInsertRowid": result.rowid,
    }


def _columns(result: StatementResult) -> list[list[SqlValue]]:
    return [[row[index] for row in result.rows] for index in range(len(result.columns))]


def _is_numeric(values: Sequence[SqlValue]) -> bool:
    found = [value for value in values if value is not None]
    return bool(found) and all(isinstance(value, int | float) for value in found)


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = []
    for cell, width, is_right in zip(cells, widths, right, strict=True):
        blanks = " " * (width - cell_len(cell))
        padded.append(blanks + cell if is_right else cell + blanks)
    return "  ".join(padded)


def _cell(value: SqlValue) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        more = f"… ({len(value)} bytes)" if len(value) > _SHOWN_BYTES else ""
        return f"x'{value[:_SHOWN_BYTES].hex()}'{more}"
    return _escaped(str(value))


def _escaped(text: str) -> str:
    replaced: Callable[[re.Match[str]], str] = lambda found: found[0].encode("unicode_escape").decode()  # noqa: E731
    return _CONTROL.sub(replaced, text)


def _plain(value: SqlValue) -> object:
    if value is None:
        return ""
    return value.hex() if isinstance(value, bytes) else value


def _json(value: SqlValue) -> object:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _distinct(names: Sequence[str]) -> list[str]:
    """Columns with names of their own: `id`, `id:1`, as the shell of SQLite names them."""
    found: list[str] = []
    for name in names:
        wanted, number = name, 0
        while wanted in found:
            number += 1
            wanted = f"{name}:{number}"
        found.append(wanted)
    return found
