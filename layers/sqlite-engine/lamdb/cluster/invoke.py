"""Invoking a Lambda function and telling apart why it did not answer."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import orjson

from lamdb.errors import FunctionError, FunctionUnavailable, ResponseTooLarge, Throttled

LONGEST: Final = 28.0
"""Seconds that an answer may take. The API gives up after 29."""

_CONNECT_SECONDS: Final = 3.0
_THREADS: Final = 8

_THROTTLES: Final = frozenset(
    {"TooManyRequestsException", "ThrottlingException", "Throttling", "EC2ThrottledException"}
)
_TRANSIENT: Final = frozenset(
    {
        "ServiceException",
        "ServiceUnavailable",
        "InternalFailure",
        "ResourceNotReadyException",
        "ResourceConflictException",
        "SnapStartNotReadyException",
        "SnapStartTimeoutException",
        "ENILimitReachedException",
        "KMSNotFoundException",
    }
)
_TOO_LARGE: Final = "Function.ResponseSizeTooLarge"


class Invoker(Protocol):
    """What the proxy needs of a way to other functions."""

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        """The function's answer. Raises `Throttled`, `FunctionUnavailable`, `FunctionError`."""


class LambdaInvoker:
    """Invokes through the Lambda API, without retries of its own: who asks decides about them."""

    def __init__(self, longest: float = LONGEST) -> None:
        """`longest`: seconds that an answer may take at most."""
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        config = Config(
            connect_timeout=_CONNECT_SECONDS,
            read_timeout=longest,
            max_pool_connections=_THREADS,
            tcp_keepalive=longest > LONGEST,
            retries={"total_max_attempts": 1, "mode": "standard"},
        )
        self._client: Any = boto3.client("lambda", config=config)
        # boto3 knows no time limit for a single call: its thread is left behind if one takes too long.
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="lamdb-invoke")

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        """The function's answer within so many seconds.

        Raises `Throttled`, `FunctionUnavailable`, `ResponseTooLarge`, or `FunctionError` for what will not
        get better by trying again.
        """
        try:
            return self._threads.submit(self.wait, function, payload).result(timeout=seconds)
        except TimeoutError:
            raise FunctionUnavailable(f"The function did not answer within {seconds:.0f} s.") from None

    def wait(self, function: str, payload: bytes) -> bytes:
        """The function's answer, in this thread and however long it takes. Raises the same."""
        from botocore.exceptions import ClientError, HTTPClientError  # type: ignore[import-untyped]

        try:
            answer = self._client.invoke(FunctionName=function, Payload=payload)
            body: bytes = answer["Payload"].read()
        except ClientError as error:
            raise _refused(error.response) from error
        except HTTPClientError as error:
            raise FunctionUnavailable(f"The function's answer was lost: {type(error).__name__}.") from error
        if "FunctionError" in answer:
            raise _broken(body)
        return body


def _refused(response: Any) -> FunctionError:
    code = str(response.get("Error", {}).get("Code", ""))
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _THROTTLES or status == 429:
        return Throttled("The function has no free environment.")
    if code in _TRANSIENT or status >= 500:
        return FunctionUnavailable(f"The function could not be started: {code}.")
    return FunctionError(f"The function cannot be invoked: {code}.")


def _broken(body: bytes) -> FunctionError | ResponseTooLarge:
    """The handlers answer every request, so an error of the function is one of its environment."""
    try:
        kind = str(orjson.loads(body).get("errorType", ""))
    except (orjson.JSONDecodeError, AttributeError):
        kind = "unknown"
    if kind == _TOO_LARGE:
        return ResponseTooLarge("The response is larger than a function may answer.")
    return FunctionUnavailable(f"The function broke off: {kind}.")
