"""Keeps what Prisma does not model while a script rebuilds a table.

To change a column, Prisma's scripts make a table `new_Item`, copy the rows, drop `Item` and rename the new
one. With the table SQLite drops its triggers and indexes, and the new definition has only what a Prisma
schema can say. `Keeper.steps` gives the statements to run in place of a script's:

- the new definition with what the original has beyond Prisma's model (`merging`);
- rows copied with their rowids, to which full-text indexes refer, and with the state of AUTOINCREMENT;
- triggers and indexes made again unless the script does so itself;
- views and triggers that name the table left alone while it is away.

A table that a script rebuilds in another form is left as it is written, but for its triggers and indexes.
Comments in a script take back what would be kept:

    -- lamdb: as written "Item"           the definition, as it stands
    -- lamdb: without trigger "item_ai"   and likewise: without index, without view
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

import apsw

from lamdb.prisma.datamodel.schema_text import Claims, escape, spaced
from lamdb.prisma.migrate.merging import NO_WISHES, Wishes, merge
from lamdb.prisma.migrate.proxy_schema import AUTOINDEX, default_index_name
from lamdb.prisma.migrate.schema_view import Lens
from lamdb.prisma.migrate.searches import refilling
from lamdb.prisma.migrate.wishes import WishesOf
from lamdb.prisma.sqlite.catalog import ROWID_NAMES, ForeignKey, quote, read_catalog
from lamdb.prisma.sqlite.definition import Key, NotATable, parse_table
from lamdb.prisma.sqlite.dependants import Broken, broken_dependants, names_in
from lamdb.prisma.sqlite.dependent_objects import Present
from lamdb.prisma.sqlite.script_parts import (
    Copy,
    IndexStatement,
    Rebuild,
    all_columns,
    content_of,
    copies_rowids,
    find_rebuilds,
    index_names,
    indexed_table,
    is_only_partial,
    is_unique,
    literal,
    object_of,
    plain_columns,
    renamed_in_trigger,
)
from lamdb.prisma.sqlite.sql_text import SqlToken, Statement, normalize, statements

_DIRECTIVE = re.compile(
    r"""^[ \t]*--[ \t]*lamdb:[ \t]*(?P<what>as[ ]written|without[ ](?:trigger|index|view))[ \t]+"""
    r""""(?P<name>(?:[^"]|"")+)"[ \t]*$""",
    re.MULTILINE,
)
AS_WRITTEN: Final = "as written"


@dataclass(frozen=True, slots=True)
class RebuildStep:
    """A statement to run: instead of the one that begins at `start` of the script, or because of it."""

    sql: str
    start: int
    statement: Statement | None = None
    """The script's own, if this is it, changed or not."""


@dataclass(frozen=True, slots=True)
class Loss:
    """A loss that a script causes and nothing can prevent, and the comment that accepts it."""

    message: str
    directive: str


def directive(what: str, name: str) -> str:
    """A comment that a script tells the keeper something with."""
    return f"-- lamdb: {what} {quote(name)}"


class Keeper:
    """For one script on one connection. `schema` is the text that the script leads to, where it is known.

    With `writes` the steps are to be written into a script, and not only to be run.
    """

    def __init__(
        self, connection: apsw.Connection, script: str, schema: str | None = None, *, writes: bool = False
    ) -> None:
        self._connection = connection
        self._present = Present(connection)
        self._writes = writes
        self._claims = Claims.of([("schema.prisma", schema or "")])
        self._wishes = WishesOf(schema, self._claims) if schema is not None else None
        self._script = list(statements(script))
        self._said = {
            (match["what"], match["name"].replace('""', '"').lower()) for match in _DIRECTIVE.finditer(script)
        }
        self._made = {object_of(each) for each in self._script}
        self.rebuilds: Final = find_rebuilds(self._script)
        self._before: Broken = {}
        self.losses: list[Loss] = []
        self.directives: set[str] = set()
        """Comments that a script needs, if it is to do without this keeper's knowledge of the schema."""

    def steps(self) -> Iterator[RebuildStep]:
        """The steps, each of which must have been run before the next one is asked for."""
        if self.rebuilds:
            self._before = broken_dependants(self._connection, self._tables())
        roles: dict[int, tuple[Callable[[Rebuild, Statement], Iterator[str]], Rebuild]] = {}
        for each in self.rebuilds:
            roles[each.create] = self._create, each
            roles[each.drop] = self._drop, each
            roles[each.rename] = self._rename, each
            if each.insert is not None:
                roles[each.insert] = self._insert, each
        start = 0
        for number, statement in enumerate(self._script):
            role = roles.get(number)
            if role is not None:
                run, rebuild = role
                own = statement.body
                for sql in run(rebuild, statement):
                    is_own = sql == own or run in (self._create, self._insert)
                    yield RebuildStep(sql, start, statement if is_own else None)
            elif statement.tokens:
                for sql in self._other(statement):
                    yield RebuildStep(sql, start, statement)
            else:
                yield RebuildStep(statement.body, start, statement)
            start += len(statement.text)
        if self.rebuilds:
            yield from (RebuildStep(sql, start) for sql in self._end())

    # The statements of a rebuild.

    def _create(self, rebuild: Rebuild, statement: Statement) -> Iterator[str]:
        sql = self._connection.execute(
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?)", (rebuild.table,)
        ).get
        try:
            rebuild.old = parse_table(str(sql)) if sql is not None else None
            rebuild.made = parse_table(statement.tokens)
        except NotATable:
            rebuild.old = None
        if rebuild.old is None or rebuild.made is None:
            yield statement.body
            return
        if not rebuild.is_prismas or (AS_WRITTEN, rebuild.table.lower()) in self._said:
            yield statement.body
            return
        new = rebuild.made
        rebuild.renamed = self._renamed(rebuild)
        sound, wishes = self._knowledge(rebuild.table)
        merged = merge(
            rebuild.old,
            new,
            renamed=rebuild.renamed,
            indexed=self._indexed(rebuild),
            sound=sound,
            wishes=wishes,
        )
        for lost in merged.lost:
            self._lose(f"{rebuild.table}: {lost}", AS_WRITTEN, rebuild.table)
        rebuild.made = merged.definition
        rebuild.uniques = {frozenset(unique.columns) for unique in merged.definition.uniques}
        rebuild.uniques |= {frozenset([each.key]) for each in merged.definition.columns if each.unique}
        if self._wishes is not None:
            again = merge(rebuild.old, rebuild.made, renamed={}, indexed=self._indexed(rebuild), sound=sound)
            if normalize(again.definition.render()) != normalize(rebuild.made.render()):
                self.directives.add(directive(AS_WRITTEN, rebuild.table))
        text = merged.definition.render()
        yield statement.body if normalize(text) == normalize(new.render()) else f"{text};"

    def _insert(self, rebuild: Rebuild, statement: Statement) -> Iterator[str]:
        copied = Copy.parse(statement)
        old, made = rebuild.old, rebuild.made
        if old is None or made is None or copied is None:
            rebuild.keeps_rowids = False
            yield statement.body
            return
        rowid = self._rowid(rebuild, copied)
        rebuild.keeps_rowids = rowid is not None or copies_rowids(old, made, copied)
        pairs = [
            (target, source)
            for target, source in copied.pairs
            if (column := made.by_name.get(target.value.lower())) is None or column.generated is None
        ]
        if rowid is not None:
            target_name, source_name = rowid
            pairs.insert(0, (SqlToken("name", quote(target_name)), [SqlToken("name", quote(source_name))]))
        same = len(pairs) == len(copied.pairs) and rowid is None
        yield statement.body if same else copied.render(pairs)

    def _rowid(self, rebuild: Rebuild, copied: "Copy") -> tuple[str, str] | None:
        """The names of the rowid in the new table and in the original, if it must be copied by itself."""
        old, made = rebuild.old, rebuild.made
        if old is None or made is None or old.without_rowid or made.without_rowid or made.rowid_alias:
            return None
        target = next((name for name in ROWID_NAMES if name not in made.by_name), None)
        source = next((name for name in ROWID_NAMES if name not in old.by_name), None)
        has_it = any(
            each.value.lower() in ROWID_NAMES and each.value.lower() not in made.by_name
            for each, _ in copied.pairs
        )
        if target is None or source is None or has_it or not copied.is_whole(rebuild.table):
            return None
        if self._writes and not self._present.refers_to(rebuild.table):
            return None
        return target, source

    def _drop(self, rebuild: Rebuild, statement: Statement) -> Iterator[str]:
        if rebuild.old is not None and rebuild.made is not None:
            rebuild.triggers = self._present.triggers(rebuild.table)
            rebuild.indexes = self._present.indexes(rebuild.table)
            self._look_for_rowids(rebuild)
            if rebuild.old.autoincrement and rebuild.made.autoincrement and not self._keeps_sequence():
                new, old = literal(rebuild.temporary), literal(rebuild.table)
                yield f'DELETE FROM "sqlite_sequence" WHERE "name" = {new};'
                yield (
                    f'INSERT INTO "sqlite_sequence" ("name", "seq") SELECT {new}, "seq"'
                    f' FROM "sqlite_sequence" WHERE "name" = {old};'
                )
        yield statement.body

    def _keeps_sequence(self) -> bool:
        return any("sqlite_sequence" in names_in(each.body) for each in self._script)

    def _look_for_rowids(self, rebuild: Rebuild) -> None:
        """Full-text indexes over the table, if its rows get other numbers."""
        if rebuild.keeps_rowids or (AS_WRITTEN, rebuild.table.lower()) in self._said:
            return
        for name, sql in self._present.virtual_tables():
            content, rowid = content_of(sql)
            old = rebuild.old
            if content != rebuild.table.lower() or old is None:
                continue
            if rowid is None or rowid in ROWID_NAMES or rowid == old.rowid_alias:
                self._lose(
                    f"{rebuild.table}: the numbers of its rows, to which the index {name} refers",
                    AS_WRITTEN,
                    rebuild.table,
                )

    def _rename(self, rebuild: Rebuild, statement: Statement) -> Iterator[str]:
        dependants = self._connection.execute(
            "SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger')"
        ).get
        # Otherwise SQLite looks through all views and triggers first, and finds the table missing.
        set_aside = bool(dependants) and not self._connection.config(
            apsw.SQLITE_DBCONFIG_LEGACY_ALTER_TABLE, -1
        )
        if set_aside:
            yield "PRAGMA legacy_alter_table=ON;"
        yield statement.body
        if set_aside:
            yield "PRAGMA legacy_alter_table=OFF;"
        for index in rebuild.indexes:
            if not index.is_plain and not self._is_made("index", index.name):
                yield from self._index_again(rebuild, index)
        for name, sql in rebuild.triggers:
            if not self._is_made("trigger", name):
                yield f"{renamed_in_trigger(sql, rebuild.renamed)};"

    def _index_again(self, rebuild: Rebuild, index: IndexStatement) -> Iterator[str]:
        if self._is_unwanted(index):
            # The schema can have it, and has not.
            self.directives.add(directive("without index", index.name))
            return
        assert rebuild.old is not None
        assert rebuild.made is not None
        gone = {column.key for column in rebuild.old.columns} - {
            column.key for column in rebuild.made.columns
        }
        gone -= set(rebuild.renamed)
        if gone & {each.lower() for each in index_names(index)}:
            self._lose(f"the index {index.name} ({spaced(index.sql)})", "without index", index.name)
            return
        if not rebuild.renamed:
            yield f"{index.sql};"
            return
        made = [
            SqlToken("name", quote(rebuild.renamed[token.value.lower()]))
            if token.kind in ("word", "name") and token.value.lower() in rebuild.renamed
            else token
            for token in index.tokens
        ]
        yield " ".join(token.text for token in made) + ";"

    def _is_made(self, kind: str, name: str) -> bool:
        """True if the script makes it, or declares to do without it."""
        key = name.lower()
        return (kind, key) in self._made or (f"without {kind}", key) in self._said

    # All others.

    def _other(self, statement: Statement) -> Iterator[str]:
        made = object_of(statement)
        if made is None or any(token.is_word("EXISTS") for token in statement.tokens[:6]):
            yield statement.body
            return
        kind, name = made
        if kind == "index":
            yield from self._make_index(statement, name)
            return
        if kind == "trigger" and self._present.has(kind, name):
            # Elsewhere it went with its table when that was rebuilt.
            yield f"DROP TRIGGER {quote(name)};"
        yield statement.body

    def _make_index(self, statement: Statement, name: str) -> Iterator[str]:
        """Prisma's index, or the original that it stands for."""
        on = indexed_table(statement.tokens)
        for rebuild in self.rebuilds:
            if on != rebuild.table.lower() or ("without index", name) in self._said:
                continue
            columns = plain_columns(statement.tokens)
            if columns is not None and is_unique(statement.tokens):
                names = tuple(column for column, _ in columns)
                usual = default_index_name(rebuild.table, names, unique=True)
                is_usual = name == usual.lower() or name.startswith(AUTOINDEX)
                if is_usual and frozenset(names) in rebuild.uniques:
                    return
            old = next((index for index in rebuild.indexes if index.name.lower() == name), None)
            if (
                old is not None
                and not old.is_plain
                and columns is not None
                and columns == all_columns(old.tokens)
                and is_unique(old.tokens) == is_unique(statement.tokens)
            ):
                if self._is_unwanted(old):
                    self.directives.add(directive("without index", old.name))
                else:
                    yield f"{old.sql};"
                    return
        if self._present.has("index", name) and not self._present.has_plain_index(name):
            yield f"DROP INDEX {quote(name)};"
        yield statement.body

    def _end(self) -> Iterator[str]:
        """Triggers that could never run again go; of views it is said. Searches are filled anew."""
        found = broken_dependants(self._connection, self._tables())
        for (kind, name), reason in found.items():
            if (kind, name) in self._before:
                continue
            effect = "the trigger" if kind == "trigger" else "what the view shows:"
            self._lose(f"{effect} {name} ({reason})", f"without {kind}", name)
            if kind == "trigger":
                yield f"DROP TRIGGER {quote(name)};"
        script = "".join(each.text for each in self._script)
        yield from (f"{each};" for each in refilling(self._connection, self._tables(), script))

    # Details.

    def _is_unwanted(self, index: IndexStatement) -> bool:
        """True if the schema could have the index, and has not."""
        text = self._claims.text
        return is_only_partial(index) and "partialIndexes" in text and escape(index.name) not in text

    def _tables(self) -> list[str]:
        return [each.table for each in self.rebuilds]

    def _lose(self, message: str, what: str, name: str) -> None:
        if (what, name.lower()) not in self._said:
            self.losses.append(Loss(message, directive(what, name)))

    def _renamed(self, rebuild: Rebuild) -> dict[str, str]:
        """The columns that are copied into columns of another name, by their old names."""
        assert rebuild.old is not None
        assert rebuild.made is not None
        copied = None if rebuild.insert is None else Copy.parse(self._script[rebuild.insert])
        if copied is None:
            return {}
        found: dict[str, str] = {}
        for target, source in copied.pairs:
            if len(source) != 1 or not source[0].is_name:
                continue
            old, new = source[0].value.lower(), target.value.lower()
            is_new = new not in rebuild.old.by_name and new in rebuild.made.by_name
            if is_new and old in rebuild.old.by_name and old not in rebuild.made.by_name:
                found[old] = new
        return found

    def _indexed(self, rebuild: Rebuild) -> list[tuple[str, ...]]:
        """The columns of unique indexes that the script makes under the name that Prisma gives them."""
        found = []
        uniques = [] if rebuild.made is None else [unique.columns for unique in rebuild.made.uniques]
        inline = [] if rebuild.made is None else [(each.key,) for each in rebuild.made.columns if each.unique]
        for statement in self._script[rebuild.rename :]:
            columns = plain_columns(statement.tokens)
            made = object_of(statement)
            if columns is None or made is None or not is_unique(statement.tokens):
                continue
            names = tuple(column for column, _ in columns)
            usual = default_index_name(rebuild.table, names, unique=True).lower()
            is_usual = made[1] == usual or made[1].startswith(AUTOINDEX)
            if indexed_table(statement.tokens) == rebuild.table.lower() and is_usual:
                found.append(names)
        return [*found, *uniques, *inline]

    def _knowledge(self, table: str) -> tuple[Callable[[Key], bool], Wishes]:
        lens = Lens(self._connection, lambda: self._claims)
        catalog = read_catalog(self._connection)
        described = catalog.by_name.get(table.lower())

        def sound(key: Key) -> bool:
            if described is None:
                return False
            references = key.references or tuple(
                column.name.lower()
                for column in (catalog.by_name[key.table].key if key.table in catalog.by_name else ())
            )
            shown = ForeignKey(key.columns, key.table, references, "", "")
            return catalog.is_sound(shown) and lens.are_alike(catalog, described, shown)

        if self._wishes is None:
            return sound, NO_WISHES
        return sound, self._wishes.of(table.lower(), sound)
