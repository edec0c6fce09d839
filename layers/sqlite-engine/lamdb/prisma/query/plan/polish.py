"""Rewrites a plan's SQL so that SQLite does not prepare its statements again.

SQLite plans some queries by the bound values, and then prepares the statement again for each value. This
takes 2 µs for the smallest query, and 20 µs and more for one that builds JSON. SQLite 3.54 does so for

- a variable in LIMIT or OFFSET. Constant values are written into the text, and a LIMIT or OFFSET without
  effect is removed.
- a variable compared by `=`, if the query sorts, groups, or tests for existence. `= +?` has the same meaning
  and does not cause it. SQLite examines values to use partial indexes (`… WHERE published = 1`), so this
  rewrite is only made if the database has none.
"""

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import apsw

from lamdb.prisma.query.arithmetic import guard_arithmetic
from lamdb.prisma.query.plan.balance import balance

type Node = Any


def has_partial_indexes(connection: apsw.Connection) -> bool:
    """True if an index of the database may be partial."""
    found = "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'index' AND sql LIKE '%WHERE%')"
    return bool(connection.execute(found).get)


def polish(node: Node, *, hide_equalities: bool) -> Node:
    """Returns the plan with every SQL template rewritten. The given plan is not changed."""
    if isinstance(node, list):
        return [polish(item, hide_equalities=hide_equalities) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("type") == "templateSql":
        query = balance(guard_arithmetic(inline_limits(node)))
        return hide_equality_variables(query) if hide_equalities else query
    return {key: polish(item, hide_equalities=hide_equalities) for key, item in node.items()}


_EQUALITY = re.compile(r"[^<>!=]= $")


def hide_equality_variables(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """Writes `= ?` as `= +?`."""
    fragments = [dict(fragment) for fragment in query["fragments"]]
    for before, fragment in pairwise(fragments):
        if fragment["type"] == "parameter" and _EQUALITY.search(before.get("chunk", "")):
            before["chunk"] += "+"
    return {**query, "fragments": fragments}


def inline_limits(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """Writes constant limits and offsets into the SQL text, and removes those without effect."""
    fragments: list[dict[str, Any]] = []
    kept: list[int] = []
    position = 0
    for fragment in query["fragments"]:
        if fragment["type"] != "stringChunk":
            argument = query["args"][position]
            before = fragments[-1].get("chunk", "") if fragments else ""
            if fragment["type"] == "parameter" and _is_limit(before, argument):
                fragments[-1] = _chunk(before + str(argument))
            else:
                fragments.append(fragment)
                kept.append(position)
            position += 1
        elif fragments and fragments[-1]["type"] == "stringChunk":
            fragments[-1] = _chunk(fragments[-1]["chunk"] + fragment["chunk"])
        else:
            fragments.append(fragment)
    if fragments[-1]["type"] == "stringChunk":
        fragments[-1] = _chunk(fragments[-1]["chunk"].removesuffix(" OFFSET 0").removesuffix(" LIMIT -1"))
    return {
        **query,
        "fragments": fragments,
        "args": [query["args"][index] for index in kept],
        "argTypes": [query["argTypes"][index] for index in kept],
    }


def _chunk(text: str) -> dict[str, Any]:
    return {"type": "stringChunk", "chunk": text}


def _is_limit(before: str, argument: Any) -> bool:
    if not before.endswith((" LIMIT ", " OFFSET ")):
        return False
    digits = str(argument).removeprefix("-")
    return isinstance(argument, int | str) and digits.isascii() and digits.isdecimal()
