"""Finds the path of lamDB that a request for a function asks for, and the prefix before it.

What a client's URL begins with is not lamDB's: the stage of an API, the base path of a custom domain, both,
or neither. The route by which API Gateway chose the function says where that ends: `resource` of REST APIs
and of payload format 1.0 (`/graphql`, `/db/{proxy+}`), `routeKey` of format 2.0 (`POST /graphql`). Without a
route in the event (`$default`, load balancers, function URLs) the path is the part after the stage, if the
host is API Gateway's own.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from lamdb.hrana.routing import PATHS as SQL_PATHS

_PATHS: Final = (
    "/admin/graphql",
    "/schema.graphql",
    "/graphql",
    "/search",
    "/studio",
    "/studio/session",
    "/reader",
    "/writer",
    "/healthz",
    "/health",
)
_BELOW: Final = ("/graphiql/", "/studio/", "/writes/")
_DEFAULT: Final = "$default"
_PARAMETER: Final = re.compile(r"\{([^{}+]+)(\+?)\}")
_OWN_HOST: Final = re.compile(r"\.execute-api\.|\.lambda-url\.|\.amazonaws\.com")


class RequestPath(NamedTuple):
    """`path` is what is asked for; `prefix` precedes it in the client's URL, such as `/v1`."""

    path: str
    prefix: str = ""


def place(full: str, route: str | None, context: Mapping[str, Any], parameters: Any) -> RequestPath:
    """`full` is the path as the client sent it; `parameters` are the values of the route's `{…}`."""
    asked = _by_route(route, parameters if isinstance(parameters, Mapping) else {})
    if asked is not None:
        return RequestPath(asked, full.removesuffix(asked) if full.endswith(asked) else "")
    return _after_stage(full, str(context.get("stage") or ""), str(context.get("domainName") or ""))


def is_known(path: str) -> bool:
    return path == "/" or path in _PATHS or path.startswith(_BELOW) or SQL_PATHS.fullmatch(path) is not None


def _by_route(route: str | None, parameters: Mapping[str, Any]) -> str | None:
    """The path of lamDB's that a route stands for; None if it does not say."""
    if route is None or route.endswith(_DEFAULT):
        return None
    pattern = route.rpartition(" ")[2]
    names = _PARAMETER.findall(pattern)
    if not names:
        return _known_end(pattern) or pattern
    filled = _PARAMETER.sub(lambda found: str(parameters.get(found[1], "")).strip("/"), pattern)
    candidates = [filled, *("/" + str(parameters.get(name, "")).strip("/") for name, plus in names if plus)]
    return next((path for path in candidates if is_known(path)), None) or _known_end(filled)


def _known_end(path: str) -> str | None:
    return next((known for known in _PATHS if path.endswith(known)), None)


def _after_stage(full: str, stage: str, host: str) -> RequestPath:
    prefix = f"/{stage}"
    if stage in {"", _DEFAULT} or not f"{full}/".startswith(f"{prefix}/"):
        return RequestPath(full)
    rest = RequestPath(full.removeprefix(prefix) or "/", prefix)
    if host:
        return rest if _OWN_HOST.search(host) else RequestPath(full)
    return RequestPath(full) if full in _PATHS else rest
