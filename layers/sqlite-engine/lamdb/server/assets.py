"""The files of the GraphiQL page: the page itself, and what `make build` bundled for it."""

import hashlib
import html
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
VENDOR: Final = STATIC / "vendor"
PREFIX: Final = "/graphiql/"

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


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as it is sent; `gzipped` is None where compression is not worth it."""

    content: bytes
    gzipped: bytes | None
    content_type: str
    etag: str


@cache
def asset(name: str) -> Asset | None:
    """The bundled file `name`, or None."""
    path = VENDOR / name
    if "/" in name or name.startswith(".") or path.suffix not in _TYPES or not path.is_file():
        return None
    content = path.read_bytes()
    packed = VENDOR / f"{name}.gz"
    return Asset(
        content,
        packed.read_bytes() if packed.is_file() else None,
        _TYPES[path.suffix],
        f'"{hashlib.sha256(content).hexdigest()[:32]}"',
    )


def page(example: str) -> bytes:
    """The GraphiQL page, which begins with the query `example`; or one that says how to build it."""
    if not (VENDOR / "app.js").is_file():
        return (STATIC / "not-built.html").read_bytes()
    return (STATIC / "graphiql.html").read_text().replace("{{example}}", html.escape(example)).encode()
