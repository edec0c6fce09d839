"""Requests in Prisma's JSON protocol, executed on a SQLite connection.

`QueryEngine` combines the parts: it parameterises a request, compiles the plan once per shape and caches it,
and runs the plan with the request's values.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from threading import Lock
from typing import Any, Final
from weakref import ref

import apsw
import orjson

from lamdb.errors import QueryError, QueryTooCostly
from lamdb.lru import LruCache
from lamdb.prisma.datamodel.schema import PrismaSchema
from lamdb.prisma.query.bulk import ManyRows, RowPlans, creates_many, rows_of
from lamdb.prisma.query.compiler import QueryCompiler
from lamdb.prisma.query.inputs import InputGraph
from lamdb.prisma.query.parameters import (
    LISTS_HINT,
    Request,
    RequestTemplate,
    TemplateVariable,
    parameterise,
)
from lamdb.prisma.query.plan import Plan, Shape
from lamdb.search.definition import SearchDefinition
from lamdb.storage.budget import checkpoint
from lamdb.storage.waiting import about_to_work

__all__ = ["PreparedTemplate", "QueryEngine", "TemplateVariable"]


SEARCH_MARK: Final = b'"search":'
RELEVANCE_MARK: Final = b'"_relevance":'
"""The marks that a request with text searches contains."""

_MAX_KEPT_BYTES = 64 * 1024
"""Largest request whose plan is cached. A longer one contains data in its shape, and its plan is unlikely to
be used again."""


_MAX_SHAPE_BYTES = 1024 * 1024
"""Largest request, without its values. One compiler serves a schema, and takes some 3 s for so much."""


class QueryEngine:
    """One schema's requests. Safe to use from several threads, each with its own connection."""

    def __init__(
        self,
        schema: PrismaSchema,
        *,
        plan_cache_size: int = 1000,
        plan_bytes: int = 16 * 1024 * 1024,
        inputs: InputGraph | None = None,
        searches: Callable[[], Sequence[SearchDefinition]] | None = None,
    ) -> None:
        """With `inputs`, the engine does not need the schema's DMMF, which takes 100 ms at 30 models.
        `searches`
        are those that the schema declares, if they are known without the DMMF.

        `plan_cache_size` and `plan_bytes` limit the cached plans: their number, and the size of their
        requests.
        """
        self.schema = schema
        self._searches = searches or (lambda: schema.searches)
        self._compiler = QueryCompiler(schema)
        self._graph = inputs
        self._plans: LruCache[bytes, Plan] = LruCache(plan_cache_size, plan_bytes // 2)
        self._variants = _Variants(plan_bytes // 2)

    @property
    def graph(self) -> InputGraph:
        """The input types of the schema, built when first wanted."""
        if self._graph is None:
            self._graph = InputGraph.from_dmmf(self.schema.dmmf)
        return self._graph

    def run(self, connection: apsw.Connection, request: Request) -> Any:
        """Executes a request. Returns JSON-ready data.

        The caller owns the transaction, and must roll it back after a `QueryError`.
        """
        plan, values = self.prepare(request)
        return plan.run(connection, values)

    def prepare(self, request: Request) -> tuple[Plan, dict[str, Any]]:
        """Returns the plan of a request's shape, and the values for it. Raises `QueryError` (P2009) for an
        invalid request.
        """
        rows = rows_of(request, {}) if creates_many(request) else None
        if rows is not None:
            plans = RowPlans(self.prepare_template, request)
            return ManyRows(plans, rows, {}, request["modelName"]), {}
        found = parameterise(self.graph, request)
        return self.plan(found.shape)[0], found.values

    def prepare_template(self, request: Request, shape: Shape | None = None) -> "PreparedTemplate":
        """Returns a template for a request with `TemplateVariable`s, which can be bound many times.

        If `shape` is given, answers have this shape.
        """
        return PreparedTemplate(self, RequestTemplate(self.graph, request), shape)

    def plan(self, shape: Mapping[str, Any]) -> tuple[Plan, int]:
        """Returns the plan of a parameterised request, and the request's size in bytes."""
        request = _encode(shape)
        if len(request) > _MAX_SHAPE_BYTES:
            raise QueryTooCostly(
                f"Filters and nested writes of the request take {len(request)} bytes without their values; "
                f"the limit is {_MAX_SHAPE_BYTES}.",
                hint=LISTS_HINT,
                meta={"bytes": len(request), "limit": _MAX_SHAPE_BYTES},
            )
        plan = self._plans.get(request)
        if plan is None:
            plan = self._compile(shape.get("modelName"), request)
            if len(request) <= _MAX_KEPT_BYTES:
                self._plans.put(request, plan)
        return plan, len(request)

    def clear_plans(self) -> None:
        """Drops all plans."""
        self._plans.clear()
        self._variants.clear()

    def keep(self, template: "PreparedTemplate", key: tuple[Any, ...], size: int) -> None:
        """Records that a template caches the plan of a request of `size` bytes, which may be dropped."""
        self._variants.add(template, key, size)

    def _compile(self, model: str | None, request: bytes) -> Plan:
        about_to_work()
        checkpoint()
        if SEARCH_MARK in request or RELEVANCE_MARK in request:
            return self._compile_search(model, request)
        return Plan(self._compiler.compile(request), model=model)

    def _compile_search(self, model: str | None, request: bytes) -> Plan:
        """Returns the plan of a request that may search texts."""
        from lamdb.prisma.query.text_search import Rewriting  # few processes need it

        rewriting = Rewriting(self.graph, self._searches())
        made = _encode(rewriting.request(orjson.loads(request)))
        return Plan(rewriting.plan(self._compiler.compile(made)), model=model)


def _encode(request: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(request)
    except TypeError:
        raise QueryError(
            "A number used in the query does not fit into a 64 bit signed integer. Consider using `BigInt` "
            "as field type if you're trying to store large integers.",
            code="P2033",
        ) from None


class _Variants:
    """A bounded cache of the templates' plans, by the types of their variables. Thread-safe.

    The oldest plan is removed first, not the least recently used one, because uses are not recorded.
    """

    def __init__(self, most: int) -> None:
        """`most`: bytes of the requests that the plans were made of."""
        self._most = most
        self._kept: deque[tuple[ref[PreparedTemplate], tuple[Any, ...], int]] = deque()
        self._size = 0
        self._lock = Lock()

    def add(self, template: "PreparedTemplate", key: tuple[Any, ...], size: int) -> None:
        with self._lock:
            self._kept.append((ref(template), key, size))
            self._size += size
            while self._size > self._most and len(self._kept) > 1:
                self._drop()

    def clear(self) -> None:
        with self._lock:
            while self._kept:
                self._drop()

    def _drop(self) -> None:
        found, key, size = self._kept.popleft()
        self._size -= size
        template = found()
        if template is not None:
            template.drop(key)


class PreparedTemplate:
    """A request whose variables are bound for each run. Created by `QueryEngine.prepare_template`."""

    _MAX_VARIANTS = 100

    def __init__(self, engine: QueryEngine, template: RequestTemplate, shape: Shape | None) -> None:
        self._engine = engine
        self._template = template
        self._shape = shape
        self._variants: dict[tuple[Any, ...], tuple[Plan, tuple[str, ...], dict[str, Any]]] = {}
        self._rows: RowPlans | None = None
        if creates_many(template.request):
            self._rows = RowPlans(lambda request: engine.prepare_template(request, shape), template.request)

    def bind(self, variables: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
        """Returns the plan for variables of these types, and its values."""
        if self._rows is not None:
            rows = rows_of(self._template.request, variables)
            if rows is not None:
                return ManyRows(self._rows, rows, variables, self._template.request["modelName"]), {}
        key, values = self._template.read(variables)
        known = self._variants.get(key)
        if known is None:
            known = self._add(key, variables)
        plan, names, constants = known
        bound = dict(zip(names, values, strict=True))
        return plan, {**constants, **bound} if constants else bound

    def _add(
        self, key: tuple[Any, ...], variables: Mapping[str, Any]
    ) -> tuple[Plan, tuple[str, ...], dict[str, Any]]:
        about_to_work()
        variant = self._template.variant(variables)
        plan, size = self._engine.plan(variant.shape)
        if self._shape is not None:
            plan = plan.shaped(self._shape)
        known = (plan, variant.names, variant.constants)
        if sum(len(kind) for kind in key if isinstance(kind, bytes)) <= _MAX_KEPT_BYTES:
            if len(self._variants) >= self._MAX_VARIANTS:
                self._variants.pop(next(iter(self._variants)), None)
            self._variants[key] = known
            self._engine.keep(self, key, size)
        return known

    def drop(self, key: tuple[Any, ...]) -> None:
        """Lets go of the plan for one kind of variables."""
        self._variants.pop(key, None)
