"""The paths besides the GraphQL endpoint: the page, its files, the SDL, health.

Most of it is in memory; what shows the schema may have to wait for the store.
"""

from collections.abc import Callable, Mapping

import orjson

import lamdb
from lamdb.errors import MethodNotAllowed, NoSchema, NotFound, StorageError
from lamdb.graphql.search_tokens import SEARCH_PATH
from lamdb.graphql.transport import graphiql
from lamdb.graphql.transport.http import HttpRequest, HttpResponse
from lamdb.server import searchpage
from lamdb.server.instance import Instance
from lamdb.server.operators import OPERATOR
from lamdb.server.paths import CHANGES, GRAPHQL, HEALTH, HEALTHS, METRICS, SDL, SQL

_OPERATORS_EXAMPLE = """{
  database {
    store
    txid
    size
    levels {
      level
      files
      size
    }
  }
  restorePoints(first: 10) {
    txid
    time
  }
}"""


class Routes:
    """Answers a request for anything but GraphQL."""

    def __init__(
        self,
        instance: Instance,
        *,
        graphiql: bool,
        search_page: bool = True,
        search_tokens: bool = False,
        operators: bool = False,
        studio: bool = False,
        sql: bool = False,
        metrics: bool = False,
    ) -> None:
        """Each switch says whether the server has that part."""
        self._instance = instance
        self._graphiql = graphiql
        self._search_page = search_page
        self._search = search_page or search_tokens
        more = {"sql": (SQL, sql), "operator": (OPERATOR, operators), "studio": ("/studio", studio)}
        more["metrics"] = (METRICS, metrics)
        self._more = {name: path for name, (path, is_served) in more.items() if is_served}
        self._routes: Mapping[str, Callable[[HttpRequest], HttpResponse]] = {
            "/": self._index,
            SDL: self._sdl,
            **dict.fromkeys(HEALTHS, self._health),
        }

    def answer(self, request: HttpRequest) -> HttpResponse:
        """Raises `NotFound` or `MethodNotAllowed`."""
        if request.path == GRAPHQL and self.wants_page(request):
            return self.page()
        if self.wants_search_page(request):
            return searchpage.page(self._instance.renderings().searches)
        route = self._routes.get(request.path)
        if route is None and self._graphiql and request.path.startswith(graphiql.PREFIX):
            route = graphiql.bundled
        if route is None and self._search_page and request.path.startswith(searchpage.PREFIX):
            route = searchpage.bundled
        if route is None:
            raise NotFound(f"There is nothing at {request.path}.")
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"{request.path} does not allow {request.method}.", allow=["GET", "HEAD"])
        return route(request)

    def wants_page(self, request: HttpRequest) -> bool:
        """True if a browser asks for the GraphQL endpoint as a page, not for data."""
        return self._graphiql and graphiql.wants_page(request)

    def wants_search_page(self, request: HttpRequest) -> bool:
        """True if a browser asks for the search page, not for data."""
        return self._search_page and request.path == SEARCH_PATH and graphiql.wants_page(request)

    def page(self) -> HttpResponse:
        """GraphiQL."""
        return graphiql.page(self._instance.renderings().example)

    def operators_page(self) -> HttpResponse:
        """GraphiQL for the operator API."""
        return graphiql.page(_OPERATORS_EXAMPLE, endpoint=OPERATOR)

    def _index(self, request: HttpRequest) -> HttpResponse:
        if self.wants_page(request):
            return self.page()
        places = {"graphql": GRAPHQL, "schema": SDL, "health": HEALTH, **self._of_schema(), **self._more}
        return _json({"name": "lamDB", "version": lamdb.__version__, **places})

    def _of_schema(self) -> dict[str, str]:
        """The paths that are there if the schema declares them."""
        try:
            types = self._instance.renderings().served.stored.types
        except (NoSchema, StorageError):
            # The other paths are there without a schema, and while the store does not answer.
            return {}
        places = {SEARCH_PATH: self._search and bool(types.searches()), CHANGES: bool(types.changes())}
        return {path.removeprefix("/"): path for path, is_served in places.items() if is_served}

    def _health(self, _request: HttpRequest) -> HttpResponse:
        database = self._instance.database
        return _json({"status": "ok", "txid": database.txid, "version": lamdb.__version__})

    def _sdl(self, request: HttpRequest) -> HttpResponse:
        renderings = self._instance.renderings()
        return graphiql.file(
            request, renderings.sdl, renderings.sdl_gzipped, "text/plain; charset=utf-8", renderings.sdl_etag
        )


def _json(value: object) -> HttpResponse:
    headers = {"content-type": "application/json; charset=utf-8", "cache-control": "no-store"}
    return HttpResponse(200, headers, orjson.dumps(value))
