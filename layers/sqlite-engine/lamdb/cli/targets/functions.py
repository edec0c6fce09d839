"""lamDB's functions, invoked directly, without an API in front."""

import random
import time
import uuid
from collections.abc import Iterator
from typing import Any, Final

import orjson

from lamdb.cli.targets.aws import botocore_problems, session
from lamdb.cli.targets.target import OPERATOR, Question, Response
from lamdb.cluster.invocation.events import REQUEST_LIMIT
from lamdb.cluster.routing.invoke import Invoker, LambdaInvoker
from lamdb.errors import BodyTooLarge, FunctionError, RemoteError, RequestError, Throttled
from lamdb.graphql.document.document import operation_kind
from lamdb.graphql.transport.wire import IDEMPOTENCY_HEADERS
from lamdb.operator.routing import needs_writer

LONGEST: Final = 900.0
"""Seconds that a function may run."""

BUSY_SECONDS: Final = 60.0
"""How long a function that is busy is asked again."""

_LONGEST_PAUSE: Final = 2.0


class FunctionTarget:
    """Writes go to one function, reads to another; both names may be the same."""

    def __init__(
        self,
        name: str,
        reader: str,
        writer: str,
        *,
        invoke: Invoker | None = None,
        busy_seconds: float = BUSY_SECONDS,
    ) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer
        self._busy_seconds = busy_seconds
        self._invoke = invoke or _invoker()

    @property
    def name(self) -> str:
        return self._name

    def ask(self, path: str, question: Question) -> Response:
        is_operators = path == OPERATOR
        writes = _writes(question, is_operators=is_operators)
        if is_operators:
            payload = orjson.dumps({"lamdb": {"admin": question.parameters()}})
        else:
            headers = dict(question.headers)
            if writes and not any(name in headers for name in IDEMPOTENCY_HEADERS):
                headers[IDEMPOTENCY_HEADERS[0]] = str(uuid.uuid4())
            payload = orjson.dumps({**question.parameters(), "headers": headers})
        if len(payload) > REQUEST_LIMIT:
            raise BodyTooLarge(
                f"The request has {len(payload)} bytes; the limit of a function is {REQUEST_LIMIT}.",
                hint="Work on the store itself: give its URL with --store.",
            )
        # An operator's request has no idempotency key: once it may have begun, it is not sent again.
        again = not (writes and is_operators)
        return _response(self._persist(self._writer if writes else self._reader, payload, again=again))

    def close(self) -> None:
        pass

    def _persist(self, function: str, payload: bytes, *, again: bool) -> bytes:
        """The answer of a function, asked again while it is busy. Raises `FunctionError`."""
        pauses = _pauses(self._busy_seconds)
        while True:
            try:
                with botocore_problems():
                    return self._invoke(function, payload, LONGEST)
            except FunctionError as error:
                retryable = error.retryable if again else isinstance(error, Throttled)
                pause = next(pauses, None) if retryable else None
                if pause is None:
                    raise type(error)(f"{function}: {error.message}", hint=error.hint) from None
                time.sleep(pause)


def _pauses(seconds: float) -> Iterator[float]:
    """Random ones that grow, for so many seconds."""
    ends = time.monotonic() + seconds
    longest = 0.1
    while time.monotonic() < ends:
        yield random.uniform(0, longest)
        longest = min(longest * 2, _LONGEST_PAUSE)


def _invoker() -> Invoker:
    session()
    with botocore_problems():
        invoker = LambdaInvoker(LONGEST)
    # In this thread, so that Ctrl-C ends the waiting.
    return lambda function, payload, _: invoker.wait(function, payload)


def _writes(question: Question, *, is_operators: bool) -> bool:
    """True if it needs the writer. What is no valid request is for the reader to refuse."""
    document, operation_name = question.document, question.operation_name
    try:
        if is_operators:
            return needs_writer(document, operation_name)
        return operation_kind(document, operation_name).value == "mutation"
    except RequestError:
        return False


def _response(payload: bytes) -> Response:
    try:
        answer: Any = orjson.loads(payload)
    except orjson.JSONDecodeError:
        answer = None
    if not isinstance(answer, dict) or not ("data" in answer or "errors" in answer):
        raise RemoteError(
            "The function's response is not one of lamDB.",
            hint="Check that the name is that of a lamDB function.",
        )
    extensions = answer.get("extensions")
    if isinstance(extensions, dict) and extensions.pop("lamdb", None) is not None and not extensions:
        del answer["extensions"]
    return answer
