"""Names of models and fields for tables and columns: in Prisma's style, or unchanged.

tracks_2, "Order Details"  →  models Tracks2, OrderDetail
artist_id, "Unit Price"    →  fields artistId, unitPrice
"""

import re
import unicodedata
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import takewhile

from lamdb.prisma.datamodel.reserved import is_reserved_field
from lamdb.prisma.sqlite.catalog import Catalog, Table
from lamdb.prisma.sqlite.join_tables import is_join_table, is_ordered


class Style(StrEnum):
    """`prisma`: PascalCase models in the singular, camelCase fields. `keep`: as the database has them."""

    PRISMA = "prisma"
    KEEP = "keep"


@dataclass(frozen=True)
class Names:
    """The names that tables and columns have in the schema, by their names in the database."""

    models: dict[str, str] = field(default_factory=dict)
    fields: dict[str, dict[str, str]] = field(default_factory=dict)


_IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
_WORDS = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|[0-9]+")
# What GraphQL, Prisma or the API made of a schema keep for themselves.
_RESERVED_MODELS = frozenset(
    [
        "query",
        "mutation",
        "subscription",
        "string",
        "int",
        "bigint",
        "float",
        "decimal",
        "boolean",
        "datetime",
        "json",
        "bytes",
        "id",
        "jsonprotocol",
        "affectedrowsoutput",
        "sortorder",
        "sortorderinput",
        "nullsorder",
        "querymode",
        "transactionisolationlevel",
        "unsupported",
        "prismaclient",
        "prisma",
        "async",
        "await",
        "break",
        "case",
        "catch",
        "class",
        "const",
        "continue",
        "debugger",
        "default",
        "delete",
        "do",
        "else",
        "enum",
        "export",
        "extends",
        "false",
        "finally",
        "for",
        "function",
        "if",
        "implements",
        "import",
        "in",
        "instanceof",
        "interface",
        "let",
        "new",
        "null",
        "package",
        "private",
        "protected",
        "public",
        "return",
        "super",
        "switch",
        "this",
        "throw",
        "true",
        "try",
        "typeof",
        "using",
        "var",
        "void",
        "while",
        "with",
        "yield",
        "model",
    ]
)
_KEY_WORDS = frozenset(("id", "key", "code", "fk", "no", "nr", "uuid", "guid"))


def name_all(catalog: Catalog, style: Style, avoid: Collection[str] = ()) -> Names:
    """A name for every table, view and column, each once, whatever its case.

    No model gets a name of `avoid`.
    """
    names = Names()
    taken: set[str] = set()
    joining = [table for table in catalog.tables if is_join_table(catalog, table)]
    # Those first that others refer to: a table that joins them may have no name but its own.
    for table in (*(each for each in catalog.tables if each not in joining), *catalog.views, *joining):
        known = {name.lower(): model for name, model in names.models.items()}
        if table in joining and is_ordered(table, known):
            names.models[table.name] = table.name
            names.fields[table.name] = {column.name: column.name for column in table.columns}
            continue
        wanted = model_name(table.name) if style is Style.PRISMA else identifier(table.name, "Table")
        while wanted.lower() in _RESERVED_MODELS or wanted in avoid:
            wanted += "Record"
        names.models[table.name] = free_name(wanted, taken)
        names.fields[table.name] = _name_columns(table, style)
    return names


def _name_columns(table: Table, style: Style) -> dict[str, str]:
    taken: set[str] = set()
    found: dict[str, str] = {}
    for column in table.columns:
        wanted = field_name(column.name) if style is Style.PRISMA else identifier(column.name, "column")
        found[column.name] = free_name(usable(wanted), taken)
    # Prisma addresses a key of several columns by the names of its fields, which no field may have.
    keys = [[column.name for column in table.key]]
    keys += [list(index.names) for index in table.indexes if index.unique]
    joined = {
        "_".join(found[table.by_name[name.lower()].name] for name in names)
        for names in keys
        if len(names) > 1
    }
    for column_name, name in found.items():
        if name in joined:
            found[column_name] = free_name(f"{name}_", taken)
    return found


def usable(name: str, *, is_relation: bool = False) -> str:
    """A field's name, with an underscore behind it if a field cannot have the name itself."""
    return f"{name}_" if is_reserved_field(name, is_relation=is_relation) else name


def model_name(name: str) -> str:
    """PascalCase, the last word in the singular."""
    words = _words(name)
    if not words:
        return "Table"
    words[-1] = singular(words[-1])
    return _started("".join(_capital(word) for word in words), "T")


def field_name(name: str) -> str:
    """camelCase."""
    words = _words(name)
    if not words:
        return "column"
    return _started(words[0].lower() + "".join(_capital(word) for word in words[1:]), "c")


def identifier(name: str, otherwise: str) -> str:
    """The name itself if the schema can have it, else what is left of it."""
    if _IDENTIFIER.fullmatch(name):
        return name
    kept = re.sub(r"[^A-Za-z0-9_]+", "_", _ascii(name)).strip("_")
    return _started(kept or otherwise, otherwise[0] + "_")


def relation_name(columns: Iterable[str], target: str) -> str | None:
    """The name of a foreign key's field, derived from its columns; None if their names do not say.

    `artist_id` → artist; (`uom_auth_name`, `uom_code`) → uom.
    """
    split = [_words(column) for column in columns]
    if len(split) > 1:
        common = [parts[0] for parts in takewhile(_agree, zip(*split, strict=False))]
        return _camel(common) if common else None
    words = split[0]
    if len(words) > 1 and words[-1].lower() in _KEY_WORDS:
        return _camel(words[:-1])
    if len(words) > 1 and words[0].lower() in ("id", "fk"):
        return _camel(words[1:])
    if len(words) == 1 and words[0].lower() == f"{target.lower()}id":
        return lower_first(target)
    return None


def _agree(words: tuple[str, ...]) -> bool:
    return len({word.lower() for word in words}) == 1


def lower_first(name: str) -> str:
    """`OrderDetail` → orderDetail."""
    return name[:1].lower() + name[1:]


def free_name(wanted: str, taken: set[str]) -> str:
    """`wanted`, or with a number behind it if that is taken, whatever its case; takes it."""
    name, number = wanted, 2
    while name.lower() in taken:
        name, number = f"{wanted}{number}", number + 1
    taken.add(name.lower())
    return name


def plural(word: str) -> str:
    """The English plural of a camelCase name."""
    last = _words(word)[-1]
    if last.lower() in _PLURALS:
        found = _PLURALS[last.lower()]
        return word.removesuffix(last) + (found.capitalize() if last[0].isupper() else found)
    if singular(last) != last:
        return word
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + "s"


_SINGULARS = {
    "people": "person",
    "children": "child",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "indices": "index",
    "vertices": "vertex",
    "matrices": "matrix",
    "aliases": "alias",
    "statuses": "status",
    "buses": "bus",
    "movies": "movie",
    "cookies": "cookie",
    "caches": "cache",
    "axes": "axis",
    "analyses": "analysis",
    "databases": "database",
    "leaves": "leaf",
    "shelves": "shelf",
}
_PLURALS = {one: many for many, one in _SINGULARS.items()}
_ALREADY = re.compile(
    r"(ss|us|is|ics|news|series|species|alias|canvas|lens|meta|data|info|os|as)$", re.IGNORECASE
)


def singular(word: str) -> str:
    """The singular of an English plural, in the same case; anything else as it is."""
    lower = word.lower()
    if lower in _SINGULARS:
        found = _SINGULARS[lower]
        return found.upper() if word.isupper() else found.capitalize() if word[0].isupper() else found
    if len(word) < 4 or not lower.endswith("s") or _ALREADY.search(word):
        return word
    if lower.endswith("ies") and len(word) > 4:
        return word[:-3] + ("Y" if word.isupper() else "y")
    if re.search(r"(ss|x|z|ch|sh)es$", lower):
        return word[:-2]
    return word[:-1]


def _words(name: str) -> list[str]:
    return _WORDS.findall(_ascii(name))


def _ascii(name: str) -> str:
    """The name without accents; what has no Latin letter is written as its numbers."""
    plain = unicodedata.normalize("NFKD", name)
    letters = (
        character
        if character.isascii()
        else ""
        if unicodedata.combining(character)
        else f"_u{ord(character):x}_"
        for character in plain
    )
    return "".join(letters)


def _camel(words: list[str]) -> str:
    return _started(words[0].lower() + "".join(_capital(word) for word in words[1:]), "c")


def _capital(word: str) -> str:
    return word[:1].upper() + word[1:].lower()


def _started(name: str, letter: str) -> str:
    """Names begin with a letter."""
    return name if name[:1].isalpha() else letter + name
