"""SQL templates as one text that can be searched and divided.

A placeholder is a mark with its number, so a part of the text that is moved keeps its arguments.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

type Query = Mapping[str, Any]

NAME: Final = r"`(?:[^`]|``)+`"
COLUMN: Final = rf"`main`\.(?P<table>{NAME})\.(?P<column>{NAME})"

UNFLATTENED: Final = " LIMIT -1"
"""The end of a query that SQLite is to run by itself where it is a subquery. It limits nothing."""

_OPEN, _CLOSE = "\x01", "\x02"
_MARK: Final = re.compile(f"{_OPEN}(\\d+){_CLOSE}")
_QUOTED: Final = re.compile(r"`(?:[^`]|``)*`|\"(?:[^\"]|\"\")*\"|'(?:[^']|'')*'")


def read(query: Query) -> str | None:
    """The template's text with marks for its placeholders; None if it has characters that look like marks."""
    text = ""
    position = 0
    for fragment in query["fragments"]:
        if fragment["type"] == "stringChunk":
            if _OPEN in fragment["chunk"] or _CLOSE in fragment["chunk"]:
                return None
            text += fragment["chunk"]
        else:
            text += placeholder(position)
            position += 1
    return text


def write(query: Query, text: str) -> Query:
    """The template `query` with another text, whose marks name placeholders of `query`."""
    slots = [fragment for fragment in query["fragments"] if fragment["type"] != "stringChunk"]
    fragments: list[Mapping[str, Any]] = []
    order: list[int] = []
    for index, part in enumerate(_MARK.split(text)):
        if index % 2:
            order.append(int(part))
            fragments.append(slots[int(part)])
        elif part:
            fragments.append({"type": "stringChunk", "chunk": part})
    return {
        **query,
        "fragments": fragments,
        "args": [query["args"][number] for number in order],
        "argTypes": [query["argTypes"][number] for number in order],
    }


def placeholder(number: int) -> str:
    """The mark of a template's placeholder."""
    return f"{_OPEN}{number}{_CLOSE}"


def blank(text: str) -> str:
    """A text of the same length in which quoted names and texts hold nothing but `_`."""
    return _QUOTED.sub(lambda found: found[0][0] + "_" * (len(found[0]) - 2) + found[0][0], text)


def unquoted(name: str) -> str:
    """The name that is written in backticks."""
    return name[1:-1].replace("``", "`")


def closing(plain: str, opening: int) -> int:
    """The place of the parenthesis that closes the one at `opening` of a blanked text; -1 if none does."""
    depth = 0
    for place in range(opening, len(plain)):
        if plain[place] == "(":
            depth += 1
        elif plain[place] == ")":
            depth -= 1
            if not depth:
                return place
    return -1


def pieces(text: str, separator: str) -> list[str]:
    """The text cut at a separator that is neither quoted nor in parentheses."""
    found: list[str] = []
    start = 0
    for place in _outside(blank(text), separator):
        if place >= start:
            found.append(text[start:place])
            start = place + len(separator)
    return [*found, text[start:]]


def _outside(plain: str, word: str) -> Iterator[int]:
    """The places of a word outside parentheses."""
    depth = 0
    for place, character in enumerate(plain):
        if character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
        if not depth and character == word[0] and plain.startswith(word, place):
            yield place


_CLAUSES: Final = {
    "source": " FROM ",
    "where": " WHERE ",
    "group": " GROUP BY ",
    "having": " HAVING ",
    "order": " ORDER BY ",
    "limit": " LIMIT ",
    "offset": " OFFSET ",
}


@dataclass(frozen=True, slots=True)
class Select:
    """The clauses of one SELECT, without their keywords; None for those that it lacks."""

    columns: str
    source: str
    where: str | None = None
    group: str | None = None
    having: str | None = None
    order: str | None = None
    limit: str | None = None
    offset: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Select | None":
        """The clauses of a text; None if it is not one SELECT with a FROM, as Prisma writes them."""
        plain = blank(text)
        if not plain.startswith("SELECT ") or any(
            True for word in (" UNION ", "DISTINCT ", " WINDOW ") for _ in _outside(plain, word)
        ):
            return None
        found: list[tuple[int, str]] = []
        for clause, keyword in _CLAUSES.items():
            places = [*_outside(plain, keyword)]
            if len(places) > 1:
                return None
            if places:
                found.append((places[0], clause))
        if not found or found[0][1] != "source" or found != sorted(found):
            return None
        ends = [place for place, _ in found[1:]] + [len(text)]
        clauses = {
            clause: text[place + len(_CLAUSES[clause]) : end]
            for (place, clause), end in zip(found, ends, strict=True)
        }
        return cls(text[len("SELECT ") : found[0][0]], **clauses)

    def __str__(self) -> str:
        text = f"SELECT {self.columns}"
        for clause, keyword in _CLAUSES.items():
            value = getattr(self, clause)
            if value is not None:
                text += keyword + value
        return text

    @property
    def condition(self) -> str | None:
        """The WHERE clause, unless it lets everything pass."""
        return None if self.where == "1=1" else self.where

    def but(self, **clauses: str | None) -> "Select":
        """The same with other clauses."""
        return replace(self, **clauses)  # type: ignore[arg-type]


def conjunction(*conditions: str | None) -> str:
    """All conditions at once; those that are None let everything pass."""
    present = [condition for condition in conditions if condition is not None]
    return present[0] if len(present) == 1 else " AND ".join(f"({condition})" for condition in present)
