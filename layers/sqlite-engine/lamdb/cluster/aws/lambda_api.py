"""Signed requests to the Lambda API, without boto3 or botocore.

    api = LambdaApi(Access.find(), read_seconds=28.0, connections=8, keepalive=False)
    answer = api.invoke("reader", b"{}")

A client of boto3 loads a description of every operation that Lambda has, and botocore's signer loads most of
botocore: together they take more time than all else at the proxy's start. Invoking a function is one request:
https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

import orjson

from lamdb.cluster.aws.http import Connections
from lamdb.cluster.aws.signature import AccessKeys, frozen, signed

_SERVICE: Final = "lambda"
_VERSION: Final = "2015-03-31"
_CONNECT_SECONDS: Final = 3.0

_ENDPOINTS: Final = {"lambda": "AWS_ENDPOINT_URL_LAMBDA", "events": "AWS_ENDPOINT_URL_EVENTBRIDGE"}
_EVERY_ENDPOINT: Final = "AWS_ENDPOINT_URL"
_SPECIAL: Final = ("AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT")
"""Variables whose meaning is left to botocore."""

_SUFFIXES: Final = {"cn": "amazonaws.com.cn"}
"""Domains of partitions, by the first part of their regions. Isolated partitions are left to botocore."""


@dataclass(frozen=True, slots=True)
class Access:
    """The address of a service, and `AccessKeys` or credentials of botocore, which may expire."""

    endpoint: str
    region: str
    credentials: Any

    @classmethod
    def find(cls, environ: Mapping[str, str] = os.environ, service: str = _SERVICE) -> Self:
        """From the variables that Lambda sets, or by the rules of the AWS SDK where there are others.

        `service`: `lambda` or `events`, as in the service's address. Raises botocore's `NoRegionError` and
        `ProfileNotFound`. Without credentials, signing fails.
        """
        return cls._of_function(environ, service) or cls._of_sdk(service)

    @classmethod
    def _of_function(cls, environ: Mapping[str, str], service: str = _SERVICE) -> Self | None:
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
        if not region or not key or not secret or any(environ.get(name) for name in _SPECIAL):
            return None
        given = environ.get(_ENDPOINTS[service]) or environ.get(_EVERY_ENDPOINT)
        endpoint = given or _endpoint(region, service)
        if endpoint is None:
            return None
        return cls(endpoint.rstrip("/"), region, AccessKeys(key, secret, environ.get("AWS_SESSION_TOKEN")))

    @classmethod
    def _of_sdk(cls, service: str) -> Self:
        import boto3  # type: ignore[import-untyped]

        session = boto3.Session()
        meta = session.client(service).meta
        return cls(meta.endpoint_url.rstrip("/"), meta.region_name, session.get_credentials())


def _endpoint(region: str, service: str) -> str | None:
    """The address of a service in a region; None if its partition is not a common one."""
    area = region.split("-")[0]
    if "iso" in region or area == "eusc":
        return None
    return f"https://{service}.{region}.{_SUFFIXES.get(area, 'amazonaws.com')}"


@dataclass(frozen=True, slots=True)
class LambdaAnswer:
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
        self._access = access
        self._connections = Connections(
            access.endpoint,
            connect_seconds=_CONNECT_SECONDS,
            read_seconds=read_seconds,
            most=connections,
            keepalive=keepalive,
        )

    def invoke(self, function: str, payload: bytes, *, is_event: bool = False) -> LambdaAnswer:
        """The answer of a function that is called by its name or ARN, with or without alias.

        `is_event`: Lambda invokes it later, and the answer is empty.
        Raises `Unreachable`, `AnswerLost`, and botocore's `NoCredentialsError`.
        """
        access = self._access
        url = f"{access.endpoint}/{_VERSION}/functions/{quote(function, safe='')}/invocations"
        headers = {"content-type": "application/octet-stream"}
        if is_event:
            headers["x-amz-invocation-type"] = "Event"
        keys = frozen(access.credentials)
        sent = signed(url, headers, payload, keys=keys, service=_SERVICE, region=access.region)
        answer = self._connections.post(url, sent, payload)
        failed = "x-amz-function-error" in answer.headers
        error = "" if answer.status < 300 else error_code(answer.headers, answer.body)
        return LambdaAnswer(answer.status, answer.body, error, failed)


def error_code(headers: Mapping[str, str], body: bytes) -> str:
    """The name of an error, as the AWS JSON protocols state it; `Unknown` if the answer names none."""
    named = headers.get("x-amzn-errortype")
    if not named:
        try:
            said = orjson.loads(body)
            named = said.get("__type") or said.get("code")
        except (orjson.JSONDecodeError, AttributeError):
            named = None
    return str(named or "Unknown").split(":")[0].split("#")[-1]
