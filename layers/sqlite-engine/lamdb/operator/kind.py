"""What an operator's request may cost, and whether it reads or writes: all that others have to know of it."""

from typing import Final

from graphql.language import OperationDefinitionNode

from lamdb.graphql.document.document import Limits
from lamdb.graphql.errors import invalid
from lamdb.graphql.request import Kind

PATH: Final = "/admin/graphql"

LIMITS: Final = Limits(bytes=64 * 1024, tokens=10_000, depth=32, definitions=64, root_fields=20, fields=2_000)
"""What one document may cost. Variables, in which migrations come, are not part of it."""


def kind_of(operation: OperationDefinitionNode) -> Kind:
    """Whether an operation is a query or a mutation. Raises `DocumentInvalid` for a subscription."""
    match operation.operation.value:
        case "query":
            return "query"
        case "mutation":
            return "mutation"
        case _:
            raise invalid("Subscriptions are not supported.", nodes=[operation])
