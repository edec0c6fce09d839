"""Live queries: `query @live { … }` at `/graphql`, answered by a stream of events.

    event: next
    data: {"data":{"findManyPost":[…]}}

    event: complete
    data:

The events are those of graphql-sse's distinct connections mode, which also answers operations without
`@live`, by one result: https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md

A stream executes its query anew when something that it has read was changed by a commit, and sends the result
if it differs from the last one. It does one thing after the other, so the commits of a while lead to one
execution, and a client that does not read gets the newest result when it reads again. While it waits, it has
no thread and no connection to the database.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Final, NamedTuple

from lamdb.access.identity import Identity
from lamdb.errors import LamdbError, Overloaded
from lamdb.graphql.api import Result, refusal
from lamdb.graphql.document.live import Wish
from lamdb.graphql.transport.wire import EVENTS, TXID_HEADER, HttpResponse
from lamdb.server.commits import Commits
from lamdb.server.cursors import BodyWriter, Open, StreamedResponse
from lamdb.server.rsgi import ClientGone
from lamdb.storage.watched_reads import Watch

_CHECK: Final = 5.0
"""Seconds between looks at the caller's token while nothing changes."""
_KEEP_ALIVE: Final = 3
"""Every so many looks, the client gets a comment, so that proxies keep the connection."""
_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0
_ATTEMPTS: Final = 10
"""Executions of a query that may fail one after the other for reasons that pass: some 30 s."""

_COMPLETE: Final = b"event: complete\ndata: \n\n"
_COMMENT: Final = b":\n\n"


class LiveExecution(NamedTuple):
    """One execution of a query, for a caller. `watch` tells when another result is possible."""

    result: Result
    identity: Identity
    watch: Watch


type Execute = Callable[[Identity], Awaitable[LiveExecution]]
"""Executes the query for a caller. Raises `LamdbError`."""
type Identify = Callable[[], Awaitable[Identity]]
"""The caller as of now. Raises `Unauthorized`, `Forbidden`, and what reading keys raises."""


class LiveQueries:
    """The streams of one process. Made inside the event loop, whose thread all calls come from."""

    def __init__(self, commits: Commits, *, most: int, at_once: int) -> None:
        """`most`: streams that may be open. `at_once`: queries that are executed anew at a time."""
        self._commits = commits
        self._most = most
        self._turns = asyncio.Semaphore(at_once)
        self.open = 0
        """Streams that are open."""

    async def answer(
        self, identify: Identify, execute: Execute, gone: Callable[[], Awaitable[None]], open_body: Open
    ) -> HttpResponse | None:
        """Answers a query, and follows it until its client has gone, its caller has lost its rights, or the
        server stops. Returns None, with nothing sent, if the client does not want to follow it.

        Raises `LamdbError` for what is refused before the stream begins.
        """
        if self.open >= self._most:
            raise Overloaded(
                f"{self.open} live queries are open.",
                hint="Try again later, or raise LAMDB_LIVE_QUERIES.",
            )
        self.open += 1
        lost = asyncio.ensure_future(gone())
        try:
            stream = _Stream(self._commits, self._turns, identify, execute, lost)
            return await stream.follow(open_body) if await stream.begin() else None
        finally:
            self.open -= 1
            lost.cancel()


def single(response: HttpResponse) -> HttpResponse:
    """A GraphQL response as a stream that has one result."""
    headers = {name: value for name, value in response.headers.items() if name != "content-encoding"}
    headers |= event_headers()
    body = _next(response.body) + _COMPLETE
    return HttpResponse(200, headers, body, response.code, response.retryable, response.failed, response.kind)


def event_headers() -> dict[str, str]:
    return {"content-type": EVENTS, "cache-control": "no-store", "x-accel-buffering": "no"}


class _Ended(Exception):
    """The stream ends, without a word: its client has gone or the server stops."""


class _Stream:
    """One client's live query."""

    def __init__(
        self,
        commits: Commits,
        turns: asyncio.Semaphore,
        identify: Identify,
        execute: Execute,
        lost: "asyncio.Future[None]",
    ) -> None:
        self._commits = commits
        self._turns = turns
        self._identify = identify
        self._execute = execute
        self._lost = lost
        self._wish = Wish()
        self._result: Result | None = None
        """The newest result, until it is sent: it may be large."""
        self._identity: Identity
        self._watch: Watch

    async def begin(self) -> bool:
        """Executes the query; False if its client does not want to follow it. Raises `LamdbError`."""
        run = await self._execute(await self._identify())
        self._take(run)
        return run.result.live is not None

    async def follow(self, open_body: Open) -> HttpResponse:
        """Sends the results. After `begin`."""
        assert self._result is not None
        way = open_body({**event_headers(), TXID_HEADER: str(self._result.txid)})
        code = None
        try:
            await self._follow(way)
        except LamdbError as error:
            code = error.code
            await _last(way, refusal(error).body)
        except _Refused as refused:
            code = refused.result.code
            await _last(way, refused.result.body)
        except (_Ended, ClientGone, RuntimeError):
            pass  # a client that is still there asks again, and finds another server
        way.response_end()
        return StreamedResponse(200, code=code, failed=code is not None, kind="live")

    def _take(self, run: LiveExecution) -> None:
        self._result, self._identity, self._watch = run
        self._wish = run.result.live or Wish()

    async def _follow(self, way: BodyWriter) -> None:
        """Raises `_Ended`, `_Refused`, `LamdbError`, and `RuntimeError` if the client has gone."""
        sent, sent_at = b"", 0.0
        while True:
            assert self._result is not None
            digest = _digest(self._result.body)
            if digest != sent:
                event = _next(self._result.body)
                self._result = None
                sent, sent_at = digest, time.monotonic()
                await way.response_piece(event)
                del event
            self._result = None
            await self._until_changed(way)
            await self._pause(sent_at + self._wish.throttle - time.monotonic())
            self._take(await self._again())

    async def _until_changed(self, way: BodyWriter) -> None:
        """Returns once the query may have another result, or its caller other rights. Raises as `_follow`."""
        looks = 0
        while not await self._commits.wait(self._watch.has_changed, _CHECK, self._lost):
            self._require_going_on()
            try:
                if await self._identify() != self._identity:
                    return
            except LamdbError as error:
                if not error.retryable:
                    raise
            looks += 1
            if looks % _KEEP_ALIVE == 0:
                await way.response_piece(_COMMENT)

    async def _again(self) -> LiveExecution:
        """Executes the query anew, more than once if it fails for a reason that passes."""
        pause = _FIRST_PAUSE
        for left in range(_ATTEMPTS - 1, -1, -1):
            try:
                async with self._turns:
                    self._require_going_on()
                    run = await self._execute(await self._identify())
                if run.result.live is not None:
                    return run
                if not run.result.retryable or not left:
                    # By the present schema, most likely.
                    raise _Refused(run.result)
            except LamdbError as error:
                self._require_going_on()
                if not error.retryable or not left:
                    raise
            await self._pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        raise AssertionError("the last attempt returns or raises")

    async def _pause(self, seconds: float) -> None:
        """Raises `_Ended`."""
        if seconds > 0:
            await self._commits.wait(_never, seconds, self._lost)
        self._require_going_on()

    def _require_going_on(self) -> None:
        if self._commits.stopped or self._lost.done():
            raise _Ended


class _Refused(Exception):
    """The query has no result any more, but an error."""

    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


def _never() -> bool:
    return False


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).digest()


def _next(body: bytes) -> bytes:
    """An event with a response, whose JSON is in one line."""
    return b"event: next\ndata: " + body + b"\n\n"


async def _last(way: BodyWriter, body: bytes) -> None:
    with contextlib.suppress(RuntimeError):  # the client may have gone
        await way.response_piece(_next(body) + _COMPLETE)
