"""Whether an operator's request reads or writes: all that is to be known in order to route it.

Needs graphql-core's parser, and nothing of the API itself.
"""

from typing import Final

from graphql.language import OperationDefinitionNode

from lamdb.graphql import document as documents
from lamdb.graphql.document import Limits
from lamdb.graphql.errors import invalid
from lamdb.graphql.request import Kind

PATH: Final = "/admin/graphql"

LIMITS: Final = Limits(bytes=64 * 1024, tokens=10_000, depth=32, definitions=64, root_fields=20, fields=2_000)
"""What one document may cost. Variables, in which migrations come, are not part of it."""


def operation_kind(document: str, operation_name: str | None) -> Kind:
    """Whether a request asks for a query or a mutation. Raises `RequestError` where that cannot be told."""
    return kind_of(documents.load(document, LIMITS).operation(operation_name))


def kind_of(operation: OperationDefinitionNode) -> Kind:
    """Raises `DocumentInvalid` for a subscription."""
    match operation.operation.value:
        case "query":
            return "query"
        case "mutation":
            return "mutation"
        case _:
            raise invalid("Subscriptions are not supported.", nodes=[operation])
