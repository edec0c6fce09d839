"""Changing the DEFAULT clause of a column in the text of a CREATE TABLE statement, and in the database.

SQLite has no statement for it. The text is what SQLite keeps of the table; no row is touched by a change of a
default.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apsw

from lamdb.errors import MigrationError
from lamdb.prisma.sqlite.catalog import quote

_TOKEN = re.compile(
    r"""(?P<blank>\s+|--[^\n]*|/\*.*?\*/)
    | (?P<blob>[xX]'[^']*')
    | (?P<text>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\])
    | (?P<word>[\w$.\u0080-\U0010ffff]+)
    | (?P<sign>.)""",
    re.VERBOSE | re.DOTALL,
)


def with_defaults(sql: str, clauses: Mapping[str, str]) -> str:
    """A CREATE TABLE statement with other DEFAULT clauses, by column in lower case, where it has any."""
    changed = sql
    for start, end, clause in sorted(_places(sql, clauses), reverse=True):
        changed = f"{changed[:start]}{clause}{changed[end:]}"
    return changed


def change_defaults(connection: apsw.Connection, table: str, clauses: Mapping[str, str]) -> bool:
    """Give columns of a table other DEFAULT clauses, in the caller's transaction: whether any was changed.

    Raises `MigrationError`, with nothing changed, if SQLite would not read the table as it should.
    """
    found = connection.execute(
        "SELECT rowid, sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (table,)
    ).fetchone()
    if found is None:
        return False
    number, sql = found
    changed = with_defaults(str(sql), clauses)
    if changed == sql:
        return False
    before = _described(connection, table)
    _write(connection, int(number), changed)
    after = _described(connection, table)
    if [row[:3] for row in before] != [row[:3] for row in after]:
        _write(connection, int(number), str(sql))
        raise MigrationError(f"The defaults of {table} cannot be corrected in its definition: {sql}")
    return True


def _write(connection: apsw.Connection, number: int, sql: str) -> None:
    version = int(connection.execute("PRAGMA schema_version").get)
    was_defensive = bool(connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, -1))
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    try:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_schema SET sql = ? WHERE rowid = ?", (sql, number))
        # Other connections read the definitions anew when the number changes, this one by the reset.
        connection.execute(f"PRAGMA schema_version = {version + 1}")
    finally:
        connection.execute("PRAGMA writable_schema = RESET")
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, int(was_defensive))


def _described(connection: apsw.Connection, table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"PRAGMA table_xinfo({quote(table)})").fetchall()


def _places(sql: str, clauses: Mapping[str, str]) -> Iterator[tuple[int, int, str]]:
    """Places of the DEFAULT clauses of columns: begin, end, and the new text."""
    tokens = [match for match in _TOKEN.finditer(sql) if match.lastgroup != "blank"]
    depth, index = 0, 0
    begins = False
    column: str | None = None
    while index < len(tokens):
        kind, text = tokens[index].lastgroup, tokens[index][0]
        index += 1
        if kind == "sign" and text in "()":
            depth += 1 if text == "(" else -1
            begins = begins or (text == "(" and depth == 1 and column is None)
        elif depth != 1:
            continue
        elif kind == "sign" and text == ",":
            begins = True
        elif begins:
            begins, column = False, _name(kind, text).lower()
        elif kind == "word" and text.upper() == "DEFAULT" and column is not None and column in clauses:
            start, index = index, _end_of_value(tokens, index)
            yield tokens[start].start(), tokens[index - 1].end(), clauses[column]


def _end_of_value(tokens: Sequence[re.Match[str]], start: int) -> int:
    """The index behind the value that begins at `start`."""
    if tokens[start][0] in ("+", "-"):
        return start + 2
    depth = 0
    for index in range(start, len(tokens)):
        text = tokens[index][0]
        depth += (text == "(") - (text == ")")
        if depth == 0:
            return index + 1
    return len(tokens)


def _name(kind: str | None, text: str) -> str:
    if kind not in ("name", "text"):
        return text
    if text[0] == "[":
        return text[1:-1]
    return text[1:-1].replace(text[0] * 2, text[0])
