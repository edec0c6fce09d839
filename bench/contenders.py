"""The three that answer: the floor, the API, and the API behind GraphQL over HTTP, all in this process."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw
import orjson

from bench.data import SCHEMA, Size, fill
from bench.floor import Floor
from bench.workloads import WORKLOADS
from lamdb.graphql.api import Api, GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.transport.http import HttpRequest, handle
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.migrate.migrate import push
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage import Database

type Answer = Callable[[bytes], bytes]

_HEADERS = {"content-type": "application/json", "accept": "application/graphql-response+json"}


@dataclass(frozen=True)
class Contenders:
    """Each takes a request's body and gives the response's. `file_bytes`: the floor's database."""

    floor: Answer
    api: Answer
    http: Answer
    file_bytes: int


@contextmanager
def contenders(store: str, size: Size, folder: Path) -> Iterator[Contenders]:
    """All three over the same rows: the floor on a plain SQLite file (in memory where the store is)."""
    schema = PrismaSchema.parse(SCHEMA)
    plain = plain_database(":memory:" if store == "memory:" else str(folder / "floor.db"), schema, size)
    floor = Floor(plain, {work.document: (work.field, work.handler) for work in WORKLOADS})
    api = Api(QueryEngine(schema), ApiTypes.from_dmmf(schema.dmmf))
    with Database.open(store) as database:
        with database.writer() as connection:
            push(connection, schema)
        with database.writer() as connection:
            fill(connection, size)

        def answer(body: bytes) -> bytes:
            request = orjson.loads(body)
            return api.execute(database, GraphQLRequest(request["query"], request["variables"])).body

        def answer_http(body: bytes) -> bytes:
            return handle(api, database, HttpRequest("POST", "/graphql", "", _HEADERS, body)).body

        yield Contenders(floor.answer, answer, answer_http, _bytes(plain))
    plain.close()


def plain_database(path: str, schema: PrismaSchema, size: Size) -> apsw.Connection:
    """A plain SQLite database with the same rows, durable on COMMIT where it is a file."""
    connection = apsw.Connection(path)
    connection.execute("PRAGMA foreign_keys = ON; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -65536")
    push(connection, schema)
    with connection:
        fill(connection, size)
    return connection


def _bytes(connection: apsw.Connection) -> int:
    pages = connection.pragma("page_count")
    return int(pages) * int(connection.pragma("page_size"))
