"""`lamdb sql`: statements on any lamDB, and their results on standard output."""

import json
import sys
from datetime import datetime
from typing import Any, Final

from lamdb.cli.options import Located
from lamdb.cli.output import print_json
from lamdb.cli.sql_client import Arguments, SqlClient, StatementResult
from lamdb.cli.sql_results import as_csv, as_json, as_table
from lamdb.cli.targets.sql_opening import open_sql_target
from lamdb.cli.values import text_of
from lamdb.errors import UsageError
from lamdb.graphql.transport.wire import AS_OF_HEADER, IDEMPOTENCY_HEADERS

FORMATS: Final = ("table", "csv", "json")


def run(
    located: Located,
    sql: str,
    params: str,
    form: str,
    *,
    moment: datetime | int | None = None,
    idempotency_key: str | None = None,
) -> None:
    """Prints the results. `moment` is a time or a TXID of the past. Raises `QueryError`, `UsageError`."""
    headers = {}
    if moment is not None:
        headers[AS_OF_HEADER] = str(moment) if isinstance(moment, int) else moment.isoformat()
    if idempotency_key is not None:
        headers[IDEMPOTENCY_HEADERS[0]] = idempotency_key
    if sql == params == "-":
        raise UsageError("only one of the statement and --params can be read from standard input")
    text, arguments = text_of(sql, "the statement"), _arguments(text_of(params, "--params"))
    with open_sql_target(located) as target:
        client = SqlClient(target, headers)
        try:
            results = client.script(text, arguments)
        finally:
            client.close()
    show(results, form)


def show(results: list[StatementResult], form: str) -> None:
    """Prints each result as a table, or the last in another form."""
    if form == "table":
        shown = "\n".join(filter(None, map(as_table, results)))
    elif form == "csv":
        shown = as_csv(results[-1])
    else:
        print_json(as_json(results[-1]))
        return
    # A surrogate, which a text may have in SQLite and not in UTF-8, is no reason to print nothing.
    sys.stdout.flush()
    sys.stdout.buffer.write(shown.encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def _arguments(text: str) -> Arguments:
    """Raises `UsageError`."""
    try:
        given: Any = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"--params is not JSON: {error}") from None
    values = given.values() if isinstance(given, dict) else given if isinstance(given, list) else None
    if values is None or any(isinstance(value, list | dict) for value in values):
        raise UsageError(
            "--params is neither a JSON array nor an object of numbers, texts, booleans and nulls",
            hint="""Give [1, "a"] for ?, or {"name": "a"} for :name.""",
        )
    return given  # type: ignore[no-any-return]
