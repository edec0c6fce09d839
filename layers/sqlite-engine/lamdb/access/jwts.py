"""JSON Web Tokens (RFC 7519), verified by PyJWT against keys of a JWKS (RFC 7517) or a shared secret."""

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

from lamdb.access.identity import Identity, Role
from lamdb.errors import FunctionUnavailable, SettingsError, Unauthorized
from lamdb.rules.caller import Caller

if TYPE_CHECKING:
    import jwt

ROLE_CLAIM: Final = "lamdb_role"
_ASYMMETRIC: Final = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
)
"""Algorithms of tokens that a JWKS verifies. `none` and those with shared secrets are not among them."""
_SYMMETRIC: Final = ("HS256", "HS384", "HS512")
_LEEWAY: Final = 10
"""Seconds by which clocks may differ."""
_LONGEST: Final = 16 * 1024
"""Bytes of a token."""
_KEYS_LIVE: Final = 300.0
"""Seconds after which keys are read again."""
_UNKNOWN_AFTER: Final = 10.0
"""Seconds between attempts to find a key that was unknown: tokens with random key ids must cost nothing."""
_FETCH_SECONDS: Final = 5.0
_FETCH_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class JwtOptions:
    """- `jwks`: URL or path of a JSON Web Key Set; `secret`: the shared one. One of them is set.
    - `issuer`, `audience`: what tokens must say; not checked where they are empty.
    - `role`: of tokens without the claim `lamdb_role`.
    """

    jwks: str = ""
    secret: str = ""
    issuer: str = ""
    audience: str = ""
    role: str = "write"


class Jwts:
    """Verifies tokens. Safe to use from several threads; may block to fetch keys."""

    def __init__(self, options: JwtOptions) -> None:
        """Raises `SettingsError` if there is nothing to verify with, or PyJWT is not installed."""
        if bool(options.jwks) == bool(options.secret):
            raise SettingsError("Tokens need either LAMDB_JWKS or LAMDB_JWT_SECRET.")
        try:
            import jwt
        except ImportError:
            raise SettingsError(
                "JSON Web Tokens need PyJWT.", hint="Install lamdb with the extra `server`."
            ) from None
        self._jwt = jwt
        self._options = options
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._read_at = -_KEYS_LIVE
        self._looked_at = -_UNKNOWN_AFTER
        self._lock = threading.Lock()

    def identify(self, token: str) -> tuple[Identity, float | None]:
        """Returns the identity that a token gives, and when it expires (seconds since 1970).

        Raises `Unauthorized`, `Forbidden` for a role that does not exist, `FunctionUnavailable` if keys
        cannot be read.
        """
        claims = self._verified(token)
        role = Role.of_claim(claims.get(ROLE_CLAIM, self._options.role))
        name = f"jwt {claims.get('iss', '')} {claims.get('sub', '')}"
        expires = claims.get("exp")
        return Identity.of(role, Caller(claims), name), None if expires is None else float(expires)

    def _verified(self, token: str) -> Mapping[str, Any]:
        options = self._options
        if len(token) > _LONGEST:
            raise Unauthorized("The token is too long.", hint="")
        try:
            key: Any = options.secret or self._key(self._jwt.get_unverified_header(token).get("kid"))
            found: Mapping[str, Any] = self._jwt.decode(
                token,
                key,
                algorithms=list(_SYMMETRIC if options.secret else _ASYMMETRIC),
                audience=options.audience or None,
                issuer=options.issuer or None,
                leeway=_LEEWAY,
                options={"require": ["exp"], "verify_aud": bool(options.audience)},
            )
        except self._jwt.ExpiredSignatureError:
            raise Unauthorized("The token has expired.", hint="Sign in again.") from None
        except self._jwt.PyJWTError as error:
            raise Unauthorized(f"The token is not valid: {error}", hint="") from None
        return found

    def _key(self, identifier: str | None) -> "jwt.PyJWK":
        """The key with an id, or the only one for tokens that name none. Raises `Unauthorized`."""
        found = self._keys.get(identifier)
        if found is not None and time.monotonic() - self._read_at < _KEYS_LIVE:
            return found
        with self._lock:
            now = time.monotonic()
            unknown = identifier not in self._keys and now - self._looked_at >= _UNKNOWN_AFTER
            if now - self._read_at >= _KEYS_LIVE or unknown:
                self._looked_at = now
                self._read()
            found = self._keys.get(identifier)
            if found is None and identifier is None and len(self._keys) == 1:
                (found,) = self._keys.values()
            if found is None:
                raise Unauthorized("The token is signed with an unknown key.", hint="")
            return found

    def _read(self) -> None:
        """Raises `FunctionUnavailable` if there are no keys so far, and none can be read."""
        try:
            content = json.loads(_content(self._options.jwks))
            keys = self._jwt.PyJWKSet.from_dict(content).keys
        except (OSError, ValueError, self._jwt.PyJWTError) as error:
            if self._keys:
                return  # the ones known may still be good
            raise FunctionUnavailable(
                f"The keys of LAMDB_JWKS cannot be read: {error}", hint="Correct LAMDB_JWKS."
            ) from error
        self._keys = {key.key_id: key for key in keys}
        self._read_at = time.monotonic()


def _content(place: str) -> bytes:
    """Raises `OSError`, `ValueError`."""
    if not place.startswith(("http://", "https://")):
        return Path(place.removeprefix("file://")).read_bytes()
    request = Request(place, headers={"accept": "application/json"})
    with urlopen(request, timeout=_FETCH_SECONDS) as response:
        content: bytes = response.read(_FETCH_BYTES + 1)
    if len(content) > _FETCH_BYTES:
        raise ValueError("the key set is too large")
    return content
