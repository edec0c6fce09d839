"""Reads the statements of a script: tables that it rebuilds, columns that it copies or indexes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from lamdb.prisma.sqlite.catalog import ROWID_NAMES, quote
from lamdb.prisma.sqlite.definition import Definition
from lamdb.prisma.sqlite.sql_text import SqlToken, Statement, closing, join, meaningful, split

_SCRATCH: Final = re.compile(r"(?:new_|lamdb_new\d*_)(?P<table>.+)", re.DOTALL)


def is_scratch(name: str, table: str) -> bool:
    """True if a table has the name that Prisma's engine, or lamDB, gives to the one that replaces `table`."""
    found = _SCRATCH.fullmatch(name.lower())
    return found is not None and found["table"] == table.lower()


def scratch_name(table: str, number: int) -> str:
    """A name for the table that replaces `table`, where the engine's is taken."""
    return f"lamdb_new{number or ''}_{table}"


@dataclass
class IndexStatement:
    name: str
    sql: str
    tokens: list[SqlToken]
    is_plain: bool
    """Prisma knows all of it."""


@dataclass
class Rebuild:
    """One table's: the positions of its statements in the script, and what is found on the way."""

    table: str
    temporary: str
    create: int
    drop: int
    rename: int
    insert: int | None
    old: Definition | None = None
    made: Definition | None = None
    renamed: dict[str, str] = field(default_factory=dict)
    triggers: list[tuple[str, str]] = field(default_factory=list)
    indexes: list[IndexStatement] = field(default_factory=list)
    uniques: set[frozenset[str]] = field(default_factory=set)
    """The columns that UNIQUE of the kept definition holds."""
    keeps_rowids: bool = True

    @property
    def is_prismas(self) -> bool:
        return is_scratch(self.temporary, self.table)


@dataclass(frozen=True, slots=True)
class Copy:
    """`INSERT INTO "new_Item" (…) SELECT … FROM "Item"`, column by column."""

    table: SqlToken
    pairs: list[tuple[SqlToken, list[SqlToken]]]
    """(the column that is filled, what it is filled with)."""
    rest: list[SqlToken]
    """From FROM on."""

    @classmethod
    def parse(cls, statement: Statement) -> "Copy | None":
        """None if the statement has another form."""
        tokens = list(statement.tokens)
        if not statement.begins("INSERT", "INTO") or len(tokens) < 4 or tokens[3].text != "(":
            return None
        end = closing(tokens, 3)
        targets = split(tokens[4 : end - 1])
        if end >= len(tokens) or not tokens[end].is_word("SELECT"):
            return None
        begin = end + 1
        depth = 0
        stop = None
        for number in range(begin, len(tokens)):
            depth += (tokens[number].text == "(") - (tokens[number].text == ")")
            if depth == 0 and tokens[number].is_word("FROM"):
                stop = number
                break
        if stop is None or tokens[begin].is_word("DISTINCT", "ALL"):
            return None
        sources = split(tokens[begin:stop])
        if len(sources) != len(targets) or any(len(target) != 1 for target in targets):
            return None
        return cls(
            tokens[2],
            [(target[0], source) for target, source in zip(targets, sources, strict=True)],
            tokens[stop:],
        )

    def is_whole(self, table: str) -> bool:
        """True if each row is made of one row of the table: no joins, no groups."""
        if len(self.rest) < 2 or self.rest[1].value.lower() != table.lower():
            return False
        return len(self.rest) == 2 or (
            self.rest[2].is_word("WHERE", "ORDER")
            and not any(token.is_word("GROUP", "UNION", "INTERSECT", "EXCEPT", "JOIN") for token in self.rest)
        )

    def render(self, pairs: Sequence[tuple[SqlToken, Sequence[SqlToken]]]) -> str:
        """The statement with other columns."""
        targets = ", ".join(target.text for target, _ in pairs)
        sources = ", ".join(join(source) for _, source in pairs)
        return f"INSERT INTO {self.table.text} ({targets}) SELECT {sources} {join(self.rest)};"


def copies_rowids(old: Definition, made: Definition, copied: Copy) -> bool:
    """True if the rows of the new table have the numbers of the original's."""
    if old.without_rowid:
        return True
    if made.without_rowid:
        return False
    wanted = {made.rowid_alias} if made.rowid_alias else {n for n in ROWID_NAMES if n not in made.by_name}
    numbers = {n for n in ROWID_NAMES if n not in old.by_name} | {old.rowid_alias or "rowid"}
    return any(
        target.value.lower() in wanted and len(source) == 1 and source[0].value.lower() in numbers
        for target, source in copied.pairs
    )


def find_rebuilds(script: Sequence[Statement]) -> list[Rebuild]:
    """The tables that are dropped and then replaced by another, which the script has made before."""
    found: list[Rebuild] = []
    made: dict[str, int] = {}
    dropped: dict[str, tuple[int, str]] = {}
    for number, statement in enumerate(script):
        tokens = statement.tokens
        if statement.begins("CREATE", "TABLE") and (kind_and_name := object_of(statement)) is not None:
            made[kind_and_name[1]] = number
        elif statement.begins("DROP", "TABLE"):
            name = tokens[-1].value
            dropped[name.lower()] = number, name
        elif statement.begins("ALTER", "TABLE") and len(tokens) >= 6 and tokens[-2].is_word("TO"):
            old, new = tokens[-4].value, tokens[-1].value
            if not tokens[-3].is_word("RENAME") or old.lower() not in made or new.lower() not in dropped:
                continue
            create, (drop, name) = made[old.lower()], dropped.pop(new.lower())
            if create < drop:
                insert = _insert_into(script[create:drop], old)
                position = None if insert is None else create + insert
                found.append(Rebuild(name, old, create, drop, number, position))
    return found


def _insert_into(script: Sequence[Statement], table: str) -> int | None:
    positions = [
        number
        for number, statement in enumerate(script)
        if statement.begins("INSERT", "INTO")
        and len(statement.tokens) > 2
        and statement.tokens[2].value.lower() == table.lower()
    ]
    return positions[0] if len(positions) == 1 else None


def object_of(statement: Statement) -> tuple[str, str] | None:
    """Returns the kind of what the statement creates, and its name in lower case."""
    tokens = [token for token in statement.tokens[:9] if not token.is_word("UNIQUE", "TEMP", "TEMPORARY")]
    if (
        len(tokens) < 3
        or not tokens[0].is_word("CREATE")
        or not tokens[1].is_word("TABLE", "INDEX", "VIEW", "TRIGGER")
    ):
        return None
    start = 5 if tokens[2].is_word("IF") and len(tokens) > 5 and tokens[4].is_word("EXISTS") else 2
    if len(tokens) > start + 2 and tokens[start + 1].text == ".":
        start += 2
    return tokens[1].text.lower(), tokens[start].name.lower()


# Indexes.


def is_unique(tokens: Sequence[SqlToken]) -> bool:
    return len(tokens) > 1 and tokens[1].is_word("UNIQUE")


def indexed_table(tokens: Sequence[SqlToken]) -> str | None:
    """In lower case."""
    for number, token in enumerate(tokens[:-1]):
        if token.is_word("ON"):
            return tokens[number + 1].name.lower()
    return None


def plain_columns(tokens: Sequence[SqlToken]) -> list[tuple[str, bool]] | None:
    """The columns of an index (in lower case, whether it is descending); None if it has more than that."""
    found = _parts(tokens)
    if found is None:
        return None
    columns, rest = found
    made = []
    for part in columns:
        if not part or not part[0].is_name or len(part) > 2:
            return None
        if len(part) == 2 and not part[1].is_word("ASC", "DESC"):
            return None
        made.append((part[0].value.lower(), len(part) == 2 and part[1].is_word("DESC")))
    return None if rest else made


def all_columns(tokens: Sequence[SqlToken]) -> list[tuple[str, bool]] | None:
    """The same, whatever else the index has; None if it is over an expression."""
    found = _parts(tokens)
    if found is None:
        return None
    made = []
    for part in found[0]:
        words = [token for token in part[1:] if not token.is_word("ASC", "DESC")]
        if not part or not part[0].is_name or (words and not words[0].is_word("COLLATE")):
            return None
        made.append((part[0].value.lower(), part[-1].is_word("DESC")))
    return made


def is_only_partial(index: IndexStatement) -> bool:
    """True if a WHERE is all that it has beyond a list of columns."""
    found = _parts(index.tokens)
    return (
        found is not None
        and bool(found[1])
        and all_columns(index.tokens) is not None
        and not any(token.is_word("COLLATE") for part in found[0] for token in part)
    )


def index_names(index: IndexStatement) -> list[str]:
    """All names behind ON and its table."""
    found = _parts(index.tokens)
    parts = [] if found is None else [*found[0], found[1]]
    return [token.value for part in parts for token in part if token.kind in ("word", "name")]


def _parts(tokens: Sequence[SqlToken]) -> tuple[list[list[SqlToken]], list[SqlToken]] | None:
    """The parts in the parentheses of a CREATE INDEX, and what stands behind them."""
    for number, token in enumerate(tokens):
        if token.is_word("ON") and number + 2 < len(tokens) and tokens[number + 2].text == "(":
            end = closing(tokens, number + 2)
            return split(tokens[number + 3 : end - 1]), list(tokens[end:])
    return None


# Others.


def inner_names(sql: str) -> set[str]:
    """All names in a statement, those in texts too, as options of virtual tables have them."""
    names = set()
    for token in meaningful(sql):
        if token.is_name:
            names.add(token.value.lower())
            names.add(token.value.strip("'").lower())
    return names


def content_of(sql: str) -> tuple[str | None, str | None]:
    """The table that a full-text index is over, and its column for the row's number, in lower case."""
    options: dict[str, str] = {}
    tokens = meaningful(sql)
    for number, token in enumerate(tokens[:-2]):
        if token.is_word("CONTENT", "CONTENT_ROWID") and tokens[number + 1].text == "=":
            options[token.text.lower()] = tokens[number + 2].value.strip("'").lower()
    return options.get("content") or None, options.get("content_rowid")


def renamed_in_trigger(sql: str, renamed: dict[str, str]) -> str:
    """A trigger whose table's columns have other names: in NEW, OLD and UPDATE OF."""
    if not renamed:
        return sql
    tokens = meaningful(sql)
    of = next((number for number, token in enumerate(tokens) if token.is_word("OF", "ON")), len(tokens))
    on = next((number for number, token in enumerate(tokens) if token.is_word("ON")), len(tokens))
    made = []
    for number, token in enumerate(tokens):
        qualified = number > 1 and tokens[number - 1].text == "." and tokens[number - 2].is_word("NEW", "OLD")
        if (qualified or of < number < on) and token.value.lower() in renamed:
            made.append(quote(renamed[token.value.lower()]))
        else:
            made.append(token.text)
    return " ".join(made)


def literal(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"
