"""Datasource and generator blocks of a schema, in the form that Prisma's engines accept.

    accepted(content)      # the same schema, without what concerns other programs
    in_place(content)      # the same for Prisma's validation: its messages show the lines of the file
    spread(content)        # all of it, each property of these blocks on a line of its own

Removed are a byte order mark; `url`, `directUrl` and `shadowDatabaseUrl` of a datasource, which schemas of
Prisma 6 and before have and lamDB does not use; and preview features that changed only Prisma's client.
Blocks on one line are written over several. Every other line keeps its number, so that messages name the
right place.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

ADDRESSES: Final = frozenset(("url", "directUrl", "shadowDatabaseUrl"))
"""Properties of a datasource that name a database."""

CLIENT_FEATURES: Final = frozenset(
    (
        "fullTextSearchPostgres",
        "insensitiveFilters",
        "libraryEngine",
        "metrics",
        "middlewares",
        "transactionsApi",
    )
)
"""Preview features that Prisma 7 does not know any more, and that change nothing in a schema."""

_BYTE_ORDER_MARK: Final = "\ufeff"
_CONFIG: Final = re.compile(r"\b(?:datasource|generator)\b")
_HEAD: Final = re.compile(r"(?P<kind>datasource|generator)[ \t]+(?P<name>\w+)\s*\{")
_TOKEN: Final = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|[A-Za-z_][\w.]*|\s+|.""", re.DOTALL)
_BLOCK_COMMENT: Final = re.compile(r"(?P<line>//[^\n]*)|/\*.*?\*/", re.DOTALL)
_CARRIAGE_RETURN: Final = "\r"
_WORD: Final = re.compile(r"[A-Za-z_]\w*")
_STRING: Final = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Property:
    """One `name = value` of a block; `start` and `end` are offsets into the file, from name to value."""

    name: str
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class ConfigBlock:
    """A datasource or generator; `start` and `end` are the offsets of its text."""

    kind: str
    name: str
    properties: tuple[Property, ...]
    start: int
    end: int
    is_spread: bool
    """True if each property has a line of its own, as Prisma's parser asks for."""

    def value(self, name: str) -> str | None:
        """The text of a property's value, quotes included."""
        return next((each.value for each in self.properties if each.name == name), None)


def config_blocks(content: str) -> list[ConfigBlock]:
    """The datasource and generator blocks of one file. One that is not closed is left out."""
    blocks: list[ConfigBlock] = []
    if not _CONFIG.search(content):
        return blocks
    position = depth = 0
    while position < len(content):
        head = _HEAD.match(content, position) if not depth else None
        if head and (found := _block(content, head)) is not None:
            blocks.append(found)
            position = found.end
            continue
        token = _next(content, position)
        depth = max(0, depth + (token == "{") - (token == "}"))
        position += len(token)
    return blocks


def accepted(content: str) -> str:
    """The text of a file as Prisma's engines accept it; see the module's description."""
    content = content.removeprefix(_BYTE_ORDER_MARK)
    appended: list[str] = []
    for block in reversed(config_blocks(content)):
        if block.is_spread:
            content = _edited(content, block)
            continue
        kept = [(each.name, _kept_value(each)) for each in block.properties if not _is_address(block, each)]
        # At the end of the file, so that no line behind it gets another number.
        appended[:0] = ["", f"{block.kind} {block.name} {{", *(f"  {n} = {v}" for n, v in kept), "}"]
        content = _blanked(content, block.start, block.end)
    if appended:
        content = content.rstrip() + "\n" + "\n".join(appended) + "\n"
    return content


def in_place(content: str) -> str:
    """The text of a file as Prisma's parser accepts it, with every line where it is.

    Where the parser wants another line, there is a carriage return: it ends a line, and messages do not count
    it. Messages without carriage returns show the file.
    """
    content = content.removeprefix(_BYTE_ORDER_MARK)
    for block in reversed(config_blocks(content)):
        content = _edited(content, block) if block.is_spread else _broken(content, block)
    return content


def spread(content: str) -> str:
    """The text of a file with each property of these blocks on a line of its own, for Prisma's formatter."""
    content = content.removeprefix(_BYTE_ORDER_MARK)
    for block in reversed(config_blocks(content)):
        if not block.is_spread:
            content = _broken(content, block, keeps_all=True)
    return content


def _edited(content: str, block: ConfigBlock) -> str:
    """With the kept properties of a block whose properties have lines of their own."""
    for each in reversed(block.properties):
        if _is_address(block, each):
            content = _blanked(content, each.start, _line_end(content, each.end))
        elif (value := _kept_value(each)) != each.value:
            written = f"{each.name} = {_as_long(value, each.value)}"
            content = f"{content[: each.start]}{written}{content[each.end :]}"
    return content


def _broken(content: str, block: ConfigBlock, *, keeps_all: bool = False) -> str:
    """With carriage returns where a block lacks the ends of lines.

    `keeps_all`: with line feeds, and with addresses, features and comments.
    """
    end = "\n" if keeps_all else _CARRIAGE_RETURN
    clean = (lambda text: text) if keeps_all else _without_comments
    brace = content.index("{", block.start)
    before = content[content.rfind("\n", 0, block.start) + 1 : block.start]
    parts = [end] if before.strip() else []
    parts += [block.kind, " ", block.name, " {", _as_long("", content[block.start : brace])]
    position = brace + 1
    for each in block.properties:
        parts += [clean(content[position : each.start])]
        if keeps_all:
            parts += [end, content[each.start : each.end]]
        elif _is_address(block, each):
            parts += [_as_long("", each.value)]
        else:
            parts += [end, each.name, " = ", _as_long(_kept_value(each), each.value)]
        position = each.end
    parts += [clean(content[position : block.end - 1]), end, "}"]
    if _kept_on(content, block.end):
        parts += [end]
    return content[: block.start] + "".join(parts) + content[block.end :]


def _as_long(text: str, replaced: str) -> str:
    """With as many ends of lines as the text that it replaces."""
    return text + "\n" * (replaced.count("\n") - text.count("\n"))


def _without_comments(text: str) -> str:
    """Blanks between properties without comments in `/* */`, which Prisma's parser does not have."""
    return _BLOCK_COMMENT.sub(lambda found: found["line"] or _as_long("", found[0]), text)


def _is_address(block: ConfigBlock, each: Property) -> bool:
    return block.kind == "datasource" and each.name in ADDRESSES


def _kept_value(each: Property) -> str:
    """The value without preview features of the client."""
    if each.name != "previewFeatures":
        return each.value
    names = _STRING.findall(each.value)
    kept = [name for name in names if name not in CLIENT_FEATURES]
    if kept == names and "\n" not in each.value:
        return each.value
    return "[" + ", ".join(f'"{name}"' for name in kept) + "]"


def _block(content: str, head: re.Match[str]) -> ConfigBlock | None:
    tokens = list(_tokens(content, head.end()))
    closing = next((start for start, token in tokens if token == "}"), None)
    if closing is None:
        return None
    inside = [(start, token) for start, token in tokens if start < closing]
    properties = _properties(content, inside)
    return ConfigBlock(
        head["kind"],
        head["name"],
        properties,
        head.start(),
        closing + 1,
        _is_spread(content, head, properties, closing),
    )


def _tokens(content: str, position: int) -> Iterator[tuple[int, str]]:
    """Tokens with their offsets, from inside a block up to the brace that closes it."""
    while position < len(content):
        token = _next(content, position)
        yield position, token
        if token == "}":
            return
        position += len(token)


def _next(content: str, position: int) -> str:
    found = _TOKEN.match(content, position)
    assert found is not None
    return found[0]


def _properties(content: str, tokens: Sequence[tuple[int, str]]) -> tuple[Property, ...]:
    meaning = [(start, token) for start, token in tokens if not _is_space(token)]
    names = [
        index
        for index, (_, token) in enumerate(meaning[:-1])
        if _WORD.fullmatch(token) and meaning[index + 1][1] == "="
    ]
    properties = []
    for index, following in zip(names, [*names[1:], len(meaning)], strict=True):
        last, text = meaning[following - 1]
        start = meaning[index][0]
        first = meaning[index + 2][0] if index + 2 < following else last + len(text)
        end = last + len(text)
        properties.append(Property(meaning[index][1], content[first:end], start, end))
    return tuple(properties)


def _is_space(token: str) -> bool:
    return token.isspace() or token.startswith(("//", "/*"))


def _is_spread(content: str, head: re.Match[str], properties: Sequence[Property], closing: int) -> bool:
    if "\n" in head[0]:
        return False
    starts = [each.start for each in properties] + [closing]
    return all(not content[content.rfind("\n", 0, start) + 1 : start].strip() for start in starts) and not (
        _kept_on(content, head.end())
    )


def _kept_on(content: str, position: int) -> bool:
    """True if more than a comment stands behind `position` on its line."""
    rest = content[position : _line_end(content, position)].strip()
    return bool(rest) and not rest.startswith("//")


def _line_end(content: str, position: int) -> int:
    end = content.find("\n", position)
    return len(content) if end < 0 else end


def _blanked(content: str, start: int, end: int) -> str:
    return content[:start] + re.sub(r"[^\n]+", "", content[start:end]) + content[end:]
