"""GraphQL over HTTP, without a server: takes a request, returns a response.

    response = handle(api, database, HttpRequest("POST", "/graphql", "", headers, body))

Follows the GraphQL over HTTP specification (stage 2 draft): POST and GET, both response media types and their
status codes. On top of it come lamDB's headers:

- `x-lamdb-txid: N` on a request asks for a state that includes transaction N; on a response it names a
  transaction that includes everything the response shows or wrote. A client that sends it back reads its own
  writes from any server.
- `x-lamdb-consistency: session | strong | eventual` on a request: see `Consistency`.
- `x-lamdb-as-of: N` or a time on a request asks for a past state; on a response it names the transaction.
- `x-lamdb-timeout: 2.5` on a request: seconds for which the client waits. See `Budget`.
- `idempotency-key` (or `x-lamdb-idempotency-key`) on a mutation: see `once`. `x-lamdb-replayed: true` on a
  response says that it was executed before.

Every refusal has the shape of a GraphQL response: `{"errors": [{"message", "extensions"}]}`.
"""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Self

from lamdb.errors import (
    Forbidden,
    LamdbError,
    MalformedRequest,
    MethodNotAllowed,
    NotAcceptable,
    ReadOnly,
    RequestError,
)
from lamdb.graphql.api import Api, Result
from lamdb.graphql.apis import Apis
from lamdb.graphql.execution.prepared import Kind
from lamdb.graphql.idempotency import ATTEMPT_SECONDS, DEFAULT_ROOM, DEFAULT_SECONDS, KeyOrigin, Once, Room
from lamdb.graphql.persisted_queries import PersistedQueries
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.search_tokens import SearchToken, bearer
from lamdb.graphql.transport.wire import (
    AS_OF_HEADER,
    CONSISTENCY_HEADER,
    GRAPHQL_RESPONSE,
    JSON,
    REPLAYED_HEADER,
    RETRY_AFTER_SECONDS,
    TIMEOUT_HEADER,
    TXID_HEADER,
    Call,
    Consistency,
    HttpRequest,
    HttpResponse,
    accepts_gzip,
    as_of,
    attempts_key,
    consistency,
    idempotency_key,
    read_parameters,
    receive,
    refusal,
    response_type,
    timeout,
    wanted_txid,
    with_charset,
)
from lamdb.rules.caller import ANONYMOUS, Caller
from lamdb.settings import Settings
from lamdb.storage import Database
from lamdb.storage.budget import NEVER, Budget, Costs, Deadline
from lamdb.storage.waiting import QUICK_BYTES, about_to_wait, about_to_work, is_quick
from lamdb.storage.watched_reads import Watch

__all__ = [
    "CONSISTENCY_HEADER",
    "GRAPHQL_RESPONSE",
    "JSON",
    "TXID_HEADER",
    "Call",
    "Consistency",
    "HttpOptions",
    "HttpRequest",
    "HttpResponse",
    "accepts_gzip",
    "answer",
    "catch_up",
    "handle",
    "is_mutation",
    "read_parameters",
    "receive",
    "refusal",
    "response_type",
]

_MUTATION: Final = "mutation"
"""A document without this word holds no mutation."""

_GZIP_LEVEL: Final = 4
_QUICK_GZIP: Final = 64 * 1024
"""Bytes that are compressed quickly."""
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """- `token_wait`: seconds to wait for the transaction of a token before `REPLICA_LAG`.
    - `max_staleness`: seconds for which a read trusts that this process knows the newest transaction.
    - `gzip_from`: bytes from which on a response is compressed for clients that accept it.
    - `idempotency_seconds`: how long the response to a mutation is kept under its idempotency key.
    - `room`: how much is kept under such keys.
    - `read_only`: refuse mutations.
    - `search_key`: verifies search tokens; without it they are refused.
    - `as_of`: answer queries on past states.
    - `costs`: what a request may cost.
    - `persisted`: documents that a request may name by their hash; without them none are.
    """

    token_wait: float = 5.0
    max_staleness: float = 1.0
    gzip_from: int = 4096
    idempotency_seconds: float = DEFAULT_SECONDS
    room: Room = DEFAULT_ROOM
    read_only: bool = False
    as_of: bool = True
    costs: Costs = Costs()  # noqa: RUF009 - it is frozen
    search_key: str = field(default="", repr=False)
    persisted: PersistedQueries | None = None

    @classmethod
    def from_settings(
        cls, settings: Settings, *, read_only: bool = False, forwards_mutations: bool = False
    ) -> Self:
        """The options of a server or function with these settings.

        `forwards_mutations`: another process executes them, and has to know their documents.
        """
        return cls(
            token_wait=settings.token_wait,
            max_staleness=settings.max_staleness,
            idempotency_seconds=settings.idempotency_seconds,
            room=Room(settings.idempotency_answer_bytes, settings.idempotency_bytes),
            read_only=read_only,
            as_of=settings.as_of,
            costs=Costs(
                query_seconds=settings.query_seconds,
                mutation_seconds=settings.mutation_seconds,
                max_rows=settings.max_rows,
                max_bytes=settings.max_response_bytes,
            ),
            search_key=settings.search_key,
            persisted=PersistedQueries.of(settings, queries_only=forwards_mutations),
        )


DEFAULT_OPTIONS: Final = HttpOptions()


def handle(
    api: Api | Apis, database: Database, request: HttpRequest, options: HttpOptions = DEFAULT_OPTIONS
) -> HttpResponse:
    """Answer a GraphQL request. Never raises for what a client sent or for what the store did."""
    call = receive(request, options.persisted)
    return call if isinstance(call, HttpResponse) else answer(api, database, call, options)


def budget_of(
    headers: Mapping[str, str], options: HttpOptions = DEFAULT_OPTIONS, deadline: Deadline = NEVER
) -> Budget:
    """Returns the budget of a request: the limits of `options`, ended early by the client or `deadline`.

    Raises `MalformedRequest`.
    """
    if TIMEOUT_HEADER in headers:
        deadline = deadline.earlier(Deadline.after(timeout(headers) or 0.0))
    return Budget(options.costs, deadline)


def answer(
    api: Api | Apis,
    database: Database,
    call: Call,
    options: HttpOptions = DEFAULT_OPTIONS,
    budget: Budget | None = None,
    *,
    caught_up: bool = False,
) -> HttpResponse:
    """The second half of `handle`: the response to a GraphQL request.

    `budget` is that of `budget_of`, made here if it is missing. `caught_up`: the database is as fresh as the
    request asks for.
    """
    if is_quick():  # that bounds it more than any budget
        return _answer(api, database, call, options, caught_up=caught_up)
    try:
        with budget or budget_of(call.headers, options):
            return _answer(api, database, call, options, caught_up=caught_up)
    except LamdbError as error:
        return refusal(error, call.media_type)


def _answer(
    api: Api | Apis, database: Database, call: Call, options: HttpOptions, *, caught_up: bool
) -> HttpResponse:
    try:
        if "authorization" in call.headers:
            call = _restricted(api, call, options)
        if call.method == "GET" or options.read_only or AS_OF_HEADER in call.headers:
            _require_query(api, call)
        if AS_OF_HEADER in call.headers:
            return _answer_from_the_past(api, database, call, options)
        if not caught_up:
            catch_up(database, call.headers, options)
        result = api.execute(database, call.parameters, once=_once(call, options))
    except LamdbError as error:
        return refusal(error, call.media_type)
    _keep_document(result, call, options)
    return _response(result, call, options, {TXID_HEADER: str(result.txid or database.txid)})


def follow(
    api: Apis, database: Database, call: Call, options: HttpOptions, budget: Budget
) -> tuple[Result, Watch]:
    """The result of a query whose client follows it, and what tells when there may be another.

    Raises `StorageError`, `Forbidden`, `TimeLimit`, `Cancelled`.
    """
    with budget:
        result, watch = api.follow(database, call.parameters)
    _keep_document(result, call, options)
    return result, watch


def _restricted(api: Api | Apis, call: Call, options: HttpOptions) -> Call:
    """Returns the call with the limits of its search token, if it has one.

    Raises `Unauthorized`, `Forbidden`.
    """
    token = bearer(call.headers)
    if token is None:
        return call
    allowed = SearchToken.verify(token, options.search_key)
    if AS_OF_HEADER in call.headers:
        raise Forbidden(
            "A search token does not allow reading past states.", hint=f"Leave {AS_OF_HEADER} out."
        )
    if is_mutation(api, call):
        raise Forbidden("A search token allows no mutations.")
    caller = ANONYMOUS if allowed.claims is None else Caller(allowed.claims)
    return replace(call, parameters=replace(call.parameters, token=allowed, caller=caller))


def _answer_from_the_past(
    api: Api | Apis, database: Database, call: Call, options: HttpOptions
) -> HttpResponse:
    """Raises `Forbidden`, `NotRestorable`, `StorageError`, `MalformedRequest`."""
    if not options.as_of:
        raise Forbidden("Past states cannot be read here.", hint=f"Leave {AS_OF_HEADER} out.")
    if not isinstance(api, Apis):
        raise MalformedRequest(
            "A past state may have a schema other than the one that this endpoint serves.", hint=""
        )
    txid, moment = as_of(call.headers)
    about_to_wait()
    lease = database.as_of(txid=txid, time=moment)
    with lease as connection:
        if call.parameters.caller is not None:
            api.require_same_rules(connection, lease.txid, database)
        result = api.execute_on(connection, lease.txid, call.parameters)
    _keep_document(result, call, options)
    # The token of a session never goes back, wherever the session looked.
    token = max(lease.txid, wanted_txid(call.headers))
    return _response(result, call, options, {TXID_HEADER: str(token), AS_OF_HEADER: str(lease.txid)})


def _keep_document(result: Result, call: Call, options: HttpOptions) -> None:
    """Keeps the document of a valid request that names it by its hash."""
    if call.parameters.extensions is not None and options.persisted is not None and result.kind is not None:
        options.persisted.keep(call.parameters)


def is_mutation(api: Api | Apis, call: Call) -> bool:
    """True if a request asks for a mutation; one that is not valid does not."""
    return _MUTATION in call.parameters.query and _kind(api, call.parameters) == "mutation"


def _once(call: Call, options: HttpOptions) -> Once | None:
    """Raises `MalformedRequest`."""
    if (key := idempotency_key(call.headers)) is not None:
        return Once.of(key, call.parameters, options.idempotency_seconds, room=options.room)
    if (key := attempts_key(call.headers)) is not None:
        return Once.of(key, call.parameters, ATTEMPT_SECONDS, KeyOrigin.PROXY, options.room)
    return None


def _require_query(api: Api | Apis, call: Call) -> None:
    """Raises `MethodNotAllowed` or `ReadOnly` for a mutation."""
    if not is_mutation(api, call):
        return
    if call.method == "GET":
        raise MethodNotAllowed("A mutation cannot be sent by GET.", allow=["POST"], hint="Send it by POST.")
    raise ReadOnly("A mutation cannot be executed here.")


def _kind(api: Api | Apis, parameters: GraphQLRequest) -> Kind | None:
    """None for a document that is not valid: execution says what is wrong with it."""
    try:
        return api.operation_kind(parameters)
    except RequestError:
        return None


# Consistency


def catch_up(database: Database, headers: Mapping[str, str], options: HttpOptions = DEFAULT_OPTIONS) -> None:
    """Make the database as fresh as the request asks for.

    Raises `MalformedRequest`, `ReplicaLag`, `StoreUnavailable`.
    """
    if is_behind(database, headers, options):
        database.refresh(wanted_txid(headers), options.token_wait)


def is_behind(database: Database, headers: Mapping[str, str], options: HttpOptions = DEFAULT_OPTIONS) -> bool:
    """True if the store has to be asked before a request is answered. Raises `MalformedRequest`."""
    wanted = wanted_txid(headers)
    match consistency(headers):
        case Consistency.STRONG:
            return True
        case Consistency.SESSION:
            overtaken = wanted > database.txid or database.is_overtaken
            return overtaken or database.age() > options.max_staleness
    return False


# Writing the response


def _response(result: Result, call: Call, options: HttpOptions, state: Mapping[str, str]) -> HttpResponse:
    """`state`: the headers that say what was seen."""
    headers: dict[str, str] = {}
    describe(headers, call.media_type)
    headers.update(state)
    if result.replayed:
        headers[REPLAYED_HEADER] = "true"
    status = _status(result, call.media_type)
    if status == 503 and result.retryable:
        headers["retry-after"] = RETRY_AFTER_SECONDS
    body, gzipped = content(result, options, takes_gzip=accepts_gzip(call.headers))
    if gzipped:
        headers["content-encoding"] = "gzip"
    return HttpResponse(status, headers, body, result.code, result.retryable, result.failed, result.kind)


def describe(headers: dict[str, str], media_type: str) -> None:
    """Adds the headers that all responses of a media type have."""
    headers["content-type"] = with_charset(media_type)
    headers["vary"] = "accept, accept-encoding"


def _status(result: Result, media_type: str) -> int:
    """`application/json` keeps 200 for every GraphQL response. The server's own failures show in both, and so
    does that the client would have to accept another media type."""
    is_shown = result.status >= 500 or result.code == NotAcceptable.code
    if result.executed or (media_type == JSON and not is_shown):
        return 200
    return result.status


def content(result: Result, options: HttpOptions, *, takes_gzip: bool) -> tuple[bytes, bool]:
    """The body of a response, and whether it is compressed: if the client takes that and it is worth it, or
    if it was compressed before."""
    gzipped = result.gzipped
    if gzipped is None:
        body = result.body
        if len(body) > QUICK_BYTES:
            about_to_work()
        if not takes_gzip or len(body) < options.gzip_from:
            return body, False
        if len(body) > _QUICK_GZIP:
            about_to_work()
        return zlib.compress(body, _GZIP_LEVEL, _GZIP_WINDOW), True
    about_to_work()
    return (gzipped, True) if takes_gzip else (result.body, False)
