"""Rewrites a long OFFSET: keys are skipped in an index or a narrow sort, and only the result's rows are
read."""

import re
from typing import Final

from lamdb.prisma.query.plan.rewriting.catalog import TableLookup
from lamdb.prisma.query.plan.rewriting.text import (
    COLUMN,
    NAME,
    UNFLATTENED,
    Query,
    Select,
    pieces,
    read,
    unquoted,
    write,
)

_FEW: Final = 100
"""Rows that are skipped as they are."""


def skip_keys(query: Query, catalog: TableLookup) -> Query:
    """Finds the row ids of a page first, and then reads the rows and their counts.

    This is done if rows are sorted, or found by an index without all their columns. The rows are in the same
    order if it is total, or if SQLite reads the table in the same way.
    """
    text = read(query)
    if text is None or " LIMIT " not in text:
        return query
    select = Select.parse(text)
    if select is None or select.group or select.having or select.order is None or select.limit is None:
        return query
    table = re.fullmatch(rf"`main`\.(?P<table>{NAME})", select.source)
    columns = pieces(select.columns, ", ")
    counts = any(column.startswith("(SELECT ") for column in columns)
    if table is None or not (counts or _skips(select)):
        return query
    if not all(column.startswith("(SELECT ") or re.fullmatch(COLUMN, column) for column in columns):
        return query
    name = unquoted(table["table"])
    facts = catalog.table(name)
    if facts is None or not facts.rowid:
        return query
    keys = write(query, str(select.but(columns=f"{select.source}._rowid_ AS `@row`")))
    plain = [column for column in columns if not column.startswith("(SELECT ")]
    rows = write(query, str(select.but(columns=", ".join(plain) or "1")))
    if not _gains(rows, keys, catalog):
        return query
    if not catalog.is_total(select.order, name) and catalog.reading(query) != catalog.reading(keys):
        return query
    page = select.but(columns=f"{select.source}._rowid_ AS `@row`")
    return write(
        query,
        f"SELECT {select.columns} FROM ({page}) AS `@page`"
        f" CROSS JOIN {select.source} ON {select.source}._rowid_ = `@page`.`@row`"
        + (UNFLATTENED if counts else ""),
    )


def _skips(select: Select) -> bool:
    offset = select.offset or ""
    return offset.isdecimal() and int(offset) >= _FEW


def _gains(rows: Query, keys: Query, catalog: TableLookup) -> bool:
    """True if reading keys spares what reading rows does: a wide sort, or looking rows up by an index."""
    whole = [line for _, _, line in catalog.explain(rows)]
    if any("TEMP B-TREE" in line for line in whole):
        return True
    narrow = [line for _, _, line in catalog.explain(keys)]
    return any("USING INDEX" in line for line in whole) and not any("USING INDEX" in line for line in narrow)
