"""The GraphQL API: documents in, JSON out. Transport-neutral; `http` speaks GraphQL over HTTP for any server.

Public names are listed here and imported on first use: reading the kind of a document needs neither the types
nor Prisma.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lamdb.graphql.api import Api, GraphQLRequest, Result
    from lamdb.graphql.document.document import Limits, operation_kind
    from lamdb.graphql.execution.introspection import precompute
    from lamdb.graphql.schema.types import ApiTypes

__all__ = ["Api", "ApiTypes", "GraphQLRequest", "Limits", "Result", "operation_kind", "precompute"]

_HOMES = {
    "Api": "api",
    "ApiTypes": "schema.types",
    "GraphQLRequest": "api",
    "Limits": "document.document",
    "Result": "api",
    "operation_kind": "document.document",
    "precompute": "execution.introspection",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
