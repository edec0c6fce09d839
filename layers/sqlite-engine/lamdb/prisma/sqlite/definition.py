"""The definition of a table, read from its CREATE TABLE statement and written as one.

Prisma's model of a table leaves out much of it: collations, CHECK, generated columns, conflict clauses. The
grammar is that of SQLite's `CREATE TABLE`; statements come from SQLite, which has checked them already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from lamdb.prisma.sqlite.catalog import quote
from lamdb.prisma.sqlite.sql_text import SqlToken, closing, join, meaningful, split

_TABLE_CONSTRAINTS = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")
_COLUMN_CONSTRAINTS = (
    "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES",
    "GENERATED", "AS",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Key:
    """A foreign key: names in lower case for comparing, and its text without the columns in front.

    `references` is empty where the definition names no columns.
    """

    columns: tuple[str, ...]
    table: str
    references: tuple[str, ...]
    on_delete: str
    on_update: str
    extra: str
    """MATCH and DEFERRABLE."""
    name: str | None
    spelled: tuple[str, ...]
    """The columns as they are written."""
    target: str
    """The table and its columns as they are written."""

    @property
    def place(self) -> tuple[tuple[str, ...], str]:
        return self.columns, self.table

    def render(self) -> str:
        named = f"CONSTRAINT {quote(self.name)} " if self.name is not None else ""
        text = f"{named}FOREIGN KEY ({', '.join(map(quote, self.spelled))}) REFERENCES {self.target}"
        for event, action in (("DELETE", self.on_delete), ("UPDATE", self.on_update)):
            text += f" ON {event} {action}" if action else ""
        return f"{text} {self.extra}".rstrip()


@dataclass(frozen=True, slots=True)
class Unique:
    """UNIQUE or PRIMARY KEY of a table: `columns` are its names in lower case; `text` all of it."""

    columns: tuple[str, ...]
    text: str
    conflict: str


@dataclass(frozen=True, slots=True)
class Check:
    """`column` is the name, in lower case, of the column that it was written behind, if any."""

    text: str
    tokens: tuple[SqlToken, ...]
    column: str | None = None


@dataclass(frozen=True, slots=True)
class ColumnDefinition:
    """One column. Clauses are SQL with their keywords; None is a clause that is not there."""

    name: str
    type: str
    not_null: str | None = None
    default: str | None = None
    """The expression after DEFAULT."""
    collate: str | None = None
    generated: tuple[SqlToken, ...] | None = None
    primary: str | None = None
    unique: str | None = None

    @property
    def key(self) -> str:
        return self.name.lower()

    def render(self, checks: Sequence[Check]) -> str:
        parts = [quote(self.name), self.type, self.not_null, self.primary, self.unique]
        parts += [None if self.default is None else f"DEFAULT {self.default}", self.collate]
        parts += [None if self.generated is None else join(self.generated)]
        parts += [check.text for check in checks if check.column == self.key]
        return " ".join(filter(None, parts))


@dataclass(frozen=True, slots=True)
class Definition:
    """One table. `primary` is the key that is a constraint of the table, not of a column."""

    name: str
    columns: tuple[ColumnDefinition, ...]
    primary: Unique | None = None
    uniques: tuple[Unique, ...] = ()
    checks: tuple[Check, ...] = ()
    keys: tuple[Key, ...] = ()
    strict: bool = False
    without_rowid: bool = False

    @property
    def by_name(self) -> dict[str, ColumnDefinition]:
        return {column.key: column for column in self.columns}

    @property
    def primary_key(self) -> tuple[str, ...]:
        """The columns of the primary key, in lower case."""
        if self.primary is not None:
            return self.primary.columns
        return tuple(column.key for column in self.columns if column.primary is not None)

    @property
    def rowid_alias(self) -> str | None:
        """The column that is the rowid, in lower case."""
        if self.without_rowid or len(self.primary_key) != 1:
            return None
        column = self.by_name.get(self.primary_key[0])
        if column is None or column.type.upper() != "INTEGER":
            return None
        # A quirk of SQLite's: in a column's definition, though not in a table's, DESC makes it another key.
        return None if column.primary is not None and "DESC" in column.primary.upper().split() else column.key

    @property
    def autoincrement(self) -> bool:
        return any("AUTOINCREMENT" in (column.primary or "").upper() for column in self.columns)

    def render(self) -> str:
        """A statement in the form of Prisma's scripts, without a semicolon."""
        parts = [column.render(self.checks) for column in self.columns]
        if self.primary is not None:
            parts.append(self.primary.text)
        parts += [unique.text for unique in self.uniques]
        parts += [check.text for check in self.checks if check.column is None]
        parts += [key.render() for key in self.keys]
        options = ["STRICT"] * self.strict + ["WITHOUT ROWID"] * self.without_rowid
        lines = ",\n    ".join(parts)
        return f"CREATE TABLE {quote(self.name)} (\n    {lines}\n) {', '.join(options)}".rstrip()


class NotATable(ValueError):
    """The statement is no CREATE TABLE with a list of columns."""


def parse_table(sql: str | Sequence[SqlToken]) -> Definition:
    """Raises NotATable."""
    tokens = meaningful(sql) if isinstance(sql, str) else list(sql)
    words = [token.text.upper() for token in tokens[:6]]
    if words[:2] != ["CREATE", "TABLE"]:
        raise NotATable("not a CREATE TABLE")
    start = 5 if words[2:5] == ["IF", "NOT", "EXISTS"] else 2
    if len(tokens) > start + 2 and tokens[start + 1].text == ".":
        start += 2
    if len(tokens) < start + 2 or tokens[start + 1].text != "(" or not tokens[start].is_name:
        raise NotATable("no list of columns")
    end = closing(tokens, start + 1)
    return _Parser(tokens[start].value).parse(tokens[start + 2 : end - 1], tokens[end:])


@dataclass
class _Parser:
    name: str
    columns: list[ColumnDefinition] = field(default_factory=list)
    primary: Unique | None = None
    uniques: list[Unique] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)

    def parse(self, body: Sequence[SqlToken], options: Sequence[SqlToken]) -> Definition:
        for part in split(body):
            if part and part[0].is_word(*_TABLE_CONSTRAINTS) and self.columns:
                self._table_constraints(part)
            elif part:
                self._column(part)
        words = [token.text.upper() for token in options]
        return Definition(
            self.name,
            tuple(self.columns),
            self.primary,
            tuple(self.uniques),
            tuple(self.checks),
            tuple(self.keys),
            strict="STRICT" in words,
            without_rowid="ROWID" in words,
        )

    def _column(self, part: list[SqlToken]) -> None:
        name = part[0].value
        index = 1
        while index < len(part) and not part[index].is_word(*_COLUMN_CONSTRAINTS):
            index = closing(part, index) if part[index].text == "(" else index + 1
        made: dict[str, str | tuple[SqlToken, ...] | None] = {}
        for label, clause in _clauses(part[index:], _COLUMN_CONSTRAINTS):
            word = clause[0].text.upper()
            text = join(clause)
            match word:
                case "NOT":
                    made["not_null"] = text
                case "PRIMARY":
                    made["primary"] = text
                case "UNIQUE":
                    made["unique"] = text
                case "DEFAULT":
                    made["default"] = join(clause[1:])
                case "COLLATE":
                    made["collate"] = text
                case "GENERATED" | "AS":
                    made["generated"] = tuple(clause)
                case "CHECK":
                    named = f"CONSTRAINT {quote(label)} " if label is not None else ""
                    self.checks.append(Check(named + text, tuple(clause), name.lower()))
                case "REFERENCES":
                    self.keys.append(_key([name], clause, label))
        self.columns.append(ColumnDefinition(name, join(part[1:index]), **made))  # type: ignore[arg-type]

    def _table_constraints(self, part: list[SqlToken]) -> None:
        for label, clause in _clauses(part, _TABLE_CONSTRAINTS):
            named = f"CONSTRAINT {quote(label)} " if label is not None else ""
            text = named + join(clause)
            opening = next(index for index, token in enumerate(clause) if token.text == "(")
            end = closing(clause, opening)
            names = tuple(each[0].value for each in split(clause[opening + 1 : end - 1]))
            match clause[0].text.upper():
                case "CHECK":
                    self.checks.append(Check(text, tuple(clause)))
                case "FOREIGN":
                    self.keys.append(_key(names, clause[end:], label))
                case "PRIMARY" if len(names) == 1 and clause[end - 2].is_word("AUTOINCREMENT"):
                    # `PRIMARY KEY (id AUTOINCREMENT)` says the same behind the column.
                    self._set_primary(names[0], "PRIMARY KEY AUTOINCREMENT " + join(clause[end:]))
                case "PRIMARY":
                    self.primary = Unique(_lower(names), text, join(clause[end:]))
                case _:
                    self.uniques.append(Unique(_lower(names), text, join(clause[end:])))

    def _set_primary(self, name: str, text: str) -> None:
        for index, column in enumerate(self.columns):
            if column.key == name.lower():
                self.columns[index] = ColumnDefinition(
                    column.name, column.type, column.not_null, column.default, column.collate,
                    column.generated, text.rstrip(), column.unique,
                )  # fmt: skip


def _clauses(
    tokens: Sequence[SqlToken], keywords: Sequence[str]
) -> Iterator[tuple[str | None, Sequence[SqlToken]]]:
    """(the name that CONSTRAINT gives it, its tokens) for each constraint."""
    index = 0
    label = None
    while index < len(tokens):
        if tokens[index].is_word("CONSTRAINT"):
            label = tokens[index + 1].value if index + 1 < len(tokens) else None
            index += 2
            continue
        end = _clause_end(tokens, index, keywords)
        yield label, tokens[index:end]
        label = None
        index = end


def _clause_end(tokens: Sequence[SqlToken], start: int, keywords: Sequence[str]) -> int:
    word = tokens[start].text.upper()
    index = start + 1
    if word == "DEFAULT" and index < len(tokens):
        if tokens[index].text == "(":
            return closing(tokens, index)
        return index + 1 + (tokens[index].text in ("+", "-"))
    if word == "COLLATE":
        return min(index + 1, len(tokens))
    while index < len(tokens):
        token = tokens[index]
        if token.text == "(":
            index = closing(tokens, index)
        elif _is_part_of_key(tokens, word, start, index):
            index += 1
        elif word == "NOT" and index == start + 1:
            index += 1  # NULL
        elif word == "GENERATED" and token.is_word("ALWAYS", "AS"):
            index += 1
        elif token.is_word(*keywords):
            break
        else:
            index += 1
    return index


def _is_part_of_key(tokens: Sequence[SqlToken], word: str, start: int, index: int) -> bool:
    """True if a word that may begin a constraint is the table, SET NULL, SET DEFAULT or NOT DEFERRABLE."""
    if word not in ("REFERENCES", "FOREIGN"):
        return False
    token = tokens[index]
    if word == "REFERENCES" and index == start + 1:
        return True
    if token.is_word("NULL", "DEFAULT"):
        return tokens[index - 1].is_word("SET")
    return token.is_word("NOT") and index + 1 < len(tokens) and tokens[index + 1].is_word("DEFERRABLE")


def _key(names: Sequence[str], clause: Sequence[SqlToken], label: str | None) -> Key:
    """The columns, and the clause that begins with REFERENCES."""
    table = clause[1].value
    index = 2
    references: tuple[str, ...] = ()
    if len(clause) > 2 and clause[2].text == "(":
        index = closing(clause, 2)
        references = tuple(each[0].value for each in split(clause[3 : index - 1]))
    actions = {"DELETE": "", "UPDATE": ""}
    extra: list[SqlToken] = []
    while index < len(clause):
        if clause[index].is_word("ON") and index + 2 < len(clause):
            length = 2 if clause[index + 2].is_word("SET", "NO") else 1
            actions[clause[index + 1].text.upper()] = join(clause[index + 2 : index + 2 + length]).upper()
            index += 2 + length
        else:
            extra.append(clause[index])
            index += 1
    columns = f" ({', '.join(map(quote, references))})" if references else ""
    return Key(
        _lower(names), table.lower(), _lower(references), actions["DELETE"], actions["UPDATE"], join(extra),
        label, tuple(names), quote(table) + columns,
    )  # fmt: skip


def _lower(names: Sequence[str]) -> tuple[str, ...]:
    return tuple(name.lower() for name in names)
