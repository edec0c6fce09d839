"""The implementation of `lamdb query` and `lamdb admin`: sends one document to a lamDB."""

import json
import sys
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from lamdb.cli.options import Located
from lamdb.cli.targets import open_target
from lamdb.cli.targets.target import GRAPHQL, OPERATOR, Question, Response
from lamdb.cli.values import text_of
from lamdb.errors import UsageError
from lamdb.graphql.transport.wire import AS_OF_HEADER, IDEMPOTENCY_HEADERS


def query(
    located: Located,
    document: str,
    variables: str,
    operation: str | None,
    *,
    moment: datetime | int | None = None,
    idempotency_key: str | None = None,
) -> bool:
    """Print the response, on the state of `moment` (a time, a TXID) if given; whether it has no errors."""
    headers = {}
    if moment is not None:
        headers[AS_OF_HEADER] = str(moment) if isinstance(moment, int) else moment.isoformat()
    if idempotency_key is not None:
        headers[IDEMPOTENCY_HEADERS[0]] = idempotency_key
    return _print(located, GRAPHQL, _question(document, variables, operation, headers))


def admin(located: Located, document: str, variables: str, operation: str | None) -> bool:
    """Print the response of the operator API; whether it has no errors."""
    return _print(located, OPERATOR, _question(document, variables, operation, {}))


def _print(located: Located, path: str, question: Question) -> bool:
    with open_target(located) as target:
        response: Response = target.ask(path, question)
    # A surrogate in the data, which JSON may have and UTF-8 may not, is no reason to print nothing.
    sys.stdout.buffer.write(orjson.dumps(response, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    sys.stdout.flush()
    return "errors" not in response


def _question(document: str, variables: str, operation: str | None, headers: Mapping[str, str]) -> Question:
    """Raises `UsageError`."""
    if document == variables == "-":
        raise UsageError("only one of the document and --variables can be read from standard input")
    text = text_of(document, "the document")
    try:
        values: Any = json.loads(text_of(variables, "--variables"))
    except json.JSONDecodeError as error:
        raise UsageError(f"--variables is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise UsageError("--variables is not a JSON object")
    return Question(text, values, operation, headers)
