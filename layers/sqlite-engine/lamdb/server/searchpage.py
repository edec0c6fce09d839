"""The search page for browsers, at `/search`: made of the searches that the schema declares."""

import hashlib
import html
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from lamdb.errors import NotFound
from lamdb.graphql.schema.search_types import facet_name
from lamdb.graphql.transport.graphiql import file
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.search.definition import FacetKind, SearchDefinition

PREFIX: Final = "/search/"
_FILES: Final = Path(__file__).parent / "static/search"
_TYPES: Final = {"page.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8"}

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The page can reach nothing but the server it came from."""


def page(searches: Sequence[SearchDefinition]) -> HttpResponse:
    """Returns the page for the models that are searched: 404 and the way to declare a search without any."""
    models = html.escape(orjson.dumps([_shown(each) for each in searches]).decode())
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": "no-cache",
        "referrer-policy": "no-referrer",
        "vary": "accept",
        "x-content-type-options": "nosniff",
    }
    if not searches:
        return HttpResponse(404, headers, _text("none.html").encode())
    return HttpResponse(200, headers, _text("page.html").replace("{{models}}", models).encode())


def bundled(request: HttpRequest) -> HttpResponse:
    """Returns a file of the page. Raises `NotFound`."""
    name = request.path.removeprefix(PREFIX)
    if name not in _TYPES:
        raise NotFound(f"There is nothing at {request.path}.")
    content = _text(name).encode()
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return file(request, content, None, _TYPES[name], etag)


@cache
def _text(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


def _shown(definition: SearchDefinition) -> dict[str, Any]:
    """The properties of a search that the page needs: the most important field is the title of a hit."""
    fields = sorted(definition.fields, key=lambda field: -field.weight)
    own = [facet for facet in definition.facets if "." not in facet.field]
    numbers = [facet.field for facet in own if facet.kind in (FacetKind.NUMBER, FacetKind.DATETIME)]
    ranks = [rank.field for rank in definition.rank if "." not in rank.field]
    return {
        "name": definition.model,
        "title": fields[0].column,
        "texts": [field.column for field in fields[1:]],
        "facets": [{"name": facet_name(facet), "kind": facet.kind} for facet in definition.facets],
        "values": [facet.field for facet in own],
        "orders": list(dict.fromkeys([*numbers, *ranks])),
    }
