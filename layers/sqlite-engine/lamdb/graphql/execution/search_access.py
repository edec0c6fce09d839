"""The limits that a search token sets to an operation."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from lamdb.errors import Forbidden
from lamdb.graphql.document.selection import Collector
from lamdb.graphql.execution.operation import Root, SearchRoot
from lamdb.graphql.execution.prepared import Prepared
from lamdb.graphql.schema.search_types import SEARCH, SEARCH_ALL
from lamdb.graphql.schema.types import ApiTypes
from lamdb.graphql.search_tokens import SearchToken
from lamdb.search.definition import SearchDefinition

_LOGIC: Final = frozenset({"AND", "OR", "NOT"})


def require_searches_only(types: ApiTypes, operation: Prepared, variables: Mapping[str, Any]) -> None:
    """Raises `Forbidden` unless all root fields are searches, also through aliases and fragments."""
    if operation.kind != "query":
        raise Forbidden("A search token allows no mutations.")
    collector = Collector(operation.document.fragments, variables)
    for selected in collector.collect([operation.node.selection_set]):
        if selected.name == "__typename":
            continue
        root = types.root("query", selected.name)
        if root is None or root.action not in (SEARCH, SEARCH_ALL):
            raise Forbidden(f"A search token allows only searches, not {selected.name}.")


def require_roots(roots: Sequence[Root], token: SearchToken) -> None:
    """Raises `Forbidden` if a search is of another model than the token's, or selects relations."""
    for root in roots:
        if not isinstance(root, SearchRoot):
            continue
        if root.definition is not None:
            token.require_model(root.definition.model)
        if token.relations:
            continue
        for records in root.records.values():
            related = [name for name, value in records.selection.items() if value is not True]
            if related or records.follow_ups:
                raise Forbidden(
                    f"The search token allows no relations of {records.model}.",
                    hint="Select scalar fields, or make a token with --relations.",
                )


def require_own_fields(definition: SearchDefinition, where: Any, token: SearchToken) -> None:
    """Raises `Forbidden` if a filter reaches beyond the model: it would tell what relations hold.

    `where` is in Prisma's JSON protocol.
    """
    if token.relations:
        return
    own = {name for name, _ in definition.columns}
    waiting = [where]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, Mapping):
            for name, value in part.items():
                if name in _LOGIC:
                    waiting.append(value)
                elif name not in own:
                    raise Forbidden(
                        f"The search token allows no filter by {name}.",
                        hint="Filter by scalar fields, or make a token with --relations.",
                    )
