"""Raw queries: columns, types and rows of SQL the user wrote."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

import apsw

from lamdb.prisma.query.plan.fetching import fetch
from lamdb.prisma.query.plan.runtime import Run
from lamdb.prisma.query.plan.statements import Render
from lamdb.prisma.query.sql_errors import raw_query_error
from lamdb.prisma.values import datetime_to_text, inconsistent, number_text

# SQLite's declared column types → Prisma's names for column types, as the better-sqlite3 adapter maps them.
_DECLARED = {
    "DECIMAL": "decimal",
    "FLOAT": "float",
    **dict.fromkeys(("DOUBLE", "DOUBLE PRECISION", "NUMERIC", "REAL"), "double"),
    **dict.fromkeys(("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "INTEGER", "SERIAL", "INT2"), "int"),
    **dict.fromkeys(("BIGINT", "UNSIGNED BIG INT", "INT8"), "bigint"),
    **dict.fromkeys(("DATETIME", "TIMESTAMP"), "datetime"),
    "TIME": "time",
    "DATE": "date",
    **dict.fromkeys(
        (
            "TEXT",
            "CLOB",
            "CHARACTER",
            "VARCHAR",
            "VARYING CHARACTER",
            "NCHAR",
            "NATIVE CHARACTER",
            "NVARCHAR",
        ),
        "string",
    ),
    "BLOB": "bytes",
    "BOOLEAN": "bool",
    "JSONB": "json",
}


def _integer(value: Any) -> Any:
    return int(value) if isinstance(value, float) else value


def _bigint(value: Any) -> Any:
    return str(int(value)) if isinstance(value, int | float) else value


def _finite(rows: list[Any]) -> list[Any]:
    """The rows. Raises `QueryError` P2023 for an infinite number, which JSON cannot say."""
    if any(type(value) is float and value - value != 0.0 for row in rows for value in row):
        raise inconsistent("Inconsistent column data: a result of the query is an infinite number")
    return rows


def _datetime(value: Any) -> Any:
    return datetime_to_text(value) if isinstance(value, int | float) else value


def _boolean(value: Any) -> bool:
    return value in ("true", "1") if isinstance(value, str) else bool(value == 1)


def _json(value: Any) -> str:
    return number_text(value) if isinstance(value, int | float) else str(value)


def _bytes(value: Any) -> Any:
    return b64encode(value).decode() if isinstance(value, bytes) else value


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "int": _integer,
    "bigint": _bigint,
    "decimal": lambda value: number_text(value) if isinstance(value, int | float) else str(value),
    "datetime": _datetime,
    "bool": _boolean,
    "json": _json,
    "bytes": _bytes,
}


def _infer(values: list[Any]) -> str:
    """The type of a column without a declared one, from its first value."""
    first = next((value for value in values if value is not None), None)
    match first:
        case None:
            return "int"
        case str():
            return "string"
        case bytes():
            return "bytes"
        case int():
            return "bigint"
        case _:
            return "double"


def read_raw(run: Run, render: Render) -> dict[str, Any]:
    """`{columns, types, rows}` with JSON-ready cells; `rows` is empty for a statement that returns none."""
    columns: list[tuple[str, str | None]] = []

    def describe(cursor: apsw.Cursor, sql: str, bindings: Any) -> bool:
        columns.extend((column[0], column[1]) for column in cursor.get_description())
        return True

    (sql, parameters) = render(run)[0]
    cursor = run.connection.cursor()
    cursor.exec_trace = describe
    try:
        rows = _finite(fetch(cursor.execute(sql, parameters)))
    except apsw.Error as error:
        raise raw_query_error(error) from error
    types = [
        _DECLARED.get((declared or "").upper()) or _infer([row[index] for row in rows])
        for index, (_, declared) in enumerate(columns)
    ]
    converters = [_CONVERT.get(kind) for kind in types]
    return {
        "columns": [name for name, _ in columns],
        "types": types,
        "rows": [
            [
                value if value is None or convert is None else convert(value)
                for value, convert in zip(row, converters, strict=True)
            ]
            for row in rows
        ],
    }
