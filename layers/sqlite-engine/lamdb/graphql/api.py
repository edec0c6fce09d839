"""The GraphQL API of one schema: a request goes in, the bytes of its response come out.

    api = Api(engine, ApiTypes.from_dmmf(schema.dmmf))
    result = api.execute(database, GraphQLRequest("{ findManyPost { title } }"))
    result.body      # b'{"data":{"findManyPost":[…]}}'

A document is checked and compiled once and then kept by its text, or by its text without literals (see
`lifting`). Queries run on one snapshot. A mutation
document is one transaction: when one of its fields fails, nothing of it is kept and `data` is null.
"""

import gzip
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import orjson
from graphql.language import OperationDefinitionNode, OperationType

from lamdb.errors import DocumentInvalid, DocumentTooDeep, Fenced, LamdbError, VariablesInvalid
from lamdb.graphql import document as documents
from lamdb.graphql.compile import Compiler
from lamdb.graphql.document import DEFAULT_LIMITS, Document, DocumentCache, Limits
from lamdb.graphql.errors import (
    Entry,
    entry,
    internal,
    invalid,
    locations_of,
    validation_errors,
)
from lamdb.graphql.execute import Answer, Executor
from lamdb.graphql.introspection import Introspector
from lamdb.graphql.lazy import LazySchema
from lamdb.graphql.lifting import Liftable, Skeleton, skeleton_of
from lamdb.graphql.operation import DataRoot, Root
from lamdb.graphql.selection import Collector, condition_names
from lamdb.graphql.types import ApiTypes
from lamdb.graphql.validation import validate
from lamdb.graphql.variables import VariableCoercer
from lamdb.graphql.verdict import prisma_verdict
from lamdb.prisma.engine import Engine
from lamdb.storage import Database

type Kind = Literal["query", "mutation"]

_MAX_VARIANTS: Final = 32
"""Compiled variants of one operation: one for each combination of its `@skip` and `@include` variables."""

_NOTHING_LIFTED: Final[Mapping[str, Any]] = {}

_FENCED_PAUSE: Final = 0.05
"""Seconds: the longest pause before the first new attempt of a fenced mutation; it doubles each time."""


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One request, whatever brought it."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    extensions: Mapping[str, Any] | None = None


class Result:
    """One response.

    - `body`: the JSON of the response.
    - `gzipped`: the same, compressed, where it was at hand.
    - `executed`: whether execution began; only then the response has `data`.
    - `kind`: `None` when the request did not get as far as an operation.
    - `status`: the HTTP status that fits a response without `data`.
    - `txid`: a transaction that includes all that was seen and written; 0 when nothing was.
    """

    __slots__ = ("_body", "executed", "gzipped", "kind", "status", "txid")

    def __init__(
        self,
        body: bytes | None,
        *,
        executed: bool,
        kind: Kind | None,
        status: int = 200,
        txid: int = 0,
        gzipped: bytes | None = None,
    ) -> None:
        self._body = body
        self.executed = executed
        self.kind: Kind | None = kind
        self.status = status
        self.txid = txid
        self.gzipped = gzipped

    @property
    def body(self) -> bytes:
        if self._body is None:
            self._body = gzip.decompress(self.gzipped or b"")
        return self._body


@dataclass(slots=True)
class _Operation:
    """An operation of a valid document, with what is compiled of it so far."""

    document: Document
    lifted: Mapping[int, str]
    node: OperationDefinitionNode
    kind: Kind
    coerce: VariableCoercer
    conditions: tuple[str, ...]
    whole: bytes | None
    """The gzipped response, if the operation asks for the whole schema and nothing else."""
    variants: dict[tuple[Any, ...], list[Root]] = field(default_factory=dict)


@dataclass(slots=True)
class _Valid:
    """A valid document, with those of its operations that were asked for."""

    document: Document
    lifted: Mapping[int, str] = field(default_factory=dict)
    """The variables that stand for literals, by the literals' offsets."""
    operations: dict[str | None, _Operation] = field(default_factory=dict)


@dataclass(slots=True)
class _Alike:
    """The valid documents of one skeleton. Nothing is lifted before a second one comes."""

    document: Document
    skeleton: Skeleton
    liftable: Liftable | None = None
    documents: dict[tuple[str, ...], _Valid] = field(default_factory=dict)
    """By the literals that must be equal."""


class Api:
    """Answers GraphQL requests. Safe to use from several threads.

    - `limits`: what one document may cost.
    - `fenced_retries`: how often a mutation is tried again after another writer was first. Nothing of the
      failed attempt was kept, so trying again is safe; in between it waits a random time that grows.
    - `introspection`: the precomputed answers to introspection queries (see `introspection.precompute`).
    """

    def __init__(
        self,
        engine: Engine,
        types: ApiTypes,
        *,
        limits: Limits = DEFAULT_LIMITS,
        cached_documents: int = 1000,
        fenced_retries: int = 3,
        introspection: bytes | None = None,
    ) -> None:
        self.types = types
        self.limits = limits
        self.schema = LazySchema(types)
        self._fenced_retries = fenced_retries
        self._engine = engine
        self._compiler = Compiler(types)
        self._introspector = Introspector(types, introspection)
        self._executor = Executor(engine, self._compiler, self._introspector)
        self._documents: DocumentCache[_Valid] = DocumentCache(cached_documents)
        self._skeletons: DocumentCache[_Alike] = DocumentCache(cached_documents)

    def operation_kind(self, request: GraphQLRequest) -> Kind:
        """Whether a request is a query or a mutation, without executing or validating it.

        Raises `RequestError` when that cannot be told.
        """
        known: _Valid | _Alike | None = self._documents.get(request.query)
        if known is None and (skeleton := self._skeleton(request.query)) is not None:
            known = self._skeletons.get(skeleton.key)
        document = known.document if known else documents.load(request.query, self.limits)
        return _kind(document.operation(request.operation_name))

    def execute(self, database: Database, request: GraphQLRequest, *, min_txid: int = 0) -> Result:
        """Answer a request; every failure becomes an error of the response.

        A query sees at least transaction `min_txid`.
        """
        kind: Kind | None = None
        try:
            valid, values = self._valid(request)
            operation = self._operation(valid, request.operation_name)
            kind = operation.kind
            if operation.whole is not None:
                return Result(None, executed=True, kind=kind, gzipped=operation.whole)
            variables = operation.coerce(request.variables or {})
            variables.update(values)
            roots = self._roots(operation, variables)
            if kind == "mutation":
                answer = self._mutate(database, roots, variables)
            else:
                answer = self._query(database, roots, variables, min_txid)
            if answer.errors and values:
                self._relocate(answer, request, variables)
            return Result(_body(answer), executed=True, kind=kind, txid=database.txid)
        except DocumentInvalid as error:
            return _refusal(error.entries, kind, error.status)
        except LamdbError as error:
            return _refusal([entry(error)], kind, error.status)
        except Exception as error:  # noqa: BLE001 - logged with its stack by `internal`
            return _refusal([internal(error)], kind, LamdbError.status)

    def _valid(self, request: GraphQLRequest) -> tuple[_Valid, Mapping[str, Any]]:
        """The document of a request, and the values of the literals that were lifted out of it."""
        valid = self._documents.get(request.query)
        if valid is not None:
            return valid, _NOTHING_LIFTED
        skeleton = self._skeleton(request.query)
        if skeleton is None:
            return self._validate(request), _NOTHING_LIFTED
        alike = self._skeletons.get(skeleton.key)
        if alike is None:
            valid = self._validate(request)
            self._skeletons.put(skeleton.key, _Alike(valid.document, skeleton))
            return valid, _NOTHING_LIFTED
        return self._lift(request, skeleton, alike)

    def _skeleton(self, text: str) -> Skeleton | None:
        # A character is at most four bytes: a text this short is within the limit, whatever its literals are.
        return skeleton_of(text) if len(text) * 4 <= self.limits.bytes else None

    def _lift(
        self, request: GraphQLRequest, skeleton: Skeleton, alike: _Alike
    ) -> tuple[_Valid, Mapping[str, Any]]:
        """A document that is valid because one of the same skeleton was."""
        if alike.liftable is None:
            alike.liftable = Liftable(self._compiler, alike.document, alike.skeleton)
            fixed = alike.liftable.fixed(alike.skeleton)
            alike.documents[fixed] = _Valid(alike.document, alike.liftable.names(alike.skeleton))
        values = alike.liftable.values(skeleton) if alike.liftable else None
        if values is None:
            return self._validate(request), _NOTHING_LIFTED
        fixed = alike.liftable.fixed(skeleton)
        valid = alike.documents.get(fixed)
        if valid is None:
            valid = _Valid(self._validate(request).document, alike.liftable.names(skeleton))
            if len(alike.documents) < _MAX_VARIANTS:
                alike.documents[fixed] = valid
        return valid, values

    def _relocate(self, answer: Answer, request: GraphQLRequest, variables: Mapping[str, Any]) -> None:
        """Put the places of errors right: what was compiled is of a document with other literals."""
        document = documents.load(request.query, self.limits)
        node = document.operation(request.operation_name)
        collector = Collector(document.fragments, variables)
        places = {
            selected.key: locations_of(selected.nodes[:1])
            for selected in collector.collect([node.selection_set])
        }
        for error in answer.errors:
            error["locations"] = places[error["path"][0]]

    def _operation(self, valid: _Valid, name: str | None) -> _Operation:
        operation = valid.operations.get(name)
        if operation is None:
            operation = valid.operations[name] = self._prepare(valid, name)
        return operation

    def _validate(self, request: GraphQLRequest) -> _Valid:
        try:
            document = documents.load(request.query, self.limits)
            errors = validate(self.schema, document.ast)
        except RecursionError:
            raise DocumentTooDeep("The document nests too deeply.") from None
        if errors:
            raise validation_errors(errors, self._verdict(document, request))
        valid = _Valid(document)
        self._documents.put(request.query, valid)
        return valid

    def _verdict(self, document: Document, request: GraphQLRequest) -> Entry | None:
        return prisma_verdict(
            self._engine, self._compiler, document, request.operation_name, request.variables or {}
        )

    def _prepare(self, valid: _Valid, name: str | None) -> _Operation:
        document = valid.document
        node = document.operation(name)
        return _Operation(
            document=document,
            lifted=valid.lifted,
            node=node,
            kind=_kind(node),
            coerce=VariableCoercer(self.types, node.variable_definitions),
            conditions=condition_names(node.selection_set, document.fragments),
            whole=None if valid.lifted else self._introspector.whole(node, document.fragments),
        )

    def _roots(self, operation: _Operation, variables: Mapping[str, Any]) -> list[Root]:
        key = tuple(_condition(name, variables) for name in operation.conditions)
        roots = operation.variants.get(key)
        if roots is None:
            document = operation.document
            roots = self._compiler.operation(operation.node, document.fragments, variables, operation.lifted)
            if len(operation.variants) < _MAX_VARIANTS:
                operation.variants[key] = roots
        return roots

    def _query(
        self, database: Database, roots: list[Root], variables: Mapping[str, Any], min_txid: int
    ) -> Answer:
        if not _needs_data(roots):
            return self._executor.query(None, roots, variables)
        with database.reader(min_txid) as connection:
            return self._executor.query(connection, roots, variables)

    def _mutate(self, database: Database, roots: list[Root], variables: Mapping[str, Any]) -> Answer:
        """One transaction, begun anew when another writer was first."""
        if not _needs_data(roots):
            return self._executor.query(None, roots, variables)
        for attempt in range(self._fenced_retries):
            try:
                return self._mutate_once(database, roots, variables)
            except Fenced:
                time.sleep(random.uniform(0, _FENCED_PAUSE * 2**attempt))
        return self._mutate_once(database, roots, variables)

    def _mutate_once(self, database: Database, roots: list[Root], variables: Mapping[str, Any]) -> Answer:
        try:
            with database.writer() as connection:
                answer = self._executor.mutation(connection, roots, variables)
                if answer.errors:
                    raise _Aborted(answer)
                return answer
        except _Aborted as aborted:
            return aborted.answer


class _Aborted(Exception):
    """Leaves a writer's block so that it rolls back."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.answer = answer


def _condition(name: str, variables: Mapping[str, Any]) -> bool:
    value = variables.get(name)
    if value is None:
        raise VariablesInvalid(f'Variable "${name}" stands in @skip or @include and must not be null.')
    return bool(value)


def _needs_data(roots: list[Root]) -> bool:
    return any(isinstance(root, DataRoot) for root in roots)


def _kind(node: OperationDefinitionNode) -> Kind:
    if node.operation is OperationType.SUBSCRIPTION:
        raise invalid("Subscriptions are not supported.", nodes=[node])
    return "mutation" if node.operation is OperationType.MUTATION else "query"


def _body(answer: Answer) -> bytes:
    if answer.errors:
        return orjson.dumps({"errors": answer.errors, "data": answer.data})
    return orjson.dumps({"data": answer.data})


def _refusal(entries: list[Entry], kind: Kind | None, status: int) -> Result:
    """The response to a request that is not executed: it has no `data`."""
    return Result(orjson.dumps({"errors": entries}), executed=False, kind=kind, status=status)
