"""The GraphQL API of one schema: takes a request, returns the bytes of its response.

    api = Api(engine, ApiTypes.from_dmmf(schema.dmmf))
    result = api.execute(database, GraphQLRequest("{ findManyPost { title } }"))
    result.body      # b'{"data":{"findManyPost":[…]}}'

A document is checked and compiled once (see `prepared`). Queries run on one snapshot. A mutation document is
one transaction: when one of its fields fails, the document is rolled back and `data` is null.
"""

import gzip
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import apsw
import orjson

from lamdb.errors import (
    AnswerNotKept,
    DocumentInvalid,
    Forbidden,
    IdempotencyMismatch,
    LamdbError,
    NotAcceptable,
    VariablesInvalid,
)
from lamdb.graphql.document.document import DEFAULT_LIMITS, Limits
from lamdb.graphql.document.live import Wish
from lamdb.graphql.errors import Entry, entry, internal, unreadable, written
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.cost import DEFAULT_MAX_COST, CostLimit
from lamdb.graphql.execution.execute import Answer, Executor
from lamdb.graphql.execution.introspection import Introspector
from lamdb.graphql.execution.operation import ChangesRoot, DataRoot, Root, SearchRoot
from lamdb.graphql.execution.prepared import CachedDocument, Kind, Preparation
from lamdb.graphql.execution.search_access import require_roots, require_searches_only
from lamdb.graphql.idempotency import Once
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.search_tokens import SearchToken
from lamdb.memory import DEFAULT_SEARCH_RESULT_BYTES, DEFAULT_VOCABULARY_BYTES
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.query.plan.fetching import too_large
from lamdb.prisma.query.sql_errors import database_error
from lamdb.rules.definition import Rules
from lamdb.rules.transactions import Ruled
from lamdb.storage.budget import Budget, current
from lamdb.storage.fencing import retry_fenced
from lamdb.storage.transactions import Transactions

__all__ = ["Api", "GraphQLRequest", "Kind", "Result"]


class Result:
    """One response.

    - `body`: the JSON of the response.
    - `gzipped`: the same, compressed, where it was at hand.
    - `executed`: whether execution began; only then the response has `data`.
    - `kind`: `None` when the request did not get as far as an operation.
    - `status`: the HTTP status that fits a response without `data`.
    - `txid`: a transaction that includes all that was seen and written; 0 when nothing was.
    - `replayed`: whether this is the stored response of the mutation's first execution.
    - `failed`: whether the response has errors.
    - `code`, `retryable`: the code of a request that was refused, and whether to send it again.
    - `live`: how its client wants to follow the query, if it does.
    """

    __slots__ = (
        "_body",
        "code",
        "executed",
        "failed",
        "gzipped",
        "kind",
        "live",
        "replayed",
        "retryable",
        "status",
        "txid",
    )

    def __init__(
        self,
        body: bytes | None,
        *,
        executed: bool,
        kind: Kind | None,
        status: int = 200,
        txid: int = 0,
        gzipped: bytes | None = None,
        replayed: bool = False,
        failed: bool = False,
        code: str | None = None,
        retryable: bool = False,
    ) -> None:
        self._body = body
        self.live: Wish | None = None
        self.failed = failed
        self.code = code
        self.retryable = retryable
        self.executed = executed
        self.kind: Kind | None = kind
        self.status = status
        self.txid = txid
        self.gzipped = gzipped
        self.replayed = replayed

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = gzip.decompress(self.gzipped or b"")
        return self._body


class Api:
    """Answers GraphQL requests. Safe to use from several threads.

    - `limits`: what one document may cost.
    - `cached_documents`, `document_characters`: how many compiled documents are kept, and the length of all
      their texts.
    - `vocabulary_bytes`, `search_result_bytes`: memory for vocabularies and for results of searches.
    - `max_cost`: of an operation, as `cost` estimates it.
    - `fenced_retries`: how often a mutation is tried again after another writer was first. The failed attempt
      was rolled back, so a retry is safe; pauses between attempts are random and grow.
    - `introspection`: the precomputed answers to introspection queries (see `introspection.precompute`).
    - `rules`: of the schema; they bind every request with a `caller`.
    """

    def __init__(
        self,
        engine: QueryEngine,
        types: ApiTypes,
        *,
        limits: Limits = DEFAULT_LIMITS,
        max_cost: int = DEFAULT_MAX_COST,
        cached_documents: int = 1000,
        document_characters: int = 4 * 1024 * 1024,
        vocabulary_bytes: int = DEFAULT_VOCABULARY_BYTES,
        search_result_bytes: int = DEFAULT_SEARCH_RESULT_BYTES,
        fenced_retries: int = 3,
        introspection: bytes | None = None,
        rules: Rules | None = None,
    ) -> None:
        self.engine = engine
        self.types = types
        self.limits = limits
        self.rules = rules
        self._fenced_retries = fenced_retries
        self._compiler = OperationCompiler(types)
        self._costs = CostLimit(types, max_cost)
        introspector = Introspector(types, introspection)
        self._executor = Executor(engine, self._compiler, introspector, vocabulary_bytes, search_result_bytes)
        self._preparation = Preparation(
            engine, self._compiler, introspector, limits, cached_documents, document_characters
        )

    def clear_caches(self) -> None:
        """Drops plans, documents and vocabularies, which are made anew when they are needed."""
        self._preparation.clear()
        self.engine.clear_plans()
        self._executor.clear_vocabularies()

    def documents(self) -> list[CachedDocument]:
        """The documents that are kept compiled, the one that was used last first."""
        return self._preparation.cached()

    def operation_name(self, request: GraphQLRequest) -> str | None:
        """The name of a valid request's operation, if it has one. Raises `RequestError`."""
        name = self._preparation.operation(request)[0].node.name
        return name.value if name else None

    def operation_kind(self, request: GraphQLRequest) -> Kind:
        """Whether a request is a query or a mutation, without executing or validating it.

        Raises `RequestError` if the operation is ambiguous.
        """
        return self._preparation.kind(request)

    def execute(
        self,
        database: Transactions,
        request: GraphQLRequest,
        *,
        min_txid: int = 0,
        once: Once | None = None,
        follows: bool = False,
    ) -> Result:
        """Answer a request; every failure becomes an error of the response, but `IdempotencyMismatch`,
        `AnswerNotKept`, and `Forbidden` for what the request's token does not allow.

        A query sees at least transaction `min_txid`. A mutation that was executed before under the key of
        `once` is answered as it was then. A query with `@live` is refused unless the client `follows` its
        results: then `Result.live` tells that it wants to. Passes on `SchemaChanged` from `database`.
        """
        kind: Kind | None = None
        try:
            operation, lifted = self._preparation.operation(request)
            kind = operation.kind
            if operation.whole is not None and request.token is None:
                return Result(None, executed=True, kind=kind, gzipped=operation.whole)
            variables = operation.coerce(request.variables or {})
            variables.update(lifted)
            wish = None if operation.live is None else operation.live.wish(variables)
            if wish is not None and not follows:
                raise not_followed()
            if request.token is not None:
                require_searches_only(self.types, operation, variables)
            if self.rules is not None and request.caller is not None:
                database = Ruled(database, self.rules, request.caller)
            roots = operation.roots(self._compiler, self._costs, variables)
            if request.token is not None:
                require_roots(roots, request.token)
            if kind == "mutation":
                done = self._mutate(database, roots, variables, once)
                if isinstance(done, _Done):
                    return Result(
                        done.body, executed=True, kind=kind, txid=database.txid, replayed=done.replayed
                    )
                answer = done
            else:
                answer = self._query(database, roots, variables, min_txid, request.token)
            if answer.errors and lifted:
                places = self._preparation.places(request, variables)
                for error in answer.errors:
                    error["locations"] = places[error["path"][0]]
            if answer.errors:
                self._preparation.explain(request, variables, answer.errors)
            result = Result(
                _body(answer), executed=True, kind=kind, txid=database.txid, failed=bool(answer.errors)
            )
            if wish is not None:
                result.live = wish
            return result
        except (SchemaChanged, IdempotencyMismatch, AnswerNotKept, Forbidden):
            raise
        except DocumentInvalid as error:
            return _refusal(error.entries, kind, error.status)
        except VariablesInvalid as error:
            place = self._preparation.place_of_variable(request, error.variable)
            return _refusal([entry(error, locations=place)], kind, error.status)
        except LamdbError as error:
            return _refusal([entry(error)], kind, error.status)
        except Exception as error:  # noqa: BLE001 - logged with its stack by `internal`
            refused = unreadable(error)
            return _refusal([internal(error)], kind, refused.status if refused else LamdbError.status)

    def mutation(self, request: GraphQLRequest, budget: Budget) -> Callable[[apsw.Connection], bytes] | None:
        """The work of a mutation, which returns the body of its response. For callers that commit themselves.

        None for what is no valid mutation of data, or is bound by rules or a search token. The work raises
        whatever `execute` would make an error of the response. Raises `RequestError`.
        """
        operation, lifted = self._preparation.operation(request)
        is_ruled = self.rules is not None and request.caller is not None
        if operation.kind != "mutation" or is_ruled or request.token is not None:
            return None
        variables = operation.coerce(request.variables or {})
        variables.update(lifted)
        roots = operation.roots(self._compiler, self._costs, variables)
        if not _needs_data(roots):
            return None

        def work(connection: apsw.Connection) -> bytes:
            budget.begin_mutation()
            answer = self._executor.mutation(connection, roots, variables)
            if answer.errors:
                raise _Aborted(answer)
            return _body(answer)

        return work

    def _query(
        self,
        database: Transactions,
        roots: list[Root],
        variables: Mapping[str, Any],
        min_txid: int,
        token: SearchToken | None,
    ) -> Answer:
        if not _needs_data(roots):
            return self._executor.query(None, roots, variables)
        with database.reader(min_txid) as connection:
            return self._executor.query(connection, roots, variables, token)

    def _mutate(
        self, database: Transactions, roots: list[Root], variables: Mapping[str, Any], once: Once | None
    ) -> "Answer | _Done":
        """One transaction, begun anew when another writer was first; an `Answer` if nothing is kept of it."""
        if not _needs_data(roots):
            return self._executor.query(None, roots, variables)
        return retry_fenced(lambda: self._attempt(database, roots, variables, once), self._fenced_retries)

    def _attempt(
        self, database: Transactions, roots: list[Root], variables: Mapping[str, Any], once: Once | None
    ) -> "Answer | _Done":
        budget = current()

        def work(connection: apsw.Connection) -> _Done:
            if budget is not None:
                budget.begin_mutation()
            if once is not None and (kept := once.find(connection)) is not None:
                return _Done(kept, replayed=True)
            answer = self._executor.mutation(connection, roots, variables)
            if answer.errors:
                raise _Aborted(answer)
            # What is too large to be answered must not be kept either.
            body = _body(answer)
            if once is not None:
                once.keep(connection, body)
            return _Done(body)

        try:
            return database.write(work)
        except _Aborted as aborted:
            return aborted.answer
        except apsw.ConstraintError as error:
            # A constraint that is only checked at the end belongs to no field.
            raise database_error(error) from error


class SchemaChanged(Exception):
    """The transaction to be written in is of another schema than the API; nothing was done. See `apis`."""


class _Done(NamedTuple):
    """The response to a mutation that is kept, now or in an earlier execution."""

    body: bytes
    replayed: bool = False


class _Aborted(Exception):
    """Leaves the work of a mutation so that it is rolled back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def _needs_data(roots: list[Root]) -> bool:
    return any(isinstance(root, DataRoot | SearchRoot | ChangesRoot) for root in roots)


def _body(answer: Answer) -> bytes:
    """Raises `ResponseTooLarge`, `TimeLimit`, `Cancelled`."""
    if answer.errors:
        body = orjson.dumps({"errors": answer.errors, "data": answer.data})
    else:
        body = orjson.dumps({"data": answer.data})
    budget = current()
    if budget is not None:
        if len(body) > budget.costs.max_bytes:
            raise too_large(len(body), budget.costs.max_bytes)
        budget.check()
    return body


def not_followed() -> NotAcceptable:
    """The error for a query with `@live` whose client takes one result only."""
    return NotAcceptable(
        "A query with @live is answered by a stream of results, which the request does not accept.",
        hint="Send Accept: text/event-stream to /graphql of the standalone server, or leave @live out.",
    )


def refusal(error: LamdbError) -> Result:
    """The response to a request that came to nothing because of `error`."""
    return _refusal([entry(error)], None, error.status)


def _refusal(entries: list[Entry], kind: Kind | None, status: int) -> Result:
    """The response to a request that is not executed: it has no `data`."""
    first = entries[0]["extensions"]
    return Result(
        written({"errors": entries}),
        executed=False,
        kind=kind,
        status=status,
        failed=True,
        code=first["code"],
        retryable=bool(first.get("retryable")),
    )
