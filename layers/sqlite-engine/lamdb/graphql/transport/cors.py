"""Cross-origin requests: off unless the settings name origins (https://fetch.spec.whatwg.org/#http-cors-protocol)."""

from collections.abc import Mapping, Sequence

from lamdb.errors import MethodNotAllowed
from lamdb.graphql.transport.wire import (
    AS_OF_HEADER,
    CONSISTENCY_HEADER,
    IDEMPOTENCY_HEADERS,
    REPLAYED_HEADER,
    TIMEOUT_HEADER,
    TXID_HEADER,
    HttpResponse,
)

_ASKED = ", ".join(
    [
        "authorization",
        "content-type",
        "x-api-key",
        "x-request-id",
        "if-none-match",
        "prefer",
        # Of requests that are signed for IAM, by the SDK for JavaScript, Amplify or aws4fetch.
        "x-amz-date",
        "x-amz-security-token",
        "x-amz-content-sha256",
        "x-amz-user-agent",
        "amz-sdk-invocation-id",
        "amz-sdk-request",
        TXID_HEADER,
        CONSISTENCY_HEADER,
        AS_OF_HEADER,
        TIMEOUT_HEADER,
        *IDEMPOTENCY_HEADERS,
    ]
)
_ANSWERED = ", ".join(
    [
        TXID_HEADER,
        AS_OF_HEADER,
        REPLAYED_HEADER,
        "x-request-id",
        "retry-after",
        "location",
        "preference-applied",
    ]
)
_PREFLIGHT_SECONDS = 7200


class Cors:
    """`origins` may hold `*`; `headers` are those that requests may have besides the usual ones.

    Credentials are never allowed: the API knows no cookies.
    """

    def __init__(self, origins: Sequence[str], headers: Sequence[str] = ()) -> None:
        self._asked = ", ".join([_ASKED, *headers])
        self._any = "*" in origins
        self._origins = frozenset(origins)

    def preflight(self, headers: Mapping[str, str]) -> HttpResponse | None:
        """The answer to a browser that asks whether it may send a request; None if it is not one that may."""
        origin = headers.get("origin")
        if "access-control-request-method" not in headers or not self._allows(origin):
            return None
        return HttpResponse(
            204,
            {
                "access-control-allow-methods": "GET, POST",
                "access-control-allow-headers": self._asked,
                "access-control-max-age": str(_PREFLIGHT_SECONDS),
            },
        )

    def refusal(self, headers: Mapping[str, str]) -> MethodNotAllowed | None:
        """The error for a browser that asks for a page that may not; None if it is no such request."""
        if "access-control-request-method" not in headers:
            return None
        origin = headers.get("origin", "an unnamed origin")
        return MethodNotAllowed(
            f"Pages of {origin} may not call this API.",
            allow=["GET", "POST"],
            hint=f"Add the page's origin to LAMDB_CORS_ORIGINS: {origin}",
        )

    def allow(self, origin: str | None, headers: dict[str, str]) -> None:
        """Lets pages of `origin` read the response with these `headers`, if the settings do."""
        if not self._origins:
            return
        if not self._any:
            headers["vary"] = ", ".join(filter(None, (headers.get("vary"), "origin")))
        if origin is not None and self._allows(origin):
            headers["access-control-allow-origin"] = "*" if self._any else origin
            headers["access-control-expose-headers"] = _ANSWERED

    def _allows(self, origin: str | None) -> bool:
        return self._any or origin in self._origins
