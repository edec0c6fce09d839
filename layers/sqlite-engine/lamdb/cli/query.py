"""`lamdb query`: one document, executed on a store in this process."""

import json
import sys

import orjson

from lamdb.errors import SettingsError
from lamdb.graphql.api import GraphQLRequest
from lamdb.server.instance import open_database, serving
from lamdb.settings import Settings


def query(settings: Settings, document: str, variables: str, operation: str | None) -> bool:
    """Print the response; whether it has no errors."""
    try:
        values = json.loads(variables)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--variables is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError("--variables is not a JSON object")
    with open_database(settings, create=False) as database:
        result = serving(settings).execute(database, GraphQLRequest(document, values, operation))
    answer = orjson.loads(result.body)
    sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return "errors" not in answer
