"""Rewrites long chains of conditions as shallow trees, which SQLite accepts.

Prisma's compiler writes `(a = ? OR a = ? OR …)` for a long `OR`, `AND` or `NOT`, and for the records of
`connect`, `disconnect`, `set` and `delete`. SQLite parses such a chain as a tree as deep as the chain is
long, and refuses a depth above 1,000. Parentheses around runs of its members make the tree shallow and do not
change the meaning: n members in runs of √n are a tree of depth 2√n.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isqrt
from typing import Any, Final

LONG_CHAIN: Final = 200
"""Members; a shorter chain is left as it is."""

# The relevant tokens: quoted names and texts, parentheses, commas, subqueries and the two operators.
_TOKENS: Final = re.compile(r'"(?:[^"]|"")*"|`(?:[^`]|``)*`|\'(?:[^\']|\'\')*\'|[(),]|\bSELECT\b| OR | AND ')


@dataclass(slots=True)
class _Group:
    """A pair of parentheses, with start and end of the operators between its members."""

    start: tuple[int, int]
    operators: list[tuple[int, int, str]] = field(default_factory=list)
    is_expression: bool = True

    def inserts(self, end: tuple[int, int]) -> Iterator[tuple[int, int, str]]:
        """(fragment, place in it, what to insert), for a long chain of one operator."""
        count = len(self.operators)
        if count < LONG_CHAIN or not self.is_expression or len({kind for _, _, kind in self.operators}) != 1:
            return
        yield *self.start, "("
        run = isqrt(count) + 1
        for fragment, place, kind in self.operators[run - 1 :: run]:
            yield fragment, place, ")"
            yield fragment, place + len(kind), "("
        yield *end, ")"


def balance(query: Mapping[str, Any]) -> Mapping[str, Any]:
    """A template of SQL with its long chains of conditions in parentheses."""
    fragments = query["fragments"]
    if len(fragments) <= LONG_CHAIN:
        return query
    inserts: dict[int, list[tuple[int, str]]] = {}
    for fragment, place, text in _inserts(fragments):
        inserts.setdefault(fragment, []).append((place, text))
    if not inserts:
        return query
    return {
        **query,
        "fragments": [
            {**fragment, "chunk": _with(fragment["chunk"], inserts[index])} if index in inserts else fragment
            for index, fragment in enumerate(fragments)
        ],
    }


def _inserts(fragments: list[Mapping[str, Any]]) -> Iterator[tuple[int, int, str]]:
    groups: list[_Group] = []
    for index, fragment in enumerate(fragments):
        for token in _TOKENS.finditer(fragment.get("chunk", "")):
            text = token[0]
            if text == "(":
                groups.append(_Group((index, token.end())))
            elif not groups:
                continue
            elif text == ")":
                yield from groups.pop().inserts((index, token.start()))
            elif text in {",", "SELECT"}:
                groups[-1].is_expression = False
            elif text in {" OR ", " AND "}:
                groups[-1].operators.append((index, token.start(), text))


def _with(chunk: str, inserts: list[tuple[int, str]]) -> str:
    """A text with others inserted; those of one place in the order in which they were found."""
    made: list[str] = []
    last = 0
    for place, text in sorted(inserts, key=lambda each: each[0]):
        made += (chunk[last:place], text)
        last = place
    return "".join((*made, chunk[last:]))
