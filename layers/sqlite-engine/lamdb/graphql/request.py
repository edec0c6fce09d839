"""A GraphQL request, independent of its transport."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lamdb.graphql.search_tokens import SearchToken
from lamdb.rules.caller import ANONYMOUS, Caller

type Kind = Literal["query", "mutation"]


@dataclass(frozen=True, slots=True)
class GraphQLRequest:
    """One request, whatever brought it."""

    query: str
    variables: Mapping[str, Any] | None = None
    operation_name: str | None = None
    extensions: Mapping[str, Any] | None = None
    token: SearchToken | None = None
    """Restricts the request to searches."""
    caller: Caller | None = ANONYMOUS
    """The caller that the schema's rules bind; None for a trusted one, which they do not."""
