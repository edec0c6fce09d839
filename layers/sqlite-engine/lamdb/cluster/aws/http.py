"""Connections to AWS's services by urllib3, which Lambda's runtime has beside botocore.

They are kept between requests, and trust what botocore trusts. Nothing is sent again here.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

_BUNDLES: Final = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE")


class Unreachable(Exception):
    """No connection came about: nothing was sent."""


class AnswerLost(Exception):
    """A request was sent, and its answer did not come."""


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """- `headers`: names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """The connections to one address. Safe to use from several threads."""

    def __init__(
        self,
        address: str,
        *,
        connect_seconds: float,
        read_seconds: float,
        most: int = 1,
        keepalive: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`read_seconds`: the longest time without a byte of an answer. `most`: connections that are kept."""
        import urllib3  # which the machine that builds the layer need not have

        options: dict[str, Any] = {
            "timeout": urllib3.Timeout(connect=connect_seconds, read=read_seconds),
            "maxsize": most,
            "retries": False,
            "socket_options": _keepalive() if keepalive else None,
        }
        if address.startswith("https:"):
            options |= {"cert_reqs": "CERT_REQUIRED", "ca_certs": _trusted(environ)}
        proxy = _proxy(address)
        self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpAnswer:
        """Raises `Unreachable`, `AnswerLost`."""
        from urllib3 import exceptions

        try:
            response = self._pool.request("POST", url, body=body, headers=headers, redirect=False)
        except (
            exceptions.ConnectTimeoutError,
            exceptions.NewConnectionError,
            exceptions.ProxyError,
            exceptions.SSLError,
        ) as error:
            raise Unreachable(type(error).__name__) from error
        except exceptions.HTTPError as error:
            raise AnswerLost(type(error).__name__) from error
        named = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status, named, response.data)


def _trusted(environ: Mapping[str, str]) -> str:
    """The file of authorities: one that is set, certifi's, or botocore's own, without loading either."""
    for name in _BUNDLES:
        if environ.get(name):
            return environ[name]
    for package in ("certifi", "botocore"):
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            bundle = Path(spec.origin).with_name("cacert.pem")
            if bundle.is_file():
                return str(bundle)
    raise FileNotFoundError("neither certifi nor botocore has a file of certificate authorities")


def _proxy(address: str) -> str | None:
    """The HTTP proxy that the environment names for an address."""
    if not any(name.lower().endswith("_proxy") for name in os.environ):
        return None
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(address)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _keepalive() -> list[tuple[int, int, int]]:
    import socket

    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
