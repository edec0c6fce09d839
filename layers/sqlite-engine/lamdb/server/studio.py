"""The studio for browsers, at `/studio`: its page, and the rights of its requests.

The page reads and changes rows by SQL over HTTP, at `/studio/v3/pipeline`, in the role of its caller. As for
the operator API, pages of other origins cannot use that path: it wants JSON, which a browser does not send
across origins without asking first, and refuses other origins. Without a token, a server that listens on a
loopback address must also be addressed by a loopback name, so that a page whose own name was made to point
here (DNS rebinding) is no exception.
"""

from importlib.util import find_spec
from typing import Final
from urllib.parse import urlsplit

import orjson

import lamdb
from lamdb.access.identity import Role
from lamdb.errors import Forbidden, LamdbError, MethodNotAllowed, NotFound, UnsupportedMediaType
from lamdb.graphql.stored_schema import has_rules
from lamdb.graphql.transport import graphiql
from lamdb.graphql.transport.wire import JSON, HttpRequest, HttpResponse
from lamdb.server.hosts import is_loopback, name_in
from lamdb.server.instance import Instance
from lamdb.server.operators import OPERATOR, Operators
from lamdb.settings import Settings
from lamdb.storage import Database

PATH: Final = "/studio"
SESSION: Final = f"{PATH}/session"
DATA: Final = f"{PATH}/v3/pipeline"
FILES: Final = graphiql.STATIC / "studio"
_PREFIX: Final = f"{PATH}/"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src data:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page can reach nothing but the server it came from. Its grid and its editor set styles inline."""


class Studio:
    """The studio of one server that listens on `host`."""

    def __init__(self, instance: Instance, settings: Settings, host: str, operators: Operators) -> None:
        self._instance = instance
        self._settings = settings
        self._operators = operators
        self._has_callers = bool(settings.auth)
        self._is_local = is_loopback(host)
        self.enabled = serves_studio(settings, host)

    def answers(self, path: str) -> bool:
        """True if a path is one of the studio."""
        return self.enabled and (path == PATH or path.startswith(_PREFIX))

    def show(self, request: HttpRequest) -> HttpResponse:
        """Returns the page or one of its files, for every caller. Raises `NotFound`, `MethodNotAllowed`."""
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed(f"{request.path} does not allow {request.method}.", allow=["GET", "HEAD"])
        if request.path == _PREFIX:
            return HttpResponse(308, {"location": f"..{PATH}"})
        if request.path == PATH:
            return _page()
        found = graphiql.asset(request.path.removeprefix(_PREFIX), FILES)
        if found is None:
            raise NotFound(f"There is nothing at {request.path}.")
        return graphiql.file(request, found.content, found.gzipped, found.content_type, found.etag)

    def needs_rights(self, request: HttpRequest) -> bool:
        """Returns True for requests for data.

        Raises `Forbidden` for those of other origins and for foreign names, `UnsupportedMediaType`.
        """
        if request.path not in (DATA, SESSION):
            return False
        host = request.headers.get("host", "")
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Forbidden("Pages of other origins cannot use the studio.")
        is_open = not self._has_callers and not request.headers.get("authorization")
        if is_open and self._is_local and not is_loopback(name_in(f"//{host}")):
            raise Forbidden(f"Without a token, the studio is addressed by a loopback name, not {host!r}.")
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if request.method == "POST" and media_type != JSON:
            raise UnsupportedMediaType("The studio accepts only JSON.")
        return True

    def admit(self, role: str) -> None:
        """Raises `Forbidden` if a role may not use the studio."""
        if self._has_callers and self._settings.studio == "auto" and role != Role.ADMIN:
            raise Forbidden(
                "The studio requires the role admin.",
                hint="LAMDB_STUDIO=on opens it to all other roles, too.",
            )

    def session(self, request: HttpRequest, role: str) -> HttpResponse:
        """Returns the rights and links of a caller. May wait for the store. Raises `Forbidden`."""
        if role != Role.ADMIN and _is_ruled(self._instance.database):
            raise Forbidden("The schema has row rules, so the studio requires the role admin.")
        content = {
            "role": role,
            "operator": self._may_operate(request, role),
            "asksForToken": self._has_callers or bool(self._settings.operator_token),
            "links": self._links(),
            "version": lamdb.__version__,
        }
        return HttpResponse(200, {"content-type": JSON, "cache-control": "no-store"}, orjson.dumps(content))

    def _may_operate(self, request: HttpRequest, role: str) -> bool:
        if not self._operators.enabled or find_spec("tartiflette") is None:
            return False
        if self._has_callers:
            return role == Role.ADMIN
        try:
            self._operators.check(request)
        except LamdbError:
            return False
        return True

    def _links(self) -> list[dict[str, str]]:
        links = []
        if self._settings.graphiql:
            links.append({"name": "GraphiQL", "path": "/graphql"})
        if self._settings.search_page and self._instance.renderings().searches:
            links.append({"name": "Search", "path": "/search"})
        if self._settings.graphiql and self._operators.enabled:
            links.append({"name": "Operator API", "path": OPERATOR})
        return links


def serves_studio(settings: Settings, host: str) -> bool:
    """True if a server that listens on `host` has the studio."""
    if settings.studio == "auto":
        return settings.sql and (is_loopback(host) or bool(settings.auth))
    return settings.studio == "on"


def _is_ruled(database: Database) -> bool:
    with database.reader() as connection:
        return has_rules(connection)


def _page() -> HttpResponse:
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": graphiql.REVALIDATE,
        "referrer-policy": "no-referrer",
        "x-content-type-options": "nosniff",
    }
    name = "studio.html" if graphiql.asset("app.js", FILES) else "studio-not-built.html"
    return HttpResponse(200, headers, (graphiql.STATIC / name).read_bytes())
