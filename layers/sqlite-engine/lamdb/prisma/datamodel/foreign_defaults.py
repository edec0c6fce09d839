"""`dbgenerated(…)` defaults of PostgreSQL and MySQL, and what gives the same value on SQLite."""

import re
from typing import Final

import apsw
import orjson

from lamdb.prisma.datamodel.schema_text import escape

_CAST: Final = re.compile(r"::\s*(?:\"[^\"]*\"|[A-Za-z_][\w. ]*)(?:\([\d, ]*\))?(?:\[\])*")
_TEXT: Final = re.compile(r"(?:e|E|_\w+)?'((?:[^'\\]|''|\\.)*)'", re.DOTALL)
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_UUID_7: Final = re.compile(r"uuid_generate_v7\(\)|uuidv7\(\)|uuid_v7\(\)|uuid7\(\)", re.IGNORECASE)
_UUID: Final = re.compile(
    r"(?:\w+\.)?(?:gen_random_uuid|uuid_generate_v[14](?:mc)?|uuid|random_uuid|newid|newsequentialid)\(\)"
    r"|bin_to_uuid\(.*\)",
    re.IGNORECASE,
)
_NOW: Final = re.compile(
    r"(?:now|current_timestamp|localtimestamp|clock_timestamp|statement_timestamp|transaction_timestamp"
    r"|getdate|getutcdate|sysutcdatetime|utc_timestamp|current_date|curdate)(?:\(\d*\))?"
    r"|timezone\('utc',\s*\(?now\(\)\)?\)|\(?now\(\)\)?\s+at\s+time\s+zone\s+'utc'",
    re.IGNORECASE,
)
_TRUTH: Final = {"true": "true", "false": "false", "b'1'": "true", "b'0'": "false", "1": "true", "0": "false"}


def converted(expression: str, type_: str, *, is_enum: bool, is_id: bool) -> str | None:
    """The argument of `@default` for a field of `type_`; None if there is none, and it must be left out."""
    bare = _bare(expression)
    if re.match(r"nextval\(|unordered_unique_rowid\(|unique_rowid\(", bare, re.IGNORECASE):
        return "autoincrement()" if is_id and type_ in ("Int", "BigInt") else None
    if type_ == "String" and not is_enum:
        if _UUID_7.fullmatch(bare):
            return "uuid(7)"
        if _UUID.fullmatch(bare):
            return "uuid()"
    if type_ == "DateTime" and _NOW.fullmatch(bare):
        return "now()"
    if (literal := _literal(bare, type_, is_enum=is_enum)) is not None:
        return literal
    if type_ == "String" and is_id:
        return "uuid()"
    return f'dbgenerated("{escape(expression)}")' if _runs(expression) and not is_enum else None


def _bare(expression: str) -> str:
    text = _CAST.sub("", expression).strip()
    while text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")"):
        inside = text[1:-1]
        if ")" in inside and inside.index(")") < inside.find("("):
            break
        text = inside.strip()
    return text


def _literal(bare: str, type_: str, *, is_enum: bool) -> str | None:
    found = _TEXT.fullmatch(bare)
    text = found[1].replace("''", "'") if found else bare
    if type_ == "Boolean":
        return _TRUTH.get(bare.lower()) or _TRUTH.get(text.lower())
    if is_enum:
        return text if found and re.fullmatch(r"[A-Za-z]\w*", text) else None
    if type_ in ("Int", "BigInt", "Float", "Decimal"):
        whole = type_ in ("Int", "BigInt")
        return text if _NUMBER.fullmatch(text) and not (whole and "." in text) else None
    if found is None:
        return None
    if type_ == "String":
        return f'"{escape(text)}"'
    if type_ == "Json":
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return None
        return f'"{escape(text)}"'
    return None


def _runs(expression: str) -> bool:
    """True if SQLite can evaluate the expression for a new row."""
    connection = apsw.Connection(":memory:")
    try:
        connection.execute(f"CREATE TABLE t (a, b DEFAULT ({expression})); INSERT INTO t (a) VALUES (1)")
    except apsw.Error:
        return False
    finally:
        connection.close()
    return True
