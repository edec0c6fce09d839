"""Executes operators' documents by graphql-core, for direct invocations without tartiflette.

A layer that was built without a C++ compiler has no tartiflette. Commands such as
`lamdb migrate deploy --stack` work all the same: they invoke the functions directly. Guard, types and
resolvers are the same.
"""

from typing import Any

from graphql import GraphQLError, GraphQLResolveInfo, default_field_resolver, parse
from graphql import execute as graphql_execute
from graphql.execution import ExecutionResult

from lamdb.errors import LamdbError
from lamdb.graphql.errors import Entry, entry, internal
from lamdb.operator.engine import RESOLVERS
from lamdb.operator.guard import Safe
from lamdb.operator.schema import operator_schema
from lamdb.operator.session import OperatorSession


def execute(safe: Safe, session: OperatorSession) -> dict[str, Any]:
    """`data`, and perhaps `errors` without `locations`, as `engine.execute` returns them."""
    result = graphql_execute(
        operator_schema(),
        parse(safe.text),
        context_value=session,
        variable_values=safe.variables,
        field_resolver=_resolve,
    )
    assert isinstance(result, ExecutionResult)
    answer: dict[str, Any] = {"data": result.data}
    if result.errors:
        answer["errors"] = [_entry(error) for error in result.errors]
    return answer


def _resolve(source: Any, info: GraphQLResolveInfo, **arguments: Any) -> Any:
    resolver = RESOLVERS.get(f"{info.parent_type.name}.{info.field_name}")
    if resolver is None:
        return default_field_resolver(source, info, **arguments)
    return resolver(info.context, arguments)


def _entry(error: GraphQLError) -> Entry:
    cause = error.original_error or error
    path = list(error.path or [])
    return entry(cause, path=path) if isinstance(cause, LamdbError) else internal(cause, path=path)
