"""Queries that are answered inside `data_received`, from the bytes of the request to those of the response.

What depends on the head alone is found out once for each head, as clients send the same one again and again.
What is left for each request: reading the body, one lookup that says whether its document has proved quick,
and the execution, which raises `WouldWait` where it would take long. Whatever is unusual in head or body
is left to `app`.
"""

import itertools
import re
import time
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import orjson

from lamdb.access.callers import Callers
from lamdb.errors import LamdbError
from lamdb.graphql.apis import Apis
from lamdb.graphql.execution.parameterization import skeleton_of
from lamdb.graphql.persisted_queries import MEMBER, PersistedQueries
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.search_tokens import bearer
from lamdb.graphql.transport import deferred, http, wire
from lamdb.graphql.transport.cors import Cors
from lamdb.graphql.transport.http import Consistency, HttpOptions, HttpRequest
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.server import logs
from lamdb.server.exchange import Head
from lamdb.server.fast_path import QUICK_SECONDS, FastLane
from lamdb.server.hosts import Hosts
from lamdb.server.paths import GRAPHQL
from lamdb.server.request_counts import BOUNDS, Durations
from lamdb.storage import Database, NoWaiting, WouldWait
from lamdb.storage.waiting import NotKept

QUICK_BODY: Final = 8 * 1024
"""Bytes of a request that may be answered on the event loop: reading its variables takes time, too."""

_MUTATION: Final = "mutation"
_SEARCH: Final = "search"
"""The beginning of the fields that search."""
_MUTATION_BYTES: Final = b"mutation"
_PERSISTED_BYTES: Final = MEMBER.encode()
_UNUSUAL: Final = frozenset(
    {
        "content-encoding",
        "expect",
        deferred.PREFER,
        wire.AS_OF_HEADER,
        wire.TIMEOUT_HEADER,
        wire.ATTEMPTS_HEADER,
        *wire.IDEMPOTENCY_HEADERS,
    }
)
_ONE_PIECE: Final = 16 * 1024
"""Bytes up to which a copy of a body is cheaper than a second piece."""

_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")


class RequestIds:
    """The ids of requests: the client's own if it is fit to be logged, else a new one."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._next = itertools.count(1).__next__

    def given(self, headers: dict[str, str]) -> str | None:
        found = headers.get("x-request-id")
        return found if found is not None and _REQUEST_ID.fullmatch(found) else None

    def new(self) -> str:
        return f"{self._prefix}-{self._next():x}"


@dataclass(slots=True)
class _Asked:
    """The wishes of a head.

    - `start`: the beginning of a response with status 200, up to the value of the TXID's header.
    - `never_behind`: whatever this process knows is fresh enough.
    - `is_identified`: whether the caller has to be looked up for each request, as tokens expire.
    """

    media_type: str
    takes_gzip: bool
    wanted_txid: int
    never_behind: bool
    is_identified: bool
    request_id: str | None
    start: str


type Log = Callable[[int, int, float], None]
"""Notes a response: status, bytes, seconds."""


class QuickQueries:
    """Answers in the event loop's thread."""

    def __init__(
        self,
        api: Apis,
        database: Database,
        options: HttpOptions,
        lane: FastLane,
        hosts: Hosts,
        cors: Cors,
        ids: RequestIds,
        callers: Callers,
        log: Log,
        logged_after: float,
        durations: Durations | None = None,
    ) -> None:
        """`logged_after`: seconds from which on a response is logged by `log`. `durations` counts it."""
        self._api = api
        self._database = database
        self._options = options
        self._lane = lane
        self._hosts = hosts
        self._cors = cors
        self._ids = ids
        self._callers = callers
        self._log = log
        self._logged_after = logged_after
        self._durations = durations

    def mutation(self, head: Head, body: bytes) -> tuple[GraphQLRequest, str, str] | None:
        """A mutation that needs no look in the store before it, its response's media type and its id.

        None for all else, and for what is unusual: also if callers have to be identified.
        """
        asked = head.quick
        if not isinstance(asked, _Asked) or asked.is_identified:
            return None
        if len(body) > QUICK_BODY or (_MUTATION_BYTES not in body and _PERSISTED_BYTES not in body):
            return None
        request = _request(body, ANONYMOUS, self._options.persisted)
        if request is None or _MUTATION not in request.query or self._is_behind(asked):
            return None
        return request, asked.media_type, asked.request_id or self._ids.new()

    def answer(self, head: Head, body: bytes, date: str) -> list[bytes] | None:
        """The response to a query, in pieces; None for all that is not known to be quick, or unusual."""
        asked: _Asked | bool | None = head.quick
        if asked is None:
            asked = head.quick = self._asked(head) or False
        if asked is False or len(body) > QUICK_BODY:
            return None
        assert isinstance(asked, _Asked)
        started = time.perf_counter()
        caller: Caller | None = ANONYMOUS
        if asked.is_identified:
            try:
                identity = self._callers.known(head.headers)
            except LamdbError:
                return None
            if identity is None:
                return None
            caller = identity.caller
        request = _request(body, caller, self._options.persisted)
        if request is None or _MUTATION in request.query:
            return None
        lane, database = self._lane, self._database
        key = lane_key(request.query)
        is_quick = lane.allows(key)
        if not is_quick and not (_SEARCH in request.query and lane.may_be_kept(key)):
            return None
        if self._is_behind(asked):
            return None
        request_id = asked.request_id or self._ids.new()
        logs.request_id.set(request_id)
        try:
            with NoWaiting(quick=True):
                result = self._api.execute(database, request)
                if not result.executed:
                    return None  # and is refused by `app`
                response, gzipped = http.content(result, self._options, takes_gzip=asked.takes_gzip)
        except NotKept:
            return None
        except WouldWait:
            (lane.waited if is_quick else lane.was_not_kept)(key)
            return None
        except LamdbError:
            return None
        finally:
            logs.request_id.set(None)
        seconds = time.perf_counter() - started
        counted = self._durations
        if counted is not None:  # `Durations.note`, without the cost of a call
            counted.buckets[bisect_left(BOUNDS, seconds)] += 1
            counted.seconds += seconds
        if seconds > QUICK_SECONDS:
            (lane.doubt if is_quick else lane.was_not_kept)(key)
        if seconds > self._logged_after:
            logs.request_id.set(request_id)
            self._log(200, len(response), seconds)
            logs.request_id.set(None)
        encoding = "content-encoding: gzip\r\n" if gzipped else ""
        start = (
            f"{asked.start}{result.txid or database.txid}\r\nx-request-id: {request_id}\r\n{encoding}"
            f"content-length: {len(response)}\r\ndate: {date}\r\n\r\n"
        ).encode("latin-1")
        return [start + response] if len(response) < _ONE_PIECE else [start, response]

    def _is_behind(self, asked: _Asked) -> bool:
        """True if the store has to be asked first."""
        if asked.never_behind:
            return False
        database = self._database
        overtaken = asked.wanted_txid > database.txid or database.is_overtaken
        return overtaken or database.age() > self._options.max_staleness

    def _asked(self, head: Head) -> _Asked | None:
        """The wishes of a head; None if `app` has to answer."""
        headers = head.headers
        if head.method != "POST" or head.path != GRAPHQL or head.query_string or head.is_old:
            return None
        if not _UNUSUAL.isdisjoint(headers) or bearer(headers) is not None:
            return None
        request = HttpRequest(head.method, head.path, "", headers)
        try:
            self._hosts.check(request)
            wire.require_json(headers.get("content-type"), None)
            media_type = wire.response_type(headers.get("accept"))
            consistency = wire.consistency(headers)
            wanted = wire.wanted_txid(headers)
        except LamdbError:
            return None
        if media_type is None or consistency is Consistency.STRONG:
            return None
        given: dict[str, str] = {}
        http.describe(given, media_type)
        self._cors.allow(headers.get("origin"), given)
        lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in given.items())]
        return _Asked(
            media_type=media_type,
            takes_gzip=http.accepts_gzip(headers),
            wanted_txid=wanted,
            never_behind=consistency is Consistency.EVENTUAL,
            is_identified=self._callers.enabled or "authorization" in headers or "x-api-key" in headers,
            request_id=self._ids.given(headers),
            start="\r\n".join([*lines, f"{http.TXID_HEADER}: "]),
        )


def lane_key(document: str) -> str:
    """The text by which a document's executions are remembered: the literals in it do not matter."""
    skeleton = skeleton_of(document)
    return document if skeleton is None else skeleton.key


def _request(body: bytes, caller: Caller | None, persisted: PersistedQueries | None) -> GraphQLRequest | None:
    """The GraphQL request in a body; None for anything else, which may be in order all the same.

    A document that is named by its hash must be in `persisted`.
    """
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if type(given) is not dict:
        return None
    document, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    extensions = given.get("extensions")
    if extensions is not None:
        if type(extensions) is not dict:
            return None
        if MEMBER in extensions:
            kept = persisted.find(extensions) if persisted is not None else None
            if kept is None or (document is not None and document != kept):
                return None
            document = kept
    if type(document) is not str:
        return None
    if (variables is not None and type(variables) is not dict) or (
        name is not None and type(name) is not str
    ):
        return None
    return GraphQLRequest(document, variables, name or None, extensions, caller=caller)
