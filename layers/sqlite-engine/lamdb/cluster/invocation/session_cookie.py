"""The session cookie with the newest transaction, by which browsers read their own writes."""

from collections.abc import Mapping
from typing import Final

from lamdb.graphql.transport.wire import TXID_HEADER, HttpRequest, HttpResponse

COOKIE: Final = "lamdb-txid"

_MAX_AGE: Final = 3600
"""Seconds. Far longer than readers lag behind."""

_DIGITS: Final = 18


def from_cookie(headers: dict[str, str]) -> dict[str, str]:
    """The headers, with the cookie's token where they have none of their own."""
    if TXID_HEADER in headers or (token := _token(headers)) is None:
        return headers
    return {**headers, TXID_HEADER: token}


def cookie(request: HttpRequest, response: HttpResponse) -> str | None:
    """The `Set-Cookie` that takes the session on; None if its token has not changed. It never goes back."""
    token = response.headers.get(TXID_HEADER)
    known = _token(request.headers)
    if token is None or (known is not None and int(known) >= int(token)):
        return None
    return f"{COOKIE}={token}; Path=/; Max-Age={_MAX_AGE}; Secure; HttpOnly; SameSite=Lax"


def _token(headers: Mapping[str, str]) -> str | None:
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and value.isascii() and value.isdigit() and len(value) <= _DIGITS:
            return value
    return None
