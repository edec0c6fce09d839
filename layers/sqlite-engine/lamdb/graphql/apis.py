"""The APIs of the schemas that a database has had: each request uses the schema of the state that it sees.

    apis = Apis(build)                              # build(deployed) -> Api
    result = apis.execute(database, request)        # as Api.execute

A request pins a state first, and that state says which schema it is of: a migration that another process
has deployed is served from the first view that includes it, without a restart, and a document is never
checked against one schema and executed on another. A mutation looks again inside its transaction, and is
begun anew if a migration came in between.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, NoReturn

import apsw

from lamdb.errors import (
    AnswerNotKept,
    CorruptFile,
    Fenced,
    Forbidden,
    IdempotencyMismatch,
    LamdbError,
    NoSchema,
    RequestError,
)
from lamdb.graphql import stored_schema
from lamdb.graphql.api import Api, Result, SchemaChanged, refusal
from lamdb.graphql.document.document import operation_kind
from lamdb.graphql.execution.prepared import CachedDocument, Kind
from lamdb.graphql.idempotency import Once
from lamdb.graphql.request import GraphQLRequest
from lamdb.graphql.slow_operations import SlowOperations
from lamdb.graphql.stored_schema import StoredSchema
from lamdb.storage import Database
from lamdb.storage.budget import Budget
from lamdb.storage.transactions import OneState
from lamdb.storage.waiting import about_to_wait
from lamdb.storage.watched_reads import Watch

KEPT: Final = 4
"""Schemas in memory: the present one, those before it that pinned or past states still have."""

SLOW_OPERATION: Final = 0.1

_MUTATION: Final = "mutation"
"""A document without this word holds no mutation."""

_ATTEMPTS: Final = 10
"""Attempts of one mutation: each can only fail because one more migration was committed in between."""


@dataclass(frozen=True, slots=True)
class ServedSchema:
    """A schema and its API."""

    stored: StoredSchema
    api: Api


class Apis:
    """Answers GraphQL requests by the schema of the state they see. Safe to use from several threads."""

    def __init__(
        self,
        build: Callable[[StoredSchema], Api],
        *,
        kept: int = KEPT,
        slow_operation: float = SLOW_OPERATION,
    ) -> None:
        """`slow_operation`: seconds from which on an operation is remembered in `slow`."""
        self._build = build
        self._kept = kept
        self._served: OrderedDict[str, ServedSchema] = OrderedDict()
        self._lock = threading.Lock()
        self._loading = threading.Lock()
        self._last: tuple[int, ServedSchema] | None = None
        """A TXID and what is served at it."""
        self.slow = SlowOperations(slow_operation)

    def copy(self) -> "Apis":
        """Returns APIs for another database with these schemas; compiled documents and plans are shared."""
        other = Apis(self._build, kept=self._kept, slow_operation=self.slow.threshold)
        with self._lock:
            other._served.update(self._served)
        return other

    def operation_kind(self, request: GraphQLRequest) -> Kind:
        """Whether a request is a query or a mutation, whatever the schema. Raises `RequestError`."""
        if self._last is not None:
            return self._last[1].api.operation_kind(request)
        kind: Kind = operation_kind(request.query, request.operation_name).value  # type: ignore[assignment]
        return kind

    def execute(
        self, database: Database, request: GraphQLRequest, *, min_txid: int = 0, once: Once | None = None
    ) -> Result:
        """Answer a request; every failure becomes an error of the response, but `IdempotencyMismatch`.

        See `Api.execute`.

        `Result.txid` is the transaction after which a query saw the database, or that of a mutation.
        """
        started = time.perf_counter()
        result = self._execute(database, request, min_txid, once)
        seconds = time.perf_counter() - started
        if seconds > self.slow.threshold:
            self._note(request, result, seconds)
        return result

    def mutation(self, request: GraphQLRequest, budget: Budget) -> Callable[[apsw.Connection], bytes] | None:
        """As `Api.mutation`, by the schema that was served last; None if there was none.

        The work raises `SchemaChanged` if the newest state is of another schema.
        """
        if self._last is None:
            return None
        served = self._last[1]
        work = served.api.mutation(request, budget)
        if work is None:
            return None
        expected = served.stored.hash

        def checked(connection: apsw.Connection) -> bytes:
            if stored_schema.read_hash(connection) != expected:
                raise SchemaChanged
            return work(connection)

        return checked

    def note(self, request: GraphQLRequest, kind: Kind, seconds: float) -> None:
        """Remembers an operation that was executed elsewhere, if it was slow."""
        if seconds > self.slow.threshold:
            self._note(request, Result(b"", executed=True, kind=kind), seconds)

    def documents(self) -> list[CachedDocument]:
        """The documents that are kept compiled, of the schema that was served last."""
        return self._last[1].api.documents() if self._last else []

    def _note(self, request: GraphQLRequest, result: Result, seconds: float) -> None:
        """Remember a slow operation; what did not get as far as one is none."""
        if result.kind is None or self._last is None:
            return
        try:
            name = request.operation_name or self._last[1].api.operation_name(request)
        except RequestError:
            return  # a migration came in between, and the document does not fit any more
        self.slow.note(request.query, name, result.kind, seconds)

    def _execute(
        self, database: Database, request: GraphQLRequest, min_txid: int, once: Once | None
    ) -> Result:
        try:
            known = database.txid
            result = self._at_known_state(database, request, min_txid, once)
            if result.executed or not _refused_by_schema(request, result) or database.refresh() == known:
                return result
            return self._at_known_state(database, request, min_txid, once)
        except (IdempotencyMismatch, AnswerNotKept, Forbidden):
            raise
        except LamdbError as error:
            return refusal(error)
        except (apsw.CorruptError, apsw.NotADBError) as error:
            return refusal(CorruptFile(f"SQLite cannot read the database: {error}"))

    def _at_known_state(
        self, database: Database, request: GraphQLRequest, min_txid: int, once: Once | None
    ) -> Result:
        """The response by the newest schema that this process knows; what a mutation finds is the newest
        state's. Raises `LamdbError`."""
        if self._last is not None and _MUTATION in request.query:
            result = _Writing(database, self._last[1]).attempt(request, once)
            if result is not None:
                return result
        for _ in range(_ATTEMPTS):
            try:
                pinned = _Pinned(self, database, min_txid)
            except NoSchema as error:
                return refusal(error)
            with pinned:
                try:
                    return pinned.execute(request, once)
                except SchemaChanged:
                    continue
        raise Fenced("Migrations changed the schema during each attempt.")

    def execute_on(
        self, connection: apsw.Connection, txid: int, request: GraphQLRequest, *, follows: bool = False
    ) -> Result:
        """Answer a query on a connection that sees the database after transaction `txid`, such as a past one.

        A mutation fails with `ReadOnly` if the connection is a reader's. `follows`: see `Api.execute`.
        """
        try:
            served = self.at(connection, txid)
        except LamdbError as error:
            return refusal(error)
        return served.api.execute(OneState(connection, txid), request, follows=follows)

    def follow(self, database: Database, request: GraphQLRequest) -> "tuple[Result, Watch]":
        """Answer a query whose client follows its results, by the newest state that this process knows.

        The watch tells when another answer is possible: because of data, the schema or its rules. Raises
        `StorageError`, `Forbidden`.
        """
        with database.watched.lease() as lease:
            stored_schema.read_hash(lease.connection)  # known by TXID, so it might not be read otherwise
            result = self.execute_on(lease.connection, lease.txid, request, follows=True)
            if not result.txid:
                result.txid = lease.txid
            return result, database.watched.watch(lease.reads())

    def require_same_rules(self, connection: apsw.Connection, txid: int, database: Database) -> None:
        """Raises `Forbidden` if a past state has other rules than the newest, which may be stricter."""
        try:
            present, past = self.newest(database).api.rules, self.at(connection, txid).api.rules
        except NoSchema:
            return
        if present is not None and (past is None or past.digest != present.digest):
            raise Forbidden(
                "The row rules have changed since that state.",
                hint="Ask for a later state, or use the role admin, to which rules do not apply.",
            )

    def newest(self, database: Database) -> ServedSchema:
        """The API of the newest state that this process knows. Raises `NoSchema`."""
        lease = database.reader()
        with lease as connection:
            return self.at(connection, lease.txid)

    def at(self, connection: apsw.Connection, txid: int) -> ServedSchema:
        """The API for a connection that sees the database after transaction `txid`.

        Raises `NoSchema` if the database carries none there.
        """
        last = self._last
        if last is not None and last[0] == txid:
            return last[1]
        served = self.of(connection)
        self._last = (txid, served)
        return served

    def of(self, connection: apsw.Connection) -> ServedSchema:
        """The API for a connection, such as one that is in a transaction. Raises `NoSchema`."""
        schema_hash = stored_schema.read_hash(connection)
        if schema_hash is None:
            raise NoSchema("The database has no schema.")
        served = self._known(schema_hash)
        if served is None:
            about_to_wait()  # Loading takes a while, and another thread may be at it.
            with self._loading:
                served = self._known(schema_hash) or self._load(connection)
        return served

    def _known(self, schema_hash: str) -> ServedSchema | None:
        with self._lock:
            served = self._served.get(schema_hash)
            if served is not None:
                self._served.move_to_end(schema_hash)
            return served

    def _load(self, connection: apsw.Connection) -> ServedSchema:
        found = stored_schema.load(connection)
        if found is None:
            raise NoSchema("The database has no schema.")
        served = ServedSchema(found, self._build(found))
        with self._lock:
            self._served[found.hash] = served
            if len(self._served) > self._kept:
                self._served.popitem(last=False)
            # The memory for caches is that of one schema. Requests to past states make theirs anew.
            for each in self._served.values():
                if each is not served:
                    each.api.clear_caches()
        return served


class _Writing:
    """A database to one `Api`, for one mutation that expects the schema of the last request: pinning a state
    to ask it first would cost more than the question."""

    __slots__ = ("_database", "_decided", "_served", "txid")

    def __init__(self, database: Database, served: ServedSchema) -> None:
        self._database = database
        self._served = served
        self._decided = False
        self.txid = 0

    def attempt(self, request: GraphQLRequest, once: Once | None) -> Result | None:
        """The response; None, with nothing done, if the schema may be another or it is no mutation."""
        try:
            result = self._served.api.execute(self, request, once=once)
        except SchemaChanged:
            return None
        return result if self._decided else None

    def reader(self, min_txid: int = 0) -> NoReturn:
        raise SchemaChanged

    def write[T](self, work: Callable[[apsw.Connection], T]) -> T:
        """Raises `SchemaChanged`, with nothing done, if the newest state is of another schema."""
        expected = self._served.stored.hash

        def checked(connection: apsw.Connection) -> T:
            if stored_schema.read_hash(connection) != expected:
                raise SchemaChanged
            self._decided = True
            return work(connection)

        result = self._database.write(checked)
        self.txid = self._database.txid
        return result


class _Pinned:
    """A database to one `Api`, for one request: the state that is pinned, and writes while it is of the same
    schema."""

    __slots__ = ("_connection", "_database", "_lease", "_open", "_served", "txid")

    def __init__(self, apis: Apis, database: Database, min_txid: int) -> None:
        self._database = database
        self._lease = database.reader(min_txid)
        self._connection = self._lease.__enter__()
        self._open = True
        self.txid = self._lease.txid
        try:
            self._served = apis.at(self._connection, self.txid)
        except BaseException:
            self._release()
            raise

    def execute(self, request: GraphQLRequest, once: Once | None) -> Result:
        result = self._served.api.execute(self, request, once=once)
        if not result.txid:
            result.txid = self.txid
        return result

    def reader(self, min_txid: int = 0) -> OneState:
        return OneState(self._connection, self.txid)

    def write[T](self, work: Callable[[apsw.Connection], T]) -> T:
        """Raises `SchemaChanged`, with nothing done, if the newest state is of another schema."""
        self._release()
        result = _Writing(self._database, self._served).write(work)
        self.txid = self._database.txid
        return result

    def _release(self) -> None:
        if self._open:
            self._open = False
            self._lease.__exit__(None, None, None)

    def __enter__(self) -> "_Pinned":
        return self

    def __exit__(self, *_: object) -> None:
        self._release()


def _refused_by_schema(request: GraphQLRequest, result: Result) -> bool:
    """True if another schema might accept a mutation that was not executed.

    Statuses from 500 on are the store's, except that of `NoSchema`, which means that no schema is
    deployed.
    """
    if _MUTATION not in request.query:
        return False
    return result.status < 500 or f'"{NoSchema.code}"'.encode() in result.body
