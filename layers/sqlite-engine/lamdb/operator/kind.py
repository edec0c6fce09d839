"""The limits of an operator's request, and whether it reads or writes: all that other packages need to know
of it."""

from typing import Final

from graphql.language import OperationDefinitionNode

from lamdb.graphql.document.document import Limits
from lamdb.graphql.errors import invalid
from lamdb.graphql.request import Kind

PATH: Final = "/admin/graphql"
LIBRARY: Final = "tartiflette"
"""The package that executes the operator API. It is compiled where lamDB is built, and may be missing."""

LIMITS: Final = Limits(bytes=64 * 1024, tokens=10_000, depth=32, definitions=64, root_fields=20, fields=2_000)
"""The limits of one document. Variables, in which migrations come, are not part of it."""


def kind_of(operation: OperationDefinitionNode) -> Kind:
    """Whether an operation is a query or a mutation. Raises `DocumentInvalid` for a subscription."""
    match operation.operation.value:
        case "query":
            return "query"
        case "mutation":
            return "mutation"
        case _:
            raise invalid("Subscriptions are not supported.", nodes=[operation])
