"""Access to SQL over HTTP on a server, and the role of each client.

- With tokens in `LAMDB_SQL_TOKENS`, each has its role, and a request needs one.
- The operators' token always has the role `admin`.
- Without any tokens, requests have the role `admin` on a server that listens on a loopback address only, and
  `write` elsewhere, which is what GraphQL allows.

The protocol's clients send JSON as `text/plain`, which browsers send across origins without asking first. So
pages of other origins are refused unless `LAMDB_CORS_ORIGINS` names them.
"""

import hmac
from typing import Final
from urllib.parse import urlsplit

from lamdb.access.identity import Identity, Role
from lamdb.errors import Forbidden, Unauthorized
from lamdb.graphql.digests import digest
from lamdb.graphql.transport.wire import HttpRequest
from lamdb.server.hosts import is_loopback
from lamdb.settings import Settings

_ANY: Final = "*"


class SqlUsers:
    """The users of one server that listens on `host`."""

    def __init__(self, settings: Settings, host: str) -> None:
        self._roles = [(token.encode(), Role(role)) for token, role in settings.sql_tokens.items()]
        self._needs_token = bool(self._roles)
        if settings.operator_token:
            self._roles.append((settings.operator_token.encode(), Role.ADMIN))
        self._default = Role.ADMIN if is_loopback(host) and not self._roles else Role.WRITE
        self._origins = frozenset(settings.cors_origins)

    def identify(self, request: HttpRequest, identity: Identity | None = None) -> tuple[Role, str]:
        """Returns a request's role, and what tells its user apart. Raises `Unauthorized`, `Forbidden`.

        `identity`: of the caller, where `LAMDB_AUTH` is set; it then decides alone.
        """
        self._check_origin(request)
        if identity is not None:
            return Role(identity.role), digest(identity.name.encode()).hex()
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        token = given.strip().encode("utf-8", "replace")
        if scheme.lower() == "bearer" and self._roles:
            for known, role in self._roles:
                if hmac.compare_digest(token, known):
                    return role, digest(known).hex()
            raise Unauthorized("The token is unknown.", hint="Send a token of LAMDB_SQL_TOKENS.")
        if self._needs_token:
            raise Unauthorized("SQL over HTTP requires a token.", hint="Send Authorization: Bearer …")
        return self._default, ""

    def _check_origin(self, request: HttpRequest) -> None:
        origin = request.headers.get("origin")
        if origin is None or _ANY in self._origins or origin in self._origins:
            return
        if origin.startswith(("http://", "https://", "null")) and (
            urlsplit(origin).netloc != request.headers.get("host", "")
        ):
            raise Forbidden(
                "Pages of other origins cannot use SQL over HTTP.",
                hint="Add the origin to LAMDB_CORS_ORIGINS.",
            )
