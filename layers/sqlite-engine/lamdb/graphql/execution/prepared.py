"""Prepares documents, from text to compiled operations, and caches them.

A text is looked up unchanged, then by its skeleton (see `parameterization`), and only then parsed, measured,
validated and, when one of its operations is requested, compiled.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from graphql.language import OperationDefinitionNode, OperationType

from lamdb.errors import DocumentTooDeep, VariablesInvalid
from lamdb.graphql.document import document as documents
from lamdb.graphql.document.document import Document, Limits
from lamdb.graphql.document.live import Live
from lamdb.graphql.document.selection import Collector, condition_names
from lamdb.graphql.document.validation import validate
from lamdb.graphql.document.variables import VariableCoercer
from lamdb.graphql.errors import Entry, invalid, locations_of
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.cost import CostLimit, Node
from lamdb.graphql.execution.input_blame import explain
from lamdb.graphql.execution.introspection import Introspector
from lamdb.graphql.execution.operation import Root
from lamdb.graphql.execution.parameterization import Liftable, Skeleton, skeleton_of
from lamdb.graphql.execution.prisma_errors import refused
from lamdb.graphql.request import GraphQLRequest, Kind
from lamdb.graphql.schema.lazy import LazySchema
from lamdb.lru import LruCache
from lamdb.prisma.query.engine import QueryEngine
from lamdb.storage.budget import checkpoint
from lamdb.storage.waiting import about_to_work

__all__ = ["CachedDocument", "GraphQLRequest", "Kind", "Preparation", "Prepared"]

type Values = Mapping[str, Any]

_MAX_VARIANTS: Final = 32
"""Kept of one operation: a variant for each combination of its `@skip` and `@include` variables. Kept of one
skeleton: a document for each combination of the literals that must be equal."""

_NOTHING: Final[Values] = {}


@dataclass(slots=True)
class Prepared:
    """An operation of a valid document, with what is compiled of it so far."""

    document: Document
    lifted: Mapping[int, str]
    """The variables that stand for literals, by the literals' offsets."""
    node: OperationDefinitionNode
    kind: Kind
    live: Live | None
    """The directive `@live`."""
    coerce: VariableCoercer
    conditions: tuple[str, ...]
    """The variables in `@skip` and `@include`."""
    whole: bytes | None
    """The gzipped response, if the operation asks for the whole schema and nothing else."""
    variants: dict[tuple[bool, ...], tuple[list[Root], tuple[Node, ...]]] = field(default_factory=dict)

    def roots(self, compiler: OperationCompiler, costs: CostLimit, variables: Values) -> list[Root]:
        """The operation's root fields, compiled.

        Raises `VariablesInvalid` for a condition that is null, `QueryTooCostly`.
        """
        key = tuple([_condition(name, variables) for name in self.conditions])
        known = self.variants.get(key)
        if known is None:
            about_to_work()
            known = self._compiled(compiler, costs, variables)
            if len(self.variants) < _MAX_VARIANTS:
                self.variants[key] = known
        roots, nodes = known
        if nodes:
            costs.check(nodes, variables)
        return roots

    def _compiled(
        self, compiler: OperationCompiler, costs: CostLimit, variables: Values
    ) -> tuple[list[Root], tuple[Node, ...]]:
        nodes = costs.estimate(self.node, Collector(self.document.fragments, variables, self.lifted))
        if nodes:
            costs.check(nodes, variables)
        return compiler.operation(self.node, self.document.fragments, variables, self.lifted), nodes


@dataclass(slots=True)
class _Valid:
    """A valid document, with those of its operations that were asked for."""

    document: Document
    lifted: Mapping[int, str] = field(default_factory=dict)
    operations: dict[str | None, Prepared] = field(default_factory=dict)
    uses: int = 0
    last_use: int = 0
    """The number of the last use of this one among all uses. Threads may lose count of a few."""


@dataclass(slots=True)
class _Alike:
    """The valid documents of one skeleton. Nothing is lifted before a second one comes."""

    document: Document
    skeleton: Skeleton
    liftable: Liftable | None = None
    documents: dict[tuple[str, ...], _Valid] = field(default_factory=dict)
    """By the literals that must be equal."""


@dataclass(frozen=True, slots=True)
class CachedDocument:
    """A document in the cache: its text, its operations' names, the first's kind, how often it was used."""

    text: str
    names: tuple[str | None, ...]
    kind: Kind
    uses: int


class Preparation:
    """Prepares the operations of one schema's documents, and keeps them."""

    def __init__(
        self,
        engine: QueryEngine,
        compiler: OperationCompiler,
        introspector: Introspector,
        limits: Limits,
        cached: int,
        characters: int,
    ) -> None:
        """`cached` and `characters`: how many documents are kept, and how long they are together."""
        self._engine = engine
        self._compiler = compiler
        self._introspector = introspector
        self._schema = LazySchema(compiler.types)
        self._limits = limits
        self._texts: LruCache[str, _Valid] = LruCache(cached, characters // 2)
        self._skeletons: LruCache[str, _Alike] = LruCache(cached, characters // 2)
        self._uses = 0

    def operation(self, request: GraphQLRequest) -> tuple[Prepared, Values]:
        """The operation that a request asks for, and the values of the literals that were lifted out of it.

        Raises `RequestError`.
        """
        valid, values = self._valid(request)
        self._uses = valid.last_use = self._uses + 1
        valid.uses += 1
        operation = valid.operations.get(request.operation_name)
        if operation is None:
            operation = self._prepare(valid, request.operation_name)
            valid.operations[request.operation_name] = operation
        return operation, values

    def cached(self) -> list[CachedDocument]:
        """The documents in the cache, the one that was used last first.

        Of those that differ in literals only, there is one.
        """
        known = [*self._texts.values()]
        for alike in self._skeletons.values():
            known += alike.documents.values()
        by_text: dict[str, list[_Valid]] = {}
        for valid in sorted(known, key=lambda each: each.last_use, reverse=True):
            by_text.setdefault(valid.document.text, []).append(valid)
        return [
            CachedDocument(text, *_described(found[0].document), sum(each.uses for each in found))
            for text, found in by_text.items()
        ]

    def clear(self) -> None:
        """Drops all documents."""
        self._texts.clear()
        self._skeletons.clear()

    def kind(self, request: GraphQLRequest) -> Kind:
        """Whether a request is a query or a mutation. Raises `RequestError` if the operation is ambiguous."""
        known: _Valid | _Alike | None = self._texts.get(request.query)
        if known is None and (skeleton := self._skeleton(request.query)) is not None:
            known = self._skeletons.get(skeleton.key)
        document = known.document if known else documents.load(request.query, self._limits)
        return _kind(document.operation(request.operation_name))

    def places(self, request: GraphQLRequest, variables: Values) -> dict[str, list[dict[str, int]]]:
        """Where the root fields of a request stand, by their response names.

        What is compiled of a document alike knows other places.
        """
        document = documents.load(request.query, self._limits)
        node = document.operation(request.operation_name)
        roots = Collector(document.fragments, variables).collect([node.selection_set])
        return {selected.key: locations_of(selected.nodes[:1]) for selected in roots}

    def place_of_variable(self, request: GraphQLRequest, name: str | None) -> list[dict[str, int]]:
        """Where a valid request's operation defines a variable; nowhere without a name."""
        document = documents.load(request.query, self._limits)
        definitions = document.operation(request.operation_name).variable_definitions
        return locations_of([node for node in definitions if node.variable.name.value == name])

    def explain(self, request: GraphQLRequest, variables: Values, errors: Sequence[Entry]) -> None:
        """Rewrites errors of a valid request's fields that its input caused (see `input_blame`).

        Raises `VariablesInvalid` if a variable is at fault.
        """
        document = documents.load(request.query, self._limits)
        explain(self._schema, document, document.operation(request.operation_name), variables, errors)

    def _valid(self, request: GraphQLRequest) -> tuple[_Valid, Values]:
        valid = self._texts.get(request.query)
        if valid is not None:
            return valid, _NOTHING
        skeleton = self._skeleton(request.query)
        if skeleton is None:
            return self._validate(request), _NOTHING
        alike = self._skeletons.get(skeleton.key)
        if alike is None:
            valid = self._validate(request)
            self._skeletons.put(skeleton.key, _Alike(valid.document, skeleton))
            return valid, _NOTHING
        return self._lift(request, skeleton, alike)

    def _skeleton(self, text: str) -> Skeleton | None:
        # A character is at most four bytes: so short a text is within the limit, whatever its literals are.
        return skeleton_of(text) if len(text) * 4 <= self._limits.bytes else None

    def _lift(self, request: GraphQLRequest, skeleton: Skeleton, alike: _Alike) -> tuple[_Valid, Values]:
        """A document that is valid because another one with the same skeleton was."""
        liftable = alike.liftable
        if liftable is None:
            about_to_work()
            liftable = Liftable(self._compiler, alike.document, alike.skeleton)
            first = _Valid(alike.document, liftable.names(alike.skeleton))
            alike.documents[liftable.fixed(alike.skeleton)] = first
            alike.liftable = liftable
        values = liftable.values(skeleton) if liftable else None
        if values is None:
            return self._validate(request), _NOTHING
        fixed = liftable.fixed(skeleton)
        valid = alike.documents.get(fixed)
        if valid is None:
            valid = _Valid(self._validate(request).document, liftable.names(skeleton))
            if len(alike.documents) < _MAX_VARIANTS:
                alike.documents[fixed] = valid
                weight = len(skeleton.key) * len(alike.documents)
                self._skeletons.put(skeleton.key, alike, weight)
        return valid, values

    def _validate(self, request: GraphQLRequest) -> _Valid:
        about_to_work()
        try:
            document = documents.load(request.query, self._limits)
            checkpoint()
            errors = validate(self._schema, document.ast)
        except RecursionError:
            raise DocumentTooDeep("The document nests too deeply.") from None
        if errors:
            raise refused(
                self._engine,
                self._compiler,
                document,
                request.operation_name,
                request.variables or {},
                errors,
            )
        valid = _Valid(document)
        self._texts.put(request.query, valid)
        return valid

    def _prepare(self, valid: _Valid, name: str | None) -> Prepared:
        about_to_work()
        document = valid.document
        node = document.operation(name)
        return Prepared(
            document=document,
            lifted=valid.lifted,
            node=node,
            kind=_kind(node),
            live=Live.of(node),
            coerce=VariableCoercer(self._compiler.types, node.variable_definitions),
            conditions=condition_names(node.selection_set, document.fragments),
            # Lifting is for arguments of data fields: there the whole schema is not all that is asked for.
            whole=None
            if valid.lifted or node.directives
            else self._introspector.whole(node, document.fragments),
        )


def _condition(name: str, variables: Values) -> bool:
    value = variables.get(name)
    if value is None:
        raise VariablesInvalid(f'Variable "${name}" is used in @skip or @include and must not be null.')
    return bool(value)


def _described(document: Document) -> tuple[tuple[str | None, ...], Kind]:
    first = next(iter(document.operations.values()))
    return tuple(document.operations), "mutation" if first.operation is OperationType.MUTATION else "query"


def _kind(node: OperationDefinitionNode) -> Kind:
    if node.operation is OperationType.SUBSCRIPTION:
        raise invalid("Subscriptions are not supported. Follow a query: query @live { … }", nodes=[node])
    return "mutation" if node.operation is OperationType.MUTATION else "query"
