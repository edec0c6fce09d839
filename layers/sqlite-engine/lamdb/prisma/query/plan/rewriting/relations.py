"""`some`, `every` and `none`: children looked up for each parent, or the parents of all children that match.

Prisma writes `EXISTS (SELECT … FROM Post AS t0 WHERE … AND (Author.id) = (t0.authorId))`, which SQLite
evaluates for one author after another. That is quick if most authors match and few are needed, and slow if
hardly any child matches. In the second case, `Author.id IN (SELECT t0.authorId FROM Post AS t0 WHERE …)` is
quick, if an index finds the children. The better way depends on the values. So a plan has both, and a probe
counts the matching children, up to a bound, before each run.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import apsw

from lamdb.errors import QueryError
from lamdb.prisma.query.plan.rewriting.catalog import TableLookup
from lamdb.prisma.query.plan.rewriting.text import (
    COLUMN,
    NAME,
    Query,
    Select,
    blank,
    closing,
    pieces,
    read,
    unquoted,
    write,
)

type Node = Any

_EXISTS: Final = "EXISTS(SELECT "
_LINK: Final = re.compile(rf"\((?P<parent>{COLUMN})\) = \((?P<child>{NAME}\.{NAME})\)")
_NEGATED: Final = re.compile(
    rf"\(NOT (?P<left>{NAME}\.{NAME}) (?P<operator><=|>=|<>|<|>|=) (?P<right>\+?\x01\d+\x02)\)"
)
_BARE: Final = re.compile(r"(?<= [<>]) (?=\x01)|(?<= [<>][=>]) (?=\x01)")
_OPPOSITE: Final = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "=": "<>", "<>": "="}
_EXACT: Final = re.compile(rf"(?:COUNT|MIN|MAX)\((?:\*|{NAME})\) AS {NAME}")

_LIKELIHOOD: Final = "0.001"
"""Share of the children that match, as SQLite is told: it is asked for them only if there are few."""
_MOST: Final = 500
_PER_ROW: Final = 50
"""Children that are counted at most where a page of parents is wanted: 10 µs, and as many per row of it."""
_SHARE: Final = 4
"""Where all parents are looked at: one child for so many parents."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another plan with the same answer, and the query that returns 1 if it is quicker."""

    tree: Node
    probe: Query


@dataclass(frozen=True, slots=True)
class _Filter:
    """One EXISTS: its position and its parts. `condition` is the condition on the child alone."""

    start: int
    end: int
    parent: str
    table: str
    child: str
    source: str
    condition: str
    negated: bool
    required: bool

    @property
    def children(self) -> str:
        return f"SELECT {self.child} FROM {self.source} WHERE {self.condition} AND {self.child} IS NOT NULL"

    def by_keys(self, *, drives: bool) -> str:
        """The same condition over the keys of children."""
        key = self.parent if drives else f"+{self.parent}"
        no = "NOT " if self.negated else ""
        if self.required:
            return f"{key} {no}IN ({self.children})"
        return f"{no}({self.parent} IS NOT NULL AND {key} IN ({self.children}))"


def alternative(tree: Node, catalog: TableLookup) -> Alternative | None:
    """The plan that begins with the children, if one query of a plan of reads can be run so."""
    queries: list[Query] = []
    if not _only_reads(tree, queries):
        return None
    found = [
        query for query in queries if any(_EXISTS in part.get("chunk", "") for part in query["fragments"])
    ]
    if len(found) != 1:
        return None
    try:
        made = _by_keys(found[0], catalog)
    except (apsw.Error, QueryError):
        return None
    if made is None:
        return None
    return Alternative(_replaced(tree, found[0], made[0]), made[1])


def _only_reads(node: Node, queries: list[Query]) -> bool:
    if isinstance(node, list):
        return all(_only_reads(item, queries) for item in node)
    if not isinstance(node, dict):
        return True
    if node.get("type") in ("execute", "rawSql", "transaction"):
        return False
    if node.get("type") == "templateSql":
        queries.append(node)
        return True
    return all(_only_reads(item, queries) for item in node.values())


def _replaced(node: Node, old: Query, new: Query) -> Node:
    if node is old:
        return new
    if isinstance(node, list):
        return [_replaced(item, old, new) for item in node]
    if isinstance(node, dict):
        return {key: _replaced(item, old, new) for key, item in node.items()}
    return node


def _by_keys(query: Query, catalog: TableLookup) -> tuple[Query, Query] | None:
    """The query by keys, and its probe."""
    text = read(query)
    select = None if text is None else _innermost(text)
    if text is None or select is None or select.where is None or select.group:
        return None
    filters = [one for one in _filters(text, catalog) if catalog.searches(write(query, one.children))]
    if not filters or not all(map(_is_of_request, query["args"])):
        return None
    drives = _order_is_kept(text, select, filters, catalog)
    made = text
    for one in reversed(filters):
        made = made[: one.start] + one.by_keys(drives=drives) + made[one.end :]
    rewritten = write(query, made)
    aliases = [unquoted(name) for one in filters for name in re.findall(rf" AS ({NAME})", one.source)]
    if not drives and catalog.reading(query, *aliases) != catalog.reading(rewritten, *aliases):
        return None
    sorts = any("FOR ORDER BY" in line for line in catalog.reading(query))
    bounds = [_bound(one, select, sorts=sorts) for one in filters]
    counts = [
        f"(SELECT COUNT(*) FROM (SELECT 1 FROM {one.source} WHERE {one.condition} LIMIT {bound})) < {bound}"
        for one, bound in zip(filters, bounds, strict=True)
    ]
    return rewritten, write(query, f"SELECT {' AND '.join(counts)}")


def _is_of_request(argument: Any) -> bool:
    """True if a value is known before the plan runs."""
    if isinstance(argument, Mapping) and argument.get("prisma__type") is not None:
        return bool(argument["prisma__type"] == "param") and str(
            argument["prisma__value"]["name"]
        ).startswith("%")
    return True


def _innermost(text: str) -> Select | None:
    """The SELECT that reads parents: that of the query, or of the subquery that it aggregates."""
    select = Select.parse(text)
    if select is not None and select.source.startswith("(SELECT "):
        return Select.parse(select.source[1 : closing(blank(select.source), 0)])
    return select


def _order_is_kept(text: str, select: Select, filters: list[_Filter], catalog: TableLookup) -> bool:
    """True if the answer does not depend on the order in which SQLite reads the parents."""
    if select.order is not None:
        return " JOIN " not in select.source and all(
            catalog.is_total(select.order, one.table) for one in filters
        )
    outer = Select.parse(text)
    if outer is None or outer == select or select.limit is not None:
        return False
    return all(_EXACT.fullmatch(column) for column in pieces(outer.columns, ", "))


def _bound(one: _Filter, select: Select, *, sorts: bool) -> str:
    limit = select.limit or ""
    if limit.isdecimal() and not sorts:
        return str(min(_MOST, _PER_ROW * int(limit)))
    # Without rows there is no largest id, and it may be negative: neither is a limit.
    return f"(SELECT max(ifnull(MAX(_rowid_), 0), 0) / {_SHARE} FROM `main`.{_quoted(one.table)})"


def _filters(text: str, catalog: TableLookup) -> list[_Filter]:
    """The filters by children of the tables of a query, in order; not those inside of others."""
    plain = blank(text)
    found: list[_Filter] = []
    start = plain.find(_EXISTS)
    while start >= 0:
        opening = start + len("EXISTS")
        end = closing(plain, opening)
        if end < 0:
            return []
        made = _filter(text, start, end + 1, catalog)
        if made is not None:
            found.append(made)
        start = plain.find(_EXISTS, end)
    return found


def _filter(text: str, start: int, end: int, catalog: TableLookup) -> _Filter | None:
    inner = Select.parse(text[start + len("EXISTS(") : end - 1])
    if inner is None or inner.where is None or inner.group or inner.order or inner.limit:
        return None
    where = inner.where
    if not where.startswith("(") or closing(blank(where), 0) != len(where) - 1:
        return None
    where = where[1:-1]
    *conditions, link, present = pieces(where, " AND ") if where.count(" AND ") > 1 else ("", "", "")
    match = _LINK.fullmatch(link)
    if (
        match is None
        or conditions == ["1=1"]
        or present != f"{inner.columns} IS NOT NULL"
        or inner.columns != match["child"]
    ):
        return None
    condition = " AND ".join(f"likelihood({_comparisons(each)}, {_LIKELIHOOD})" for each in conditions)
    if any(len(pieces(each, " OR ")) > 1 for each in conditions) or (
        f"`main`.{match['table']}." in condition + inner.source
    ):
        return None
    alias, _, name = match["child"].partition(".")
    tables = {made: table for table, made in re.findall(rf"`main`\.({NAME}) AS ({NAME})", inner.source)}
    parent = catalog.reference(match["parent"])
    if alias not in tables or parent is None:
        return None
    child = catalog.column(unquoted(tables[alias]), unquoted(name))
    facts = catalog.table(unquoted(match["table"]))
    if not parent.compares_as(child) or facts is None or not facts.rowid:
        return None
    negated = text.endswith("NOT ", 0, start)
    return _Filter(
        start - len("NOT ") if negated else start,
        end,
        match["parent"],
        unquoted(match["table"]),
        match["child"],
        inner.source,
        condition,
        negated,
        parent.required,
    )


def _comparisons(condition: str) -> str:
    """Returns a condition with opposites instead of negated comparisons, for which SQLite uses no index.

    Variables are hidden; otherwise SQLite would prepare the statement again for each value.
    """
    plain = _NEGATED.sub(
        lambda found: f"({found['left']} {_OPPOSITE[found['operator']]} {found['right']})", condition
    )
    return _BARE.sub(" +", plain)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
