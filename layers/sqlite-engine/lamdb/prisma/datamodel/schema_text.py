"""The text of a Prisma schema, line by line: models with their fields, attributes and comments.

Prisma's own parser tells the meaning of a schema, but not the places in it. This module finds them, to change
a schema that stays readable, and to find lamDB's annotations:

    /// @lamdb.type integer_or_text
    code String

says that the column was declared as `integer_or_text`, is read as a String, and is to stay as it is;

    /// @lamdb.rowid
    rowid Int @id @default(autoincrement())

that the table has no such column, but that SQLite's own number of the row is the id.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

NOTE_PREFIX = "@lamdb."

_BLOCK = re.compile(r"^\s*(?P<kind>model|view|enum|generator|datasource|type)\s+(?P<name>\w+)\s*\{\s*$")
_FIELD = re.compile(
    r"^\s*(?P<name>\w+)\s+(?P<type>Unsupported\(\"(?:[^\"\\]|\\.)*\"\)|\w+)(?P<arity>\[\]|\?)?"
    r"(?:\s+(?P<attributes>.*?))?\s*$"
)
_MEMBER = re.compile(r"^\s*(?P<name>[A-Za-z]\w*)")
_TYPE_NOTE = re.compile(r"^///\s*@lamdb\.type\b[ \t]*(?P<declared>.*?)\s*$")
_ROWID_NOTE = re.compile(r"^///\s*@lamdb\.rowid\s*$")
_MAP = re.compile(r"@map\((?:name:\s*)?\"(?P<name>(?:[^\"\\]|\\.)*)\"\)")
_BLOCK_MAP = re.compile(r"^\s*@@map\((?:name:\s*)?\"(?P<name>(?:[^\"\\]|\\.)*)\"\)")
_TRAILING_COMMENT = re.compile(r"""^((?:[^"/]|"(?:[^"\\]|\\.)*"|/(?!/))*)//.*$""")
_RELATION_NAME = re.compile(r"@relation\((?:name:\s*)?\"(?P<name>(?:[^\"\\]|\\.)*)\"")
_RELATION_FIELDS = re.compile(r"\bfields:\s*\[(?P<names>[^\]]*)\]")


@dataclass(slots=True)
class Field:
    """One field: `type` without `?` and `[]`, which are `arity`."""

    name: str
    type: str
    arity: str
    attributes: str
    comments: list[str] = field(default_factory=list)
    """The lines above it, with their slashes."""
    line: int = -1
    """Its place among the lines of the text that it was read from."""

    @property
    def column(self) -> str:
        found = _MAP.search(self.attributes)
        return unescape(found["name"]) if found else self.name

    @property
    def declared(self) -> str | None:
        """The declared type that a note above the field names."""
        notes = map(_TYPE_NOTE.match, self.comments)
        return next((note["declared"] for note in notes if note), None)

    @property
    def is_counted_bigint(self) -> bool:
        """True if it is a BigInt that the database counts."""
        return (
            self.type == "BigInt" and re.search(r"@default\(\s*autoincrement\(", self.attributes) is not None
        )

    @property
    def is_rowid(self) -> bool:
        return any(map(_ROWID_NOTE.match, self.comments))

    @property
    def relation(self) -> str | None:
        found = _RELATION_NAME.search(self.attributes)
        return found["name"] if found else None

    @property
    def linked(self) -> list[str]:
        """The fields of this model that a relation is made of; empty on its other side."""
        found = _RELATION_FIELDS.search(self.attributes)
        return re.findall(r"\w+", found["names"]) if found else []

    def lines(self) -> Iterator[str]:
        yield from (f"  {comment}" for comment in self.comments)
        yield f"  {self.name} {self.type}{self.arity} {self.attributes}".rstrip()


@dataclass(slots=True)
class Block:
    """A model, view, enum, generator or datasource. Only models and views have `fields`."""

    kind: str
    name: str
    comments: list[str]
    fields: list[Field] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)
    """All other lines, as they are."""

    @property
    def table(self) -> str:
        found = next((match for match in map(_BLOCK_MAP.match, self.rest) if match), None)
        return unescape(found["name"]) if found else self.name

    @property
    def is_ignored(self) -> bool:
        return any(line.strip().startswith("@@ignore") for line in self.rest)

    def lines(self) -> Iterator[str]:
        yield from self.comments
        yield f"{self.kind} {self.name} {{"
        for each in self.fields:
            yield from each.lines()
        yield from ("", *self.rest)
        yield "}"


def parse_blocks(text: str) -> list[Block]:
    """The blocks of one file. Comments between blocks stay with the one that follows."""
    blocks: list[Block] = []
    comments: list[str] = []
    current: Block | None = None
    for number, line in enumerate(text.split("\n")):
        stripped = line.strip()
        if current is None:
            found = _BLOCK.match(without_comment(line))
            if found:
                current = Block(found["kind"], found["name"], comments)
                comments = []
            elif stripped.startswith("//"):
                comments.append(stripped)
        elif stripped == "}":
            current.rest += comments
            comments = []
            blocks.append(current)
            current = None
        elif current.kind not in ("model", "view"):
            current.rest.append(line)
        elif stripped.startswith("//"):
            comments.append(stripped)
        elif stripped.startswith("@@"):
            current.rest += [*comments, stripped]
            comments = []
        elif stripped and (found := _FIELD.match(without_comment(line))):
            current.fields.append(
                Field(
                    found["name"],
                    found["type"],
                    found["arity"] or "",
                    found["attributes"] or "",
                    comments,
                    number,
                )
            )
            comments = []
    return blocks


@dataclass(frozen=True, slots=True)
class SourcePosition:
    """The place where a block or a member of one is declared; `line` and `column` count from 1."""

    block: str
    member: str | None
    line: int
    column: int
    text: str
    """The whole line."""


def declarations(text: str) -> Iterator[SourcePosition]:
    """The places of the models, views and enums of one file, and of their fields and values."""
    block: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        bare = without_comment(line)
        if block is None:
            found = _BLOCK.match(bare)
            if found and found["kind"] in ("model", "view", "enum"):
                block = found["name"]
                yield SourcePosition(block, None, number, found.start("name") + 1, line)
        elif bare.strip() == "}":
            block = None
        elif member := _MEMBER.match(bare):
            yield SourcePosition(block, member["name"], number, member.start("name") + 1, line)


def render(blocks: Iterable[Block]) -> str:
    """The text of the blocks; Prisma's formatter lays it out."""
    return "\n\n".join("\n".join(block.lines()) for block in blocks) + "\n"


def type_note(declared: str) -> str:
    """The line that keeps a column's declared type."""
    return f"/// {NOTE_PREFIX}type {spaced(declared)}".rstrip()


ROWID_NOTE = f"/// {NOTE_PREFIX}rowid"


def spaced(declared: str) -> str:
    """A declared type on one line."""
    return " ".join(declared.split())


def escape(text: str) -> str:
    """As part of a string in a schema."""
    return (
        text.replace("\\", "\\\\")
        .replace('"', '\\"')
        .replace("\n", "\\n")
        .replace("\r", "\\r")
        .replace("\t", "\\t")
    )


def unescape(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: {"n": "\n", "r": "\r", "t": "\t"}.get(match[1], match[1]), text)


@dataclass(frozen=True, slots=True)
class Claims:
    """Properties of tables that only a schema's text has, by their names in lower case."""

    tables: frozenset[str] = frozenset()
    columns: frozenset[tuple[str, str]] = frozenset()
    """Those that a field or a relation is named after."""
    types: Mapping[tuple[str, str], tuple[str, str]] = field(default_factory=dict)
    """(table, column) → (the type it was declared as, the Prisma type it is read as)."""
    rowids: Mapping[str, str] = field(default_factory=dict)
    """The tables whose id is the rowid, and what that is called."""
    text: str = ""
    files: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, files: Sequence[tuple[str, str]]) -> "Claims":
        text = "\n".join(content for _, content in files)
        models = [block for block in parse_blocks(text) if block.kind in ("model", "view")]
        types = {
            (model.table.lower(), each.column.lower()): (each.declared, each.type)
            for model in models
            for each in model.fields
            if each.declared is not None
        }
        # SQLite counts in an INTEGER PRIMARY KEY only.
        types |= {
            (model.table.lower(), each.column.lower()): ("INTEGER", "BigInt")
            for model in models
            for each in model.fields
            if each.is_counted_bigint and each.declared is None
        }
        columns = {(model.table.lower(), each.column.lower()) for model in models for each in model.fields}
        rowids = {
            model.table.lower(): each.column for model in models for each in model.fields if each.is_rowid
        }
        tables = frozenset(model.table.lower() for model in models)
        return cls(tables, frozenset(columns), types, rowids, text, tuple(files))


def counting(script: str, claims: Claims) -> str:
    """A script of the engine's in which BigInt ids that the database counts are INTEGER PRIMARY KEYs."""
    for (table, column), (declared, type_) in claims.types.items():
        if (declared, type_) != ("INTEGER", "BigInt") or "BIGINT" not in script:
            continue
        names = f"(?:new_)?{re.escape(table.replace('"', '""'))}"
        pattern = (
            rf'(CREATE TABLE "{names}" \([^;]*?^\s*"{re.escape(column.replace('"', '""'))}" )'
            r"BIGINT NOT NULL PRIMARY KEY(?! AUTOINCREMENT)"
        )
        script = re.sub(
            pattern,
            r"\1INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT",
            script,
            flags=re.IGNORECASE | re.MULTILINE,
        )
    return script


def without_comment(line: str) -> str:
    found = _TRAILING_COMMENT.match(line)
    return found[1] if found else line
