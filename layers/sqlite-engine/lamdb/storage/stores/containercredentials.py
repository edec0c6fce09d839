"""AWS credentials from a local endpoint, as Lambda provides them to functions with SnapStart.

obstore asks such an endpoint only if a file holds its token (`AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE`).
Lambda gives the token itself (`AWS_CONTAINER_AUTHORIZATION_TOKEN`).
https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import http.client
import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urlsplit

from lamdb.errors import SettingsError, StoreUnavailable

if TYPE_CHECKING:
    from obstore.store import S3Credential

ADDRESS: Final = "AWS_CONTAINER_CREDENTIALS_FULL_URI"
TOKEN: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN"
_TOKEN_FILE: Final = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_RELATIVE: Final = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_WEB_IDENTITY: Final = "AWS_WEB_IDENTITY_TOKEN_FILE"

_SECONDS: Final = 5.0
_ATTEMPTS: Final = 3
_LIMIT: Final = 64 * 1024
_LONGEST: Final = timedelta(minutes=15)
"""Credentials are asked for again after this time at the latest."""
_REFRESH_SECONDS: Final = 600.0
_METADATA: Final = frozenset({"169.254.170.2", "169.254.170.23", "fd00:ec2::23"})
"""Addresses at which ECS and EKS offer credentials over plain HTTP."""


class ContainerCredentials:
    """A credential provider for obstore, which calls it from several threads at once.

    Credentials are kept while they are valid for a while: one request serves all that ask at the same time.
    """

    def __init__(self, address: str, token: str | None) -> None:
        """Raises `SettingsError` if credentials must not be fetched from there."""
        parts = urlsplit(address)
        if parts.scheme != "https" and not _is_near(parts.hostname or ""):
            raise SettingsError(
                f"{ADDRESS} is {address!r}: over plain HTTP, credentials are fetched from this machine only"
            )
        self._parts = parts
        self._lock = threading.Lock()
        self._kept: S3Credential | None = None
        self._headers = {"accept": "application/json", **({"authorization": token} if token else {})}

    def __call__(self) -> "S3Credential":
        """Raises `StoreUnavailable`."""
        with self._lock:
            if self._kept is None or _seconds_left(self._kept) < _REFRESH_SECONDS:
                self._kept = self._fetch()
            return self._kept

    def _fetch(self) -> "S3Credential":
        failure = ""
        for _ in range(_ATTEMPTS):
            try:
                return _credential(_ask(self._parts, self._headers))
            except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
                failure = f"{type(error).__name__}: {error}"
        raise StoreUnavailable(f"no credentials from {ADDRESS}: {failure}")


def container_credentials(environ: Mapping[str, str]) -> ContainerCredentials | None:
    """Those that the variables lead to and that obstore does not find by itself. Raises `SettingsError`."""
    address = environ.get(ADDRESS)
    others = ("AWS_ACCESS_KEY_ID", _RELATIVE, _TOKEN_FILE, _WEB_IDENTITY)
    if not address or any(environ.get(name) for name in others):
        return None
    return ContainerCredentials(address, environ.get(TOKEN))


def _seconds_left(credential: "S3Credential") -> float:
    expires = credential["expires_at"]
    return 0.0 if expires is None else (expires - datetime.now(UTC)).total_seconds()


def _is_near(host: str) -> bool:
    if host == "localhost" or host in _METADATA:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _ask(parts: SplitResult, headers: Mapping[str, str]) -> Any:
    """Raises `OSError`, `HTTPException`, `ValueError`."""
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request("GET", path, headers=dict(headers))
        response = connection.getresponse()
        body = response.read(_LIMIT)
    finally:
        connection.close()
    if response.status != 200:
        raise ValueError(f"the endpoint answered with status {response.status}")
    return json.loads(body)


def _credential(answer: Any) -> "S3Credential":
    """Raises `KeyError`, `TypeError`, `ValueError`."""
    expires = datetime.now(UTC) + _LONGEST
    if not isinstance(answer, dict):
        raise TypeError("the endpoint answered with something else")
    if answer.get("Expiration"):
        expires = min(expires, datetime.fromisoformat(answer["Expiration"]))
    return {
        "access_key_id": str(answer["AccessKeyId"]),
        "secret_access_key": str(answer["SecretAccessKey"]),
        "token": answer.get("Token"),
        "expires_at": expires,
    }
