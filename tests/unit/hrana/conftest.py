"""A database, and a client that speaks the protocol to its endpoint without a server."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lamdb.access.identity import Role
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.hrana.endpoint import NEEDS_WRITER, SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.routing import needs_writer
from lamdb.hrana.streams.in_memory import Streams
from lamdb.hrana.streams.log_parts import LogParts
from lamdb.hrana.streams.stateless import CarriedStreams
from lamdb.hrana.transaction.replay import ReplayingExecution
from lamdb.storage import Database

type Json = dict[str, Any]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class SqlClient:
    """A stream of its own: `baton` is that of the last response."""

    def __init__(
        self, endpoint: "SqlEndpoint | Functions", role: Role = Role.ADMIN, principal: str = ""
    ) -> None:
        self.endpoint = endpoint
        self.role = role
        self.principal = principal
        self.baton: str | None = None
        self.headers: dict[str, str] = {}

    def post(self, path: str, body: Any, **headers: str) -> HttpResponse:
        sent = {name.replace("_", "-"): text for name, text in headers.items()}
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = HttpRequest("POST", path, "", sent, content)
        if isinstance(self.endpoint, Functions):
            response = self.endpoint.handle(request, self.role, self.principal)
        else:
            asked = self.endpoint.receive(request, self.role, self.principal)
            response = asked if isinstance(asked, HttpResponse) else self.endpoint.answer(asked)
        self.headers = response.headers
        return response

    def pipeline(self, *requests: Json, **headers: str) -> list[Json]:
        """The results of requests on the stream."""
        response = self.post("/v3/pipeline", {"baton": self.baton, "requests": requests}, **headers)
        assert response.status == 200, response.body
        answer = json.loads(response.body)
        self.baton = answer["baton"]
        results: list[Json] = answer["results"]
        return results

    def run(self, sql: str, *args: Any, **named: Any) -> Json:
        """The result of a statement, or its error object."""
        stmt = {
            "sql": sql,
            "args": [value(each) for each in args],
            "named_args": [{"name": name, "value": value(each)} for name, each in named.items()],
        }
        (result,) = self.pipeline({"type": "execute", "stmt": stmt})
        found: Json = result["response"]["result"] if result["type"] == "ok" else result["error"]
        return found

    def rows(self, sql: str, *args: Any) -> list[list[Any]]:
        result = self.run(sql, *args)
        assert "rows" in result, result
        return [[plain(each) for each in row] for row in result["rows"]]

    def code(self, sql: str, *args: Any) -> str | None:
        """The code of a statement's error; None if it had none."""
        return self.run(sql, *args).get("code")


def value(plain: Any) -> Json:
    match plain:
        case None:
            return {"type": "null"}
        case int():
            return {"type": "integer", "value": str(plain)}
        case float():
            return {"type": "float", "value": plain}
        case str():
            return {"type": "text", "value": plain}
        case dict():
            return plain
    raise TypeError(plain)


def plain(value: Json) -> Any:
    match value["type"]:
        case "null":
            return None
        case "integer":
            return int(value["value"])
        case "blob":
            return value["base64"]
    return value["value"]


class Functions:
    """Readers and a writer that keep no streams, as functions do; `post` is what the proxy does.

    Before each request, `meanwhile` may be anything that happens to environments.
    """

    def __init__(self, url: str, readers: int = 2, limits: dict[str, int] | None = None) -> None:
        """`limits`: those of `LogParts`, with which statements are kept in the store."""
        self.url = url
        self.limits = limits
        self.counts: Counter[str] = Counter()
        self.meanwhile: Callable[[Functions], None] = lambda _: None
        self._made: list[Database] = []
        self.readers = [self.make(can_write=False) for _ in range(readers)]
        self.writer = self.make(can_write=True)
        self._turn = 0

    def make(self, *, can_write: bool) -> SqlEndpoint:
        """A new environment."""
        database = Database.open(self.url, group_seconds=0)
        self._made.append(database)
        engine = SqlEngine(database, can_write=can_write)
        options = HttpOptions(max_staleness=0.0)
        parts = None
        if self.limits is not None:
            parts = LogParts(database.pages.replica, b"key", can_write=can_write, **self.limits)
        return SqlEndpoint(engine, CarriedStreams(b"key", parts), options, ReplayingExecution)

    def handle(self, request: HttpRequest, role: Role, principal: str) -> HttpResponse:
        self.meanwhile(self)
        self._turn += 1
        self.counts["requests"] += 1
        if needs_writer(request.body):
            return self._ask(self.writer, "writer", request, role, principal)
        reader = self.readers[self._turn % len(self.readers)]
        response = self._ask(reader, "reader", request, role, principal)
        if response.status != NEEDS_WRITER:
            return response
        self.counts["misdirected"] += 1
        return self._ask(self.writer, "writer", request, role, principal)

    def _ask(
        self, endpoint: SqlEndpoint, kind: str, request: HttpRequest, role: Role, principal: str
    ) -> HttpResponse:
        self.counts[kind] += 1
        asked = endpoint.receive(request, role, principal)
        return asked if isinstance(asked, HttpResponse) else endpoint.answer(asked)

    def close(self) -> None:
        for database in self._made:
            database.close()


@pytest.fixture
def functions(tmp_path: Path) -> Iterator[Functions]:
    made = Functions(f"file://{tmp_path}/store")
    yield made
    made.close()


@pytest.fixture
def database() -> Iterator[Database]:
    with Database.open("memory:", group_seconds=0.01) as database:
        yield database


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_endpoint(database: Database, clock: Clock) -> Iterator[Callable[[], SqlEndpoint]]:
    """Makes endpoints of the one database, each as of a process of its own."""
    made: list[SqlEndpoint] = []

    def make() -> SqlEndpoint:
        engine = SqlEngine(database, busy_seconds=0.2, now=clock)
        made.append(SqlEndpoint(engine, Streams(now=clock), HttpOptions()))
        return made[-1]

    yield make
    for endpoint in made:
        endpoint.streams.close()


@pytest.fixture
def endpoint(make_endpoint: Callable[[], SqlEndpoint]) -> SqlEndpoint:
    return make_endpoint()


@pytest.fixture
def client(endpoint: SqlEndpoint) -> SqlClient:
    return with_tables(SqlClient(endpoint))


def with_tables(made: SqlClient) -> SqlClient:
    """A client of a database with tables, which are made past the API: it would follow, and take its time."""
    endpoint = made.endpoint.writer if isinstance(made.endpoint, Functions) else made.endpoint
    with endpoint.engine.database.writer() as connection:
        connection.execute(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE, born DATETIME);"
            "CREATE TABLE child (id INTEGER PRIMARY KEY, t INT NOT NULL REFERENCES t(id),"
            " later INT REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED)"
        )
    return made
