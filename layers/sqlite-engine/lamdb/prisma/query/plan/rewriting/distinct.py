"""`distinct`: the first row of each combination of values, chosen in SQL.

Prisma reads all rows in their order and keeps the first of each key in memory. SQL can do the same on two
conditions: the order is total, so that "first" means one row, and the columns are compared as values are, by
their bytes.
"""

import re
from collections.abc import Mapping
from typing import Any

from lamdb.prisma.query.plan.rewriting.catalog import TableLookup
from lamdb.prisma.query.plan.rewriting.text import (
    COLUMN,
    NAME,
    Query,
    Select,
    pieces,
    read,
    unquoted,
    write,
)

type Node = Mapping[str, Any]


def distinct_in_sql(node: Node, catalog: TableLookup) -> Node:
    """The node `process`, or a query (below a `process` that reverses its rows) with the same rows."""
    arguments = node["args"]
    operations, inner = arguments["operations"], arguments["expr"]
    pagination = operations["pagination"] or {}
    fields = operations["distinct"]
    if (
        not fields
        or inner["type"] != "query"
        or inner["args"]["type"] != "templateSql"
        or operations["linkingFields"] is not None
        or operations["nested"]
        or pagination.get("cursor") is not None
    ):
        return node
    made = _first_rows(inner["args"], fields, pagination, catalog)
    if made is None:
        return node
    query = {**inner, "args": {**made, "chunkable": False}}
    if not operations["reverse"]:
        return query
    left = {**operations, "pagination": None, "distinct": None}
    return {**node, "args": {**arguments, "expr": query, "operations": left}}


def _first_rows(
    query: Query, fields: list[str], pagination: Mapping[str, Any], catalog: TableLookup
) -> Query | None:
    text = read(query)
    select = None if text is None else Select.parse(text)
    if select is None or select.group or select.having or select.limit or select.order is None:
        return None
    table = re.fullmatch(rf"`main`\.(?P<table>{NAME})", select.source)
    name = None if table is None else unquoted(table["table"])
    if name is None or not catalog.is_total(select.order, name):
        return None
    selected = {}
    for column in pieces(select.columns, ", "):
        match = re.fullmatch(COLUMN, column)
        if match is None or unquoted(match["table"]) != name:
            return None
        selected[unquoted(match["column"])] = column
    if not selected.keys() >= set(fields):
        return None
    if any(catalog.column(name, field).collation != "BINARY" for field in fields):
        return None
    values = ", ".join(selected[field] for field in fields)
    take, skip = pagination.get("take"), pagination.get("skip") or 0
    page = select.but(
        limit=None if take is None and not skip else str(-1 if take is None else int(take)),
        offset=None if take is None and not skip else str(int(skip)),
    )
    first = re.fullmatch(rf"(?P<key>{COLUMN}) (?P<direction>ASC|DESC)", pieces(select.order, ", ")[0])
    if first is not None and _is_key(first, name, catalog):
        extreme = "MIN" if first["direction"] == "ASC" else "MAX"
        chosen = page.but(
            columns=f"{extreme}({first['key']}) AS `@first`",
            group=values,
            order=f"`@first` {first['direction']}",
        )
        found = Select(
            select.columns,
            f"({chosen}) AS `@page` CROSS JOIN {select.source} ON {first['key']} = `@page`.`@first`",
        )
        return write(query, str(found))
    facts = catalog.table(name)
    if facts is None or not facts.rowid:
        return None
    key = f"{select.source}._rowid_"
    rank = f"row_number() OVER (PARTITION BY {values} ORDER BY {select.order}) AS `@rank`"
    ranked = select.but(columns=f"{key} AS `@row`, {rank}", order=None)
    return write(query, str(page.but(where=f"{key} IN (SELECT `@row` FROM ({ranked}) WHERE `@rank` = 1)")))


def _is_key(term: re.Match[str], table: str, catalog: TableLookup) -> bool:
    """True if a column alone tells rows apart, and `MIN` and `MAX` order it as ORDER BY does."""
    facts = catalog.table(table)
    return facts is not None and frozenset({unquoted(term["column"])}) in facts.keys
