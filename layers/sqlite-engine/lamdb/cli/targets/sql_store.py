"""SQL on a store that is opened in this process, with the role admin: a server's endpoint without the
network."""

from collections.abc import Mapping

from lamdb.access.identity import Role
from lamdb.cli.targets.sql import refusal
from lamdb.graphql.transport.http import HttpOptions
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.hrana.endpoint import SqlEndpoint
from lamdb.hrana.engine import SqlEngine
from lamdb.hrana.streams.in_memory import Streams
from lamdb.server.instance import open_database
from lamdb.settings import Settings

_LONGEST_IDLE = 24 * 3600.0
"""Seconds that a transaction in a shell may wait for its user."""


class SqlStoreTarget:
    """Raises `NotAStore` and other `StorageError`s when it is made."""

    def __init__(self, settings: Settings) -> None:
        self._database = open_database(settings, create=False)
        self._engine = SqlEngine(self._database, fenced_retries=settings.fenced_retries)
        self._streams = Streams(idle_seconds=_LONGEST_IDLE, transaction_seconds=_LONGEST_IDLE)
        # The limits of requests protect other clients: a command at the store itself has none.
        options = HttpOptions(idempotency_seconds=settings.idempotency_seconds)
        self._endpoint = SqlEndpoint(self._engine, self._streams, options)

    @property
    def name(self) -> str:
        return f"the store {self._database.url}"

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        request = HttpRequest("POST", path, "", {**headers, "content-type": "application/json"}, body)
        asked = self._endpoint.receive(request, Role.ADMIN)
        response = asked if isinstance(asked, HttpResponse) else self._endpoint.answer(asked)
        if response.status != 200:
            raise refusal(self.name, response.status, response.body)
        return response

    def close(self) -> None:
        self._streams.close()
        self._engine.close()
        self._database.close()
