"""A store that is opened in this process: the same endpoints as a server's, without the network."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

import orjson

from lamdb.cli.targets.target import OPERATOR, Question, Response
from lamdb.graphql.errors import detailed
from lamdb.graphql.from_settings import open_database, serving
from lamdb.graphql.transport import http
from lamdb.graphql.transport.wire import JSON, HttpRequest
from lamdb.settings import Settings

if TYPE_CHECKING:
    from lamdb.operator.api import OperatorApi


class StoreTarget:
    """Raises `NotAStore` and other `StorageError`s when it is made."""

    def __init__(self, settings: Settings) -> None:
        self._database = open_database(settings, create=False)
        self._apis = serving(settings)
        self._settings = settings
        # The limits of requests protect other clients: a command at the store itself has none.
        self._options = http.HttpOptions(idempotency_seconds=settings.idempotency_seconds)

    @cached_property
    def _operator(self) -> "OperatorApi":
        from lamdb.operator.api import OperatorApi, OperatorContext

        return OperatorApi(OperatorContext(self._database, self._apis, self._settings))

    @property
    def name(self) -> str:
        return f"the store {self._database.url}"

    def ask(self, path: str, question: Question) -> Response:
        headers = {**question.headers, "content-type": JSON, "accept": JSON}
        request = HttpRequest("POST", path, "", headers, orjson.dumps(question.parameters()), caller=None)
        if path == OPERATOR:
            answer = self._operator.handle(request)
        else:
            with detailed():
                answer = http.handle(self._apis, self._database, request, self._options)
        response: dict[str, Any] = orjson.loads(answer.body)
        return response

    def close(self) -> None:
        self._database.close()
