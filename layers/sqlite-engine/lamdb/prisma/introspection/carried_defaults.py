"""Defaults in the schema engine's answer when a database carries a schema.

The engine keeps the carried types and describes defaults anew. SQLite has an enum's value as text, which is
`role Role @default("ADMIN")` then; and a column that has the default of its field is shown with a token of
`lamdb.prisma.datamodel.defaults`, or without it, and gets that. Of enums the engine loses names in the
database and comments.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Final

from lamdb.prisma.datamodel.attributes import Attribute, attributes, changed, labelled
from lamdb.prisma.datamodel.defaults import has_token
from lamdb.prisma.datamodel.schema_text import Block, Field, escape, parse_blocks, unescape, without_comment

_VALUE: Final = re.compile(
    r"^\s*(?P<name>[A-Za-z]\w*)(?:.*?@map\(\s*(?:name:\s*)?\"(?P<text>(?:[^\"\\]|\\.)*)\")?"
)


def restore_defaults(blocks: list[Block], carried: str, meant: Collection[tuple[str, str]]) -> None:
    """Change enums to those of the carried schema, and defaults to its own or to what the column has.

    `carried` is the text of that schema. `meant` are tables and columns, in lower case, that have the default
    of the carried field.
    """
    known_enums = {block.name: block for block in parse_blocks(carried) if block.kind == "enum"}
    blocks[:] = [known_enums.pop(each.name, each) if each.kind == "enum" else each for each in blocks]
    blocks += known_enums.values()
    enums = {block.name: _values(block.rest) for block in blocks if block.kind == "enum"}
    fields = {
        (block.table.lower(), each.column.lower()): each
        for block in parse_blocks(carried)
        for each in block.fields
    }
    for block in blocks:
        for each in block.fields:
            place = block.table.lower(), each.column.lower()
            known = fields.get(place) if place in meant else None
            replace = partial(_default, enums.get(each.type, {}), known)
            each.attributes = changed(each.attributes, replace)


def _values(lines: Iterable[str]) -> dict[str, str]:
    """The names of an enum's values by their texts in the database."""
    found = (_VALUE.match(without_comment(line)) for line in lines)
    return {
        unescape(value["text"]) if value["text"] is not None else value["name"]: value["name"]
        for value in found
        if value
    }


def _default(values: Mapping[str, str], known: Field | None, found: Attribute) -> str | None:
    if found.name != "@default" or not found.arguments:
        return None
    argument = labelled(found.arguments[0])[1]
    if known is not None and (has_token(argument) or argument == "dbgenerated()"):
        had = attributes(known.attributes)
        return next((_text(each) for each in had if each.name == "@default"), None)
    if not values or not argument.startswith('"'):
        return None
    text = unescape(argument[1:-1])
    if text in values:
        return f"@default({values[text]})"
    literal = "'" + text.replace("'", "''") + "'"
    return f'@default(dbgenerated("{escape(literal)}"))'


def _text(attribute: Attribute) -> str:
    return f"{attribute.name}({', '.join(attribute.arguments or ())})"
