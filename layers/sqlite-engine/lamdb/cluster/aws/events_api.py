"""Signed requests to EventBridge, without boto3: see `lambda_api`.

    api = EventsApi(Access.find(service="events"))
    entry = {"EventBusName": "shop", "Source": "lamdb", "DetailType": "Order created", "Detail": "{}"}
    codes = api.put([entry])

https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from lamdb.cluster.aws.http import Connections, HttpAnswer, Unreachable
from lamdb.cluster.aws.lambda_api import Access, error_code
from lamdb.cluster.aws.signature import frozen, signed

_SERVICE: Final = "events"
_CONNECT_SECONDS: Final = 2.0
_READ_SECONDS: Final = 5.0

BATCH: Final = 10
"""Events that one request may have."""

TRANSIENT: Final = frozenset(
    {
        "InternalException",
        "InternalFailure",
        "InternalServerError",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Codes of requests and events that may be accepted later."""

_NO_BUS: Final = "ResourceNotFoundException"


class EventsRefused(Exception):
    """EventBridge refused a request, or answered with something else than it documents."""

    def __init__(self, action: str, code: str, status: int) -> None:
        super().__init__(f"{action}: {code} (status {status})")
        self.code = code
        self.is_transient = code in TRANSIENT or status >= 500


class EventsApi:
    """Requests to EventBridge over a connection that is kept."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._connections = Connections(
            access.endpoint, connect_seconds=_CONNECT_SECONDS, read_seconds=_READ_SECONDS
        )

    def put(self, entries: Sequence[Mapping[str, Any]]) -> list[str]:
        """Sends up to `BATCH` events. Returns for each the code of its error, or "" if it was accepted.

        Raises `EventsRefused`, `Unreachable`, also without credentials, and `AnswerLost`.
        """
        answer = self._call("PutEvents", {"Entries": entries})
        if answer.status != 200:
            raise EventsRefused("PutEvents", error_code(answer.headers, answer.body), answer.status)
        return _codes(answer.body, len(entries))

    def has_bus(self, bus: str) -> bool:
        """False if there is no event bus with this name or ARN, which PutEvents does not tell.

        Raises as `put` does.
        """
        answer = self._call("DescribeEventBus", {"Name": bus})
        if answer.status == 200:
            return True
        code = error_code(answer.headers, answer.body)
        if code == _NO_BUS:
            return False
        raise EventsRefused("DescribeEventBus", code, answer.status)

    def _call(self, action: str, members: Mapping[str, Any]) -> HttpAnswer:
        access, url = self._access, f"{self._access.endpoint}/"
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"AWSEvents.{action}"}
        content = orjson.dumps(members)
        try:
            keys = frozen(access.credentials)
        except _credentials_errors() as error:
            raise Unreachable(f"{action}: {error}") from error
        sent = signed(url, headers, content, keys=keys, service=_SERVICE, region=access.region)
        return self._connections.post(url, sent, content)


def _codes(body: bytes, expected: int) -> list[str]:
    try:
        results = orjson.loads(body)["Entries"]
        codes = ["" if each.get("EventId") else str(each.get("ErrorCode") or "Unknown") for each in results]
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        codes = []
    if len(codes) != expected:
        raise EventsRefused("PutEvents", "UnknownAnswer", 200)
    return codes


def _credentials_errors() -> type[Exception]:
    """Botocore's errors. They take long to import, so this is called when there is one."""
    from botocore.exceptions import BotoCoreError  # type: ignore[import-untyped]

    found: type[Exception] = BotoCoreError
    return found
