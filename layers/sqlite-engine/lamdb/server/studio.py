"""The studio of the standalone server: the rights of its requests.

Without a token, a server that listens on a loopback address must be addressed by a loopback name, so that a
page whose own name was made to point here (DNS rebinding) cannot use the studio either.
"""

from importlib.util import find_spec

from lamdb.access.identity import Role
from lamdb.errors import Forbidden, LamdbError
from lamdb.graphql.stored_schema import has_rules
from lamdb.graphql.transport import studio
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.server.hosts import is_loopback, name_in
from lamdb.server.instance import Instance
from lamdb.server.operators import OPERATOR, Operators
from lamdb.settings import Settings
from lamdb.storage import Database


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
        return self.enabled and studio.answers(path)

    def needs_rights(self, request: HttpRequest) -> bool:
        """Returns True for requests for data.

        Raises `Forbidden` for those of other origins and for foreign names, `UnsupportedMediaType`.
        """
        if request.path not in studio.NEED_RIGHTS:
            return False
        studio.require_own_page(request)
        host = request.headers.get("host", "")
        is_open = not self._has_callers and not request.headers.get("authorization")
        if is_open and self._is_local and not is_loopback(name_in(f"//{host}")):
            raise Forbidden(f"Without a token, the studio is addressed by a loopback name, not {host!r}.")
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
        return studio.session(
            role,
            operator=self._may_operate(request, role),
            asks_for_token=self._has_callers or bool(self._settings.operator_token),
            links=self._links(),
        )

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
