"""`lamdb query`: one document, executed on a store in this process."""

import json
import sys
from datetime import datetime

import orjson

from lamdb.errors import SettingsError
from lamdb.graphql.api import GraphQLRequest, Result
from lamdb.graphql.apis import Apis
from lamdb.server.instance import open_database, serving
from lamdb.settings import Settings
from lamdb.storage import Database


def query(
    settings: Settings,
    document: str,
    variables: str,
    operation: str | None,
    moment: datetime | int | None = None,
) -> bool:
    """Print the response, on the state of `moment` (a time, a TXID) if given; whether it has no errors."""
    try:
        values = json.loads(variables)
    except json.JSONDecodeError as error:
        raise SettingsError(f"--variables is not JSON: {error}") from None
    if not isinstance(values, dict):
        raise SettingsError("--variables is not a JSON object")
    with open_database(settings, create=False) as database:
        result = _execute(database, serving(settings), GraphQLRequest(document, values, operation), moment)
    answer = orjson.loads(result.body)
    sys.stdout.buffer.write(orjson.dumps(answer, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return "errors" not in answer


def _execute(
    database: Database, apis: Apis, request: GraphQLRequest, moment: datetime | int | None
) -> Result:
    if moment is None:
        return apis.execute(database, request)
    past = database.as_of(txid=moment) if isinstance(moment, int) else database.as_of(time=moment)
    with past as connection:
        return apis.execute_on(connection, past.txid, request)
