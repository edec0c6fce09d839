"""The studio behind the proxy, whose data is subject to the API's authentication.

Its callers and their roles are those of SQL over HTTP. The operator API takes signed requests only, which a
browser cannot make, so the page does without it.
"""

from collections.abc import Mapping
from typing import Any, Final

from lamdb.access.identity import Role
from lamdb.cluster.invocation.events import Received
from lamdb.cluster.invocation.sql_callers import identify
from lamdb.errors import Forbidden, NotFound
from lamdb.graphql.transport import studio
from lamdb.graphql.transport.wire import HttpResponse
from lamdb.settings import Settings

_PUBLIC_ROUTE: Final = f"{studio.PATH}/{{proxy+}}"


def answer(received: Received, settings: Settings) -> HttpResponse | None:
    """Returns the page, a file of it, or a caller's session.

    None for statements of a caller that may use the studio, which SQL over HTTP answers, and for paths that
    are not the studio's. Raises `Forbidden`, `MethodNotAllowed`, `NotFound`, `UnsupportedMediaType`.
    """
    request = received.request
    if not studio.answers(request.path):
        return None
    if request.path not in studio.NEED_RIGHTS:
        return studio.without_slash() if _ends_with_slash(received) else studio.show(request)
    if _is_public(received.context):
        # Written so that API Gateway took it for a file, as with a slash at its end.
        raise NotFound(f"There is nothing at {request.path}.")
    studio.require_own_page(request)
    role, _ = identify(received.context, settings)
    if settings.studio == "auto" and role != Role.ADMIN:
        raise Forbidden(
            "The studio requires the role admin.",
            hint="CognitoAdminGroups, the claim lamdb_role or SqlRole give it: see docs/studio.md.",
        )
    if request.path == studio.DATA:
        return None
    links = [{"name": "GraphiQL", "path": "/"}] if settings.graphiql else []
    signed_in = _has_credentials(received.context)
    return studio.session(role, operator=False, asks_for_token=signed_in, links=links)


def _ends_with_slash(received: Received) -> bool:
    """True if the client's path does so, but not that of the route by which API Gateway took it."""
    sent = str(received.context.get("path") or "")
    return received.request.path == studio.PATH and sent.endswith(f"{studio.PATH}/")


def _is_public(context: Mapping[str, Any]) -> bool:
    """True for requests by the route of the page's files, on which nobody is authenticated."""
    route = context.get("resourcePath") or context.get("routeKey") or ""
    return str(route).endswith(_PUBLIC_ROUTE)


def _has_credentials(context: Mapping[str, Any]) -> bool:
    identity = context.get("identity")
    has_key = isinstance(identity, Mapping) and bool(identity.get("apiKeyId"))
    return has_key or bool(context.get("authorizer"))
