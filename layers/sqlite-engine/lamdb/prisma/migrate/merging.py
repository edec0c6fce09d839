"""The definition that a table gets when a script rebuilds it: the script's, with what Prisma does not model.

Prisma's scripts change a table by making another (`new_Item`), copying the rows and dropping the original.
Their definitions have what a Prisma schema says, and nothing else. What the original has beyond that is kept:

- collations, conflict clauses, CHECK, STRICT, WITHOUT ROWID, AUTOINCREMENT, DEFERRABLE;
- defaults that are expressions, where the script has none;
- generated columns;
- the declared type of a column, where Prisma has one name for both types;
- foreign keys that Prisma cannot see, as they lead nowhere.

What cannot be kept, because a column that it needs is gone, is named in `Merged.lost`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from lamdb.prisma.datamodel.defaults import comparable
from lamdb.prisma.sqlite.catalog import ROWID_NAMES, quote
from lamdb.prisma.sqlite.definition import Check, ColumnDefinition, Definition, Key, Unique
from lamdb.prisma.sqlite.sql_text import SqlToken, join, meaningful
from lamdb.prisma.sqlite.type_inference import COLUMN_TYPES, engine_type

_LITERAL = re.compile(
    r"\(*\s*(?:[+-]?[0-9][0-9_]*\.?[0-9]*(?:e[+-]?[0-9]+)?|[+-]?\.[0-9]+|0x[0-9a-f]+|x?'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|true|false|null)\s*\)*",
    re.IGNORECASE,
)
_NOW = "CURRENT_TIMESTAMP"
_STRICT_TYPES: Final = ("int", "integer", "real", "text", "blob", "any")


@dataclass(frozen=True, slots=True)
class Wishes:
    """The schema's view of the tables that a script leads to, where the script alone leaves a doubt.

    Each answers None for "not known". Names are in lower case.
    """

    keeps_default: Callable[[str], bool | None] = lambda _: None
    """A column whose default is an expression."""
    keeps_type: Callable[[str, str], bool | None] = lambda _column, _declared: None
    keeps_key: Callable[[Key], bool | None] = lambda _: None
    """A foreign key that the script does not have."""
    has_implicit_rowid: bool = False
    """The id is the rowid, and no column."""


NO_WISHES: Final = Wishes()


@dataclass(frozen=True, slots=True)
class Merged:
    definition: Definition
    lost: tuple[str, ...]
    """Describes what the original has and this lacks, for people."""


def merge(
    old: Definition,
    new: Definition,
    *,
    renamed: Mapping[str, str],
    indexed: Sequence[tuple[str, ...]],
    sound: Callable[[Key], bool],
    wishes: Wishes = NO_WISHES,
) -> Merged:
    """Put into `new` what `old` has beyond Prisma's model.

    `renamed` are the columns with another name in `new`, from old to new; `indexed` the lists of columns for
    which the script makes a unique index under the name that Prisma gives it; `sound` tells whether Prisma
    can see a foreign key of `old`. All names are in lower case.
    """
    return _Merge(old, new, renamed, indexed, sound, wishes).merge()


class _Merge:
    def __init__(
        self,
        old: Definition,
        new: Definition,
        renamed: Mapping[str, str],
        indexed: Sequence[tuple[str, ...]],
        sound: Callable[[Key], bool],
        wishes: Wishes,
    ) -> None:
        self.old, self.indexed, self.sound, self.wishes = old, indexed, sound, wishes
        self.new = self._without_rowid_column(new)
        self.renamed = renamed
        self.old_of = {name: old_name for old_name, name in renamed.items()}
        self.lost: list[str] = []
        self.names = {column.key for column in self.new.columns}

    def merge(self) -> Merged:
        columns = self._columns()
        self.names = {column.key for column in columns}
        columns, primary = self._primary_key(columns)
        columns, uniques = self._uniques(columns)
        columns, checks = self._checks(columns)
        made = replace(
            self.new,
            columns=tuple(columns),
            primary=primary,
            uniques=tuple(uniques),
            checks=tuple(checks),
            keys=tuple(self._keys()),
        )
        made = self._options(made)
        return Merged(made, tuple(self.lost))

    # Columns.

    def _without_rowid_column(self, new: Definition) -> Definition:
        """Without the column that stands for the rowid, where the original has none of the name."""
        if not self.wishes.has_implicit_rowid or self.old.without_rowid:
            return new
        key = new.rowid_alias
        if key is None or key not in ROWID_NAMES or key in self.old.by_name:
            return new
        return replace(new, columns=tuple(column for column in new.columns if column.key != key))

    def _columns(self) -> list[ColumnDefinition]:
        made: list[ColumnDefinition] = []
        for column in self.new.columns:
            old = self.old.by_name.get(self.old_of.get(column.key, column.key))
            made.append(column if old is None else self._column(old, column))
        for number, column in enumerate(self.old.columns):
            if column.generated is None or self.renamed.get(column.key, column.key) in self.names:
                continue
            kept = self._generated(column)
            if kept is not None:
                before = {each.key for each in self.old.columns[:number]}
                place = max((i + 1 for i, each in enumerate(made) if each.key in before), default=0)
                made.insert(place, replace(column, generated=kept))
        return made

    def _column(self, old: ColumnDefinition, new: ColumnDefinition) -> ColumnDefinition:
        is_key = new.key in self.new.primary_key and self._same_key()
        made = replace(new, type=self._type(old, new), collate=new.collate or old.collate)
        if is_key:
            made = replace(made, not_null=old.not_null)
        elif new.not_null is not None and old.not_null is not None:
            made = replace(made, not_null=_longest(new.not_null, old.not_null))
        if new.generated is None and old.generated is not None:
            kept = self._generated(old)
            # A generated column has no default, and the rows are not copied: see `rebuild`.
            made = replace(made, generated=kept, default=None if kept else new.default)
            if kept is not None:
                made = replace(made, not_null=old.not_null)
        elif new.default is None and old.default is not None and self._keeps_default(old, new):
            made = replace(made, default=old.default)
        return made

    def _type(self, old: ColumnDefinition, new: ColumnDefinition) -> str:
        if old.type.lower() == new.type.lower():
            return old.type
        wished = self.wishes.keeps_type(new.key, old.type)
        if wished is not None:
            return old.type if wished else new.type
        known = engine_type(old.type)
        if known is None or known != engine_type(new.type):
            return new.type
        # Only INTEGER makes a rowid: an id that is to count by itself becomes one.
        counts = "AUTOINCREMENT" in (new.primary or "").upper() and self.old.rowid_alias != old.key
        return new.type if counts else old.type

    def _keeps_default(self, old: ColumnDefinition, new: ColumnDefinition) -> bool:
        assert old.default is not None
        wished = self.wishes.keeps_default(new.key)
        if wished is not None:
            return wished
        kind = engine_type(old.type)
        default = comparable(COLUMN_TYPES.get(kind or "", old.type), old.default) or old.default
        is_now = kind == "DateTime" and default == _NOW
        return not is_now and not is_literal(default)

    def _generated(self, column: ColumnDefinition) -> tuple[SqlToken, ...] | None:
        assert column.generated is not None
        kept = self._expression(column.generated)
        if kept is None:
            self.lost.append(f"the generated column {column.name} ({join(column.generated)})")
        return kept

    # Keys.

    def _same_key(self) -> bool:
        names = tuple(self.renamed.get(name, name) for name in self.old.primary_key)
        if not names or names != self.new.primary_key or self._key_starts_counting():
            return False
        olds, news = self.old.by_name, self.new.by_name
        pairs = ((olds[self.old_of.get(name, name)], news[name]) for name in names)
        return all(self._type(old, new) == old.type for old, new in pairs)

    def _key_starts_counting(self) -> bool:
        """True if the id becomes the rowid, which it was not."""
        return self.new.autoincrement and self.old.rowid_alias is None and not self.old.without_rowid

    def _primary_key(self, columns: list[ColumnDefinition]) -> tuple[list[ColumnDefinition], Unique | None]:
        """The original's, if it is over the same columns."""
        has_rowid = not self.new.primary_key and bool(self.old.primary_key)
        if has_rowid and self.wishes.has_implicit_rowid:
            kept = {self.renamed.get(name, name) for name in self.old.primary_key}
            if not kept <= self.names:
                return columns, None
        elif not self._same_key():
            return columns, self.new.primary
        olds = self.old.by_name
        made = []
        for column in columns:
            old = olds.get(self.old_of.get(column.key, column.key))
            made.append(replace(column, primary=old.primary if old is not None else None))
        primary = self.old.primary
        if primary is not None and any(name in self.renamed for name in primary.columns):
            kept_text = self._expression(meaningful(primary.text))
            primary = replace(primary, text=join(kept_text or ()))
        return made, primary

    def _uniques(self, columns: list[ColumnDefinition]) -> tuple[list[ColumnDefinition], list[Unique]]:
        """UNIQUE of the definition, where the script would make an index for it."""
        wanted = {frozenset(names) for names in self.indexed}
        made = []
        for column in columns:
            old = self.old.by_name.get(self.old_of.get(column.key, column.key))
            keeps = old is not None and old.unique is not None and frozenset([column.key]) in wanted
            made.append(replace(column, unique=column.unique or (old.unique if keeps and old else None)))
        own = {frozenset(unique.columns) for unique in self.new.uniques}
        kept = [
            unique
            for unique in self.old.uniques
            if frozenset(unique.columns) in wanted - own
            and not any(name in self.renamed for name in unique.columns)
        ]
        return made, [*self.new.uniques, *kept]

    # The table.

    def _checks(self, columns: list[ColumnDefinition]) -> tuple[list[ColumnDefinition], list[Check]]:
        own = {join(check.tokens).lower() for check in self.new.checks}
        made = list(self.new.checks)
        for check in self.old.checks:
            column = None if check.column is None else self.renamed.get(check.column, check.column)
            if join(check.tokens).lower() in own or (column is not None and column not in self.names):
                continue
            kept = self._expression(check.tokens)
            if kept is None:
                self.lost.append(check.text)
                continue
            text = check.text if kept == check.tokens else join(kept)
            made.append(Check(text, kept, column))
        return columns, made

    def _keys(self) -> list[Key]:
        """The script's, deferrable as they were, and those that Prisma does not see."""
        made = []
        old_keys = {
            (tuple(self.renamed.get(name, name) for name in key.columns), key.table): key
            for key in self.old.keys
        }
        by_name = {key.name.lower(): place for place, key in old_keys.items() if key.name is not None}
        for key in self.new.keys:
            old = old_keys.pop(key.place, None)
            if old is None and key.name is not None:
                # One that leads to the same table under another name: the old one is gone by now.
                old = old_keys.pop(by_name.get(key.name.lower(), key.place), None)
            made.append(replace(key, extra=key.extra or old.extra) if old is not None else key)
        for key in old_keys.values():
            wished = self.wishes.keeps_key(key)
            if wished is False or (wished is None and self.sound(key)):
                continue
            if not {self.renamed.get(name, name) for name in key.columns} <= self.names:
                continue
            made.append(replace(key, spelled=tuple(self._spelled(name) for name in key.columns)))
        return made

    def _spelled(self, name: str) -> str:
        new = self.renamed.get(name, name)
        return next((column.name for column in self.new.columns if column.key == new), new)

    def _options(self, made: Definition) -> Definition:
        if self.old.without_rowid and not made.without_rowid:
            if made.primary_key:
                made = replace(made, without_rowid=True)
            else:
                self.lost.append("WITHOUT ROWID, as the table has no primary key any more")
        if self.old.strict and not made.strict:
            unfit = [column for column in made.columns if column.type.lower() not in _STRICT_TYPES]
            if unfit:
                shown = ", ".join(f"{column.name} is {column.type}" for column in unfit)
                self.lost.append(f"STRICT, which has no such types: {shown}")
            else:
                made = replace(made, strict=True)
        return made

    def _expression(self, tokens: Sequence[SqlToken]) -> tuple[SqlToken, ...] | None:
        """Over the columns as they are called now; None if one of them is missing."""
        made = []
        depth = 0
        for number, token in enumerate(tokens):
            depth += (token.text == "(") - (token.text == ")")
            name = token.value.lower()
            called = number + 1 < len(tokens) and tokens[number + 1].text == "("
            is_name = depth > 0 and token.kind in ("word", "name") and not called
            if not is_name or name not in self.old.by_name:
                made.append(token)
                continue
            new = self.renamed.get(name, name)
            if new not in self.names and not self._is_generated(new):
                return None
            made.append(token if new == name else SqlToken("name", quote(self._spelled(name))))
        return tuple(made)

    def _is_generated(self, name: str) -> bool:
        """The clause of a column that the script may lack, as SQLite computes it."""
        column = self.old.by_name.get(name)
        return column is not None and column.generated is not None and name not in self.renamed


def is_literal(default: str) -> bool:
    """True for a constant default, which Prisma reads unchanged."""
    return _LITERAL.fullmatch(default) is not None


def _longest(one: str, other: str) -> str:
    """Returns the clause that says more."""
    return max(one, other, key=len)
