"""The change feed over HTTP, at `/changes`: pages in JSON, long polling, and server-sent events.

    GET /changes?since=41&models=Order,Item&take=100&wait=30
    GET /changes            Accept: text/event-stream, Last-Event-ID: 41

Each page is a GraphQL query, with the caller, rules and limits of any other. Between pages nothing runs but
one task for all clients, which notices commits of this server and looks in the store for those of others.
Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from lamdb.errors import DocumentInvalid, LamdbError, MalformedRequest, MethodNotAllowed, NotFound, Overloaded
from lamdb.graphql.transport.wire import EVENTS, HttpRequest, HttpResponse
from lamdb.server.commits import Commits
from lamdb.server.cursors import Open, StreamedResponse
from lamdb.server.paths import CHANGES

_MOST_WAIT: Final = 60.0
"""Seconds that a client may have a request wait."""
_HEARTBEAT: Final = 15.0
"""Seconds after which a stream without changes sends its cursor, so that proxies keep it open."""
_PAGE: Final = 100

_DOCUMENT: Final = """query ($since: String, $models: [ChangeModel!], $take: Int) {
  changes(since: $since, models: $models, take: $take) {
    next more changes { cursor txid model operation key before after }
  }
}"""
_STATUS: Final = {"CHANGES_NOT_KEPT": 410, "P2009": 400}

type Ask = Callable[[bytes], Awaitable[HttpResponse]]
"""Sends the JSON of a GraphQL request as the client of `/changes`. Raises as identifying it does."""
type Gone = Callable[[], Awaitable[None]]
"""Returns once the client has closed the connection."""


class ChangeFeeds:
    """Answers the requests at `/changes`. Made inside the event loop, whose thread all calls come from.

    - `commits`: whose end ends all streams and all waiting.
    - `most`: clients that may wait at a time.
    """

    def __init__(self, commits: Commits, *, most: int) -> None:
        self._commits = commits
        self._most = most
        self._waiting = 0

    async def answer(self, request: HttpRequest, ask: Ask, gone: Gone, open_body: Open) -> HttpResponse:
        """Raises `LamdbError` for a request that is refused."""
        try:
            return await self._answer(request, ask, gone, open_body)
        except _Refused as error:
            return error.response()

    async def _answer(self, request: HttpRequest, ask: Ask, gone: Gone, open_body: Open) -> HttpResponse:
        if request.method != "GET":
            raise MethodNotAllowed(f"{CHANGES} does not allow {request.method}.", allow=["GET"])
        follower = _Follower(_parameters(request), ask)
        streams = EVENTS in request.headers.get("accept", "")
        if not streams and not follower.wait:
            await follower.read()
            return follower.response()
        if self._waiting >= self._most:
            raise Overloaded(f"{self._waiting} clients follow the changes.")
        self._waiting += 1
        lost = asyncio.ensure_future(gone())
        try:
            if not streams:
                return await self._poll(follower, lost)
            return await self._stream(follower, lost, open_body)
        finally:
            self._waiting -= 1
            lost.cancel()

    async def _poll(self, follower: "_Follower", lost: "asyncio.Future[None]") -> HttpResponse:
        ends = time.monotonic() + follower.wait
        while True:
            seen = self._commits.txid
            await follower.read()
            left = ends - time.monotonic()
            if follower.found or follower.more or left <= 0 or lost.done() or self._commits.stopped:
                return follower.response()
            await self._commits.wait(self._commits.newer_than(seen), left, lost)

    async def _stream(
        self, follower: "_Follower", lost: "asyncio.Future[None]", open_body: Open
    ) -> HttpResponse:
        # What is refused at once is a response of its own.
        seen = self._commits.txid
        await follower.read()
        way = open_body({"content-type": EVENTS, "cache-control": "no-store", "x-accel-buffering": "no"})
        code = None
        try:
            await way.response_piece(b"retry: 2000\n" + follower.events())
            while not lost.done() and not self._commits.stopped:
                if not follower.more:
                    await self._commits.wait(self._commits.newer_than(seen), _HEARTBEAT, lost)
                seen = self._commits.txid
                await follower.read()
                await way.response_piece(follower.events())
        except (LamdbError, _Refused) as error:
            code = error.code
            content = orjson.dumps({"message": error.message, "code": error.code})
            await way.response_piece(b"event: error\ndata: " + content + b"\n\n")
        except RuntimeError:
            pass  # the client has gone
        way.response_end()
        return StreamedResponse(200, code=code, failed=code is not None)


class _Follower:
    """One client's way through the feed. After `read`: `found` has the page's changes."""

    def __init__(self, parameters: dict[str, Any], ask: Ask) -> None:
        self.wait: float = parameters.pop("wait")
        self.found: list[dict[str, Any]] = []
        self.next: str | None = parameters.pop("since")
        self.more = False
        self._parameters = parameters
        self._ask = ask

    async def read(self) -> None:
        """Reads the next page. Raises `LamdbError`, `_Refused`."""
        variables = {**self._parameters, "since": self.next}
        response = await self._ask(orjson.dumps({"query": _DOCUMENT, "variables": variables}))
        answer = orjson.loads(response.body)
        if "errors" in answer:
            raise _refused(answer["errors"][0], response.status)
        page = answer["data"]["changes"]
        self.next, self.more = page["next"], page["more"]
        self.found = page["changes"]
        for change in self.found:
            for name in ("key", "before", "after"):
                if change[name] is not None:
                    change[name] = orjson.loads(change[name])

    def response(self) -> HttpResponse:
        """The page as JSON."""
        body = orjson.dumps({"changes": self.found, "next": self.next, "more": self.more})
        return HttpResponse(200, {"content-type": "application/json", "cache-control": "no-store"}, body)

    def events(self) -> bytes:
        """The page as server-sent events; the last one has only the cursor, and clients do not see it."""
        pieces = [
            f"id: {change['cursor']}\nevent: change\ndata: ".encode() + orjson.dumps(change) + b"\n\n"
            for change in self.found
        ]
        return b"".join([*pieces, f"id: {self.next}\n\n".encode()])


class _Refused(Exception):
    """A page that GraphQL refused."""

    def __init__(self, message: str, code: str, extensions: dict[str, Any], status: int) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self._extensions = extensions
        self._status = status

    def response(self) -> HttpResponse:
        body = orjson.dumps({"errors": [{"message": self.message, "extensions": self._extensions}]})
        headers = {"content-type": "application/json"}
        retryable = bool(self._extensions.get("retryable"))
        return HttpResponse(self._status, headers, body, self.code, retryable, failed=True)


def _parameters(request: HttpRequest) -> dict[str, Any]:
    """The parameters of a request. Raises `MalformedRequest`."""
    given = dict(parse_qsl(request.query, keep_blank_values=True))
    unknown = sorted(set(given) - {"since", "models", "take", "wait"})
    if unknown:
        raise MalformedRequest(
            f"{CHANGES} has no parameter {unknown[0][:80]!r}; it has since, models, take, wait."
        )
    found: dict[str, Any] = {
        "since": request.headers.get("last-event-id") or given.get("since"),
        "take": _PAGE,
    }
    if "models" in given:
        found["models"] = [name for name in given["models"].split(",") if name]
    if "take" in given:
        if not given["take"].isdecimal() or len(given["take"]) > 9:
            raise MalformedRequest("`take` is not a whole number.")
        found["take"] = int(given["take"])
    try:
        wait = float(given.get("wait", "0"))
    except ValueError:
        wait = -1.0
    if not 0 <= wait <= _MOST_WAIT:
        raise MalformedRequest(f"`wait` is not a number of seconds from 0 to {_MOST_WAIT:g}.")
    found["wait"] = wait
    return found


def _refused(entry: dict[str, Any], status: int) -> "_Refused | NotFound":
    """The error of a page, as one of this path."""
    extensions = entry.get("extensions") or {}
    code = extensions.get("code", LamdbError.code)
    if code in (DocumentInvalid.code, "P2009") and "path" not in entry:  # the schema has no such field
        hint = f"Add /// @lamdb{CHANGES.replace('/', '.')} above a model."
        return NotFound("No model of the schema has its changes recorded.", hint=hint)
    status = _STATUS.get(code, status if status >= 400 else LamdbError.status)
    return _Refused(entry["message"], code, extensions, status)
