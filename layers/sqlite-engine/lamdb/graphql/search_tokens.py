"""Tokens that allow searches alone, for browsers: signed, restricted, not stored anywhere.

A token is `lamdb_search_`, its content as JSON in base64url, a dot, and the HMAC-SHA256 of all before the dot
by the key in `LAMDB_SEARCH_KEY`, in base64url. The key makes tokens; a new key makes all old
ones invalid. The content:

| member | |
|---|---|
| `models` | list of models that may be searched; all without it |
| `where` | by model, a filter of Prisma that every search obeys |
| `relations` | true if records may be selected and filtered with their relations |
| `claims` | the claims of `auth()` in the schema's rules of rows; without it the caller has no identity |
| `expires` | seconds since 1970 |

A member that is not known here makes the token invalid: it would be a restriction that is not kept.
"""

import base64
import binascii
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import orjson

from lamdb.errors import Forbidden, Unauthorized

PREFIX: Final = "lamdb_search_"
SEARCH_PATH: Final = "/search"
"""A GraphQL endpoint that wants such a token."""

_LONGEST: Final = 8 * 1024
"""Bytes of a token."""
_KNOWN: Final = frozenset({"models", "where", "relations", "claims", "expires"})


@dataclass(frozen=True, slots=True)
class SearchToken:
    """The content of a token. `expires` is in seconds since 1970; None: never."""

    models: tuple[str, ...] | None = None
    where: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    relations: bool = False
    expires: int | None = None
    claims: Mapping[str, Any] | None = None

    def sign(self, key: str) -> str:
        """Returns the token. Raises `ValueError` if there is no key, or it would be too long."""
        if not key:
            raise ValueError("there is no key")
        content: dict[str, Any] = {}
        if self.models is not None:
            content["models"] = list(self.models)
        if self.where:
            content["where"] = dict(self.where)
        if self.relations:
            content["relations"] = True
        if self.claims is not None:
            content["claims"] = dict(self.claims)
        if self.expires is not None:
            content["expires"] = self.expires
        signed = PREFIX + _encoded(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))
        token = f"{signed}.{_signature(key, signed)}"
        if len(token) > _LONGEST:
            raise ValueError(f"a token of {len(token)} bytes is too long; the limit is {_LONGEST}")
        return token

    @classmethod
    def verify(cls, token: str, key: str) -> Self:
        """Returns the content of a token. Raises `Unauthorized`."""
        if not key:
            raise Unauthorized("Search tokens are not accepted here.", hint="Set LAMDB_SEARCH_KEY.")
        signed, dot, signature = token.partition(".")
        given = signature.encode("utf-8", "replace")
        expected = _signature(key, signed).encode()
        if len(token) > _LONGEST or not dot or not hmac.compare_digest(given, expected):
            raise Unauthorized("The search token is not valid.", hint="Make one with lamdb token search.")
        found = cls._read(signed.removeprefix(PREFIX))
        if found is None:
            raise Unauthorized(
                "The search token has a restriction that is not known here.",
                hint="Make it with the version of lamDB that serves it.",
            )
        if found.expires is not None and time.time() >= found.expires:
            raise Unauthorized("The search token has expired.", hint="Make a new one.")
        return found

    @classmethod
    def _read(cls, text: str) -> Self | None:
        try:
            content = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except (binascii.Error, ValueError):
            return None
        if not isinstance(content, dict) or not content.keys() <= _KNOWN:
            return None
        models, where = content.get("models"), content.get("where", {})
        relations, expires = content.get("relations", False), content.get("expires")
        claims = content.get("claims")
        names = isinstance(models, list) and all(isinstance(each, str) for each in models)
        listed = models is None or names
        filters = isinstance(where, dict) and all(isinstance(each, dict) for each in where.values())
        timed = expires is None or (isinstance(expires, int) and not isinstance(expires, bool))
        plain = isinstance(relations, bool) and isinstance(claims, dict | None)
        if not (listed and filters and timed and plain):
            return None
        return cls(None if models is None else tuple(models), where, relations, expires, claims)

    def require_model(self, model: str) -> None:
        """Raises `Forbidden` if the model may not be searched."""
        if self.models is not None and model not in self.models:
            raise Forbidden(f"The search token does not allow searching {model}.")


def bearer(headers: Mapping[str, str]) -> str | None:
    """Returns the search token in a request's headers, whether valid or not; None if there is none."""
    authorization = headers.get("authorization")
    if authorization is None:
        return None
    scheme, _, given = authorization.partition(" ")
    token = given.strip()
    return token if scheme.lower() == "bearer" and token.startswith(PREFIX) else None


def require_search_path(path: str, headers: Mapping[str, str], *allowed: str) -> None:
    """Refuses requests with a search token for anything but the GraphQL API, and others at `/search`.

    Raises `Forbidden`, `Unauthorized`.
    """
    token = bearer(headers)
    if token is None:
        if path == SEARCH_PATH:
            raise Unauthorized(f"{path} requires a search token.", hint="Make one with lamdb token search.")
    elif path != SEARCH_PATH and path not in allowed:
        raise Forbidden("A search token allows only searches.")


def _signature(key: str, text: str) -> str:
    return _encoded(hmac.digest(key.encode(), text.encode("utf-8", "replace"), "sha256"))


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
