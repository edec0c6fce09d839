"""Aggregates: `SELECT COUNT(*) FROM (SELECT … LIMIT -1 OFFSET 0) AS sub`."""

import re
from typing import Final

from lamdb.prisma.query.plan.rewriting.catalog import TableLookup
from lamdb.prisma.query.plan.rewriting.text import (
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

_NO_LIMIT: Final = re.compile(r" LIMIT -1 OFFSET 0(?=\))")
_NO_CONDITION: Final = re.compile(r" WHERE 1=1(?=\)| GROUP BY | ORDER BY | LIMIT |$)")
_EXTREME: Final = re.compile(rf"(?P<function>MIN|MAX|COUNT)\((?P<column>{NAME}|\*)\) AS {NAME}")


def unlimited(query: Query, catalog: TableLookup) -> Query:
    """Removes limits and conditions without effect."""
    text = read(query)
    if text is None or not text.startswith("SELECT "):
        return query
    made = _without(_without(text, _NO_LIMIT), _NO_CONDITION)
    return query if made == text else write(query, made)


def _without(text: str, pattern: re.Pattern[str]) -> str:
    for found in reversed([*pattern.finditer(blank(text))]):
        text = text[: found.start()] + text[found.end() :]
    return text


def split_extremes(query: Query, catalog: TableLookup) -> Query:
    """Computes `MIN` and `MAX` of all rows, several at once, in a subquery each.

    For one of them, SQLite reads one entry of an index; for two in one query, it reads the whole index. Each
    column must be the first of an index.
    """
    text = read(query)
    outer = None if text is None else Select.parse(text)
    if outer is None or outer.where or outer.group or outer.order or outer.limit or outer.having:
        return query
    terms = [_EXTREME.fullmatch(term) for term in pieces(outer.columns, ", ")]
    table = _whole_table(outer.source)
    facts = None if table is None else catalog.table(table)
    if facts is None or table is None or len(terms) < 2:
        return query
    indexed = facts.leading | {next(iter(key)) for key in facts.keys if len(key) == 1}
    parts: list[str] = []
    for term in terms:
        if term is None:
            return query
        column = term["column"]
        if column == "*" and term["function"] == "COUNT":
            parts.append("(SELECT COUNT(*) FROM " + f"`main`.{_quoted(table)})" + _alias(term[0]))
        elif column != "*" and term["function"] != "COUNT" and unquoted(column) in indexed:
            call = f"{term['function']}({column})"
            parts.append(f"(SELECT {call} FROM `main`.{_quoted(table)})" + _alias(term[0]))
        else:
            return query
    return write(query, "SELECT " + ", ".join(parts))


def _whole_table(source: str) -> str | None:
    """The table that a subquery `(SELECT … FROM table) AS alias` reads, if it is all of it."""
    if not source.startswith("("):
        return None
    end = closing(blank(source), 0)
    inner = Select.parse(source[1:end])
    if inner is None or not re.fullmatch(rf" AS {NAME}", source[end + 1 :]):
        return None
    if inner.condition or inner.group or inner.having or inner.order or inner.limit:
        return None
    found = re.fullmatch(rf"`main`\.(?P<table>{NAME})", inner.source)
    return None if found is None else unquoted(found["table"])


def _alias(term: str) -> str:
    return term[term.index(") AS ") + 1 :]


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
