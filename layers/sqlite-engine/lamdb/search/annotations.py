"""Finding the annotations of searches in the documentation comments of a schema, with their places."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from lamdb.errors import SchemaError
from lamdb.search import PREFIX

_COMMENT: Final = re.compile(
    r"///[ \t]*(?P<annotation>@lamdb\.search(?P<option>(?:\.\w*)*)(?![\w.]))(?P<rest>.*)$"
)
_BLOCK: Final = re.compile(r"^\s*(?P<kind>\w+)\s+(?P<name>\w+)\s*\{")
_WORD: Final = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class AnnotationToken:
    """A piece of an annotation and its place; `line` and `column` count from 1."""

    text: str
    file: str
    line: int
    column: int
    source: str
    """The whole line."""

    def fault(self, message: str) -> str:
        """Returns an error at this place in the form of Prisma's messages."""
        return (
            f"error: {message}\n  -->  {self.file}:{self.line}:{self.column}\n"
            f"   | \n{self.line:2} | {self.source}\n   | \n"
        )


@dataclass(frozen=True, slots=True)
class Annotation:
    """`@lamdb.search` (`option` is empty) or `@lamdb.search.<option>` over a block."""

    name: AnnotationToken
    option: str
    rest: AnnotationToken
    """All that follows, without spaces around it."""
    kind: str
    """`model`, `view`, …, or empty if it stands on no block."""
    block: str

    def words(self) -> list[AnnotationToken]:
        """Returns the words of `rest`; commas count as spaces."""
        return self.split(re.compile(r"[^\s,]+"))

    def parts(self) -> list[AnnotationToken]:
        """Returns the parts of `rest` between commas, without spaces around them."""
        return self.split(re.compile(r"[^\s,](?:[^,]*[^\s,])?"))

    def split(self, pattern: re.Pattern[str]) -> list[AnnotationToken]:
        """Returns what `pattern` finds in `rest`."""
        at = self.rest
        return [
            AnnotationToken(found[0], at.file, at.line, at.column + found.start(), at.source)
            for found in pattern.finditer(at.text)
        ]


def annotations_of(files: Iterable[tuple[str, str]]) -> Iterator[Annotation]:
    """Yields the annotations of a schema's files (name, content), in their order."""
    for name, content in files:
        if PREFIX in content:
            yield from _of_file(name, content.split("\n"))


def _of_file(file: str, lines: Sequence[str]) -> Iterator[Annotation]:
    for number, line in enumerate(lines):
        found = _COMMENT.search(line)
        if found is None:
            continue
        kind, block = block_below(lines, number) if not line[: found.start()].strip() else ("", "")
        rest = found["rest"]
        column = found.start("rest") + len(rest) - len(rest.lstrip()) + 1
        yield Annotation(
            AnnotationToken(found["annotation"], file, number + 1, found.start("annotation") + 1, line),
            found["option"][1:] or found["option"],
            AnnotationToken(rest.strip(), file, number + 1, column, line),
            kind,
            block,
        )


def block_below(lines: Sequence[str], number: int) -> tuple[str, str]:
    """Returns the kind and name of the block that the comment on a line describes; empty if there is none."""
    for line in lines[number + 1 :]:
        if line.strip() and not line.strip().startswith("//"):
            found = _BLOCK.match(line)
            return (found["kind"], found["name"]) if found else ("", "")
    return "", ""


def raise_faults(faults: Sequence[str]) -> None:
    """Raises SchemaError with all of these errors, if there are any."""
    if faults:
        raise SchemaError(
            "".join(f"{fault}\n" for fault in faults) + f"Validation Error Count: {len(faults)}",
            hint="docs/search.md describes the annotations.",
        )
