"""Rewrites `_count` of relations from a join with the whole grouped child table to a correlated count.

Prisma writes::

    SELECT id, COALESCE(a.n, 0) AS n FROM Author
    LEFT JOIN (SELECT authorId, COUNT(*) AS n FROM Post WHERE … GROUP BY authorId) AS a ON (id = a.authorId)

which groups all posts even for ten authors. If an index finds the children of one parent, this becomes::

    SELECT id, (SELECT COUNT(*) FROM Post WHERE (…) AND (authorId = id)) AS n FROM Author

Both return the same if keys of parent and child are compared in the same way (affinity and collation). In
addition, the order of the rows must not depend on how they are read, or SQLite must read the parents as
before.
"""

import re
from dataclasses import dataclass
from typing import Final

from lamdb.prisma.query.plan.rewriting.catalog import TableLookup
from lamdb.prisma.query.plan.rewriting.text import (
    COLUMN,
    NAME,
    UNFLATTENED,
    Query,
    Select,
    blank,
    closing,
    conjunction,
    pieces,
    read,
    unquoted,
    write,
)

_JOIN: Final = " LEFT JOIN (SELECT "
_AFTER: Final = re.compile(r" AS (?P<alias>`aggr_selection_(?:[^`]|``)+`) ON \(")
_COUNT: Final = re.compile(rf"(?P<call>COUNT\((?:\*|(?:{NAME}\.)*{NAME})\)) AS (?P<name>{NAME})")
_INSIDE: Final = "`@counted`"


@dataclass(frozen=True, slots=True)
class _Join:
    """A join that counts: its text, the value that the query selects of it, and its replacement."""

    text: str
    alias: str
    value: str
    count: str
    probe: str
    """The same count with a constant for each key of the parent."""


def correlate_counts(query: Query, catalog: TableLookup) -> Query:
    """Counts the children of each parent separately, if an index finds them."""
    text = read(query)
    if text is None or "LEFT JOIN (SELECT" not in text or not text.startswith("SELECT "):
        return query
    made, aliases = text, []
    while (join := _next_join(made, catalog)) is not None:
        if made.count(join.value) != 1 or not catalog.searches(write(query, join.probe)):
            return query
        made = made.replace(join.text, "", 1).replace(join.value, join.count, 1)
        if join.alias in made:
            return query
        aliases.append(unquoted(join.alias))
    select = Select.parse(made)
    if not aliases or select is None:
        return query
    # Flattened into a query around it, the count would be made wherever that mentions it.
    rewritten = write(query, made if select.limit else made + UNFLATTENED)
    table = re.match(rf"`main`\.(?P<table>{NAME})(?= |$)", select.source)
    if table is None:
        return query
    if " JOIN " not in select.source and catalog.is_total(select.order, unquoted(table["table"])):
        return rewritten
    as_before = catalog.reading(query, *aliases) == catalog.reading(rewritten)
    return rewritten if as_before else query


def _next_join(text: str, catalog: TableLookup) -> _Join | None:
    """The first join that counts and can be a correlated count; None if there is none."""
    plain = blank(text)
    start = plain.find(_JOIN)
    while start >= 0:
        end = closing(plain, start + len(" LEFT JOIN "))
        after = _AFTER.match(text, end + 1)
        if end >= 0 and after is not None:
            last = closing(plain, after.end() - 1)
            inner = Select.parse(text[start + len(" LEFT JOIN (") : end])
            if last >= 0 and inner is not None:
                return _correlated(
                    text[start : last + 1], after["alias"], inner, text[after.end() : last], catalog
                )
        start = plain.find(_JOIN, start + 1)
    return None


def _correlated(text: str, alias: str, inner: Select, on: str, catalog: TableLookup) -> _Join | None:
    *keys, counted = pieces(inner.columns, ", ")
    count = _COUNT.fullmatch(counted)
    if count is None or inner.group != ", ".join(keys) or inner.having or inner.order or inner.limit:
        return None
    links: list[tuple[str, str]] = []
    for key, pair in zip(keys, pieces(on, " AND "), strict=False):
        name = re.fullmatch(COLUMN, key)
        parent, _, child = pair.partition(" = ")
        if name is None or child != f"{alias}.{name['column']}":
            return None
        ours, theirs = catalog.reference(parent), catalog.reference(key)
        if ours is None or theirs is None or not ours.compares_as(theirs):
            return None
        links.append((key, parent))
    if not links or len(links) != len(keys) or len(pieces(on, " AND ")) != len(keys):
        return None
    parents = {match["table"] for _, parent in links if (match := re.fullmatch(COLUMN, parent))}
    head = str(inner.but(columns=count["call"], where=None, group=None))
    condition = inner.condition
    for table in parents:
        # The names of the parent's row must not mean the child's.
        if table in head or (condition is not None and table in condition):
            renamed = _renamed(head, table)
            if renamed is None or (condition is not None and _reads(condition, table)):
                return None
            head = renamed
            condition = None if condition is None else _columns_renamed(condition, table)
            links = [(_columns_renamed(key, table), parent) for key, parent in links]
    whole = conjunction(condition, *(f"{key} = {parent}" for key, parent in links))
    alone = conjunction(condition, *(f"{key} = NULL" for key, _ in links))
    return _Join(
        text,
        alias,
        f"COALESCE({alias}.{count['name']}, 0)",
        f"({head} WHERE {whole})",
        f"{head} WHERE {alone}",
    )


def _renamed(head: str, table: str) -> str | None:
    """`SELECT … FROM …` in which the one table of this name goes by another; None if there are several."""
    named = f"`main`.{table}"
    places = [
        place for place in _places(head, named) if not head.startswith((".", " AS "), place + len(named))
    ]
    if len(places) != 1:
        return None
    end = places[0] + len(named)
    return _columns_renamed(f"{head[:end]} AS {_INSIDE}{head[end:]}", table)


def _reads(condition: str, table: str) -> bool:
    """True if a subquery reads the table under its own name."""
    named = f"`main`.{table}"
    return any(
        not condition.startswith((".", " AS "), place + len(named)) for place in _places(condition, named)
    )


def _places(text: str, named: str) -> list[int]:
    return [match.start() for match in re.finditer(re.escape(named) + r"(?![^ .,)])", text)]


def _columns_renamed(text: str, table: str) -> str:
    return text.replace(f"`main`.{table}.", f"{_INSIDE}.")
