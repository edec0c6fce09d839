"""Executes a compiled operation on a connection: its requests, follow-up requests, and the response's `data`.

Nothing here runs per field: the engine builds each response object from the rows by the operation's shape.
Only selections that need follow-ups are assembled in Python.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import apsw
import orjson

from lamdb.errors import Forbidden, LamdbError, LimitError, QueryError, StorageError
from lamdb.graphql.document.values import bind, protocol
from lamdb.graphql.errors import Entry, entry, internal
from lamdb.graphql.execution.compile import OperationCompiler
from lamdb.graphql.execution.introspection import Introspector
from lamdb.graphql.execution.operation import (
    ChangesRoot,
    ConstantRoot,
    DataRoot,
    FailedRoot,
    FollowUp,
    IntrospectionRoot,
    Request,
    Root,
    SearchRoot,
)
from lamdb.graphql.search_tokens import SearchToken
from lamdb.memory import DEFAULT_SEARCH_RESULT_BYTES, DEFAULT_VOCABULARY_BYTES
from lamdb.prisma.query.engine import QueryEngine
from lamdb.prisma.query.parameters import ABSENT
from lamdb.prisma.query.plan import Constant, Nested, Plan, ScalarOutput, Shape
from lamdb.prisma.query.plan.fetching import json_size, too_large
from lamdb.prisma.query.sql_errors import missing_record_in_batch
from lamdb.storage.budget import checkpoint, current
from lamdb.storage.waiting import QUICK_BYTES, about_to_work, is_quick

if TYPE_CHECKING:
    from lamdb.graphql.execution.changes_run import ChangeFeed
    from lamdb.graphql.execution.search_run import Searches

_RECORDS_PER_READ = 5000
# Every record of a compound identity is a level of SQLite's expression tree, of which there may be 1000.
_COMPOUND_RECORDS_PER_READ = 256


@dataclass(slots=True)
class Answer:
    """The content of `data` and `errors` of the response; `data` is `None` when a field that is never null
    failed."""

    data: dict[str, Any] | None = field(default_factory=dict)
    errors: list[Entry] = field(default_factory=list)


class _Ruler:
    """Adds up the answers of several root fields, each of which becomes text at once: it is all they need."""

    def __init__(self) -> None:
        budget = current()
        self._limit = budget.costs.max_bytes if budget is not None else sys.maxsize
        self._size = 0

    def add(self, data: dict[str, Any], key: str) -> None:
        """Raises `ResponseTooLarge`, `TimeLimit`, `Cancelled`."""
        checkpoint()
        text = orjson.dumps(data[key])
        self._size += len(text)
        if self._size > self._limit:
            raise too_large(self._size, self._limit)
        data[key] = orjson.Fragment(text)


class Executor:
    """Runs the root fields of one schema's operations."""

    def __init__(
        self,
        engine: QueryEngine,
        compiler: OperationCompiler,
        introspector: Introspector,
        vocabulary_bytes: int = DEFAULT_VOCABULARY_BYTES,
        search_result_bytes: int = DEFAULT_SEARCH_RESULT_BYTES,
    ) -> None:
        self._vocabulary_bytes = vocabulary_bytes
        self._search_result_bytes = search_result_bytes
        self._engine = engine
        self._compiler = compiler
        self._introspector = introspector

    @cached_property
    def _searches(self) -> "Searches":
        from lamdb.graphql.execution.search_run import Searches  # few processes answer searches

        return Searches(
            self._engine,
            self._compiler,
            follow=self._follow,
            project=_projected,
            vocabulary_bytes=self._vocabulary_bytes,
            result_bytes=self._search_result_bytes,
        )

    def clear_vocabularies(self) -> None:
        """Drops the vocabularies of searches."""
        if "_searches" in self.__dict__:
            self._searches.vocabularies.clear()

    @cached_property
    def _feed(self) -> "ChangeFeed":
        from lamdb.graphql.execution.changes_run import ChangeFeed  # few schemas have changes recorded

        return ChangeFeed(self._compiler.types.changes())

    def query(
        self,
        connection: apsw.Connection | None,
        roots: Sequence[Root],
        variables: Mapping[str, Any],
        token: SearchToken | None = None,
    ) -> Answer:
        """Answer every root field from one snapshot; one that fails is null, beside its error.

        `connection` may be `None` when no root field needs it. Raises `StorageError`: nothing can be
        answered; `Forbidden` for what `token` does not allow.
        """
        answer = Answer()
        data: dict[str, Any] = {}
        ruler = None if len(roots) == 1 else _Ruler()
        for root in roots:
            failure = self._try(connection, root, variables, data, token)
            if failure is None:
                if ruler is not None:
                    ruler.add(data, root.key)
                continue
            answer.errors.append(failure)
            data[root.key] = None
            if isinstance(root, DataRoot | SearchRoot | ChangesRoot | FailedRoot) and not root.nullable:
                answer.data = None
                return answer
        answer.data = data
        return answer

    def mutation(
        self, connection: apsw.Connection, roots: Sequence[Root], variables: Mapping[str, Any]
    ) -> Answer:
        """Run the root fields one after another until one fails: the caller then rolls back.

        Raises `StorageError`.
        """
        data: dict[str, Any] = {}
        ruler = None if len(roots) == 1 else _Ruler()
        for root in roots:
            failure = self._try(connection, root, variables, data)
            if failure is not None:
                return Answer(None, [failure])
            if ruler is not None:
                ruler.add(data, root.key)
        return Answer(data)

    def _try(
        self,
        connection: apsw.Connection | None,
        root: Root,
        variables: Mapping[str, Any],
        data: dict[str, Any],
        token: SearchToken | None = None,
    ) -> Entry | None:
        """Answer one root field into `data`; returns the error entry if it fails."""
        try:
            match root:
                case DataRoot():
                    assert connection is not None
                    value = self._data(connection, root, variables)
                    if value is None and not root.nullable:
                        # Rules passed over the one record that the statement was about.
                        raise missing_record_in_batch()
                    data[root.key] = value
                case SearchRoot():
                    assert connection is not None
                    data[root.key] = self._searches.answer(connection, root, variables, token)
                case ChangesRoot():
                    assert connection is not None
                    about_to_work()
                    data[root.key] = self._feed.answer(connection, root, bind(root.arguments, variables))
                case ConstantRoot():
                    data[root.key] = root.value
                case IntrospectionRoot():
                    about_to_work()
                    data[root.key] = self._introspector.resolve(root.selected, root.collector, variables)
                case FailedRoot():
                    return entry(root.error, locations=root.locations, path=[root.key])
        except (StorageError, LimitError, Forbidden):
            raise
        except LamdbError as error:
            return entry(error, locations=_locations(root), path=[root.key])
        except Exception as error:  # noqa: BLE001 - logged with its stack by `internal`
            return internal(error, locations=_locations(root), path=[root.key])
        return None

    def _data(self, connection: apsw.Connection, root: DataRoot, variables: Mapping[str, Any]) -> Any:
        if root.follow_ups:
            return self._with_follow_ups(connection, root, variables)
        plan, values = self._plan(root, variables)
        return plan.run_json(connection, values)

    def _plan(self, root: DataRoot, variables: Mapping[str, Any]) -> tuple[Plan, dict[str, Any]]:
        """The plan that answers a root field in its shape, and the values to run it with."""
        if root.constant is not None:
            return root.constant
        if root.template is None:
            root.template = self._engine.prepare_template(root.request, root.shape)
        found = root.template.bind(_values(root, variables))
        if not root.bindings:
            root.constant = found
        return found

    def _with_follow_ups(
        self, connection: apsw.Connection, root: DataRoot, variables: Mapping[str, Any]
    ) -> Any:
        """Answer a root field whose selection needs further reads."""
        assert root.shape is not None
        values = _values(root, variables)
        if root.action != "deleteOne":
            if root.template is None:
                root.template = self._engine.prepare_template(root.request)
            plan, bound = root.template.bind(values)
            result = plan.run(connection, bound)
            self._follow(connection, result, root.follow_ups, variables)
            return _projected(root.shape, result)
        # A deleted record cannot be followed: read everything first.
        result = self._run(connection, {**root.request, "action": "findUnique"}, values)
        self._follow(connection, result, root.follow_ups, variables)
        arguments = root.request["query"]["arguments"]
        identity = dict.fromkeys(self._compiler.identity(root.request["modelName"]), True)
        query = {"arguments": arguments, "selection": identity}
        self._run(connection, {**root.request, "query": query}, values)
        return _projected(root.shape, result)

    def _run(self, connection: apsw.Connection, request: Request, values: Mapping[str, Any]) -> Any:
        plan, bound = self._engine.prepare_template(request).bind(values)
        return plan.run(connection, bound)

    def _follow(
        self,
        connection: apsw.Connection,
        result: Any,
        follow_ups: Sequence[FollowUp],
        variables: Mapping[str, Any],
    ) -> None:
        """Put what each follow-up reads into the records of `result`."""
        for follow_up in follow_ups:
            records = list(_records(result, follow_up.path))
            rows = self._read(connection, follow_up, records, variables)
            for record in records:
                row = rows.get(_key(record, follow_up.identity))
                if row is None:
                    raise QueryError(
                        f"A record of {follow_up.model} was deleted before it was read.", code="P2025"
                    )
                for name in follow_up.inner:
                    record, row = record[name], row[name]
                record[follow_up.slot] = row[follow_up.source]

    def _read(
        self,
        connection: apsw.Connection,
        follow_up: FollowUp,
        records: Iterable[dict[str, Any]],
        variables: Mapping[str, Any],
    ) -> dict[tuple[Any, ...], dict[str, Any]]:
        """The follow-up's rows by identity."""
        keys = list(dict.fromkeys(_key(record, follow_up.identity) for record in records))
        where = self._compiler.where(follow_up.model)
        selection = bind(follow_up.selection, variables)
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for wanted in _criteria(follow_up.identity, keys):
            query = {"arguments": {"where": protocol(wanted, where)}, "selection": selection}
            found = self._engine.run(
                connection, {"modelName": follow_up.model, "action": "findMany", "query": query}
            )
            self._follow(connection, found, follow_up.children, variables)
            rows.update((_key(row, follow_up.identity), row) for row in found)
        return rows


def _criteria(identity: Sequence[str], keys: Sequence[tuple[Any, ...]]) -> Iterable[dict[str, Any]]:
    """Filters that together find the records with these keys."""
    if len(identity) == 1:
        for start in range(0, len(keys), _RECORDS_PER_READ):
            yield {identity[0]: {"in": [key for (key,) in keys[start : start + _RECORDS_PER_READ]]}}
        return
    for start in range(0, len(keys), _COMPOUND_RECORDS_PER_READ):
        some = keys[start : start + _COMPOUND_RECORDS_PER_READ]
        # A plan is compiled for every number of records: repeating the last makes them powers of two.
        padded = [*some, *[some[-1]] * ((1 << (len(some) - 1).bit_length()) - len(some))]
        yield {"OR": [dict(zip(identity, key, strict=True)) for key in padded]}


def _projected(shape: Shape, result: Any) -> Any:
    """`project`, within the request's budget."""
    budget = current()
    limit = budget.costs.max_bytes if budget is not None else QUICK_BYTES if is_quick() else None
    if limit is not None and projected_size(shape, result, {}) > limit:
        about_to_work()
        raise too_large(limit + 1, limit)
    return project(shape, result)


def projected_size(shape: Shape, result: Any, known: dict[tuple[int, int], int]) -> int:
    """About how many bytes the JSON of `project(shape, result)` has, without making it."""
    if result is None:
        return 4
    key = id(shape), id(result)
    size = known.get(key)
    if size is not None:
        return size
    if isinstance(result, list):
        size = 2 + sum(1 + projected_size(shape, record, known) for record in result)
    else:
        size = 2
        for part in shape.parts:
            size += len(part.key) + 4
            match part:
                case ScalarOutput(_, source):
                    size += json_size(result[source], sys.maxsize)
                case Constant(_, value):
                    size += len(str(value))
                case Nested(_, source, below):
                    size += projected_size(below, result[source], known)
    known[key] = size
    return size


def project(shape: Shape, result: Any) -> Any:
    """The response object, list or null that `shape` makes of a result keyed by field names."""
    if result is None:
        return None
    if isinstance(result, list):
        return [project(shape, record) for record in result]
    made: dict[str, Any] = {}
    for part in shape.parts:
        match part:
            case ScalarOutput(key, source):
                made[key] = result[source]
            case Constant(key, value):
                made[key] = value
            case Nested(key, source, below):
                made[key] = project(below, result[source])
    return made


def _records(result: Any, path: Sequence[str]) -> Iterable[dict[str, Any]]:
    """The records at the end of `path`, through lists and past nulls."""
    if result is None:
        return
    if isinstance(result, list):
        for each in result:
            yield from _records(each, path)
    elif path:
        yield from _records(result[path[0]], path[1:])
    else:
        yield result


def _key(record: Mapping[str, Any], identity: Sequence[str]) -> tuple[Any, ...]:
    return tuple(record[name] for name in identity)


def _locations(root: Root) -> list[dict[str, int]] | None:
    return None if isinstance(root, ConstantRoot) else root.locations


def _values(root: DataRoot, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The values that a root field's request leaves open, by their keys; absent ones are left out."""
    values: dict[str, Any] = {}
    for binding in root.bindings:
        value = binding.source.bind(variables)
        if value is not ABSENT:
            values[binding.key] = value
    return values
