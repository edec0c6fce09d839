"""`increment`, `decrement`, `multiply` and `divide`, kept within the types of their columns.

The compiler writes `SET column = (column + ?)`. SQLite turns an integer that overflows into a double, a
double that overflows into infinity, and a division by zero into NULL. Here the expression is rewritten so
that such a statement fails, and changes nothing.

The plan does not contain the types of the fields. So parameterising a request marks the placeholders of
operands with them (`OPERAND_MARK`).

A function that is registered with the connection computes decimals as decimals: 0.1 + 0.2 is 0.3.
"""

import re
from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from math import isinf
from typing import Any, Final
from weakref import WeakSet

import apsw

from lamdb.errors import EngineError, QueryError

OPERATORS: Final = frozenset({"increment", "decrement", "multiply", "divide"})
OPERAND_MARK: Final = "!"
"""Between a placeholder's own name and the number type of the field it changes: `%3!BigInt`."""

_DECIMAL_FUNCTION: Final = "lamdb_decimal"
_EXACT: Final = Context(prec=1400, Emin=-2000, Emax=2000, traps=[])
"""Takes the sum, difference and product of any two doubles without rounding."""
_QUOTIENT: Final = Context(prec=60, Emin=-2000, Emax=2000, traps=[])

_OPERATION = re.compile(r"= \((?P<column>(?:`(?:[^`]|``)+`\.)*`(?:[^`]|``)+`) (?P<operator>[-+*/]) $")
_OPERATOR = re.compile(r"[-+*/%]\s*$")
_MAX_FLOAT: Final = "1.7976931348623157e308"
_OUT_OF_RANGE: Final = "lamdb-out-of-range:"

_FITS: Final = {
    "Int": "typeof(v) = 'integer' AND v BETWEEN -2147483648 AND 2147483647",
    "BigInt": "typeof(v) = 'integer'",
    "Float": f"v BETWEEN -{_MAX_FLOAT} AND {_MAX_FLOAT}",
}


def guard_arithmetic(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns the statement with checks for every marked operation.

    Raises EngineError for an operation that does not match `_OPERATION`, because it would run without a
    check.
    """
    operands = [_operand_type(argument) for argument in query["args"]]
    if not any(operands):
        return query
    fragments = [dict(fragment) for fragment in query["fragments"]]
    types = iter(operands)
    for index, fragment in enumerate(fragments):
        if fragment["type"] == "stringChunk":
            continue
        operand = next(types)
        if operand is not None and fragment["type"] == "parameter" and 0 < index < len(fragments) - 1:
            _guard(fragments[index - 1], fragments[index + 1], operand)
    return {**query, "fragments": fragments}


def _operand_type(argument: Any) -> str | None:
    if not isinstance(argument, dict) or argument.get("prisma__type") != "param":
        return None
    _, mark, operand = argument["prisma__value"]["name"].partition(OPERAND_MARK)
    return operand if mark else None


def _guard(before: dict[str, Any], after: dict[str, Any], operand: str) -> None:
    """Wraps the operation whose operand is between two pieces of text."""
    text, rest = before.get("chunk", ""), after.get("chunk", "")
    match = _OPERATION.search(text)
    if match is None or not rest.startswith(")"):
        if _OPERATOR.search(text):
            raise EngineError(f"The engine writes arithmetic in an unknown way: {text[-80:]}?{rest[:20]}")
        return  # the value of a field that is called `increment`, say
    column, operator = match["column"], match["operator"]
    name = column.rpartition(".")[2].strip("`").replace("'", "''")
    if operand == "Decimal":
        before["chunk"] = f"{text[: match.start()]}= {_DECIMAL_FUNCTION}({column}, '{operator}', '{name}', "
        return
    # An invalid path makes SQLite fail with its text; it depends on the row, or it would be
    # evaluated for every statement.
    refusal = f"json_extract('{{}}', '{_OUT_OF_RANGE}{operand}:{name}' || substr(typeof(v), 1, 0))"
    before["chunk"] = (
        f"{text[: match.start()]}= (SELECT CASE WHEN {_FITS[operand]} THEN v "
        f"WHEN {column} IS NULL THEN NULL ELSE {refusal} END FROM (SELECT ({column} {operator} "
    )
    after["chunk"] = ") AS v))" + rest[1:]


def out_of_range(message: str) -> QueryError | None:
    """Returns the error of a statement that failed because of `guard_arithmetic`, from SQLite's message."""
    _, found, text = message.partition(_OUT_OF_RANGE)
    if not found:
        return None
    operand, _, column = text.removesuffix("'").partition(":")
    return _refusal(operand, column)


def _refusal(operand: str, column: str) -> QueryError:
    return QueryError(
        f"The new value of `{column}` is not of type {operand}: it is out of range, or was divided by zero. "
        "Nothing was changed.",
        code="P2033",
        meta={"column": column},
    )


# --- decimals -------------------------------------------------------------------------------------

_prepared: WeakSet[apsw.Connection] = WeakSet()


def needs_decimals(sql: str) -> bool:
    return _DECIMAL_FUNCTION in sql


def prepare_decimals(connection: apsw.Connection) -> None:
    """Registers the function that statements with decimal operations call."""
    if connection not in _prepared:
        connection.create_scalar_function(_DECIMAL_FUNCTION, _decimal, 4, deterministic=True)
        _prepared.add(connection)


def _decimal(*arguments: Any) -> int | float | None:
    """`(left, operator, column, right)` → the exact result as SQLite keeps it: an integer of 64 bits, or the
    nearest double. Raises `QueryError` P2033, which reaches the statement's caller.
    """
    left, operator, column, right = arguments
    if left is None or right is None:
        return None
    try:
        one, other = _as_decimal(left), _as_decimal(right)
    except InvalidOperation:
        raise _refusal("Decimal", column) from None
    match operator:
        case "+":
            result = _EXACT.add(one, other)
        case "-":
            result = _EXACT.subtract(one, other)
        case "*":
            result = _EXACT.multiply(one, other)
        case _:
            result = _QUOTIENT.divide(one, other)
    if not result.is_finite() or isinf(number := float(result)):
        raise _refusal("Decimal", column)
    if result.adjusted() < 19 and result == result.to_integral_value() and -(2**63) <= result < 2**63:
        return int(result)
    return number


def _as_decimal(value: Any) -> Decimal:
    return Decimal(repr(value) if isinstance(value, float) else value)
