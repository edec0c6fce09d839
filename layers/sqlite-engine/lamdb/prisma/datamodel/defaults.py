"""Defaults of columns: the SQL of a field's `@default`, and its form for the schema engine.

Prisma's schema engine writes clauses that give other values than the API does, or that do not run at all:
`DEFAULT []` for `Json @default("[]")` is the empty text, `DEFAULT '68656c6c6f'` for Bytes is a text,
CURRENT_TIMESTAMP is not of the form that a DateTime is compared in. It also finds a difference between each
`dbgenerated(…)` and the very column that it made.

So the engine reads a schema in which such a default is a token (`for_engine`), and is shown the same token
where a column has that default. In the SQL that it writes, the clause that was meant is put in place of the
token (`resolve`).
"""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import apsw
import orjson

from lamdb.errors import MigrationError
from lamdb.prisma.datamodel.schema_text import parse_blocks, unescape, without_comment
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES
from lamdb.prisma.values import SQLiteValue, canonical_datetime, compact_json

TIME_FORMAT: Final = "%Y-%m-%dT%H:%M:%f+00:00"
NOW: Final = f"(strftime('{TIME_FORMAT}', 'now'))"
"""The present time in the form in which a DateTime is stored."""

_TOKEN: Final = "lamdb_default_"
_IN_SQL: Final = re.compile(rf"""(?P<quote>['"]?){_TOKEN}(?P<hex>(?:[0-9a-f]{{2}})+)(?P=quote)""")
_DEFAULT: Final = re.compile(r"@default\(")
_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SQL_STRING: Final = re.compile(r"""'[^']*'|"[^"]*"|\[[^\]]*\]|`[^`]*`""")
_GENERATED: Final = re.compile(r'dbgenerated\(\s*(?:value:\s*)?(?P<text>"(?:[^"\\]|\\.)*")\s*\)')
_CURRENT: Final = re.compile(
    r"current_timestamp|datetime\(\s*(?:'now'\s*)?\)|strftime\('%Y-%m-%dT%H:%M:%f\+00:00',\s*'now'\)",
    re.IGNORECASE,
)
_WRAPPED: Final = re.compile(
    r"strftime\('%Y-%m-%dT%H:%M:%f\+00:00', (?P<text>.*?)(?: / 1000\.0, 'unixepoch')?\)", re.DOTALL
)
_CLOCK: Final = re.compile(r"current_(?:timestamp|date|time)", re.IGNORECASE)
_LITERAL: Final = re.compile(
    r"[+-]?\d+(?:\.\d*)?(?:e[+-]?\d+)?|x?'(?:[^']|'')*'|true|false|null", re.IGNORECASE
)
_HEX_TEXT: Final = re.compile(r"x?'(?P<hex>(?:[0-9a-f]{2})*)'", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class FieldDefault:
    """The default of one field that the engine would get wrong."""

    model: str
    field: str
    table: str
    column: str
    type: str
    """Prisma's scalar; an enum counts as String, which its column is."""
    clause: str
    """The SQL behind DEFAULT, as it should be."""
    others: tuple[str, ...]
    """Other texts of the same default in tables that Prisma made."""
    required: bool

    @property
    def is_constant(self) -> bool:
        return _LITERAL.fullmatch(bare(self.clause)) is not None

    @property
    def token(self) -> str:
        return _TOKEN + self.clause.encode().hex()

    @property
    def shown(self) -> str:
        """The default as SQLite would tell it of a table that the engine made."""
        return {"String": f"'{self.token}'", "Json": f'"{self.token}"'}.get(self.type, self.token)

    @property
    def attribute(self) -> str:
        """The argument of `@default` that makes the engine write the token."""
        text = {"String": f'"{self.token}"', "Json": f'"\\"{self.token}\\""'}
        return text.get(self.type, f'dbgenerated("{self.token}")')

    def is_meant_by(self, default: str | None) -> bool:
        """True if a column with this default, as `PRAGMA table_info` tells it, needs no migration."""
        kind = COLUMN_TYPES[self.type]
        found = comparable(kind, default)
        return found is not None and found in {comparable(kind, each) for each in (self.clause, *self.others)}


@dataclass(frozen=True, slots=True)
class _Place:
    """Places of a field's type and of the argument of its `@default`."""

    line: int
    type: slice
    argument: slice


def has_token(text: str) -> bool:
    """True if a text of the engine's has a token in place of a default."""
    return _TOKEN in text


def resolve(sql: str) -> str:
    """The engine's SQL, or what it says of it, with the defaults that its tokens stand for."""
    if _TOKEN not in sql:
        return sql
    return _IN_SQL.sub(lambda match: bytes.fromhex(match["hex"]).decode(), sql)


def for_engine(files: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The files of a schema with tokens for the defaults that the engine would get wrong.

    Raises `MigrationError`, which names the field, for a `dbgenerated` expression that does not run.
    """
    enums = _enums(files)
    return [(name, _rewritten(content, enums)) for name, content in files]


@lru_cache(maxsize=8)
def field_defaults(files: tuple[tuple[str, str], ...]) -> tuple[FieldDefault, ...]:
    """The defaults of a schema that the engine would get wrong. Raises as `for_engine` does."""
    enums = _enums(files)
    return tuple(default for _, content in files for _, default in _defaults(content, enums))


def bare(expression: str) -> str:
    """An expression without the spaces and parentheses around it."""
    text = expression.strip()
    while text.startswith("(") and _closing(text, 0) == len(text) - 1:
        text = text[1:-1].strip()
    return text


def comparable(declared: str, default: str | None) -> str | None:
    """A column's default in one form of those that mean the same, to compare tables with one another."""
    if default is None:
        return None
    kind, text = declared.strip().upper(), bare(default)
    if kind == "DATETIME":
        if _CURRENT.fullmatch(text):
            return "CURRENT_TIMESTAMP"
        if wrapped := _WRAPPED.fullmatch(text):
            text = bare(wrapped["text"])
        return _time_literal(text) or text
    if kind == "BLOB" and (found := _HEX_TEXT.fullmatch(text)):
        return f"x'{found['hex'].lower()}'"
    if kind == "JSONB":
        try:
            return _quoted(compact_json(_unquoted(text)))
        except ValueError:
            return text
    return text


def value_of(declared: str, clause: str, column: str = "value") -> SQLiteValue:
    """The value that a column of this type gets by a DEFAULT clause. Raises `apsw.Error`."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(
            f'CREATE TABLE t ("{column}" {declared} DEFAULT {clause}); INSERT INTO t DEFAULT VALUES'
        )
        value: SQLiteValue = connection.execute("SELECT * FROM t").get
        return value
    finally:
        connection.close()


def _enums(files: Sequence[tuple[str, str]]) -> frozenset[str]:
    return frozenset(
        block.name for _, content in files for block in parse_blocks(content) if block.kind == "enum"
    )


def _rewritten(content: str, enums: frozenset[str]) -> str:
    lines = content.split("\n")
    for place, default in _defaults(content, enums):
        line = lines[place.line]
        line = line[: place.argument.start] + default.attribute + line[place.argument.stop :]
        if default.type == "String":
            line = line[: place.type.start] + "String" + line[place.type.stop :]
        lines[place.line] = line
    return "\n".join(lines)


def _defaults(content: str, enums: frozenset[str]) -> Iterator[tuple[_Place, FieldDefault]]:
    lines = content.split("\n")
    for block in parse_blocks(content):
        for each in block.fields if block.kind == "model" else ():
            type_ = "String" if each.type in enums else each.type
            if each.arity == "[]" or type_ not in COLUMN_TYPES:
                continue
            place = _place(without_comment(lines[each.line]), each.line, each.type)
            if place is None:
                continue
            made = _clause(type_, lines[each.line][place.argument], f"{block.name}.{each.name}")
            if made is not None:
                clause, others = made
                yield (
                    place,
                    FieldDefault(
                        block.name,
                        each.name,
                        block.table,
                        each.column,
                        type_,
                        clause,
                        others,
                        required=each.arity != "?",
                    ),
                )


def _place(line: str, number: int, type_: str) -> _Place | None:
    strings = [match.span() for match in _STRING.finditer(line)]
    openings = (
        match.end()
        for match in _DEFAULT.finditer(line)
        if not any(start < match.start() < end for start, end in strings)
    )
    opening = next(openings, None)
    kind = re.search(rf"^\s*\w+\s+({re.escape(type_)})", line)
    if opening is None or kind is None:
        return None
    end = _closing(line, opening - 1, strings=_STRING)
    return None if end is None else _Place(number, slice(*kind.span(1)), slice(opening, end))


def _closing(text: str, opening: int, strings: re.Pattern[str] = _SQL_STRING) -> int | None:
    """Returns the position at which the parenthesis at `opening` is closed."""
    depth, position = 0, opening
    while position < len(text):
        found = strings.match(text, position)
        if found:
            position = found.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[position], 0)
        if depth == 0:
            return position
        position += 1
    return None


def _clause(type_: str, argument: str, name: str) -> tuple[str, tuple[str, ...]] | None:
    """The SQL of an argument of `@default` and what else stands for it; None where the engine's is right."""
    argument = argument.strip()
    generated = _GENERATED.fullmatch(argument)
    if generated:
        return _expression(type_, _string(generated["text"]).strip(), name)
    if type_ == "DateTime" and argument == "now()":
        return NOW, ("CURRENT_TIMESTAMP",)
    if not _STRING.fullmatch(argument):
        return None
    text = _string(argument)
    match type_:
        case "DateTime":
            moment = canonical_datetime(text)
            return None if moment is None else (_quoted(moment), ())
        case "Json":
            try:
                return _quoted(compact_json(text)), ()
            except ValueError:
                return None
        case "Bytes":
            try:
                return f"x'{b64decode(text).hex()}'", ()
            except binascii.Error:
                return None
    return None


def _expression(type_: str, text: str, name: str) -> tuple[str, tuple[str, ...]]:
    """Raises `MigrationError` if it does not run."""
    is_simple = _LITERAL.fullmatch(text) or _CLOCK.fullmatch(text)
    is_enclosed = text.startswith("(") and _closing(text, 0) == len(text) - 1
    clause = text if is_simple or is_enclosed else f"({text})"
    try:
        value = value_of(COLUMN_TYPES[type_], clause, name.rpartition(".")[2])
    except apsw.Error as error:
        raise MigrationError(
            f"The default of {name} cannot be evaluated: {error}\n\n  | {text}\n",
            hint="dbgenerated(…) holds an expression of SQLite that refers to no column and no table.",
            meta={"field": name, "expression": text},
        ) from error
    if type_ != "DateTime" or value is None:
        return clause, (text,)
    if _CURRENT.fullmatch(bare(text)):
        return NOW, (text, "CURRENT_TIMESTAMP")
    moment = canonical_datetime(value)
    if moment is None:
        raise MigrationError(
            f"The default of {name} gives {value!r}, which is not a date and time.\n\n  | {text}\n",
            hint="Give text such as 2026-01-02T03:04:05.678+00:00, or milliseconds since 1970.",
            meta={"field": name, "expression": text},
        )
    if _LITERAL.fullmatch(bare(text)):
        return _quoted(moment), (text,)
    if value == moment:
        return clause, (text,)
    if isinstance(value, str):
        return f"(strftime('{TIME_FORMAT}', {bare(text)}))", (text,)
    return f"(strftime('{TIME_FORMAT}', ({bare(text)}) / 1000.0, 'unixepoch'))", (text,)


def _time_literal(text: str) -> str | None:
    if not _LITERAL.fullmatch(text):
        return None
    moment = canonical_datetime(int(text) if text.isdecimal() else _unquoted(text))
    return None if moment is None else _quoted(moment)


def _string(literal: str) -> str:
    """The text of a string of a schema, which is written as in JSON."""
    try:
        return str(orjson.loads(literal))
    except orjson.JSONDecodeError:
        return unescape(literal[1:-1])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unquoted(text: str) -> str:
    return text[1:-1].replace("''", "'") if len(text) > 1 and text[0] == text[-1] == "'" else text
