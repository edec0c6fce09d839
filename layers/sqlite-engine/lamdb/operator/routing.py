"""The function for an operator's request, where there are several: the writer or a reader.

Queries go to readers and mutations to the writer, but for `verify`: it only reads, and takes as long as a
restore of the whole database, while the one writer has other work to do.
"""

from typing import Final

from graphql.language import FieldNode, OperationDefinitionNode

from lamdb.graphql.document import document as documents
from lamdb.operator.kind import LIMITS, kind_of

READING_MUTATIONS: Final = frozenset({"verify"})
"""Those that change nothing: readers, who could not, do them."""


def needs_writer(document: str, operation_name: str | None) -> bool:
    """Raises `RequestError` if the operation is ambiguous."""
    operation = documents.load(document, LIMITS).operation(operation_name)
    return kind_of(operation) == "mutation" and not only_reads(operation)


def only_reads(operation: OperationDefinitionNode) -> bool:
    """True if a mutation changes nothing."""
    return all(
        isinstance(selection, FieldNode) and selection.name.value in READING_MUTATIONS
        for selection in operation.selection_set.selections
    )
