"""Fills a new database: executes one mutation document, once, through the clients' API."""

import logging
from typing import Final

import apsw
import orjson

from lamdb.errors import QueryError
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.storage import Database
from lamdb.storage.fencing import retry_fenced
from lamdb.storage.transactions import OneState

log = logging.getLogger("lamdb.server")

_FENCED_RETRIES: Final = 20
_IS_THERE: Final = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ? COLLATE NOCASE)"


def apply_seed(api: Api, database: Database, schema: PrismaSchema, document: str) -> bool:
    """Execute `document` if every table of the schema is empty; whether it was.

    Looking and writing are one transaction, so two servers that start at once seed once. Raises `QueryError`
    with the first error of the response; the seed is then rolled back.
    """

    def work(connection: apsw.Connection) -> bool:
        if not _tables_empty(connection, schema):
            return False
        _execute(api, database, connection, document)
        return True

    planted = _is_empty(database, schema) and retry_fenced(lambda: database.write(work), _FENCED_RETRIES)
    if planted:
        log.info("seeded the database", extra={"txid": database.txid})
    return planted


def _execute(api: Api, database: Database, connection: apsw.Connection, document: str) -> None:
    transaction = OneState(connection, database.txid)
    answer = orjson.loads(api.execute(transaction, GraphQLRequest(document, caller=None)).body)
    if errors := answer.get("errors"):
        extensions = errors[0]["extensions"]
        hint = "Correct seed.graphql and start again. The seed was rolled back."
        if extensions["code"] == "P2021":
            hint = "Make the migration that creates the table: lamdb migrate dev. The seed was rolled back."
        raise QueryError(
            f"The seed failed: {errors[0]['message']}",
            code=extensions["code"],
            hint=hint,
            meta=extensions.get("meta"),
        )


def _is_empty(database: Database, schema: PrismaSchema) -> bool:
    with database.reader() as connection:
        return _tables_empty(connection, schema)


def _tables_empty(connection: apsw.Connection, schema: PrismaSchema) -> bool:
    """True if no table has a row. A table that no migration has made yet has none."""
    named = [model["dbName"] or model["name"] for model in schema.datamodel["models"]]
    tables = [name for name in named if connection.execute(_IS_THERE, (name,)).get]
    return not any(
        connection.execute(f"SELECT EXISTS (SELECT 1 FROM {_quoted(name)})").get for name in tables
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
