"""Converts errors of SQLite and of plans to Prisma's known request errors.

Codes, messages and meta are those of Prisma Client 7.10 with its better-sqlite3 adapter. `meta` names the
fields concerned; the plan that ran adds the model's name.
"""

import re
from collections.abc import Mapping
from typing import Any

import apsw

from lamdb.errors import LamdbError, QueryError, ResponseTooLarge, RuleViolation
from lamdb.prisma.query.arithmetic import out_of_range
from lamdb.rules.symbols import VIOLATION
from lamdb.storage.budget import current
from lamdb.storage.waiting import about_to_work

_UNIQUE = frozenset({apsw.SQLITE_CONSTRAINT_UNIQUE, apsw.SQLITE_CONSTRAINT_PRIMARYKEY})
_FOREIGN_KEY = frozenset({apsw.SQLITE_CONSTRAINT_FOREIGNKEY, apsw.SQLITE_CONSTRAINT_TRIGGER})

# What SQLite says of a query that is valid but too large, each with a fixed limit.
_LIMITS = re.compile(
    r"Expression tree is too large|too many (SQL variables|columns|terms|levels|FROM clause terms|arguments)"
    r"|at most \d+ tables in a join|LIKE or GLOB pattern too complex|string or blob too big"
)


def _constraint_columns(message: str) -> list[tuple[str, str]]:
    """`UNIQUE constraint failed: User.email, User.name` → [("User", "email"), ("User", "name")]."""
    _, _, columns = message.partition("constraint failed: ")
    pairs = (column.rpartition(".") for column in columns.split(", ") if column)
    return [(table, column) for table, _, column in pairs]


def _quoted(columns: list[tuple[str, str]]) -> str:
    return (
        "fields: (" + ", ".join(f"`{column}`" for _, column in columns) + ")"
        if columns
        else "(not available)"
    )


def code_name(error: apsw.Error) -> str:
    """SQLite's name for the error's extended result code, e.g. `SQLITE_CONSTRAINT_UNIQUE`."""
    extended = getattr(error, "extendedresult", 0)  # apsw's own errors have none
    name = apsw.mapping_extended_result_codes.get(extended) or apsw.mapping_result_codes.get(extended & 255)
    return str(name) if extended and name else "SQLITE_ERROR"


_TOO_COMPLEX = "LIKE or GLOB pattern too complex"


def too_big() -> ResponseTooLarge | None:
    """Returns the error for a text or BLOB above the limit of a reader's connection; None if it has no limit.

    Raises `WouldWait` in an attempt that must be quick, whose connections have a lower limit.
    """
    about_to_work()
    budget = current()
    if budget is None:
        return None
    limit = budget.costs.max_bytes
    return ResponseTooLarge(
        f"The response, or a value for it, has more than {limit} bytes.", meta={"limit": limit}
    )


def _refused_size(error: apsw.Error) -> ResponseTooLarge | None:
    if isinstance(error, apsw.TooBigError):
        return too_big()
    if _TOO_COMPLEX in str(error):
        about_to_work()
    return None


def raw_query_error(error: apsw.Error) -> LamdbError:
    """P2010: any error of SQL that the user wrote."""
    if (refusal := _refused_size(error)) is not None:
        return refusal
    code, message = code_name(error), str(error)
    return QueryError(
        f"Raw query failed. Code: `{code}`. Message: `{message}`",
        code="P2010",
        meta={"code": code, "message": message},
    )


def foreign_key_violation() -> QueryError:
    """The error of a foreign key without a record. SQLite gives no details."""
    return QueryError("Foreign key constraint violated on the foreign key", code="P2003")


def database_error(error: apsw.Error) -> LamdbError:
    """Returns the known request error for an error of SQLite in a statement of Prisma's compiler.

    Raises `WouldWait` if the error is due to the limits of an attempt that must be quick.
    """
    if (refusal := _refused_size(error)) is not None:
        return refusal
    extended, message = getattr(error, "extendedresult", 0), str(error)
    if message.startswith(VIOLATION):
        operation, _, model = message.removeprefix(VIOLATION).partition(" ")
        return RuleViolation(
            f"The rules of {model} do not allow the caller to {operation} this record.",
            meta={"modelName": model, "operation": operation},
        )
    if extended in _UNIQUE:
        columns = _constraint_columns(message)
        meta = {"target": [column for _, column in columns], "table": columns[0][0]} if columns else {}
        return QueryError(f"Unique constraint failed on the {_quoted(columns)}", code="P2002", meta=meta)
    if extended == apsw.SQLITE_CONSTRAINT_NOTNULL:
        columns = _constraint_columns(message)
        return QueryError(
            f"Null constraint violation on the {_quoted(columns)}",
            code="P2011",
            meta={"target": [column for _, column in columns], "table": columns[0][0]} if columns else {},
        )
    if extended in _FOREIGN_KEY:
        return foreign_key_violation()
    if extended & 255 == apsw.SQLITE_BUSY:
        return QueryError("Operation has timed out", code="P1008")
    if extended & 255 == apsw.SQLITE_ERROR and message == "integer overflow":
        return QueryError("A sum does not fit into a 64 bit signed integer.", code="P2033")
    if _LIMITS.match(message):
        return QueryError(
            f"The query is beyond a limit of SQLite: {message}.",
            code="P2029",
            meta={"code": code_name(error), "message": message},
        )
    return (
        out_of_range(message)
        or _missing_object(message)
        or QueryError(
            f"Database error. Code: `{code_name(error)}`. Message: `{message}`",
            code="P2039",
            meta={"code": code_name(error), "message": message},
        )
    )


def _missing_object(message: str) -> QueryError | None:
    """P2021 and P2022: the database lacks what the schema declares."""
    if message.startswith("no such table"):
        table = message.partition(": ")[2]
        return QueryError(
            f"The table `{table}` does not exist in the current database.",
            code="P2021",
            meta={"table": table},
        )
    column = None
    if message.startswith("no such column"):
        column = message.partition(": ")[2]
    elif "has no column named " in message:
        column = message.partition("has no column named ")[2]
    if column is None:
        return None
    return QueryError(
        f"The column `{column}` does not exist in the current database.",
        code="P2022",
        meta={"column": column},
    )


_VALIDATION_CODES = {
    "RELATION_VIOLATION": "P2014",
    "RECORDS_NOT_CONNECTED": "P2017",
    "INCOMPLETE_CONNECT_OUTPUT": "P2018",
    "MISSING_RECORD": "P2025",
    "MISSING_RELATED_RECORD": "P2025",
    "INCOMPLETE_CONNECT_INPUT": "P2025",
}
_REQUIRED_NOT_FOUND = (
    "An operation failed because it depends on one or more records that were required but not found."
)


def validation_error(identifier: str, context: Mapping[str, Any], data: Any) -> QueryError:
    """The error of a `validate` node whose rules do not hold for `data`."""
    message = _validation_message(identifier, context, len(data) if isinstance(data, list) else data)
    return QueryError(message, code=_VALIDATION_CODES[identifier], meta=context)


def _validation_message(identifier: str, context: Mapping[str, Any], found: Any) -> str:
    match identifier:
        case "RELATION_VIOLATION":
            return (
                "The change you are trying to make would violate the required relation "
                f"'{context['relation']}' between the `{context['modelA']}` and `{context['modelB']}` models."
            )
        case "MISSING_RECORD":
            return f"{_REQUIRED_NOT_FOUND} No record was found for {context['operation']}."
        case "MISSING_RELATED_RECORD":
            needed = f" (needed to {context['neededFor']})" if context.get("neededFor") else ""
            return (
                f"{_REQUIRED_NOT_FOUND} No '{context['model']}' record{needed} was found for "
                f"{context['operation']} on {context['relationType']} relation '{context['relation']}'."
            )
        case "INCOMPLETE_CONNECT_INPUT":
            expected = context["expectedRows"]
            return f"{_REQUIRED_NOT_FOUND} Expected {expected} records to be connected, found only {found}."
        case "INCOMPLETE_CONNECT_OUTPUT":
            return (
                f"The required connected records were not found. Expected {context['expectedRows']} records "
                f"to be connected after connect operation on {context['relationType']} relation "
                f"'{context['relation']}', found {found}."
            )
        case _:
            return (
                f"The records for relation `{context['relation']}` between the `{context['parent']}` and "
                f"`{context['child']}` models are not connected."
            )


def missing_record_in_batch() -> QueryError:
    """P2025 for a `findUniqueOrThrow` whose row a compacted batch did not find."""
    return QueryError(_REQUIRED_NOT_FOUND.rstrip("."), code="P2025")


def too_many_parameters() -> QueryError:
    return QueryError("The query parameter limit supported by your database is exceeded.", code="P2029")


def too_long_chain(name: str, length: int, most: int) -> QueryError:
    """P2029 for a list of conditions or records that would take too long to compile."""
    return QueryError(
        f"`{name}` has {length} members; at most {most} are taken. For values of one field use "
        "`in`, which has no such limit; for records of a relation use several operations.",
        code="P2029",
        meta={"length": length, "limit": most},
    )
