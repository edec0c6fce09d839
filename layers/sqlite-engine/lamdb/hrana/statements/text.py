"""The text of a statement, as far as it can be told without a database: its kind and its parameters."""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Final

from lamdb.hrana.statements.errors import SqlFailure
from lamdb.prisma.sqlite.sql_text import Statement, statements

_LONGEST_KEPT: Final = 16 * 1024
"""Characters of a text whose analysis is kept."""

_PARAMETER: Final = re.compile(
    r"--[^\n]*|/\*.*?(?:\*/|\Z)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]"
    r"|(?P<parameter>\?[0-9]*|[:@$][A-Za-z_0-9$\u0080-\U0010ffff]+(?:::[A-Za-z_0-9$]+)*(?:\([^)\s]*\))?)"
    r"|[A-Za-z_0-9$\u0080-\U0010ffff]+",
    re.DOTALL,
)


_WRITING: Final = frozenset(
    {"INSERT", "UPDATE", "DELETE", "REPLACE", "CREATE", "DROP", "ALTER", "REINDEX", "ANALYZE"}
)


class Kind(Enum):
    """The part that a statement has in transactions."""

    BEGIN = auto()
    BEGIN_IMMEDIATE = auto()
    BEGIN_READ_ONLY = auto()
    """libSQL's `BEGIN TRANSACTION READONLY`."""
    COMMIT = auto()
    ROLLBACK = auto()
    SAVEPOINT = auto()
    RELEASE = auto()
    ROLLBACK_TO = auto()
    READ = auto()
    """It begins as a query does; SQLite decides."""
    WRITE = auto()


CONTROL: Final = frozenset(Kind) - {Kind.READ, Kind.WRITE}


@dataclass(frozen=True, slots=True)
class StatementText:
    """One statement.

    - `name`: of the savepoint, or that which something is renamed to.
    - `parameters`: the names of its parameters, without `:`, `@` or `$`; None for those without.
    - `word`: its first keyword, in upper case.
    """

    text: str
    kind: Kind
    parameters: tuple[str | None, ...] = ()
    name: str = ""
    word: str = ""

    @property
    def writes(self) -> bool:
        """True if it writes, unless it fails. Of some others only SQLite knows."""
        return self.word in _WRITING


def one(text: str) -> StatementText:
    """Returns the one statement of a text. Raises `SqlFailure` if there is not exactly one."""
    return _one(text) if len(text) <= _LONGEST_KEPT else _one.__wrapped__(text)


@lru_cache(maxsize=2048)
def _one(text: str) -> StatementText:
    found = [each for each in statements(text) if each.tokens]
    if not found:
        raise SqlFailure("SQL string does not contain any statement", "SQL_NO_STATEMENT")
    if len(found) > 1:
        raise SqlFailure("SQL string contains more than one statement", "SQL_MANY_STATEMENTS")
    return _read(found[0])


def many(text: str) -> list[StatementText]:
    """Returns the statements of a script."""
    return [_read(each) for each in statements(text) if each.tokens]


def _read(statement: Statement) -> StatementText:
    kind, name = _kind(statement)
    return StatementText(
        statement.text, kind, _parameters(statement.text), name, statement.tokens[0].text.upper()
    )


def _kind(statement: Statement) -> tuple[Kind, str]:
    words = [token.text.upper() if token.kind == "word" else "" for token in statement.tokens]
    last = statement.tokens[-1].name
    match words:
        case ["BEGIN", *rest]:
            return _begin([word for word in rest if word != "TRANSACTION"]), ""
        case ["COMMIT" | "END", *_]:
            return Kind.COMMIT, ""
        case ["ROLLBACK", *rest] if "TO" in rest:
            return Kind.ROLLBACK_TO, last
        case ["ROLLBACK", *_]:
            return Kind.ROLLBACK, ""
        case ["SAVEPOINT", *_]:
            return Kind.SAVEPOINT, last
        case ["RELEASE", *_]:
            return Kind.RELEASE, last
        case ["SELECT" | "VALUES" | "EXPLAIN" | "PRAGMA", *_]:
            return Kind.READ, ""
        case ["ALTER", *rest] if "RENAME" in rest:
            return Kind.WRITE, last
        case ["WITH", *rest]:
            writes = {"INSERT", "UPDATE", "DELETE", "REPLACE"}.intersection(rest)
            return (Kind.WRITE if writes else Kind.READ), ""
    return Kind.WRITE, ""


def _begin(words: list[str]) -> Kind:
    if words[:1] in (["IMMEDIATE"], ["EXCLUSIVE"], ["CONCURRENT"]):
        return Kind.BEGIN_IMMEDIATE
    return Kind.BEGIN_READ_ONLY if words[:1] == ["READONLY"] else Kind.BEGIN


def _parameters(text: str) -> tuple[str | None, ...]:
    """The names of parameters by their number, as SQLite numbers them."""
    names: dict[int, str] = {}
    known: set[str] = set()
    highest = 0
    for match in _PARAMETER.finditer(text):
        token = match["parameter"]
        if token is None:
            continue
        if token == "?":
            highest += 1
        elif token[0] == "?":
            # It may be that of a parameter with a name. One that is too high is for SQLite to refuse.
            number = int(token[1:7])
            if number <= _MOST_PARAMETERS:
                highest = max(highest, number)
        elif token not in known:
            known.add(token)
            highest += 1
            names[highest] = token[1:]
    return tuple(names.get(number) for number in range(1, highest + 1))


_MOST_PARAMETERS: Final = 32766
