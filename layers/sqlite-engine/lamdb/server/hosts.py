"""The names by which a server may be addressed, and the pages that may use it.

A page of any site can make its own name point at a loopback address (DNS rebinding): to the browser it
then asks its own server, and may read the answers. But the request still carries that name, in `Host` and
`Origin`. So a server that listens on a loopback address only answers requests that are addressed to a
loopback name, or to one of `LAMDB_HOSTS`. One that others can reach answers to any name, unless the setting
is given.
"""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import urlsplit

from lamdb.errors import Forbidden
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.settings import Settings

_ANY = "*"
_LONGEST = 300
"""Characters of a name with its port, or of an origin, that anyone has."""


class Hosts:
    """Decides for one server that listens on `host`."""

    def __init__(self, settings: Settings, host: str) -> None:
        local = is_loopback(host)
        self._names = settings.hosts
        self._cors = frozenset(settings.cors_origins)
        self._everybody = _ANY in settings.hosts or not (local or settings.hosts)
        self._local = local
        self._knows = lru_cache(maxsize=256)(self._knows_uncached)

    def check(self, request: HttpRequest, *, is_health: bool = False) -> None:
        """Raises `Forbidden`. A request without `Host` comes from no browser.

        Load balancers ask for the health of servers that others can reach by whatever address these have.
        """
        if self._everybody or (is_health and not self._local):
            return
        host = request.headers.get("host")
        if host is not None and not (len(host) <= _LONGEST and self._knows(f"//{host}")):
            raise Forbidden(
                f"This server is not addressed as {host[:_LONGEST]!r}.",
                hint="Use a loopback name such as localhost, or add the name to LAMDB_HOSTS.",
            )
        origin = request.headers.get("origin")
        if origin is not None and not (len(origin) <= _LONGEST and self._admits(origin)):
            raise Forbidden(
                f"Pages of {origin[:_LONGEST]!r} cannot use this server.",
                hint="Add the origin to LAMDB_CORS_ORIGINS.",
            )

    def _admits(self, origin: str) -> bool:
        """True if the sender's origin is this server, another on this machine, or allowed by the settings.

        What is neither a web page's origin nor opaque ("null") belongs to a browser's extension or a program.
        """
        if _ANY in self._cors or origin in self._cors:
            return True
        if not origin.startswith(("http://", "https://")):
            return origin != "null"
        return self._knows(origin)

    def _knows_uncached(self, url: str) -> bool:
        name = name_in(url)
        return is_loopback(name) or matches(name, self._names)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """True if a name is one of `patterns`; `*.example.com` stands for every name below example.com."""
    name = name.rstrip(".")
    return any(
        name.endswith(pattern[1:]) if pattern.startswith("*.") else name == pattern for pattern in patterns
    )


def is_loopback(host: str) -> bool:
    """True if a host, a name or an address, is this machine and no other can reach it."""
    if host.lower() in {"localhost", "localhost."}:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def name_in(url: str) -> str:
    """The host of a URL in lower case; empty if it has none, or none that is well-formed."""
    try:
        parts = urlsplit(url)
        _ = parts.port
        has_user = "@" in parts.netloc
        return "" if has_user or parts.path or parts.query or parts.fragment else parts.hostname or ""
    except ValueError:
        return ""
