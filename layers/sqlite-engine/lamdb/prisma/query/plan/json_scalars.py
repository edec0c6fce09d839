"""SQL expressions that convert a stored scalar to the same JSON as `values.decoder`.

For a value that SQL would convert differently, the expression fails by `json('!…')`, which is malformed: see
`json_sql`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from lamdb.prisma.query.plan.mapping import Enums


class NoSuchExpression(KeyError):
    """SQL has no exact equivalent for this type."""


_NULL = "WHEN 'null' THEN NULL"


def _refuse(column: str) -> str:
    """Null for null; anything else fails (a NUL or a BLOB cannot turn it into JSON)."""
    return f"CASE WHEN {column} IS NOT NULL THEN json('!' || quote({column})) END"


def _not_null(column: str, expression: str) -> str:
    """The expression, which fails if the column is null."""
    return f"ifnull({expression}, json('!' || quote({column})))"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _plain(column: str) -> str:
    return column


def text_of_any(column: str) -> str:
    """The text of a column that may hold numbers among its texts."""
    integer = f"WHEN 'integer' THEN CAST({column} AS TEXT)"
    return f"CASE typeof({column}) {integer} WHEN 'real' THEN {_refuse(column)} ELSE {column} END"


def _int(column: str) -> str:
    fits = f"{column} BETWEEN -2147483648 AND 2147483647 AND typeof({column}) = 'integer'"
    return f"CASE WHEN {fits} THEN {column} ELSE {_refuse(column)} END"


def _float(column: str) -> str:
    # Every text and BLOB is greater than every number.
    fits = f"{column} BETWEEN -1.7976931348623157e308 AND 1.7976931348623157e308"
    return f"CASE WHEN {fits} THEN {column} ELSE {_refuse(column)} END"


def _boolean(column: str) -> str:
    # json('true') is computed once per statement, and keeps its JSON type
    return f"CASE {column} WHEN 1 THEN json('true') WHEN 0 THEN json('false') ELSE {_refuse(column)} END"


def _bigint(column: str) -> str:
    return (
        f"CASE typeof({column}) WHEN 'integer' THEN CAST({column} AS TEXT) {_NULL} ELSE {_refuse(column)} END"
    )


def _datetime(column: str) -> str:
    return (
        f"CASE WHEN {column} GLOB '????-??-??T??:??:??.???+00:00' THEN substr({column}, 1, 23) || 'Z' "
        f"WHEN {column} IS NOT NULL THEN {_refuse(column)} END"
    )


def _number_text(column: str) -> str:
    """The text of a number where SQLite and JavaScript agree: up to 15 digits that read back the same."""
    text = f"format('%.15g', {column})"
    is_exact = f"CAST({text} AS REAL) = {column} AND abs({column}) BETWEEN 0.0001 AND 1e15"
    return (
        f"CASE typeof({column}) WHEN 'integer' THEN CAST({column} AS TEXT) {_NULL} "
        f"WHEN 'real' THEN CASE WHEN {is_exact} THEN {text} ELSE {_refuse(column)} END "
        f"ELSE {_refuse(column)} END"
    )


_EXPRESSIONS: dict[str, Callable[[str], str]] = {
    "string": _plain,
    "int": _int,
    "float": _float,
    "boolean": _boolean,
    "bigint": _bigint,
    "decimal": _number_text,
    "datetime": _datetime,
}


def json_value(column: str, field_type: Mapping[str, Any], enums: Enums, *, required: bool) -> str:
    """An argument of `json_object`; where `required`, a null fails. Raises `NoSuchExpression`."""
    kind = field_type["type"]
    if field_type["arity"] == "list":
        raise NoSuchExpression(kind)
    if kind == "enum":
        expression = _enum(column, enums[field_type["name"]])
    elif kind in _EXPRESSIONS:
        expression = _EXPRESSIONS[kind](column)
    else:
        raise NoSuchExpression(kind)
    return _not_null(column, expression) if required else expression


def _enum(column: str, names: Mapping[str, str]) -> str:
    cases = "".join(f" WHEN {_literal(stored)} THEN {_literal(name)}" for stored, name in names.items())
    return f"CASE {column}{cases} ELSE {_refuse(column)} END"


def json_text(column: str, field_type: Mapping[str, Any], enums: Enums, *, required: bool) -> str:
    """The JSON as plain text, to be pieced together."""
    if field_type["type"] == "boolean" and field_type["arity"] != "list":
        refuse = _not_null(column, _refuse(column)) if required else _refuse(column)
        return f"CASE {column} WHEN 1 THEN 'true' WHEN 0 THEN 'false' ELSE json_quote({refuse}) END"
    return f"json_quote({json_value(column, field_type, enums, required=required)})"
