"""Attributes in a line of a Prisma schema: found with their places, and changed."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"@@?[A-Za-z][\w.]*")
_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|.', re.DOTALL)
_LABEL: Final = re.compile(r"(?P<label>[A-Za-z]\w*)\s*:\s*(?P<value>.*)", re.DOTALL)
_OPENING, _CLOSING = "([{", ")]}"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute: `@db.VarChar(20)` has the name `@db.VarChar` and the argument `20`.

    `start` and `end` are offsets into the line. `arguments` is None without parentheses.
    """

    name: str
    arguments: tuple[str, ...] | None
    start: int
    end: int

    def argument(self, label: str) -> str | None:
        """The value of a labelled argument."""
        return next((value for name, value in map(labelled, self.arguments or ()) if name == label), None)

    def without(self, *labels: str) -> str:
        """The text of the attribute without some labelled arguments."""
        kept = [each for each in self.arguments or () if labelled(each)[0] not in labels]
        return written(self.name, kept)


def attributes(code: str) -> Iterator[Attribute]:
    """The attributes in a line without its comment."""
    position = 0
    while position < len(code):
        piece = _PIECE.match(code, position)
        assert piece is not None
        found = _NAME.match(code, position)
        if found is None:
            position = piece.end()
            continue
        end, arguments = found.end(), None
        if code[end : end + 1] == "(":
            inside, end = _enclosed(code, end)
            arguments = tuple(split(inside))
        yield Attribute(found[0], arguments, found.start(), end)
        position = end


def changed(code: str, change: Callable[[Attribute], str | None]) -> str:
    """The line with each attribute replaced by what `change` returns; an empty text removes it."""
    for each in reversed(list(attributes(code))):
        text = change(each)
        if text is None:
            continue
        before, after = code[: each.start], code[each.end :]
        code = before + text + after if text else f"{before.rstrip()} {after.lstrip()}".rstrip()
    return code


def written(name: str, arguments: Sequence[str]) -> str:
    """An attribute's text; without arguments it has no parentheses."""
    return f"{name}({', '.join(arguments)})" if arguments else name


def labelled(argument: str) -> tuple[str | None, str]:
    """(label, value) of an argument; the label is None if it has none."""
    found = _LABEL.fullmatch(argument)
    return (found["label"], found["value"]) if found else (None, argument)


def split(text: str) -> list[str]:
    """The parts between commas that are in no bracket and no string."""
    parts, depth, current = [], 0, ""
    for piece in _PIECE.findall(text):
        depth += (piece in _OPENING) - (piece in _CLOSING)
        if piece == "," and not depth:
            parts.append(current.strip())
            current = ""
        else:
            current += piece
    return [*parts, current.strip()] if current.strip() else parts


def _enclosed(code: str, opening: int) -> tuple[str, int]:
    """The text between a parenthesis and the one that closes it, and the offset behind that."""
    depth, position = 0, opening
    while position < len(code):
        piece = _PIECE.match(code, position)
        assert piece is not None
        depth += (piece[0] in _OPENING) - (piece[0] in _CLOSING)
        position = piece.end()
        if not depth:
            return code[opening + 1 : position - 1], position
    return code[opening + 1 :], len(code)
