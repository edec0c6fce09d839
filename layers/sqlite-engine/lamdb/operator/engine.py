"""tartiflette, loaded with the first request of an operator.

It gets documents that `guard` wrote, and nothing else. Its resolvers are those of `status` and `actions`;
each gets the request's session and the field's arguments. Each execution has an event loop of its own, in the
thread that asks for it: resolvers wait for the store where they are.
"""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Final, NoReturn

from lamdb.errors import LamdbError, OperatorUnavailable
from lamdb.graphql.errors import Entry, entry, internal
from lamdb.operator import actions, status
from lamdb.operator.guard import Safe
from lamdb.operator.kind import LIBRARY
from lamdb.operator.schema import SDL
from lamdb.operator.session import OperatorSession

type Resolver = Callable[[OperatorSession, Mapping[str, Any]], Any]

RESOLVERS: Final[Mapping[str, Resolver]] = {
    "Query.database": status.database,
    "Query.schema": status.schema,
    "Query.schemaFiles": status.schema_files,
    "Query.migrations": status.migrations,
    "Query.restorePoints": status.restore_points,
    "Query.restorable": status.restorable,
    "Query.tables": status.tables,
    "Query.slowOperations": status.slow_operations,
    "Query.documents": status.documents,
    # What costs more than the rest is only looked up if it is asked for.
    "Database.levels": status.levels,
    "Database.uncompactedFiles": status.uncompacted_files,
    "Database.schemaHash": status.schema_hash,
    "Mutation.migrate": actions.migrate,
    "Mutation.resolve": actions.resolve,
    "Mutation.compact": actions.compact,
    "Mutation.snapshot": actions.snapshot,
    "Mutation.repair": actions.repair,
    "Mutation.verify": actions.verify,
    "Mutation.restore": actions.restore,
    "Mutation.reset": actions.reset,
}

_SCALARS: Final = ("Long", "DateTime")
_DOCUMENTS: Final = 64
"""Parsed documents that are kept. They have no values in them, so that there are few."""

_attempts = itertools.count(1)
_loading = threading.Lock()
_engine: Any = None


def execute(safe: Safe, session: OperatorSession) -> dict[str, Any]:
    """`data`, and perhaps `errors` without `locations`. The thread must have no event loop running.

    Raises `OperatorUnavailable` if tartiflette is not installed.
    """
    engine = load()
    answer: dict[str, Any] = asyncio.run(engine.execute(safe.text, context=session, variables=safe.variables))
    return answer


def load() -> Any:
    """The engine. Takes some 0.2 s the first time. Raises `OperatorUnavailable`."""
    global _engine
    with _loading:
        if _engine is None:
            _engine = asyncio.run(_cook(_library()))
    return _engine


def _library() -> Any:
    try:
        return import_module(LIBRARY)
    except (ImportError, OSError) as error:
        # OSError: the package is there, and its parser, a shared library, does not load.
        raise OperatorUnavailable(f"tartiflette cannot be loaded: {error}") from error


async def _cook(library: Any) -> Any:
    # tartiflette keeps what is registered under a name for as long as the process lives.
    schema = f"lamdb.operator {next(_attempts)}"
    for name in _SCALARS:
        library.Scalar(name, schema_name=schema)(_Unchanged)
    for name, resolver in RESOLVERS.items():
        library.Resolver(name, schema_name=schema)(_resolving(resolver))
    engine = library.Engine(
        SDL.read_text(encoding="utf-8"),
        schema_name=schema,
        error_coercer=_entry_of,
        query_cache_decorator=lru_cache(maxsize=_DOCUMENTS),
        # Nothing is awaited that would let another field go on.
        coerce_list_concurrently=False,
        coerce_parent_concurrently=False,
    )
    await engine.cook()
    return engine


class _Unchanged:
    """A scalar whose values are JSON already, because graphql-core has checked the input."""

    @staticmethod
    def coerce_output(value: Any) -> Any:
        return value

    @staticmethod
    def coerce_input(value: Any) -> Any:
        return value

    @staticmethod
    def parse_literal(node: Any) -> NoReturn:
        raise AssertionError(f"the document holds a literal: {node}")


def _resolving(resolver: Resolver) -> Callable[..., Awaitable[Any]]:
    async def resolve(
        _parent: Any, arguments: Mapping[str, Any], session: OperatorSession, _info: Any
    ) -> Any:
        return resolver(session, arguments)

    return resolve


async def _entry_of(error: Exception, _coerced: Mapping[str, Any]) -> Entry:
    """The entry of what a resolver raised, or of what tartiflette itself found wrong."""
    cause = getattr(error, "original_error", None) or error
    path = list(getattr(error, "path", None) or [])
    return entry(cause, path=path) if isinstance(cause, LamdbError) else internal(cause, path=path)
