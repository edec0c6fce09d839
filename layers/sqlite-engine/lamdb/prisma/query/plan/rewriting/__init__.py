"""Rewrites of the SQL in Prisma's plans. Each is only made if it provably returns the same rows.

| Prisma's SQL | rewritten |
|---|---|
| a subquery with `LIMIT -1 OFFSET 0`, `WHERE 1=1` | the same without: SQLite can flatten it |
| `MIN` and `MAX` of indexed columns | a subquery for each, which reads one entry of its index |
| `_count`: a join with the whole child table, grouped | a correlated count, where an index serves it |
| `distinct` of all rows, in memory | rows chosen in SQL, where the order leaves no ties |
| a long OFFSET | an OFFSET over keys, and then the rows |

A rewrite that does not find its preconditions leaves the SQL as it is. `relations` also has another plan for
`some`, `every` and `none`, which is chosen for each run.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

import apsw

from lamdb.errors import QueryError
from lamdb.prisma.query.plan.rewriting.aggregates import split_extremes, unlimited
from lamdb.prisma.query.plan.rewriting.catalog import TableLookup
from lamdb.prisma.query.plan.rewriting.counts import correlate_counts
from lamdb.prisma.query.plan.rewriting.distinct import distinct_in_sql
from lamdb.prisma.query.plan.rewriting.offsets import skip_keys
from lamdb.prisma.query.plan.rewriting.relations import alternative

__all__ = ["TableLookup", "alternative", "rewrite"]

type Node = Any
type Query = Mapping[str, Any]

_REWRITES: Final[tuple[Callable[[Query, TableLookup], Query], ...]] = (
    unlimited,
    split_extremes,
    correlate_counts,
    skip_keys,
)


def rewrite(node: Node, catalog: TableLookup) -> Node:
    """Returns the polished plan with its queries rewritten. The given plan is not changed."""
    if isinstance(node, list):
        return [rewrite(item, catalog) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "process":
        made = _guarded(distinct_in_sql, node, catalog)
        if made is not node:
            return rewrite(made, catalog)
    if node.get("type") == "query" and node["args"]["type"] == "templateSql":
        query = node["args"]
        for apply in _REWRITES:
            query = _guarded(apply, query, catalog)
        return {**node, "args": query}
    return {key: rewrite(item, catalog) for key, item in node.items()}


def _guarded(apply: Callable[[Any, TableLookup], Any], given: Any, catalog: TableLookup) -> Any:
    """Returns the rewrite's result, or `given` if the database lacks a name of the SQL."""
    try:
        return apply(given, catalog)
    except (apsw.Error, QueryError):
        return given
