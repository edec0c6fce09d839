"""The paths of a server, and the kinds of requests that metrics and traces tell apart."""

from typing import Final

from lamdb.graphql.search_tokens import SEARCH_PATH
from lamdb.graphql.transport import deferred
from lamdb.hrana.operation import kind_of as kind_of_sql
from lamdb.operator.kind import PATH as OPERATOR

GRAPHQL: Final = "/graphql"
SDL: Final = "/schema.graphql"
HEALTH: Final = "/healthz"
HEALTHS: Final = frozenset({HEALTH, "/health"})
METRICS: Final = "/metrics"
CHANGES: Final = "/changes"
SQL: Final = "/v2"
"""Where clients of SQL over HTTP look for it first."""

_KINDS: Final = {
    GRAPHQL: "graphql",
    SEARCH_PATH: "search",
    OPERATOR: "operator",
    SDL: "schema",
    METRICS: "metrics",
    CHANGES: "changes",
    **dict.fromkeys(HEALTHS, "health"),
}


def kind_of(path: str, operation: str | None = None) -> str:
    """Returns the kind of a request: `operation` (query or mutation) if it is known, else by the path.

    `graphql` are requests to the endpoint whose operation is not known: pages, and what was refused early.
    """
    if operation is not None:
        return operation
    found = _KINDS.get(path)
    if found is not None:
        return found
    if path.startswith(deferred.PREFIX):
        return "state"
    return "page" if kind_of_sql(path) is None else "sql"
