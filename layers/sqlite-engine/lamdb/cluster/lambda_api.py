"""Signed requests to the Lambda API, without a client of boto3.

    api = LambdaApi(Access.find(), read_seconds=28.0, connections=8, keepalive=False)
    answer = api.invoke("reader", b"{}")

A client of boto3 loads a description of every operation that Lambda has, which takes about half of the time
that the proxy needs to start. Invoking a function is one request, which botocore signs and sends here:
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import orjson

_SERVICE: Final = "lambda"
_VERSION: Final = "2015-03-31"
_CONNECT_SECONDS: Final = 3.0

_ENDPOINTS: Final = ("AWS_ENDPOINT_URL_LAMBDA", "AWS_ENDPOINT_URL")
_SPECIAL: Final = ("AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
"""Variables whose meaning is left to botocore."""

_SUFFIXES: Final = {"cn": "amazonaws.com.cn"}
"""Domains of partitions, by the first part of their regions. Isolated partitions are left to botocore."""


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials as botocore's signer reads them. Loading `botocore.credentials` would take longer."""

    access_key: str
    secret_key: str
    token: str | None


@dataclass(frozen=True, slots=True)
class Access:
    """The address of the Lambda API, and the credentials: `Keys`, or botocore's own, which may expire."""

    endpoint: str
    region: str
    credentials: Any

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """From the variables that Lambda sets, or by the rules of the AWS SDK where there are others.

        Raises botocore's `NoRegionError` and `ProfileNotFound`. Without credentials, signing fails.
        """
        return cls._of_function(environ) or cls._of_sdk()

    @classmethod
    def _of_function(cls, environ: Mapping[str, str]) -> Self | None:
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        if not region or not key or not secret or any(environ.get(name) for name in _SPECIAL):
            return None
        endpoint = next(filter(None, map(environ.get, _ENDPOINTS)), None) or _endpoint(region)
        if endpoint is None:
            return None
        return cls(endpoint.rstrip("/"), region, Keys(key, secret, environ.get("AWS_SESSION_TOKEN")))

    @classmethod
    def _of_sdk(cls) -> Self:
        import boto3  # type: ignore[import-untyped]

        session = boto3.Session()
        meta = session.client(_SERVICE).meta
        return cls(meta.endpoint_url.rstrip("/"), meta.region_name, session.get_credentials())


def _endpoint(region: str) -> str | None:
    """The address of the Lambda API in a region; None if its partition is not a common one."""
    area = region.split("-")[0]
    if "iso" in region or area == "eusc":
        return None
    return f"https://{_SERVICE}.{region}.{_SUFFIXES.get(area, 'amazonaws.com')}"


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the Lambda API.

    - `error`: the code of a request that Lambda refused, or empty.
    - `failed`: whether the function raised an error, which `body` then describes.
    """

    status: int
    body: bytes
    error: str
    failed: bool


class LambdaApi:
    """Sends requests over connections that are kept. Safe to use from several threads."""

    def __init__(self, access: Access, *, read_seconds: float, connections: int, keepalive: bool) -> None:
        """`read_seconds`: the longest time without a byte of the answer."""
        from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
        from botocore.httpsession import URLLib3Session  # type: ignore[import-untyped]
        from botocore.utils import get_environ_proxies  # type: ignore[import-untyped]

        self._access = access
        self._signer = SigV4Auth
        self._session = URLLib3Session(
            verify=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True,
            proxies=get_environ_proxies(access.endpoint),
            timeout=(_CONNECT_SECONDS, read_seconds),
            max_pool_connections=connections,
            socket_options=_keepalive() if keepalive else None,
        )

    def invoke(self, function: str, payload: bytes, *, is_event: bool = False) -> Answer:
        """The answer of a function that is called by its name or ARN, with or without alias.

        `is_event`: Lambda invokes it later, and the answer is empty.
        Raises botocore's `HTTPClientError`, `ConnectionError` and `NoCredentialsError`.
        """
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]

        access = self._access
        url = f"{access.endpoint}/{_VERSION}/functions/{quote(function, safe='')}/invocations"
        headers = {"content-type": "application/octet-stream"}
        if is_event:
            headers["x-amz-invocation-type"] = "Event"
        request = AWSRequest("POST", url, headers, payload)
        self._signer(access.credentials, _SERVICE, access.region).add_auth(request)
        response = self._session.send(request.prepare())
        failed = "x-amz-function-error" in response.headers
        error = "" if response.status_code < 300 else _error_code(response.headers, response.content)
        return Answer(response.status_code, response.content, error, failed)


def _error_code(headers: Mapping[str, str], body: bytes) -> str:
    """The name of an error, as the AWS JSON protocols state it; `Unknown` if the answer names none."""
    named = headers.get("x-amzn-errortype")
    if not named:
        try:
            said = orjson.loads(body)
            named = said.get("__type") or said.get("code")
        except (orjson.JSONDecodeError, AttributeError):
            named = None
    return str(named or "Unknown").split(":")[0].split("#")[-1]


def _keepalive() -> list[tuple[int, int, int]]:
    import socket

    return [
        (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    ]
