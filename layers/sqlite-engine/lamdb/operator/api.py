"""The operator API: an HTTP request goes in, its response comes out.

    api = OperatorApi(OperatorContext(database, apis, settings))
    response = api.handle(HttpRequest("POST", "/admin/graphql", "", headers, body))

Whoever may call it is decided by those who listen: nothing here asks for credentials.
"""

from dataclasses import dataclass

from lamdb.errors import LamdbError
from lamdb.graphql.apis import Apis
from lamdb.graphql.wire import HttpRequest, HttpResponse, refusal
from lamdb.settings import Settings
from lamdb.storage import Database


@dataclass(frozen=True, slots=True)
class OperatorContext:
    """What the API works on. `read_only`: mutations are refused, as those who cannot write must."""

    database: Database
    apis: Apis
    settings: Settings
    read_only: bool = False


class OperatorApi:
    """Answers operators' requests. Safe to use from several threads."""

    def __init__(self, context: OperatorContext) -> None:
        self._context = context

    def handle(self, request: HttpRequest) -> HttpResponse:
        """The response to a request; never raises for what a client sent or for what the store did."""
        return refusal(LamdbError("The operator API is not finished.", code="NOT_IMPLEMENTED"))
