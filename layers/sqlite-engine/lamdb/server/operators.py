"""Access to the operator API of a server, and the API itself, which is made when it is first used.

By default it is there if the server listens on a loopback address only, or if there is a token. Pages of
other origins cannot use it: it asks for JSON, which a browser does not send across origins without asking
first, and is never told that it may. Without a token, a request must also be addressed to a loopback name, so
that a page whose own name was made to point here (DNS rebinding) is no exception.
"""

import hmac
import logging
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from lamdb.errors import Forbidden, Unauthorized
from lamdb.graphql.transport.wire import HttpRequest, HttpResponse
from lamdb.operator.kind import LIBRARY, PATH
from lamdb.server.hosts import is_loopback, name_in
from lamdb.server.instance import Instance
from lamdb.settings import Settings

if TYPE_CHECKING:
    from lamdb.operator.api import OperatorApi

OPERATOR: Final = PATH
THREADS: Final = 4
MAX_PENDING: Final = 32
"""A verification takes as long as it takes: operators do not wait in the queue of everybody else."""

log = logging.getLogger("lamdb.server")


class Operators:
    """The operator API of one server that listens on `host`."""

    def __init__(self, instance: Instance, settings: Settings, host: str) -> None:
        self._instance = instance
        self._settings = settings
        self._token = settings.operator_token.encode()
        self._local = is_loopback(host)
        self.enabled = serves_operators(settings, host)
        if self.enabled and not self._token and not self._local and not settings.auth:
            log.warning("operators need no token, and the server listens to other machines")

    def check(self, request: HttpRequest) -> None:
        """Raises `Unauthorized`, `Forbidden`."""
        if self._token:
            self._check_token(request.headers.get("authorization", ""))
            return
        host = request.headers.get("host", "")
        if self._local and not is_loopback(name_in(f"//{host}")):
            raise Forbidden(
                f"Without a token, operators address this server by a loopback name, not {host!r}.",
                hint="Set LAMDB_OPERATOR_TOKEN and send it.",
            )
        origin = request.headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Forbidden("Pages of other origins cannot use the operator API.")

    def answer(self, request: HttpRequest) -> HttpResponse:
        """The response of the API. Blocks; the thread must have no event loop running."""
        return self._api.handle(request)

    @cached_property
    def _api(self) -> "OperatorApi":
        from lamdb.operator.api import OperatorApi, OperatorContext

        instance = self._instance
        return OperatorApi(OperatorContext(instance.database, instance.api, self._settings))

    def _check_token(self, authorization: str) -> None:
        scheme, _, given = authorization.partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(
            given.strip().encode("utf-8", "replace"), self._token
        ):
            raise Unauthorized("The operator API requires its token.")


def announces_operators(settings: Settings, host: str) -> bool:
    """True if a server that listens on `host` has the operator API, and the library that executes it."""
    return serves_operators(settings, host) and find_spec(LIBRARY) is not None


def serves_operators(settings: Settings, host: str) -> bool:
    """True if a server that listens on `host` has the operator API."""
    if settings.operator == "auto":
        return is_loopback(host) or bool(settings.operator_token) or bool(settings.auth)
    return settings.operator == "on"
