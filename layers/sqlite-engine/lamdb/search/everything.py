"""Searches without words in large tables: all records in order, read by an index of the first field if there
is one."""

from collections.abc import Iterator

import apsw

from lamdb.search.definition import DOCID, SearchDefinition
from lamdb.search.request import SearchRequest
from lamdb.search.tables import quote


def everything(
    connection: apsw.Connection,
    definition: SearchDefinition,
    request: SearchRequest,
    excluded: str,
    take: int,
) -> tuple[int, list[int]]:
    """Returns the number of records that pass a request's filters, and the rowids of a page of them.

    They are in the request's order, or that of the rank fields. `excluded` is an expression in FTS5's
    language for the records that are left out, or empty.
    """
    rowid, index = f"t.{quote(definition.rowid)}", quote(definition.index)
    conditions, parameters = [], []
    for each in (*([request.filter] if request.filter else ()), *request.refinements.values()):
        conditions.append(f"{rowid} IN ({each.sql})")
        parameters += each.parameters
    if excluded:
        conditions.append(f"{rowid} NOT IN (SELECT rowid FROM {index} WHERE {index} MATCH ?)")
        parameters.append(excluded)
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    table = f"FROM {quote(definition.table)} t"
    total: int = connection.execute(f"SELECT count(*) {table}{where}", tuple(parameters)).get
    terms = list(_terms(definition, request))
    if any(term.startswith("s.") for term in terms):
        table += f" LEFT JOIN {quote(definition.side)} s ON s.{DOCID} = {rowid}"
    rows = connection.execute(
        f"SELECT {rowid} {table}{where} ORDER BY {', '.join([*terms, rowid])} LIMIT ? OFFSET ?",
        (*parameters, take, request.skip),
    )
    return total, [number for (number,) in rows]


def _terms(definition: SearchDefinition, request: SearchRequest) -> Iterator[str]:
    """The terms of ORDER BY: columns of the table, by which there may be an index, where they are its own."""
    for order in request.order:
        yield f"t.{quote(order.column)}{' DESC' if order.descending else ''}"
    if request.order:
        return
    for rank in definition.rank:
        column = f"s.{quote(rank.column)}" if rank.source.hops else f"t.{quote(rank.source.column)}"
        yield f"{column}{' DESC' if rank.descending else ''}"
