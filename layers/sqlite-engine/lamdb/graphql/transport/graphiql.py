"""GraphiQL for browsers: the page itself, and the files that `make build` bundled for it."""

import gzip
import hashlib
import html
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Final

from lamdb.errors import NotFound
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse, accepts_gzip

STATIC: Final = Path(__file__).parents[2] / "server/static"
VENDOR: Final = STATIC / "vendor"
PREFIX: Final = "/graphiql/"
REVALIDATE: Final = "no-cache"

_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self' 'unsafe-inline'; font-src data:; img-src 'self' data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""The page can reach nothing but the server it came from. The editor sets styles inline."""


@dataclass(frozen=True)
class Asset:
    """A file as it is sent. `gzipped` is None where compression is not worth it; else `plain` may be."""

    plain: bytes | None
    gzipped: bytes | None
    content_type: str
    etag: str

    @cached_property
    def content(self) -> bytes:
        """The file itself, which is unpacked for the first client that does not take it compressed."""
        return gzip.decompress(self.gzipped or b"") if self.plain is None else self.plain


@cache
def asset(name: str, folder: Path | None = None) -> Asset | None:
    """The bundled file `name` in `folder`, which is GraphiQL's by default; None if there is no such file.

    The wheel, the image and the layer have large files only compressed.
    """
    path = (folder or VENDOR) / name
    packed = path.parent / f"{path.name}.gz"
    if "/" in name or name.startswith(".") or path.suffix not in _TYPES:
        return None
    gzipped = packed.read_bytes() if packed.is_file() else None
    plain = path.read_bytes() if path.is_file() and gzipped is None else None
    stored = gzipped if plain is None else plain
    if stored is None:
        return None
    etag = f'"{hashlib.sha256(stored).hexdigest()[:32]}"'
    return Asset(plain, gzipped, _TYPES[path.suffix], etag)


def sent(request: HttpRequest, found: Asset) -> HttpResponse:
    """A bundled file as the client wants it."""
    is_packed = found.gzipped is not None and accepts_gzip(request.headers)
    content = b"" if is_packed or _has(request, found.etag) else found.content
    return file(request, content, found.gzipped, found.content_type, found.etag)


def page(example: str = "", base: str = "", endpoint: str = "/graphql") -> HttpResponse:
    """The page, which begins with the query `example`; or one that says how to build it.

    `base` comes before every path on this server, such as `/v1`; `endpoint` is the path of the API.
    """
    headers = {
        "content-type": "text/html; charset=utf-8",
        "content-security-policy": CONTENT_SECURITY_POLICY,
        "cache-control": REVALIDATE,
        "referrer-policy": "no-referrer",
        "vary": "accept",
        "x-content-type-options": "nosniff",
    }
    return HttpResponse(200, headers, _page(example, base, endpoint))


def bundled(request: HttpRequest) -> HttpResponse:
    """The bundled file at the request's path. Raises `NotFound`."""
    found = asset(request.path.removeprefix(PREFIX))
    if found is None:
        raise NotFound(f"There is nothing at {request.path}.")
    return sent(request, found)


def wants_page(request: HttpRequest) -> bool:
    """True if a browser asks for a page, not for data."""
    return (
        request.method in {"GET", "HEAD"}
        and "text/html" in request.headers.get("accept", "")
        and "query=" not in request.query
    )


def file(
    request: HttpRequest, content: bytes, gzipped: bytes | None, content_type: str, etag: str
) -> HttpResponse:
    """A file as the client wants it: not again if it has it, compressed if it takes that."""
    headers = {
        "content-type": content_type,
        "cache-control": REVALIDATE,
        "etag": etag,
        "vary": "accept-encoding",
        "x-content-type-options": "nosniff",
    }
    if _has(request, etag):
        return HttpResponse(304, headers)
    if gzipped is not None and accepts_gzip(request.headers):
        headers["content-encoding"] = "gzip"
        content = gzipped
    return HttpResponse(200, headers, content)


def _has(request: HttpRequest, etag: str) -> bool:
    return etag in request.headers.get("if-none-match", "")


def _page(example: str, base: str, endpoint: str) -> bytes:
    if not any((VENDOR / name).is_file() for name in ("app.js", "app.js.gz")):
        return (STATIC / "not-built.html").read_bytes()
    text = (STATIC / "graphiql.html").read_text()
    for name, value in (("base", base), ("endpoint", endpoint), ("example", example)):
        text = text.replace("{{" + name + "}}", html.escape(value))
    return text.encode()
