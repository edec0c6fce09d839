"""The studio for browsers, at `/studio`: its page, the files of it, and the form of its requests.

The page reads and changes rows by SQL over HTTP, at `/studio/v3/pipeline`, in the role of its caller. As for
the operator API, pages of other origins cannot use that path: it wants JSON, which a browser does not send
across origins without asking first, and refuses other origins.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

import orjson

import lamdb
from lamdb.errors import Forbidden, MethodNotAllowed, NotFound, UnsupportedMediaType
from lamdb.graphql.transport import graphiql
from lamdb.graphql.transport.wire import JSON, HttpRequest, HttpResponse

PATH: Final = "/studio"
SESSION: Final = f"{PATH}/session"
DATA: Final = f"{PATH}/v3/pipeline"
NEED_RIGHTS: Final = frozenset({SESSION, DATA})
"""The paths that are not for every caller."""
FILES: Final = graphiql.STATIC / "studio"
_PREFIX: Final = f"{PATH}/"

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self' 'unsafe-inline'; "
    "font-src data:; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page can reach nothing but the server it came from. Its grid and its editor set styles inline."""


def answers(path: str) -> bool:
    """True if a path is one of the studio."""
    return path == PATH or path.startswith(_PREFIX)


def show(request: HttpRequest) -> HttpResponse:
    """Returns the page or one of its files, for every caller. Raises `NotFound`, `MethodNotAllowed`."""
    if request.method not in {"GET", "HEAD"}:
        raise MethodNotAllowed(f"{request.path} does not allow {request.method}.", allow=["GET", "HEAD"])
    if request.path == _PREFIX:
        return without_slash()
    if request.path == PATH:
        return _page()
    found = graphiql.asset(request.path.removeprefix(_PREFIX), FILES)
    if found is None:
        raise NotFound(f"There is nothing at {request.path}.")
    return graphiql.sent(request, found)


def without_slash() -> HttpResponse:
    """Redirects from `/studio/`, below which the page's links would lead elsewhere."""
    return HttpResponse(308, {"location": f"..{PATH}"})


def require_own_page(request: HttpRequest) -> None:
    """Raises `Forbidden` for requests of other origins, `UnsupportedMediaType` for all but JSON."""
    origin = request.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise Forbidden("Pages of other origins cannot use the studio.")
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.method == "POST" and media_type != JSON:
        raise UnsupportedMediaType("The studio accepts only JSON.")


def session(
    role: str, *, operator: bool, asks_for_token: bool, links: Sequence[dict[str, str]]
) -> HttpResponse:
    """Returns the rights and links of a caller. `operator`: whether it may use the operator API.

    `links` are pairs of `name` and `path`, which begins with `/` and is below that of the studio's parent.
    """
    content = {
        "role": role,
        "operator": operator,
        "asksForToken": asks_for_token,
        "links": links,
        "version": lamdb.__version__,
    }
    return HttpResponse(200, {"content-type": JSON, "cache-control": "no-store"}, orjson.dumps(content))


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
