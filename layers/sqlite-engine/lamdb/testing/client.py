"""A client of one database, in the process that holds it or over HTTP."""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

import orjson

from lamdb.errors import QueryError
from lamdb.graphql.apis import Apis
from lamdb.graphql.request import GraphQLRequest
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.server.instance import Instance
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.testing.served import Served

_UNKNOWN: Final = "INTERNAL_ERROR"


class Client:
    """Sends GraphQL requests to a database. Use it as a context manager, or call `close`.

    - `database`: the database itself, for SQL by `database.reader()` and `database.writer()`.
    """

    def __init__(self, database: Database, apis: Apis, settings: Settings) -> None:
        self.database = database
        self._apis = apis
        self._settings = settings
        self._caller: Caller | None = ANONYMOUS
        self._owner = self
        self._served: Served | None = None

    def query(
        self, document: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None
    ) -> Any:
        """Returns the `data` of the response to a query or mutation.

        Raises `QueryError` with the first error of the response: its `code` is Prisma's (P2002, …) or one of
        docs/errors.md.
        """
        response = self.execute(document, variables, operation_name=operation_name)
        if errors := response.get("errors"):
            extensions = errors[0].get("extensions") or {}
            raise QueryError(
                errors[0]["message"],
                code=extensions.get("code", _UNKNOWN),
                hint=extensions.get("hint"),
                meta=extensions.get("meta"),
            )
        return response["data"]

    def execute(
        self, document: str, variables: Mapping[str, Any] | None = None, *, operation_name: str | None = None
    ) -> dict[str, Any]:
        """Returns the whole response, with `data` and `errors`.

        Variables may hold whatever orjson writes, such as `datetime` and `UUID`, beside JSON's own types.
        """
        request = GraphQLRequest(
            document,
            None if variables is None else orjson.loads(orjson.dumps(dict(variables))),
            operation_name,
            caller=self._caller,
        )
        response: dict[str, Any] = orjson.loads(self._apis.execute(self.database, request).body)
        return response

    def as_user(self, claims: Mapping[str, Any] | None) -> "Client":
        """Returns a client of the same database whose requests carry these claims: `auth()` of row rules."""
        return self._with(Caller(claims))

    def as_admin(self) -> "Client":
        """Returns a client of the same database that row rules do not bind, for setting up records."""
        return self._with(None)

    @property
    def url(self) -> str:
        """The address of a server of this database, such as http://127.0.0.1:49152, started at first use.

        GraphQL is at `/graphql`. It runs in a thread of this process until the client is closed.
        """
        owner = self._owner
        if owner._served is None:
            instance = Instance(None, owner.database, owner._apis, owner._settings.max_staleness)
            owner._served = Served(instance, owner._settings)
        return owner._served.url

    def close(self) -> None:
        """Stops the server, if one was started, and closes the database."""
        owner = self._owner
        if owner._served is not None:
            owner._served.close()
            owner._served = None
        owner.database.close()

    def _with(self, caller: Caller | None) -> "Client":
        other = Client(self.database, self._apis, self._settings)
        other._owner = self._owner
        other._caller = caller
        return other

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
