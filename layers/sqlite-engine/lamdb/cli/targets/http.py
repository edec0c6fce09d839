"""A remote lamDB at a URL: a server, a stage of API Gateway, or a function URL."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from http.client import HTTPException
from typing import IO, Any, Final
from urllib.parse import urlsplit

from lamdb.cli.targets.sql import refusal
from lamdb.cli.targets.target import GRAPHQL, OPERATOR, Question, Response
from lamdb.errors import RemoteError, RemoteUnavailable
from lamdb.graphql.transport.wire import HttpResponse

LONGEST: Final = 900.0
"""Seconds that an answer may take: as long as a function may run, though API Gateway ends it earlier."""

_SHOWN: Final = 200
"""Characters that an error shows of an answer that is not lamDB's."""

_HINTS: Final = {
    401: "Set LAMDB_TOKEN or LAMDB_API_KEY, or sign the request with --sign.",
    403: "Set LAMDB_TOKEN or LAMDB_API_KEY, or sign the request with --sign as someone who may call this.",
    404: "Give the address without /graphql, and with the stage if it is API Gateway's.",
}


class HttpTarget:
    """`sign`: with AWS's signature; None: where it is AWS's own address and nothing else is given."""

    def __init__(self, url: str, *, token: str = "", api_key: str = "", sign: bool | None = None) -> None:
        self._base = base_of(url)
        self._token = token
        self._api_key = api_key
        self._sign = sign
        self._opener = urllib.request.build_opener(_NoRedirects)

    @property
    def name(self) -> str:
        return self._base

    def ask(self, path: str, question: Question) -> Response:
        answer = self._send(path, json.dumps(question.parameters()).encode(), question.headers)
        return _response(self._base + path, answer.status, answer.body)

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> HttpResponse:
        """Return the answer to a pipeline of SQL: see `lamdb.cli.targets.sql`."""
        answer = self._send(path, body, headers)
        if answer.status != 200:
            raise refusal(self._base + path, answer.status, answer.body)
        return answer

    def close(self) -> None:
        self._opener.close()

    def _send(self, path: str, body: bytes, given: Mapping[str, str]) -> HttpResponse:
        headers = {
            **given,
            "content-type": "application/json",
            "accept": "application/json",
            "user-agent": "lamdb",
            **self._credentials(path),
        }
        url = self._base + path
        if self._is_signed(path):
            from lamdb.cli.targets.sigv4 import signed

            headers = signed("POST", url, headers, body)
        return self._post(url, headers, body)

    def _is_signed(self, path: str) -> bool:
        """Operators always sign, because the operator API on AWS accepts nothing else."""
        if self._sign is not None:
            return self._sign
        return is_aws(self._base) and (path == OPERATOR or not (self._token or self._api_key))

    def _credentials(self, path: str) -> dict[str, str]:
        headers = {"x-api-key": self._api_key} if self._api_key else {}
        if self._token and not self._is_signed(path):
            headers["authorization"] = f"Bearer {self._token}"
        return headers

    def _post(self, url: str, headers: dict[str, str], body: bytes) -> HttpResponse:
        request = urllib.request.Request(url, body, headers, method="POST")
        try:
            with self._opener.open(request, timeout=LONGEST) as answer:
                return HttpResponse(answer.status, _names_in_lower_case(answer.headers), answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return HttpResponse(error.code, _names_in_lower_case(error.headers), error.read())
        except urllib.error.URLError as error:
            raise self._unreached(error.reason) from None
        except (OSError, HTTPException) as error:
            raise RemoteUnavailable(f"{self._base} did not answer: {error or type(error).__name__}") from None

    def _unreached(self, reason: str | BaseException) -> RemoteUnavailable:
        is_refused = isinstance(reason, ConnectionRefusedError)
        text = getattr(reason, "strerror", None) or str(reason)
        return RemoteUnavailable(
            f"{self._base} cannot be reached: {text}",
            hint="Nothing listens there: start the server (lamdb serve), or correct the address."
            if is_refused
            else None,
        )


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Neither credentials nor mutations are sent to any other host."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Any, newurl: str
    ) -> None:
        return None


def _names_in_lower_case(headers: Message) -> dict[str, str]:
    return {name.lower(): text for name, text in headers.items()}


def base_of(url: str) -> str:
    """The address below which the endpoints are; `url` may be that of one of them."""
    base = url.rstrip("/")
    return base.removesuffix(OPERATOR).removesuffix(GRAPHQL)


def is_aws(url: str) -> bool:
    """True if the host is API Gateway's own, or that of a function URL."""
    host = urlsplit(url).hostname or ""
    return ".execute-api." in f".{host}" or (".lambda-url." in host and host.endswith(".on.aws"))


def _response(url: str, status: int, body: bytes) -> Response:
    try:
        answer = json.loads(body)
    except ValueError:
        answer = None
    is_graphql = isinstance(answer, dict) and ("data" in answer or isinstance(answer.get("errors"), list))
    if is_graphql and not 300 <= status < 400:
        return answer  # type: ignore[no-any-return]
    # API Gateway refuses some requests in words of its own.
    said = answer.get("message") if isinstance(answer, dict) else None
    text = str(said or body[:_SHOWN].decode(errors="replace")).strip()
    raise RemoteError(f"{url} answered {status}{f': {text}' if text else ''}", hint=_HINTS.get(status))
