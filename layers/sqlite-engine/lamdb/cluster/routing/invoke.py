"""Invokes Lambda functions and classifies failures."""

from concurrent.futures import ThreadPoolExecutor
from typing import Final, Protocol

import orjson

from lamdb.cluster.aws.http import AnswerLost, Unreachable
from lamdb.cluster.aws.lambda_api import Access, LambdaApi
from lamdb.errors import FunctionError, FunctionUnavailable, ResponseTooLarge, Throttled

LONGEST: Final = 28.0
"""Seconds that an answer may take. The API gives up after 29."""

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
    """The interface to other functions that the proxy needs."""

    def __call__(self, function: str, payload: bytes, seconds: float) -> bytes:
        """The function's answer. Raises `Throttled`, `FunctionUnavailable`, `FunctionError`."""


class LambdaInvoker:
    """Invokes through the Lambda API, without retries of its own: the caller decides about them."""

    def __init__(self, longest: float = LONGEST) -> None:
        """`longest`: seconds that an answer may take at most."""
        self._api = LambdaApi(
            Access.find(), read_seconds=longest, connections=_THREADS, keepalive=longest > LONGEST
        )
        # A request has no time limit as a whole: its thread is left behind if one takes too long.
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

    def post(self, function: str, payload: bytes) -> None:
        """Leaves an invocation to Lambda, which tries it again by itself. Raises the same."""
        self.wait(function, payload, is_event=True)

    def wait(self, function: str, payload: bytes, *, is_event: bool = False) -> bytes:
        """The function's answer, in this thread and however long it takes. Raises the same.

        `is_event`: Lambda answers at once, and invokes the function later.
        """
        try:
            answer = self._api.invoke(function, payload, is_event=is_event)
        except AnswerLost as error:
            raise FunctionUnavailable(f"The function's answer was lost: {error}.") from error
        except Unreachable as error:
            raise FunctionUnavailable(f"Lambda could not be reached: {error}.") from error
        if answer.error:
            raise _refused(answer.error, answer.status)
        if answer.failed:
            raise _broken(answer.body)
        return answer.body


def _refused(code: str, status: int) -> FunctionError:
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
        return ResponseTooLarge("The response is larger than a function may return.")
    return FunctionUnavailable(f"The function ended early: {kind}.")
