"""Converts an SQL dump to a SQLite file.

A dump is the output of `.dump` in SQLite's and Turso's shells, or of `wrangler d1 export`. Its statements are
executed one after the other on a new file, and have no access to anything else.
"""

import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

import apsw

from lamdb.errors import SourceError
from lamdb.storage.backup.sniffing import is_sql_script

_PRAGMAS: Final = frozenset(
    {"foreign_keys", "defer_foreign_keys", "writable_schema", "encoding", "user_version", "application_id"}
)
_REFUSED: Final = frozenset({apsw.SQLITE_ATTACH, apsw.SQLITE_DETACH})
_FUNCTIONS: Final = frozenset({"load_extension", "fts3_tokenizer"})

_CONTROL: Final = frozenset({"BEGIN", "COMMIT", "END"})
"""Statements that are skipped. The dump is one transaction without them, too."""

_WORD: Final = re.compile(r"(?:[\s;]|--[^\n]*(?:\n|\Z)|/\*.*?(?:\*/|\Z))*([A-Za-z]*)", re.DOTALL)
"""Returns the first word of a statement, after blanks and comments."""

_OPENING: Final = re.compile(r"'|\"|`|\[|--|/\*|;")
_CLOSING: Final = {"'": "'", '"': '"', "`": "`", "[": "]", "--": "\n", "/*": "*/"}


@contextmanager
def database_of(source: Path, scratch: Path) -> Iterator[Path]:
    """Yields the file itself or, for a dump, a temporary SQLite file that is deleted after the block.

    `scratch` is a directory with room for the temporary file. Raises `SourceError`.
    """
    if not is_sql_script(source):
        yield source
        return
    made = scratch / f".lamdb-{secrets.token_hex(8)}.tmp"
    try:
        _load(source, made)
        yield made
    finally:
        made.unlink(missing_ok=True)


def _load(source: Path, target: Path) -> None:
    connection = apsw.Connection(str(target))
    try:
        connection.execute("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF").fetchall()
        connection.authorizer = _authorize
        with source.open(encoding="utf-8-sig", newline="") as file:
            _execute(connection, source, file)
    except UnicodeDecodeError as error:
        raise SourceError(f"{source} is not UTF-8: {error}", hint="Write the dump in UTF-8.") from error
    except OSError as error:
        raise SourceError(f"{source}: {error}") from error
    finally:
        connection.close()


def _execute(connection: apsw.Connection, source: Path, file: IO[str]) -> None:
    connection.execute("BEGIN")
    for number, text in _statements(file):
        try:
            _execute_one(connection, text)
        except apsw.AuthError as error:
            raise SourceError(
                f"{source}, line {number}: the statement reaches beyond the database: {_shown(text)}",
                hint="A dump only makes tables and fills them. Take this out of it.",
            ) from error
        except (apsw.Error, _BrokenOff) as error:
            hint = _VECTORS if "libsql_vector" in text else "Import what `.dump` or `d1 export` writes."
            raise SourceError(f"{source}, line {number}: {error}: {_shown(text)}", hint=hint) from error
    connection.execute("COMMIT")


_VECTORS: Final = "Indexes of vectors are libSQL's own: drop them (DROP INDEX), and write the dump again."


class _BrokenOff(Exception):
    """The program that wrote the dump failed and reports it in the dump."""


def _execute_one(connection: apsw.Connection, text: str) -> None:
    found = _WORD.match(text)
    word = found[1].upper() if found is not None else ""
    if word == "ROLLBACK":
        raise _BrokenOff("the dump ends with ROLLBACK, so it is not complete")
    if word not in _CONTROL:
        connection.execute(text).fetchall()


def _authorize(
    operation: int, first: str | None, second: str | None, _database: str | None, _by: str | None
) -> int:
    if operation in _REFUSED:
        return apsw.SQLITE_DENY
    if operation == apsw.SQLITE_PRAGMA and (first or "").lower() not in _PRAGMAS:
        return apsw.SQLITE_DENY
    if operation == apsw.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
        return apsw.SQLITE_DENY
    return apsw.SQLITE_OK


def _statements(file: IO[str]) -> Iterator[tuple[int, str]]:
    """Yields statements, each with the number of its first line. An incomplete statement at the end is
    included."""
    parts: list[str] = []
    begins, within = 1, ""
    for number, line in enumerate(file, 1):
        if not parts:
            if not line.strip():
                continue
            begins = number
        parts.append(line)
        within, may_end = _scan(line, within)
        if may_end and apsw.complete(text := "".join(parts)):
            yield begins, text
            parts = []
    if "".join(parts).strip():
        yield begins, "".join(parts)


def _scan(line: str, within: str) -> tuple[str, bool]:
    """Returns the quotation or comment in which a line ends, and whether it has a semicolon outside."""
    position, may_end = 0, False
    while True:
        if within:
            found = line.find(_CLOSING[within], position)
            if found < 0:
                return within, may_end
            position, within = found + len(_CLOSING[within]), ""
            continue
        opening = _OPENING.search(line, position)
        if opening is None:
            return "", may_end
        position = opening.end()
        if opening[0] == ";":
            may_end = True
        else:
            within = opening[0]


def _shown(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 120 else f"{text[:120]}…"
