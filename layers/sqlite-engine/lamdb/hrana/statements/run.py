"""Running one statement on a connection."""

import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import apsw
import orjson

from lamdb.hrana.statements.errors import SqlFailure
from lamdb.hrana.statements.rows import PassedOn, RowSink
from lamdb.hrana.statements.text import StatementText
from lamdb.hrana.statements.values import SqlValue, encode
from lamdb.storage.budget import current
from lamdb.storage.waiting import about_to_work, is_quick

type Json = dict[str, Any]
type Bindings = Sequence[SqlValue]

_QUICK_ROWS: Final = 200
"""Rows of an answer that is made on a server's event loop."""
_CELL_BYTES: Final = 30
"""JSON around a value."""


def bind(sql: StatementText, args: Sequence[SqlValue], named: dict[str, SqlValue]) -> Bindings:
    """Returns the values of all parameters, in order. Raises `SqlFailure`."""
    wanted = sql.parameters
    if args and named:
        raise SqlFailure("A statement has either positional or named arguments.", "ARGS_INVALID")
    if not named:
        if len(args) != len(wanted):
            raise SqlFailure(
                f"The statement has {len(wanted)} parameters, and {len(args)} arguments were given.",
                "ARGS_INVALID",
            )
        return args
    values: list[SqlValue] = []
    for number, name in enumerate(wanted, 1):
        if name is None or name not in named:
            raise SqlFailure(f"Parameter {name or number} has no argument.", "ARGS_INVALID")
        values.append(named[name])
    return values


def run(
    connection: apsw.Connection,
    sql: StatementText,
    bindings: Bindings,
    *,
    want_rows: bool = True,
    sink: RowSink | None = None,
) -> Json:
    """Returns the result of a statement. With a sink, its rows go there, and are not in the result.

    Raises what SQLite and the storage raise, `TooManyRows`, `TimeLimit`.
    """
    started = time.perf_counter()
    columns: tuple[tuple[str, str | None], ...] = ()
    is_readonly = True

    def begin(cursor: apsw.Cursor, _text: str, _bindings: Any) -> bool:
        nonlocal columns, is_readonly
        columns = cursor.get_description()
        is_readonly = cursor.is_readonly
        return True

    before = connection.total_changes()
    cursor = connection.cursor()
    cursor.exec_trace = begin
    try:
        cursor.execute(sql.text, bindings)
        if sink is None:
            rows = _rows(cursor, want_rows)
            count = len(rows)
        else:
            sink.begin(_columns(columns))
            rows, count = [], _pass_on(cursor, sink)
    finally:
        cursor.close(True)
    changed = not is_readonly and connection.total_changes() != before
    result = {
        "cols": _columns(columns),
        "rows": rows,
        "affected_row_count": connection.changes() if changed else 0,
        "last_insert_rowid": None if is_readonly else str(connection.last_insert_rowid()),
        "rows_read": count if is_readonly else 0,
        "rows_written": connection.changes() if changed else 0,
        "query_duration_ms": round((time.perf_counter() - started) * 1000, 3),
    }
    return result if sink is None else PassedOn(result, sink.rows)


def describe(connection: apsw.Connection, sql: StatementText) -> Json:
    """Returns what a statement takes and answers; it is not executed. Raises what SQLite raises."""
    found: Json = {}

    def look(cursor: apsw.Cursor, _text: str, _bindings: Any) -> bool:
        found["cols"] = [{"name": name, "decltype": kind} for name, kind in cursor.get_description()]
        found["is_explain"] = bool(cursor.is_explain)
        found["is_readonly"] = cursor.is_readonly
        return False

    cursor = connection.cursor()
    cursor.exec_trace = look
    try:
        cursor.execute(sql.text, apsw._null_bindings)  # type: ignore[attr-defined]
    except apsw.ExecTraceAbort:
        pass
    finally:
        cursor.close(True)
    names = cursor_names(sql)
    return {"params": [{"name": name} for name in names], **found}


@lru_cache(maxsize=1024)
def _columns(columns: tuple[tuple[str, str | None], ...]) -> orjson.Fragment:
    """The columns of a result, as JSON."""
    return orjson.Fragment(orjson.dumps([{"name": name, "decltype": declared} for name, declared in columns]))


def cursor_names(sql: StatementText) -> list[str | None]:
    return list(sql.parameters)


def _rows(cursor: apsw.Cursor, want_rows: bool) -> list[list[Json]]:
    budget = current()
    quick = is_quick()
    rows: list[list[Json]] = []
    for count, row in enumerate(cursor, 1):
        if quick and count > _QUICK_ROWS:
            about_to_work()
        if budget is not None:
            budget.hold(count, _size(row) if want_rows else 0)
        if want_rows:
            rows.append([encode(value) for value in row])
    return rows


def _pass_on(cursor: apsw.Cursor, sink: RowSink) -> int:
    """Gives all rows to a sink. Returns how many there are."""
    budget = current()
    count = 0
    for count, row in enumerate(cursor, 1):
        if budget is not None:
            budget.hold(count, 0)
        sink.add([encode(value) for value in row])
    return count


def _size(row: tuple[Any, ...]) -> int:
    """About how many bytes a row takes."""
    size = _CELL_BYTES * len(row)
    for value in row:
        if isinstance(value, str | bytes):
            size += len(value)
    return min(size, sys.maxsize)
