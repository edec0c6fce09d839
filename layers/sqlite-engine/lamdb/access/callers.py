"""Identifies the callers of a standalone server by what their requests bring.

    LAMDB_AUTH=none          everybody may write (the default)
    LAMDB_AUTH=keys          API keys: `lamdb key create`
    LAMDB_AUTH=jwt           JSON Web Tokens
    LAMDB_AUTH=keys,jwt      both

The operators' token has the role `admin` in any case. What was verified is remembered for some seconds: a
revoked key works no longer than that.
"""

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from lamdb.access import keys
from lamdb.access.identity import Identity, Role
from lamdb.access.jwts import JwtOptions, Jwts
from lamdb.errors import Unauthorized
from lamdb.rules.caller import ANONYMOUS
from lamdb.settings import Settings
from lamdb.storage import Database

_OPERATOR: Final = Identity(Role.ADMIN, None, "operator")
KEYS: Final = "keys"
JWT: Final = "jwt"
REMEMBERED: Final = 5.0
"""Seconds for which a token that was verified is not verified again."""
_MOST: Final = 10_000
"""Tokens that are remembered."""
_LOOKS: Final = 10
"""Looks in the store for unknown keys that may follow each other at once."""


class Callers:
    """The callers of one server. `identify` may block; `known` never does. Thread-safe."""

    def __init__(self, settings: Settings, database: Database) -> None:
        """Raises `SettingsError`."""
        self._database = database
        self._accepts_keys = KEYS in settings.auth
        self._jwts = Jwts(_options(settings)) if JWT in settings.auth else None
        self._operator = settings.operator_token.encode()
        self.enabled = bool(settings.auth)
        """True if requests without a valid token are refused, or have fewer rights."""
        role = settings.anonymous_role if self.enabled else Role.WRITE
        self._anonymous = Identity.of(Role(role), ANONYMOUS, "") if role != "none" else None
        self._looks = _Looks()
        self._known: OrderedDict[bytes, tuple[Identity, float]] = OrderedDict()

    def known(self, headers: Mapping[str, str]) -> Identity | None:
        """Returns the identity of a request if it takes no work to find out; None if it does.

        Raises `Unauthorized`.
        """
        token = token_of(headers)
        if not self.enabled:
            return self._unchecked(token)
        if token is None:
            return self._without_token()
        found = self._known.get(_digest(token))
        return found[0] if found is not None and time.time() < found[1] else None

    def identify(self, headers: Mapping[str, str]) -> Identity:
        """Returns the identity of a request. Raises `Unauthorized`, `Forbidden`, `StorageError`."""
        found = self.known(headers)
        if found is not None:
            return found
        token = token_of(headers)
        assert token is not None
        identity, expires = self._verified(token)
        until = time.time() + REMEMBERED
        self._known[_digest(token)] = identity, until if expires is None else min(until, expires)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return identity

    def _unchecked(self, token: str | None) -> Identity:
        """The identity where everybody may write: what else is in `Authorization` may be a gateway's."""
        assert self._anonymous is not None
        return _OPERATOR if token is not None and self._is_operators(token) else self._anonymous

    def _is_operators(self, token: str) -> bool:
        given = token.encode("utf-8", "replace")
        return bool(self._operator) and hmac.compare_digest(given, self._operator)

    def _without_token(self) -> Identity:
        if self._anonymous is None:
            raise Unauthorized(
                "The server requires a token.",
                hint="Send Authorization: Bearer … with an API key or a token.",
            )
        return self._anonymous

    def _verified(self, token: str) -> tuple[Identity, float | None]:
        if self._is_operators(token):
            return _OPERATOR, None
        if self._accepts_keys and keys.is_key(token):
            return self._verified_key(token)
        if self._jwts is not None:
            return self._jwts.identify(token)
        raise Unauthorized("The token is unknown.", hint="Make an API key with lamdb key create.")

    def _verified_key(self, token: str) -> tuple[Identity, float | None]:
        """Looks in the store for a key that this process has not seen, which may have been made just now."""
        with self._database.reader() as connection:
            if keys.exists(connection, token) or not self._looks.take():
                return keys.identify(connection, token)
        self._database.refresh()
        with self._database.reader() as connection:
            return keys.identify(connection, token)


class _Looks:
    """How often an unknown key costs a request to the store: one a second, after a burst. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left = float(_LOOKS)
        self._counted = time.monotonic()

    def take(self) -> bool:
        """Counts a look; returns False if there were too many."""
        with self._lock:
            now = time.monotonic()
            self._left = min(float(_LOOKS), self._left + now - self._counted)
            self._counted = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def token_of(headers: Mapping[str, str]) -> str | None:
    """Returns the token of `Authorization: Bearer …` or `x-api-key`; None if there is none."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and given.strip():
        return given.strip()
    return headers.get("x-api-key") or None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _options(settings: Settings) -> JwtOptions:
    return JwtOptions(
        settings.jwks, settings.jwt_secret, settings.jwt_issuer, settings.jwt_audience, settings.jwt_role
    )
